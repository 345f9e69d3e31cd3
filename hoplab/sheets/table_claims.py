# SPDX-License-Identifier: Apache-2.0
"""Claims about what a switch or a host has now: learned addresses, flows, routes, neighbours.

What lives here: their grammar, and what each asks of a node's tables. What must not: asking labs.

    of a switch   h1 at s1-eth1      no h3      2 addresses      at least 1 flow
                  flow dl_dst=h2: output:2      no flow nw_proto=6
    of a host     address 10.0.1.10/24      gateway r1      route 10.0.2.0/24 via 10.0.1.1
                  no route 10.9.0.0/16      neighbour 10.0.1.1 at r1      resolver 10.53.0.53
                  listener tcp 80      forwards      no forwards
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hoplab.sentences import Sentence, listed, say, term
from hoplab.sheets.claims import COUNT, ClaimError, Count, read_count
from hoplab.story.host_state import Host

_NO = r"(?P<not>no )?"
_FORMS: tuple[tuple[str, str], ...] = (
    (rf"{COUNT} (?P<of>addresses|address|flows?)", "count"),
    (rf"{_NO}flow (?P<match>[^:]*(?::[^: ][^: ]*)*?)(?:: (?P<actions>.+))?", "flow"),
    (rf"{_NO}address (?P<name>\S+)", "address"),
    (rf"{_NO}neighbour (?P<name>\S+)(?: at (?P<place>\S+))?", "neighbour"),
    (rf"{_NO}route (?P<name>\S+)(?: via (?P<place>\S+))?(?: dev (?P<card>\S+))?", "route"),
    (rf"{_NO}gateway(?: (?P<name>\S+))?", "gateway"),
    (rf"{_NO}resolver (?P<name>\S+)", "resolver"),
    (rf"{_NO}listener (?P<protocol>tcp|udp) (?P<port>\d+)(?: on (?P<name>\S+))?", "listener"),
    (rf"{_NO}forwards", "forwards"),
    (r"(?P<name>\S+) at (?:port )?(?P<place>\S+)", "learned"),
    (r"(?P<not>no )(?P<name>\S+)", "learned"),
)


@dataclass(frozen=True)
class TableClaim:
    """kind: what it is about. wanted: whether it is to be there. The rest: as the words say, ""
    where they say nothing."""

    kind: str
    wanted: bool = True
    name: str = ""
    place: str = ""
    card: str = ""
    match: str = ""
    actions: str = ""
    protocol: str = ""
    port: int = 0
    count: Count | None = None
    of: str = ""


OF_SWITCHES = frozenset(("learned", "count", "flow"))


def read_table_claim(text: str) -> TableClaim:
    """The claim in these words. Raises ClaimError."""
    words = " ".join(text.split())
    for pattern, kind in _FORMS:
        match = re.fullmatch(pattern, words)
        if match is None:
            continue
        groups = {name: value or "" for name, value in match.groupdict().items()}
        if kind == "count":
            of = "flows" if groups["of"].startswith("flow") else "addresses"
            return TableClaim(kind, count=read_count(match), of=of)
        return TableClaim(
            kind, not groups.get("not"), groups.get("name", ""), groups.get("place", ""),
            groups.get("card", ""), groups.get("match", ""), groups.get("actions", ""),
            groups.get("protocol", ""), int(groups.get("port") or 0),
        )  # fmt: skip
    raise ClaimError(
        say("{words} claims nothing of a table; such as: h1 at s1-eth1, no h3, 2 addresses, "
            "route 0.0.0.0/0 via 10.0.1.1", words=repr(words))
    )  # fmt: skip


@dataclass(frozen=True)
class Names:
    """Who has which address: what a name in a claim stands for."""

    macs: Mapping[str, frozenset[str]]
    addresses: Mapping[str, frozenset[str]]

    @classmethod
    def of(cls, interfaces: Sequence[Mapping[str, Any]]) -> Names:
        """From the interfaces of a lab.json."""
        macs: dict[str, set[str]] = {}
        addresses: dict[str, set[str]] = {}
        for each in interfaces:
            for name in (each["node"], each["name"]):
                macs.setdefault(name, set()).add(each["mac"])
                addresses.setdefault(name, set()).update(
                    address.partition("/")[0] for address in each["addresses"]
                )
        return cls(
            {name: frozenset(values - {""}) for name, values in macs.items()},
            {name: frozenset(values) for name, values in addresses.items()},
        )

    def is_mac(self, name: str, mac: str) -> bool:
        return name.lower() == mac.lower() or mac in self.macs.get(name, ())

    def is_address(self, name: str, address: str) -> bool:
        return name == address or address in self.addresses.get(name, ())


# ------------------------------------------------------------------------ switches


def miss_of_switch(claim: TableClaim, table: Mapping[str, Any], names: Names) -> Sentence | None:
    """What the switch has instead; None where the claim holds."""
    addresses, flows = table["addresses"], table["flows"]
    if claim.kind == "count":
        n = len(flows if claim.of == "flows" else addresses)
        assert claim.count is not None
        return None if claim.count.holds(n) else say("there are {n}", n=n)
    if claim.kind == "learned":
        entries = [each for each in addresses if names.is_mac(claim.name, each["mac"])]
        if not claim.wanted:
            return _learned(entries) if entries else None
        if any(claim.place in (each["port"], each["interface"]) for each in entries):
            return None
        return _learned(entries or addresses)
    matching = [flow for flow in flows if _flow_matches(claim, flow, names)]
    if bool(matching) == claim.wanted:
        return None
    there = listed(map(_flow, matching or flows), most=8)
    return say("it has {flows}", flows=there or term("none"))


def _learned(entries: Sequence[Mapping[str, Any]]) -> Sentence:
    if not entries:
        return say("it has learned nothing")
    at = [
        say("{node} at {port}", node=each["who"] or each["mac"],
            port=each["interface"] or each["port"])
        for each in entries
    ]  # fmt: skip
    return say("it has {addresses}", addresses=listed(at, most=8))


def _flow(flow: Mapping[str, Any]) -> str:
    return f"{flow['match'] or '*'} → {flow['actions']}"


def _flow_matches(claim: TableClaim, flow: Mapping[str, Any], names: Names) -> bool:
    there = set(_fields(flow["match"])) | {f"priority={flow['priority']}", f"table={flow['table']}"}
    for part in filter(None, _fields(claim.match)):
        key, _, value = part.partition("=")
        wanted = {part}
        wanted |= {f"{key}={mac}" for mac in names.macs.get(value, ())}
        wanted |= {f"{key}={address}" for address in names.addresses.get(value, ())}
        if not wanted & there:
            return False
    actions = _fields(flow["actions"].lower())
    return all(part in actions for part in _fields(claim.actions.lower()))


def _fields(text: str) -> list[str]:
    """The parts between commas that are in no brackets."""
    return [part.strip() for part in re.split(r",(?![^()]*\))", text) if part.strip()]


# ------------------------------------------------------------------------ hosts


def miss_of_host(claim: TableClaim, host: Host, names: Names) -> Sentence | None:
    """What the host has instead; None where the claim holds."""
    there, has = _LOOKS[claim.kind](claim, host, names)
    if there == claim.wanted:
        return None
    if claim.kind == "forwards":
        return say("it forwards") if there else say("it does not forward")
    return say("it has {what}", what=listed(has, most=8)) if has else say("it has none")


Look = tuple[bool, list[str]]  # whether it is there, and what there is of its kind


def _address(claim: TableClaim, host: Host, _: Names) -> Look:
    has = [str(each) for card in host.cards.values() for each in card.addresses
           if not each.ip.is_loopback]  # fmt: skip
    if "/" in claim.name:
        return claim.name in has, has
    return any(each.partition("/")[0] == claim.name for each in has), has


def _neighbour(claim: TableClaim, host: Host, names: Names) -> Look:
    has = [f"{each.ip} {each.mac}" for each in host.neighbours if each.mac]
    there = any(
        names.is_address(claim.name, each.ip)
        and (not claim.place or names.is_mac(claim.place, each.mac))
        for each in host.neighbours if each.mac
    )  # fmt: skip
    return there, has


def _route(claim: TableClaim, host: Host, names: Names) -> Look:
    routes = [each for each in host.routes if each.table == _MAIN_TABLE and not each.dead]
    has = [f"{each.to} via {each.via}" if each.via else f"{each.to} dev {each.card}"
           for each in routes]  # fmt: skip
    try:
        wanted = ipaddress.ip_network(claim.name.replace("default", "0.0.0.0/0"), strict=False)
    except ValueError:
        return False, has
    there = any(
        each.to == wanted and each.kind == "unicast"
        and (not claim.place or (each.via is not None
                                 and names.is_address(claim.place, str(each.via))))
        and (not claim.card or each.card == claim.card)
        for each in routes
    )  # fmt: skip
    return there, has


_MAIN_TABLE = 254


def _gateway(claim: TableClaim, host: Host, names: Names) -> Look:
    has = [str(each.via) for each in host.routes
           if each.to.prefixlen == 0 and each.via and each.table == _MAIN_TABLE]  # fmt: skip
    if not claim.name:
        return bool(has), has
    return any(names.is_address(claim.name, each) for each in has), has


def _resolver(claim: TableClaim, host: Host, names: Names) -> Look:
    has = list(host.resolvers or ())
    return any(names.is_address(claim.name, each) for each in has[:1]), has


def _listener(claim: TableClaim, host: Host, _: Names) -> Look:
    has = [f"{each.protocol} {each.port} {each.address}".strip() for each in host.listeners]
    there = any(
        each.protocol == claim.protocol and each.port == claim.port
        and (claim.name == each.address if claim.name else not each.local)
        for each in host.listeners
    )  # fmt: skip
    return there, has


def _forwards(claim: TableClaim, host: Host, _: Names) -> Look:
    return host.forwards, []


_LOOKS: dict[str, Callable[[TableClaim, Host, Names], Look]] = {
    "address": _address, "neighbour": _neighbour, "route": _route, "gateway": _gateway,
    "resolver": _resolver, "listener": _listener, "forwards": _forwards,
}  # fmt: skip
