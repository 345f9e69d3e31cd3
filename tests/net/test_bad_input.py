# SPDX-License-Identifier: Apache-2.0
"""Bad input: a clear sentence with a next step, the right exit code, and nothing left behind.

What users read is compared with tests/golden/errors/NAME.txt, with the paths of this machine taken
out; `HOPLAB_UPDATE_GOLDEN=1` writes the files anew, to be read before they are kept.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import subprocess
import sysconfig
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hoplab import wait
from hoplab.openvswitch import daemons
from tests.conftest import PROJECT, Done, World, need, without_steps

pytestmark = pytest.mark.net

GOLDEN = PROJECT / "tests" / "golden" / "errors"


# -------------------------------------------------------------------------- nothing left behind


def processes_of(world: World) -> dict[int, str]:
    """The processes that belong to a world: its folder is in their environment, command line or
    working directory. Every process of a lab inherits the environment of the command line."""
    marks = (os.fsencode(world.home), *(os.fsencode(v) for v in world.env.values()))
    by_pid = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            command = (entry / "cmdline").read_bytes()
            places = [command]
            with contextlib.suppress(OSError):  # a folder's name need not be UTF-8
                places.append(os.fsencode(os.readlink(entry / "cwd")))
            with contextlib.suppress(OSError):
                places.append((entry / "environ").read_bytes())
            if command and any(mark in place for mark in marks for place in places):
                by_pid[int(entry.name)] = command.replace(b"\0", b" ").decode(errors="replace")
    return by_pid


def interfaces() -> set[str]:
    """The interfaces of the machine's own network namespace."""
    return set(os.listdir("/sys/class/net"))


