# SPDX-License-Identifier: Apache-2.0
"""What can be wrong with a network: each kind with the places where it fits.

What lives here: faults as data. What must not: running labs (`breaking.py`).

A fault is a few lines that a shell of a node runs, others that undo them, a command that fails with
it and works without, and the cause that a right diagnosis names. All of it is data, made from what
the lab is: nothing here changes anything.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, ip_network

from hoplab.faults.network import Network, Pair, card_of, default_of, own
from hoplab.sentences import say, term
from hoplab.story.host_state import Card, Host, Listener, Route

LAB = ""  # in the place of a node: words for the lab itself, as behind `hoplab`
Lines = tuple[tuple[str, str], ...]  # (node, line for its shell), in order
_NOBODY = (77, 78, 79)  # last numbers of addresses; one of them is nobody's
_FILTER = "iptables"
# Where the tool makes tables of nftables, they stay though they hold nothing any more.
_NO_FILTER = f"{_FILTER} -S | grep -q -v 'ACCEPT$' || nft delete table ip filter 2>/dev/null; true"


@dataclass(frozen=True)
class Fault:
    """One fault in one place. says: what is wrong, for whoever gives up. cause: the code and the
    node of a right diagnosis. try_on, command: what fails with it, and works without."""

    kind: str
    says: str
    do: Lines
    undo: Lines
    cause: str
    node: str
    try_on: str
    command: tuple[str, ...]


@dataclass(frozen=True)
class Kind:
    """A kind of fault. places: all faults of that kind that fit a network."""

    name: str
    title: str
    places: Callable[[Network], Iterator[Fault]]


def ping(pair: Pair, *options: str) -> tuple[str, ...]:
    return ("ping", "-c", "1", "-W", "1", *options, str(pair.address))


def _card_again(host: Host) -> str:
    """The line that gives a host its address and its default route again."""
    card, route = card_of(host), default_of(host)
    line = f"ip addr flush dev {card.name}; ip addr add {own(host)} dev {card.name}"
    if route is not None:
        line += f"; ip route replace {_default(route)}"
    return line


def _default(route: Route) -> str:
    """A default route as `ip route` takes it: by way of a gateway, or straight onto the link."""
    return f"default via {route.via}" if route.via is not None else f"default dev {route.card}"


def sources(network: Network) -> Iterator[Pair]:
    """One pair of each host: with one behind a router, if there is one."""
    for host in network.hosts:
        pairs = [pair for pair in network.pairs if pair.source is host]
        if pairs:
            yield pairs[-1]


def _interface_down(network: Network) -> Iterator[Fault]:
    for pair in sources(network):
        for host in (pair.source, pair.target):
            yield Fault(
                "interface-down", say("the card of {node} is down", node=host.name),
                ((host.name, f"ip link set {card_of(host).name} down"),),
                ((host.name, f"ip link set {card_of(host).name} up; {_card_again(host)}"),),
                "interface-down", host.name, pair.source.name, ping(pair),
            )  # fmt: skip


def _router_card_down(network: Network) -> Iterator[Fault]:
    for pair in network.far:
        router = pair.routers[-1]
        card = network.out_of(router, pair.address)
        again = [
            f"ip route replace {route.to} via {route.via}"
            for route in network.facts.now.hosts[router].routes
            if card is not None and route.card == card.name and route.via
        ]
        if card is not None:
            yield Fault(
                "router-card-down", say("a card of {node} is down", node=router),
                ((router, f"ip link set {card.name} down"),),
                ((router, "; ".join([f"ip link set {card.name} up", *again])),),
                "interface-down", router, pair.source.name, ping(pair),
            )  # fmt: skip


def _port_down(network: Network) -> Iterator[Fault]:
    for pair in sources(network):
        for host in (pair.source, pair.target):
            at = network.port_of(host)
            if at is not None:
                yield Fault(
                    "port-down", say("the port of {node} at {switch} is down", node=host.name,
                                     switch=at[0]),
                    ((at[0], f"ip link set {at[1]} down"),),
                    ((at[0], f"ip link set {at[1]} up"),),
                    "link-down", at[0], pair.source.name, ping(pair),
                )  # fmt: skip


def _no_address(network: Network) -> Iterator[Fault]:
    for pair in sources(network):
        for host in (pair.source, pair.target):
            yield Fault(
                "no-address", say("{node} has no address", node=host.name),
                ((host.name, f"ip addr flush dev {card_of(host).name}"),),
                ((host.name, _card_again(host)),),
                "no-address", host.name, pair.source.name, ping(pair),
            )  # fmt: skip


def _wrong_address(network: Network) -> Iterator[Fault]:
    for pair in sources(network):
        host, free = pair.target, _free(network, pair.target)
        if free is None:
            continue
        card, route = card_of(host), default_of(host)
        line = f"ip addr flush dev {card.name}; ip addr add {free}/{_length(host)} dev {card.name}"
        if route is not None:
            line += f"; ip route replace {_default(route)}"
        yield Fault(
            "wrong-address", say("{node} has another address", node=host.name),
            ((host.name, line),), ((host.name, _card_again(host)),),
            "wrong-address", host.name, pair.source.name, ping(pair),
        )  # fmt: skip


def _wrong_subnet(network: Network) -> Iterator[Fault]:
    for pair in sources(network):
        host, card = pair.source, card_of(pair.source)
        line = f"ip addr flush dev {card.name}; ip addr add 172.31.7.10/24 dev {card.name}"
        yield Fault(
            "wrong-subnet", say("{node} has an address of another network", node=host.name),
            ((host.name, line),), ((host.name, _card_again(host)),),
            "wrong-address", host.name, host.name, ping(pair),
        )  # fmt: skip


def _length(host: Host) -> int:
    return own(host).network.prefixlen


def _free(network: Network, host: Host) -> IPv4Address | None:
    """An address in the host's network that nobody has."""
    first = int(own(host).network.network_address)
    taken = {
        each.ip for other in network.facts.now.hosts.values()
        for card in other.cards.values() for each in card.addresses
    }  # fmt: skip
    for number in _NOBODY:
        address = IPv4Address(first + number)
        if address not in taken and address in own(host).network:
            return address
    return None


