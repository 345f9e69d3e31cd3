# SPDX-License-Identifier: Apache-2.0
"""How hoplab is packaged: the engine, and the content folders as hoplab.topologies and so on.

The version is read from hoplab/__init__.py without importing it. Everything is declared here and
nothing in pyproject.toml, in words that setuptools of any age understands.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from setuptools import setup

try:
    from setuptools.command.editable_wheel import editable_wheel
except ImportError:  # before setuptools 64 an editable install was a path file in any case
    editable_wheel = None

HERE = Path(__file__).resolve().parent

# Content that stands beside the engine in a checkout. As top-level packages these names would
# collide with other people's, so they are installed inside hoplab.
CONTENT = ("topologies", "controllers", "apps", "labs")


def left_out(path: Path) -> bool:
    """Caches, and whatever tools and editors hide."""
    return path.suffix == ".pyc" or any(
        part == "__pycache__" or part.startswith(".") for part in path.relative_to(HERE).parts
    )


def folders(top: Path) -> list[Path]:
    """`top` and all folders below it that may hold files to ship."""
    every = [top, *sorted(path for path in top.rglob("*") if path.is_dir())]
    return [path for path in every if not left_out(path)]


def packages() -> tuple[dict[str, str], dict[str, list[str]]]:
    """Package name to folder, and package name to the files in it that are no modules."""
    where: dict[str, str] = {}
    data: dict[str, list[str]] = {}
    for top in ("hoplab", *CONTENT):
        if not (HERE / top).is_dir():
            continue
        for folder in folders(HERE / top):
            parts = folder.relative_to(HERE).parts
            name = ".".join(parts if top == "hoplab" else ("hoplab", *parts))
            files = [p for p in sorted(folder.iterdir()) if p.is_file() and not left_out(p)]
            if not files:
                continue
            if name.replace(".", "").isidentifier() and any(p.suffix == ".py" for p in files):
                where[name] = folder.relative_to(HERE).as_posix()
                data.setdefault(name, []).extend(p.name for p in files if p.suffix != ".py")
                continue
            # A folder of plain data belongs to the nearest package above it (or is one itself).
            if len(parts) == 1:
                where[name] = parts[0]
                data.setdefault(name, []).extend(p.name for p in files)
                continue
            owner = folder.parent
            while len(owner.relative_to(HERE).parts) > 1 and not any(owner.glob("*.py")):
                owner = owner.parent
            owner_parts = owner.relative_to(HERE).parts
            owner_name = ".".join(owner_parts if top == "hoplab" else ("hoplab", *owner_parts))
            where[owner_name] = owner.relative_to(HERE).as_posix()
            inside = folder.relative_to(owner).as_posix()
            data.setdefault(owner_name, []).extend(f"{inside}/{p.name}" for p in files)
    return where, {name: files for name, files in data.items() if files}


def version() -> str:
    """The one place that holds it is hoplab/__init__.py."""
    text = (HERE / "hoplab" / "__init__.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "([^"]+)"$', text, re.MULTILINE)
    if found is None:
        raise SystemExit('hoplab/__init__.py has no line __version__ = "..."')
    return found.group(1)


def readme() -> str:
    path = HERE / "README.md"
    return path.read_text(encoding="utf-8") if path.exists() else ""


def manual() -> list[tuple[str, list[str]]]:
    """The manual page, made now from the command line's parser, and where it is installed."""
    page = "build/man/hoplab.1"
    subprocess.run([sys.executable, "scripts/make_man.py", page], cwd=HERE, check=True)
    return [("share/man/man1", [page])]


def compile_catalogues() -> None:
    """A .mo beside each .po: what Python's gettext reads. Without Babel (a plain
    `setup.py --version`), those that are there stay."""
    try:
        from babel.messages.mofile import write_mo
        from babel.messages.pofile import read_po
    except ImportError:
        return
    locales = (HERE / "hoplab" / "locale", HERE / "apps" / "protocols" / "locale")
    for source in sorted(path for folder in locales for path in folder.glob("*/LC_MESSAGES/*.po")):
        with open(source, encoding="utf-8") as text, open(source.with_suffix(".mo"), "wb") as out:
            write_mo(out, read_po(text, locale=source.parts[-3]))


COMMANDS: dict[str, Any] = {}
if editable_wheel is not None:

    class PathFileEditable(editable_wheel):  # type: ignore[misc, valid-type]
        """An editable install by one line in a .pth file.

        With folders mapped to other package names setuptools installs an import hook instead.
        That costs every start of Python in this environment 12 ms, and editors and type checkers
        are blind to it. Here the mapping is not needed: `hoplab.content` finds the content
        folders beside the engine.
        """

        def finalize_options(self) -> None:
            engine = [name for name in WHERE if WHERE[name].split("/")[0] == "hoplab"]
            self.distribution.packages = engine
            self.distribution.package_dir = {"": "."}
            self.distribution.package_data = {name: DATA.get(name, []) for name in engine}
            super().finalize_options()

    COMMANDS["editable_wheel"] = PathFileEditable

compile_catalogues()
WHERE, DATA = packages()

setup(
    name="hoplab",
    version=version(),
    description="A network lab that follows one real packet across every hop",
    long_description=readme(),
    long_description_content_type="text/markdown",
    # The licence as setuptools of every age takes it: a plain word and the file.
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.10",
    install_requires=[
        "cryptography>=3.4", "dnspython>=2.6.1", "eventlet>=0.40.3", "h11>=0.16", "pyyaml>=5.3",
        "shtab>=1.9", "starlette>=0.49.1", "uvicorn>=0.30", "wsproto>=1.2",
    ],
    # ryu 4.34 builds only with setuptools below 68, which no requirement of ours can say to pip's
    # isolated build. As a hard requirement it would make `pip install hoplab` fail;
    # CONTRIBUTING.md has the line that installs the extra.
    # os-ken is Ryu's maintained fork; the controllers run on both (`hoplab up --platform os-ken`).
    extras_require={"controller": ["ryu==4.34"], "os-ken": ["os-ken>=4.2"]},
    packages=sorted(WHERE),
    package_dir=WHERE,
    package_data=DATA,
    data_files=manual(),
    cmdclass=COMMANDS,
    include_package_data=False,
    zip_safe=False,
    entry_points={
        "console_scripts": ["hoplab = hoplab.cli.main:main"],
        # Does nothing in a test that does not ask for its fixtures.
        "pytest11": ["hoplab = hoplab.api.pytest_plugin"],
    },
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Environment :: Console",
        "Intended Audience :: Education",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3 :: Only",
        "Topic :: Education",
        "Topic :: System :: Networking",
    ],
)
