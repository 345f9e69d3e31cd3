# SPDX-License-Identifier: Apache-2.0
"""Names, folders and locks of labs, without any lab."""

from __future__ import annotations

import errno
import fcntl
import os
import pwd
import signal
import socket
import subprocess
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from hoplab.cli import main, verbs_lab
from hoplab.client import labs, up_down
from hoplab.errors import Exit, LabError
from hoplab.kernel import refusals
from hoplab.service import server
from hoplab.service.spec import LARGEST_MESSAGE, Spec
from tests.conftest import PROJECT


@pytest.fixture(autouse=True)
def state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path / "hoplab" / "labs"


def test_a_claimed_name_lives_until_it_is_given_up(state: Path) -> None:
    claimed = up_down.claim("one")
    assert claimed.handle.alive()
    assert [handle.name for handle in labs.live()] == ["one"]
    claimed.give_up()
    assert not claimed.handle.alive() and labs.live() == []
    assert list(state.iterdir()) == []


def test_a_taken_name_is_refused() -> None:
    up_down.claim("one")
    with pytest.raises(LabError, match="a lab called one is up already") as caught:
        up_down.claim("one")
    assert caught.value.code == Exit.TAKEN and "--name" in caught.value.hint


def test_what_a_dead_lab_left_is_replaced(state: Path) -> None:
    (state / "one" / "logs").mkdir(parents=True)
    (state / "one" / "lab.json").write_text("{}")
    (state / "one" / "lock").touch()
    assert labs.live() == []
    up_down.claim("one")
    assert [path.name for path in (state / "one").iterdir()] == ["lock"]


def test_lookers_at_a_dead_lab_take_nobodys_name(state: Path) -> None:
    (state / "one").mkdir(parents=True)
    for name in ("lock", "lab.sock"):
        (state / "one" / name).touch()
    fd = os.open(state / "one" / "lock", os.O_RDWR)
    fcntl.flock(fd, fcntl.LOCK_SH)
    threading.Timer(0.2, os.close, [fd]).start()
    up_down.claim("one").give_up()


def test_down_leaves_the_folder_of_a_lab_that_came_meanwhile(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    up_down.claim("one").give_up(keep_logs=True)
    (state / "one").mkdir(exist_ok=True)
    (state / "one" / "lock").touch()
    until_ended, claims = up_down._until_ended, []

    def then_somebody_else(handle: labs.Handle, within_s: float) -> None:
        until_ended(handle, within_s)
        if not claims:
            claims.append(up_down.claim("one"))

    monkeypatch.setattr(up_down, "_until_ended", then_somebody_else)
    up_down.down(labs.Handle("one"))
    assert labs.Handle("one").alive() and (state / "one" / "lock").exists()
    claims[0].give_up()


def test_looking_does_not_disturb_a_claim(state: Path) -> None:
    """Two who look at once do not take each other for a lab."""
    claimed = up_down.claim("one")
    claimed.give_up(keep_logs=True)
    first, second = labs.Handle("one"), labs.Handle("one")
    assert not first.alive() and not second.alive()
    up_down.claim("one")


@pytest.mark.parametrize("name", ["", "a/b", "..", "-x", "a" * 42, "a b", "é"])
def test_bad_names(name: str) -> None:
    with pytest.raises(LabError, match="is no name for a lab"):
        up_down.claim(name)


def test_a_folder_that_cannot_be_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(blocked))
    with pytest.raises(LabError, match="cannot be written") as caught:
        up_down.claim("one")
    assert "XDG_STATE_HOME" in caught.value.hint


def test_a_recycled_pid_is_not_taken_for_a_lab(state: Path) -> None:
    claimed = up_down.claim("one")
    # Our own process has the lock open: this is what init looks like.
    (state / "one" / "init.pid").write_text(str(os.getpid()))
    assert up_down._init_pid(claimed.handle) == os.getpid()
    # Somebody else's process has not, whatever the file says.
    (state / "one" / "init.pid").write_text("1")
    assert up_down._init_pid(claimed.handle) is None


def test_no_lab_says_what_to_do() -> None:
    with pytest.raises(LabError, match="no lab is up") as caught:
        labs.find(None)
    assert caught.value.hint == "bring one up: hoplab up web"
    up_down.claim("other")
    with pytest.raises(LabError, match="no lab called web is up") as caught:
        labs.find("web")
    assert "other" in caught.value.hint