def _narrow_mask(network: Network) -> Iterator[Fault]:
    """The longest mask that leaves out whom the host has to ask for."""
    for pair in sources(network):
        host, card, route = pair.source, card_of(pair.source), default_of(pair.source)
        hop = route.via if route is not None and pair.routers else pair.address
        for length in range(30, _length(host), -1):
            narrow = ip_network(f"{own(host).ip}/{length}", strict=False)
            if hop is not None and hop not in narrow:
                line = f"ip addr flush dev {card.name}; "
                line += f"ip addr add {own(host).ip}/{length} dev {card.name}"
                yield Fault(
                    "mask-narrow", say("the mask of {node} is too long", node=host.name),
                    ((host.name, line),), ((host.name, _card_again(host)),),
                    "mask-narrow", host.name, host.name, ping(pair),
                )  # fmt: skip
                break


def _wide_mask(network: Network) -> Iterator[Fault]:
    for pair in network.far:
        host, card, route = pair.source, card_of(pair.source), default_of(pair.source)
        for length in range(_length(host) - 1, 7, -1):
            wide = ip_network(f"{own(host).ip}/{length}", strict=False)
            if pair.address in wide and route is not None:
                line = f"ip addr flush dev {card.name}; ip addr add {own(host).ip}/{length} "
                line += f"dev {card.name}; ip route replace {_default(route)}"
                yield Fault(
                    "mask-wide", say("the mask of {node} is too short", node=host.name),
                    ((host.name, line),), ((host.name, _card_again(host)),),
                    "mask-wide", host.name, host.name, ping(pair),
                )  # fmt: skip
                break


def _no_gateway(network: Network) -> Iterator[Fault]:
    for pair in network.far:
        for host, cause in ((pair.source, "no-gateway"), (pair.target, "no-return-route")):
            route = default_of(host)
            if route is not None:
                yield Fault(
                    cause, say("{node} has no default gateway", node=host.name),
                    ((host.name, "ip route del default"),),
                    ((host.name, f"ip route replace {_default(route)}"),),
                    cause, host.name, pair.source.name, ping(pair),
                )  # fmt: skip


