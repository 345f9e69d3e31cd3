# SPDX-License-Identifier: Apache-2.0
"""What a packet is: titles against what tshark reads in its first frame.

What lives here: a rule for each template of a title. What must not: other sentences.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from truth.evidence import MANY, Evidence, Frame
from truth.oracle import About, Pairs, Rule, Unknown, plain, words

RECORDS = {"1": "A", "2": "NS", "5": "CNAME", "6": "SOA", "12": "PTR", "15": "MX", "16": "TXT",
           "28": "AAAA"}  # fmt: skip
UNREACHABLE = {
    "0": "network unreachable", "1": "host unreachable", "2": "protocol unreachable",
    "3": "port unreachable", "4": "packet too big and must not be cut",
    "9": "network forbidden", "10": "host forbidden", "13": "forbidden by a filter",
}  # fmt: skip
UNREACHABLE_6 = {"0": "no route", "1": "forbidden by a filter", "3": "address unreachable",
                 "4": "port unreachable"}  # fmt: skip
TLS_VERSIONS = {"0x0303": "TLS 1.2", "0x0304": "TLS 1.3"}


def arp(operation: str, ip: str, asker: str, mac: str) -> Rule:
    def rule(about: About, values: dict[str, Any]) -> Pairs:
        frame = about.first
        yield "operation", operation, frame.get("arp.opcode")
        if "ip" in values:
            yield "ip", plain(values["ip"]), frame.get(ip)
        if "asker" in values:
            yield "asker", plain(values["asker"]), frame.get(asker)
        if "mac" in values:
            yield "mac", plain(values["mac"]), frame.get(mac)

    return rule


def announcement(about: About, values: dict[str, Any]) -> Pairs:
    frame = about.first
    yield "ip", plain(values["ip"]), frame.get("arp.src.proto_ipv4")
    yield "target", plain(values["ip"]), frame.get("arp.dst.proto_ipv4")
    yield "mac", plain(values["mac"]), frame.get("arp.src.hw_mac")


def echo(kind: str, kind_6: str) -> Rule:
    def rule(about: About, values: dict[str, Any]) -> Pairs:
        frame = about.first
        if values["protocol"] == "ICMP":
            yield "type", kind, frame.get("icmp.type")
            yield "seq", values["seq"], frame.number_in("icmp.seq")
        else:
            yield "type", kind_6, frame.get("icmpv6.type")
            yield "seq", values["seq"], frame.number_in("icmpv6.echo.sequence_number")

    return rule


def icmp_error(about: About, values: dict[str, Any]) -> Pairs:
    frame = about.first
    if values["protocol"] == "ICMP":
        kind, code = frame.get("icmp.type"), frame.get("icmp.code")
        reasons = {
            "3": UNREACHABLE.get(code), "5": "redirect",
            "11": "time exceeded (TTL used up)" if code == "0" else "fragments did not all come",
        }  # fmt: skip
        yield "reason", words(values["reason"]), reasons.get(kind)
        quoted = frame.fields.get("ip.dst", [""])[1:]
    else:
        kind, code = frame.get("icmpv6.type"), frame.get("icmpv6.code")
        reasons = {
            "1": UNREACHABLE_6.get(code), "2": f"packet too big, MTU {frame.get('icmpv6.mtu')}",
            "3": "time exceeded (TTL used up)",
        }  # fmt: skip
        yield "reason", words(values["reason"]), reasons.get(kind)
        quoted = frame.fields.get("ipv6.dst", [""])[1:]
    if "ip" in values:
        yield "about", [plain(values["ip"])], quoted[:1]


def udp(about: About, values: dict[str, Any]) -> Pairs:
    frame = about.first
    yield "source", values["source"], frame.number_in("udp.srcport")
    yield "destination", values["destination"], frame.number_in("udp.dstport")
    first_fragment = frame.get("ip.flags.mf") in ("1", "True")
    if not first_fragment:
        yield "size", plain(values["size"]), frame.number_in("udp.length") - 8


def fragment(about: About, values: dict[str, Any]) -> Pairs:
    frame = about.first
    names = {"1": "ICMP", "6": "TCP", "17": "UDP"}
    yield "protocol", words(values["protocol"]), names.get(frame.get("ip.proto"))
    offset = int(frame.get("ip.frag_offset")) * 8  # RFC 791: in units of 8 bytes
    yield "offset", values["offset"], offset


def lldp(about: About, values: dict[str, Any]) -> Pairs:
    yield "EtherType", "0x88cc", about.first.get("eth.type")


def spanning_tree(about: About, values: dict[str, Any]) -> Pairs:
    yield "address", "01:80:c2:00:00:00", about.first.get("eth.dst")


# ------------------------------------------------------------------------------- names, addresses


def dns(response: bool) -> Rule:
    def rule(about: About, values: dict[str, Any]) -> Pairs:
        frame = about.first
        yield "response", response, frame.get("dns.flags.response") in ("1", "True")
        record = RECORDS.get(frame.get("dns.qry.type"), "")
        yield "record", values["record"], record
        yield "name", values["name"].rstrip("."), frame.get("dns.qry.name")
        if response:
            yield from _dns_result(frame, record, values["result"])

    return rule


def _dns_result(frame: Frame, record: str, result: Any) -> Pairs:
    code = frame.get("dns.flags.rcode")
    text = words(result)
    if code == "3":
        yield "result", "NXDOMAIN, no such name", text
        return
    if code != "0":
        yield "no success", True, not _answers(frame, record)
        return
    answers = _answers(frame, record)
    for answer in answers[:3]:
        if answer not in _everything(frame):
            continue
        yield f"answer {answer}", True, answer in text
    template = result.get("say", "") if isinstance(result, dict) else ""
    if template.startswith("ask "):
        yield "refers", "0", frame.get("dns.count.answers")
    if template.startswith("no {record}"):
        yield "none", "0", frame.get("dns.count.answers")
    if not answers and frame.get("dns.count.answers") == "0":
        yield "nothing", True, template.startswith(("ask ", "no {record}"))


def _everything(frame: Frame) -> str:
    return MANY.join(value for values in frame.fields.values() for value in values)


def _answers(frame: Frame, record: str) -> list[str]:
    """The values of the answer section; authority and additional come after it in each field."""
    names = {"A": "dns.a", "AAAA": "dns.aaaa", "MX": "dns.mx.mail_exchange", "TXT": "dns.txt",
             "PTR": "dns.ptr.domain_name", "CNAME": "dns.cname", "NS": "dns.ns"}  # fmt: skip
    count = int(frame.get("dns.count.answers") or 0)
    values = frame.fields.get(names.get(record, ""), []) if count else []
    aliases = len(frame.fields.get("dns.cname", ())) if record != "CNAME" else 0
    return values[: max(count - aliases, 0)]


def over_tcp(about: About, values: dict[str, Any]) -> Pairs:
    yield "over TCP", True, about.first.tcp
    yield from _inner(about, values["title"])


def dhcp(kind: str) -> Rule:
    def rule(about: About, values: dict[str, Any]) -> Pairs:
        frame = about.first
        yield "type", kind, frame.get("dhcp.option.dhcp")
        if "mac" in values:
            yield "mac", plain(values["mac"]), frame.get("dhcp.hw.mac_addr")
        if "server" in values:
            yield "server", plain(values["server"]), frame.get("dhcp.option.dhcp_server_id")
        if "ip" in values:
            asked = frame.get("dhcp.option.requested_ip_address")
            given = frame.get("dhcp.ip.your")
            yield "ip", plain(values["ip"]), asked if kind in "1 3" else given
        if "lease" in values:
            seconds = int(frame.get("dhcp.option.ip_address_lease_time"))
            yield "lease", words(values["lease"]), f"for {seconds:,} s"

    return rule


def neighbour(kind: str) -> Rule:
    def rule(about: About, values: dict[str, Any]) -> Pairs:
        frame = about.first
        yield "type", kind, frame.get("icmpv6.type")
        if "ip" in values:
            target = "ns" if kind == "135" else "na"
            yield "ip", plain(values["ip"]), frame.get(f"icmpv6.nd.{target}.target_address")
        if "mac" in values:
            yield "mac", plain(values["mac"]), frame.get("icmpv6.opt.linkaddr")

    return rule


def duplicate_check(about: About, values: dict[str, Any]) -> Pairs:
    yield "source", "::", about.first.src
    yield from neighbour("135")(about, values)


# ------------------------------------------------------------------------------------------- TCP


def tcp(*flags: str) -> Rule:
    """Ports, and exactly these flags of SYN, FIN and RST."""

    def rule(about: About, values: dict[str, Any]) -> Pairs:
        frame = about.first
        yield "TCP", True, frame.tcp
        if "source" in values:
            yield "source", values["source"], frame.number_in("tcp.srcport")
            yield "destination", values["destination"], frame.number_in("tcp.dstport")
        shown = tuple(name for name in ("syn", "fin", "reset", "ack") if frame.flag(name))
        if "reset" in shown and "fin" in shown:
            shown = tuple(name for name in shown if name != "fin")
        yield "flags", flags, shown

    return rule


def tcp_data(about: About, values: dict[str, Any]) -> Pairs:
    frame = about.first
    length = frame.number_in("tcp.len")
    yield "size", plain(values["size"]), length
    base = isn(about.evidence, frame)
    if base is None:
        raise Unknown
    first = (frame.number_in("tcp.seq_raw") - base) % 2**32
    yield "first", values["first"], first
    yield "last", values["last"], first + length - 1
    yield from _fresh(about, frame, again=False)


def isn(evidence: Evidence, frame: Frame) -> int | None:
    """The number of the last SYN before it of the same sender and ports; None if it is not in the
    capture."""
    for number, seq in reversed(_syns(evidence).get(frame.ends, ())):
        if number <= frame.t_ns:
            return seq
    return None


@lru_cache(8)
def _syns_of(key: int, evidence: Any) -> dict[tuple[str, str, str, str], list[tuple[int, int]]]:
    syns: dict[tuple[str, str, str, str], list[tuple[int, int]]] = {}
    for frame in evidence.value.captured:
        if frame.tcp and frame.flag("syn"):
            syn = (frame.t_ns, frame.number_in("tcp.seq_raw"))
            syns.setdefault(frame.ends, []).append(syn)
    return syns


class _Box:
    """Evidence as something that can be looked up."""

    def __init__(self, value: Evidence) -> None:
        self.value = value

    def __hash__(self) -> int:
        return id(self.value)

    def __eq__(self, peer: object) -> bool:
        return isinstance(peer, _Box) and peer.value is self.value


def _syns(evidence: Evidence) -> dict[tuple[str, str, str, str], list[tuple[int, int]]]:
    return _syns_of(id(evidence), _Box(evidence))


@lru_cache(8)
def _sendings(box: _Box) -> dict[tuple[str, tuple[str, str, str, str]], list[Frame]]:
    """The segments that left each interface, by connection and direction."""
    sendings: dict[tuple[str, tuple[str, str, str, str]], list[Frame]] = {}
    for frame in box.value.sent:
        if frame.tcp:
            sendings.setdefault((frame.interface, frame.ends), []).append(frame)
    return sendings


def earlier(evidence: Evidence, frame: Frame) -> list[Frame]:
    """What the same card sent before in that direction of the connection."""
    frames = _sendings(_Box(evidence)).get((frame.interface, frame.ends), [])
    return frames[: _place(frames, frame)]


def _place(frames: list[Frame], frame: Frame) -> int:
    low, high = 0, len(frames)
    while low < high:
        middle = (low + high) // 2
        if (frames[middle].t_ns, frames[middle].number) < (frame.t_ns, frame.number):
            low = middle + 1
        else:
            high = middle
    return low


def _fresh(about: About, frame: Frame, again: bool) -> Pairs:
    """Whether all its bytes were sent before. In a capture with gaps nobody can tell."""
    if about.evidence.trace["summary"]["missed"] or not frame.out:
        return
    base = isn(about.evidence, frame)
    if base is None:
        return
    at = (frame.number_in("tcp.seq_raw") - base) % 2**32
    end = at + frame.number_in("tcp.len") + frame.flag("syn") + frame.flag("fin")
    highest = _highest(about.evidence, frame, base)
    yield "sent before", again, end <= highest


@lru_cache(200_000)
def _highest_of(box: _Box, number: int, base: int) -> int:
    evidence = box.value
    frame = evidence.frames[number]
    before = earlier(evidence, frame)
    if not before:
        return 0
    last = before[-1]
    at = (last.number_in("tcp.seq_raw") - base) % 2**32
    if at >= 2**31:
        return 0
    end = at + last.number_in("tcp.len") + last.flag("syn") + last.flag("fin")
    if last.flag("reset"):
        end = 0
    if last.flag("syn"):
        return end
    return max(end, _highest_of(box, last.number, base))


def _highest(evidence: Evidence, frame: Frame, base: int) -> int:
    """The highest number that the card had sent before this frame."""
    box = _Box(evidence)
    for each in earlier(evidence, frame):  # in order, so that no recursion goes deep
        _highest_of(box, each.number, base)
    return _highest_of(box, frame.number, base)


def tcp_again(about: About, values: dict[str, Any]) -> Pairs:
    yield from _fresh(about, about.first, again=True)


def keep_alive(about: About, values: dict[str, Any]) -> Pairs:
    frame = about.first
    base = isn(about.evidence, frame)
    if base is None:
        raise Unknown
    at = (frame.number_in("tcp.seq_raw") - base) % 2**32
    yield "at most a byte", True, frame.number_in("tcp.len") <= 1
    yield "the last number again", _highest(about.evidence, frame, base) - 1, at


def ack_of(about: About, values: dict[str, Any]) -> Pairs:
    """How many bytes it acknowledges for the first time."""
    frame = about.first
    there = (frame.ends[2], frame.ends[3], frame.ends[0], frame.ends[1])
    syns = [seq for t_ns, seq in _syns(about.evidence).get(there, ()) if t_ns <= frame.t_ns]
    if not syns or not frame.out or about.evidence.trace["summary"]["missed"]:
        raise Unknown
    upto = (frame.number_in("tcp.ack_raw") - syns[-1]) % 2**32
    before = 1
    for each in earlier(about.evidence, frame):
        if each.flag("ack") and not each.flag("syn"):
            ahead = (each.number_in("tcp.ack_raw") - syns[-1]) % 2**32
            before = max(before, ahead if ahead < 2**31 else 0)
    yield "flags", True, frame.flag("ack") and not frame.number_in("tcp.len")
    newly = upto - before
    if "FIN" in about.text:
        newly -= 1
    yield "newly", plain(values["size"]) if "size" in values else 0, max(newly, 0)


def ack_of_fin(about: About, values: dict[str, Any]) -> Pairs:
    """It acknowledges the number after the other side's FIN."""
    frame = about.first
    there = (frame.ends[2], frame.ends[3], frame.ends[0], frame.ends[1])
    fins = [
        each.number_in("tcp.seq_raw") + each.number_in("tcp.len") + 1
        for each in about.evidence.captured
        if each.tcp and each.flag("fin") and each.ends == there and each.t_ns <= frame.t_ns
    ]
    yield "flags", True, frame.flag("ack") and not frame.number_in("tcp.len")
    yield "the FIN", True, frame.number_in("tcp.ack_raw") in [number % 2**32 for number in fins]
    if "size" in values:
        yield from ack_of(about, values)


