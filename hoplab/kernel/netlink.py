# SPDX-License-Identifier: Apache-2.0
"""rtnetlink messages: what a lab asks of the kernel, many in one send, and what it reads there.

A message is made as bytes, with a sentence that says what it is for; `Socket.send` hands hundreds
to the kernel at once and reads one acknowledgement for each. Interface indexes are chosen by the
caller, so nothing has to be looked up between two messages. What the kernel tells unasked is read
by `netlink_news`, what other parts of it answer by `netlink_questions`. rtnetlink(7), netlink(7);
the numbers are those of linux/rtnetlink.h, linux/if_link.h and linux/veth.h.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import struct
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from hoplab.errors import reason_of
from hoplab.sentences import say, term

RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK = 16, 17, 18
RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR, RTM_NEWROUTE = 20, 21, 22, 24
RTM_NEWNEIGH, RTM_DELNEIGH, RTM_GETNEIGH = 28, 29, 30
RTM_DELROUTE, RTM_GETROUTE, RTM_GETRULE = 25, 26, 34
RTM_DELQDISC, RTM_GETQDISC = 37, 38
NLM_F_REQUEST, NLM_F_ACK, NLM_F_REPLACE, NLM_F_EXCL, NLM_F_CREATE = 1, 4, 0x100, 0x200, 0x400
NLM_F_DUMP = 0x300
NLMSG_ERROR, NLMSG_DONE = 2, 3

IFLA_ADDRESS, IFLA_IFNAME, IFLA_LINKINFO, IFLA_NET_NS_FD = 1, 3, 18, 28
IFLA_NUM_TX_QUEUES, IFLA_NUM_RX_QUEUES = 31, 32
_IFLA_STATS64, _IFLA_AF_SPEC = 23, 26
_AF_INET6, _IFLA_INET6_ADDR_GEN_MODE = 10, 8
IFLA_INFO_KIND, IFLA_INFO_DATA, VETH_INFO_PEER = 1, 2, 1
IFA_ADDRESS, IFA_LOCAL, IFA_BROADCAST = 1, 2, 4
RTA_DST, RTA_OIF, RTA_GATEWAY = 1, 4, 5
_IFLA_MTU, _RTA_PRIORITY, _RTA_PREFSRC, _RTA_TABLE = 4, 6, 7, 15
_FRA_DST, _FRA_SRC, _FRA_IIFNAME, _FRA_PRIORITY, _FRA_FWMARK, _FRA_TABLE = 1, 2, 3, 6, 10, 15
_IFF_LOWER_UP = 1 << 16  # the cable is plugged in, and the other end is up (netdevice(7))
RTM_F_CLONED = 0x200  # remembered of what a router told by ICMP
_RTNH_F_DEAD, RTNH_F_ONLINK, _RTNH_F_LINKDOWN = 1, 4, 16
_TABLE_LOCAL = 255
# linux/rtnetlink.h, RTN_*: the kinds of routes that somebody may have set, by `ip route`'s names.
_ROUTE_KINDS = {1: "unicast", 6: "blackhole", 7: "unreachable", 8: "prohibit", 9: "throw"}
# linux/fib_rules.h, FR_ACT_*
_RULE_ACTIONS = {1: "table", 6: "blackhole", 7: "unreachable", 8: "prohibit"}
_NDA_DST, _NDA_LLADDR, _NUD_PERMANENT = 1, 2, 0x80
_TCA_KIND, _TCA_STATS, _TCA_STATS2, _TCA_STATS_QUEUE = 1, 3, 7, 3
_TC_H_ROOT, _TC_H_INGRESS = 0xFFFFFFFF, 0xFFFFFFF1
_SCOPE_UNIVERSE = 0
IFF_UP, IFF_NOARP = 1, 0x80
LOOPBACK = 1  # the index of lo in every network namespace

_BATCH = 100  # messages a send: their acknowledgements must fit the receive buffer
_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence number, port
LARGEST = 1 << 17  # more than the kernel puts into one datagram


@dataclass(frozen=True, slots=True)
class Message:
    """One request. `body` follows the netlink header; `purpose` completes "cannot …"."""

    kind: int
    flags: int
    body: bytes
    purpose: str
    ignore: tuple[int, ...] = ()  # errno values that are no failure here


def request(kind: int, flags: int, sequence: int, body: bytes) -> bytes:
    """A message to the kernel, padded so that another one can follow."""
    length = _HEADER.size + len(body)
    return _HEADER.pack(length, kind, flags, sequence, 0) + body + b"\0" * (-length % 4)


def messages_in(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """(type, sequence number, body) of each message in a datagram."""
    at = 0
    while at + _HEADER.size <= len(data):
        length, kind, _, sequence, _ = _HEADER.unpack_from(data, at)
        yield kind, sequence, data[at + _HEADER.size : at + length]
        at += max(_HEADER.size, (length + 3) & ~3)


def error_number(body: bytes) -> int:
    """What an NLMSG_ERROR says: an errno value, 0 for an acknowledgement."""
    return int(-struct.unpack_from("=i", body)[0])


def attribute(kind: int, data: bytes) -> bytes:
    length = 4 + len(data)
    return struct.pack("=HH", length, kind) + data + b"\0" * (-length % 4)


def text_attribute(kind: int, value: str) -> bytes:
    return attribute(kind, value.encode() + b"\0")


def _u32(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack("=I", value))


def mac_bytes(mac: str) -> bytes:
    """'02:00:00:00:00:01' as six bytes, written shorter as in '2:0:0:0:0:1', too. Raises
    ValueError."""
    digits = [part.zfill(2) for part in mac.replace("-", ":").split(":")]
    raw = bytes.fromhex("".join(digits))
    if len(raw) != 6:
        raise ValueError(f"{mac} is no MAC address")
    return raw


def mac_text(mac: str) -> str:
    """A MAC address in whichever of its forms, as six pairs of digits. Raises ValueError."""
    return mac_bytes(mac).hex(":")


def interface_info(index: int = 0, flags: int = 0, change: int = 0) -> bytes:
    return struct.pack("=BBHiII", socket.AF_UNSPEC, 0, 0, index, flags, change)


@dataclass(frozen=True, slots=True)
class End:
    """One end of a veth pair: `index` is the interface index to take, `net` a descriptor of the
    network namespace to be born in."""

    name: str
    mac: str
    index: int
    net: int

    def attributes(self) -> bytes:
        return (
            text_attribute(IFLA_IFNAME, self.name)
            + attribute(IFLA_ADDRESS, mac_bytes(self.mac))
            + _u32(IFLA_NET_NS_FD, self.net)
            + _u32(IFLA_NUM_TX_QUEUES, 1)  # else one a processor, for packets that come one by one
            + _u32(IFLA_NUM_RX_QUEUES, 1)
        )


def veth(one: End, other: End) -> Message:
    """A pair of virtual Ethernet interfaces, both down (veth(4))."""
    peer = attribute(VETH_INFO_PEER, interface_info(other.index) + other.attributes())
    info = text_attribute(IFLA_INFO_KIND, "veth") + attribute(IFLA_INFO_DATA, peer)
    body = interface_info(one.index) + one.attributes() + attribute(IFLA_LINKINFO, info)
    return Message(
        RTM_NEWLINK,
        NLM_F_CREATE | NLM_F_EXCL,
        body,
        say("make the link {port} - {port2}", port=one.name, port2=other.name),
    )


def link_up(index: int, name: str, up: bool = True) -> Message:
    """Set an interface up or down."""
    body = interface_info(index, IFF_UP if up else 0, IFF_UP)
    purpose = say("set {port} up", port=name) if up else say("set {port} down", port=name)
    return Message(RTM_NEWLINK, 0, body, purpose)


def link_mac(index: int, name: str, mac: str) -> Message:
    """Give an interface another MAC address."""
    return Message(
        RTM_NEWLINK,
        0,
        interface_info(index) + attribute(IFLA_ADDRESS, mac_bytes(mac)),
        say("give {port} the MAC address {mac}", port=name, mac=mac),
    )


def link_apart(index: int, name: str, mtu: int) -> Message:
    """Have an interface say nothing by itself, neither by ARP nor by IPv6 (it gets no address),
    and take packets of so many bytes."""
    none = attribute(_AF_INET6, struct.pack("=HHB3x", 5, _IFLA_INET6_ADDR_GEN_MODE, 1))
    body = interface_info(index, IFF_NOARP, IFF_NOARP) + _u32(_IFLA_MTU, mtu)
    if os.path.exists("/proc/net/if_inet6"):
        body += attribute(_IFLA_AF_SPEC, none)
    return Message(RTM_NEWLINK, 0, body, say("set {port} apart", port=name))


def link_gone(index: int, name: str) -> Message:
    """Take an interface away, and the other end of its pair with it; no failure if it has gone."""
    purpose = say("take {port} away", port=name)
    return Message(RTM_DELLINK, 0, interface_info(index), purpose, (errno.ENODEV,))


def address(index: int, name: str, cidr: str, *, add: bool = True) -> Message:
    """Add (or remove) an address such as '10.0.0.1/24'. Raises ValueError."""
    face = ipaddress.ip_interface(cidr)
    family = socket.AF_INET if face.version == 4 else socket.AF_INET6
    raw = face.ip.packed
    body = struct.pack("=BBBBI", family, face.network.prefixlen, 0, 0, index)
    body += attribute(IFA_LOCAL, raw) + attribute(IFA_ADDRESS, raw)
    if face.version == 4 and face.network.prefixlen < 31:
        body += attribute(IFA_BROADCAST, face.network.broadcast_address.packed)
    if add:
        purpose = say("give {port} the address {ip}", port=name, ip=cidr)
        return Message(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, body, purpose)
    purpose = say("take the address {ip} from {port}", ip=cidr, port=name)
    return Message(RTM_DELADDR, 0, body, purpose, (99,))


def route(
    destination: str | None, *, gateway: str | None = None, index: int | None = None
) -> Message:
    """A route to '10.0.0.0/8', or the default one (None), replacing the one that is there."""
    network = ipaddress.ip_network(destination) if destination else None
    hop = ipaddress.ip_address(gateway) if gateway else None
    version = (network or hop or ipaddress.ip_address("0.0.0.0")).version
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    scope = 0 if gateway else 253  # RT_SCOPE_UNIVERSE, RT_SCOPE_LINK
    length = network.prefixlen if network else 0
    # table main, protocol boot, type unicast
    body = struct.pack("=BBBBBBBBI", family, length, 0, 0, 254, 3, scope, 1, 0)
    if network and length:
        body += attribute(RTA_DST, network.network_address.packed)
    if hop:
        body += attribute(RTA_GATEWAY, hop.packed)
    if index is not None:
        body += _u32(RTA_OIF, index)
    target = destination or "default"
    purpose = (
        say("set the route to {network} via {router}", network=target, router=gateway)
        if gateway
        else say("set the route to {network}", network=target)
    )
    return Message(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, body, purpose)


def no_default_route() -> Message:
    """Take the default route away; no failure if there is none."""
    body = struct.pack("=BBBBBBBBI", socket.AF_INET, 0, 0, 0, 254, 0, 0xFF, 0, 0)
    return Message(RTM_DELROUTE, 0, body, term("take the default route away"), (errno.ESRCH,))


def neighbour(index: int, ip: str, mac: str) -> Message:
    """Know for good whose MAC address `ip` has: no ARP for it, and no room taken in the table that
    all namespaces share (arp(7): permanent entries do not count towards gc_thresh3)."""
    address = ipaddress.ip_address(ip)
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    body = struct.pack("=BBHiHBB", family, 0, 0, index, _NUD_PERMANENT, 0, 0)
    body += attribute(_NDA_DST, address.packed) + attribute(_NDA_LLADDR, mac_bytes(mac))
    purpose = say("make {mac} known as {ip}", mac=mac, ip=ip)
    return Message(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, body, purpose)


def neighbour_gone(index: int, ip: str) -> Message:
    """Forget whose MAC address `ip` has; no failure if it is not known (arp(7))."""
    address = ipaddress.ip_address(ip)
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    body = struct.pack("=BBHiHBB", family, 0, 0, index, 0, 0, 0)
    body += attribute(_NDA_DST, address.packed)
    purpose = say("forget the neighbour {ip}", ip=ip)
    return Message(RTM_DELNEIGH, 0, body, purpose, (errno.ENOENT,))


def read_attributes(body: bytes, at: int) -> dict[int, bytes]:
    """The attributes that follow the first `at` bytes (struct rtattr, rtnetlink(7))."""
    attributes = {}
    while at + 4 <= len(body):
        length, kind = struct.unpack_from("=HH", body, at)
        attributes[kind] = body[at + 4 : at + length]
        at += max(4, (length + 3) & ~3)
    return attributes


def _add_address(by_interface: dict[int, list[str]], body: bytes) -> None:
    """Read one RTM_NEWADDR."""
    _, prefix, _, scope, index = struct.unpack_from("=BBBBI", body)
    attributes = read_attributes(body, 8)
    # Of a point-to-point link IFA_ADDRESS is the other end's; IPv6 often has nothing else.
    raw = attributes.get(IFA_LOCAL) or attributes[IFA_ADDRESS]
    if scope == _SCOPE_UNIVERSE:
        by_interface.setdefault(index, []).append(f"{ipaddress.ip_address(raw)}/{prefix}")


class Socket:
    """A netlink socket in the network namespace of the thread that opens it. Threads may share it:
    one after the other sends and reads what is answered, for an answer goes to whoever reads."""

    def __init__(self) -> None:
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE
        )
        self._socket.bind((0, 0))
        self._sequence = 0
        self._turn = threading.Lock()

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def send(self, messages: Iterable[Message]) -> None:
        """Hand all messages to the kernel in their order. Raises OSError "cannot PURPOSE: why" for
        the first that fails; the later ones of its batch have been carried out."""
        todo = list(messages)
        for start in range(0, len(todo), _BATCH):
            with self._turn:
                self._send_batch(todo[start : start + _BATCH])

    def _send_batch(self, batch: list[Message]) -> None:
        out = bytearray()
        waiting: dict[int, Message] = {}
        for message in batch:
            self._sequence += 1
            waiting[self._sequence] = message
            flags = NLM_F_REQUEST | NLM_F_ACK | message.flags
            out += request(message.kind, flags, self._sequence, message.body)
        self._socket.sendto(out, (0, 0))
        failure: OSError | None = None
        while waiting:
            for kind, sequence, body in messages_in(self._socket.recv(LARGEST)):
                if kind == NLMSG_ERROR and sequence in waiting:
                    message, number = waiting.pop(sequence), error_number(body)
                    if number and number not in message.ignore and failure is None:
                        failure = OSError(
                            number,
                            say(
                                "cannot {purpose}: {reason}",
                                purpose=message.purpose,
                                reason=reason_of(OSError(number, os.strerror(number))),
                            ),
                        )
        if failure:
            raise failure

    def addresses(self) -> dict[int, list[str]]:
        """All addresses by which others can reach this namespace, such as '10.0.0.1/24', by the
        index of their interface; those of a link or of the host alone are left out. Raises
        OSError."""
        by_interface: dict[int, list[str]] = {}
        body = struct.pack("=BBBBI", socket.AF_UNSPEC, 0, 0, 0, 0)
        with self._turn:
            for message in self._dump(RTM_GETADDR, body, term("addresses")):
                _add_address(by_interface, message)
        return by_interface

    def permanent_neighbours(self) -> set[str]:
        """The IPv4 addresses whose MAC addresses this namespace was told for good, as by `arp -s`.
        Raises OSError."""
        neighbours = set()
        body = struct.pack("=BBHiHBB", socket.AF_INET, 0, 0, 0, 0, 0, 0)
        with self._turn:
            for message in self._dump(RTM_GETNEIGH, body, term("neighbours")):
                state = struct.unpack_from("=BBHiHBB", message)[4]
                if state & _NUD_PERMANENT:
                    address = read_attributes(message, 12)[_NDA_DST]
                    neighbours.add(str(ipaddress.ip_address(address)))
        return neighbours

    def links(self) -> list[dict[str, Any]]:
        """The interfaces of this namespace: their index, name, MAC, MTU, whether they are set up,
        and whether the other end of their cable is up, too. Raises OSError."""
        with self._turn:
            bodies = self._dump(RTM_GETLINK, interface_info(), "interfaces")
        return [_state(body) for body in bodies]

    def link(self, index: int) -> dict[str, Any]:
        """One interface: as in `links`, with what it has sent ("sent", "sent_bytes"). Raises
        OSError (ENODEV) where there is none. Of many, all would take long to read."""
        with self._turn:
            body = self._answer(RTM_GETLINK, struct.pack("=BxHiII", 0, 0, index, 0, 0))
        counts = read_attributes(body, 16).get(_IFLA_STATS64, bytes(32))
        _, sent, _, sent_bytes = struct.unpack_from("=QQQQ", counts)
        return {**_state(body), "sent": sent, "sent_bytes": sent_bytes}

    def _answer(self, kind: int, body: bytes) -> bytes:
        """The one message that answers a question. Raises OSError."""
        self._sequence += 1
        self._socket.sendto(request(kind, NLM_F_REQUEST, self._sequence, body), (0, 0))
        while True:
            for answer, sequence, part in messages_in(self._socket.recv(LARGEST)):
                if sequence == self._sequence:
                    if answer == NLMSG_ERROR:
                        number = error_number(part)
                        raise OSError(number, os.strerror(number))
                    return part

    def traffic(self) -> dict[int, Traffic]:
        """What each interface has carried, by its index. Raises OSError."""
        carried = {}
        for body in self.raw(RTM_GETLINK, interface_info()):
            # struct rtnl_link_stats64: packets and bytes, received and sent
            counts = read_attributes(body, 16).get(_IFLA_STATS64, bytes(32))
            received, sent, received_bytes, sent_bytes = struct.unpack_from("=QQQQ", counts)
            index = struct.unpack_from("=i", body, 4)[0]
            carried[index] = Traffic(sent, sent_bytes, received, received_bytes)
        return carried

    def routes(self) -> list[dict[str, Any]]:
        """The IPv4 routes of all tables but the one of the namespace's own addresses, in the
        kernel's order. Raises OSError."""
        body = struct.pack("=BBBBBBBBI", socket.AF_INET, 0, 0, 0, 0, 0, 0, 0, 0)
        with self._turn:
            routes = [_route(answer) for answer in self._dump(RTM_GETROUTE, body, "routes")]
        return [route for route in routes if route is not None]

    def rules(self) -> list[dict[str, Any]]:
        """By which rules a routing table is chosen, in their order (ip-rule(8)). Raises OSError."""
        body = struct.pack("=BBBBBBBBI", socket.AF_INET, 0, 0, 0, 0, 0, 0, 0, 0)
        with self._turn:
            return [_rule(answer) for answer in self._dump(RTM_GETRULE, body, "routing rules")]

    def neighbours(self) -> list[dict[str, Any]]:
        """The ARP cache: index of the interface, address, MAC ("" if nobody answered), and whether
        somebody entered it for good. Raises OSError."""
        body = struct.pack("=BBHiHBB", socket.AF_INET, 0, 0, 0, 0, 0, 0)
        with self._turn:
            answers = self._dump(RTM_GETNEIGH, body, "neighbours")
        entries = [_neighbour(answer) for answer in answers]
        return [entry for entry in entries if entry is not None]

    def raw(self, kind: int, body: bytes) -> list[bytes]:
        """Everything of a kind, as the kernel tells it: what follows the header of each message.
        Raises OSError."""
        with self._turn:
            return self._dump(kind, body, term("settings"))

    def qdiscs(self, index: int = 0) -> list[Qdisc]:
        """The queues in front of this namespace's interfaces, what they hold and their children;
        index: of that interface alone. Raises OSError."""
        body = struct.pack("=BBHiIII", socket.AF_UNSPEC, 0, 0, index, 0, 0, 0)
        with self._turn:
            parts = self._dump(RTM_GETQDISC, body, term("queues"))
        # The kernel tells of all, whatever it is asked, and to read them takes longer than that.
        return [read_qdisc(part) for part in parts
                if not index or struct.unpack_from("=i", part, 4)[0] == index]  # fmt: skip

    def _dump(self, kind: int, body: bytes, content: str) -> list[bytes]:
        """Everything of a kind that the kernel tells: the body of each message."""
        self._sequence += 1
        flags = NLM_F_REQUEST | NLM_F_DUMP
        self._socket.sendto(request(kind, flags, self._sequence, body), (0, 0))
        bodies: list[bytes] = []
        while True:
            for answer, sequence, part in messages_in(self._socket.recv(LARGEST)):
                if sequence == self._sequence:
                    if answer == NLMSG_DONE:
                        return bodies
                    if answer == NLMSG_ERROR:
                        number = error_number(part)
                        raise OSError(
                            number,
                            say(
                                "cannot read {content}: {reason}",
                                content=content,
                                reason=reason_of(OSError(number, os.strerror(number))),
                            ),
                        )
                    bodies.append(part)