def _wrong_gateway(network: Network) -> Iterator[Fault]:
    for pair in network.far:
        host, route, free = pair.source, default_of(pair.source), _free(network, pair.source)
        beside = network.beside(host)
        wrong = [
            (f"{free}", "wrong-gateway") if free is not None else None,
            (f"{own(beside).ip}", "wrong-gateway") if beside is not None else None,
            (f"172.31.9.1 dev {card_of(host).name} onlink", "gateway-outside"),
        ]
        for via, cause in filter(None, wrong):
            if route is not None:
                yield Fault(
                    cause, say("{node} has a wrong default gateway", node=host.name),
                    ((host.name, f"ip route replace default via {via}"),),
                    ((host.name, f"ip route del default; ip route add {_default(route)}"),),
                    cause, host.name, host.name, ping(pair),
                )  # fmt: skip


def _wrong_route(network: Network) -> Iterator[Fault]:
    for pair in network.far:
        beside = network.beside(pair.source)
        if beside is not None:
            line = f"{pair.address}/32 via {own(beside).ip}"
            yield Fault(
                "wrong-route", say("{node} has a wrong route", node=pair.source.name),
                ((pair.source.name, f"ip route add {line}"),),
                ((pair.source.name, f"ip route del {line}"),),
                "wrong-route", pair.source.name, pair.source.name, ping(pair),
            )  # fmt: skip


def _not_forwarding(network: Network) -> Iterator[Fault]:
    for pair in network.far:
        for router in pair.routers:
            yield Fault(
                "not-forwarding", say("{node} does not forward", node=router),
                ((router, "sysctl -q -w net.ipv4.ip_forward=0"),),
                ((router, "sysctl -q -w net.ipv4.ip_forward=1"),),
                "not-forwarding", router, pair.source.name, ping(pair),
            )  # fmt: skip


def _router_without_route(network: Network) -> Iterator[Fault]:
    for pair in network.far:
        for router in pair.routers:
            host = network.facts.now.hosts[router]
            for route in host.routes:
                if route.via is None or not route.to.prefixlen:
                    continue
                if pair.address in route.to or own(pair.source).ip in route.to:
                    line = f"{route.to} via {route.via}"
                    yield Fault(
                        "no-route", say("{node} lacks a route", node=router),
                        ((router, f"ip route del {line}"),), ((router, f"ip route add {line}"),),
                        "no-route", router, pair.source.name, ping(pair),
                    )  # fmt: skip


def _refused_by_route(network: Network) -> Iterator[Fault]:
    for pair in sources(network):
        for kind in ("blackhole", "unreachable", "prohibit"):
            for node in (pair.source.name, *pair.routers[:1]):
                line = f"{kind} {pair.address}/32"
                yield Fault(
                    f"route-{kind}", say("{node} has a route that refuses", node=node),
                    ((node, f"ip route add {line}"),), ((node, f"ip route del {line}"),),
                    f"route-{kind}", node, pair.source.name, ping(pair),
                )  # fmt: skip


def _routing_loop(network: Network) -> Iterator[Fault]:
    for pair in network.far:
        for before, router in zip(pair.routers, pair.routers[1:], strict=False):
            back = _address_towards(network, router, before)
            if back is not None:
                line = f"{pair.address}/32 via {back}"
                yield Fault(
                    "routing-loop", say("{node} sends it back", node=router),
                    ((router, f"ip route add {line}"),), ((router, f"ip route del {line}"),),
                    "routing-loop", router, pair.source.name, ping(pair),
                )  # fmt: skip


def _address_towards(network: Network, node: str, neighbour: str) -> IPv4Address | None:
    """The address of a neighbour's card on a link of the node's."""
    for card in network.facts.now.hosts[node].cards.values():
        for name, there in network.walks.link(node, card.name):
            if name == neighbour:
                for address in network.facts.now.hosts[name].cards[there].addresses:
                    return address.ip
    return None


