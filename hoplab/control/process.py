# SPDX-License-Identifier: Apache-2.0
"""The controller of a lab: Ryu as a child process, and changing it while the network runs.

States of a controller process: starting -> listening -> in charge -> ended or stuck. Stuck is one
that is there and does not answer: an OpenFlow echo that nobody answers tells (`Echoes`).

A swap makes before it breaks: the new controller listens before any switch hears of it, all
switches change over in one transaction, flows of the old one are taken away only when the new one
has put in its own, and only then does the old process end. A new controller that cannot start
leaves the old one in charge.

A controller that died is replaced in the same way, by a process on another port: Open vSwitch goes
to a new address at once, while it waits a second and more before it tries an old one again.

Ryu itself is never imported here.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
import re
import shlex
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hoplab import content, ryu_apps, wait
from hoplab.control import endings, preloaded
from hoplab.control.log import MARK, Log
from hoplab.control.log import read as read_log
from hoplab.errors import Exit, LabError, cannot_write
from hoplab.openvswitch import daemons, flows
from hoplab.openvswitch.bridges import all_connected, datapath_ids, set_controllers
from hoplab.pulse import Pulse
from hoplab.ryu_apps import Apps
from hoplab.sentences import listed, say, term

START_S = 20
FLOWS_S = 8  # how long a new controller may take to put in its first flow before the old ones go
FIRST_FLOWS_S = 3  # and before a new network is told to be without
PLATFORMS = {"ryu": preloaded.MODULE, "os-ken": "hoplab.control.osken_main"}  # what runs an app
_HELLO, _ECHO_REQUEST, _ECHO_REPLY = 0, 2, 3  # OpenFlow 1.3.5, 7.1
_HEADER = struct.Struct("!BBHI")  # version, type, length, number
# An app that asks Ryu for the links between switches: Ryu looks for them only if it is told to, by
# frames that would disturb who does not ask.
_LINKS = re.compile(r"\b(?:ryu|os_ken)\.topology\b|\bfrom (?:ryu|os_ken) import .*\btopology\b")
_LINKS_OPTION = re.compile(r"--(?:no)?observe-links")
QUIET_S = 1  # after the handshake, for an app that may well wait for packets (OpenFlow 1.0 to 1.2)
_TELLS_MISSES = 4  # from OpenFlow 1.3 on a switch drops what no flow matches
_LISTEN = b"0A"  # TCP_LISTEN in /proc/net/tcp


@functools.cache
def _installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


@dataclass
class Controller:
    """One controller process. `apps` run in it together, `port` is where it listens on 127.0.0.1,
    `folder` the lab's, `own` where an app may leave what it wants to tell, `platform` Ryu or its
    maintained fork. role: '' for the only one, else what it starts as, 'slave G' or 'master G'
    (`roles`). workplace: the folder that relative names in an app mean. begin: where its own part
    of the log begins, which an earlier one on the same port may have written as well."""

    apps: Apps
    port: int
    folder: Path
    platform: str = "ryu"
    own: Path | None = None
    role: str = ""
    workplace: Path = Path("/")
    process: subprocess.Popen[bytes] | None = None
    pidfd: int = -1
    pulse: Echoes | None = None
    halted: bool = False
    begin: int = 0

    @property
    def target(self) -> str:
        """The address of the controller as Open vSwitch writes it."""
        return f"tcp:127.0.0.1:{self.port}"

    def targets_of(self, bridge: str) -> Sequence[str]:
        """All addresses at which this switch finds it."""
        return [self.target]

    def adopt(self, bridge: str) -> None:
        """A new switch needs nothing from a controller of our own: its address is the same for
        all."""

    @property
    def log(self) -> Path:
        return self.folder / "logs" / f"controller-{self.port}.log"

    @property
    def name(self) -> str:
        """As it is asked for: 'two_table_switch,monitor'."""
        return self.apps.name

    @property
    def title(self) -> str:
        """As sentences name it: 'two_table_switch.py, monitor.py'."""
        return self.apps.title

    @property
    def files(self) -> tuple[Path, ...]:
        return self.apps.files

    def logged(self) -> Log:
        """What its log says by now."""
        return read_log(self.log, self.begin)

    def start(self, ready: subprocess.Popen[bytes] | None = None) -> None:
        """Start the process; `ready` waits for it. Raises LabError when there is no such file,
        or the machine gives no process.

        ready: a process that has loaded Ryu already (`preloaded.py`), with its output in our log.
        """
        self._check_files()
        ryu_apps.check_platform(self.apps.apps, self.platform)
        self._check_installed()
        arguments = self._arguments()
        with contextlib.suppress(OSError):
            self.begin = self.log.stat().st_size
        self.close()
        try:
            self.process = self._launch(ready, arguments, self._environment())
            self.pidfd = os.pidfd_open(self.process.pid)
        except OSError as error:
            self.stop()
            raise cannot_write(error, self.folder) from error

    def _check_files(self) -> None:
        """Raises LabError for a controller file that is not there."""
        for file in self.files:
            if not file.is_file():
                raise LabError(
                    say("there is no controller file {file}", file=file),
                    term(
                        "a lab has a /tmp and a /run of its own, where it sees the folders that "
                        "`up` was told of: copy the file into one of yours"
                    )
                    if file.is_relative_to("/tmp") or file.is_relative_to("/run")
                    else term("name one of ours (`hoplab path --list`) or a file of your own"),
                    Exit.NO_SUCH,
                )

    def _check_installed(self) -> None:
        """Raises LabError when the controllers' platform is not installed."""
        package = self.platform.replace("-", "_")
        if not _installed(package):
            raise LabError(
                say(
                    "{package} is not installed for {python}",
                    package=self.platform,
                    python=sys.executable,
                ),
                say(
                    "run {command} and use its .venv/bin/hoplab; hoplab doctor knows more",
                    command=content.installer() or term("scripts/install.sh in a checkout"),
                )
                if package == "ryu"
                else say(
                    "install it beside hoplab: {command}",
                    command=f"{sys.executable} -m pip install {self.platform}",
                ),
                Exit.REFUSED,
            )

    def _arguments(self) -> list[str]:
        """The command line of the platform's manager: its options, then the apps."""
        arguments = [*self.apps.options]
        arguments += ["--ofp-listen-host", "127.0.0.1", "--ofp-tcp-listen-port", str(self.port)]
        arguments += ["--wsapi-host", "127.0.0.1"]
        if not any(map(_LINKS_OPTION.fullmatch, arguments)) and any(
            _LINKS.search(file.read_text(errors="replace")) for file in self.files
        ):
            arguments.append("--observe-links")
        return arguments + list(self.apps.names)

    def _environment(self) -> dict[str, str]:
        """The variables that the process gets beside those of every controller."""
        own = {
            "HOPLAB_FOLDER": str(self.own or self.folder),
            "HOPLAB_WORKPLACE": str(self.workplace),
        }
        if self.role:
            own["HOPLAB_ROLE"] = self.role
        return own

    def _launch(
        self,
        ready: subprocess.Popen[bytes] | None,
        arguments: list[str],
        own: dict[str, str],
    ) -> subprocess.Popen[bytes]:
        """Employ the process that is ready, or else start one. Raises OSError."""
        if ready is not None and preloaded.employ(ready, arguments, own):
            return ready
        with open(self.log, "ab") as out:
            return subprocess.Popen(
                [sys.executable, "-m", PLATFORMS[self.platform], *arguments],
                stdin=subprocess.PIPE if self.role else subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env={**preloaded.environment(), **own},
                cwd=preloaded.START,
                start_new_session=True,
            )

    def listens(self) -> bool:
        """Whether switches could connect. Raises LabError with its last words if it has ended."""
        self.must_run()
        return listening(self.port)

    def ready(self, wanted: Callable[[], None] = lambda: None) -> None:
        """Wait until it listens. Raises LabError with its last words if it ends instead, and
        whatever `wanted` raises meanwhile."""

        def listens() -> bool:
            wanted()
            return self.listens()

        wait.until(
            listens,
            say(
                "the controller {controller} to listen on port {port}",
                controller=self.title,
                port=self.port,
            ),
            within_s=START_S,
            hint=say("its log: {file}", file=self.log),
        )

    def must_run(self) -> None:
        """Raises LabError with its last words if it has ended."""
        process = self.process
        if process is not None and process.poll() is not None:
            lines = daemons.tail(self.log, 20).splitlines()
            lines = [x for x in lines if "<frozen importlib" not in x]
            text = "\n".join([x for x in lines if not x.startswith(MARK)][-12:])
            code, logged = process.returncode, self.logged()
            end = logged.end
            last = text.splitlines()[-1] if text else say("exit code {n}", n=code)
            raise LabError(
                say(
                    "the controller {controller} ended while starting: {reason}",
                    controller=self.title,
                    reason=endings.reason(code, end, logged.left_out) or last,
                ),
                endings.next_step(end)
                or say("mend it; it can be tried alone: {command}", command=self._alone()),
                Exit.BAD_INPUT,
                # Where the place is known, the way there is the framework's own.
                "\n".join(text.splitlines()[-5:])
                if end.get("line") and end["kind"] != "raised"
                else text,
            )

    def web_ports(self) -> list[int]:
        """Where it listens beside OpenFlow's port: a web page, a REST interface."""
        if self.process is None:
            return []
        inodes = set()
        with contextlib.suppress(OSError):
            for entry in os.scandir(f"/proc/{self.process.pid}/fd"):
                with contextlib.suppress(OSError):
                    inodes.add(os.readlink(entry.path))
        ports = {
            int(words[1].rpartition(b":")[2], 16)
            for words in _sockets()
            if words[3] == _LISTEN and f"socket:[{words[9].decode()}]" in inodes
        }
        return sorted(ports - {self.port})

    def _alone(self) -> str:
        """The command that runs the files outside a lab, with what ours import beside them."""
        beside = shlex.quote(str(content.folder("controllers")))
        words = shlex.join([*self.apps.options, *self.apps.names])
        return f"PYTHONPATH={beside} ryu-manager {words}"

    def ended(self) -> bool:
        """Whether the process was started and is no longer there."""
        return self.process is not None and self.process.poll() is not None

    def stuck(self) -> str:
        """Why it is of no use though it is there, in words; '' if it is well. To be asked every now
        and then."""
        if self.pulse is None:
            self.pulse = Echoes(self.port)
        before, self.halted = self.halted, self.stands_still()
        if before and self.halted:  # twice, for a debugger stops and goes on
            return term("was stopped (SIGSTOP)")
        if not self.pulse.stopped():
            return ""
        return say("has not answered for {s:g} s", s=self.pulse.patience_s())

    def stands_still(self) -> bool:
        """Whether a signal has stopped it."""
        with contextlib.suppress(OSError):
            if self.process is not None:
                return daemons.halted(self.process.pid)
        return False

    def become(self, role: str) -> None:
        """Tell a process with a role to take another one."""
        if self.process is not None and self.process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.write(f"{role}\n".encode())
                self.process.stdin.flush()

    def stop(self) -> None:
        """End the process at once: its flows stay in the switches."""
        if self.process is not None and self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.close()

    def close(self) -> None:
        """Let go of what was open to watch the process."""
        if self.pidfd >= 0:
            os.close(self.pidfd)
            self.pidfd = -1
        if self.pulse is not None:
            self.pulse.close()
            self.pulse = None
        if self.process is not None and self.process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()