def _state(body: bytes) -> dict[str, Any]:
    """Read one RTM_NEWLINK."""
    _, _, _, index, flags, _ = struct.unpack_from("=BBHiII", body)
    attributes = read_attributes(body, 16)
    (mtu,) = struct.unpack("=I", attributes.get(_IFLA_MTU, bytes(4)))
    return {
        "index": index,
        "name": attributes[IFLA_IFNAME].rstrip(b"\0").decode(errors="replace"),
        "mac": attributes.get(IFLA_ADDRESS, b"").hex(":"),
        "mtu": mtu,
        "up": bool(flags & IFF_UP),
        "carrier": bool(flags & _IFF_LOWER_UP),
    }


@dataclass(frozen=True, slots=True)
class Traffic:
    """What an interface has sent and received since it was made."""

    sent: int
    sent_bytes: int
    received: int
    received_bytes: int


def _u32_in(attributes: dict[int, bytes], kind: int, otherwise: int = 0) -> int:
    raw = attributes.get(kind)
    return int(struct.unpack_from("=I", raw)[0]) if raw is not None else otherwise


def _ip_in(attributes: dict[int, bytes], kind: int) -> str:
    raw = attributes.get(kind)
    return str(ipaddress.ip_address(raw)) if raw is not None else ""


def _route(body: bytes) -> dict[str, Any] | None:
    """Read one RTM_NEWROUTE; None for one that no person sets."""
    _, prefix, _, _, table, _, _, kind, flags = struct.unpack_from("=BBBBBBBBI", body)
    attributes = read_attributes(body, 12)
    table = _u32_in(attributes, _RTA_TABLE, table)
    if kind not in _ROUTE_KINDS or table == _TABLE_LOCAL or flags & RTM_F_CLONED:
        return None
    return {
        "to": f"{_ip_in(attributes, RTA_DST) or '0.0.0.0'}/{prefix}",
        "via": _ip_in(attributes, RTA_GATEWAY),
        "index": _u32_in(attributes, RTA_OIF),
        "kind": _ROUTE_KINDS[kind],
        "table": table,
        "metric": _u32_in(attributes, _RTA_PRIORITY),
        "from": _ip_in(attributes, _RTA_PREFSRC),
        "dead": bool(flags & (_RTNH_F_DEAD | _RTNH_F_LINKDOWN)),
        "onlink": bool(flags & RTNH_F_ONLINK),
    }


