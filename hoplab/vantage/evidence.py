# SPDX-License-Identifier: Apache-2.0
"""What frames show of the cards that sent them: which addresses are a card's own, and which lie
behind it.

What lives here: addresses and how they are known, card by card. What must not: names, wiring.

How an address is known to be a card's own, the surest first:
1. The card says so: by ARP (RFC 826), or by neighbour discovery (RFC 4861).
2. It is link-local: no router passes that on (RFC 3927 2.7, RFC 4291 2.5.6).
3. Packets from it have a TTL that packets begin with (64, 128, 255; 32 of old), which no router has
   lowered: likely the card's own. (A router may lower a TTL to just that, though few begin so.)
Any other source lies behind the card: a router passed the packet on.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, field

from hoplab.capture.observation import Observation
from hoplab.decode.packet import Packet, decode, mac_text
from hoplab.follow.identity import find_layer3

CLAIMED, LINK_LOCAL, FIRST_TTL = "claimed", "link-local", "ttl"
_SURE = (CLAIMED, LINK_LOCAL, FIRST_TTL)
_FIRST_TTLS = frozenset((32, 64, 128, 255))
_NEIGHBOUR_DISCOVERY = range(133, 138)  # ICMPv6 types that never cross a router (RFC 4861 11.2)


@dataclass(slots=True)
class CardEvidence:
    """What is known of a card, by its MAC address.

    own: its addresses, each with how that is known and by which frame. behind: the addresses of
    others that it passed packets on for, each with the frame that showed it first. frames: how
    many it sent; first: the number of the first, 0 if it never sent one.
    """

    mac: str
    own: dict[str, tuple[str, int]] = field(default_factory=dict)
    behind: dict[str, int] = field(default_factory=dict)
    frames: int = 0
    first: int = 0

    def owns(self, address: str, how: str, number: int) -> None:
        """Notes that an address is the card's own; the surest evidence counts."""
        if address not in self.own or _SURE.index(how) < _SURE.index(self.own[address][0]):
            self.own[address] = how, number


def read_cards(observations: Iterable[Observation]) -> dict[str, CardEvidence]:
    """The cards that frames are from or for, by their MAC addresses, in the order in which they
    show; those that only others speak of have sent no frame."""
    cards: dict[str, CardEvidence] = {}
    seen_sources: set[bytes] = set()
    for seen in observations:
        data = seen.data
        if len(data) < 14:
            continue
        source = mac_text(data[6:12])
        card = cards.get(source)
        if card is None:
            card = cards[source] = CardEvidence(source)
        card.first = card.first or seen.number
        card.frames += 1
        if not data[0] & 1:
            target = mac_text(data[:6])
            if target not in cards:
                cards[target] = CardEvidence(target)
        # Of frames with the same source, TTL and kind the first tells all.
        shown = _source_key(data)
        if shown is None or shown not in seen_sources:
            if shown is not None:
                seen_sources.add(shown)
            _read(card, decode(data), seen.number)
    for card in cards.values():
        for address in card.own:
            card.behind.pop(address, None)
    return cards


def _source_key(data: bytes) -> bytes | None:
    """What a frame says of its source; None for one that is to be read itself."""
    layer3 = find_layer3(data)
    if layer3 is None:
        return None
    start, body, version = layer3
    if version == 4:
        return data[6:12] + data[start + 8 : start + 9] + data[start + 12 : start + 16]
    if data[start + 6] == 58 and len(data) > body and data[body] in _NEIGHBOUR_DISCOVERY:
        return None
    return data[6:12] + data[start + 7 : start + 8] + data[start + 8 : start + 24]


def _read(card: CardEvidence, packet: Packet, number: int) -> None:
    arp = packet.arp
    if arp is not None:
        if arp.sender_mac == card.mac and _is_address(arp.sender_ip):
            card.owns(arp.sender_ip, CLAIMED, number)
        return
    source, ttl = packet.src, packet.ttl
    if packet.ip is None or not _is_address(source):
        return
    icmp = packet.icmp
    if icmp is not None and icmp.version == 6 and icmp.type in _NEIGHBOUR_DISCOVERY and ttl == 255:
        card.owns(source, CLAIMED, number)
        if icmp.type == 136 and icmp.target and icmp.link_address in ("", card.mac):
            card.owns(icmp.target, CLAIMED, number)
    elif ipaddress.ip_address(source).is_link_local:
        card.owns(source, LINK_LOCAL, number)
    elif ttl in _FIRST_TTLS:
        card.owns(source, FIRST_TTL, number)
    else:
        card.behind.setdefault(source, number)


def _is_address(text: str) -> bool:
    """An address that a card can have: one of a single host, and not "none yet"."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return not (address.is_unspecified or address.is_multicast or address.is_loopback)
