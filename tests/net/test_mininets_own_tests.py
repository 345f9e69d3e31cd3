# SPDX-License-Identifier: Apache-2.0
"""Mininet's own test programs under `hoplab run`, as the table in docs/mininet.md has them.

They come with Mininet's source alone, of which nothing is here: HOPLAB_MININET_SOURCE names a
folder with it (`apt-get source mininet`, or its archive of 2.3.0). They want pexpect, too.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import PROJECT, World

pytestmark = [pytest.mark.net, pytest.mark.long]

TABLE = PROJECT / "docs" / "mininet.md"


def programs() -> list[tuple[str, str]]:
    """(name, verdict) of each program in the table."""
    text = TABLE.read_text().partition("## Mininet's own test programs")[2]
    return re.findall(r"^\| (\w+) \| (passes|fails|not run)", text, re.M)


@pytest.fixture(scope="module")
def pexpect(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pexpect")
    install = [sys.executable, "-m", "pip", "install", "-q", "--target", str(folder), "pexpect"]
    if subprocess.run(install, capture_output=True).returncode:
        pytest.skip("pexpect, which Mininet's tests want, cannot be installed")
    return folder


@pytest.mark.timeout(4000)
@pytest.mark.parametrize("name", [name for name, verdict in programs() if verdict == "passes"])
def test_a_program_of_mininets(hoplab: World, pexpect: Path, name: str) -> None:
    source = Path(os.environ.get("HOPLAB_MININET_SOURCE", "/nowhere"))
    files = [source / place / f"test_{name}.py" for place in ("mininet/test", "examples/test")]
    file = next((each for each in files if each.is_file()), None)
    if file is None:
        pytest.skip("HOPLAB_MININET_SOURCE names no folder with Mininet's source")
    # What lies in /tmp is not seen inside, but for the folder where the command is typed.
    seen = shutil.copytree(pexpect, hoplab.home / "pexpect")
    hoplab.env["PYTHONPATH"] = f"{PROJECT}:{seen}"
    ended = hoplab("run", "--", "/usr/bin/python3", str(file), "-v", code=None, timeout=3600)
    assert ended.code == 0 and re.search(r"^OK", ended.err, re.M), ended.err[-2000:]
