# SPDX-License-Identifier: Apache-2.0
"""What hosts, routers and switches were set to, read from a run's `hosts.json`.

What lives here: plain records and their reader. What must not: judgement (`walks.py`,
`diagnosis.py`), running labs.

`built`: how the lab came up, before anybody ran a command in it. `before`: what was counted when
the recording began. `now`: all of it when it ended. Any of them may be missing, as may any part.
IPv4 alone: what is set for IPv6 is not read.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any

from hoplab.story.host_filters import Filter, read_filters

FORMAT = 1
_ANYWHERE = IPv4Network("0.0.0.0/0")
_MAIN, _DEFAULT = 254, 253


@dataclass(frozen=True, slots=True)
class Card:
    """A network card. up: it is set up; carrier: the other end of its cable is, too."""

    name: str
    mac: str = ""
    up: bool = True
    carrier: bool = True
    mtu: int = 1500
    addresses: tuple[IPv4Interface, ...] = ()


@dataclass(frozen=True, slots=True)
class Route:
    """A line of a routing table. kind: 'unicast', or one that refuses: 'blackhole', 'unreachable',
    'prohibit', 'throw'. onlink: whoever set it said that the next hop is on the link."""

    to: IPv4Network
    via: IPv4Address | None = None
    card: str = ""
    kind: str = "unicast"
    table: int = _MAIN
    metric: int = 0
    dead: bool = False
    onlink: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """By which table a packet is routed. plain: it looks at nothing but what stands here."""

    priority: int
    to: IPv4Network
    source: IPv4Network
    way_in: str
    action: str
    table: int
    plain: bool


@dataclass(frozen=True, slots=True)
class Neighbour:
    """An entry of an ARP cache. permanent: somebody entered it."""

    card: str
    ip: str
    mac: str
    permanent: bool = False


@dataclass(frozen=True, slots=True)
class Listener:
    """A socket that waits for somebody. address: "" for any of the host's."""

    protocol: str
    address: str
    port: int
    argv: tuple[str, ...] = ()
    pid: int = 0

    @property
    def local(self) -> bool:
        """Whether it listens on a loopback address, where nobody from outside can reach it."""
        return self.address.startswith("127.") or self.address == "::1"