class Echoes(Pulse):
    """A connection of the engine's own to a controller, for nothing but echoes (OpenFlow 1.3.5,
    6.1.2). It never says which switch it is, so no app hears of it. It speaks the version that the
    controller greets with: a controller refuses one that its apps do not speak."""

    BEAT_S, BEATS = 0.5, 6

    def __init__(self, port: int) -> None:
        super().__init__()
        self._socket = socket.socket()
        self._socket.setblocking(False)
        self._socket.connect_ex(("127.0.0.1", port))
        self._asked = 0
        self._received = bytearray()
        self._version = 0
        self._greeted = False

    def _ask(self) -> None:
        if not self._version:
            return  # it has not greeted us yet
        self._asked += 1
        with contextlib.suppress(OSError):
            if not self._greeted:
                self._socket.send(_HEADER.pack(self._version, _HELLO, _HEADER.size, 0))
                self._greeted = True
            request = _HEADER.pack(self._version, _ECHO_REQUEST, _HEADER.size, self._asked)
            self._socket.send(request)

    def _answered(self) -> bool:
        answered = False
        with contextlib.suppress(OSError):
            while data := self._socket.recv(65536):
                self._received += data
        while len(self._received) >= _HEADER.size:
            version, kind, length, _ = _HEADER.unpack_from(self._received)
            if len(self._received) < length:
                break
            del self._received[: max(length, _HEADER.size)]
            if kind == _HELLO:
                self._version = version
            answered = answered or kind == _ECHO_REPLY
        return answered

    def close(self) -> None:
        self._socket.close()


