# SPDX-License-Identifier: Apache-2.0
"""hoplab.shark.extcap: what it answers Wireshark where no lab is needed."""

from __future__ import annotations

from pathlib import Path

import pytest

from hoplab.errors import LabError
from hoplab.shark import extcap


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
    said = answer(capsys, "--extcap-dlts", "--extcap-interface", "hoplab:lab")
    assert said == "dlt {number=1}{name=EN10MB}{display=Ethernet}\n"


def test_only_ssh_has_something_to_set(capsys: pytest.CaptureFixture[str]) -> None:
    assert answer(capsys, "--extcap-config", "--extcap-interface", "hoplab:lab").strip() == ""
    said = answer(capsys, "--extcap-config", "--extcap-interface", extcap.SSH)
    assert said.count("arg {number=") == 3 and "{call=--ssh-host}" in said


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
