# SPDX-License-Identifier: Apache-2.0
"""A packet named in a few words, in a sentence on another one.

What lives here: names by kind. What must not: whole titles (`titles.py`).
"""

from __future__ import annotations

from hoplab.sentences import Sentence, say, term
from hoplab.story.trip_records import Trip

_SHORT = {
    "dns-question": term("the DNS question"),
    "dns-answer": term("the DNS answer"),
    "tcp-syn": term("the SYN"),
    "tcp-syn-ack": term("the SYN + ACK"),
    "tcp-ack": term("an ACK"),
    "tcp-rst": term("the RST"),
    "tcp-fin": term("the FIN"),
    "http-request": term("the HTTP request"),
    "http-response": term("the HTTP response"),
    "icmp-echo-request": term("the echo request"),
    "icmp-echo-reply": term("the echo reply"),
    "dhcp-discover": term("the DHCP Discover"),
    "dhcp-offer": term("the DHCP Offer"),
    "dhcp-request": term("the DHCP Request"),
    "dhcp-ack": term("the DHCP ACK"),
    "udp": term("the UDP datagram"),
}


def short(trip: Trip) -> Sentence:
    """The kind of packet in a few words, to speak of it elsewhere."""
    if trip.kind in _SHORT:
        return _SHORT[trip.kind]
    if trip.kind.startswith("icmp"):
        return term("an ICMP message")
    return say("a packet to {ip}", ip=trip.dst)
