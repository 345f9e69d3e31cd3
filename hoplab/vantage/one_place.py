# SPDX-License-Identifier: Apache-2.0
"""A capture of one place: who is who there, and the journeys of its frames.

What lives here: the wiring that the frames of one place allow to speak of, and one journey a frame.
What must not: files, words for people.

The picture is a star. In the middle is the place of the capture, as a node; around it stand the
cards that frames are from or for. A frame was seen once, in the middle: it came from the card with
its source MAC address, and it went on towards the one with its destination MAC address. Whether it
arrived there, no frame can show, and nothing here says so (`Coverage.place`). An address that lies
behind a card has a node of its own behind it; what is between the two is not known.

A packet that passes the place twice, as one does that a router sends back out of the port by which
it came, is one journey: the same bytes from layer 3 on but for a TTL that is one lower.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from hoplab.capture.observation import Observation
from hoplab.decode.packet import mac_text
from hoplab.follow.identity import route_key, same_layer3
from hoplab.follow.model import Hop, Journey, Origin
from hoplab.follow.wiring import Interface, Node, Wiring
from hoplab.vantage.evidence import CLAIMED, CardEvidence, read_cards

PLACE = "place"  # the key of lab.json: the name of the node in the middle
_HELD_NS = 1_000_000_000  # how long a router may keep a packet that comes back
_BEHIND_MOST = 500  # nodes behind one card; a busy gateway speaks for more than a picture holds


def describe(observations: Sequence[Observation], name: str) -> Wiring:
    """The wiring of a place, by the frames that were seen there. name: of the place."""
    cards = read_cards(observations)
    names = _names(cards.values(), name)
    nodes = [Node(name, "switch", {"place": True})]
    interfaces: list[Interface] = []
    taken = {name}
    for card in cards.values():
        node = names[card.mac]
        taken.add(node)
        evidence = {
            address: {"how": how, "frame": frame} for address, (how, frame) in card.own.items()
        }
        kind = "router" if card.behind else "host"
        nodes.append(Node(node, kind, {"frames": card.frames, "known": evidence}))
        near, far = f"{node}-card", f"{name}-{node}"
        addresses = tuple(_with_prefix(address) for address in card.own)
        interfaces.append(Interface(near, node, card.mac, addresses, far))
        interfaces.append(Interface(far, name, "", (), near))
    for card in cards.values():
        node = names[card.mac]
        behind = [address for address in card.behind if address not in taken][:_BEHIND_MOST]
        for number, address in enumerate(behind, 1):
            taken.add(address)
            nodes.append(Node(address, "host", {"behind": node, "frame": card.behind[address]}))
            near, far = f"{address}-card", f"{node}-behind{number}"
            interfaces.append(Interface(near, address, "", (_with_prefix(address),), far))
            interfaces.append(Interface(far, node, "", (), near))
    return Wiring(nodes, interfaces, extra={PLACE: name})


def _names(cards: Iterable[CardEvidence], place: str) -> dict[str, str]:
    """What cards are called, by MAC address: by an address of theirs, IPv4 and sure ones first,
    else by the MAC address. A second card with that address has its MAC address behind it."""
    names: dict[str, str] = {}
    taken = {place}
    for card in cards:
        own = [(":" in address, how != CLAIMED, address) for address, (how, _) in card.own.items()]
        name = min(own)[-1] if own else card.mac
        if name in taken:
            name = f"{name} ({card.mac})"
        taken.add(name)
        names[card.mac] = name
    return names


def _with_prefix(address: str) -> str:
    return f"{address}/128" if ":" in address else f"{address}/32"


def journeys(wiring: Wiring, observations: Iterable[Observation]) -> list[Journey]:
    """The journeys of frames that were seen at the place, in order of time."""
    followed: list[Journey] = []
    ends: dict[str, tuple[int, int]] = {}  # by MAC address: the card's port, the place's before it
    for port, interface in enumerate(wiring.interfaces):
        peer = wiring.peer(port)
        if interface.mac and peer is not None:
            ends[interface.mac] = port, peer
    passed: dict[bytes, Hop] = {}  # the last hop to a router, by what a router leaves alone
    for seen in observations:
        source = ends.get(mac_text(seen.data[6:12])) if len(seen.data) >= 14 else None
        if source is None:
            continue
        inbound = Hop(source[0], source[1], None, seen, healed=True)
        cause = _cause(passed, inbound)
        if cause is None:
            followed.append(Journey(len(followed) + 1, inbound))
        else:
            _add(cause, inbound, Origin.ROUTED)
        target = ends.get(mac_text(seen.data[:6]))
        if target is None or target == source:
            continue
        outbound = Hop(target[1], target[0], seen, None, healed=True)
        _add(inbound, outbound, Origin.SWITCHED)
        if wiring.kind(wiring.node_name(target[0])) == "router":
            key = route_key(seen.data, 0)
            if key is not None:
                passed[key] = outbound
    return followed


def _cause(passed: Mapping[bytes, Hop], inbound: Hop) -> Hop | None:
    """The hop to a router that this one is what became of; None where there is none."""
    key = route_key(inbound.data, 1)
    before = passed.get(key) if key is not None else None
    if before is None or before.head != inbound.tail or before.children:
        return None
    late = inbound.t_ns - before.t_ns > _HELD_NS
    return None if late or not same_layer3(before.data, inbound.data) else before


def _add(parent: Hop, child: Hop, origin: Origin) -> None:
    child.origin, child.parent = origin, parent
    parent.children = [*parent.children, child]
