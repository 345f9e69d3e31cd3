# SPDX-License-Identifier: Apache-2.0
"""How a lab becomes what a plan says: the changes, each as the command line that makes it.

What lives here: finding them. What must not: making them (`becoming.py`).

1. Only what differs is changed. Cables are the same if they join the same nodes: which port they
   are in is looked at where several do.
2. What a new node needs comes before it, and nodes go last: until then all can be taken back.
3. Of a class that is its author's own nobody knows what it does: its addresses alone are compared.
4. What no command changes (a class, a datapath id) is told, and nothing is done about it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_interface
from pathlib import Path
from typing import Any

from hoplab import content, quantities
from hoplab.client import changes
from hoplab.kernel.shaping import Limits
from hoplab.plans.plan import Cable, Class_, End, Host, Plan, Switch, usual_dpid
from hoplab.sentences import listed, say

NONE = "none"
Network = IPv4Network | IPv6Network
_TEXTS = {
    "rate": quantities.rate_text, "delay_ms": quantities.time_text,
    "jitter_ms": quantities.time_text, "loss": quantities.percent_text, "queue": str,
}  # fmt: skip
_OPTIONS = {key: option for option, (key, _) in changes.LIMITS.items()}
_ALIKE = ("Host", "Computer", "Router", "Server")  # of which each does what a host is set to


@dataclass(frozen=True)
class Change:
    """One change. words: behind `hoplab`. request: to the lab; without one, `command` is run on
    `node`."""

    words: tuple[str, ...]
    request: Mapping[str, Any] | None = None
    node: str = ""
    command: tuple[str, ...] = ()


def differences(now: Plan, wanted: Plan) -> tuple[list[Change], list[str]]:
    """The changes that make the one into the other, and what no change does."""
    pairs, gone, new = _matched(now, wanted)
    # The port that an interface of the wanted plan has now.
    ports: dict[End, End] = {}
    for old, cable in pairs:
        ends = old.ends if old.nodes == cable.nodes else old.ends[::-1]
        ports |= dict(zip(cable.ends, ends, strict=True))
    left: list[str] = list(_not_changed(now, wanted))
    made = [
        *_unplugged(gone, new, wanted),
        *_new_nodes(now, wanted, [each for each in now.cables if each not in gone], new, left),
        *(change for host in wanted.hosts.values() if host.name in now.hosts
          for change in _settings(now, host, ports,
                                  anew=any(host.name in cable.nodes for cable in new))),
        *(change for old, cable in pairs for change in _cable(old, cable, left)),
        *(Change(("remove", name), changes.remove_request(name, force=True))
          for name in (*now.hosts, *now.switches)
          if name not in wanted.hosts and name not in wanted.switches),
    ]  # fmt: skip
    return made, left


def _matched(now: Plan, wanted: Plan) -> tuple[list[tuple[Cable, Cable]], list[Cable], list[Cable]]:
    """The cables that are in both, those that are to go, and those that are missing."""
    free = list(now.cables)
    pairs, missing = [], []
    waiting = sorted(wanted.cables, key=lambda cable: not any(
        set(cable.ends) == set(each.ends) for each in free))  # fmt: skip
    for cable in waiting:
        fitting = [each for each in free if sorted(each.nodes) == sorted(cable.nodes)]
        same = next((each for each in fitting if set(each.ends) == set(cable.ends)), None)
        old = same or next(iter(fitting), None)
        if old is None:
            missing.append(cable)
        else:
            free.remove(old)
            pairs.append((old, cable))
    order = list(wanted.cables)
    pairs.sort(key=lambda pair: order.index(pair[1]))
    return pairs, free, missing


def _unplugged(gone: Iterable[Cable], new: Iterable[Cable], wanted: Plan) -> Iterator[Change]:
    """The cables between nodes that stay; others go with their node, but where a host gets a cable
    in their place: it is to have their interface."""
    plugged = {node for cable in new for node in cable.nodes if node in wanted.hosts}
    for cable in gone:
        stays = [node in wanted.hosts or node in wanted.switches for node in cable.nodes]
        if all(stays) or plugged.intersection(cable.nodes):
            ends = _interfaces(cable)
            yield Change(("remove", *ends), changes.remove_request(*ends))


def _interfaces(cable: Cable) -> tuple[str, str]:
    first, second = (
        name or f"{node}-eth{port}"
        for name, (node, port) in zip(cable.names, cable.ends, strict=True)
    )
    return first, second


def _new_nodes(
    now: Plan, wanted: Plan, staying: list[Cable], new: list[Cable], left: list[str]
) -> Iterator[Change]:
    """Switches, then hosts with their first cable, then all other cables."""
    used: dict[str, int] = {}  # the highest port of each host
    for node, port in (end for cable in staying for end in cable.ends):
        used[node] = max(used.get(node, -1), port)
    for switch in wanted.switches.values():
        if switch.name not in now.switches:
            usual = switch.dpid == usual_dpid(switch.name)
            yield Change(
                ("add", "switch", switch.name, *(() if usual else ("--dpid", f"{switch.dpid:x}"))),
                changes.add_switch_request(switch.name, dpid=switch.dpid),
            )
    hosts = [host for host in wanted.hosts.values() if host.name not in now.hosts]
    joined = {host.name: _first_cable(host, wanted, new) for host in hosts}
    for host in hosts:
        cable = joined[host.name]
        used |= {host.name: 0} if cable is not None else {}
        yield from _new_host(host, _peer(cable, host.name))
    for cable in new:
        if cable not in joined.values():
            yield from _new_cable(now, wanted, cable, used, left)
    for host in hosts:
        yield from _tables(Host(host.name), host)


def _first_cable(host: Host, wanted: Plan, new: Iterable[Cable]) -> Cable | None:
    """The cable by which a new host is joined to a switch from the beginning."""
    first = min(host.cards, default=None)
    cable = next((each for each in new if (host.name, first) in each.ends), None)
    plain = cable is not None and not any(cable.limits)
    return cable if plain and _peer(cable, host.name) in wanted.switches else None


def _peer(cable: Cable | None, name: str) -> str:
    """Who is at the other end."""
    if cable is None:
        return ""
    first, second = cable.nodes
    return second if first == name else first


def _new_host(host: Host, switch: str) -> Iterator[Change]:
    own = host.cards[min(host.cards)] if host.cards else ()
    ip, gateway = own[0] if own else None, host.gateway or NONE
    dns = host.dns[0] if host.dns else NONE
    words = ["add", "host", host.name, *(("--to", switch) if switch else ())]
    words += ["--ip", ip] if ip else []
    words += ["--gateway", gateway, "--dns", dns, "--force"]
    for line in host.serves:
        words += ["--serve", " ".join(line)]
    yield Change(
        tuple(words),
        changes.add_host_request(host.name, switch or None, ip=ip, gateway=gateway, dns=dns,
                                 serve=host.serves, force=True),
    )  # fmt: skip


def _new_cable(
    now: Plan, wanted: Plan, cable: Cable, used: dict[str, int], left: list[str]
) -> Iterator[Change]:
    """A cable, and the addresses of its ends. used: see `_new_nodes`. A host without any cable has
    kept its first address for the first one."""
    limits = cable.limits[0].as_data()
    if cable.limits[0] != cable.limits[1]:
        left.append(_uneven(cable))
    yield Change(
        ("add", "cable", *cable.nodes, *_limit_words(limits), "--force"),
        changes.add_cable_request(*cable.nodes, limits, force=True),
    )
    for node, port in cable.ends:
        if node in wanted.hosts:
            used[node] = used.get(node, -1) + 1  # as Mininet numbers it
            own = wanted.hosts[node].cards.get(port, ())
            if own and (used[node] > 0 or node in now.hosts):
                yield _set(f"{node}-eth{used[node]}", {"ip": own[0]})


def _limit_words(limits: Mapping[str, float]) -> list[str]:
    words: list[str] = []
    for key, value in limits.items():
        words += [_OPTIONS[key], _TEXTS[key](value) if value else NONE]  # type: ignore[operator]
    return words


def _uneven(cable: Cable) -> str:
    return say("the ends of the cable {names} do not do the same to frames",
               names=listed(_interfaces(cable)))  # fmt: skip


def _cable(old: Cable, cable: Cable, left: list[str]) -> Iterator[Change]:
    """What a cable is to do that it does not."""
    ends = _interfaces(old)
    first, second = old.limits if old.nodes == cable.nodes else old.limits[::-1]
    if (first, second) != cable.limits:
        if cable.limits[0] != cable.limits[1]:
            left.append(_uneven(cable))
        else:
            keys = Limits.__dataclass_fields__
            wish = {key: getattr(cable.limits[0], key) for key in keys
                    if {getattr(first, key), getattr(second, key)}
                    != {getattr(cable.limits[0], key)}}  # fmt: skip
            yield Change(
                ("link", *ends, *_limit_words(wish)), changes.link_request(*ends, None, wish)
            )
    if cable.up and not old.up:
        yield Change(("link", *ends, "up"), changes.link_request(*ends, "up", {}))


# ------------------------------------------------------------------------------ hosts


def _settings(
    now: Plan, host: Host, ports: Mapping[End, End], *, anew: bool
) -> Iterator[Change]:  # fmt: skip
    """What a host is to be set to that it is not. anew: it has got a new cable."""
    old = now.hosts[host.name]
    if host.asks and old.asks:
        return
    readdressed = _addresses(now, host, ports)
    own = [own for owns in host.cards.values() for own in owns] if anew else []
    networks = [ip_interface(each).network
                for each in (*own, *(ip for _, ip in readdressed)) if each != NONE]  # fmt: skip
    common = {} if host.kind.users else _common(old, host, networks)
    for place, (target, ip) in enumerate(readdressed):
        # Once all addresses are there: the gateway may be by the last of them.
        last = common if place == len(readdressed) - 1 else {}
        yield _set(target, {"ip": ip, **last})
    if common and not readdressed:
        yield _set(host.name, common)
    if not host.kind.users:
        yield from _tables(old, host, networks)
        yield from _services(old, host)


def _addresses(now: Plan, host: Host, ports: Mapping[End, End]) -> list[tuple[str, str]]:
    """The interfaces of a host that are to have another address, and which."""
    old = now.hosts[host.name]
    names = {end: name for cable in now.cables
             for end, name in zip(cable.ends, _interfaces(cable), strict=True)}  # fmt: skip
    readdressed = []
    for port, addresses in sorted(host.cards.items()):
        end = ports.get((host.name, port))
        if end is not None and old.cards.get(end[1], ())[:1] != addresses[:1]:
            target = host.name if len(old.cards) == 1 else names[end]
            readdressed.append((target, addresses[0] if addresses else NONE))
    return readdressed


def _common(old: Host, host: Host, networks: Sequence[Network]) -> dict[str, str]:
    """What is set for a host as a whole. networks: where it has another address or cable, which
    took away the routes by it."""
    common: dict[str, str] = {}
    if old.gateway != host.gateway or (host.gateway and _in(host.gateway, networks)):
        common["gateway"] = host.gateway or NONE
    if old.dns[:1] != host.dns[:1]:
        common["dns"] = host.dns[0] if host.dns else NONE
    return common


def _set(target: str, settings: Mapping[str, str]) -> Change:
    words = [word for key, value in settings.items() for word in (f"--{key}", value)]
    return Change(
        ("set", target, *words, "--force"), changes.set_request(target, force=True, **settings)
    )


def _in(ip: str, networks: Iterable[Network]) -> bool:
    return any(ip_address(ip) in network for network in networks)


def _tables(
    old: Host, host: Host, networks: Sequence[Network] = ()
) -> Iterator[Change]:
    """Routes, and whether it passes packets on. networks: as in `_common`."""
    for to, via in old.routes:
        if (to, via) not in host.routes:
            yield _on(host.name, "ip", "route", "flush", "exact", to, "via", via)
    for to, via in host.routes:
        if (to, via) not in old.routes or _in(via, networks):
            yield _on(host.name, "ip", "route", "replace", to, "via", via)
    if old.forwards != host.forwards:
        yield _on(host.name, "sysctl", "-q", "-w", f"net.ipv4.ip_forward={int(host.forwards)}")


def _services(old: Host, host: Host) -> Iterator[Change]:
    for words in old.serves:
        if words not in host.serves:
            name = Path(words[0]).stem
            yield Change(
                ("set", host.name, "--service", f"{name}=stop"),
                changes.service_request(host.name, {name: "stop"}),
            )
    apps = content.folder("apps")
    for words in host.serves:
        if words not in old.serves:
            yield _on(host.name, sys.executable, str(apps / words[0]), *words[1:], "--background")


def _on(node: str, *command: str) -> Change:
    return Change(("exec", node, "--", *command), None, node, command)


# ------------------------------------------------------------------------------ what stays


def _not_changed(now: Plan, wanted: Plan) -> Iterator[str]:
    """What differs and no command changes."""
    for host in wanted.hosts.values():
        old = now.hosts.get(host.name, Host(host.name))
        if not _alike(old.kind, host.kind):
            yield say("{node} is of the class {name} there, and of {name2} in the lab",
                      node=host.name, name=host.kind.name, name2=old.kind.name)  # fmt: skip
        yield from _parameters(host.name, old.params, host.params)
    for switch in wanted.switches.values():
        there = now.switches.get(switch.name, Switch(switch.name, switch.dpid))
        if there.dpid != switch.dpid:
            yield say("the datapath id of {switch} is {dpid:x} there, and {dpid2:x} in the lab",
                      switch=switch.name, dpid=switch.dpid, dpid2=there.dpid)  # fmt: skip
        yield from _parameters(switch.name, there.params, switch.params)


def _parameters(node: str, now: Mapping[str, Any], wanted: Mapping[str, Any]) -> Iterator[str]:
    names = [key for key, value in wanted.items() if key != "mac" and now.get(key) != value]
    if names:
        yield say("{node}: {names} of its class", node=node, names=listed(names))


def _alike(kind: Class_, other: Class_) -> bool:
    if kind.name == other.name:
        return True
    return not (kind.users or other.users) and kind.name in _ALIKE and other.name in _ALIKE