def listening(port: int) -> bool:
    wanted = b":%04X" % port
    return any(words[3] == _LISTEN and words[1].endswith(wanted) for words in _sockets())


def _sockets() -> list[list[bytes]]:
    """The rows of /proc/net/tcp and, where there is IPv6, of its file (proc_net(5))."""
    rows: list[list[bytes]] = []
    for name in ("tcp", "tcp6"):
        with contextlib.suppress(FileNotFoundError), open(f"/proc/net/{name}", "rb") as file:
            rows += [line.split() for line in file.read().splitlines()[1:]]
    return rows


def change_over(charges: Mapping[str, Controller], *, first: bool) -> list[str]:
    """Put each switch under a controller that listens, all at one instant, and take away what older
    ones left: before it groups and meters, whose numbers the new one may use for its own, and ports
    that they have closed, as spanning trees do; after it the flows.

    Returns the bridges on which the new controller has put in no flow (they drop everything).
    Raises LabError if a switch does not connect, or if a controller ends meanwhile.
    """
    if not charges:
        return []
    bridges = list(charges)
    began = time.monotonic()
    closed = {} if first else {bridge: flows.open_ports(bridge) for bridge in bridges}
    taken: dict[str, flows.Taken] = {}
    try:
        if not first:
            for bridge in bridges:
                taken[bridge] = flows.take_groups(bridge)
        set_controllers(
            {bridge: controller.targets_of(bridge) for bridge, controller in charges.items()}
        )
        return _change(charges, began, first=first)
    except BaseException:
        with contextlib.suppress(LabError):
            for bridge, ports in closed.items():
                if ports:
                    flows.open_ports(bridge, ports)
            for bridge, gone in taken.items():
                flows.put_groups(bridge, gone)
        raise