def _reverse_path(network: Network) -> Iterator[Fault]:
    for pair in network.far:
        router = pair.routers[0]
        out = network.out_of(router, pair.address)
        if out is not None:
            line = f"{own(pair.source).ip}/32 dev {out.name}"
            yield Fault(
                "rp-filter", say("{node} checks where packets come from", node=router),
                ((router, f"ip route add {line}; sysctl -q -w net.ipv4.conf.all.rp_filter=1"),),
                ((router, f"ip route del {line}; sysctl -q -w net.ipv4.conf.all.rp_filter=0"),),
                "rp-filter", router, pair.source.name, ping(pair),
            )  # fmt: skip


def _static_arp(network: Network) -> Iterator[Fault]:
    for pair in sources(network):
        host, card, route = pair.source, card_of(pair.source), default_of(pair.source)
        gateway = route.via if route is not None and pair.routers else None
        hop = gateway if gateway is not None else pair.address
        yield Fault(
            "static-arp", say("{node} was told a wrong MAC", node=host.name),
            ((host.name, f"ip neigh replace {hop} lladdr 02:aa:bb:cc:dd:01 dev {card.name} "
                         "nud permanent"),),
            ((host.name, f"ip neigh del {hop} dev {card.name}"),),
            "static-arp", host.name, host.name, ping(pair),
        )  # fmt: skip


def _filters(network: Network) -> Iterator[Fault]:
    for pair in sources(network):
        rules = [
            (pair.source.name, "OUTPUT", "output"), (pair.source.name, "INPUT", "input"),
            (pair.target.name, "INPUT", "input"), (pair.target.name, "OUTPUT", "output"),
            *((router, "FORWARD", "forward") for router in pair.routers),
        ]  # fmt: skip
        for node, chain, hook in rules:
            yield Fault(
                f"filter-{hook}", say("{node} has a filter", node=node),
                ((node, f"{_FILTER} -A {chain} -p icmp -j DROP"),),
                ((node, f"{_FILTER} -D {chain} -p icmp -j DROP; {_NO_FILTER}"),),
                f"filter-{hook}", node, pair.source.name, ping(pair),
            )  # fmt: skip
        for router in pair.routers:
            yield Fault(
                "filter-policy", say("{node} lets nothing through", node=router),
                ((router, f"{_FILTER} -P FORWARD DROP"),),
                ((router, f"{_FILTER} -P FORWARD ACCEPT; {_NO_FILTER}"),),
                "filter-forward", router, pair.source.name, ping(pair),
            )  # fmt: skip


def _ignores_echo(network: Network) -> Iterator[Fault]:
    for pair in sources(network):
        setting = "net.ipv4.icmp_echo_ignore_all"
        yield Fault(
            "echo-ignored", say("{node} answers no ping", node=pair.target.name),
            ((pair.target.name, f"sysctl -q -w {setting}=1"),),
            ((pair.target.name, f"sysctl -q -w {setting}=0"),),
            "echo-ignored", pair.target.name, pair.source.name, ping(pair),
        )  # fmt: skip


def _small_mtu(network: Network) -> Iterator[Fault]:
    for pair in sources(network):
        places: list[tuple[str, Card | None, str]] = [
            (pair.source.name, card_of(pair.source), "mtu-too-small"),
            (pair.target.name, card_of(pair.target), "mtu-mismatch"),
        ]
        if pair.routers:
            router = pair.routers[-1]
            places.append((router, network.out_of(router, pair.address), "mtu-too-small"))
        for node, card, cause in places:
            if card is not None:
                yield Fault(
                    cause, say("the MTU of {node} is too small", node=node),
                    ((node, f"ip link set {card.name} mtu 900"),),
                    # The sender remembers for ten minutes what a router told it (ICMP).
                    ((node, f"ip link set {card.name} mtu {card.mtu}"),
                     (pair.source.name, "ip route flush cache")),
                    cause, node, pair.source.name, ping(pair, "-M", "do", "-s", "1300"),
                )  # fmt: skip


def _without_controller(network: Network) -> Iterator[Fault]:
    for pair, switch, again in _switched(network):
        yield Fault(
            "no-controller", say("{switch} has no controller", switch=switch),
            ((switch, f"ovs-vsctl del-controller {switch}; {_no_flows(switch)}"),), again,
            "no-controller", switch, pair.source.name, ping(pair),
        )  # fmt: skip


