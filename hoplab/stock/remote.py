# SPDX-License-Identifier: Apache-2.0
"""Where a script's RemoteController is found: inside, started for it, or outside of the sandbox.

A script asks (`sitecustomize.py`) before Mininet looks whether anybody listens. Whoever listens
inside is what it means. Else one that the user runs in another terminal is: a `Door` leads there.
If there is none yet, it is waited for as long as the script runs, and the user told how to have
one. A program inside that may be a controller about to listen has the first right to the port.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import socket
import threading
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any

from hoplab.client import outside
from hoplab.control import relay
from hoplab.control.process import listening
from hoplab.errors import LabError
from hoplab.openvswitch import bridges
from hoplab.sentences import Sentence, say

PORTS = (6653, 6633)  # where Mininet looks for one whose port is not said
LOADING_S = 20.0  # for a program in here to listen, if it may be a controller
PREFERRED_S = 5.0  # the same, where one outside is there already
ALONE_S = 1.0  # before it is said that nobody listens
ANSWER_S = 5.0
_LOOK_S = 0.1
# What a controller is run by, as its command line shows.
_MAY_CONTROL = re.compile(
    r"python|ryu|os.?ken|pox|faucet|java|karaf|onos|floodlight|ovs-(test)?controller"
)

Say = Callable[[str], None]
Send = Callable[[dict[str, Any], Sequence[int]], None]


class Remotes:
    """The remote controllers that a script has named."""

    def __init__(
        self,
        note: Say,
        send: Send,
        switches: Callable[[], Collection[int]],
        start: Callable[[int], None] | None,
    ) -> None:
        """note: says something to the user. send: a message to whoever is outside, with
        descriptors. switches: the process ids of Open vSwitch. start: starts the controller that
        the command line names at a port, and returns when it listens; None: it names none."""
        self._note, self._send, self._switches, self._start = note, send, switches, start
        self._states: dict[outside.Address, str] = {}
        self._news = threading.Condition()
        self._awaited: set[outside.Address] = set()
        self.any = False  # the script has named one

    def heard(self, address: outside.Address, state: str) -> None:
        """Whoever is outside has looked whether a controller is there."""
        with self._news:
            self._states[address] = state
            self._news.notify_all()

    def _state(self, address: outside.Address) -> str:
        with self._news:
            if address not in self._states:
                self._send({"watch": address}, ())
                self._news.wait_for(lambda: address in self._states, ANSWER_S)
            return self._states.get(address, outside.SHUT)

    # ------------------------------------------------------------------ what a script asks

    def wanted(self, ip: str, port: int | None, pid: int, command: str) -> None:
        """A process of the script's is about to look for a controller there. Returns when it can
        be found, or will not be found soon. command: the script's, as one types it."""
        self.any = True
        ip = "127.0.0.1" if ip == "localhost" else ip
        ports = PORTS if port is None else (int(port),)
        if self._start is not None:
            self._begin(ip, ports[0])
        elif outside.loopback(ip):
            self._near(ip, ports, pid, command)
        elif self._state((ip, ports[0])) == outside.THERE:
            self._open(ip, ports[0], ports[0])
        else:
            self._await(self._await_far, ip, ports, command)

    def _begin(self, ip: str, port: int) -> None:
        assert self._start is not None
        try:
            if not listening(port):
                self._start(port)
        except LabError as error:
            self._note(say("{reason}; {hint}", reason=error.message, hint=error.hint))
            return
        if not outside.loopback(ip):
            # It listens at 127.0.0.1 alone; here that address is a second name for it.
            with contextlib.suppress(OSError):
                relay.give_address(ip)
                relay.Door(ip, port, self._switches, lambda switch: _bridge(switch, port))

    def _near(self, ip: str, ports: Sequence[int], pid: int, command: str) -> None:
        if any(map(listening, ports)):
            return
        loading = _may_control(pid)
        if not loading:
            for port in ports:
                if self._state(("127.0.0.1", port)) == outside.THERE:
                    self._open(ip, port, port)
                    return
        self._await(self._await_near, ip, ports, command, loading)

    def _await(self, work: Callable[..., None], ip: str, ports: Sequence[int], *more: Any) -> None:
        if (ip, ports[0]) not in self._awaited:
            self._awaited.add((ip, ports[0]))
            threading.Thread(target=work, args=(ip, ports, *more), daemon=True).start()

    def _await_near(
        self, ip: str, ports: Sequence[int], command: str, loading: Collection[int]
    ) -> None:
        """Until somebody listens, here or outside; say, once, that nobody does."""
        began, said = time.monotonic(), False
        while not any(map(listening, ports)):
            states = {port: self._state(("127.0.0.1", port)) for port in ports}
            there = [port for port, state in states.items() if state == outside.THERE]
            waited_s = time.monotonic() - began
            loads = any(os.path.exists(f"/proc/{each}") for each in loading)
            if not loads or waited_s > (PREFERRED_S if there else LOADING_S):
                if there:
                    self._open(ip, ports[0], there[0])
                    return
                if not said and waited_s > ALONE_S:
                    said = True
                    self._note(_nobody(ip, ports[0], command, states[ports[0]]))
            time.sleep(_LOOK_S)

    def _await_far(self, ip: str, ports: Sequence[int], command: str) -> None:
        """Say that a controller elsewhere is not reached, unless it is in here after all."""
        time.sleep(ALONE_S)
        with contextlib.suppress(OSError):
            socket.create_connection((ip, ports[0]), ALONE_S).close()
            return
        self._note(_elsewhere(ip, ports[0], command))

    # ------------------------------------------------------------------ the door

    def _open(self, ip: str, port: int, port_outside: int) -> None:
        """Let switches that look for a controller at `ip` and `port` find the one outside."""
        def carry_on(address: outside.Address, switch: socket.socket) -> None:
            self._send({"connect": address}, [switch.fileno()])

        with contextlib.suppress(OSError):  # somebody listens there by now
            relay.lead_outside((ip, port_outside), self._switches, carry_on, port)
        with contextlib.suppress(LabError, OSError):
            bridges.ask_soon(f"tcp:{ip}:{port}")


