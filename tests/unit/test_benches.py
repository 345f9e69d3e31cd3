# SPDX-License-Identifier: Apache-2.0
"""`make bench` where peers are missing: they are named, and the rest is run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import PROJECT

BENCH = PROJECT / "bench"


def run(*words: str, path: str = os.defpath) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PATH": path}
    return subprocess.run(words, cwd=PROJECT, env=env, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("bench", "peer"), [("dns", "dnsperf"), ("web", "wrk"), ("datapath", "iperf3")]
)
def test_what_makes_the_load_is_missing(bench: str, peer: str, tmp_path: Path) -> None:
    # `programs` looks into the system's folders, too.
    if shutil.which(peer, path="/usr/sbin:/sbin:/usr/bin:/bin"):
        pytest.skip(f"{peer} is installed")
    result = run(sys.executable, str(BENCH / f"{bench}.py"))
    assert result.returncode == 0 and "Traceback" not in result.stderr
    assert result.stderr.startswith(f"{peer} is not installed; left out: everything")
    assert f"  Next: sudo apt-get install {peer}\n" in result.stderr


def test_every_peer_that_may_be_left_out_has_its_next_step() -> None:
    sys.path.insert(0, str(BENCH))
    try:
        from peers import HOW
    finally:
        sys.path.remove(str(BENCH))
    for file in BENCH.glob("*.py"):
        text = file.read_text(encoding="utf-8")
        for name in re.findall(r'left_out\("([^"]+)"|HOW\[\'(\w+)\'\]', text):
            assert set(name) & set(HOW), (file.name, name)


def test_one_that_fails_does_not_keep_the_others_from_running(tmp_path: Path) -> None:
    """Make is handed a Python that fails for one bench and names all that it is given."""
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "ran $1"; case $1 in *dns.py) exit 3 ;; esac\n')
    python.chmod(0o755)
    result = run("make", "--old-file=install-tests", "bench", f"PYTHON={python}")
    ran = set(re.findall(r"^ran (\S+)$", result.stdout, re.M))
    assert ran == {f"bench/{file.name}" for file in BENCH.glob("*.py")} - {"bench/soak.py"}
    assert result.returncode == 2 and "failed: bench/dns.py\n" in result.stderr