def mounts(world: World) -> list[str]:
    """The mounts of the machine's own mount namespace that have to do with a world or a lab."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [line for line in lines if str(world.home) in line or "/run/hoplab" in line]


@contextlib.contextmanager
def nothing_left(world: World, *, logs: bool = False) -> Iterator[None]:
    """What is done inside leaves no lab, process, interface, mount or folder; `logs`: those of a
    lab that died may stay to be read."""
    before = interfaces()
    yield
    # The kernel takes a dead lab down when it finds the time.
    with contextlib.suppress(Exception):
        wait.until(lambda: not processes_of(world), "the processes to end", within_s=10)
    assert processes_of(world) == {}
    assert world("ls", "--json").json == []
    assert interfaces() - before == set()
    assert mounts(world) == []
    labs = world.state / "hoplab" / "labs"
    left = [path for path in labs.rglob("*") if path.is_file()] if labs.is_dir() else []
    assert [path for path in left if not (logs and path.parent.name == "logs")] == []


# -------------------------------------------------------------------------------- golden texts


def normal(text: str, world: World) -> str:
    """What was printed, without what differs between machines and Python versions."""
    # A slow machine shows its progress.
    text = re.sub(r"^… .* \([\d.]+ s\)\n", "", text, flags=re.M)
    text = text.replace(str(world.home), "HOME")
    for path in (PROJECT, world.project):  # quoted where it has a space
        folder = path / "controllers"
        text = text.replace(f"PYTHONPATH={shlex.quote(str(folder))} ", f"PYTHONPATH={folder} ")
    text = text.replace(sysconfig.get_paths()["purelib"], "PACKAGES")
    text = text.replace(str(PROJECT), "PROJECT").replace(str(world.project), "PROJECT")
    return re.sub(r"^ {4}\| *[\^~]+ *\n", "", text, flags=re.M)  # marks under a traceback's line


def golden(name: str, text: str) -> None:
    """Compare with, or under HOPLAB_UPDATE_GOLDEN=1 write, the golden file of this name."""
    file = GOLDEN / f"{name}.txt"
    if os.environ.get("HOPLAB_UPDATE_GOLDEN"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    assert text == file.read_text(), f"{file} says otherwise; HOPLAB_UPDATE_GOLDEN=1 rewrites it"


def check(name: str, ended: Done, world: World) -> None:
    """The error is a sentence of ours with a next step, is as the golden file says, and nothing
    is on stdout."""
    assert ended.out == ""
    lines = normal(ended.err, world).splitlines()
    assert lines[0].startswith("hoplab: ") and lines[-1].startswith("  Next: "), ended.err
    assert "Traceback" not in ended.err
    golden(name, f"exit code {ended.code}\n{normal(ended.err, world)}")


# ------------------------------------------------------------------------------ topology files


def topo(*lines: str) -> str:
    """A Topo with these lines in its build()."""
    body = "\n".join(f"        {line}" for line in lines)
    return f"from mininet.topo import Topo\n\nclass MyTopo(Topo):\n    def build(self):\n{body}\n"


TOPOLOGIES = {
    "does_not_parse": "from mininet.topo import Topo\n\nclass MyTopo(Topo)\n    pass\n",
    "is_empty": "",
    "has_no_topo": "from mininet.node import Host\n\nclass MyHost(Host):\n    pass\n",
    "entry_is_no_topo": "topos = {'one': dict}\n",
    "imports_what_is_not_there": "import no_such_module\n",
    "exits": "import sys\nsys.exit('no')\n",
    "needs_a_parameter": (
        "from mininet.topo import Topo\nclass One(Topo):\n"
        "    def __init__(self, size, *, wide=False, **more):\n        super().__init__(**more)\n"
        "    def build(self, name=''):\n        pass\n"
    ),
    "raises_in_build": topo("self.addHost('h1')", "1 / 0"),
    "name_too_long": topo("self.addLink(self.addHost('the-mail-server'), self.addHost('h2'))"),
    "name_with_a_space": topo("self.addLink(self.addHost('h 1'), self.addHost('h2'))"),
    "same_port_twice": topo(
        "s1 = self.addSwitch('s1')",
        "self.addLink(self.addHost('h1'), s1, port2=1)",
        "self.addLink(self.addHost('h2'), s1, port2=1)",
    ),
    "link_to_itself": topo("self.addLink(self.addHost('h1'), self.addHost('h1'))"),
    "link_to_an_unknown_node": topo("self.addLink(self.addHost('h1'), 's1')"),
    "no_ip_address": topo(
        "self.addLink(self.addHost('h1', ip='10.0.0.300/24'), self.addHost('h2'))"
    ),
    "no_mac_address": topo("self.addLink(self.addHost('h1', mac='zz:00'), self.addHost('h2'))"),
    "no_gateway": topo(
        "h1 = self.addHost('h1', ip='10.0.0.1/24', defaultRoute='via the-router')",
        "self.addLink(h1, self.addHost('h2'))",
    ),
    "gateway_out_of_reach": topo(
        "h1 = self.addHost('h1', ip='10.0.0.1/24', defaultRoute='via 10.9.9.9')",
        "self.addLink(h1, self.addHost('h2'))",
    ),
    "switch_without_number": topo("self.addLink(self.addHost('h1'), self.addSwitch('core'))"),
    "switch_with_a_bad_number": topo(
        "self.addLink(self.addHost('h1'), self.addSwitch('core', dpid='core'))"
    ),
    "two_switches_of_one_number": topo("self.addLink(self.addSwitch('a1'), self.addSwitch('b1'))"),
    "host_class_raises": """
        from mininet.node import Host
        from mininet.topo import Topo

        class MyHost(Host):
            def config(self, colour, **params):
                super().config(**params)
                if colour not in ('red', 'blue'):
                    raise ValueError(f'{colour} is no colour of a host')

        class MyTopo(Topo):
            def build(self):
                self.addLink(self.addHost('h1', cls=MyHost, colour='green'), self.addHost('h2'))
    """,
}


@pytest.mark.parametrize("name", TOPOLOGIES)
def test_a_topology_file(hoplab: World, name: str) -> None:
    (hoplab.home / "mine.py").write_text(textwrap.dedent(TOPOLOGIES[name]).lstrip("\n"))
    with nothing_left(hoplab):
        check(f"topology_{name}", hoplab("up", "./mine.py", code=3), hoplab)


def test_the_proposed_length_of_a_name_is_right(hoplab: World) -> None:
    (hoplab.home / "mine.py").write_text(TOPOLOGIES["name_too_long"])
    limit = re.search(r"to (\d+) characters", hoplab("up", "./mine.py", code=3).err)
    assert limit
    good = TOPOLOGIES["name_too_long"].replace("the-mail-server", "x" * int(limit[1]))
    (hoplab.home / "mine.py").write_text(good)
    hoplab("up", "./mine.py")


PARAMETERS = {
    "unknown": "switch,m=4",
    "of_the_wrong_kind": "switch,n=two",
    "out_of_range": "switch,n=1",
    "too_many": "switch,1,2,3",
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters(hoplab: World, name: str) -> None:
    with nothing_left(hoplab):
        check(f"parameter_{name}", hoplab("up", PARAMETERS[name], code=3), hoplab)


# ------------------------------------------------------------------------------ controller files


APP = "from ryu.base import app_manager\n\nclass MyApp(app_manager.RyuApp):\n"
CONTROLLERS = {
    "does_not_parse": APP + "    def f(:\n",
    "raises_when_loaded": "import os\n\nboom = os.no_such_thing\n",
    "raises_when_made": APP + "    def __init__(self, *args, **kw):\n"
    "        super().__init__(*args, **kw)\n        self.colour\n",
    "has_no_app": "x = 1\n",
}


@pytest.mark.parametrize("name", CONTROLLERS)
def test_a_controller_file(hoplab: World, name: str) -> None:
    (hoplab.home / "mine.py").write_text(CONTROLLERS[name])
    with nothing_left(hoplab):
        ended = hoplab("up", "switch", "--controller", "./mine.py", code=3)
    # The tail of the controller's log goes through Ryu's own lines; its last line is ours.
    lines = ended.err.splitlines(keepends=True)
    details = [line for line in lines if line.startswith("    | ")]
    assert details
    kept = [line for line in lines if line not in details[:-1]]
    check(f"controller_{name}", Done(ended.code, ended.out, "".join(kept)), hoplab)


def test_a_bad_controller_for_a_visit_takes_the_lab_down_again(hoplab: World) -> None:
    (hoplab.home / "mine.py").write_text(CONTROLLERS["raises_when_loaded"])
    with nothing_left(hoplab):
        hoplab("visit", "--controller", "./mine.py", code=3)


# ---------------------------------------------------------------- names, and the command line

ALONE = {
    "unknown_topology": (["up", "swich"], 4),
    "unknown_topology_file": (["up", "./gone.py"], 4),
    "unknown_controller": (["up", "switch", "--controller", "learning"], 4),
    "unknown_controller_file": (["up", "switch", "--controller", "./gone.py"], 4),
    "bad_lab_name": (["up", "cable", "--name", "a b"], 2),
    "lab_name_is_a_path": (["up", "cable", "--name", "../up"], 2),
    "lab_name_is_too_long": (["up", "cable", "--name", "x" * 42], 2),
    "no_lab_to_end": (["down"], 4),
    "no_lab_to_swap_in": (["swap", "hub"], 4),
    "no_lab_of_this_name": (["exec", "--name", "other", "h1", "--", "true"], 4),
    "open_ftp": (["open", "ftp://www.itheima.com/"], 2),
    "visit_no_host": (["visit", "http:///page"], 2),
    "visit_no_port": (["visit", "http://www.itheima.com:web/"], 2),
    "argument_too_many": (["down", "lab"], 2),
    "path_to_nothing": (["path", "learning_swich"], 4),
    "visit_ftp": (["visit", "ftp://www.itheima.com/"], 2),
    "no_command_to_run": (["exec", "h1", "--"], 2),
    "no_command_to_trace": (["trace", "h1"], 2),
    "nothing_to_visit": (["visit", "--topology", "cable"], 2),
}


@pytest.mark.parametrize("name", ALONE)
def test_without_a_lab(hoplab: World, name: str) -> None:
    arguments, code = ALONE[name]
    with nothing_left(hoplab):
        check(name, hoplab(*arguments, code=code), hoplab)


@pytest.mark.parametrize("arguments", [[], ["frobnicate"], ["up"], ["up", "web", "--colour"]])
def test_a_command_line_that_cannot_be_understood(hoplab: World, arguments: list[str]) -> None:
    with nothing_left(hoplab):
        ended = hoplab(*arguments, code=2)
    usage = ended.err.startswith("usage: hoplab") and "error: " in ended.err
    answered = ("does not know what to do with" in ended.err) or ("hoplab has no verb" in ended.err)
    assert (usage or answered) and ended.out == ""


def test_with_json_an_error_is_data_too(hoplab: World) -> None:
    error = hoplab("up", "swich", "--json", code=4).json
    assert error["code"] == 4
    assert "swich" in error["error"] and "did you mean switch?" in error["hint"]


def test_with_a_lab_that_is_up(hoplab: World) -> None:
    """All in one lab, which must be as good as before in the end."""
    cases = {
        "lab_name_taken": (["up", "switch"], 5),
        "unknown_host": (["exec", "h9", "--", "true"], 4),
        "unknown_host_to_trace": (["trace", "h9", "--", "true"], 4),
        "unknown_host_to_ping": (["pingall", "h1", "h9"], 4),
        "unknown_command": (["exec", "h1", "--", "no-such-program"], 4),
        "command_that_is_no_program": (["exec", "h1", "--", "./text"], 4),
        "script_without_a_first_line": (["exec", "h1", "--", "./script"], 4),
        "other_options_than_are_up": (["visit", "--ipv6", "--platform", "os-ken"], 5),
        "unknown_lab": (["down", "--name", "other"], 4),
        "no_switch_to_swap": (["swap", "hub"], 3),
        "other_topology_than_is_up": (["visit", "--topology", "web"], 5),
        "save_into_a_full_folder": (["trace", "--save", ".", "h1", "--", "true"], 5),
        "save_into_a_file": (["trace", "--save", "text", "h1", "--", "true"], 5),
    }
    with nothing_left(hoplab):
        (hoplab.home / "text").write_text("no program\n")
        (hoplab.home / "script").write_text("echo no first line\n")
        (hoplab.home / "script").chmod(0o755)
        hoplab("up", "cable")
        for name, (arguments, code) in cases.items():
            check(name, hoplab(*arguments, code=code), hoplab)
        assert hoplab("ls", "--json").json[0]["events"] == []
        assert hoplab("pingall", "--json").json["lost"] == []
        hoplab("down")


def test_several_labs_and_no_name(hoplab: World) -> None:
    with nothing_left(hoplab):
        hoplab("up", "cable", "--name", "one")
        hoplab("up", "cable", "--name", "two")
        check("which_lab", hoplab("exec", "h1", "--", "true", code=4), hoplab)
        hoplab("down", "--all")


def test_a_save_folder_of_a_run_that_fails_is_not_left_empty(hoplab: World) -> None:
    hoplab("visit", "--topology", "cable", "--save", "kept", code=2)
    assert not (hoplab.home / "kept").exists()


# ------------------------------------------------------------------------ what the machine refuses


def test_a_datapath_that_is_not_there(hoplab: World) -> None:
    if daemons.kernel_datapath():
        pytest.skip("the kernel's Open vSwitch datapath is loaded")
    with nothing_left(hoplab):
        ended = hoplab("up", "switch", "--datapath", "kernel", code=6)
        check("no_kernel_datapath", ended, hoplab)


def test_a_run_folder_that_may_not_be_written(make_world: Callable[..., World]) -> None:
    world = make_world(as_user=True)
    locked = world.home / "locked"
    locked.mkdir(mode=0o500)
    world.env["XDG_STATE_HOME"] = str(locked)
    check("unwritable_run_folder", world("up", "cable", code=6), world)
    check("unwritable_run_folder_for_a_visit", world("visit", code=6), world)
    assert processes_of(world) == {}


# $1 is "before" or "after": when the disk fills up, before or after the lab comes up. The rest are
# hoplab commands, one an argument, each in $HOPLAB's hands; each prints its code and its words.
FULL = """
hoplab() { eval "$HOPLAB" '"$@"'; }
mkdir -p "$XDG_STATE_HOME" && mount -t tmpfs -o size=512k tmpfs "$XDG_STATE_HOME" || exit 99
fill() { cat /dev/zero >"$XDG_STATE_HOME/fill" 2>/dev/null; }
finish() { rm -f "$XDG_STATE_HOME/fill"; hoplab down --all >/dev/null; }
trap finish EXIT
when=$1; shift
[ "$when" = after ] && { hoplab up web >/dev/null || exit 98; }
fill
for words in "$@"; do
    eval hoplab $words >out 2>err
    echo "exit code $?"; cat err
    find "$XDG_STATE_HOME" -name '*.pcapng' -size +64k
