# SPDX-License-Identifier: Apache-2.0
"""What `hoplab run` loads into every Python of its sandbox, whatever its version."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import PROJECT

# A mininet.util of which one name tells whether it was told.
ASK = """
import sys
sys.path.insert(0, "tree")
import mininet.util
print(mininet.util.sysctlTestAndSet("x", 1))
"""


def works(python: str) -> bool:
    """It may be the stand-in of a version that is not chosen."""
    return subprocess.run([python, "-c", ""], capture_output=True).returncode == 0


def older() -> list[str]:
    """The Pythons of before 3.10 that are here."""
    names = [shutil.which(f"python3.{minor}") for minor in (7, 8, 9)]
    kept = sorted(Path.home().glob(".pyenv/versions/3.[789].*/bin/python3"))
    return [name for name in [*names, *map(str, kept)] if name and works(name)]


def told(python: str, folder: Path) -> str:
    site, tree = folder / "site", folder / "tree/mininet"
    site.mkdir(), tree.mkdir(parents=True)
    (site / "sitecustomize.py").symlink_to(PROJECT / "hoplab/stock/sitecustomize.py")
    (tree / "__init__.py").touch()
    (tree / "util.py").write_text("def sysctlTestAndSet(name, limit): return 'not told'\n")
    result = subprocess.run(
        [python, "-c", ASK],
        env={**os.environ, "PYTHONPATH": str(site)},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return result.stdout + result.stderr


def test_this_python(tmp_path: Path) -> None:
    assert told(sys.executable, tmp_path) == "None\n"


def test_older_pythons(tmp_path: Path) -> None:
    pythons = older()
    if not pythons:
        pytest.skip("no Python from 3.7 to 3.9 is installed")
    for number, python in enumerate(pythons):
        (tmp_path / str(number)).mkdir()
        assert told(python, tmp_path / str(number)) == "None\n", python
