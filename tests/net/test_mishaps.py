# SPDX-License-Identifier: Apache-2.0
"""Commands under odd circumstances: streams that are closed, signals at bad moments, folders that
are gone, words that are no text. Nothing of the user's is lost, and what is said is true."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import shlex
import signal
import subprocess
import time
from typing import Any

import pytest

from hoplab import wait
from tests.conftest import World

pytestmark = pytest.mark.net

SLOW = "import time\ntime.sleep(1000)\n"


def shell(world: World, line: str, *before: str) -> tuple[int, str, str]:
    """A line for bash, in which `hoplab` is the command as this world has it; exit code, stdout and
    stderr. The latter never has a traceback or an excuse."""
    command = " ".join(map(shlex.quote, world.argv([])))
    result = subprocess.run(
        [*before, "bash", "-c", f'hoplab() {{ {command} "$@"; }}; {line}'],
        env=world.environment(),
        cwd=world.home,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=120,
    )
    err = result.stderr.decode(errors="replace")
    for word in ("Traceback", "should not", "Exception ignored"):
        assert word not in err, f"{line}\n{err}"
    return result.returncode, result.stdout.decode(errors="replace"), err


def labs(world: World) -> list[str]:
    return [lab["name"] for lab in world("ls", "--json").json]


# ------------------------------------------------------------------------ what a user should know

TWICE = """
from mininet.topo import Topo


class Twice(Topo):
    def build(self):
        self.addSwitch("s1"), self.addSwitch("s2"), self.addSwitch("s3")
        self.addSwitch("s4", role="router")
        self.addLink("s1", "s2"), self.addLink("s2", "s4"), self.addLink("s3", "s4")
        for name, switch in (("a", "s1"), ("b", "s2"), ("elsewhere", "s3")):
            self.addLink(self.addHost(name, ip="10.0.0.1/24"), switch)
