# SPDX-License-Identifier: Apache-2.0
"""The lab's own Open vSwitch: an ovsdb-server and an ovs-vswitchd that nobody else sees.

They run in the lab's namespaces with their files in its private /run/openvswitch, which is where
ovs-vsctl and ovs-ofctl look by default, so the tools need no option inside a lab. A machine-wide
Open vSwitch has its own /run and is never spoken to.

One ovs-vswitchd looks at all its ports whenever a frame comes, so with hundreds of them each hop
takes milliseconds. A large lab therefore has several pairs of daemons in the same folder, numbered
from 1, each with some of the bridges. ovs-ofctl finds every bridge there; ovs-vsctl speaks to the
first pair, and to number 2 with `--db=unix:/run/openvswitch/db-2.sock`.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from hoplab import programs, wait
from hoplab.errors import Exit, LabError
from hoplab.kernel import netlink_questions
from hoplab.openvswitch import ovsdb
from hoplab.openvswitch.ovsdb import RUN
from hoplab.pulse import Pulse
from hoplab.sentences import number_of, say, term

SCHEMA = Path("/usr/share/openvswitch/vswitch.ovsschema")
DATAPATHS = ("auto", "kernel", "user", "afxdp", "fast")
# The Interface type of a port that is a network interface, by datapath, where it is no plain one.
# AF_XDP polled by the main thread: with a thread of its own it carries a third more, and takes all
# of a core for that while nothing is sent (bench/datapath.py).
PORT_KINDS = {"afxdp": "afxdp-nonpmd"}
AFXDP_PORT_MIB = 76  # what one takes for its rings and frames
# One pair of daemons suffices for so many switches; more are divided, so many to a pair, as long as
# that makes no more than so many pairs, of 14 MiB each.
ONE_SUFFICES, SWITCHES_EACH, MOST_PAIRS = 32, 16, 4
HOLD = "try-hold-"  # bridges that keep a datapath alive until it has real ones


def _tool(name: str) -> str:
    path = programs.find(name)
    if path is None:
        raise LabError(
            say("{program} is not installed", program=name),
            say(
                "hoplab doctor knows how; most likely: {command}",
                command="sudo apt-get install openvswitch-switch",
            ),
            Exit.REFUSED,
        )
    return path


def kernel_datapath() -> bool:
    """Whether the kernel has Open vSwitch's datapath loaded: its generic netlink family answers
    (Documentation/networking/openvswitch in the kernel's sources)."""
    return netlink_questions.generic_family("ovs_datapath")


def choose_datapath(wish: str) -> str:
    """'kernel', 'user' or 'afxdp' for a wish out of DATAPATHS. Whether AF_XDP works here shows when
    Open vSwitch runs (`Switchd.try_afxdp`). Raises LabError."""
    if wish in ("user", "afxdp"):
        return wish
    if kernel_datapath():
        return "kernel"
    if wish == "fast":
        return "afxdp"
    if wish == "kernel":
        raise LabError(
            term("the kernel's Open vSwitch datapath is not loaded"),
            say("run: {command}   (or use --datapath user)", command="sudo modprobe openvswitch"),
            Exit.REFUSED,
        )
    return "user"


def pairs_for(switches: int) -> int:
    """How many pairs of daemons so many switches are best divided among."""
    return 1 if switches <= ONE_SUFFICES else min(switches // SWITCHES_EACH, MOST_PAIRS)


def _tag(number: int) -> str:
    """What the names of a pair's files and processes have at their end."""
    return f"-{number}" if number > 1 else ""


class Switchd:
    """The daemons, as children of this process. `logs` is the folder of their log files."""

    def __init__(self, logs: Path) -> None:
        self.logs = logs
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._pulses: dict[str, Version] = {}

    def start(self, number: int = 1) -> None:
        """Start a pair and wait until both answer. Raises LabError."""
        tag = _tag(number)
        server, switch, tool = _tool("ovsdb-server"), _tool("ovs-vswitchd"), _tool("ovsdb-tool")
        _tool("ovs-vsctl")
        RUN.mkdir(parents=True, exist_ok=True)
        database, remote = RUN / f"conf{tag}.db", RUN / f"db{tag}.sock"
        made = subprocess.run(
            [tool, "create", str(database), str(SCHEMA)], capture_output=True, text=True
        )
        if made.returncode:
            raise LabError(
                term("Open vSwitch's database cannot be made"),
                term("is the package openvswitch-switch complete? `hoplab doctor` checks it"),
                Exit.REFUSED,
                made.stderr,
            )
        self._run(tag, server, str(database), f"--remote=punix:{remote}")
        self._until_socket(f"ovsdb-server{tag}", remote)
        vsctl(f"--db=unix:{remote}", "--no-wait", "init")
        # It would write a line for every port.
        self._run(tag, switch, f"unix:{remote}", "-vbridge:file:warn")
        self._until_socket(f"ovs-vswitchd{tag}", RUN / f"ovs-vswitchd{tag}.ctl")

    def divide(self, count: int) -> None:
        """Start more pairs until there are `count`, for a userspace datapath: `bridges` divides
        the bridges among them. Raises LabError.

        Each ovs-vswitchd wants an interface ovs-netdev for its datapath, where there can be one, so
        each is given another name before the next comes; a bridge keeps the datapath for that time.
        """
        ip = _tool("ip")
        for number in range(1, count + 1):
            if number > 1:
                self.start(number)
            hold = ovsdb.Bridge(f"{HOLD}{number}", {"datapath_type": "netdev"})
            with ovsdb.Database(RUN / f"db{_tag(number)}.sock") as database:
                database.apply(ovsdb.add_bridges([hold]))
            if number < count:
                rename = [ip, "link", "set", "ovs-netdev", "name", f"ovs-netdev-{number}"]
                call = subprocess.run(rename, capture_output=True, text=True)
                if call.returncode:
                    raise LabError(
                        term("the switches cannot be divided among several ovs-vswitchd"),
                        term("let one have them all: --vswitchd 1"),
                        Exit.LAB_DIED,
                        call.stderr.strip(),
                    )

    def warm_up(self, datapath: str) -> None:
        """Do what the first userspace bridge of a process has to do (0.1 s of clock calibration),
        while others are busy with something else."""
        if datapath != "kernel":
            with ovsdb.Database() as database:
                database.apply(
                    ovsdb.add_bridges([ovsdb.Bridge("warm-up", {"datapath_type": "netdev"})])
                )
                database.apply(ovsdb.remove_bridges())

    def try_afxdp(self, ports: int = 1) -> str:
        """Why so many AF_XDP ports do not work here, in a few words, or "": a bridge with one is
        made and taken away again."""
        need, room = ports * AFXDP_PORT_MIB, memory_mib()
        if need > room // 2:
            return number_of(
                "one takes {need} MiB of memory, and {room} are free",
                "{n} of them take {need} MiB of memory, and {room} are free",
                ports,
                need=need,
                room=room,
            )
        trial = ("try-xdp0", "try-xdp1")
        port = ovsdb.Port(trial[0], kind=PORT_KINDS["afxdp"])
        ip = _tool("ip")
        add = [ip, "link", "add", trial[0], "type", "veth", "peer", "name", trial[1]]
        made = subprocess.run(add, capture_output=True, text=True)
        if made.returncode:
            return made.stderr.strip()
        try:
            with ovsdb.Database() as database:
                bridge = ovsdb.Bridge("try-xdp", {"datapath_type": "netdev"}, [port])
                try:
                    database.apply(ovsdb.add_bridges([bridge]))
                except LabError as error:
                    words = error.detail or error.message
                    return words.rpartition("(")[2].rstrip(")\n")  # the kernel's own words
                finally:
                    database.apply(ovsdb.remove_bridges())
        except LabError as error:
            return error.message
        finally:
            subprocess.run([ip, "link", "del", trial[0]], capture_output=True)
        return ""

    def _run(self, tag: str, program: str, *arguments: str) -> None:
        name = os.path.basename(program) + tag
        log = self.logs / f"{name}.log"
        # Its own words go to the log file, and not to the machine's log as well; stderr only says
        # why it could not start.
        argv = [program, *arguments, f"--unixctl={RUN}/{name}.ctl", f"--log-file={log}"]
        argv += ["-vconsole:emer", "-vsyslog:off", "--no-chdir"]
        with open(self.logs / f"{name}.err", "wb") as err:
            self.processes[name] = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=err, stderr=err
            )

    def _until_socket(self, name: str, path: Path) -> None:
        def there() -> bool:
            if self.processes[name].poll() is not None:
                raise self.obituary(name)
            return _answers(path)

        state = say("{daemon} to listen on {path}", daemon=name, path=path)
        wait.until(there, state, within_s=20)

    def stop(self) -> None:
        """End both daemons of a lab that turns out to have no switch of Open vSwitch's."""
        processes, self.processes = self.processes, {}  # or their end would be taken for a failure
        self._pulses = {}
        for process in processes.values():
            process.kill()
            process.wait()
        for left in (*RUN.glob("conf*.db"), *RUN.glob("db*.sock"), *RUN.glob("ovs*.ctl")):
            left.unlink(missing_ok=True)  # so that they can be started again

    def vswitchds(self) -> list[int]:
        """The process ids of those that forward frames."""
        return list(self.forwarders().values())

    def forwarders(self) -> dict[str, int]:
        """Those that forward frames: process ids by name."""
        return {
            name: process.pid
            for name, process in list(self.processes.items())
            if name.startswith("ovs-vswitchd")
        }

    def obituary(self, name: str) -> LabError:
        """What to say of a daemon that ended while the lab came up."""
        return LabError(
            say("{daemon} ended while the lab came up", daemon=name),
            term("its last words are above; `hoplab doctor` checks the usual causes"),
            Exit.LAB_DIED,
            tail(self.logs / f"{name}.err") or tail(self.logs / f"{name}.log", 3),
        )

    def wake(self) -> str | None:
        """Let a daemon go on that somebody has stopped (SIGSTOP), as nothing works while it
        stands; its name, or None."""
        for name, process in list(self.processes.items()):
            try:
                stopped = halted(process.pid)
            except OSError:
                continue
            if stopped:
                process.send_signal(signal.SIGCONT)
                return name
        return None

    def silent(self) -> list[str]:
        """The names of daemons that are there and have not answered for a while. To be asked every
        now and then: it asks them, and never waits."""
        for name in self.processes:
            if name not in self._pulses:
                self._pulses[name] = Version(RUN / f"{name}.ctl")
        return [name for name, pulse in self._pulses.items() if pulse.stopped()]

    def ended(self) -> str | None:
        """The name of a daemon that has ended, or None."""
        for name, process in list(self.processes.items()):
            if process.poll() is not None:
                return name
        return None


def halted(pid: int) -> bool:
    """Whether a signal has stopped a process (proc(5), stat, field 3). Raises OSError."""
    # Neither a text file nor a Path, for both leave strings in the interpreter's tables, and this
    # is done five times a second.
    with open(f"/proc/{pid}/stat", "rb") as file:
        return file.read().rpartition(b")")[2].split()[0] == b"T"


class Version(Pulse):
    """Asks a daemon for its version on its control socket, which its main loop serves, and nothing
    else does (JSON-RPC 1.0 over a unix socket, ovs-appctl(8)); each time by a new connection."""

    BEAT_S, BEATS = 2.0, 5

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self._socket: socket.socket | None = None
        self._asked_s = time.monotonic()  # it has just come up

    def _ask(self) -> None:
        if self._socket is not None:
            return  # the last question is not answered yet: its answer will do
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.setblocking(False)
        with contextlib.suppress(OSError):  # a daemon whose queue is full does not answer, either
            self._socket.connect(str(self.path))
            self._socket.send(b'{"id": 0, "method": "version", "params": []}')

    def _answered(self) -> bool:
        with contextlib.suppress(OSError):
            if self._socket is not None and self._socket.recv(4096):
                self.close()
                return True
        return False

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _answers(path: Path) -> bool:
    """Whether somebody listens on a unix socket: its file is there a moment before that."""
    with socket.socket(socket.AF_UNIX) as trial:
        return trial.connect_ex(str(path)) == 0


def _timeout(within_s: int) -> str:
    """The option of Open vSwitch's tools. They know whole seconds only."""
    return f"--timeout={round(within_s * wait.patience())}"


def _ask(tool: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """One call of a tool of Open vSwitch's. Raises LabError if it is not installed."""
    return subprocess.run([_tool(tool), *arguments], capture_output=True, text=True)


def _refused(
    message: str, tool: str, arguments: Sequence[str], printed: str, code: Exit = Exit.LAB_DIED
) -> LabError:
    """What to say where the tool did not do what it was asked for. printed: its own words."""
    command = f"{tool} {' '.join(arguments)}"
    hint = term("the command and its words are below")
    return LabError(message, hint, code, f"{command[:400]}\n{printed.strip()}")


def vsctl(*arguments: str, timeout_s: int = 30) -> str:
    """One ovs-vsctl call, hence one transaction. Raises LabError with what it said."""
    call = _ask("ovs-vsctl", _timeout(timeout_s), *arguments)
    if call.returncode:
        message = term("Open vSwitch refused a change")
        raise _refused(message, "ovs-vsctl", arguments, call.stderr)
    return call.stdout


def ofctl(*arguments: str) -> str:
    """One ovs-ofctl call, OpenFlow 1.3. Raises LabError with what it said."""
    call = _ask("ovs-ofctl", "-O", "OpenFlow13", _timeout(20), *arguments)
    if call.returncode:
        message = term("a switch refused an OpenFlow request")
        raise _refused(message, "ovs-ofctl", arguments, call.stderr)
    return call.stdout


def appctl(*arguments: str) -> str:
    """One ovs-appctl call to every ovs-vswitchd: the answers of those that have one, as a bridge is
    known to one of them alone. Raises LabError with what it said where none has."""
    answers, printed = [], ""
    for target in [RUN / "ovs-vswitchd.ctl", *sorted(RUN.glob("ovs-vswitchd-*.ctl"))]:
        call = _ask("ovs-appctl", f"--target={target}", _timeout(5), *arguments)
        if call.returncode == 0:
            answers.append(call.stdout)
        printed = call.stderr
    if not answers:
        message = term("Open vSwitch does not say what it learned")
        raise _refused(message, "ovs-appctl", arguments, printed, Exit.FAILED)
    return "".join(answers)


def memory_mib() -> int:
    """The memory that programs could still have, in MiB (proc(5), MemAvailable)."""
    line = re.search(r"^MemAvailable: +(\d+)", Path("/proc/meminfo").read_text(), re.MULTILINE)
    return int(line[1]) >> 10 if line else 0


def revalidate() -> None:
    """Wait until the datapath forwards by the flows that are there now: it remembers what earlier
    ones decided, for as long as half a second on a busy machine (ovs-vswitchd(8))."""
    with contextlib.suppress(LabError):  # a switch that hangs is looked after elsewhere
        appctl("revalidator/wait")


def reconnect(bridge: str) -> None:
    """Have a bridge leave its controllers and come to them anew (ovs-vswitchd(8)). Raises
    LabError."""
    appctl("bridge/reconnect", bridge)


def tail(path: Path, lines: int = 15) -> str:
    """The last lines of a log, cut where they are very long, or nothing where there is none."""
    try:
        last = path.read_text(errors="replace").splitlines()[-lines:]
        return "\n".join(line[:1000] for line in last)
    except OSError:
        return ""