def _hung_controller(network: Network) -> Iterator[Fault]:
    if network.state.get("own_controller"):
        return  # it is somebody else's process
    for pair, switch, _ in _switched(network):
        yield Fault(
            "hung-controller", say("the controller of {switch} hangs", switch=switch),
            ((LAB, "controller hang"),), ((LAB, "controller resume"),),
            "hung-controller", switch, pair.source.name, ping(pair),
        )  # fmt: skip


def _duplicate_gateway(network: Network) -> Iterator[Fault]:
    """A host takes the address of its neighbour's gateway, and says so by asking for the
    neighbour: to whom this answers, it tells its own MAC."""
    for pair in network.far:
        route, beside = default_of(pair.source), network.beside(pair.source)
        if route is None or route.via is None or beside is None or beside.forwards:
            continue
        if str(route.via) in {each.ip for each in pair.source.neighbours if each.permanent}:
            continue  # it asks nobody
        yield from _duplicate(network, pair.source, beside, IPv4Interface(
            f"{route.via}/{_length(beside)}"), (pair.source.name, ping(pair)))  # fmt: skip


def _duplicate_server(network: Network) -> Iterator[Fault]:
    """A host takes the address of the web server that is on its link: it serves nothing."""
    visit = _visit(network)
    client = network.facts.now.hosts.get(visit[0]) if visit is not None else None
    if visit is None or client is None:
        return
    for host, _ in network.services("tcp", 80):
        pair, beside = network.pair(client, host), network.beside(host, client.name)
        if pair is None or beside is None or any(each.port == 80 for each in beside.listeners):
            continue
        before = network.facts.now.hosts[pair.way[-2]]
        if str(own(host).ip) not in {each.ip for each in before.neighbours if each.permanent}:
            yield from _duplicate(network, before, beside, own(host), visit)


def _duplicate(
    network: Network, asker: Host, beside: Host, address: IPv4Interface,
    failing: tuple[str, tuple[str, ...]],
) -> Iterator[Fault]:  # fmt: skip
    """beside takes an address that somebody on its link has, and tells the asker, by an ARP request
    of its own: it must not have the asker's MAC already, and the asker takes no new one within a
    second of the last (Linux's locktime). An answer that comes back to beside shows that it did.
    Whoever was told forgets it when it is undone. Where beside's mask leaves the asker out, it
    cannot ask for it."""
    card = card_of(beside)
    link = [(beside.name, card.name), *network.walks.link(beside.name, card.name)]
    asked = [
        each.ip for node, name in link if node == asker.name
        for each in asker.cards[name].addresses if each.ip in address.network
    ]  # fmt: skip
    if not asked:
        return
    towards = asked[0]
    forget = [(node, f"ip neigh flush to {address.ip} dev {name}")
              for node, name in link if node in network.facts.now.hosts]  # fmt: skip
    yield Fault(
        "duplicate-address", say("{node} has the address {ip}, which is another's",
                                 node=beside.name, ip=str(address.ip)),
        ((beside.name, f"ip addr add {address} dev {card.name}; timeout 5 sh -c 'until "
                       f"ip neigh flush dev {card.name} to {towards}; "
                       f"ping -c 1 -W 1 -I {address.ip} {towards}; do :; done'; true"),),
        ((beside.name, f"ip addr del {address} dev {card.name}"), *forget),
        "duplicate-address", beside.name, *failing,
    )  # fmt: skip


def _duplicates(network: Network) -> Iterator[Fault]:
    yield from _duplicate_gateway(network)
    yield from _duplicate_server(network)


def _wrong_vlan(network: Network) -> Iterator[Fault]:
    for pair, switch, again in _switched(network):
        at = network.port_of(pair.source)
        if at is None:
            continue
        learn = f"ovs-ofctl -O OpenFlow13 add-flow {switch} actions=NORMAL"
        yield Fault(
            "vlan-mismatch", say("{node} is in a VLAN of its own", node=pair.source.name),
            ((switch, f"ovs-vsctl del-controller {switch}; {_no_flows(switch)}; {learn}; "
                      f"ovs-vsctl set port {at[1]} tag=7"),),
            ((switch, f"ovs-vsctl clear port {at[1]} tag; {_no_flows(switch)}"), *again),
            "vlan-mismatch", switch, pair.source.name, ping(pair),
        )  # fmt: skip


