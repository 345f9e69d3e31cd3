# SPDX-License-Identifier: Apache-2.0
"""Writes what hoplab ships and needs, with versions and licences, as CycloneDX 1.5 JSON.

    .venv/bin/python scripts/make_sbom.py [FILE]     (default: stdout)

Everything is read from what is installed here: Python packages from their metadata, the packages
of the distribution from dpkg and from their machine-readable copyright files. A licence that
nobody states is left out and named on stderr, never guessed. Files of others that stand in our
tree lie in folders called `vendor`, each with a `vendor.json` that lists them: [{"name",
"version", "licence", "files": [...]}]. One that is not listed is an error.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
Component = dict[str, Any]


def canonical(name: str) -> str:
    """A package's name as PyPI compares it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def component(name: str, version: str, purl: str, licence: str) -> Component:
    made: Component = {"type": "library", "bom-ref": purl, "name": name, "version": version}
    if licence:
        made["licenses"] = [{"license": {"name": licence}}]
    else:
        print(f"no licence is stated by {purl}", file=sys.stderr)
    return {**made, "purl": purl}


def licence_of(package: metadata.PackageMetadata) -> str:
    """What a Python package says of itself: the newest field first (PEP 639), then the older."""
    if "License-Expression" in package:
        return package["License-Expression"]
    classifiers = [
        line.rsplit(" :: ", 1)[-1]
        for line in package.get_all("Classifier") or []
        if line.startswith("License ::") and not line.endswith("OSI Approved")
    ]
    if classifiers:
        return " AND ".join(classifiers)
    return package["License"].strip().split("\n")[0] if "License" in package else ""


def python_packages(wanted: list[str]) -> Iterator[Component]:
    """These packages and all that they require, as installed for this Python."""
    seen: set[str] = set()
    while wanted:
        name = canonical(wanted.pop())
        if name in seen:
            continue
        seen.add(name)
        try:
            package = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue  # required only elsewhere (another system, an older Python)
        yield component(
            name,
            package.version,
            f"pkg:pypi/{name}@{package.version}",
            licence_of(package.metadata),
        )
        for line in package.requires or []:
            need, _, marker = line.partition(";")
            if "extra" not in marker:
                wanted.append(re.split(r"[^\w.-]", need.strip(), maxsplit=1)[0])


def distribution_packages() -> Iterator[Component]:
    """What scripts/install.sh asks apt for."""
    script = (ROOT / "scripts" / "install.sh").read_text(encoding="utf-8")
    listed = re.search(r"^packages=\(([^)]*)\)", script, re.MULTILINE)
    assert listed is not None, "scripts/install.sh has no line packages=("
    system = platform_id()
    for name in listed[1].split():
        asked = subprocess.run(
            ["dpkg-query", "-W", "-f", "${Version}", name], capture_output=True, text=True
        )
        if asked.returncode:
            print(f"not installed here: {name}", file=sys.stderr)
            continue
        path = Path("/usr/share/doc", name, "copyright")
        text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
        stated = dict.fromkeys(re.findall(r"^License:[ \t]*(\S.*)$", text, re.MULTILINE))
        purl = f"pkg:deb/{system}/{name}@{asked.stdout}"
        yield component(name, asked.stdout, purl, " AND ".join(stated))


def platform_id() -> str:
    words = Path("/etc/os-release").read_text(encoding="utf-8")
    match = re.search(r'^ID="?(\w+)', words, re.MULTILINE)
    return match[1] if match else "linux"


def vendored(root: Path) -> Iterator[Component]:
    """Files of others in our tree. Raises SystemExit where one is not listed."""
    for folder in sorted(path for path in root.rglob("vendor") if path.is_dir()):
        listing = folder / "vendor.json"
        entries = json.loads(listing.read_text(encoding="utf-8")) if listing.exists() else []
        listed = {name for entry in entries for name in entry["files"]}
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder).as_posix()
            if path.is_file() and path != listing and name not in listed:
                raise SystemExit(f"{path.relative_to(root)} is not listed in {listing.name} there")
        for entry in entries:
            purl = f"pkg:generic/{entry['name']}@{entry['version']}"
            yield component(entry["name"], entry["version"], purl, entry["licence"])


def document() -> dict[str, Any]:
    """The whole bill, in the order of its names: the same machine gives the same bytes."""
    from hoplab import __version__

    ours = metadata.distribution("hoplab").requires or []
    first = [re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in ours if "os-ken" not in line]
    parts = [
        *vendored(ROOT / "hoplab"),
        *python_packages(first),
        *distribution_packages(),
    ]
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": f"pkg:pypi/hoplab@{__version__}",
                "name": "hoplab",
                "version": __version__,
                "licenses": [{"license": {"id": "Apache-2.0"}}],
            }
        },
        "components": sorted(parts, key=lambda part: part["purl"]),
    }


def main() -> None:
    sys.path.insert(0, str(ROOT))
    text = json.dumps(document(), indent=1, ensure_ascii=False) + "\n"
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(text, encoding="utf-8")
    else:
        print(text, end="")


if __name__ == "__main__":
    main()
