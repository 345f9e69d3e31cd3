# SPDX-License-Identifier: Apache-2.0
"""Which bytes are which field of what UDP and TCP carry: DNS, HTTP, DHCP, QUIC."""

from __future__ import annotations

from collections.abc import Callable

from hoplab.decode import dhcp as wire_dhcp
from hoplab.decode import dns as wire_dns
from hoplab.decode import quic as wire_quic
from hoplab.report.cutter import (
    Cutter,
    extent,
    fixed,
    hexadecimal,
    ip4,
    mac,
    named,
    number,
    text,
)
from hoplab.sentences import say, term
from hoplab.story.wire_text import clean


def http(cut: Cutter, whole: int) -> None:
    """Line by line to the empty line that ends the head; then the body."""
    place = 0
    while cut.at < whole and place < 60:
        end = cut.data.find(b"\n", cut.at, whole)
        end = whole if end < 0 else end + 1
        place += 1
        line = cut.data[cut.at : end]
        if not line.strip():
            cut.take("HTTP", term("end of head"), end - cut.at, lambda raw: "")
            break
        name = term("start line") if place == 1 else say("header {n}", n=place - 1)
        cut.take("HTTP", name, end - cut.at, text)
    if cut.at < whole:
        cut.take("HTTP", term("body"), whole - cut.at, extent)


def dns(cut: Cutter, whole: int) -> None:
    start = cut.at
    message = wire_dns.parse(cut.data[start:whole])
    cut.take("DNS", term("id"), 2, hexadecimal)
    cut.take("DNS", term("flags"), 2, _dns_flags)
    cut.take("DNS", term("number of questions"), 2)
    cut.take("DNS", term("number of answers"), 2)
    cut.take("DNS", term("number of authority"), 2)
    cut.take("DNS", term("number of additional"), 2)
    if message is None or cut.at >= whole:
        return
    for place, (name, kind) in enumerate(message.questions, 1):
        end = _name_end(cut.data, cut.at, whole) + 4
        if end > whole:
            break
        question = say("question {n}", n=place)
        cut.take("DNS", question, end - cut.at, fixed(f"{kind} {clean(name, 80)}"))
    titles = [say("answers {n}", n=place + 1) for place in range(len(message.answers))]
    titles += [say("authority {n}", n=place + 1) for place in range(len(message.authority))]
    titles += [say("additional {n}", n=place + 1) for place in range(len(message.additional))]
    records = [*message.answers, *message.authority, *message.additional]
    for title, (name, kind, ttl, value) in zip(titles, records, strict=True):
        end = _name_end(cut.data, cut.at, whole)
        if end + 10 > whole:
            break
        end += 10 + number(cut.data[end + 8 : end + 10])
        if end > whole:
            break
        record = f"{clean(name, 60)} {ttl} {kind} {clean(value, 60)}"
        cut.take("DNS", title, end - cut.at, fixed(record))
    if cut.at < whole:
        cut.take("DNS", term("rest"), whole - cut.at, extent)


def _dns_flags(raw: bytes) -> str:
    bits = number(raw)
    names = [
        name
        for bit, name in ((0x8000, "QR"), (0x0400, "AA"), (0x0200, "TC"), (0x0100, "RD"),
                          (0x0080, "RA"))
        if bits & bit
    ]  # fmt: skip
    rcode = wire_dns.RCODES.get(bits & 0x0F, str(bits & 0x0F))
    return " ".join([*names, rcode])


def _name_end(data: bytes, at: int, whole: int) -> int:
    """Where a domain name in the message ends (RFC 1035 section 4.1.4: a pointer ends it)."""
    while at < whole:
        size = data[at]
        if size >= 0xC0:
            return at + 2
        if size == 0:
            return at + 1
        at += 1 + size
    return whole


