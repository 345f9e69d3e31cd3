# SPDX-License-Identifier: Apache-2.0
"""Room for the frames that a switch in user space has sent and that wait in front of cables.

An ovs-vswitchd sends the frames of all its ports by one packet socket (af_packet_sock in its
netdev-linux.c), and a frame fills that socket's buffer until it has left the queue in front of its
cable. The default, 208 KiB, is room for some ninety frames: where cables have a rate it is used up
before their queues are, and what is then to be sent, by whichever port, is thrown away by Open
vSwitch and counted nowhere. So the socket gets room for all that its queues can hold; a user who is
not root gets what the machine allows (net.core.wmem_max, twice).

What lives here: that socket and its buffer. What must not: captures, the rates of cables.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
from collections.abc import Iterable

from hoplab.errors import LabError
from hoplab.kernel.netlink_questions import packet_sockets
from hoplab.openvswitch import flows
from hoplab.openvswitch.drops import held_by

_PIDFD_GETFD = 438  # on all architectures
_SO_SNDBUFFORCE = 32
_MOST = 1 << 30
_libc = ctypes.CDLL(None, use_errno=True)


def widen(pids: Iterable[int], ports: Iterable[tuple[str, int]], room: int) -> bool:
    """Give the sending sockets of these ovs-vswitchd room for so many bytes; whether all went as it
    should. ports: (bridge, number of a port there), one of each process at least. Where it cannot
    be, all stays as it was."""
    whole = True
    for bridge, port in ports:
        try:
            flows.refuse_to_send(bridge, port)  # the socket is made when it is first needed
        except LabError:
            whole = False
    try:
        unbound = {inode for inode, (index, _) in packet_sockets().items() if not index}
        for pid in pids:
            if unbound & held_by([pid]):
                _widen(pid, unbound, min(room, _MOST))
    except OSError:  # a kernel that does not tell, or gives no descriptor
        return False
    return whole


def _widen(pid: int, inodes: set[int], room: int) -> None:
    process = os.pidfd_open(pid)
    try:
        for name in os.listdir(f"/proc/{pid}/fd"):
            link = ""
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile, as what we asked by is
                link = os.readlink(f"/proc/{pid}/fd/{name}")
            if not (link.startswith("socket:[") and int(link[8:-1]) in inodes):
                continue
            copy = _libc.syscall(_PIDFD_GETFD, process, int(name), 0)
            if copy < 0:
                raise OSError(ctypes.get_errno(), "cannot take a descriptor of ovs-vswitchd")
            with socket.socket(fileno=copy) as sending:
                try:
                    sending.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, room)
                except PermissionError:
                    sending.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, room)
    finally:
        os.close(process)
