# SPDX-License-Identifier: Apache-2.0
"""Titles of DHCP messages.

What lives here: what one message alone can tell. What must not: which answer belongs to which
question (`leases.py`), any other protocol (`titles.py`).
"""

from __future__ import annotations

from hoplab.decode import dhcp as wire_dhcp
from hoplab.decode.dhcp import Dhcp
from hoplab.sentences import Sentence, say, term
from hoplab.story.wire_text import clean

_KINDS = {
    wire_dhcp.DISCOVER: "dhcp-discover", wire_dhcp.OFFER: "dhcp-offer",
    wire_dhcp.REQUEST: "dhcp-request", wire_dhcp.ACK: "dhcp-ack", wire_dhcp.NAK: "dhcp-nak",
}  # fmt: skip


def dhcp_title(dhcp: Dhcp) -> tuple[str, str]:
    """Kind and title of a DHCP message."""
    kind = _KINDS.get(dhcp.type, "dhcp-other")
    return kind, _of_server(dhcp) if dhcp.type in wire_dhcp.OF_SERVERS else _of_client(dhcp)


def _of_client(dhcp: Dhcp) -> Sentence:
    """What a client says."""
    mac = dhcp.client_mac
    ip = dhcp.requested or dhcp.ciaddr
    if dhcp.type == wire_dhcp.DISCOVER and ip:
        return say("DHCP Discover: who has an address for {mac}? best {ip}", mac=mac, ip=ip)
    if dhcp.type == wire_dhcp.DISCOVER:
        return say("DHCP Discover: who has an address for {mac}?", mac=mac)
    if dhcp.type == wire_dhcp.REQUEST:
        return _request(dhcp, mac, ip)
    if dhcp.type == wire_dhcp.DECLINE:
        return say("DHCP Decline: somebody else uses {ip}", ip=ip)
    if dhcp.type == wire_dhcp.RELEASE:
        return say("DHCP Release: {mac} gives {ip} back", mac=mac, ip=ip)
    if dhcp.type == wire_dhcp.INFORM:
        return say("DHCP Inform: {ip} asks for settings, not for an address", ip=ip)
    if dhcp.type == 0 and dhcp.op == wire_dhcp.BOOTREQUEST:
        return say("BOOTP: who has an address for {mac}?", mac=mac)
    if dhcp.type == 0:
        return say("BOOTP: {ip} for {mac}", ip=dhcp.yiaddr or "?", mac=mac)
    return say("DHCP message of type {number}", number=dhcp.type)


def _request(dhcp: Dhcp, mac: str, ip: str) -> Sentence:
    """What a Request asks for (RFC 2131 section 4.3.2)."""
    if dhcp.ciaddr:
        return say("DHCP Request: may {mac} keep {ip}?", mac=mac, ip=ip)
    if dhcp.server_id:
        return say(
            "DHCP Request: {mac} takes {ip} from {server}", mac=mac, ip=ip, server=dhcp.server_id
        )
    return say("DHCP Request: may {mac} have {ip} again?", mac=mac, ip=ip)


def _of_server(dhcp: Dhcp) -> Sentence:
    """What a server says: an offer, a confirmation, a refusal."""
    values = {"ip": dhcp.yiaddr, "mac": dhcp.client_mac, "server": dhcp.server_id or "?"}
    if dhcp.type == wire_dhcp.NAK and dhcp.message:
        message = clean(dhcp.message, 60)
        return say("DHCP NAK: {server} refuses: {message}", message=message, **values)
    if dhcp.type == wire_dhcp.NAK:
        return say("DHCP NAK: {server} refuses", **values)
    if dhcp.type == wire_dhcp.ACK and not dhcp.yiaddr:
        return say("DHCP ACK: settings for {ip}", ip=dhcp.ciaddr or dhcp.client_mac)
    lease = lease_text(dhcp.lease_s)
    if dhcp.type == wire_dhcp.ACK and lease:
        return say("DHCP ACK: {ip} is {mac}'s, {lease}", lease=lease, **values)
    if dhcp.type == wire_dhcp.ACK:
        return say("DHCP ACK: {ip} is {mac}'s", **values)
    if lease:
        return say("DHCP Offer: {ip} for {mac} from {server}, {lease}", lease=lease, **values)
    return say("DHCP Offer: {ip} for {mac} from {server}", **values)


def lease_text(seconds: int | None) -> Sentence | None:
    """For how long an address is lent; None if that is not known."""
    if seconds is None:
        return None
    if seconds == wire_dhcp.FOREVER:
        return term("for ever")
    return say("for {s:,} s", s=seconds)