done
[ "$when" = before ] && exit 0
for named in "$(hoplab table --json)" "$(cat "$XDG_STATE_HOME"/hoplab/labs/lab/lab.json)"; do
    echo "in charge:$(echo "$named" | grep -o '"controller": "[a-z_]*"')"
done
rm "$XDG_STATE_HOME/fill"; hoplab visit >out 2>err || cat out err
exit 0
"""


@pytest.mark.parametrize(
    "when, commands",
    [
        pytest.param(
            "before", ["up switch", "visit", "visit --save SAVE"], marks=pytest.mark.long
        ),
        ("after", ["visit", "visit --save SAVE", "trace pc -- ping -c1 10.80.0.80", "swap hub"]),
    ],
)
def test_a_full_run_folder(hoplab: World, when: str, commands: list[str]) -> None:
    if os.geteuid() != 0:
        pytest.skip("a disk of our own to fill needs root")
    need("unshare")
    script = ["unshare", "-m", "--propagation", "private", "bash", "-c", FULL, "full", when]
    saved = hoplab.state / "saved"
    with nothing_left(hoplab):
        ended = subprocess.run(
            [*script, *(each.replace("SAVE", str(saved)) for each in commands)],
            env={**hoplab.environment(), "HOPLAB": shlex.join(hoplab.argv([]))},
            cwd=hoplab.home,
            capture_output=True,
            text=True,
            timeout=170,
        )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    text = re.sub(r"/run-\w+|/hoplab-\w+", "/RUN", normal(ended.stdout, hoplab))
    n = len(commands)
    assert text.count("exit code 8\n") == n and text.count("\n  Next: ") == n, text
    assert text.count(" cannot be written: No space left on device\n") == n, text
    if when == "after":  # a swap that fails changes nothing, and what is noted is what is
        assert text.count('in charge:"controller": "learning_switch"\n') == 2, text


# ------------------------------------------------------------------------------------ Ctrl-C


MOMENTS = ["labs/lab/lock", "labs/lab/logs/lab.log", "labs/lab/logs/ovs-vswitchd.log",
           "labs/lab/lab.json", "labs/lab/lab.sock"]  # fmt: skip


INTERRUPTED_STORY = " The command was interrupted. Until then: "


def interrupt(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """A Ctrl-C in the terminal of a command line; its exit code and what it said."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=30)
    return process.returncode, out, err