def plain_ack(about: About, values: dict[str, Any]) -> Pairs:
    frame = about.first
    yield "only ACK", True, frame.flag("ack") and not any(
        frame.flag(name) for name in ("syn", "fin", "reset")
    )
    yield "no data", 0, frame.number_in("tcp.len")


def with_fin(about: About, values: dict[str, Any]) -> Pairs:
    yield "FIN", True, about.first.flag("fin")
    yield from _inner(about, values["title"])


def again(about: About, values: dict[str, Any]) -> Pairs:
    yield from tcp_again(about, values)
    inner = values["title"]
    if isinstance(inner, dict) and inner.get("say") == WITH_FIN:
        yield "fin", True, about.first.flag("fin")  # whose bytes were sent before, too
        inner = inner["values"]["title"]
    if isinstance(inner, dict) and inner.get("say") == DATA:
        yield "size", plain(inner["values"]["size"]), about.first.number_in("tcp.len")
    elif isinstance(inner, dict):
        yield from _inner(about, inner)


def _inner(about: About, title: Any) -> Pairs:
    """The pairs of a title in a title."""
    rule = RULES.get(title.get("say", "")) if isinstance(title, dict) else None
    if rule is None:
        raise Unknown
    yield from rule(about, title["values"])


def http_request(about: About, values: dict[str, Any]) -> Pairs:
    frame = about.first
    yield "method", values["method"], frame.get("http.request.method")
    yield "target", values["target"], frame.get("http.request.uri")
    if "host" in values:
        yield "host", plain(values["host"]), frame.get("http.host")