@dataclass(frozen=True, slots=True)
class Host:
    """A host or a router."""

    name: str
    cards: Mapping[str, Card] = field(default_factory=dict)
    routes: tuple[Route, ...] = ()
    rules: tuple[Rule, ...] = ()
    neighbours: tuple[Neighbour, ...] = ()
    listeners: tuple[Listener, ...] = ()
    filters: tuple[Filter, ...] = ()
    counters: Mapping[str, int] = field(default_factory=dict)
    forwards: bool = False
    ignores_echo: bool = False
    rp_filter: Mapping[str, int] = field(default_factory=dict)
    resolvers: tuple[str, ...] | None = None
    names: Mapping[str, str] = field(default_factory=dict)

    def card_of(self, address: IPv4Address) -> Card | None:
        """The card that has this address."""
        for card in self.cards.values():
            if any(own.ip == address for own in card.addresses):
                return card
        return None

    def listens(self, protocol: str, port: int, address: str) -> Listener | None:
        """The socket that takes what comes for this address and port."""
        return next(
            (
                listener for listener in self.listeners
                if (listener.protocol, listener.port) == (protocol, port)
                and listener.address in ("", address)
            ),
            None,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Port:
    """A switch's port. tag: the VLAN that its frames are in, None for none."""

    name: str
    up: bool = True
    carrier: bool = True
    mtu: int = 1500
    tag: int | None = None


@dataclass(frozen=True, slots=True)
class Switch:
    """A switch. flows: how many it has, None if that is not known. normal: one of them has it learn
    by itself. hung: the process of its controller is stopped."""

    name: str
    ports: Mapping[str, Port] = field(default_factory=dict)
    controllers: int = 1
    connected: bool = True
    secure: bool = True
    flows: int | None = None
    normal: bool = False
    hung: bool = False


@dataclass(frozen=True, slots=True)
class HostState:
    """What all of them were set to. cables: the interface at the other end of each interface's
    cable; empty where that was not read."""

    hosts: Mapping[str, Host] = field(default_factory=dict)
    switches: Mapping[str, Switch] = field(default_factory=dict)
    cables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HostFacts:
    """The facts of a run. before: its counters and filters alone."""

    now: HostState
    before: HostState = field(default_factory=HostState)
    built: HostState = field(default_factory=HostState)

    def rose(self, node: str, counter: str) -> int:
        """By how much a counter of the kernel rose while the run was recorded."""
        after, first = self.now.hosts.get(node), self.before.hosts.get(node)
        if after is None or first is None:
            return 0
        return after.counters.get(counter, 0) - first.counters.get(counter, 0)


def read_facts(data: object) -> HostFacts | None:
    """The facts in the data of a `hosts.json`; None for what is none. Raises ValueError, TypeError,
    KeyError or AttributeError where it is broken."""
    if not isinstance(data, dict) or data.get("format") != FORMAT or not data.get("now"):
        return None
    return HostFacts(*(_state(_legible(data.get(key) or {})) for key in ("now", "before", "built")))


def _legible(data: Any) -> Any:
    """The same without characters that a terminal would take for orders: hosts name things as
    they like."""
    if isinstance(data, str):
        return "".join(sign if sign.isprintable() or sign in "\n\t" else "\ufffd" for sign in data)
    if isinstance(data, dict):
        return {_legible(key): _legible(value) for key, value in data.items()}
    return [_legible(each) for each in data] if isinstance(data, list) else data


def _state(data: Mapping[str, Any]) -> HostState:
    hosts = {name: _host(name, host) for name, host in (data.get("hosts") or {}).items()}
    switches = {name: _switch(name, each) for name, each in (data.get("switches") or {}).items()}
    cables = {end: peer for ends in data.get("cables") or () for end, peer in (ends, ends[::-1])}
    return HostState(hosts, switches, cables)


def _host(name: str, data: Mapping[str, Any]) -> Host:
    settings = data.get("settings") or {}
    etc = data.get("etc") or {}
    return Host(
        name,
        {each["name"]: _card(each) for each in data.get("cards", ())},
        tuple(_route(each) for each in data.get("routes", ())),
        tuple(_rule(each) for each in data.get("rules", ())),
        tuple(
            Neighbour(each["card"], each["ip"], each.get("mac", ""), each.get("permanent", False))
            for each in data.get("neighbours", ())
        ),
        tuple(_listener(each) for each in data.get("listeners", ())),
        read_filters(data.get("filters") or {}),
        data.get("counters") or {},
        bool(settings.get("ip_forward")),
        bool(settings.get("icmp_echo_ignore_all")),
        settings.get("rp_filter") or {},
        _resolvers(etc["resolv.conf"]) if "resolv.conf" in etc else None,
        _names(etc.get("hosts", "")),
    )


def _card(data: Mapping[str, Any]) -> Card:
    return Card(
        data["name"], data.get("mac", ""), data.get("up", True), data.get("carrier", True),
        data.get("mtu", 1500), tuple(IPv4Interface(each) for each in data.get("addresses", ())),
    )  # fmt: skip


def _route(data: Mapping[str, Any]) -> Route:
    via = data.get("via")
    return Route(
        IPv4Network(data["to"]), IPv4Address(via) if via and ":" not in via else None,
        data.get("card", ""), data.get("kind", "unicast"), data.get("table", _MAIN),
        data.get("metric", 0), data.get("dead", False), data.get("onlink", False),
    )  # fmt: skip


def _rule(data: Mapping[str, Any]) -> Rule:
    return Rule(
        data["priority"], IPv4Network(data["to"]), IPv4Network(data["from"]), data.get("in", ""),
        data["action"], data.get("table", 0), data.get("plain", False),
    )  # fmt: skip


def _listener(data: Mapping[str, Any]) -> Listener:
    argv = tuple(data.get("argv", ()))
    if not all(word.isprintable() and "\ufffd" not in word for word in argv):
        argv = ()  # a command line that could not be pasted
    return Listener(
        data["protocol"], data["address"], data["port"], argv, data.get("pid", 0)
    )


def _switch(name: str, data: Mapping[str, Any]) -> Switch:
    ports = {
        port: Port(
            port, each.get("up", True), each.get("carrier", True), each.get("mtu", 1500),
            each.get("tag"),
        )
        for port, each in (data.get("ports") or {}).items()
    }  # fmt: skip
    return Switch(
        name, ports, data.get("controllers", 1), data.get("connected", True),
        data.get("secure", True), data.get("flows"), data.get("normal", False),
        data.get("hung", False),
    )  # fmt: skip


def _resolvers(text: str) -> tuple[str, ...]:
    """The DNS servers that a resolv.conf(5) names."""
    lines = (line.split() for line in text.splitlines())
    named = [words[1] for words in lines if len(words) > 1 and words[0] == "nameserver"]
    return tuple(name for name in named if address_of(name) is not None)


def _names(text: str) -> dict[str, str]:
    """Name -> address, as a hosts(5) says."""
    names: dict[str, str] = {}
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        for name in words[1:]:
            names.setdefault(name, words[0])
    return names


def address_of(text: str) -> IPv4Address | None:
    """An IPv4 address; None for what is none."""
    try:
        return ipaddress.IPv4Address(text.partition("/")[0])
    except ValueError:
        return None