def until(process: subprocess.Popen[str], state: Callable[[], Any]) -> bool:
    """Wait until it is so; False if the command line has ended before."""

    def look() -> str:
        return "so" if state() else "ended" if process.poll() is not None else ""

    return wait.until(look, "the moment", within_s=30, longest_s=0.002) == "so"


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("verb", ["up", "visit", "trace"])
def test_ctrl_c_while_a_lab_comes_up(hoplab: World, verb: str, moment: str) -> None:
    arguments = {
        "up": ["up", "web"],
        "visit": ["visit"],
        "trace": ["trace", "--topology", "switch", "h1", "--", "ping", "-c1", "10.0.0.2"],
    }[verb]
    with nothing_left(hoplab):
        process = hoplab.popen(*arguments, start_new_session=True)
        in_time = until(process, (hoplab.state / "hoplab" / moment).exists)
        code, out, err = interrupt(process)
        # It was faster than we: done, or Python at its very end, or its command was there already
        # to be interrupted, and what it did is told.
        if code in (0, -signal.SIGINT) or (code == 130 and INTERRUPTED_STORY in out):
            hoplab("down")
        else:
            assert in_time and code == 130, (code, err)
            assert "Traceback" not in err
            golden("interrupted", normal(err, hoplab))


# Ctrl-C at the moment at which a lab has processes, and at that from which it would outlive the
# command line.
INTERRUPTED = """
import os, signal, sys
from hoplab.kernel import sandbox
from hoplab.cli.main import main
moment = sys.argv.pop(1)
work = getattr(sandbox.Started, moment)
def work_and_interrupt(*args):
    work(*args)
    os.kill(os.getpid(), signal.SIGINT)
setattr(sandbox.Started, moment, work_and_interrupt)
sys.exit(main())
"""