def _no_flows(switch: str) -> str:
    return f"ovs-ofctl -O OpenFlow13 del-flows {switch}"


def _switched(network: Network) -> Iterator[tuple[Pair, str, Lines]]:
    """Pairs, the switch at the first of both, and the lines that give it its controller again."""
    shards = {
        name: shard["port"] for shard in network.state.get("shards", ())
        for name in shard["switches"]
    }  # fmt: skip
    for pair in sources(network):
        at = network.port_of(pair.source)
        if at is not None and at[0] in shards:
            port = shards[at[0]]
            yield pair, at[0], (
                # Unless somebody has put one in charge since.
                (at[0], f"ovs-vsctl get-controller {at[0]} | grep -q . || "
                        f"ovs-vsctl set-controller {at[0]} tcp:127.0.0.1:{port}"),
            )  # fmt: skip


def _visit(network: Network) -> tuple[str, tuple[str, ...]] | None:
    """A host and a command that fetches the lab's own page by its name; None where there is no
    page, or the host reaches nobody and fetches none anyway."""
    url, client = network.state.get("url"), network.state.get("client")
    if not url or client not in {pair.source.name for pair in network.pairs}:
        return None
    return client, ("curl", "-sS", "-o", "/dev/null", "-m", "6", url)


def _again(listener: Listener) -> str:
    line = shlex.join(listener.argv)
    return line if "--background" in listener.argv else f"{line} >/dev/null 2>&1 &"


def _stop(listener: Listener) -> str:
    """The line that ends whoever listens at that port of the host now. All hosts of a lab have
    their processes in one place, so nothing is ended by its name."""
    sockets = f"ss -H -ln{listener.protocol[0]}p 'sport = :{listener.port}'"
    return f"kill $({sockets} | sed -n 's/.*pid=\\([0-9]*\\).*/\\1/p'); sleep 0.5"


def _services(network: Network) -> Iterator[Fault]:
    visit = _visit(network)
    if visit is None:
        return
    for host, listener in network.services("tcp", 80):
        stop = f"kill {listener.pid}"
        yield Fault(
            "service-down", say("the web server of {node} has ended", node=host.name),
            ((host.name, stop),), ((host.name, _again(listener)),),
            "service-down", host.name, *visit,
        )  # fmt: skip
        own_only = shlex.join([*listener.argv, "--listen", "127.0.0.1"])
        yield Fault(
            "bound-to-loopback", say("the web server of {node} serves itself alone",
                                     node=host.name),
            ((host.name, f"{stop}; sleep 0.5; {own_only}"),),
            ((host.name, f"{_stop(listener)}; {_again(listener)}"),),
            "bound-to-loopback", host.name, *visit,
        )  # fmt: skip
    forget = _forget(network, visit[0])
    for host, listener in network.services("udp", 53):
        rest = forget if forget and forget[0][0] != host.name else ()
        yield Fault(
            "dns-server-down", say("the DNS server of {node} has ended", node=host.name),
            ((host.name, f"kill {listener.pid}"), *rest), ((host.name, _again(listener)), *rest),
            "dns-server-down", host.name, *visit,
        )  # fmt: skip


def _forget(network: Network, client: str) -> Lines:
    """The line that makes the client's resolver forget what it was answered: it begins anew."""
    named = network.facts.now.hosts[client].resolvers or ()
    for host, listener in network.services("udp", 53):
        if str(own(host).ip) in named:
            return ((host.name, f"{_stop(listener)}; {_again(listener)}"),)
    return ()


