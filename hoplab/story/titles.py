# SPDX-License-Identifier: Apache-2.0
"""One packet to its kind (a stable word) and its title (one line for a reader).

What lives here: everything that one packet alone can tell. What must not: other packets (TCP's
relative numbers are in `tcp.py`), nodes, times.
"""

from __future__ import annotations

from hoplab.decode import dns as wire_dns
from hoplab.decode import packet as wire
from hoplab.decode.dns import Dns
from hoplab.decode.packet import Icmp, Packet
from hoplab.story.records import Health, QueueLoss

ETHERTYPES = {0x88CC: "LLDP", 0x86DD: "IPv6", 0x0800: "IPv4", 0x0806: "ARP", 0x8809: "LACP"}
PROTOCOLS = {1: "ICMP", 2: "IGMP", 6: "TCP", 17: "UDP", 47: "GRE", 58: "ICMPv6", 89: "OSPF"}
UDP_PORTS = {
    67: "DHCP", 68: "DHCP", 123: "NTP", 546: "DHCPv6", 547: "DHCPv6", 1900: "SSDP", 5353: "mDNS"
}  # fmt: skip

# RFC 792 and RFC 1122 section 3.2.2.1.
UNREACHABLE = {
    0: "network unreachable",
    1: "host unreachable",
    2: "protocol unreachable",
    3: "port unreachable",
    4: "packet too big and must not be cut",
    5: "source route failed",
    6: "network unknown",
    7: "host unknown",
    9: "network forbidden",
    10: "host forbidden",
    13: "forbidden by a filter",
}
# RFC 4443 section 3.1.
UNREACHABLE_6 = {
    0: "no route",
    1: "forbidden by a filter",
    3: "address unreachable",
    4: "port unreachable",
    5: "source address refused",
    6: "route rejects it",
}
_GROUPS = {130: "query", 131: "report", 132: "done", 143: "report"}  # RFC 2710, RFC 3810

# What packets of a kind are called: one, many.
KIND_NAMES = {
    "arp-request": ("ARP request", "ARP requests"),
    "arp-reply": ("ARP reply", "ARP replies"),
    "arp-announcement": ("ARP announcement", "ARP announcements"),
    "dns-question": ("DNS question", "DNS questions"),
    "dns-answer": ("DNS answer", "DNS answers"),
    "tcp-syn": ("SYN", "SYNs"),
    "tcp-syn-ack": ("SYN + ACK", "SYN + ACKs"),
    "tcp-ack": ("pure ACK", "pure ACKs"),
    "tcp-data": ("TCP data segment", "TCP data segments"),
    "tcp-fin": ("FIN", "FINs"),
    "tcp-rst": ("RST", "RSTs"),
    "tcp-keepalive": ("TCP keep-alive", "TCP keep-alives"),
    "http-request": ("HTTP request", "HTTP requests"),
    "http-response": ("HTTP response", "HTTP responses"),
    "tls-client-hello": ("TLS ClientHello", "TLS ClientHellos"),
    "tls-server-hello": ("TLS ServerHello", "TLS ServerHellos"),
    "tls-handshake": ("TLS handshake segment", "TLS handshake segments"),
    "lldp": ("LLDP probe", "LLDP probes"),
    "tls-data": ("sealed TLS segment", "sealed TLS segments"),
    "tls-alert": ("TLS alert", "TLS alerts"),
    "icmp-echo-request": ("echo request", "echo requests"),
    "icmp-echo-reply": ("echo reply", "echo replies"),
    "icmp-unreachable": ("ICMP unreachable", "ICMP unreachables"),
    "icmp-time-exceeded": ("ICMP time exceeded", "ICMP time exceededs"),
    "icmp-redirect": ("ICMP redirect", "ICMP redirects"),
    "nd-solicitation": ("neighbour solicitation", "neighbour solicitations"),
    "nd-advertisement": ("neighbour advertisement", "neighbour advertisements"),
    "nd-router": ("router discovery message", "router discovery messages"),
    "mld": ("multicast listener report", "multicast listener reports"),
    "udp": ("UDP datagram", "UDP datagrams"),
    "fragment": ("fragment", "fragments"),
}


def clean(text: str, limit: int = 120) -> str:
    """Text from the wire, safe to print: no control characters, and not endless."""
    out = "".join(char if char.isprintable() else "?" for char in text[: limit + 1])
    return out[: limit - 1] + "…" if len(out) > limit else out


def describe(packet: Packet) -> tuple[str, str]:
    """Kind and title of a packet."""
    if packet.arp is not None:
        return _arp(packet)
    if packet.icmp is not None:
        return _icmp(packet, packet.icmp)
    dns = wire_dns.read(packet)
    if dns is not None and packet.udp is not None:
        return dns_title(dns)
    if packet.udp is not None:
        return _udp(packet)
    if packet.tcp is not None:
        return "tcp-data" if packet.tcp.payload_length else "tcp-ack", _tcp(packet)
    return _other(packet)


