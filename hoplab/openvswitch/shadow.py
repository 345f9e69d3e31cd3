# SPDX-License-Identifier: Apache-2.0
"""An ovs-vswitchd that forwards nothing and is asked everything: the shadow of a lab's switches.

It runs with Open vSwitch's dummy datapath, whose ports are no interfaces: so it needs no network,
no right and no lab, and has its files in a folder of its own. It is given the tables of a switch as
they were, and `ofproto/trace` (ovs-vswitchd(8)) says what they do with a frame: by the same code as
in the lab.

Its clock stands, so nothing times out in it. What a trace causes (addresses learned for NORMAL,
flows by the action learn) stays, as it did in the lab: frames are to be traced in order of time.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from hoplab import programs, wait
from hoplab.errors import LabError
from hoplab.openvswitch import ovsdb
from hoplab.openvswitch.daemons import SCHEMA
from hoplab.openvswitch.unixctl import Control, Refused
from hoplab.sentences import say

_PROTOCOLS = ("OpenFlow10", "OpenFlow11", "OpenFlow12", "OpenFlow13", "OpenFlow14", "OpenFlow15")
_START_S, _ANSWER_S = 20.0, 20.0
_HELLO, _ERROR, _ECHO, _ECHO_REPLY = 0, 1, 2, 3
_LOOKS = 50
_BARRIER = 0xB0B0B0B0  # the number of our barriers
_RESERVED = 0xFF00  # from here on numbers stand for no port of their own (OpenFlow 1.0, 5.2.1)
_SHORTEST_TMP = "/tmp"
_LONGEST_PATH = 60  # of a folder with sockets, whose paths hold 107 bytes (unix(7))


class Unavailable(Exception):
    """There is no shadow on this machine; the reason in a few words."""


def missing() -> str:
    """The program that a shadow needs and that is not installed, or ""."""
    for name in ("ovsdb-tool", "ovsdb-server", "ovs-vswitchd"):
        if programs.find(name) is None:
            return name
    return "" if SCHEMA.exists() else str(SCHEMA)


class Shadow:
    """The daemons, which begin to start at once, in the background: `open` waits for them. Ends
    with `close`, or with our process. Raises Unavailable."""

    def __init__(self, switches: Mapping[str, Sequence[int]] | None = None) -> None:
        """switches: those that will be asked for, with the numbers of their ports: they are made
        as soon as there is something that can have them."""
        absent = missing()
        if absent:
            raise Unavailable(say("{program} is not installed", program=absent))
        base = tempfile.gettempdir()
        base = base if len(base) < _LONGEST_PATH else _SHORTEST_TMP
        try:
            self.folder = Path(tempfile.mkdtemp(prefix="shadow-", dir=base))
        except OSError as error:
            raise Unavailable(error.strerror or str(error)) from error
        self._processes: list[subprocess.Popen[bytes]] = []
        self._names: dict[str, str] = {}  # switch -> its bridge here
        self._ports: set[str] = set()
        self._lines: dict[tuple[str, int], _Line] = {}
        self._dirty: set[_Line] = set()
        self._database: ovsdb.Database | None = None
        self._control: Control | None = None
        self._fault = ""
        self._early = switches or {}
        self._started, self._closing = threading.Event(), threading.Event()
        self._keeper = threading.Thread(target=self._keep, daemon=True)
        self._keeper.start()

    def __enter__(self) -> Shadow:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the daemons."""
        self._started.wait()
        for line in self._lines.values():
            line.close()
        if self._control is not None:
            self._control.close()
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.wait()
        self._closing.set()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _keep(self) -> None:
        """Starts the daemons, and stays: they end with the thread that began them."""
        try:
            self._run_daemons()
            self._make(self._early)
        except (OSError, LabError, subprocess.SubprocessError) as error:
            self._fault = str(error) or type(error).__name__
        finally:
            self._started.set()
        self._closing.wait()

    def _run_daemons(self) -> None:
        folder = self.folder
        database, remote = folder / "conf.db", folder / "db.sock"
        made = subprocess.run(
            [str(programs.find("ovsdb-tool")), "create", str(database), str(SCHEMA)],
            capture_output=True, text=True,
        )  # fmt: skip
        if made.returncode:
            raise OSError(made.stderr.strip())
        self._run("ovsdb-server", str(database), f"--remote=punix:{remote}")
        _await(remote, "ovsdb-server")
        # Not before: where it finds no server it waits for a second until it tries again.
        self._run("ovs-vswitchd", f"unix:{remote}", "--enable-dummy")
        with ovsdb.Database(remote) as first:
            first.transact([{"op": "insert", "table": ovsdb.NAME, "row": {}}])
        control = folder / "ovs-vswitchd.ctl"
        _await(control, "ovs-vswitchd")

    def _run(self, name: str, *arguments: str) -> None:
        argv = [str(programs.find(name)), *arguments, f"--unixctl={self.folder / name}.ctl"]
        argv += ["-vconsole:emer", "-vsyslog:off", "-vfile:off", "--no-chdir"]
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={**os.environ, "OVS_RUNDIR": str(self.folder), "OVS_LOGDIR": str(self.folder)},
            start_new_session=True, preexec_fn=_end_with_parent,
        )  # fmt: skip
        self._processes.append(process)

    # ------------------------------------------------------------------ its switches

    def wait(self) -> None:
        """Waits until the daemons answer, or have failed to start."""
        self._started.wait()

    def open(self, switches: Mapping[str, Sequence[int]], *, stopped: bool = True) -> None:
        """Make switches with ports of these numbers. stopped: its clock stands from here on. Raises
        Unavailable."""
        self._started.wait()
        if self._fault:
            raise Unavailable(self._fault)
        try:
            self._make(switches)
            self._control = Control(self.folder / "ovs-vswitchd.ctl")
            if stopped:
                self.ask("time/stop")
        except (LabError, OSError, Refused) as error:
            raise Unavailable(str(error)) from error

    def add(self, switches: Mapping[str, Sequence[int]]) -> None:
        """Make more switches, once it is open. Raises Unavailable."""
        try:
            self._make(switches)
        except LabError as error:
            raise Unavailable(str(error)) from error

    def _make(self, switches: Mapping[str, Sequence[int]]) -> None:
        """Make these switches and ports, as far as they are not there. Raises LabError."""
        bridges, there = [], set(self._names.values())
        for switch, numbers in switches.items():
            # No hexadecimal number looks like it.
            name = self._names.setdefault(switch, f"sh{len(self._names)}")
            columns = {
                "datapath_type": "dummy",
                "fail_mode": "secure",
                "protocols": ovsdb.several(_PROTOCOLS),
            }
            ports = []
            for number in numbers:
                port = f"{name}x{number}"
                if port not in self._ports:
                    self._ports.add(port)
                    ports.append(ovsdb.Port(port, number, kind="dummy"))
            if ports or name not in there:
                bridges.append(ovsdb.Bridge(name, columns, ports))
        if bridges:
            with ovsdb.Database(self.folder / "db.sock") as database:
                database.apply(ovsdb.add_bridges(bridges, there))

    def send(self, switch: str, message: bytes) -> None:
        """Give a switch a message of OpenFlow, of any version; what it refuses is left."""
        version = message[0]
        line = self._lines.get((switch, version))
        if line is None:
            path = self.folder / f"{self._names[switch]}.mgmt"
            line = self._lines[switch, version] = _Line(path, version)
        line.send(message)
        self._dirty.add(line)

    def ask_on_miss(self, switch: str) -> None:
        """Have a switch ask its controller about frames that it has no flow for, as it does if one
        of its controllers speaks OpenFlow 1.0."""
        self.send(switch, struct.pack("!BBHI", 1, _ECHO, 8, 0))

    def settle(self) -> None:
        """Wait until the switches have carried out all messages that were sent to them."""
        for line in self._dirty:
            line.barrier()
        self._dirty.clear()

    def set_port(self, switch: str, number: int, *, up: bool) -> None:
        """Whether a port has a link; one that is new comes with it."""
        port = f"{self._names[switch]}x{number}"
        if up and port not in self._ports and number < _RESERVED:
            with contextlib.suppress(LabError):
                self._make({switch: [number]})
        if port in self._ports:
            with contextlib.suppress(Refused):
                self.ask("netdev-dummy/set-admin-state", port, "up" if up else "down")

    # ------------------------------------------------------------------ what it is asked

    def ask(self, method: str, *arguments: str) -> str:
        """A question to ovs-vswitchd. Raises Refused, OSError."""
        assert self._control is not None, "opened first"
        return self._control.ask(method, *arguments)

    def trace(self, switch: str, in_port: int, frame: bytes, *options: str) -> str:
        """What the switch does with a frame, in Open vSwitch's words, with ports by their numbers.
        Raises Refused, OSError."""
        where = self._names[switch], f"in_port={in_port}"
        return self._trace("ofproto/trace", *where, *options, frame.hex())

    def trace_flow(self, switch: str, flow: str) -> str:
        """The same for the fields of a frame, and without any effect."""
        return self._trace("ofproto/trace", self._names[switch], flow)

    def trace_out(self, switch: str, in_port: str, frame: bytes, actions: str) -> str:
        """The same for a frame that a controller sends out by these actions."""
        where = self._names[switch], f"in_port={in_port}"
        return self._trace("ofproto/trace-packet-out", *where, frame.hex(), actions)

    def _trace(self, *arguments: str) -> str:
        self.settle()
        method, switch, *rest = arguments
        answer = self.ask(method, switch, *rest[:1], "--names", *rest[1:])
        return _PORT_NAME.sub(_number_of_port, answer)

    def hash_of(self, switch: str, in_port: int, frame: bytes) -> str:
        """The hash by which a select group would choose a bucket for a frame, as the datapath
        computes it, or ""."""
        self.settle()
        port = f"{self._names[switch]}x{in_port}"
        with contextlib.suppress(Refused):
            # What is taken out of the datapath alone stays known above it, and does not come again.
            self.ask("revalidator/purge")
            self.ask("netdev-dummy/receive", port, frame.hex())
            for _ in range(_LOOKS):  # the frame is taken from its queue between two questions
                flows = self.ask("dpctl/dump-flows", "dummy@ovs-dummy")
                _, mark, rest = flows.partition("dp_hash(")
                if mark:
                    return rest.partition(")")[0].partition("/")[0]
        return ""