def _bridge(switch: socket.socket, port: int) -> None:
    """Carry a switch's connection on to a controller in here."""
    own = switch.dup()  # the one that we were given is about to be closed
    address = ("127.0.0.1", port)
    threading.Thread(target=relay.carry, args=(own, address), daemon=True).start()


def _nobody(ip: str, port: int, command: str, state: str) -> Sentence:
    """Nobody listens where a controller is looked for. command: the script's."""
    listen = "" if port == PORTS[0] else f" --ofp-tcp-listen-port {port}"
    values = {
        "ip": ip,
        "port": port,
        "inside": _with_option("--controller APP.py", command),
        "outside": f"ryu-manager{listen} APP.py",
    }
    if state == outside.SHUT:
        return say(
            "no controller answers at {ip}:{port}, and one outside is not to be reached\n"
            "  Next: start one in here: {inside}",
            **values,
        )
    if state == outside.ANOTHERS:
        return say(
            "no controller answers at {ip}:{port}; outside a program of another user listens "
            "there, and only your own is reached\n"
            "  Next: start your own in another terminal: {outside}\n"
            "        or one in here: {inside}",
            **values,
        )
    return say(
        "no controller answers at {ip}:{port} yet, neither in here nor outside\n"
        "  Next: start one in another terminal: {outside}\n"
        "        or one in here: {inside}",
        **values,
    )


def _elsewhere(ip: str, port: int, command: str) -> Sentence:
    return say(
        "no controller answers at {ip}:{port}: what is outside of here is reached only if you "
        "say so\n"
        "  Next: {outside}\n"
        "        or start one in here: {inside}",
        ip=ip,
        port=port,
        outside=_with_option(f"--outside-controller {ip}:{port}", command),
        inside=_with_option("--controller APP.py", command),
    )


def _with_option(option: str, command: str) -> str:
    words = shlex.split(command)
    verb, rest = ("mn", words[1:]) if words[:1] == ["mn"] else ("run", words)
    return f"hoplab {verb} {option} -- {shlex.join(rest)}"


def _may_control(pid: int) -> set[int]:
    """The programs in here that could be a controller which is about to listen, other than the
    process of that id, those that it was started by, and ours."""
    own = {0, 1, os.getpid()}
    while pid > 1 and pid not in own:
        own.add(pid)
        try:
            with open(f"/proc/{pid}/stat") as file:
                pid = int(file.read().rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            break
    found = set()
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) not in own:
            with contextlib.suppress(OSError), open(f"/proc/{name}/cmdline", errors="replace") as f:
                if _MAY_CONTROL.search(" ".join(f.read().split("\0")[:3])):
                    found.add(int(name))
    return found