@pytest.mark.parametrize("moment", ["__init__", "commit"])
@pytest.mark.parametrize("verb", ["up", "visit", "trace"])
def test_ctrl_c_when_a_lab_has_just_begun(hoplab: World, verb: str, moment: str) -> None:
    """It is up and said so, or nothing was left behind and that is said."""
    arguments = {
        "up": ["up", "cable"],
        "visit": ["visit"],
        "trace": ["trace", "--topology", "cable", "h1", "--", "ping", "-c1", "10.0.0.2"],
    }[verb]
    with nothing_left(hoplab):
        ended = subprocess.run(
            [*hoplab.argv([])[:-2], "-c", INTERRUPTED, moment, *arguments],
            env=hoplab.environment(),
            cwd=hoplab.home,
            capture_output=True,
            text=True,
            timeout=60,
        )
        if (verb, moment) == ("up", "commit"):
            assert (ended.returncode, normal(ended.stderr, hoplab)) == (0, "")
            assert ended.stdout.startswith("lab lab is up: cable")
            assert hoplab("exec", "h1", "--", "echo", "here").out == "here\n"
            hoplab("down")
        else:
            assert (ended.returncode, ended.stdout) == (130, ""), ended.stderr
            golden("interrupted", normal(ended.stderr, hoplab))
            if moment == "__init__":  # it says so when it is so, and not before
                assert processes_of(hoplab) == {}


