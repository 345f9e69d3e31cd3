# SPDX-License-Identifier: Apache-2.0
"""Interfaces as they appear, in network namespaces that somebody else makes.

A script of the user's makes its hosts itself, so nobody says when there is a new one. `Watch` looks
for network namespaces among the processes (the /proc of the sandbox shows nobody else's), and in
each namespace has a netlink socket that tells of new interfaces at once (rtnetlink(7),
RTMGRP_LINK). Whatever appears is added to a capture; what stands in a namespace without processes
is let go, for our sockets would keep it alive.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import threading
from dataclasses import dataclass, field

from hoplab import wait
from hoplab.namespaces import in_thread
from hoplab.sandbox import CLONE_NEWNET, setns
from hoplab.wire.capture import Capture, Tap, open_socket
from hoplab.wire.pcapng import InterfaceInfo

LOOK_S = 0.02  # between looks for namespaces
_RTMGRP_LINK = 1
_RTM_GETLINK, _RTM_NEWLINK, _RTM_DELLINK = 18, 16, 17
_DUMP = 0x301  # NLM_F_REQUEST | NLM_F_DUMP
_IFLA_IFNAME = 3


@dataclass
class _Space:
    """A network namespace: a descriptor of it, a socket inside, its interfaces by index."""

    net: int
    link: socket.socket
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
            ready = wait.readable([s.link.fileno() for s in self._spaces.values()], LOOK_S)
            for space in [s for s in self._spaces.values() if s.link.fileno() in ready]:
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
            space.link.close()
            os.close(space.net)
        for number, pid in seen.items():
            if number not in self._spaces:
                with contextlib.suppress(OSError):  # it has ended meanwhile
                    self._open(number, pid)

    def _open(self, number: int, pid: str) -> None:
        net = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)

        def inside() -> socket.socket:
            setns(net, CLONE_NEWNET)
            link = socket.socket(
                socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE
            )
            link.bind((0, _RTMGRP_LINK))
            # What is there already is told as if it were new.
            link.send(struct.pack("=IHHIIBx14s", 32, _RTM_GETLINK, _DUMP, 1, 0, 0, b""))
            return link

        self._spaces[number] = _Space(net, in_thread(inside), _node(pid))
        self._read(self._spaces[number])

    def _read(self, space: _Space) -> None:
        """What the kernel tells of interfaces."""
        new: dict[int, tuple[str, bytes]] = {}
        while True:
            try:
                data = space.link.recv(1 << 17, socket.MSG_DONTWAIT)
            except BlockingIOError:
                break
            except OSError:  # more than its buffer holds was told at once: look at all again
                space.link.send(struct.pack("=IHHIIBx14s", 32, _RTM_GETLINK, _DUMP, 1, 0, 0, b""))
                continue
            at = 0
            while at + 16 <= len(data):
                length, kind = struct.unpack_from("=IH", data, at)
                if kind in (_RTM_NEWLINK, _RTM_DELLINK):
                    index = struct.unpack_from("=i", data, at + 20)[0]
                    if kind == _RTM_NEWLINK:
                        new[index] = _attributes(data[at + 32 : at + length])
                    else:
                        new.pop(index, None)
                        label = space.labels.pop(index, None)
                        if label:
                            self.capture.drop(label)
                at += (length + 3) & ~3
        for index, (name, mac) in new.items():
            if index not in space.labels and name not in ("lo", "ovs-netdev", "ovs-system"):
                with contextlib.suppress(OSError):  # it has gone, or was given another name
                    self._tap(space, index, name, mac)

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


def _attributes(data: bytes) -> tuple[str, bytes]:
    """(name, MAC address) of the attributes of an RTM_NEWLINK message."""
    name, mac, at = "", b"", 0
    while at + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, at)
        if length < 4:
            break
        value = data[at + 4 : at + length]
        if kind == _IFLA_IFNAME:
            name = value.rstrip(b"\0").decode(errors="replace")
        elif kind == 1:  # IFLA_ADDRESS
            mac = value
        at += (length + 3) & ~3
    return name, mac