def _resolvers(network: Network) -> Iterator[Fault]:
    visit = _visit(network)
    client = network.facts.now.hosts.get(visit[0]) if visit is not None else None
    if visit is None or client is None or not client.resolvers:
        return
    kept = f"/run/{client.name}.resolv.conf"
    keep = f"cp /etc/resolv.conf {kept}"
    again = ((client.name, f"[ ! -f {kept} ] || cat {kept} > /etc/resolv.conf; rm -f {kept}"),)
    beside = network.beside(client)
    free = _free(network, client)
    for wrong in (own(beside).ip if beside is not None else None, free):
        if wrong is not None:
            yield Fault(
                "wrong-resolver", say("{node} asks a wrong DNS server", node=client.name),
                ((client.name, f"{keep}; echo nameserver {wrong} > /etc/resolv.conf"),), again,
                "wrong-resolver", client.name, *visit,
            )  # fmt: skip
    yield Fault(
        "no-resolver", say("{node} knows no DNS server", node=client.name),
        ((client.name, f"{keep}; echo > /etc/resolv.conf"),), again,
        "no-resolver", client.name, *visit,
    )  # fmt: skip


def _zones(network: Network) -> Iterator[Fault]:
    """The server that has the zone of the lab's own page starts without it, or without its name."""
    visit = _visit(network)
    if visit is None:
        return
    name = str(network.state["url"]).partition("://")[2].partition("/")[0]
    for host, listener in network.services("udp", 53):
        zone = next(
            (word for word in listener.argv if word.endswith(f"/{name.partition('.')[2]}.zone")), ""
        )
        if not zone:
            continue
        stop = f"kill {listener.pid}; sleep 0.5"
        shorter = "/run/without.zone"
        line = shlex.join([shorter if word == zone else word for word in listener.argv])
        first = name.partition(".")[0]
        at = listener.argv.index(zone)
        rest = shlex.join([*listener.argv[: at - 1], *listener.argv[at + 1 :]])
        forget = _forget(network, visit[0])
        back = ((host.name, f"{_stop(listener)}; {_again(listener)}"), *forget)
        yield Fault(
            "name-missing", say("the zone of {node} lacks a name", node=host.name),
            ((host.name, f"grep -v '^{first}' {shlex.quote(zone)} > {shorter}; {stop}; {line}"),
             *forget),
            back, "name-missing", host.name, *visit,
        )  # fmt: skip
        if len(listener.argv) > at + 2:
            yield Fault(
                "zone-missing", say("{node} does not have its zone", node=host.name),
                ((host.name, f"{stop}; {rest}"), *forget), back, "zone-missing", host.name, *visit,
            )  # fmt: skip


KINDS: tuple[Kind, ...] = (
    Kind("interface-down", term("a card that is down"), _interface_down),
    Kind("router-card-down", term("a router's card that is down"), _router_card_down),
    Kind("port-down", term("a switch's port that is down"), _port_down),
    Kind("no-address", term("a host without an address"), _no_address),
    Kind("wrong-address", term("a host with another address"), _wrong_address),
    Kind("wrong-subnet", term("a host with an address of another network"), _wrong_subnet),
    Kind("mask-narrow", term("a mask that is too long"), _narrow_mask),
    Kind("mask-wide", term("a mask that is too short"), _wide_mask),
    Kind("no-gateway", term("no default gateway"), _no_gateway),
    Kind("wrong-gateway", term("a wrong default gateway"), _wrong_gateway),
    Kind("wrong-route", term("a wrong route"), _wrong_route),
    Kind("not-forwarding", term("a router that does not forward"), _not_forwarding),
    Kind("no-route", term("a router without a route"), _router_without_route),
    Kind("refusing-route", term("a route that refuses"), _refused_by_route),
    Kind("routing-loop", term("routers that send in a circle"), _routing_loop),
    Kind("rp-filter", term("a router that checks where packets come from"), _reverse_path),
    Kind("static-arp", term("a wrong MAC address, entered by hand"), _static_arp),
    Kind("filter", term("a filter"), _filters),
    Kind("echo-ignored", term("a host that answers no ping"), _ignores_echo),
    Kind("mtu", term("an MTU that is too small"), _small_mtu),
    Kind("no-controller", term("a switch without a controller"), _without_controller),
    Kind("hung-controller", term("a controller that hangs"), _hung_controller),
    Kind("duplicate-address", term("an address that two have"), _duplicates),
    Kind("vlan", term("a port in another VLAN"), _wrong_vlan),
    Kind("service", term("a server that has ended, or serves itself alone"), _services),
    Kind("resolver", term("a wrong DNS server in resolv.conf, or none"), _resolvers),
    Kind("zone", term("a zone without the name"), _zones),
)