def await_flows(
    charges: Mapping[str, Controller], began: float, wanted: Callable[[], None]
) -> list[str]:
    """Until switches that were told of their controllers, at that time, have the first flows of
    them; those that get none. `wanted` is called all the time. Raises LabError."""

    def joined() -> bool:
        wanted()
        return _joined(charges)

    wait.until(
        joined,
        say("{switches} to connect to the controller", switches=listed(list(charges)[:5])),
        within_s=20,
        longest_s=0.1,
    )
    return _until_flows(charges, began, FIRST_FLOWS_S)


def _joined(charges: Mapping[str, Controller]) -> bool:
    """Whether these switches have all connected. Raises LabError if they never will."""
    controllers = {id(controller): controller for controller in charges.values()}.values()
    for controller in controllers:
        controller.must_run()
    if all_connected(list(charges)):
        return True
    for controller in controllers:
        if refused := controller.logged().refused:
            raise endings.refusal(controller.title, refused)
    return False


def _change(charges: Mapping[str, Controller], began: float, *, first: bool) -> list[str]:
    """What comes once the switches have been told of their controllers."""
    bridges = list(charges)
    controllers = {id(controller): controller for controller in charges.values()}.values()

    def must_run() -> None:
        for controller in controllers:
            controller.must_run()

    wait.until(
        lambda: _joined(charges),
        say("{switches} to connect to the controller", switches=listed(bridges[:5])),
        within_s=20,
        longest_s=0.1,
    )
    empty = _until_flows(charges, began, FIRST_FLOWS_S if first else FLOWS_S)
    must_run()
    if not first:
        for bridge in bridges:
            _drop_older(bridge, began)
        daemons.revalidate()
    return empty


def versions(charges: Mapping[str, Controller]) -> dict[str, int]:
    """The OpenFlow version, in its wire form, that each switch speaks with its controller, where
    that is known."""
    controllers = {id(controller): controller for controller in charges.values()}.values()
    joined = {
        dpid: version for each in controllers for dpid, version in each.logged().joined.items()
    }
    return {
        bridge: joined[dpid]
        for bridge, dpid in datapath_ids().items()
        if bridge in charges and dpid in joined
    }


def _until_flows(charges: Mapping[str, Controller], began: float, within_s: float) -> list[str]:
    """Wait until every bridge has a flow younger than `began`; the bridges that got none. An app
    for an OpenFlow that hands it what no flow matches may put in none before the first packet."""
    waiting = list(charges)
    quiet_since: list[float] = []

    def served() -> bool:
        since = time.monotonic() - began
        waiting[:] = [b for b in waiting if not _has_young(b, since)]
        spoken = versions(charges) if waiting else {}
        if any(spoken.get(bridge, _TELLS_MISSES) >= _TELLS_MISSES for bridge in waiting):
            return False
        quiet_since[:] = quiet_since or [time.monotonic()]
        return not waiting or time.monotonic() - quiet_since[0] > QUIET_S * wait.patience()

    with contextlib.suppress(LabError):
        wait.until(served, term("flows"), within_s=within_s)
    return waiting


def _has_young(bridge: str, since_s: float) -> bool:
    return any(flow.age_s <= since_s + 0.001 for flow in flows.flows(bridge))


def _drop_older(bridge: str, began: float) -> None:
    listed = flows.flows(bridge)
    since = time.monotonic() - began
    flows.remove(bridge, [flow for flow in listed if flow.age_s > since + 0.005])