"""


def test_an_address_that_two_hosts_of_one_link_have_is_told(hoplab: World) -> None:
    (hoplab.home / "twice.py").write_text(TWICE)
    result = hoplab("up", "twice.py", "--controller", "hub")
    assert (
        "note: a, b are on one link and have the same address, 10.0.0.1" in result.err + result.out
    )
    assert "elsewhere" not in result.err
    hoplab("down")
    result = hoplab("up", "web_openflow")
    assert "the same address" not in result.err + result.out


# ---------------------------------------------------------------------------- nothing is lost


def test_a_mistyped_run_leaves_the_file_alone(hoplab: World) -> None:
    kept = hoplab.home / "precious.txt"
    kept.write_text("precious\n")
    hoplab("run", "--capture", "precious.txt", "--", "no-such-program", code=4)
    assert kept.read_text() == "precious\n"
    (hoplab.home / "script").write_text("echo no first line\n")
    (hoplab.home / "script").chmod(0o755)
    result = hoplab("run", "--capture", "precious.txt", "--", "./script", code=4)
    assert kept.read_text() == "precious\n" and "#!/bin/sh" in result.err
    hoplab("run", "--capture", "new.pcapng", "--", "no-such-program", code=4)
    assert not (hoplab.home / "new.pcapng").exists()


def test_a_mistyped_capture_leaves_the_file_alone(hoplab: World) -> None:
    kept = hoplab.home / "precious.txt"
    kept.write_text("precious\n")
    hoplab("up", "cable")
    hoplab("capture", "s9", "-w", "precious.txt", code=4)
    hoplab("capture", "--filter", "no such thing", "-w", "precious.txt", code=2)
    assert kept.read_text() == "precious\n"
    hoplab("capture", "s9", "-w", "new.pcapng", code=4)
    assert not (hoplab.home / "new.pcapng").exists()
    kept.write_text("longer than a capture of nothing\n" * 1000)
    hoplab("capture", "--duration", "0.1", "-w", "precious.txt")
    assert kept.read_bytes().startswith(b"\n\r\r\n") and b"longer" not in kept.read_bytes()


def test_what_was_in_stdout_before_stays(hoplab: World) -> None:
    kept = hoplab.home / "all.pcapng"
    kept.write_text("precious\n")
    hoplab("up", "cable")
    shell(hoplab, "hoplab capture --duration 0.1 -w - >> all.pcapng")
    assert kept.read_bytes().startswith(b"precious\n\n\r\r\n")
    shell(hoplab, "(echo first; hoplab capture --duration 0.1 -w -) > all.pcapng")
    assert kept.read_bytes().startswith(b"first\n\n\r\r\n")


@pytest.mark.parametrize("reader", ["| head -1", "| head -c 0", "> /dev/full"])
def test_a_reader_who_has_seen_enough_does_not_end_the_lab(hoplab: World, reader: str) -> None:
    shell(hoplab, f"hoplab trace --topology cable h1 -- ping -c 1 192.168.1.2 {reader}")
    assert labs(hoplab) == ["lab"]


def test_the_end_of_the_terminal_is_as_good_as_ctrl_c(hoplab: World) -> None:
    process = hoplab.popen("trace", "--down", "--topology", "cable", "h1", "--", "sleep", "100")
    wait.until(lambda: list(hoplab.state.glob("**/run-*")), "a run", within_s=30)
    process.send_signal(signal.SIGHUP)
    assert process.wait(timeout=30) == 130
    assert labs(hoplab) == []
    coming = hoplab.popen("up", "cable")
    wait.until(lambda: list(hoplab.state.glob("**/lock")), "a name to be taken", within_s=30)
    coming.send_signal(signal.SIGHUP)
    coming.wait(timeout=30)
    assert labs(hoplab) == [] and not list(hoplab.state.glob("hoplab/labs/*"))


def test_nohup_is_heeded(hoplab: World) -> None:
    code, out, _ = shell(hoplab, "trap '' HUP; (sleep 0.3; kill -HUP $BASHPID; kill -HUP $$) & "
                                 "hoplab up cable; wait")  # fmt: skip
    assert labs(hoplab) == ["lab"], (code, out)


@pytest.mark.parametrize("words", ["run --", "exec h1 --"])
def test_nohup_is_heeded_while_a_command_runs(hoplab: World, words: str) -> None:
    hoplab("up", "cable")
    line = "until [ -e go ]; do sleep 0.05; done; echo there"
    process = subprocess.Popen(
        ["bash", "-c", "trap '' HUP; exec \"$@\"", "-",
         *hoplab.argv([*words.split(), "sh", "-c", line])],
        env=hoplab.environment(), cwd=hoplab.home, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with pytest.raises(subprocess.TimeoutExpired):
        process.communicate(timeout=1)  # it has begun, or is about to
    process.send_signal(signal.SIGHUP)
    (hoplab.home / "go").touch()
    assert process.communicate(timeout=60)[0] == "there\n" and process.returncode == 0


def test_a_lab_holds_nothing_of_whoever_brought_it_up(hoplab: World) -> None:
    """A lock, a pipe whose reader waits for its end."""
    code, out, err = shell(hoplab, "(flock 9; hoplab up switch) 9>lock > /dev/null; "
                                   "flock --timeout 20 lock echo free")  # fmt: skip
    assert out == "free\n", (code, err)
    assert labs(hoplab) == ["lab"]


def test_what_a_shell_runs_ends_with_its_asker(hoplab: World) -> None:
    hoplab("up", "cable")
    master, slave = pty.openpty()
    stubborn = ["shell", "h1", "--", "sh", "-c", "trap '' HUP; echo begun; sleep 7654"]
    process = hoplab.popen(*stubborn, stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    seen = b""
    while b"begun" not in seen:
        seen += os.read(master, 1024)
    process.kill()
    process.wait()
    wait.until(
        lambda: hoplab("exec", "h1", "--", "pgrep", "-f", "sleep 765[4]", code=None).out == "",
        "the command to end", within_s=30,
    )  # fmt: skip
    os.close(master)


def test_a_commands_terminal_is_the_screen_also_where_stdout_is_a_file(hoplab: World) -> None:
    pid, master = pty.fork()
    if pid == 0:
        file = os.open(hoplab.home / "out", os.O_WRONLY | os.O_CREAT)
        os.dup2(file, 1)
        os.chdir(hoplab.home)
        argv = hoplab.argv(["run", "--", "sh", "-c", "echo in the file; echo on the screen >&2"])
        os.execve(argv[0], argv, hoplab.environment())
    seen = b""
    with contextlib.suppress(OSError):  # EIO: the end
        while data := os.read(master, 1024):
            seen += data
    os.waitpid(pid, 0)
    os.close(master)
    assert b"on the screen" in seen and b"in the file" not in seen
    assert (hoplab.home / "out").read_text() == "in the file\n"


def test_a_command_that_does_not_end_has_a_story(hoplab: World) -> None:
    hoplab("up", "cable")
    words = ("trace", "--timeout", "1", "h1", "--", "ping", "192.168.1.2")
    result = hoplab(*words, code=1)
    assert "echo request" in result.out and "has not ended after 1 s" in result.err
    data = hoplab(*words[:1], "--json", *words[1:], code=1).json
    assert data["timed_out"] and data["exit_code"] == 124 and "bytes from" in data["output"]


def test_a_fetch_that_gives_up_has_a_story(hoplab: World) -> None:
    """It has its own say before its time is over."""
    hoplab("up", "web")
    hoplab("exec", "r1", "--", "ip", "route", "replace", "blackhole", "10.80.0.0/24")
    result = hoplab("visit", "--timeout", "2", code=1)
    assert "✗" in result.out and "The client program said:" in " ".join(result.out.split())
    assert "has not ended" not in result.err


def test_a_swap_that_nobody_waits_for_is_none(hoplab: World) -> None:
    hoplab("up", "switch")
    (hoplab.home / "slow.py").write_text(SLOW)
    process = hoplab.popen("swap", "./slow.py")
    loading = "slow.py"
    wait.until(
        lambda: hoplab("exec", "h1", "--", "pgrep", "-f", loading, code=None).code == 0,
        "the new controller to begin",
        within_s=30,
    )
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=10) == 130
    began = time.monotonic()
    hoplab("swap", "hub")  # the other one holds nothing up
    assert time.monotonic() - began < 15 * wait.patience()
    assert hoplab("ls", "--json").json[0]["controller"] == "hub"
    assert hoplab("exec", "h1", "--", "pgrep", "-f", loading, code=None).code == 1


def test_open_ends_with_its_lab(hoplab: World) -> None:
    hoplab("up", "web")
    process = hoplab.popen("open", "--no-browser", "--save", "kept")
    assert process.stdout is not None
    while "Ctrl-C" not in process.stdout.readline():
        pass
    hoplab("down")
    _, err = process.communicate(timeout=30)
    assert process.returncode == 7 and "the lab lab ended" in err
    assert not (hoplab.home / "kept").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="a small disk is mounted: that needs root")
def test_a_disk_that_is_full_where_the_run_is_to_be_kept(hoplab: World) -> None:
    hoplab("up", "web")
    mounted = "mkdir -p full && mount -t tmpfs -o size=16k tmpfs full; "
    private = ("unshare", "-m", "--propagation", "private")
    code, _, err = shell(hoplab, f"{mounted} hoplab visit --save full/run; ls full >&2", *private)
    assert "full/run cannot be written: No space left on device" in err
    assert "choose another place with --save" in err and "capture.pcapng" not in err
    line = f"{mounted} head -c 16384 /dev/zero > full/z; hoplab visit --json > full/o"
    code, _, err = shell(hoplab, line, *private)
    assert code == 8 and "No space left on device" in err
    line = f"{mounted} head -c 16384 /dev/zero > full/z; hoplab capture --duration 1 -w full/c"
    code, _, err = shell(hoplab, line, *private)
    assert code == 8 and "what is captured cannot be written" in err and "-w" in err
    line = f"{mounted} head -c 16384 /dev/zero > full/z; hoplab run --capture full/c -- true"
    code, _, err = shell(hoplab, line, *private)
    assert code == 8 and "--capture" in err
    assert labs(hoplab) == ["lab"]


# ---------------------------------------------------------------------------- streams


@pytest.mark.parametrize(
    "closed",
    [
        *(pytest.param(each, marks=pytest.mark.long) for each in ("<&-", ">&-", "2>&-")),
        "<&- >&- 2>&-",
    ],
)
def test_streams_that_are_closed(hoplab: World, closed: str) -> None:
    code, _, _ = shell(hoplab, f"hoplab up switch {closed}")
    assert code == 0 and labs(hoplab) == ["lab"]
    for words in ("ls", "pingall", "table", "exec h1 -- true", "swap hub", "doctor",
                  "run -- true"):  # fmt: skip
        code, _, _ = shell(hoplab, f"hoplab {words} {closed}")
        assert code == 0, words


@pytest.mark.parametrize("words", ["ls --json", "ls", "--help", "up --help", "path --list"])
def test_an_output_that_takes_nothing(hoplab: World, words: str) -> None:
    code, _, err = shell(hoplab, f"hoplab {words} > /dev/full")
    assert (code, "No space left" in err) == (8, True) or "help" in words
    shell(hoplab, f"hoplab {words} | head -c 0")


# ---------------------------------------------------------------------------- words and numbers


@pytest.mark.parametrize("number", ["nan", "inf", "1e20", "-1", "0", "soon"])
def test_a_time_that_is_none(hoplab: World, number: str) -> None:
    for words in (["visit", f"--timeout={number}"], ["capture", f"--duration={number}"]):
        result = hoplab(*words, code=2)
        assert f"{number} is no time: give seconds" in result.err
    assert labs(hoplab) == []


def test_words_that_are_no_text(hoplab: World) -> None:
    hoplab("up", "cable")
    code, _, _ = shell(hoplab, "hoplab trace --json h1 -- ping -c 1 192.168.1.2 $'-p\\xff'")
    assert code in (0, 1)
    code, _, _ = shell(hoplab, "hoplab trace h1 -- echo $'a\\xffb'")
    assert code == 0
    code, _, err = shell(hoplab, "hoplab visit http://$'a\\xffb'/")
    assert code == 2 and "is no URL" in err
    code, _, err = shell(hoplab, "hoplab capture --filter $'\\xff'")
    assert code == 2 and "the filter" in err
    for columns in ("abc", "-3"):
        hoplab.env["COLUMNS"] = columns
        hoplab("trace", "h1", "--", "true")


def test_a_folder_that_is_gone(hoplab: World) -> None:
    hoplab("up", "cable")
    inside = "mkdir gone; cd gone; rmdir ../gone; "
    for words in ("exec h1 -- true", "trace h1 -- true", "run -- true", "up cable --name b",
                  "up ./x.py", "swap ./x.py"):  # fmt: skip
        code, _, err = shell(hoplab, f"{inside} hoplab {words}")
        assert code == 4 and ("not there any more" in err or "cannot be read" in err), (words, err)
    code, out, _ = shell(hoplab, f"{inside} hoplab ls && hoplab down")
    assert code == 0 and "lab lab is gone" in out
    code, out, _ = shell(hoplab, f"{inside} hoplab doctor")  # the machine is not to blame
    assert code == hoplab("doctor", code=None).code and "as root" not in out, out


def test_a_folder_that_a_user_may_not_enter(make_world: Any) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can close a folder to the user that this test is")
    world = make_world(as_user=True)
    closed = world.home / "closed"
    closed.mkdir()
    (closed / "x.py").write_text("")
    closed.chmod(0o700)
    world("up", "cable")
    assert world("exec", "h1", "--", "true", cwd=closed).code == 0
    ended = world("up", str(closed / "x.py"), "--name", "b", code=4)
    assert "cannot be read: Permission denied" in ended.err


def test_a_state_folder_in_one_that_is_closed(make_world: Any) -> None:
    if os.geteuid() != 0:
        pytest.skip("to be another user needs root")
    user = make_world(as_user=True)
    closed = user.home.parent / f"{user.home.name}-closed"
    closed.mkdir(mode=0o700)
    try:
        user.env = {"XDG_STATE_HOME": str(closed / "state")}
        checked = user("doctor", code=None)
        assert "cannot be written" in checked.out + checked.err
        assert "should not happen" not in checked.out + checked.err
        for words in (("report", str(closed / "run")), ("run", "--", "true"), ("up", "cable")):
            assert "should not happen" not in user(*words, code=None).err
    finally:
        closed.rmdir()


def test_a_folder_whose_name_is_no_text(hoplab: World) -> None:
    odd = os.fsencode(hoplab.home) + b"/caf\xe9"
    os.mkdir(odd)
    code, out, err = shell(hoplab, r"cd $'caf\xe9' && hoplab run -- echo there")
    assert (code, out) == (0, "there\n"), err


def test_a_lab_that_cannot_be_named_so(hoplab: World) -> None:
    for verb in (["down"], ["exec"], ["pingall"]):
        result = hoplab(
            *verb, "--name", "../x", *(["h1", "--", "true"] * (verb == ["exec"])), code=2
        )
        assert "'../x' is no name for a lab" in result.err


# ---------------------------------------------------------------------------- files of the user's


@pytest.mark.parametrize("name", ["5", "None"])
def test_names_that_are_no_text(hoplab: World, name: str) -> None:
    (hoplab.home / "odd.py").write_text(
        "from mininet.topo import Topo\n"
        f"class Odd(Topo):\n    def build(self):\n        self.addHost({name})\n"
        "topos = {'odd': Odd}\n"
    )
    result = hoplab("up", "odd.py", code=3)
    assert f"{name} is no name for a node" in result.err


def test_an_error_of_any_length_arrives(hoplab: World) -> None:
    (hoplab.home / "long.py").write_text("raise ValueError('y' * 300_000)\n")
    result = hoplab("up", "long.py", code=3)
    assert "ValueError: yyy" in result.err and len(result.err) < 10_000
    (hoplab.home / "loud.py").write_text("import sys\nprint('z' * 5_000_000)\nsys.exit(0)\n")
    result = hoplab("up", "switch", "--controller", "./loud.py", code=3)
    assert "loud.py ended while starting" in result.err and len(result.err) < 30_000


def test_an_app_that_does_nothing_yet_is_told_so(hoplab: World) -> None:
    (hoplab.home / "empty.py").write_text(
        "from ryu.base import app_manager\n"
        "class Empty(app_manager.RyuApp):\n    OFP_VERSIONS = [4]\n"
    )
    result = hoplab("up", "switch", "--controller", "./empty.py", code=3)
    assert "no class in it handles an OpenFlow event" in result.err


def test_a_run_whose_url_is_none(hoplab: World) -> None:
    hoplab("trace", "--topology", "cable", "--down", "--save", "run", "h1", "--", "true")
    trace = hoplab.home / "run" / "trace.json"
    text = re.sub(r'"url": "[^"]*"', '"url": "http://["', trace.read_text())
    trace.write_text(text if "http://[" in text else text.replace("{", '{"url": "http://[",', 1))
    result = hoplab("report", "run", "-o", "-", code=None)
    assert "should not happen" not in result.err and "Traceback" not in result.err