def test_an_error_survives_the_socket() -> None:
    error = LabError("what", "next", Exit.TAKEN, "detail")
    again = LabError.from_dict(error.as_dict())
    assert (again.message, again.hint, again.code, again.detail) == (
        "what", "next", Exit.TAKEN, "detail",
    )  # fmt: skip


def test_a_death_in_a_sandbox_that_stands_is_not_blamed_on_a_setting(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A profile may allow to hoplab what AppArmor forbids in general."""
    sleeper = subprocess.Popen(["sleep", "100"])
    setting = refusals.Refusal("AppArmor forbids it", "sudo sysctl")

    def die(*_: object) -> None:
        raise LabError("ovs-vswitchd ended", "see its log", Exit.LAB_DIED)

    monkeypatch.setattr(refusals, "find", lambda tun=True: iter([setting]))
    monkeypatch.setattr(up_down, "_start", lambda *_: SimpleNamespace(pid=sleeper.pid))
    monkeypatch.setattr(up_down, "_await_ready", die)
    spec = Spec("one", state / "one", PROJECT / "topologies" / "cable.py")
    with pytest.raises(LabError, match="ovs-vswitchd ended") as caught:
        up_down.up(spec, lambda step: None)
    assert caught.value.code == Exit.LAB_DIED
    sleeper.wait(timeout=30)


def test_a_lab_that_dies_while_it_is_asked_is_told_of(state: Path) -> None:
    (state / "one").mkdir(parents=True)  # what it left to read
    for order in ("closed first", "asked first"):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours:
            if order == "closed first":
                theirs.close()
            labs.send(ours, {"op": "status"})
            theirs.close()
            with pytest.raises(LabError, match="the lab one died while it was asked"):
                labs.receive(ours, "one")


def test_only_a_reader_of_ours_that_is_gone_ends_a_command_quietly(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(arguments: object) -> int:
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr(verbs_lab, "ls", broken)
    monkeypatch.setattr(main, "_nobody_reads", lambda: False)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    assert main.main(["ls"]) == Exit.FAILED
    assert "this should not happen: BrokenPipeError" in capsys.readouterr().err


@pytest.mark.parametrize("size", [10, LARGEST_MESSAGE - 20, LARGEST_MESSAGE + 1, 1_234_567])
def test_an_answer_of_any_length_arrives(size: int) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    answer = {"ok": "x" * size}
    with ours, theirs:
        sender = threading.Thread(target=server._send, args=(theirs, answer))
        sender.start()
        assert labs.receive(ours, "lab") == answer
        sender.join()


def test_a_lab_that_dies_in_the_middle_of_an_answer_is_told(state: Path) -> None:
    (state / "lab").mkdir(parents=True)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        with theirs:
            theirs.send(b'{"bytes": 500000}')
            theirs.send(b"half")
        with pytest.raises(LabError, match="died while it was asked"):
            labs.receive(ours, "lab")


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.EMFILE, "no more open files"), (errno.EAGAIN, "no more processes")],
)
def test_scarcity_is_not_taken_for_a_folder_that_cannot_be_written(
    monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    def start(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(up_down, "_start", start)
    with pytest.raises(LabError, match=words) as caught:
        up_down.up(Spec("scarce", Path(), Path("x.py")), lambda step: None)
    assert caught.value.code == Exit.REFUSED


def test_a_lab_that_was_ended_did_not_die(state: Path) -> None:
    (state / "lab").mkdir(parents=True)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    later = threading.Timer(0.1, (state / "lab").rmdir)
    later.start()
    with ours:
        theirs.close()
        with pytest.raises(LabError, match="the lab lab was ended"):
            labs.receive(ours, "lab")
    later.join()


def test_a_lab_that_comes_up_is_not_missing(state: Path) -> None:
    claimed = up_down.claim("one")
    for ask in (claimed.handle.connect, claimed.handle.state):
        with pytest.raises(LabError, match="the lab one is coming up or going down"):
            ask()
    claimed.give_up()


def test_a_user_without_an_account_and_without_HOME(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that is run as some number."""

    def nobody(uid: int) -> None:
        raise KeyError(uid)

    monkeypatch.delenv("HOME")
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    with pytest.raises(LabError, match="HOME is not set"):
        labs.state_folder()