def _rule(body: bytes) -> dict[str, Any]:
    """Read one RTM_NEWRULE (linux/fib_rules.h)."""
    _, to, source, tos, table, _, _, action, _ = struct.unpack_from("=BBBBBBBBI", body)
    attributes = read_attributes(body, 12)
    # What a rule may look at beside the addresses and the way in, nobody here judges.
    simple = {_FRA_DST, _FRA_SRC, _FRA_IIFNAME, _FRA_PRIORITY, _FRA_TABLE, 14, 21}
    return {
        "priority": _u32_in(attributes, _FRA_PRIORITY),
        "to": f"{_ip_in(attributes, _FRA_DST) or '0.0.0.0'}/{to}",
        "from": f"{_ip_in(attributes, _FRA_SRC) or '0.0.0.0'}/{source}",
        "in": attributes.get(_FRA_IIFNAME, b"").rstrip(b"\0").decode(errors="replace"),
        "action": _RULE_ACTIONS.get(action, "other"),
        "table": _u32_in(attributes, _FRA_TABLE, table),
        "plain": not tos and not set(attributes) - simple,
    }


def _neighbour(body: bytes) -> dict[str, Any] | None:
    """Read one RTM_NEWNEIGH; None for one that is no IPv4 neighbour."""
    _, _, _, index, state, _, kind = struct.unpack_from("=BBHiHBB", body)
    attributes = read_attributes(body, 12)
    if _NDA_DST not in attributes or kind not in (0, 1):  # not multicast, broadcast
        return None
    mac = attributes.get(_NDA_LLADDR, b"").hex(":")
    return {
        "index": index,
        "ip": str(ipaddress.ip_address(attributes[_NDA_DST])),
        "mac": mac,
        "permanent": bool(state & _NUD_PERMANENT),
    }