def dhcp(cut: Cutter, whole: int) -> None:
    """RFC 2131 section 2; options by RFC 2132. BOOTP is the same without options."""
    layer = "DHCP"
    if wire_dhcp.parse(cut.data[cut.at : whole]) is None:
        return
    cut.take(layer, term("operation"), 1, named({1: term("request"), 2: term("reply")}))
    cut.take(layer, term("hardware type"), 1, named({1: "Ethernet"}))
    length = number(cut.take(layer, term("hardware size"), 1))
    cut.take(layer, term("hops"), 1)
    cut.take(layer, term("transaction id"), 4, hexadecimal)
    cut.take(layer, term("seconds"), 2)
    cut.take(layer, term("flags"), 2, _dhcp_flags)
    cut.take(layer, term("address of the client"), 4, ip4)
    cut.take(layer, term("address for the client"), 4, ip4)
    cut.take(layer, term("next server"), 4, ip4)
    cut.take(layer, term("relay"), 4, ip4)
    length = min(length, 16)
    cut.take(layer, term("MAC of the client"), length, mac)
    cut.take(layer, term("rest of the hardware address"), 16 - length, extent)
    cut.take(layer, term("server's name"), 64, text)
    cut.take(layer, term("file"), 128, text)
    cut.take(layer, term("magic cookie"), min(4, whole - cut.at), hexadecimal)
    options = cut.data[cut.at : whole]
    for place, (at, end, code, _) in enumerate(wire_dhcp.split(options), 1):
        if code != wire_dhcp.PAD:
            name = say("option {n}", n=place)
            cut.take(layer, name, end - at, fixed(_dhcp_option(options[at:end])))
        if code == wire_dhcp.END:
            break
    if cut.at < whole:
        cut.take(layer, term("rest"), whole - cut.at, extent)


def _dhcp_flags(raw: bytes) -> str:
    bits = hexadecimal(raw)
    if number(raw) & 0x8000:
        return say("{bits} (answer by broadcast)", bits=bits)
    return bits


def _seconds(raw: bytes) -> str:
    if number(raw) == wire_dhcp.FOREVER:
        return term("for ever")
    return say("{s:,} s", s=number(raw))


def _addresses(raw: bytes) -> str:
    return " ".join(wire_dhcp.addresses(raw))


# Name and reader of the options that a lesson meets; others are shown by number.
_DHCP_OPTIONS: dict[int, tuple[str, Callable[[bytes], str]]] = {
    wire_dhcp.MASK: (term("netmask"), _addresses),
    wire_dhcp.ROUTERS: (term("default gateway"), _addresses),
    wire_dhcp.DNS_SERVERS: (term("resolver"), _addresses),
    wire_dhcp.HOST_NAME: (term("name of the client"), text),
    wire_dhcp.DOMAIN: (term("domain"), text),
    28: (term("broadcast address"), _addresses),
    wire_dhcp.REQUESTED: (term("requested address"), _addresses),
    wire_dhcp.LEASE: (term("lease"), _seconds),
    wire_dhcp.TYPE: (term("message type"), named(wire_dhcp.TYPES)),
    wire_dhcp.SERVER_ID: (term("server"), _addresses),
    wire_dhcp.PARAMETERS: (term("options asked for"), lambda raw: " ".join(map(str, raw))),
    wire_dhcp.MESSAGE: (term("message"), text),
    57: (term("longest message"), lambda raw: str(number(raw))),
    wire_dhcp.RENEWAL: (term("renew after"), _seconds),
    wire_dhcp.REBINDING: (term("rebind after"), _seconds),
    60: (term("kind of client"), text),
    wire_dhcp.CLIENT_ID: (term("id of the client"), hexadecimal),
}


def _dhcp_option(raw: bytes) -> str:
    """What one option says."""
    if raw[0] == wire_dhcp.END:
        return term("end of the options")
    if len(raw) < 2 or len(raw) - 2 < raw[1]:
        return term("cut")
    option = _DHCP_OPTIONS.get(raw[0])
    if option is None:
        return say("option number {number}: {value}", number=raw[0], value=hexadecimal(raw[2:]))
    name, read = option
    return say("{name}: {value}", name=name, value=read(raw[2:]))


def quic(cut: Cutter, whole: int) -> None:
    """A long header, as far as all versions share it (RFC 8999 section 5.1); the rest is sealed, or
    only the version says what it is."""
    headers = wire_quic.parse(cut.data[cut.at : whole])
    if not headers:
        return
    layer = "QUIC"
    kind = headers[0].type
    cut.take(layer, term("form, type"), 1, fixed(kind) if kind else hexadecimal)
    cut.take(layer, term("version"), 4, lambda raw: wire_quic.version_text(number(raw)))
    size = number(cut.take(layer, term("length of the receiver's id"), 1))
    cut.take(layer, term("id that the receiver chose"), size, _plain)
    size = number(cut.take(layer, term("length of the sender's id"), 1))
    cut.take(layer, term("id that the sender chose"), size, _plain)
    cut.take(layer, term("rest"), whole - cut.at, extent)


def _plain(raw: bytes) -> str:
    return raw.hex()
