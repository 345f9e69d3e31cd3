# SPDX-License-Identifier: Apache-2.0
"""What was built: nodes, their interfaces, and which interface is wired to which.

What lives here: the reader of `lab.json` and quick answers to "whose port is this, and what is at
the other end". What must not: frames, running labs, and how a network is made.

Rules:
1. An interface ("port" in this package) is its index in `interfaces`. Interface names are unique
   within a lab, so a name finds its port and a capture's interfaces are matched by name.
2. Wiring is symmetric: a peer's peer is the port itself. A port without peer is wired to nothing
   that is known.
3. Keys of the file that are not known here stay in `extra`.
4. Broken data is told in one sentence that names the place.

The file:

    {"format": 1, "name": "demo", "topology": "web", "controller": "learning_switch",
     "datapath": "user",
     "nodes": [{"name": "client", "kind": "host"}, {"name": "s1", "kind": "switch"}],
     "interfaces": [{"name": "client-eth0", "node": "client", "mac": "02:00:00:00:01:00",
                     "addresses": ["10.1.0.10/24"], "peer": "s1-eth1", "rate": 10000000},
                    {"name": "s1-eth1", "node": "s1", "mac": "", "addresses": [],
                     "peer": "client-eth0"}]}

`rate` is the bit/s that an interface sends at most; without it, as many as the machine can.
`delay_ms` and `jitter_ms` are for how long it holds a frame back before it sends it, `loss` the
percentage of frames that it throws away instead, `queue` how many may wait for the rate. Beside
`nodes`, `longest_delay_ms` is the longest that any of them held a frame back while it was captured.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Protocol

from hoplab.sentences import listed, say, sentence_of, term

FORMAT = 1
KINDS = ("host", "router", "switch")

_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
# A queue of which nobody says how long it is has as many frames as that of a new interface.
_QUEUE_FRAMES, _FRAME_BITS, _QUEUE_MOST_S = 1000, 8 * 1514, 30
_OF_AN_INTERFACE = frozenset(("name", "node", "mac", "addresses", "peer", "rate"))
_KNOWN = frozenset(("format", "name", "topology", "controller", "datapath", "nodes", "interfaces"))


class WiringError(ValueError):
    """The description of a lab is broken; the message is one sentence that says where."""


@lru_cache(maxsize=4096)
def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """A sort key for names that counts: h2 before h10."""
    return tuple(
        (0, int(part[:18]), part) if part.isascii() and part.isdigit() else (1, 0, part)
        for part in re.findall(r"[0-9]+|[^0-9]+", name)
    )


class _Named(Protocol):
    @property
    def name(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Node:
    """A host, router or switch."""

    name: str
    kind: str
    extra: Mapping[str, Any] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class Interface:
    """A port of a node. `addresses` have prefix lengths; `peer` is an interface's name or None;
    `rate` is the bit/s that it sends at most, 0 if nothing limits it."""

    name: str
    node: str
    mac: str
    addresses: tuple[str, ...]
    peer: str | None
    extra: Mapping[str, Any] = field(default_factory=dict, compare=False)
    rate: int = 0


class Wiring:
    """A lab's nodes and interfaces, with lookups by port index, name, MAC and IP.

    nodes: by name, in the file's order. interfaces: a port is an index into this list.
    peers, switches: by port, the peer's port (or None) and whether the node is a switch; plain
    lists, because following asks them for every frame.
    """

    def __init__(
        self,
        nodes: Sequence[Node],
        interfaces: Sequence[Interface],
        *,
        name: str = "",
        topology: str = "",
        controller: str = "",
        datapath: str = "",
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        self.name = name
        self.topology = topology
        self.controller = controller
        self.datapath = datapath
        self.extra: dict[str, Any] = dict(extra or {})
        self.nodes: dict[str, Node] = {}
        for node in nodes:
            if node.name in self.nodes:
                raise WiringError(say("there are two nodes named {node!r}", node=node.name))
            self.nodes[node.name] = node
        self.interfaces: list[Interface] = list(interfaces)
        self._ports: dict[str, int] = {}
        for port, interface in enumerate(self.interfaces):
            if interface.name in self._ports:
                raise WiringError(
                    say("there are two interfaces named {interface!r}", interface=interface.name)
                )
            if interface.node not in self.nodes:
                raise WiringError(
                    say(
                        "interface {interface!r} belongs to {node!r}, which is not among the nodes",
                        interface=interface.name,
                        node=interface.node,
                    )
                )
            self._ports[interface.name] = port
        self.peers: list[int | None] = [self._peer_port(i) for i in self.interfaces]
        self.switches: list[bool] = [self.nodes[i.node].kind == "switch" for i in self.interfaces]
        self._node_ports: dict[str, list[int]] = {node: [] for node in self.nodes}
        self._mac_ports: dict[str, int] = {}
        self._ip_ports: dict[str, int] = {}
        for port, interface in enumerate(self.interfaces):
            self._node_ports[interface.node].append(port)
            if interface.mac:
                self._mac_ports.setdefault(interface.mac, port)
            for address in interface.addresses:
                self._ip_ports.setdefault(_plain(address), port)

    def grow(self, fresh: Wiring) -> bool:
        """Take over the nodes and interfaces that a later description of the lab has and this one
        does not; what it has not any more stays, as what was seen of it does. Ports keep their
        numbers. Whether there was anything."""
        before = len(self.nodes), len(self.interfaces)
        for name, node in fresh.nodes.items():
            if name not in self.nodes:
                self.nodes[name] = node
                self._node_ports[name] = []
        for interface in fresh.interfaces:
            if interface.name not in self._ports:
                self._add(interface)
        for port in range(before[1], len(self.interfaces)):
            self.peers[port] = self._ports.get(self.interfaces[port].peer or "")
        return before != (len(self.nodes), len(self.interfaces))

    def _add(self, interface: Interface) -> None:
        port = len(self.interfaces)
        self.interfaces.append(interface)
        self._ports[interface.name] = port
        self.peers.append(None)
        self.switches.append(self.nodes[interface.node].kind == "switch")
        self._node_ports[interface.node].append(port)
        if interface.mac:
            self._mac_ports.setdefault(interface.mac, port)
        for address in interface.addresses:
            self._ip_ports.setdefault(_plain(address), port)

    def _peer_port(self, interface: Interface) -> int | None:
        if interface.peer is None:
            return None
        port = self._ports.get(interface.peer)
        if port is None:
            raise WiringError(
                say(
                    "interface {interface!r} is wired to {peer!r}, which is not among the "
                    "interfaces",
                    interface=interface.name,
                    peer=interface.peer,
                )
            )
        back = self.interfaces[port].peer
        if back != interface.name:
            raise WiringError(
                say(
                    "interface {interface!r} is wired to {peer!r}, but {peer!r} is wired to {back}",
                    interface=interface.name,
                    peer=interface.peer,
                    back=term("nothing") if back is None else repr(back),
                )
            )
        return port

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Wiring:
        """The wiring in a `lab.json`. WiringError if it is broken, OSError if it is unreadable."""
        with open(path, "rb") as file:
            raw = file.read()
        try:
            data = json.loads(raw)
        except (ValueError, RecursionError) as fault:
            raise WiringError(
                say("{file} is no JSON file: {fault}", file=os.fspath(path), fault=str(fault))
            ) from None
        try:
            return cls.from_dict(data)
        except WiringError as fault:
            raise WiringError(
                say("{file}: {reason}", file=os.fspath(path), reason=sentence_of(fault))
            ) from None

    @classmethod
    def from_dict(cls, data: object) -> Wiring:
        """The wiring in the data of a `lab.json`."""
        top = _mapping(data, term("the description of a lab"))
        form = top.get("format")
        if form != FORMAT or isinstance(form, bool):
            raise WiringError(
                say(
                    "the description of the lab has format {format!r}, this program reads "
                    "{expected}",
                    format=form,
                    expected=FORMAT,
                )
            )
        nodes = [_node(item, place) for place, item in enumerate(_list(top, "nodes"), 1)]
        interfaces = [
            _interface(item, place) for place, item in enumerate(_list(top, "interfaces"), 1)
        ]
        texts = {
            key: _optional_text(top, key, term("the description of a lab"))
            for key in ("name", "topology", "controller", "datapath")
        }
        extra = {key: value for key, value in top.items() if key not in _KNOWN}
        return cls(nodes, interfaces, extra=extra, **texts)

    def as_dict(self) -> dict[str, Any]:
        """The inverse of `from_dict`."""
        return {
            "format": FORMAT,
            "name": self.name,
            "topology": self.topology,
            "controller": self.controller,
            "datapath": self.datapath,
            "nodes": [{"name": n.name, "kind": n.kind, **n.extra} for n in self.nodes.values()],
            "interfaces": [
                {
                    "name": i.name,
                    "node": i.node,
                    "mac": i.mac,
                    "addresses": list(i.addresses),
                    "peer": i.peer,
                    **({"rate": i.rate} if i.rate else {}),
                    **i.extra,
                }
                for i in self.interfaces
            ],
            **self.extra,
        }

    def longest_delay_ns(self) -> int:
        """For how long any interface holds a frame back before it sends it, at the most, or did
        while somebody listened (`longest_delay_ms`)."""

        def held(interface: Interface) -> float:
            times = (interface.extra.get(key) for key in ("delay_ms", "jitter_ms"))
            return sum(each for each in times if isinstance(each, int | float) and each > 0)

        past = self.extra.get("longest_delay_ms")
        longest = max(map(held, self.interfaces), default=0.0)
        return round(max(longest, past if isinstance(past, int | float) else 0.0) * 1e6)

    def longest_queue_ns(self) -> int:
        """How long a full queue in front of any cable with a rate takes to empty, where a node has
        it that passes frames on; half a minute at the most."""
        longest_s = 0.0
        for interface in self.interfaces:
            if interface.rate and self.kind(interface.node) != "host":
                queue = interface.extra.get("queue")
                frames = queue if isinstance(queue, int) and queue > 0 else _QUEUE_FRAMES
                longest_s = max(longest_s, frames * _FRAME_BITS / interface.rate)
        return round(min(longest_s, _QUEUE_MOST_S) * 1e9)

    def port(self, name: str) -> int | None:
        """The port of that interface name, None if there is none."""
        return self._ports.get(name)

    def interface(self, port: int) -> Interface:
        """The interface of a port."""
        return self.interfaces[port]

    def port_name(self, port: int) -> str:
        """The interface's name: 'client-eth0'."""
        return self.interfaces[port].name

    def node_of(self, port: int) -> Node:
        """The node that has the port."""
        return self.nodes[self.interfaces[port].node]

    def node_name(self, port: int) -> str:
        """The name of the node that has the port."""
        return self.interfaces[port].node

    def kind(self, node: str) -> str:
        """'host', 'router' or 'switch'; KeyError for an unknown node."""
        return self.nodes[node].kind

    def is_switch(self, port: int) -> bool:
        """True if the port is a switch's."""
        return self.switches[port]

    def is_datapath(self, port: int) -> bool:
        """True if the port's node is a switch, or a router that speaks OpenFlow as one does."""
        return self.switches[port] or "dpid" in self.nodes[self.node_name(port)].extra

    def peer(self, port: int) -> int | None:
        """The port at the other end of the cable, None if nothing is known to be there."""
        return self.peers[port]

    def ports(self, node: str) -> list[int]:
        """The node's ports, in the file's order."""
        return list(self._node_ports[node])

    def owner_of_mac(self, mac: str) -> int | None:
        """The port that has this MAC address."""
        return self._mac_ports.get(mac.lower())

    def owner_of_ip(self, address: str) -> int | None:
        """The port that has this IP address (a prefix length is ignored)."""
        return self._ip_ports.get(_plain(address))

    def node_of_mac(self, mac: str) -> str | None:
        """The name of the node that has this MAC address."""
        port = self.owner_of_mac(mac)
        return None if port is None else self.interfaces[port].node

    def node_of_ip(self, address: str) -> str | None:
        """The name of the node that has this IP address."""
        port = self.owner_of_ip(address)
        return None if port is None else self.interfaces[port].node

    def port_map(self, interfaces: Sequence[_Named]) -> list[int | None]:
        """For each interface of a capture, by index, the port of the same name, or None."""
        return [self._ports.get(interface.name) for interface in interfaces]


