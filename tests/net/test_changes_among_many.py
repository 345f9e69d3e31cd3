# SPDX-License-Identifier: Apache-2.0
"""One cable among 500 hosts is changed while a trace runs there: nobody else loses a frame."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.conftest import PROJECT

pytestmark = [pytest.mark.net, pytest.mark.long]


@pytest.mark.timeout(1200)
def test_nobody_else_loses_a_frame() -> None:
    """As the benchmark counts it, which measures beside how long each change takes."""
    bench = [sys.executable, "bench/changes.py", "--hosts", "500", "--rounds", "1"]
    ended = subprocess.run(bench, cwd=PROJECT, capture_output=True, text=True, timeout=1000)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    (lost, sent) = re.findall(r"lost elsewhere: (\d+) of (\d+) datagrams", ended.stdout)[0]
    assert int(lost) == 0 and int(sent) > 0, ended.stdout
