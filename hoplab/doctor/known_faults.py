# SPDX-License-Identifier: Apache-2.0
"""Failures that people report with Mininet, Ryu and Open vSwitch, recognised on this machine.

Each is a function that looks and either says nothing or gives a note: what was found, and the line
that mends it. None of these keeps a lab of ours from working, which has its own interfaces, its
own Open vSwitch and its own loopback; but who meets them with stock tools beside ours looks for
help. What does keep a lab from working is checked in `doctor`. docs/troubleshooting.md tells all
of them; a test holds both to each other.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from hoplab.openflow_channel import CONTROLLER_PORTS
from hoplab.sentences import listed, number_of, say, term

# Where sudo looks, whatever the user's PATH says (sudoers(5), secure_path, Debian's default).
SECURE_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".split(":")
# OpenFlow's registered port and the one that was used before it.
OPENFLOW_PORTS = (CONTROLLER_PORTS[0], 6633)


@dataclass(frozen=True)
class Note:
    """What was found, and the line that mends it."""

    finding: str
    fix: str


@dataclass(frozen=True)
class Machine:
    """Where to look. Tests hand in a folder that is built like a machine."""

    root: Path = Path("/")
    path: str = field(default_factory=lambda: os.environ.get("PATH", ""))
    prefix: Path = field(default_factory=lambda: Path(sys.prefix))

    def read(self, name: str) -> str:
        """A file's text; "" if it is not there or closed to us."""
        try:
            return (self.root / name).read_text(errors="replace")
        except OSError:
            return ""

    def which(self, program: str) -> Path | None:
        """The first such program on the PATH, below `root`."""
        for folder in self.path.split(":"):
            path = self.root / folder.lstrip("/") / program
            if folder and os.path.isfile(path):  # Path's own raises where a folder is closed to us
                return path
        return None


def leftover_interfaces(machine: Machine) -> Note | None:
    """Mininet's interfaces in the machine's own network: the next `mn` says "File exists"."""
    folder = machine.root / "sys/class/net"
    every = sorted(p.name for p in folder.iterdir()) if os.path.isdir(folder) else []
    left = [name for name in every if re.fullmatch(r"[a-z]+\d+-eth\d+", name)]
    if not left:
        return None
    names = listed(left) if len(left) <= 4 else say("{names} …", names=listed(left[:4]))
    return Note(
        number_of(
            "an interface of a stock Mininet is in this machine's network ({names}); if none runs "
            'now, the next `mn` stops with "RTNETLINK answers: File exists"',
            "{n} interfaces of a stock Mininet are in this machine's network ({names}); if none "
            'runs now, the next `mn` stops with "RTNETLINK answers: File exists"',
            len(left),
            names=names,
        ),
        f"for i in {' '.join(left)}; do sudo ip link delete $i 2>/dev/null; done",
    )


def bridges_of_others(machine: Machine) -> Note | None:
    """Bridges in the machine's own Open vSwitch: `mn -c` deletes them, whosever they are."""
    if not os.access(machine.root / "run/openvswitch/db.sock", os.W_OK):
        return None
    tool = machine.which("ovs-vsctl")
    if tool is None or _switchd_pid(machine) is None:
        return None
    asked = subprocess.run([tool, "--timeout=3", "list-br"], capture_output=True, text=True)
    names = asked.stdout.split()
    if not names:
        return None
    return Note(
        say(
            "this machine's own Open vSwitch has bridges ({names}); `mn -c` deletes all of them, "
            "also those that Mininet did not make",
            names=listed(names[:4]),
        ),
        say(
            "{command}   # instead: ends your labs and touches nothing else",
            command="hoplab down --all",
        ),
    )


_SWITCHD_PID = "run/openvswitch/ovs-vswitchd.pid"


def _switchd_pid(machine: Machine) -> int | None:
    """The machine's own ovs-vswitchd, if it runs."""
    number = machine.read(_SWITCHD_PID).strip()
    if number.isdigit() and machine.read(f"proc/{number}/comm").strip() == "ovs-vswitchd":
        return int(number)
    return None


def half_an_open_vswitch(machine: Machine) -> Note | None:
    """A database without a switch process: `mn` and `ovs-vsctl` wait for ever."""
    if not os.path.exists(machine.root / "run/openvswitch/db.sock") or _switchd_pid(machine):
        return None
    written = os.path.lexists(machine.root / _SWITCHD_PID)
    if written and not (machine.read(_SWITCHD_PID) and machine.read("proc/1/comm")):
        return None  # closed to us, or others' processes are hidden (hidepid): nobody can tell
    return Note(
        term(
            "this machine's own Open vSwitch has its database but no ovs-vswitchd; stock `mn` and "
            "`ovs-vsctl` wait for ever on it"
        ),
        "sudo systemctl restart openvswitch-switch",
    )


