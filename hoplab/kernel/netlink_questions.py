# SPDX-License-Identifier: Apache-2.0
"""What parts of the kernel other than its network interfaces answer over netlink: which sockets
there are (sock_diag(7)), whether nftables has a table, whether a generic family is there.

Each question is about the network namespace of the thread that asks it.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import struct
from collections.abc import Iterator
from typing import Any

from hoplab.kernel.netlink import (
    LARGEST,
    NLM_F_DUMP,
    NLM_F_REQUEST,
    NLMSG_DONE,
    NLMSG_ERROR,
    error_number,
    messages_in,
    read_attributes,
    request,
    text_attribute,
)

_NETLINK_SOCK_DIAG, _SOCK_DIAG_BY_FAMILY = 4, 20
_DIAGNOSIS, _DIAGNOSIS_S = socket.SOCK_RAW | socket.SOCK_CLOEXEC, 2.0
_PACKET_SHOW = 0x1 | 0x10  # PACKET_SHOW_INFO and _MEMINFO of linux/packet_diag.h, and their answers
_PACKET_INFO, _PACKET_MEMORY = 0, 6
_MEMORY_DROPS = 8  # SK_MEMINFO_DROPS of linux/sock_diag.h: which of the words it is
_TCP_CLOSE, _TCP_LISTEN = 7, 10  # include/net/tcp_states.h; a UDP socket that waits is "closed"
# Those of a connection that was begun and is not over (include/net/tcp_states.h; names of ss(8)).
_TCP_STATES = {
    1: "ESTAB", 2: "SYN-SENT", 3: "SYN-RECV", 4: "FIN-WAIT-1", 5: "FIN-WAIT-2", 6: "TIME-WAIT",
    8: "CLOSE-WAIT", 9: "LAST-ACK", 11: "CLOSING", 12: "SYN-RECV",
}  # fmt: skip
_NETLINK_NETFILTER, _NETLINK_GENERIC = 12, 16
_NFT_MSG_NEWTABLE, _NFT_MSG_GETTABLE = 10 << 8, 10 << 8 | 1  # linux/netfilter/nf_tables.h
_GENL_ID_CTRL, _CTRL_CMD_GETFAMILY, _CTRL_ATTR_FAMILY_NAME = 0x10, 3, 2


def generic_family(name: str) -> bool:
    """Whether the kernel has a generic netlink family of this name
    (Documentation/userspace-api/netlink/intro.rst in its sources). Raises OSError."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_GENERIC) as generic:
        generic.bind((0, 0))
        body = struct.pack("=BBH", _CTRL_CMD_GETFAMILY, 1, 0) + text_attribute(
            _CTRL_ATTR_FAMILY_NAME, name
        )
        generic.send(request(_GENL_ID_CTRL, NLM_F_REQUEST, 1, body))
        return all(kind != NLMSG_ERROR for kind, _, _ in messages_in(generic.recv(LARGEST)))


