# SPDX-License-Identifier: Apache-2.0
"""What can be wrong with how a lab is cabled: a cable too many, cables in each other's place.

What lives here: faults as data, made and undone by the words of `hoplab add cable` and `hoplab
remove`. What must not: running labs.

A loop's storm must cost a learner's machine little: every copy that goes round is flooded to every
port of every switch there. So the cable that closes the loop is a slow one, and the slower the more
ports there are: all of its copies cross it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from hoplab.faults.kinds import LAB, Fault, Kind, Lines, ping, sources
from hoplab.faults.network import Network, Pair, card_of
from hoplab.follow.wiring import natural
from hoplab.sentences import say, term
from hoplab.story.moved_cables import plain

# Controllers of ours that learn and flood, and rest no cable; a hub's network works in a storm.
_LEARNING = ("learning_switch", "two_table_switch", "datapath_learning", "fast_switch")
_MOST_PORTS = 1_000
_FRAME_BITS = 42 * 8  # of an ARP request, the shortest that goes round
_COPIES_A_SECOND = 10_000  # in the whole lab, of what goes round one way
_SLOWEST, _FASTEST = 10_000, 100_000  # bits a second; what is slower, tc takes for nothing
# Of ten pings some come through by luck: eight must.
_MOST_PINGS = ("-c", "8", "-i", "0.2", "-w", "2")
Plug = tuple[str, str]  # the interface of a host or a router, and the switch's that it is joined to


# ------------------------------------------------------------------ loops


def _loops(network: Network) -> Iterator[Fault]:
    ports = [port for port in range(len(network.wiring.interfaces))
             if network.wiring.is_switch(port)]  # fmt: skip
    state = network.state
    if (state.get("loops") or state.get("static_arp") or not _learns(network)
            or len(ports) > _MOST_PORTS):  # fmt: skip
        return
    rate = min(_FASTEST, max(_SLOWEST, _COPIES_A_SECOND * _FRAME_BITS // max(1, len(ports))))
    for source in network.hosts:
        at, pair = network.port_of(source), _near(network, source)
        for peer in _switches_at(network, at[0]) if at is not None and pair is not None else ():
            assert at is not None and pair is not None
            first, second = sorted((at[0], peer), key=natural)
            ends = f"{_free(network, first)} {_free(network, second)}"
            # Who knows the other's MAC address floods nothing that could go round.
            forget = (source.name, f"ip neigh flush dev {card_of(source).name}")
            yield Fault(
                "loop", say("a second cable joins {node} and {peer}: they stand in a loop",
                            node=first, peer=second),
                ((LAB, f"add cable {ends} --rate {rate // 1000}k --force"), forget),
                ((LAB, f"remove {ends}"),),
                "switch-loop", first, source.name, ping(pair, *_MOST_PINGS),
            )  # fmt: skip


def _learns(network: Network) -> bool:
    """The lab's controller learns, floods, and knows nothing of loops."""
    files = [name for name in str(network.state.get("controller_file") or "").split(",") if name]
    return bool(files) and all(Path(name).stem in _LEARNING for name in files)


def _near(network: Network, source: object) -> Pair | None:
    """The pair of a host with one on its own link."""
    return next(
        (pair for pair in network.pairs if pair.source is source and not pair.routers), None
    )


def _switches_at(network: Network, switch: str) -> list[str]:
    """The switches that cables join to this one."""
    peers = [network.wiring.peer(port) for port in network.wiring.ports(switch)]
    names = [network.wiring.node_name(peer) for peer in peers
             if peer is not None and network.wiring.is_switch(peer)]  # fmt: skip
    return list(dict.fromkeys(name for name in names if name != switch))


def _free(network: Network, switch: str) -> str:
    """The name of the next interface of a switch."""
    interfaces = [network.wiring.interfaces[port] for port in network.wiring.ports(switch)]
    numbers = [int(each.extra.get("port") or 0) for each in interfaces]
    return f"{switch}-eth{max(numbers, default=0) + 1}"


# ------------------------------------------------------------------ exchanged cables


def _exchanged(network: Network) -> Iterator[Fault]:
    for pair in sources(network):
        host, link = pair.source, network.walks.link(pair.source.name, card_of(pair.source).name)
        own = _plug(network, host.name, card_of(host).name)
        other = next(
            (each for each in (pair.target, *network.hosts) if each is not host
             and (each.name, card_of(each).name) not in link
             and _plug(network, each.name, card_of(each).name) is not None), None,
        )  # fmt: skip
        plug = _plug(network, other.name, card_of(other).name) if other is not None else None
        if other is not None and own is not None and plug is not None:
            first, second = sorted((host.name, other.name), key=natural)
            yield Fault(
                "exchanged-cables", say("the cables of {node} and {peer} are exchanged",
                                        node=first, peer=second),
                _exchange(own, plug), _exchange((own[0], plug[1]), (plug[0], own[1])),
                "moved-cable", first, host.name, ping(pair),
            )  # fmt: skip
    yield from _exchanged_at_routers(network)


def _exchanged_at_routers(network: Network) -> Iterator[Fault]:
    for pair in network.far:
        router, link = pair.routers[0], network.walks.link(
            pair.source.name, card_of(pair.source).name)  # fmt: skip
        out = network.out_of(router, pair.address)
        inside = next((card for name, card in link if name == router), "")
        own = _plug(network, router, inside)
        plug = _plug(network, router, out.name) if out is not None else None
        if own is not None and plug is not None and own != plug:
            yield Fault(
                "exchanged-cables", say("two cables of {node} are exchanged", node=router),
                _exchange(own, plug), _exchange((own[0], plug[1]), (plug[0], own[1])),
                "moved-cable", router, pair.source.name, ping(pair),
            )  # fmt: skip


def _plug(network: Network, node: str, card: str) -> Plug | None:
    """The cable of a card to a switch; None for one that is to slow frames down or lose some, which
    a cable in its place would not."""
    port = network.walks.ports.get((node, card))
    peer = network.wiring.peer(port) if port is not None else None
    if port is None or peer is None or not network.wiring.is_switch(peer):
        return None
    ends = [network.wiring.interfaces[each] for each in (port, peer)]
    if any(key in end.extra for end in ends
           for key in ("rate", "delay_ms", "jitter_ms", "loss", "queue")):  # fmt: skip
        return None
    return plain(ends[0].name), plain(ends[1].name)


def _exchange(first: Plug, second: Plug) -> Lines:
    return (
        (LAB, f"remove {first[0]} {first[1]}"), (LAB, f"remove {second[0]} {second[1]}"),
        (LAB, f"add cable {first[0]} {second[1]}"), (LAB, f"add cable {second[0]} {first[1]}"),
    )  # fmt: skip


PLUG_KINDS: tuple[Kind, ...] = (
    Kind("loop", term("a cable too many between two switches"), _loops),
    Kind("exchanged-cables", term("cables of two hosts, or of a router, in each other's place"),
         _exchanged),
)  # fmt: skip
