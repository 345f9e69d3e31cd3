# SPDX-License-Identifier: Apache-2.0
"""Patience: what a slow machine asks for, and nothing less."""

from __future__ import annotations

import fcntl
import importlib
import os
import resource
import signal
import socket
import subprocess
import threading
import time
from types import SimpleNamespace

import pytest

from hoplab import wait
from hoplab.client import labs
from hoplab.errors import LabError
from hoplab.openvswitch import daemons
from tests.conftest import PROJECT, _patient


@pytest.mark.parametrize(
    ("setting", "factor"), [("5", 5), ("0.1", 1), ("-3", 1), ("much", 1), ("inf", 1), ("nan", 1)]
)
def test_patience_only_ever_lengthens(
    monkeypatch: pytest.MonkeyPatch, setting: str, factor: float
) -> None:
    monkeypatch.setenv("HOPLAB_PATIENCE", setting)
    assert wait.patience() == factor
    with pytest.raises(LabError, match=f"waited {0.001 * factor:g} s for nothing"):
        wait.until(lambda: False, "nothing", within_s=0.001)


def test_the_tests_own_deadlines_are_patient_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def communicate(process: None, input: str = "", timeout: float | None = None) -> float | None:
        return timeout

    monkeypatch.setenv("HOPLAB_PATIENCE", "8")
    patient = _patient(communicate)
    assert patient(None, timeout=30) == patient(None, "", 30) == 240
    assert patient(None) is None


def test_open_vswitch_s_tools_are_given_whole_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOPLAB_PATIENCE", "1.5")
    assert daemons._timeout(5) == "--timeout=8"


def test_an_answer_is_waited_for_with_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOPLAB_PATIENCE", "3")
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs, pytest.raises(LabError, match=r"has not answered for 0\.03 s"):
        labs.receive(ours, "lab", within_s=0.01)


def test_an_app_that_hangs_is_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    """topologies/nodes.py, which knows nothing of the engine."""
    monkeypatch.syspath_prepend(str(PROJECT / "topologies"))
    nodes = importlib.import_module("nodes")
    monkeypatch.setattr(nodes, "START_S", 0.01)
    process = subprocess.Popen(["sleep", "100"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    server = SimpleNamespace(starting=[("dns_server.py", process)], serving=[])
    try:
        with pytest.raises(RuntimeError, match=r"dns_server.py: it has not said within 0\.01 s"):
            nodes.Server.ready(server)
    finally:
        process.kill()
        process.communicate(timeout=30)


def test_what_can_be_read_is_found_above_the_descriptors_that_select_knows() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 1200:
        pytest.skip(f"the hard limit of descriptors is {hard}, below 1,200")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 1200), hard))
    ours, theirs = socket.socketpair()
    high = fcntl.fcntl(ours.fileno(), fcntl.F_DUPFD, 1100)
    try:
        assert wait.readable([high, theirs.fileno()], 0) == set()
        theirs.send(b"x")
        assert wait.readable([high, theirs.fileno()], 5) == {high}
        theirs.close()
        assert high in wait.readable([high], None)
    finally:
        os.close(high)
        ours.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_signal_that_interrupts_no_call_is_heard_all_the_same() -> None:
    """As one that comes when Python has just looked for signals and is about to call the kernel:
    the handler of C runs, and poll(2) begins to wait. Here another thread's call is interrupted."""

    class Heard(Exception):
        pass

    def handler(number: int, frame: object) -> None:
        raise Heard

    before = signal.signal(signal.SIGUSR1, handler)
    ours, theirs = socket.socketpair()
    heard = threading.Event()

    def interrupt() -> None:
        time.sleep(0.2)  # the other one waits by now
        signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
        if not heard.wait(10):
            theirs.send(b"too late")

    thread = threading.Thread(target=interrupt, daemon=True)
    try:
        thread.start()
        with ours, pytest.raises(Heard):
            wait.readable([ours.fileno()], 30)
        assert thread.is_alive()  # it has not had to help
    finally:
        heard.set()
        signal.signal(signal.SIGUSR1, before)
        thread.join()
        theirs.close()