def http_response(about: About, values: dict[str, Any]) -> Pairs:
    frame = about.first
    status = f"{frame.get('http.response.code')} {frame.get('http.response.phrase')}".rstrip()
    yield "answer", values["answer"], status
    yield "size", plain(values["size"]), frame.number_in("tcp.len")
    if "content_type" in values:
        yield "content type", values["content_type"], frame.get("http.content_type")[:30]


def tls(content: str, handshake: str) -> Rule:
    def rule(about: About, values: dict[str, Any]) -> Pairs:
        frame = about.first
        yield "record", content, frame.get("tls.record.content_type")
        if handshake:
            yield "handshake", handshake, frame.get("tls.handshake.type")
        if "name" in values:
            shown = frame.get("tls.handshake.extensions_server_name")
            yield "name", values["name"], shown

    return rule


def payload(frame: Frame) -> bytes:
    """What a TCP segment carries."""
    return frame.data[frame.length - frame.number_in("tcp.len") :]


def tls_size(about: About, values: dict[str, Any]) -> Pairs:
    frame = about.first
    kind = payload(frame)[:1]
    kinds = {"sealed": b"\x17", "handshake": b"\x14\x16", "alert": b"\x15"}
    word = next(word for word in kinds if word in about.text)
    yield "record", True, bool(kind) and kind in kinds[word]
    yield "size", True, plain(values["size"]) <= frame.number_in("tcp.len")


