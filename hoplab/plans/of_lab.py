# SPDX-License-Identifier: Apache-2.0
"""The plan of a running lab: what it is now, changes by hand included.

What lives here: reading it together from lab.json, from what hosts are set to, from its cables and
from the classes that its nodes are of. What must not: files.

1. What hosts are set to counts, not what the lab came up with. The classes of nodes and those
   parameters that nobody can see from outside (the text of a zone) are as the topology gave them.
2. A host that asks for its address (DHCP) keeps on asking.
3. What a plan cannot hold is said in a remark: filters, tables of routes, MTUs, cut cables.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from hoplab import content
from hoplab.client import labs
from hoplab.client.inventory import facts_of
from hoplab.follow.wiring import natural
from hoplab.kernel.shaping import Limits
from hoplab.plans.plan import Cable, Class_, Host, Plan, Switch, unusual
from hoplab.sentences import listed, say
from hoplab.story.host_state import read_facts

_MAIN, _DEFAULT, _WIDTH = 254, 253, 1500
_OF_HOSTS = ("ip", "defaultRoute", "nameserver", "routes", "serves", "mac")
_BACKGROUND = "--background"
_NAMED = 5  # of what is left out of each host


def plan_of(handle: labs.Handle) -> Plan:
    """The plan of a lab that is up. Raises LabError."""
    return compose(
        handle.state(), facts_of(handle).get("now", {}), handle.ask({"op": "links"}),
        handle.ask({"op": "origin"}),
    )  # fmt: skip


def compose(
    state: Mapping[str, Any], facts: Mapping[str, Any], links: Iterable[Mapping[str, Any]],
    origin: Mapping[str, Any],
) -> Plan:  # fmt: skip
    """The same from what the lab says. facts: of its hosts, as they are now."""
    ports = {each["name"]: (each["node"], each["port"]) for each in state["interfaces"]}
    ifnames = {each["name"]: each["ifname"] for each in state["interfaces"]}
    remarks: list[str] = []
    hosts, switches = {}, {}
    for node in state["nodes"]:
        own = [each for each in state["interfaces"] if each["node"] == node["name"]]
        source = origin["nodes"].get(node["name"], {})
        kind = Class_(**source.get("class", {}))
        if "dpid" in node:
            switches[node["name"]] = Switch(
                node["name"], int(node["dpid"], 16), kind, source.get("params", {}),
                tuple(source.get("opaque", ())),
            )  # fmt: skip
        else:
            entry = facts.get("hosts", {}).get(node["name"], {})
            hosts[node["name"]] = _host(node["name"], kind, own, entry, source)
            remarks += _left_out(hosts[node["name"]], entry, static_arp=bool(state["static_arp"]))
    kinds = {frozenset(map(tuple, each["ends"])): Class_(**each["class"])
             for each in origin["cables"]}  # fmt: skip
    cables = []
    for link in links:
        first, second = (ports[end["interface"]] for end in link["ends"])
        limits = [Limits().changed(end) for end in link["ends"]]
        kind = kinds.get(frozenset((first, second)), Class_("Link", "mininet.link"))
        up = link["state"] == "up"
        names = [unusual(ifnames[end["interface"]], ports[end["interface"]])
                 for end in link["ends"]]  # fmt: skip
        cables.append(
            Cable((first, second), (limits[0], limits[1]), kind, up, (names[0], names[1]))
        )
        if not up:
            remarks.append(
                say("the cable {port} - {port2} is cut now", port=link["ends"][0]["interface"],
                    port2=link["ends"][1]["interface"])
            )  # fmt: skip
    return Plan(
        dict(sorted(hosts.items(), key=lambda each: _place(state, each[0]))), switches,
        tuple(cables), _controller(state), state.get("url"), state.get("client"), tuple(remarks),
    )  # fmt: skip


def _place(state: Mapping[str, Any], name: str) -> int:
    return [node["name"] for node in state["nodes"]].index(name)


def _controller(state: Mapping[str, Any]) -> str | None:
    """As a Topo names it: one of ours by its name, another by its file."""
    files = str(state.get("controller_file") or "")
    own = content.folder("controllers")
    if not files or all(os.path.dirname(file) == str(own) for file in files.split(",")):
        name = state.get("controller")
        return str(name) if name and state.get("shards") and files else None
    return files


def _host(
    name: str, kind: Class_, interfaces: Iterable[Mapping[str, Any]], facts: Mapping[str, Any],
    source: Mapping[str, Any],
) -> Host:  # fmt: skip
    cards = {card["name"]: card for card in facts.get("cards", ())}
    addresses = {
        each["port"]: tuple(cards.get(each["ifname"], {}).get("addresses", ()))
        for each in interfaces
    }
    routes = [route for route in facts.get("routes", ()) if route.get("via") and
              route.get("table", _MAIN) == _MAIN and route.get("kind", "unicast") == "unicast"]
    gateways = [route["via"] for route in routes if route["to"] == "0.0.0.0/0"]
    read = read_facts({"format": 1, "now": {"hosts": {name: dict(facts)}}}) if facts else None
    resolvers = read.now.hosts[name].resolvers if read is not None else None
    params = dict(source.get("params", {}))
    mac = {"mac": params["mac"]} if "mac" in params else {}
    for key in _OF_HOSTS:
        params.pop(key, None)
    return Host(
        name, kind, dict(sorted(addresses.items())), gateways[0] if gateways else None,
        tuple(resolvers or ()),
        tuple(sorted((route["to"], route["via"]) for route in routes
                     if route["to"] != "0.0.0.0/0")),
        bool((facts.get("settings") or {}).get("ip_forward")),
        tuple(dict.fromkeys(_served(facts.get("listeners", ())))), {**mac, **params},
        tuple(source.get("opaque", ())),
    )  # fmt: skip


def _served(listeners: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, ...]]:
    """The command lines of our apps that serve, as our `Server` has them."""
    for listener in listeners:
        words = app_words(listener.get("argv") or ())
        if words:
            yield words


def app_words(argv: Iterable[str]) -> tuple[str, ...]:
    """A command line of one of our apps, without the Python that runs it; () for any other."""
    words = list(argv)
    folder = str(content.folder("apps"))
    for place, word in enumerate(words[:3]):
        if os.path.dirname(word) == folder:
            rest = [each for each in words[place + 1 :] if each != _BACKGROUND]
            return (os.path.basename(word), *rest)
    return ()


def _left_out(host: Host, facts: Mapping[str, Any], *, static_arp: bool) -> Iterator[str]:
    """What of a host no plan holds."""
    items = [*_cards(host, facts), *_routes(facts)]
    entered = [each["ip"] for each in facts.get("neighbours", ()) if each.get("permanent")]
    if entered and not static_arp:
        items.append(say("the MAC addresses that were entered for {addresses}",
                         addresses=listed(entered[:_NAMED])))  # fmt: skip
    if not _made_by_class(host):
        items += _programs(facts)
    if items:
        yield say("{node}: {items}", node=host.name, items=listed(dict.fromkeys(items)))


def _cards(host: Host, facts: Mapping[str, Any]) -> Iterator[str]:
    for card in facts.get("cards", ()):
        if card["mtu"] != _WIDTH and card["name"] != "lo":
            yield say("the MTU {mtu} of {card}", mtu=card["mtu"], card=card["name"])
        if not card["up"]:
            yield say("that {card} is down", card=card["name"])
    for port, addresses in host.cards.items():
        if len(addresses) > 1:
            yield say("more than one address at port {port}: {addresses}", port=port,
                      addresses=listed(addresses[1:]))  # fmt: skip
    if len(host.dns) > 1:
        yield say("the DNS servers {addresses}", addresses=listed(host.dns[1:]))


def _programs(facts: Mapping[str, Any]) -> Iterator[str]:
    if facts.get("filters"):
        yield say("its filters")
    for listener in facts.get("listeners", ()):
        argv = listener.get("argv") or ()
        if argv and not app_words(argv):
            yield say("what serves at {protocol} port {port} (`{command}`)",
                      protocol=listener["protocol"], port=listener["port"],
                      command=" ".join(argv))  # fmt: skip


def _routes(facts: Mapping[str, Any]) -> Iterator[str]:
    own = [route for route in facts.get("routes", ())
           if route.get("table", _MAIN) not in (_MAIN, _DEFAULT)
           or route.get("kind", "unicast") != "unicast"]  # fmt: skip
    if own:
        yield say("the routes to {networks}", networks=listed(
            sorted({route["to"] for route in own}, key=natural)[:_NAMED]))  # fmt: skip
    if facts.get("rules"):
        yield say("its rules for routes")


def _made_by_class(host: Host) -> bool:
    """Its class does more than anybody sees from outside."""
    return host.kind.users or (host.kind.ours and host.kind.name in ("HomeRouter", "DhcpComputer"))