def _arp(packet: Packet) -> tuple[str, str]:
    arp, eth = packet.arp, packet.eth
    assert arp is not None
    if arp.sender_ip == arp.target_ip:
        return "arp-announcement", f"ARP announcement: {arp.sender_ip} is at {arp.sender_mac}"
    if arp.op == 1:
        to_all = eth is None or int(eth.dst[:2], 16) & 1
        word = "ARP request" if to_all else "ARP check"
        return "arp-request", f"{word}: who has {arp.target_ip}? tell {arp.sender_ip}"
    if arp.op == 2:
        return "arp-reply", f"ARP reply: {arp.sender_ip} is at {arp.sender_mac}"
    return "arp-other", f"ARP operation {arp.op} from {arp.sender_ip}"


def _icmp(packet: Packet, icmp: Icmp) -> tuple[str, str]:
    name = "ICMP" if icmp.version == 4 else "ICMPv6"
    if icmp.echo_request:
        return "icmp-echo-request", f"{name} echo request, seq {icmp.seq}"
    if icmp.echo_reply:
        return "icmp-echo-reply", f"{name} echo reply, seq {icmp.seq}"
    if icmp.version == 6 and icmp.type in (133, 134, 135, 136, 137):
        return _neighbour(icmp, packet.src)
    if icmp.version == 6 and icmp.type in _GROUPS:
        return "mld", f"ICMPv6 multicast listener {_GROUPS[icmp.type]}"
    if icmp.type == 3 if icmp.version == 4 else icmp.type == 1:
        reasons = UNREACHABLE if icmp.version == 4 else UNREACHABLE_6
        reason = reasons.get(icmp.code, f"unreachable, code {icmp.code}")
        return "icmp-unreachable", f"{name}: {reason}{_about(packet)}"
    if icmp.type == 11 if icmp.version == 4 else icmp.type == 3:
        what = "time exceeded (TTL used up)" if icmp.code == 0 else "fragments did not all come"
        return "icmp-time-exceeded", f"{name}: {what}{_about(packet)}"
    if icmp.version == 6 and icmp.type == 2:
        return "icmp-too-big", f"{name}: packet too big, MTU {icmp.mtu}{_about(packet)}"
    if icmp.version == 4 and icmp.type == 5:
        return "icmp-redirect", f"{name}: redirect{_about(packet)}"
    return "icmp-other", f"{name} type {icmp.type}, code {icmp.code}"


def _about(packet: Packet) -> str:
    """What an ICMP error is about."""
    inner = wire.quoted(packet)
    return f", about a packet to {inner.dst}" if inner is not None and inner.dst else ""


def _neighbour(icmp: Icmp, source: str) -> tuple[str, str]:
    if icmp.type == 135 and source == "::":  # duplicate address detection, RFC 4862 section 5.4
        return "nd-solicitation", f"neighbour solicitation: is {icmp.target} still free?"
    if icmp.type == 135:
        return "nd-solicitation", f"neighbour solicitation: who has {icmp.target}?"
    if icmp.type == 136:
        at = f" is at {icmp.link_address}" if icmp.link_address else " is here"
        return "nd-advertisement", f"neighbour advertisement: {icmp.target}{at}"
    word = {133: "router solicitation", 134: "router advertisement"}.get(icmp.type, "redirect")
    return "nd-router", f"IPv6 {word}"


def _udp(packet: Packet) -> tuple[str, str]:
    udp = packet.udp
    assert udp is not None
    name = UDP_PORTS.get(udp.dport) or UDP_PORTS.get(udp.sport)
    label = f"{name} over UDP" if name else "UDP"
    size = len(packet.payload)
    return "udp", f"{label}, port {udp.sport} to {udp.dport}, {plural(size, 'byte')}"


def _tcp(packet: Packet) -> str:
    assert packet.tcp is not None
    return f"TCP port {packet.tcp.sport} to {packet.tcp.dport}"


def _other(packet: Packet) -> tuple[str, str]:
    if packet.ip is not None:
        name = PROTOCOLS.get(packet.ip.protocol, f"IP protocol {packet.ip.protocol}")
        if packet.ip.fragment:
            return "fragment", f"{name} fragment at byte {packet.ip.fragment_offset}"
        return "ip", f"{name} {packet.ip.src} to {packet.ip.dst}"
    if packet.eth is None:
        return "other", "a frame too short for an Ethernet header"
    if packet.eth.dst == "01:80:c2:00:00:00":
        return "other", "spanning tree message"
    kind = packet.eth.type
    if kind == 0x88CC and not packet.problem:
        return "lldp", "LLDP probe: which switch is at the other end?"
    name = ETHERTYPES.get(kind) or (f"EtherType 0x{kind:04x}" if kind >= 1536 else "802.3 frame")
    return "other", f"{name} frame{', broken: ' + packet.problem if packet.problem else ''}"