def openflow_port_taken(machine: Machine) -> Note | None:
    """Somebody listens on a controller's port: `mn` refuses to start its controller."""
    taken = set()
    for table in ("proc/net/tcp", "proc/net/tcp6"):
        for line in machine.read(table).splitlines()[1:]:
            words = line.split()
            if len(words) > 3 and words[3] == "0A":  # TCP_LISTEN
                taken.add(int(words[1].rpartition(":")[2], 16))
    ports = [port for port in OPENFLOW_PORTS if port in taken]
    if not ports:
        return None
    return Note(
        say(
            "something listens on port {port}; stock `mn` stops with "
            '"Please shut down the controller which is running on port {port}"',
            port=ports[0],
        ),
        say("{command}   # says who it is", command=f"sudo ss -ltnp 'sport = :{ports[0]}'"),
    )


def sudo_does_not_find(machine: Machine) -> Note | None:
    """Programs on the user's PATH where sudo does not look: "sudo: mn: command not found"."""
    hidden = {}
    for program in ("mn", "ryu-manager"):
        path = machine.which(program)
        secure = any(os.path.exists(machine.root / d.lstrip("/") / program) for d in SECURE_PATH)
        if path is not None and not secure:
            hidden[program] = "/" + path.relative_to(machine.root).as_posix()
    if not hidden:
        return None
    program, where = next(iter(hidden.items()))
    return Note(
        number_of(
            "{programs} is on your PATH, but sudo does not look there: "
            '"sudo: {program}: command not found"',
            "{programs} are on your PATH, but sudo does not look there: "
            '"sudo: {program}: command not found"',
            len(hidden),
            programs=listed(hidden),
            program=program,
        ),
        say("{command}   # with its whole path", command=f"sudo {shlex.quote(where)} …"),
    )


def ryus_own_launcher(machine: Machine) -> Note | None:
    """Ryu's own ryu-manager with an eventlet that lacks what it imports."""
    text = machine.read(str(machine.prefix / "bin" / "ryu-manager"))
    if "ryu.cmd.manager" not in text:
        return None
    try:
        version = metadata.version("eventlet")
    except metadata.PackageNotFoundError:
        return None
    if tuple(int(part) for part in re.findall(r"\d+", version)[:3]) < (0, 30, 3):
        return None
    return Note(
        say(
            "`ryu-manager` here is Ryu's own, which stops with eventlet {version}: \"cannot import "
            "name 'ALREADY_HANDLED'\"; hoplab starts Ryu by a launcher that does not",
            version=version,
        ),
        say(
            "{command}  # for ryu-manager's options",
            command=f"{shlex.quote(sys.executable)} -m hoplab.control.ryu_main …",
        ),
    )


# What is looked for, in the order in which it is told, and the threads where people met it.
REPORTED: dict[str, tuple[Callable[[Machine], Note | None], tuple[str, ...]]] = {
    term("leftovers of Mininet"): (
        leftover_interfaces,
        ("mininet/mininet#737", "mininet/mininet#804", "mininet/mininet#1174"),
    ),
    term("other people's bridges"): (bridges_of_others, ("mininet/mininet#877",)),
    term("the machine's Open vSwitch"): (
        half_an_open_vswitch,
        ("mininet/mininet#726", "openvswitch/ovs-issues#72"),
    ),
    term("the OpenFlow port"): (
        openflow_port_taken,
        ("intrig-unicamp/mininet-wifi#96", "intrig-unicamp/mininet-wifi#180"),
    ),
    term("sudo's path"): (sudo_does_not_find, ("p4lang/tutorials#653", "mininet/mininet#1210")),
    "ryu-manager": (
        ryus_own_launcher,
        ("faucetsdn/ryu#138", "faucetsdn/ryu#169", "faucetsdn/ryu#185"),
    ),
}


def notes(machine: Machine | None = None) -> Iterator[tuple[str, Note]]:
    """Every failure of the table that is found on this machine."""
    machine = machine or Machine()
    for name, (look, _) in REPORTED.items():
        note = look(machine)
        if note is not None:
            yield name, note
