# SPDX-License-Identifier: Apache-2.0
"""The lab's own Open vSwitch: an ovsdb-server and an ovs-vswitchd that nobody else sees.

They run in the lab's namespaces with their files in its private /run/openvswitch, which is where
ovs-vsctl and ovs-ofctl look by default, so the tools need no option inside a lab. A machine-wide
Open vSwitch has its own /run and is never spoken to.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from hoplab import ovsdb, wait
from hoplab.errors import Exit, LabError
from hoplab.ovsdb import RUN

SCHEMA = Path("/usr/share/openvswitch/vswitch.ovsschema")
CONTROLLER_BACKOFF_MS = 1000  # the longest pause before a switch tries its controller again
DATAPATHS = ("auto", "kernel", "user")


def _tool(name: str) -> str:
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if not found:
        raise LabError(
            f"{name} is not installed",
            "run scripts/install.sh, or: sudo apt-get install openvswitch-switch",
            Exit.REFUSED,
        )
    return found


def kernel_datapath() -> bool:
    """Whether the kernel has Open vSwitch's datapath loaded: its generic netlink family answers
    (Documentation/networking/openvswitch in the kernel's sources)."""
    return _genl_family("ovs_datapath")


def _genl_family(name: str) -> bool:
    import struct

    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 16) as genl:  # NETLINK_GENERIC
        genl.bind((0, 0))
        raw = name.encode() + b"\0"
        attribute = struct.pack("=HH", 4 + len(raw), 2) + raw + b"\0" * (-len(raw) % 4)
        body = struct.pack("=BBH", 3, 1, 0) + attribute  # CTRL_CMD_GETFAMILY by family name
        genl.send(struct.pack("=IHHII", 16 + len(body), 0x10, 1, 1, 0) + body)
        return struct.unpack_from("=H", genl.recv(65536), 4)[0] != 2  # not NLMSG_ERROR


def choose_datapath(wish: str) -> str:
    """'kernel' or 'user' for a wish of 'auto', 'kernel' or 'user'. Raises LabError."""
    if wish == "user":
        return "user"
    if kernel_datapath():
        return "kernel"
    if wish == "kernel":
        raise LabError(
            "the kernel's Open vSwitch datapath is not loaded",
            "run: sudo modprobe openvswitch   (or use --datapath user)",
            Exit.REFUSED,
        )
    return "user"


class Switchd:
    """The two daemons, as children of this process. `logs` is the folder of their log files."""

    def __init__(self, logs: Path) -> None:
        self.logs = logs
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Start both and wait until they answer. Raises LabError."""
        server, switch, tool = _tool("ovsdb-server"), _tool("ovs-vswitchd"), _tool("ovsdb-tool")
        _tool("ovs-vsctl")
        RUN.mkdir(parents=True, exist_ok=True)
        database = RUN / "conf.db"
        made = subprocess.run(
            [tool, "create", str(database), str(SCHEMA)], capture_output=True, text=True
        )
        if made.returncode:
            raise LabError(
                "Open vSwitch's database cannot be made",
                "is the package openvswitch-switch complete? `hoplab doctor` checks it",
                Exit.REFUSED,
                made.stderr,
            )
        self._run(
            server,
            str(database),
            f"--remote=punix:{RUN}/db.sock",
            f"--unixctl={RUN}/ovsdb-server.ctl",
        )
        self._until_socket("ovsdb-server", RUN / "db.sock")
        vsctl("--no-wait", "init")
        self._run(switch, f"unix:{RUN}/db.sock", f"--unixctl={RUN}/ovs-vswitchd.ctl")
        self._until_socket("ovs-vswitchd", RUN / "ovs-vswitchd.ctl")

    def warm_up(self, datapath: str) -> None:
        """Do what the first userspace bridge of a process has to do (0.1 s of clock calibration),
        while others are busy with something else."""
        if datapath == "user":
            with ovsdb.Database() as database:
                database.apply(
                    ovsdb.add_bridges([ovsdb.Bridge("warm-up", {"datapath_type": "netdev"})])
                )
                database.apply(ovsdb.remove_bridges())

    def _run(self, program: str, *arguments: str) -> None:
        name = os.path.basename(program)
        log = self.logs / f"{name}.log"
        # Its own words go to the log file; stderr only says why it could not start.
        argv = [program, *arguments, f"--log-file={log}", "-vconsole:emer", "--no-chdir"]
        with open(self.logs / f"{name}.err", "wb") as err:
            self.processes[name] = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=err, stderr=err
            )

    def _until_socket(self, name: str, path: Path) -> None:
        def there() -> bool:
            if self.processes[name].poll() is not None:
                raise self.obituary(name)
            return _answers(path)

        wait.until(there, f"{name} to listen on {path}", within_s=20)

    def stop(self) -> None:
        """End both, where a lab turns out to need neither."""
        processes, self.processes = self.processes, {}  # nobody is to miss them
        for process in processes.values():
            process.kill()
            process.wait()

    def obituary(self, name: str) -> LabError:
        """What to say of a daemon that ended while the lab came up."""
        return LabError(
            f"{name} ended while the lab came up",
            "its last words are above; `hoplab doctor` checks the usual causes",
            Exit.LAB_DIED,
            tail(self.logs / f"{name}.err") or tail(self.logs / f"{name}.log", 3),
        )

    def wake(self) -> str | None:
        """Let a daemon go on that somebody has stopped (SIGSTOP), as nothing works while it
        stands; its name, or None."""
        for name, process in list(self.processes.items()):
            try:
                stat = Path(f"/proc/{process.pid}/stat").read_text()
            except OSError:
                continue
            if stat[stat.rindex(")") + 2] == "T":  # proc(5)
                process.send_signal(signal.SIGCONT)
                return name
        return None

    def ended(self) -> str | None:
        """The name of a daemon that has ended, or None."""
        for name, process in list(self.processes.items()):
            if process.poll() is not None:
                return name
        return None


def _answers(path: Path) -> bool:
    """Whether somebody listens on a unix socket: its file is there a moment before that."""
    with socket.socket(socket.AF_UNIX) as trial:
        return trial.connect_ex(str(path)) == 0


def _timeout(within_s: int) -> str:
    """The option of Open vSwitch's tools. They know whole seconds only."""
    return f"--timeout={round(within_s * wait.patience())}"