def dns_title(dns: Dns) -> tuple[str, str]:
    """Kind and title of a DNS message."""
    name, kind = dns.questions[0] if dns.questions else ("?", "?")
    asked = f"{kind} {clean(name, 60)}"
    if not dns.qr:
        return "dns-question", f"DNS question {asked}"
    return "dns-answer", f"DNS answer {asked}: {dns_result(dns)}"


def dns_result(dns: Dns) -> str:
    """What an answer says, in a few words."""
    if dns.rcode == 3:
        return "NXDOMAIN, no such name"
    if dns.rcode:
        return dns.rcode_text
    if dns.tc:
        return "too long for UDP, ask again over TCP"
    kind = dns.questions[0][1] if dns.questions else ""
    values = [clean(value, 60) for _, of, _, value in dns.answers if of == kind]
    aliases = [clean(value, 60) for _, of, _, value in dns.answers if of == "CNAME"]
    if kind != "CNAME" and aliases:
        values.insert(0, "alias of " + aliases[-1])
    if values:
        more = f" and {len(values) - 3} more" if len(values) > 3 else ""
        return ", ".join(values[:3]) + more
    referral = dns_referral(dns)
    if referral is not None:
        zone, servers = referral
        return f"ask {servers} about {zone}"
    return f"no {kind} record for this name"


def dns_referral(dns: Dns) -> tuple[str, str] | None:
    """(zone, servers) where an answer sends the asker on to (RFC 1034 section 4.3.1), else None."""
    delegation = [(name, value) for name, kind, _, value in dns.authority if kind == "NS"]
    if dns.aa or dns.answers or dns.rcode or not delegation:
        return None
    glue = {name.lower(): value for name, kind, _, value in dns.additional if kind in ("A", "AAAA")}
    servers = []
    for _, server in delegation[:2]:
        address = glue.get(server.lower())
        servers.append(clean(f"{server} ({address})" if address else server, 60))
    more = f" and {len(delegation) - 2} more" if len(delegation) > 2 else ""
    return clean(delegation[0][0], 60), " or ".join(servers) + more


def uncertain(count: int) -> str:
    """Of how many frames the place is the likeliest of several."""
    return (
        f"{plural(count, 'frame')} had others with the same bytes beside them: which was which is "
        "the likeliest guess."
    )


def capture_faults(health: Health) -> list[str]:
    """Why the numbers of a capture may be a little low; nothing if it is whole."""
    faults = []
    if health.dropped:
        faults.append(f"{plural(health.dropped, 'frame')} missed by the capture")
    if health.orphans:
        faults.append(f"{plural(health.orphans, 'frame')} that fit no known way")
    if health.healed:
        faults.append(f"{plural(health.healed, 'frame')} seen at one end only")
    if health.cut:
        faults.append("the rest of the file cannot be read")
    return faults


def capture_remarks(health: Health) -> list[str]:
    """What else is to be said of a capture, in whole sentences."""
    lines = []
    if health.unseen:
        few = f"{plural(health.unseen, 'frame')} not seen to arrive, where the capture missed some"
        lines.append(f"{few}: what seems lost there may have passed, and is not counted as lost.")
    if health.under_way:
        few = plural(health.under_way, "packet")
        lines.append(
            f"{few} under way when the capture began or ended: neither lost nor new by that."
        )
    if health.uncertain:
        lines.append(uncertain(health.uncertain))
    return lines


def queue_loss(loss: QueueLoss) -> str:
    """What a switch dropped at one port, beside what the frames show."""
    text = f"{loss.node} dropped {plural(loss.frames, 'frame')} at {loss.interface}, by the "
    text += "kernel's count: its queue there was full, it did not come to them in time."
    if loss.vanished is None:
        return text
    text += " "
    if loss.certain:
        return text + "As many came in there and went out of no port."
    if loss.vanished < loss.frames:
        few = f"Of these {loss.vanished:,} are seen to come in and go out of no port"
        if not loss.open:
            return f"{text}{few}; the frames do not show the other {loss.frames - loss.vanished:,}."
        return f"{text}{few}; {loss.open:,} more came in just before the capture ended."
    more = loss.vanished - loss.frames
    return (
        f"{text}{loss.vanished:,} came in there and went out of no port: {more:,} of them for "
        "another reason."
    )


def plural(count: int, word: str, many: str = "") -> str:
    """'1 frame', '2 frames', '1,460 bytes'."""
    return f"{count:,} {word if count == 1 else many or word + 's'}"


def count_kind(kind: str, count: int) -> str:
    """'3 DNS questions'."""
    one, many = KIND_NAMES.get(kind, (kind.replace("-", " "), kind.replace("-", " ")))
    return f"{count:,} {one if count == 1 else many}"
