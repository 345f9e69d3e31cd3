# SPDX-License-Identifier: Apache-2.0
"""A server of a topology says that it listens in its user's language; the topology understands
every one of them."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_server_is_ready_whatever_language_it_speaks(
    language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "topologies"))
    nodes: Any = importlib.import_module("nodes")
    app = str(ROOT / "apps" / "dns_server.py")
    zone = str(ROOT / "apps" / "zones" / "com.zone")
    process = subprocess.Popen(
        [sys.executable, app, "--zone", zone, "--listen", "127.0.0.1", "--port=0", "--background"],
        env={**os.environ, "HOPLAB_LANG": language},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    server = nodes.Server.__new__(nodes.Server)
    server.starting, server.serving = [("dns_server.py", process)], []
    server.ready()
    (pid,) = server.serving
    assert b"dns_server" in Path(f"/proc/{pid}/cmdline").read_bytes()
    os.kill(pid, signal.SIGTERM)