def listening() -> Iterator[dict[str, Any]]:
    """The TCP and UDP sockets in the network namespace of the calling thread that wait for
    somebody: protocol, address ("" for any), port, and the inode by which a process holds them
    (sock_diag(7); /proc/net/tcp would walk all connections of the machine). Raises OSError."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as diagnosis:
        diagnosis.bind((0, 0))
        for family in (socket.AF_INET, socket.AF_INET6):
            for protocol, number, state in (("tcp", 6, _TCP_LISTEN), ("udp", 17, _TCP_CLOSE)):
                # struct inet_diag_req_v2 (linux/inet_diag.h)
                body = struct.pack("=BBBBI48x", family, number, 0, 0, 1 << state)
                flags = NLM_F_REQUEST | NLM_F_DUMP
                diagnosis.send(request(_SOCK_DIAG_BY_FAMILY, flags, 1, body))
                for answer in _dumped(diagnosis):
                    (port,) = struct.unpack_from("!H", answer, 4)
                    (inode,) = struct.unpack_from("=I", answer, 68)
                    raw = answer[8:12] if family == socket.AF_INET else answer[8:24]
                    address = "" if not any(raw) else str(ipaddress.ip_address(raw))
                    yield {
                        "protocol": protocol,
                        "address": address.removeprefix("::ffff:"),
                        "port": port,
                        "inode": inode,
                    }


def connections() -> Iterator[dict[str, Any]]:
    """The TCP connections in the network namespace of the calling thread: both ends, and the state
    as ss(8) names it. Raises OSError."""
    with socket.socket(socket.AF_NETLINK, _DIAGNOSIS, _NETLINK_SOCK_DIAG) as diagnosis:
        diagnosis.settimeout(_DIAGNOSIS_S)
        for family in (socket.AF_INET, socket.AF_INET6):
            wanted = sum(1 << state for state in _TCP_STATES)
            body = struct.pack("=BBBBI48x", family, 6, 0, 0, wanted)
            diagnosis.send(request(_SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST | NLM_F_DUMP, 1, body))
            for answer in _dumped(diagnosis):
                local_port, peer_port = struct.unpack_from("!HH", answer, 4)
                size = 4 if family == socket.AF_INET else 16
                local, peer = answer[8 : 8 + size], answer[24 : 24 + size]
                yield {
                    "local": _end(local, local_port),
                    "peer": _end(peer, peer_port),
                    "state": _TCP_STATES.get(answer[1], str(answer[1])),
                }


def _end(raw: bytes, port: int) -> str:
    address = str(ipaddress.ip_address(raw)).removeprefix("::ffff:")
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def packet_sockets() -> dict[int, tuple[int, int]]:
    """The packet sockets in the network namespace of the calling thread: inode -> (index of the
    interface that each is bound to, frames that it has dropped so far). Raises OSError."""
    sockets: dict[int, tuple[int, int]] = {}
    with socket.socket(socket.AF_NETLINK, _DIAGNOSIS, _NETLINK_SOCK_DIAG) as diagnosis:
        diagnosis.settimeout(_DIAGNOSIS_S)
        # struct packet_diag_req (linux/packet_diag.h)
        body = struct.pack("=BBHIIII", socket.AF_PACKET, 0, 0, 0, _PACKET_SHOW, 0, 0)
        flags = NLM_F_REQUEST | NLM_F_DUMP
        diagnosis.send(request(_SOCK_DIAG_BY_FAMILY, flags, 1, body))
        for answer in _dumped(diagnosis):
            (inode,) = struct.unpack_from("=I", answer, 4)
            attributes = read_attributes(answer, 16)
            info = attributes.get(_PACKET_INFO, bytes(4))
            memory = attributes.get(_PACKET_MEMORY, b"").ljust(4 * (_MEMORY_DROPS + 1), b"\0")
            (drops,) = struct.unpack_from("=I", memory, 4 * _MEMORY_DROPS)
            sockets[inode] = struct.unpack_from("=I", info)[0], drops
    return sockets


def _dumped(sock: socket.socket) -> Iterator[bytes]:
    """The bodies of the messages in which the kernel answers, to the end. Raises OSError."""
    while True:
        for kind, _, body in messages_in(sock.recv(LARGEST)):
            if kind == NLMSG_DONE:
                return
            if kind == NLMSG_ERROR:
                raise OSError(error_number(body), os.strerror(error_number(body)))
            yield body


def has_nft_tables() -> bool:
    """Whether nftables has a table in the network namespace of the calling thread; iptables makes
    some, too, where it speaks to nftables. Raises OSError."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER) as netfilter:
        netfilter.bind((0, 0))
        body = struct.pack("=BBH", socket.AF_UNSPEC, 0, 0)  # struct nfgenmsg
        netfilter.send(request(_NFT_MSG_GETTABLE, NLM_F_REQUEST | NLM_F_DUMP, 1, body))
        return any(kind == _NFT_MSG_NEWTABLE for kind, _, _ in messages_in(netfilter.recv(LARGEST)))