def tls_part(about: About, values: dict[str, Any]) -> Pairs:
    """A part of a ClientHello that goes on behind it, where alone it can be read."""
    frame = about.first
    yield "whole", None, frame.get("tls.handshake.type") or None
    yield "size", plain(values["size"]), frame.number_in("tcp.len")


DATA = "TCP data, {size} ({first:,} to {last:,})"
WITH_FIN = "{title} + FIN"
RULES: dict[str, Rule] = {
    "ARP request: who has {ip}? tell {asker}": arp(
        "1", "arp.dst.proto_ipv4", "arp.src.proto_ipv4", ""),
    "ARP check: who has {ip}? tell {asker}": arp(
        "1", "arp.dst.proto_ipv4", "arp.src.proto_ipv4", ""),
    "ARP reply: {ip} is at {mac}": arp("2", "arp.src.proto_ipv4", "", "arp.src.hw_mac"),
    "ARP announcement: {ip} is at {mac}": announcement,
    "{protocol} echo request, seq {seq}": echo("8", "128"),
    "{protocol} echo reply, seq {seq}": echo("0", "129"),
    "{protocol}: {reason}, about a packet to {ip}": icmp_error,
    "{protocol}: {reason}": icmp_error,
    "UDP, port {source} to {destination}, {size}": udp,
    "{protocol} over UDP, port {source} to {destination}, {size}": udp,
    "{protocol} fragment at byte {offset}": fragment,
    "LLDP probe: which switch is at the other end?": lldp,
    "spanning tree message": spanning_tree,
    "DNS question {record} {name}": dns(False),
    "DNS answer {record} {name}: {result}": dns(True),
    "{title} (over TCP)": over_tcp,
    "DHCP Discover: who has an address for {mac}?": dhcp("1"),
    "DHCP Discover: who has an address for {mac}? best {ip}": dhcp("1"),
    "DHCP Offer: {ip} for {mac} from {server}, {lease}": dhcp("2"),
    "DHCP Request: {mac} takes {ip} from {server}": dhcp("3"),
    "DHCP ACK: {ip} is {mac}'s, {lease}": dhcp("5"),
    "neighbour solicitation: who has {ip}?": neighbour("135"),
    "neighbour solicitation: is {ip} still free?": duplicate_check,
    "neighbour advertisement: {ip} is at {mac}": neighbour("136"),
    "neighbour advertisement: {ip} is here": neighbour("136"),
    "IPv6 router solicitation": neighbour("133"),
    "ICMPv6 multicast listener report": neighbour("143"),
    "TCP SYN, port {source} to {destination}": tcp("syn"),
    "TCP SYN + ACK, port {source} to {destination}": tcp("syn", "ack"),
    "TCP RST, port {source} to {destination}": tcp("reset"),
    "TCP RST + ACK, port {source} to {destination}": tcp("reset", "ack"),
    "TCP ACK, port {source} to {destination}": tcp("ack"),
    "TCP FIN + ACK": tcp("fin", "ack"),
    "TCP FIN": tcp("fin"),
    "TCP ACK": plain_ack,
    "TCP ACK of {size}": ack_of,
    "TCP ACK of the FIN": ack_of_fin,
    "TCP ACK of the FIN and of {size}": ack_of_fin,
    DATA: tcp_data,
    WITH_FIN: with_fin,
    "{title} (again)": again,
    "TCP keep-alive: are you still there?": keep_alive,
    "HTTP {method} {target} (Host: {host})": http_request,
    "HTTP {method} {target}": http_request,
    "HTTP {answer}, {content_type}, {size}": http_response,
    "HTTP {answer}, {size}": http_response,
    "TLS ClientHello: I want {name}, up to {version}": tls("22", "1"),
    "TLS ClientHello, up to {version}": tls("22", "1"),
    "TLS ClientHello, its first {size}": tls_part,
    "more of the TLS ClientHello, {size}": tls_part,
    "the rest of the TLS ClientHello: I want {name}, up to {version}": tls("22", "1"),
    "the rest of the TLS ClientHello: up to {version}": tls("22", "1"),
    "TLS ServerHello: {version}, {cipher}": tls("22", "2"),
    "TLS sealed records, {size}": tls_size,
    "TLS handshake, {size}": tls_size,
    "TLS alert, {size}": tls_size,
}  # fmt: skip
