# SPDX-License-Identifier: Apache-2.0
"""Titles of ICMP and ICMPv6: echoes, errors and what they report, neighbour discovery.

What lives here: what one such packet alone can tell. What must not: any other protocol
(`titles.py`).
"""

from __future__ import annotations

from hoplab.decode import packet as wire
from hoplab.decode.packet import Icmp, Packet
from hoplab.sentences import say, term

# RFC 792 and RFC 1122 section 3.2.2.1.
UNREACHABLE = {
    0: term("network unreachable"),
    1: term("host unreachable"),
    2: term("protocol unreachable"),
    3: term("port unreachable"),
    4: term("packet too big and must not be cut"),
    5: term("source route failed"),
    6: term("network unknown"),
    7: term("host unknown"),
    9: term("network forbidden"),
    10: term("host forbidden"),
    13: term("forbidden by a filter"),
}
# RFC 4443 section 3.1.
UNREACHABLE_6 = {
    0: term("no route"),
    1: term("forbidden by a filter"),
    3: term("address unreachable"),
    4: term("port unreachable"),
    5: term("source address refused"),
    6: term("route rejects it"),
}
# RFC 2710, RFC 3810.
_GROUPS = {
    130: term("ICMPv6 multicast listener query"),
    131: term("ICMPv6 multicast listener report"),
    132: term("ICMPv6 multicast listener done"),
    143: term("ICMPv6 multicast listener report"),
}
# RFC 4861 section 4; any other of these messages is a redirect.
_ROUTERS = {133: term("IPv6 router solicitation"), 134: term("IPv6 router advertisement")}


def icmp_title(packet: Packet, icmp: Icmp) -> tuple[str, str]:
    protocol = "ICMP" if icmp.version == 4 else "ICMPv6"
    if icmp.echo_request:
        title = say("{protocol} echo request, seq {seq}", protocol=protocol, seq=icmp.seq)
        return "icmp-echo-request", title
    if icmp.echo_reply:
        title = say("{protocol} echo reply, seq {seq}", protocol=protocol, seq=icmp.seq)
        return "icmp-echo-reply", title
    if icmp.version == 6 and icmp.type in (133, 134, 135, 136, 137):
        return _neighbour(icmp, packet.src)
    if icmp.version == 6 and icmp.type in _GROUPS:
        return "mld", _GROUPS[icmp.type]
    kind, reason = _icmp_error(icmp)
    if not kind:
        title = say(
            "{protocol} type {type}, code {code}",
            protocol=protocol, type=icmp.type, code=icmp.code,
        )  # fmt: skip
        return "icmp-other", title
    about = wire.quoted(packet)
    if about is None or not about.dst:
        return kind, say("{protocol}: {reason}", protocol=protocol, reason=reason)
    title = say(
        "{protocol}: {reason}, about a packet to {ip}",
        protocol=protocol, reason=reason, ip=about.dst,
    )  # fmt: skip
    return kind, title


def icmp_reason(icmp: Icmp) -> str:
    """What an ICMP error or redirect reports, "" if it is none of these."""
    return _icmp_error(icmp)[1]


def _icmp_error(icmp: Icmp) -> tuple[str, str]:
    """Kind, and what is reported, of an ICMP message that quotes a packet; "" for any other."""
    if icmp.type == (3 if icmp.version == 4 else 1):
        reasons = UNREACHABLE if icmp.version == 4 else UNREACHABLE_6
        reason = reasons.get(icmp.code) or say("unreachable, code {code}", code=icmp.code)
        return "icmp-unreachable", reason
    if icmp.type == (11 if icmp.version == 4 else 3):
        if icmp.code == 0:
            return "icmp-time-exceeded", term("time exceeded (TTL used up)")
        return "icmp-time-exceeded", term("fragments did not all come")
    if icmp.version == 6 and icmp.type == 2:
        return "icmp-too-big", say("packet too big, MTU {mtu}", mtu=icmp.mtu)
    if icmp.version == 4 and icmp.type == 5:
        return "icmp-redirect", term("redirect")
    return "", ""


def _neighbour(icmp: Icmp, source: str) -> tuple[str, str]:
    ip = icmp.target
    if icmp.type == 135 and source == "::":  # duplicate address detection, RFC 4862 section 5.4
        return "nd-solicitation", say("neighbour solicitation: is {ip} still free?", ip=ip)
    if icmp.type == 135:
        return "nd-solicitation", say("neighbour solicitation: who has {ip}?", ip=ip)
    if icmp.type == 136 and icmp.link_address:
        title = say("neighbour advertisement: {ip} is at {mac}", ip=ip, mac=icmp.link_address)
        return "nd-advertisement", title
    if icmp.type == 136:
        return "nd-advertisement", say("neighbour advertisement: {ip} is here", ip=ip)
    return "nd-router", _ROUTERS.get(icmp.type) or term("IPv6 redirect")
