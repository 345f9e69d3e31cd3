# SPDX-License-Identifier: Apache-2.0
"""Delay in front of cables on kernels without netem: interfaces beside those of the lab, and the
process that holds their frames back (`wire_process.py`).

`shaping.py` redirects what an interface is to send to one of ours beside it, in the same namespace;
its other end is in a namespace of its own, where a packet socket hears it. The process sends it by
the interface that it was meant for, with the priority that lets it pass the queues (`PAST`). So
addresses, routes, names and ports of a cable stay as they are when it is delayed and when it is
not, and a capture sees every frame once, when it leaves.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass
from typing import Protocol

from hoplab.kernel import netlink, offloads
from hoplab.kernel.batch import Place
from hoplab.kernel.namespaces import Namespace, in_thread
from hoplab.kernel.shaping import PAST, Limits
from hoplab.kernel.system_calls import CLONE_NEWNET, setns, unshare

ETH_P_ALL = 3
BUFFER_BYTES = 8 << 20
LARGEST_MTU = 65535
ANSWER_S = 5.0
_SOL_PACKET, _PACKET_AUXDATA = 263, 8
_MAC = "06:00:00"
_SO_PRIORITY, _SO_SNDBUFFORCE, _SO_RCVBUFFORCE = 12, 32, 33


@dataclass
class _Beside:
    """Our interface beside one of the lab's: its name and index there, and the other end's."""

    name: str
    index: int
    far: str
    limits: Limits
    priority: int = PAST  # of the frames that are sent on: where the interface's queues let them


Where = tuple[Place, str]  # an interface of the lab


class Maker(Protocol):
    """Who has a namespace from which pairs are asked for (`Batch`)."""

    @property
    def maker(self) -> Namespace: ...


class Wires:
    """All of a lab. A thread at a time."""

    def __init__(self, batch: Maker) -> None:
        self._batch = batch
        self._space: Namespace | None = None
        self._beside: dict[Where, _Beside] = {}
        self._made = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None
        self._lock = threading.RLock()

    def name_beside(self, where: Where) -> str:
        """The name of our interface beside one of the lab's, made if there is none. Raises
        OSError."""
        with self._lock:
            if where not in self._beside:
                self._beside[where] = self._make(where[0])
            return self._beside[where].name

    def hold(self, where: Where, limits: Limits, priority: int = PAST) -> None:
        """From now on delay what is redirected beside that interface, and send it on with that
        priority. Raises OSError."""
        with self._lock:
            self.name_beside(where)
            self._beside[where].limits = limits
            self._beside[where].priority = priority
            if not self.mend():
                self._add(where)

    def priority(self, where: Where) -> int | None:
        """With which frames are sent on there; None if none are held back."""
        with self._lock:
            beside = self._beside.get(where)
            return None if beside is None else beside.priority

    def let_go(self, where: Where) -> None:
        """Delay it no more: its queue redirects nothing any more. What is held leaves in time."""
        with self._lock:
            beside = self._beside.pop(where, None)
            if beside is not None:
                self._send({"wire": beside.far})
                with contextlib.suppress(OSError):
                    where[0].namespace.route.send([netlink.link_gone(beside.index, beside.name)])

    def indexes(self) -> list[tuple[Place, int, str]]:
        """Where each is: its namespace, its index there, and the lab's interface that it serves."""
        with self._lock:
            return [
                (place, beside.index, name) for (place, name), beside in self._beside.items()
            ]

    def lost(self) -> dict[Where, int]:
        """Frames that there was no room for, since each wire was made."""
        with self._lock:
            self._send({"lost": True})
            if self._channel is None:
                return {}
            try:
                counts = json.loads(self._channel.recv(1 << 16))
            except (OSError, ValueError):
                return {}
            return {
                where: counts.get(beside.far, 0) for where, beside in self._beside.items()
            }

    def mend(self) -> bool:
        """Start the process if it is needed and not there; whether it had to be."""
        with self._lock:
            if not self._beside or (self._process is not None and self._process.poll() is None):
                return False
            self._start()
            for where in self._beside:
                self._add(where)
            return True

    def _make(self, place: Place) -> _Beside:
        if self._space is None:
            (self._space,) = Namespace.create(["wires"])
        number = self._made
        self._made += 1
        name, far = f"wire{number}", f"far{number}"
        index, far_index = place.next_index, 100 + number
        place.next_index += 1
        near = netlink.End(name, _mac(number, 0), index, place.namespace.net)
        end = netlink.End(far, _mac(number, 1), far_index, self._space.net)
        self._batch.maker.route.send([netlink.veth(near, end)])
        for route, each, at in (
            (place.namespace.route, name, index), (self._space.route, far, far_index)
        ):  # fmt: skip
            offloads.offloads_off(route, each)
            route.send([netlink.link_apart(at, each, LARGEST_MTU), netlink.link_up(at, each)])
        return _Beside(name, index, far, Limits())

    def _add(self, where: Where) -> None:
        """Open the sockets of a wire and hand them over, or tell of another delay."""
        place, name = where
        beside = self._beside[where]
        assert self._space is not None
        space = self._space

        def hears() -> socket.socket:
            unshare(0x200)
            setns(space.net, CLONE_NEWNET)
            sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            _widen(sock, socket.SO_RCVBUF, _SO_RCVBUFFORCE)
            sock.setsockopt(_SOL_PACKET, _PACKET_AUXDATA, 1)
            sock.setblocking(False)
            sock.bind((beside.far, ETH_P_ALL))
            return sock

        def sends() -> socket.socket:
            unshare(0x200)
            setns(place.namespace.net, CLONE_NEWNET)
            sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            _widen(sock, socket.SO_SNDBUF, _SO_SNDBUFFORCE)
            sock.setsockopt(socket.SOL_SOCKET, _SO_PRIORITY, beside.priority)
            sock.setblocking(False)
            sock.bind((name, 0))
            return sock

        with in_thread(hears) as listening, in_thread(sends) as sending:
            order = {
                "wire": beside.far,
                "delay_ns": round(beside.limits.delay_ms * 1e6),
                "jitter_ns": round(beside.limits.jitter_ms * 1e6),
            }
            self._send(order, [listening.fileno(), sending.fileno()])

    def _start(self) -> None:
        if self._channel is not None:
            self._channel.close()
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._channel.settimeout(ANSWER_S)
        ours = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        begin = "from hoplab.kernel.wire_process import main; main()"
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-S", "-c", f"import sys; sys.path.insert(0, {ours!r}); {begin}",
                 str(theirs.fileno())],
                stdin=subprocess.DEVNULL, pass_fds=(theirs.fileno(),), start_new_session=True,
            )  # fmt: skip

    def _send(self, order: dict[str, object], numbers: list[int] | None = None) -> None:
        if self._channel is not None:
            with contextlib.suppress(OSError):
                socket.send_fds(self._channel, [json.dumps(order).encode()], numbers or [])


def _widen(sock: socket.socket, plain: int, forced: int) -> None:
    try:
        sock.setsockopt(socket.SOL_SOCKET, forced, BUFFER_BYTES)
    except OSError:
        sock.setsockopt(socket.SOL_SOCKET, plain, BUFFER_BYTES)


def is_ours(name: str, mac: str) -> bool:
    """Whether an interface is one of those beside the lab's, which is none of its own."""
    return name.startswith("wire") and mac.startswith(_MAC)


def _mac(number: int, end: int) -> str:
    """No frame bears it: the frames on a wire are those of the lab."""
    return f"{_MAC}:{number >> 8 & 0xFF:02x}:{number & 0xFF:02x}:{end:02x}"
