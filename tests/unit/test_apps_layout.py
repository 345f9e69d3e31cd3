# SPDX-License-Identifier: Apache-2.0
"""The layout of apps/: programs at its top, their parts in protocols/, and what a copy needs."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hoplab import content

ROOT = Path(__file__).resolve().parents[2]
APPS = ROOT / "apps"
PROGRAMS = (
    "dns_resolver.py", "dns_server.py", "fetch.py", "lab_ca.py", "transfer.py", "web_server.py",
)  # fmt: skip
WITH_PARTS = tuple(name for name in PROGRAMS if name != "transfer.py")


def run(
    *command: str | Path, cwd: Path, path: str = os.environ["PATH"]
) -> subprocess.CompletedProcess[str]:
    """The command's result, without any Python path of this test's own."""
    environment = {"PATH": path, "HOME": str(cwd), "XDG_STATE_HOME": str(cwd)}
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, cwd=cwd, env=environment
    )


def copies(folder: Path, *names: str) -> None:
    """Copies of these files and folders of apps/ in FOLDER."""
    folder.mkdir()
    for name in names:
        if (APPS / name).is_dir():
            shutil.copytree(APPS / name, folder / name)
        else:
            shutil.copy(APPS / name, folder)


def test_exactly_the_programs_are_at_the_top() -> None:
    assert sorted(path.name for path in APPS.glob("*.py")) == sorted(PROGRAMS)
    assert content.names("apps") == sorted(name.removesuffix(".py") for name in PROGRAMS)
    for path in APPS.rglob("*.py"):
        runs = "if __name__ ==" in path.read_text(encoding="utf-8")
        assert runs == (path.parent == APPS), path


def test_no_name_at_the_top_hides_a_module() -> None:
    """`python3 apps/x.py` looks here first, so these names would win."""
    for path in APPS.iterdir():
        if path.suffix == ".py" or list(path.rglob("*.py")):
            assert path.stem not in sys.stdlib_module_names, path
            # `find_spec` looks where the tests import from, and some of them add apps/ itself.
            spec = importlib.util.find_spec(path.stem)
            where = spec.origin if spec is not None else None
            assert where is None or Path(where).is_relative_to(APPS), where


@pytest.mark.parametrize("options", [[], ["-I"]], ids=["plain", "isolated"])
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_helps_from_any_folder(
    program: str, options: list[str], tmp_path: Path
) -> None:
    result = run(sys.executable, *options, APPS / program, "--help", cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith(f"usage: {program}")


def test_a_program_that_is_linked_to_finds_its_parts_and_its_site(tmp_path: Path) -> None:
    link = tmp_path / "web_server.py"
    link.symlink_to(APPS / "web_server.py")
    ask = "import web_server; print(web_server.SITE)"
    result = run(sys.executable, "-c", ask, cwd=tmp_path)
    assert (result.stdout, result.stderr) == (f"{APPS / 'site'}\n", "")


@pytest.mark.parametrize("program", WITH_PARTS)
def test_a_copy_alone_says_what_it_needs_and_how_to_copy_it(program: str, tmp_path: Path) -> None:
    folder = tmp_path / "my own $apps"
    copies(folder, program)
    # Run from elsewhere: what it needs belongs beside it, not where it is run.
    result = run(sys.executable, folder / program, "--help", cwd=tmp_path)
    assert result.returncode == 2 and result.stdout == ""
    sentence, hint = result.stderr.splitlines()
    assert sentence.startswith(f"{program} needs the folder protocols beside it")
    line = hint.removeprefix("  Next: ")
    hoplab = tmp_path / "bin" / "hoplab"
    hoplab.parent.mkdir()
    run_hoplab = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r}); "
                  "from hoplab.cli.main import main; sys.exit(main())"]  # fmt: skip
    hoplab.write_text(f'#!/bin/sh\nexec {shlex.join(run_hoplab)} "$@"\n')
    hoplab.chmod(0o755)
    path = f"{hoplab.parent}:{os.environ['PATH']}"
    copied = run("sh", "-c", line, cwd=tmp_path, path=path)
    assert (copied.returncode, copied.stderr) == (0, "")
    result = run(sys.executable, "-I", folder / program, "--help", cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert (folder / "site").is_dir() == (program == "web_server.py")


def test_a_strange_folder_of_that_name_is_told_like_none(tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    copies(folder, "fetch.py")
    (folder / "protocols").mkdir()
    (folder / "protocols" / "__init__.py").write_text("")
    result = run(sys.executable, folder / "fetch.py", "--help", cwd=tmp_path)
    assert result.returncode == 2
    assert re.match(r"fetch\.py needs the folder protocols .*cannot import", result.stderr)
    assert "Traceback" not in result.stderr


def test_a_copy_with_its_parts_does_its_work(tmp_path: Path) -> None:
    """TLS brings in the last of them, when the server has read its options."""
    folder = tmp_path / "copy"
    copies(folder, *WITH_PARTS, "protocols", "zones")
    server = folder / "dns_server.py"
    result = run(sys.executable, server, "--zone", "zones/root.zone", "--check", cwd=folder)
    assert (result.returncode, result.stderr) == (0, "") and " SOA " in result.stdout
    (folder / "lab_ca.py").unlink()
    make = "import web_server; print(web_server.tls_context('ca', ['a.lab'], None))"
    result = run(sys.executable, "-c", make, cwd=folder)
    assert (result.returncode, result.stderr) == (0, "") and "SSLContext" in result.stdout