def _plain(address: str) -> str:
    """The address without prefix length, in one spelling (IPv6 has many)."""
    text = address.partition("/")[0]
    if ":" in text:
        try:
            return str(ipaddress.IPv6Address(text))
        except ValueError:
            return text
    return text


def _mapping(value: object, place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise WiringError(
            say("{place} is {kind} where an object is expected", place=place, kind=_kind(value))
        )
    return value


def _list(data: Mapping[str, Any], key: str) -> list[Any]:
    value = data.get(key)
    if not isinstance(value, list):
        raise WiringError(say("the description of the lab has no list {key!r}", key=key))
    return value


def _optional_text(data: Mapping[str, Any], key: str, place: str) -> str:
    value = data.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise WiringError(
            say(
                "{key!r} of {place} is {kind} where text is expected",
                key=key,
                place=place,
                kind=_kind(value),
            )
        )
    return value


def _text(data: Mapping[str, Any], key: str, place: str) -> str:
    value = data.get(key)
    if not isinstance(value, str) or not value:
        raise WiringError(say("{place} has no {key!r}", place=place, key=key))
    return value


_KIND_OF_VALUE: dict[type, str] = {
    dict: term("an object"),
    list: term("a list"),
    str: term("text"),
    bool: term("true or false"),
}


def _kind(value: object) -> str:
    """What a value of JSON is, in words."""
    if value is None:
        return term("nothing")
    return _KIND_OF_VALUE.get(type(value), term("a number"))


def _node(item: object, number: int) -> Node:
    place = say("node {n}", n=number)
    data = _mapping(item, place)
    name = _text(data, "name", place)
    kind = _text(data, "kind", say("node {node!r}", node=name))
    if kind not in KINDS:
        raise WiringError(
            say(
                "node {node!r} is of kind {kind!r}; known are {kinds}",
                node=name,
                kind=kind,
                kinds=listed(KINDS),
            )
        )
    extra = {key: value for key, value in data.items() if key not in ("name", "kind")}
    return Node(name, kind, extra)


def _interface(item: object, number: int) -> Interface:
    place = say("interface {n}", n=number)
    data = _mapping(item, place)
    name = _text(data, "name", place)
    place = say("interface {interface!r}", interface=name)
    node = _text(data, "node", place)
    mac = _optional_text(data, "mac", place).lower()
    if mac and not _MAC.fullmatch(mac):
        raise WiringError(
            say("{place} has the MAC address {mac!r}, which is none", place=place, mac=mac)
        )
    addresses = _addresses(data.get("addresses"), place)
    peer = data.get("peer")
    if peer is not None and (not isinstance(peer, str) or not peer):
        raise WiringError(
            say("{place} has a peer that is no name: {peer!r}", place=place, peer=peer)
        )
    if peer == name:
        raise WiringError(say("{place} is wired to itself", place=place))
    rate = data.get("rate", 0)
    if not isinstance(rate, int) or isinstance(rate, bool) or rate < 0:
        raise WiringError(
            say(
                "{place} has the rate {rate!r}, which is no number of bits a second",
                place=place,
                rate=rate,
            )
        )
    extra = {key: value for key, value in data.items() if key not in _OF_AN_INTERFACE}
    return Interface(name, node, mac, addresses, peer, extra, rate)


def _addresses(value: object, place: str) -> tuple[str, ...]:
    """The addresses of an interface, with prefix lengths. Raises WiringError."""
    if value is None:
        return ()
    if not isinstance(value, list):
        raise WiringError(
            say("{place} has no list of addresses but {kind}", place=place, kind=_kind(value))
        )
    for address in value:
        try:
            ipaddress.ip_interface(address if isinstance(address, str) else "")
        except ValueError:
            raise WiringError(
                say(
                    "{place} has the address {address!r}, which is none",
                    place=place,
                    address=address,
                )
            ) from None
    return tuple(value)
