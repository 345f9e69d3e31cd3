# SPDX-License-Identifier: Apache-2.0
"""hoplab.wireshark.extcap: what it answers Wireshark where no lab is needed."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hoplab import wait
from hoplab.errors import LabError
from hoplab.wireshark import extcap


@pytest.fixture(autouse=True)
def no_labs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert extcap.main(arguments) == 0
    return capsys.readouterr().out


def test_without_labs_the_list_has_ssh_alone(capsys: pytest.CaptureFixture[str]) -> None:
    lines = answer(capsys, "--extcap-interfaces", "--extcap-version=4.0").splitlines()
    assert lines[0].startswith("extcap {version=")
    assert lines[1:] == [
        "interface {value=hoplab-ssh}{display=hoplab on another machine, through ssh}"
    ]


def test_ethernet_is_what_interfaces_speak(capsys: pytest.CaptureFixture[str]) -> None:
    printed = answer(capsys, "--extcap-dlts", "--extcap-interface", "hoplab:lab")
    assert printed == "dlt {number=1}{name=EN10MB}{display=Ethernet}\n"


def test_only_ssh_has_something_to_set(capsys: pytest.CaptureFixture[str]) -> None:
    assert answer(capsys, "--extcap-config", "--extcap-interface", "hoplab:lab").strip() == ""
    printed = answer(capsys, "--extcap-config", "--extcap-interface", extcap.SSH)
    assert printed.count("arg {number=") == 3 and "{call=--ssh-host}" in printed


def test_the_way_through_ssh_quotes_what_the_user_typed() -> None:
    argv = extcap.ssh_command("me@vm", "la b", "/opt/my\\ venv/bin/hoplab", "tcp port 80; ls")
    assert argv[-2] == "me@vm"
    assert argv[-1] == (
        "'/opt/my venv/bin/hoplab' capture -w - --name 'la b' --filter 'tcp port 80; ls'"
    )
    for bad in ("", "-oProxyCommand=ls"):
        with pytest.raises(LabError):
            extcap.ssh_command(bad, "", "hoplab", "")


def test_a_lab_that_is_gone_is_said_on_stderr(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    fifo = tmp_path / "fifo"  # a file will do: it is opened, nothing is read
    fifo.touch()
    code = extcap.main(["--capture", "--extcap-interface", "hoplab:gone", "--fifo", str(fifo)])
    assert code == 4 and "no lab called gone" in capsys.readouterr().err


def test_nothing_from_a_lab_can_break_the_sentences() -> None:
    assert extcap._safe("a}{value=x}\n") == "a  value x  "


# A capture that waits: nobody opens the fifo for reading. The second has something to complain of.
WAITING = [
    ("--extcap-interface", extcap.SSH, "--ssh-host", "nowhere.invalid"),
    ("--extcap-interface", "hoplab:gone"),
]


def capture(fifo: Path, options: tuple[str, ...]) -> list[str]:
    os.mkfifo(fifo)
    return [sys.executable, "-m", extcap.__name__, "--capture", *options, "--fifo", str(fifo)]


def catches_sigterm(pid: int) -> bool:
    """Whether the process is as far as to have a handler, proc_pid_status(5)."""
    status = Path(f"/proc/{pid}/status").read_text()
    caught = int(status.partition("SigCgt:")[2].split()[0], 16)
    return bool(caught >> (signal.SIGTERM - 1) & 1)


@pytest.fixture
def ended() -> Iterator[list[int]]:
    """Processes, as pidfds, which are killed at the end of the test if they still run."""
    pidfds: list[int] = []
    yield pidfds
    for pidfd in pidfds:
        if not select.select([pidfd], [], [], 0)[0]:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        os.close(pidfd)


@pytest.mark.parametrize("options", WAITING, ids=["ssh", "lab"])
def test_sigterm_ends_a_capture_that_nobody_reads(
    options: tuple[str, ...], tmp_path: Path, ended: list[int]
) -> None:
    process = subprocess.Popen(capture(tmp_path / "fifo", options), stderr=subprocess.DEVNULL)
    ended.append(os.pidfd_open(process.pid))
    wait.until(lambda: catches_sigterm(process.pid), "the capture to begin", within_s=30)
    process.terminate()
    process.wait(timeout=30)


@pytest.mark.parametrize("options", WAITING, ids=["ssh", "lab"])
def test_a_capture_ends_when_wireshark_is_gone_before_it_reads(
    options: tuple[str, ...], tmp_path: Path, ended: list[int]
) -> None:
    wireshark = subprocess.Popen(
        ["sh", "-c", '"$@" 2>/dev/null & echo $!; read end', "sh",
         *capture(tmp_path / "fifo", options)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert wireshark.stdout is not None
    pid = int(wireshark.stdout.readline())
    ended.append(os.pidfd_open(pid))
    wait.until(lambda: catches_sigterm(pid), "the capture to begin", within_s=30)
    wireshark.kill()
    wireshark.communicate(timeout=30)
    assert select.select([ended[0]], [], [], 30)[0], "it still waits for a reader"