@dataclass(frozen=True, slots=True)
class Qdisc:
    """A queueing discipline (tc(8)) of an interface. parent: the handle of the class or qdisc that
    it serves. drops: packets that it did not take or threw away, since it was made; most kinds
    count what their children drop, too."""

    index: int
    kind: str
    handle: int
    parent: int
    drops: int

    @property
    def outgoing(self) -> bool:
        """It holds what the interface is to send."""
        return self.parent != _TC_H_INGRESS and self.kind != "noqueue"

    @property
    def root(self) -> bool:
        """It is the one that packets come to first."""
        return self.parent == _TC_H_ROOT


def read_qdisc(body: bytes) -> Qdisc:
    """Read one RTM_NEWQDISC: struct tcmsg and its attributes (linux/rtnetlink.h)."""
    _, _, _, index, handle, parent, _ = struct.unpack_from("=BBHiIII", body)
    attributes = read_attributes(body, 20)
    kind = attributes.get(_TCA_KIND, b"").rstrip(b"\0").decode(errors="replace")
    drops = 0
    queue = read_attributes(attributes.get(_TCA_STATS2, b""), 0).get(_TCA_STATS_QUEUE, b"")
    if len(queue) >= 12:  # struct gnet_stats_queue: qlen, backlog, drops
        drops = struct.unpack_from("=III", queue)[2]
    elif len(stats := attributes.get(_TCA_STATS, b"")) >= 16:  # struct tc_stats of old kernels
        drops = struct.unpack_from("=QII", stats)[2]
    return Qdisc(index, kind, handle, parent, drops)