@pytest.mark.parametrize("verb", ["visit", "trace"])
@pytest.mark.parametrize("already_up", [True, False])
def test_ctrl_c_while_it_records(hoplab: World, verb: str, already_up: bool) -> None:
    """The page never comes, or the ping never ends, when Ctrl-C does."""
    begun = hoplab.home / "begun"
    ping = f"echo > {begun}; exec ping -i 0.2 10.1.0.11"
    arguments = {
        "visit": ["visit", "http://down.itheima.com/"],
        "trace": ["trace", "--topology", "web", "client", "--", "sh", "-c", ping],
    }[verb]
    with nothing_left(hoplab):
        if already_up:
            hoplab("up", "web")
        process = hoplab.popen(*arguments, start_new_session=True)
        if verb == "trace":
            assert until(process, begun.exists)
        else:
            fetch = re.compile(r"apps/fetch\.py http://down")
            assert until(process, lambda: any(map(fetch.search, processes_of(hoplab).values())))
        code, out, err = interrupt(process)
        assert (code, without_steps(err)) == (130, "")
        assert INTERRUPTED_STORY in out
        assert ("the lab stays up" in out) != already_up
        # The lab goes on, and the command on its host has ended.
        ours = re.compile(r"ping -i|\S+ \S+/apps/fetch\.py")
        assert not any(map(ours.match, processes_of(hoplab).values()))
        assert hoplab("visit", "--json").json["outcome"]["ok"] is True
        hoplab("down")


def test_ctrl_c_reaches_the_command_of_exec(hoplab: World) -> None:
    with nothing_left(hoplab):
        hoplab("up", "cable")
        script = "echo ready; exec sleep 1000"
        process = hoplab.popen("exec", "h1", "--", "sh", "-c", script, start_new_session=True)
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        code, out, err = interrupt(process)
        assert (code, out, err) == (130, "", "")  # as in a shell, where nothing is said either
        hoplab("down")


def test_ctrl_c_before_anything(hoplab: World) -> None:
    """While the program is still being loaded: no lab, whatever Python says."""
    with nothing_left(hoplab):
        process = hoplab.popen("up", "web", start_new_session=True)
        code, _, _ = interrupt(process)
        assert code in (130, 1, -signal.SIGINT)