def vsctl(*arguments: str, timeout_s: int = 30) -> str:
    """One ovs-vsctl call, hence one transaction. Raises LabError with what it said."""
    argv = [_tool("ovs-vsctl"), _timeout(timeout_s), *arguments]
    done = subprocess.run(argv, capture_output=True, text=True)
    if done.returncode:
        text = " ".join(arguments)
        raise LabError(
            "Open vSwitch refused a change",
            "the command and its words are below",
            Exit.LAB_DIED,
            f"ovs-vsctl {text[:400]}\n{done.stderr.strip()}",
        )
    return done.stdout


def ofctl(*arguments: str) -> str:
    """One ovs-ofctl call, OpenFlow 1.3. Raises LabError with what it said."""
    argv = [_tool("ovs-ofctl"), "-O", "OpenFlow13", _timeout(20), *arguments]
    done = subprocess.run(argv, capture_output=True, text=True)
    if done.returncode:
        raise LabError(
            "a switch refused an OpenFlow request",
            "the command and its words are below",
            Exit.LAB_DIED,
            f"ovs-ofctl {' '.join(arguments)[:400]}\n{done.stderr.strip()}",
        )
    return done.stdout


def add_bridges(bridges: Sequence[ovsdb.Bridge]) -> None:
    """Make all of them in one transaction, and wait until they forward. Raises LabError."""
    with ovsdb.Database() as database:
        database.apply(ovsdb.add_bridges(bridges))


def set_controllers(targets: Mapping[str, Sequence[str]]) -> None:
    """Point each bridge at its controllers, all in one transaction: no frame is lost, because no
    bridge is ever without one (a removed controller would make Open vSwitch flush). A controller
    that a bridge has already stays connected."""
    columns = {"max_backoff": CONTROLLER_BACKOFF_MS, "connection_mode": "out-of-band"}
    if targets:
        with ovsdb.Database() as database:
            database.transact(ovsdb.set_controllers(targets, columns))


def connected(bridges: Sequence[str]) -> bool:
    """Whether every bridge has finished its OpenFlow handshake with a controller."""
    global _interval_ms
    if not bridges:
        return True
    _interval_ms = 5000 + (_interval_ms + 1) % 100
    with ovsdb.Database() as database:
        database.write_statistics(_interval_ms)
        states = [row["is_connected"] for row in database.rows("Controller", ["is_connected"])]
    return len(states) >= len(bridges) and all(state is True for state in states)


_interval_ms = 5000


def appctl(*arguments: str) -> str:
    """One ovs-appctl call to ovs-vswitchd. Raises LabError with what it said."""
    target = f"--target={RUN}/ovs-vswitchd.ctl"
    argv = [_tool("ovs-appctl"), target, _timeout(5), *arguments]
    done = subprocess.run(argv, capture_output=True, text=True)
    if done.returncode:
        raise LabError(
            "Open vSwitch does not say what it learned",
            "the command and its words are below",
            detail=f"ovs-appctl {' '.join(arguments)}\n{done.stderr.strip()}",
        )
    return done.stdout


def revalidate() -> None:
    """Wait until the datapath forwards by the flows that are there now: it remembers what earlier
    ones decided, for as long as half a second on a busy machine (ovs-vswitchd(8))."""
    with contextlib.suppress(LabError):  # a switch that hangs is looked after elsewhere
        appctl("revalidator/wait")


def tail(path: Path, lines: int = 15) -> str:
    """The last lines of a log, or nothing where there is none."""
    try:
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""
