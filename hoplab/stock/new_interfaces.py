# SPDX-License-Identifier: Apache-2.0
"""Interfaces as they appear, in network namespaces that somebody else makes.

A script of the user's makes its hosts itself, so nobody says when there is a new one. `Watch` looks
for network namespaces among the processes (the /proc of the sandbox shows nobody else's), and in
each namespace has a netlink socket that tells of new interfaces at once. Whatever appears is added
to a capture; what stands in a namespace without processes is let go, for our sockets would keep it
alive.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from dataclasses import dataclass, field

from hoplab import wait
from hoplab.capture.capture import Capture, Tap, open_socket
from hoplab.capture.pcapng_format import InterfaceInfo
from hoplab.kernel import wires
from hoplab.kernel.namespaces import in_thread
from hoplab.kernel.netlink_news import Link, LinkNews
from hoplab.kernel.system_calls import CLONE_NEWNET, setns

_NONE_OF_THEIRS = ("lo", "ovs-netdev", "ovs-system")
LOOK_S = 0.02  # between looks for namespaces


@dataclass
class _Space:
    """A network namespace: a descriptor of it, who tells of its interfaces, these by index."""

    net: int
    news: LinkNews
    node: str
    labels: dict[int, str] = field(default_factory=dict)


class Watch:
    """Adds every interface of every namespace to `capture`, until `stop`."""

    def __init__(self, capture: Capture) -> None:
        self.capture = capture
        self._spaces: dict[int, _Space] = {}
        self._taken: dict[str, int] = {}  # label -> how often it was given
        self._ending = threading.Event()
        self._own = os.stat("/proc/self/ns/net").st_ino
        self._look()
        self._thread = threading.Thread(target=self._body, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Look no more. The capture is the caller's to stop."""
        self._ending.set()
        self._thread.join()

    def _body(self) -> None:
        while not self._ending.is_set():
            ready = wait.readable([s.news.fileno() for s in self._spaces.values()], LOOK_S)
            for space in [s for s in self._spaces.values() if s.news.fileno() in ready]:
                self._read(space)
            with contextlib.suppress(OSError):
                self._look()

    def _look(self) -> None:
        """New namespaces, and those that have no process any more."""
        seen: dict[int, str] = {}
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                with contextlib.suppress(OSError):
                    seen.setdefault(os.stat(f"/proc/{entry}/ns/net").st_ino, entry)
        for number in [n for n in self._spaces if n not in seen and n != self._own]:
            space = self._spaces.pop(number)
            for label in space.labels.values():
                self.capture.drop(label)
            space.news.close()
            os.close(space.net)
        for number, pid in seen.items():
            if number not in self._spaces:
                with contextlib.suppress(OSError):  # it has ended meanwhile
                    self._open(number, pid)

    def _open(self, number: int, pid: str) -> None:
        net = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)

        def inside() -> LinkNews:
            setns(net, CLONE_NEWNET)
            return LinkNews()

        self._spaces[number] = _Space(net, in_thread(inside), _node(pid))
        self._read(self._spaces[number])

    def _read(self, space: _Space) -> None:
        """What the kernel tells of interfaces."""
        new: dict[int, Link] = {}
        for index, link in space.news.read():
            if link is not None:
                new[index] = link
                continue
            new.pop(index, None)
            label = space.labels.pop(index, None)
            if label:
                self.capture.drop(label)
        for index, link in new.items():
            other = link.name in _NONE_OF_THEIRS or wires.is_ours(link.name, link.mac.hex(":"))
            if index not in space.labels and not other:
                with contextlib.suppress(OSError):  # it has gone, or was given another name
                    self._tap(space, index, link.name, link.mac)

    def _tap(self, space: _Space, index: int, name: str, mac: bytes) -> None:
        def inside() -> socket.socket:
            setns(space.net, CLONE_NEWNET)
            return open_socket(name)

        sock = in_thread(inside)
        label = name if not space.node or name.startswith(space.node) else f"{space.node}:{name}"
        again = self._taken[label] = self._taken.get(label, 0) + 1
        if again > 1:
            label += f" ({again})"
        space.labels[index] = label
        about = f"interface of {space.node}" if space.node else "interface outside the hosts"
        self.capture.add(Tap(InterfaceInfo(label, about, mac.hex(":")), sock))


def _node(pid: str) -> str:
    """The name of the node that a process belongs to, as Mininet marks its shells
    ("mininet:h1"), or ""."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as file:
        for word in file.read().split(b"\0"):
            if word.startswith(b"mininet:"):
                return word[8:].decode(errors="replace")
    return ""
