# SPDX-License-Identifier: Apache-2.0
"""QUIC among the datagrams: packets with long headers are named by what they say, those with short
ones by the connection whose long headers were seen before.

What lives here: which datagram belongs to which connection. What must not: anything sealed, and
guesses: a short header looks like any other datagram (RFC 8999 section 5.2), so it is only told as
one between two ends of which long headers were seen.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from hoplab.decode import quic as wire_quic
from hoplab.decode.packet import Packet
from hoplab.decode.quic import Quic
from hoplab.sentences import Sentence, say
from hoplab.story.counts import byte_count
from hoplab.story.trip_records import Segment, Way

End = tuple[str, int]


@dataclass(slots=True)
class _Conversation:
    """What was seen between two ends: the version, and the ids that each end chose for itself."""

    version: str
    ids: dict[End, set[bytes]] = field(default_factory=dict)


class Conversations:
    """Takes datagrams one by one, in order of time."""

    def __init__(self) -> None:
        self._by_ends: dict[frozenset[End], _Conversation] = {}

    def add(self, way: Way) -> Segment | None:
        """What the datagram is, if that is QUIC with a short header."""
        packet = way.packet
        udp = packet.udp
        if udp is None or not packet.payload or way.kind not in ("udp", "quic"):
            return None
        source, destination = (packet.src, udp.sport), (packet.dst, udp.dport)
        ends = frozenset((source, destination))
        headers = wire_quic.parse(packet.payload) if way.kind == "quic" else []
        for header in headers:
            if header.version:  # a negotiation is of no version, and no id is chosen by it
                conversation = self._by_ends.setdefault(ends, _Conversation(""))
                conversation.version = header.version_text
                conversation.ids.setdefault(source, set()).add(header.scid)
        talk = self._by_ends.get(ends)
        if headers or talk is None or packet.payload[0] & 0xC0 != 0x40:
            return None
        return Segment("quic", _short(packet, talk, destination))


def segments(ways: Iterable[Way]) -> dict[int, Segment]:
    """What the datagrams with short headers are, by the packets' numbers."""
    conversations = Conversations()
    named = {way.number: conversations.add(way) for way in ways}
    return {number: segment for number, segment in named.items() if segment is not None}


def _short(packet: Packet, talk: _Conversation, destination: End) -> Sentence:
    data = packet.payload
    ids = sorted(talk.ids.get(destination, ()), key=len, reverse=True)
    dcid = next((each for each in ids if each and data.startswith(each, 1)), b"")
    size = byte_count(len(data))
    if not dcid:
        return say("QUIC {version}, sealed, {size}", version=talk.version, size=size)
    return say(
        "QUIC {version}, sealed, to {dcid}, {size}",
        version=talk.version, dcid=dcid.hex(), size=size,
    )  # fmt: skip


def quic_title(packet: Packet, headers: list[Quic]) -> tuple[str, str]:
    """Kind and title of a datagram that begins with long headers."""
    first = headers[0]
    ids = {"dcid": first.dcid.hex() or "-", "scid": first.scid.hex() or "-"}
    if first.version == wire_quic.NEGOTIATION:
        versions = ", ".join(wire_quic.version_text(each) for each in first.versions[:4])
        title = say(
            "QUIC Version Negotiation, to {dcid} from {scid}: {versions}", versions=versions, **ids
        )
        return "quic", title
    types = " + ".join(dict.fromkeys(header.type or "?" for header in headers))
    title = say(
        "QUIC {version} {types}, to {dcid} from {scid}, {size}",
        version=first.version_text, types=types, size=byte_count(len(packet.payload)), **ids,
    )  # fmt: skip
    return "quic", title