_PORT_NAME = re.compile(r"\bsh\d+(?:x(\d+))?\b(?!\")")  # quoted it is the bridge


def _number_of_port(match: re.Match[str]) -> str:
    return match[1] or "LOCAL"


class _Line:
    """An OpenFlow connection of one version to a switch of the shadow."""

    def __init__(self, path: Path, version: int) -> None:
        self._version = version
        self._received = b""
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(_ANSWER_S * wait.patience())
        self._socket.connect(str(path))
        self._socket.sendall(struct.pack("!BBHI", version, _HELLO, 8, 1))

    def close(self) -> None:
        self._socket.close()

    def send(self, message: bytes) -> None:
        self._socket.sendall(message)

    def barrier(self) -> None:
        """Until everything that was sent has been done."""
        kind = 18 if self._version == 1 else 20
        self._socket.sendall(struct.pack("!BBHI", self._version, kind, 8, _BARRIER))
        while True:
            data = self._socket.recv(1 << 18)
            if not data:
                raise ConnectionError("the shadow has ended")
            self._received += data
            while len(self._received) >= 8:
                _, kind, length, number = struct.unpack_from("!BBHI", self._received)
                if len(self._received) < max(length, 8):
                    break
                message = self._received[:length]
                self._received = self._received[max(length, 8) :]
                if kind == _ECHO:
                    self._socket.sendall(bytes((message[0], _ECHO_REPLY)) + message[2:])
                elif number == _BARRIER and kind != _ERROR:
                    return


def _await(path: Path, daemon: str) -> None:
    """Until the daemon listens there. Raises LabError."""

    def there() -> bool:
        with socket.socket(socket.AF_UNIX) as trial:
            return trial.connect_ex(str(path)) == 0

    state = say("{daemon} to listen on {path}", daemon=daemon, path=path)
    wait.until(there, state, within_s=_START_S)


def _end_with_parent() -> None:
    """prctl(2), PR_SET_PDEATHSIG: the daemons are nobody's if whoever started them is gone."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
