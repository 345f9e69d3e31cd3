# SPDX-License-Identifier: Apache-2.0
"""One packet to its kind (a stable word) and its title (one line for a reader).

What lives here: everything that one packet alone can tell. What must not: other packets (TCP's
relative numbers are in `tcp.py`), nodes, times.
"""

from __future__ import annotations

from collections.abc import Callable

from hoplab.decode import dns as wire_dns
from hoplab.decode import packet as wire
from hoplab.decode.dns import Dns
from hoplab.decode.packet import Icmp, IPv4, IPv6, Packet
from hoplab.sentences import Sentence, listed, number_of, say, term, together
from hoplab.story.records import Health, QueueLoss

ETHERTYPES = {0x88CC: "LLDP", 0x86DD: "IPv6", 0x0800: "IPv4", 0x0806: "ARP", 0x8809: "LACP"}
PROTOCOLS = {1: "ICMP", 2: "IGMP", 6: "TCP", 17: "UDP", 47: "GRE", 58: "ICMPv6", 89: "OSPF"}
UDP_PORTS = {
    67: "DHCP", 68: "DHCP", 123: "NTP", 546: "DHCPv6", 547: "DHCPv6", 1900: "SSDP", 5353: "mDNS"
}  # fmt: skip

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

# How many packets of a kind, in words.
_COUNTED: dict[str, Callable[[int], Sentence]] = {
    "arp-request": lambda n: number_of("{n:,} ARP request", "{n:,} ARP requests", n),
    "arp-reply": lambda n: number_of("{n:,} ARP reply", "{n:,} ARP replies", n),
    "arp-announcement": lambda n: number_of("{n:,} ARP announcement", "{n:,} ARP announcements", n),
    "arp-other": lambda n: number_of("{n:,} arp other", "{n:,} arp other", n),
    "dns-question": lambda n: number_of("{n:,} DNS question", "{n:,} DNS questions", n),
    "dns-answer": lambda n: number_of("{n:,} DNS answer", "{n:,} DNS answers", n),
    "tcp-syn": lambda n: number_of("{n:,} SYN", "{n:,} SYNs", n),
    "tcp-syn-ack": lambda n: number_of("{n:,} SYN + ACK", "{n:,} SYN + ACKs", n),
    "tcp-ack": lambda n: number_of("{n:,} pure ACK", "{n:,} pure ACKs", n),
    "tcp-data": lambda n: number_of("{n:,} TCP data segment", "{n:,} TCP data segments", n),
    "tcp-fin": lambda n: number_of("{n:,} FIN", "{n:,} FINs", n),
    "tcp-rst": lambda n: number_of("{n:,} RST", "{n:,} RSTs", n),
    "tcp-keepalive": lambda n: number_of("{n:,} TCP keep-alive", "{n:,} TCP keep-alives", n),
    "http-request": lambda n: number_of("{n:,} HTTP request", "{n:,} HTTP requests", n),
    "http-response": lambda n: number_of("{n:,} HTTP response", "{n:,} HTTP responses", n),
    "tls-client-hello": lambda n: number_of("{n:,} TLS ClientHello", "{n:,} TLS ClientHellos", n),
    "tls-server-hello": lambda n: number_of("{n:,} TLS ServerHello", "{n:,} TLS ServerHellos", n),
    "tls-handshake": lambda n: number_of(
        "{n:,} TLS handshake segment", "{n:,} TLS handshake segments", n
    ),
    "tls-data": lambda n: number_of("{n:,} sealed TLS segment", "{n:,} sealed TLS segments", n),
    "tls-alert": lambda n: number_of("{n:,} TLS alert", "{n:,} TLS alerts", n),
    "lldp": lambda n: number_of("{n:,} LLDP probe", "{n:,} LLDP probes", n),
    "icmp-echo-request": lambda n: number_of("{n:,} echo request", "{n:,} echo requests", n),
    "icmp-echo-reply": lambda n: number_of("{n:,} echo reply", "{n:,} echo replies", n),
    "icmp-unreachable": lambda n: number_of("{n:,} ICMP unreachable", "{n:,} ICMP unreachables", n),
    "icmp-time-exceeded": lambda n: number_of(
        "{n:,} ICMP time exceeded", "{n:,} ICMP time exceededs", n
    ),
    "icmp-too-big": lambda n: number_of("{n:,} icmp too big", "{n:,} icmp too big", n),
    "icmp-redirect": lambda n: number_of("{n:,} ICMP redirect", "{n:,} ICMP redirects", n),
    "icmp-other": lambda n: number_of("{n:,} icmp other", "{n:,} icmp other", n),
    "nd-solicitation": lambda n: number_of(
        "{n:,} neighbour solicitation", "{n:,} neighbour solicitations", n
    ),
    "nd-advertisement": lambda n: number_of(
        "{n:,} neighbour advertisement", "{n:,} neighbour advertisements", n
    ),
    "nd-router": lambda n: number_of(
        "{n:,} router discovery message", "{n:,} router discovery messages", n
    ),
    "mld": lambda n: number_of(
        "{n:,} multicast listener report", "{n:,} multicast listener reports", n
    ),
    "udp": lambda n: number_of("{n:,} UDP datagram", "{n:,} UDP datagrams", n),
    "fragment": lambda n: number_of("{n:,} fragment", "{n:,} fragments", n),
    "ip": lambda n: number_of("{n:,} ip", "{n:,} ip", n),
    "other": lambda n: number_of("{n:,} other", "{n:,} other", n),
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
    ip, mac = arp.sender_ip, arp.sender_mac
    if ip == arp.target_ip:
        return "arp-announcement", say("ARP announcement: {ip} is at {mac}", ip=ip, mac=mac)
    if arp.op == 1:
        if eth is None or int(eth.dst[:2], 16) & 1:
            title = say("ARP request: who has {ip}? tell {asker}", ip=arp.target_ip, asker=ip)
            return "arp-request", title
        title = say("ARP check: who has {ip}? tell {asker}", ip=arp.target_ip, asker=ip)
        return "arp-request", title
    if arp.op == 2:
        return "arp-reply", say("ARP reply: {ip} is at {mac}", ip=ip, mac=mac)
    return "arp-other", say("ARP operation {number} from {ip}", number=arp.op, ip=ip)


def _icmp(packet: Packet, icmp: Icmp) -> tuple[str, str]:
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


def _udp(packet: Packet) -> tuple[str, str]:
    udp = packet.udp
    assert udp is not None
    protocol = UDP_PORTS.get(udp.dport) or UDP_PORTS.get(udp.sport)
    size = byte_count(len(packet.payload))
    if protocol is None:
        title = say(
            "UDP, port {source} to {destination}, {size}",
            source=udp.sport, destination=udp.dport, size=size,
        )  # fmt: skip
        return "udp", title
    title = say(
        "{protocol} over UDP, port {source} to {destination}, {size}",
        protocol=protocol, source=udp.sport, destination=udp.dport, size=size,
    )  # fmt: skip
    return "udp", title


def _tcp(packet: Packet) -> str:
    tcp = packet.tcp
    assert tcp is not None
    return say("TCP port {source} to {destination}", source=tcp.sport, destination=tcp.dport)


def _other(packet: Packet) -> tuple[str, str]:
    if packet.ip is not None:
        return _other_ip(packet.ip)
    if packet.eth is None:
        return "other", term("a frame too short for an Ethernet header")
    if packet.eth.dst == "01:80:c2:00:00:00":
        return "other", term("spanning tree message")
    ethertype = packet.eth.type
    if ethertype == 0x88CC and not packet.problem:
        return "lldp", term("LLDP probe: which switch is at the other end?")
    protocol = ETHERTYPES.get(ethertype)
    if protocol is None and ethertype >= 1536:
        protocol = say("EtherType 0x{ethertype:04x}", ethertype=ethertype)
    elif protocol is None:
        protocol = "802.3"
    if not packet.problem:
        return "other", say("{protocol} frame", protocol=protocol)
    title = say("{protocol} frame, broken: {problem}", protocol=protocol, problem=packet.problem)
    return "other", title


def _other_ip(ip: IPv4 | IPv6) -> tuple[str, str]:
    """Kind and title of an IP packet of which nothing inside is read."""
    protocol = PROTOCOLS.get(ip.protocol) or say("IP protocol {number}", number=ip.protocol)
    if ip.fragment:
        title = say(
            "{protocol} fragment at byte {offset}", protocol=protocol, offset=ip.fragment_offset
        )
        return "fragment", title
    title = say(
        "{protocol} {source} to {destination}",
        protocol=protocol, source=ip.src, destination=ip.dst,
    )  # fmt: skip
    return "ip", title


def dns_title(dns: Dns) -> tuple[str, str]:
    """Kind and title of a DNS message."""
    name, record = dns.questions[0] if dns.questions else ("?", "?")
    name = clean(name, 60)
    if not dns.qr:
        return "dns-question", say("DNS question {record} {name}", record=record, name=name)
    title = say(
        "DNS answer {record} {name}: {result}", record=record, name=name, result=dns_result(dns)
    )
    return "dns-answer", title


def dns_result(dns: Dns) -> str:
    """What an answer says, in a few words."""
    if dns.rcode == 3:
        return term("NXDOMAIN, no such name")
    if dns.rcode:
        return dns.rcode_text
    if dns.tc:
        return term("too long for UDP, ask again over TCP")
    record = dns.questions[0][1] if dns.questions else ""
    values: list[str] = [clean(value, 60) for _, of, _, value in dns.answers if of == record]
    aliases = [clean(value, 60) for _, of, _, value in dns.answers if of == "CNAME"]
    if record != "CNAME" and aliases:
        values.insert(0, say("alias of {name}", name=aliases[-1]))
    if len(values) > 3:
        return say("{values} and {n} more", values=listed(values[:3]), n=len(values) - 3)
    if values:
        return listed(values)
    if dns_refers(dns):
        return _referral(dns)
    return say("no {record} record for this name", record=record)


def dns_refers(dns: Dns) -> bool:
    """Whether an answer sends the asker on to other servers (RFC 1034 section 4.3.1)."""
    delegates = any(kind == "NS" for _, kind, _, _ in dns.authority)
    return delegates and not (dns.aa or dns.answers or dns.rcode)


def _referral(dns: Dns) -> str:
    """Which servers are to be asked about which zone."""
    delegation = [(name, value) for name, kind, _, value in dns.authority if kind == "NS"]
    glue = {name.lower(): value for name, kind, _, value in dns.additional if kind in ("A", "AAAA")}
    zone = clean(delegation[0][0], 60)
    servers: list[str] = []
    for _, name in delegation[:2]:
        server, ip = clean(name, 60), glue.get(name.lower())
        servers.append(say("{server} ({ip})", server=server, ip=ip) if ip else server)
    if len(servers) == 1:
        return say("ask {server} about {zone}", server=servers[0], zone=zone)
    first, second = servers
    if len(delegation) == 2:
        return say("ask {server} or {second} about {zone}", server=first, second=second, zone=zone)
    return say(
        "ask {server} or {second} and {n} more about {zone}",
        server=first, second=second, n=len(delegation) - 2, zone=zone,
    )  # fmt: skip


def uncertain(count: int) -> str:
    """Of how many frames the place is the likeliest of several."""
    return number_of(
        "{n:,} frame had others with the same bytes beside them: which was which is the likeliest "
        "guess.",
        "{n:,} frames had others with the same bytes beside them: which was which is the likeliest "
        "guess.",
        count,
    )


def capture_faults(health: Health) -> list[str]:
    """Why the numbers of a capture may be a little low; nothing if it is whole."""
    faults: list[str] = []
    if health.dropped:
        faults.append(
            number_of(
                "{n:,} frame missed by the capture",
                "{n:,} frames missed by the capture",
                health.dropped,
            )
        )
    if health.orphans:
        faults.append(
            number_of(
                "{n:,} frame that fit no known way",
                "{n:,} frames that fit no known way",
                health.orphans,
            )
        )
    if health.healed:
        faults.append(
            number_of(
                "{n:,} frame seen at one end only",
                "{n:,} frames seen at one end only",
                health.healed,
            )
        )
    if health.cut:
        faults.append(term("the rest of the file cannot be read"))
    return faults


def capture_remarks(health: Health) -> list[str]:
    """What else is to be said of a capture, in whole sentences."""
    lines: list[str] = []
    if health.unseen:
        lines.append(
            number_of(
                "{n:,} frame not seen to arrive, where the capture missed some: what seems lost "
                "there may have passed, and is not counted as lost.",
                "{n:,} frames not seen to arrive, where the capture missed some: what seems lost "
                "there may have passed, and is not counted as lost.",
                health.unseen,
            )
        )
    if health.under_way:
        lines.append(
            number_of(
                "{n:,} packet under way when the capture began or ended: neither lost nor new by "
                "that.",
                "{n:,} packets under way when the capture began or ended: neither lost nor new by "
                "that.",
                health.under_way,
            )
        )
    if health.uncounted:
        lines.append(
            number_of(
                "{n:,} packet came into a switch and went out of no port: by a flow, or for want "
                "of room. What the kernel's datapath drops itself is not counted here.",
                "{n:,} packets came into a switch and went out of no port: by a flow, or for want "
                "of room. What the kernel's datapath drops itself is not counted here.",
                health.uncounted,
            )
        )
    if health.uncertain:
        lines.append(uncertain(health.uncertain))
    return lines


def queue_loss(loss: QueueLoss) -> str:
    """What a node dropped at one port for want of room, beside what the frames show."""
    names = {"node": loss.node, "interface": loss.interface}
    if loss.cable and loss.own:
        return number_of(
            "{node} sent faster than its cable takes: its own queue in front of {interface} was "
            "full and dropped {n:,} frame, by the kernel's count. No frame that was captured shows "
            "it.",
            "{node} sent faster than its cable takes: its own queue in front of {interface} was "
            "full and dropped {n:,} frames, by the kernel's count. No frame that was captured "
            "shows them.",
            loss.frames,
            **names,
        )
    if loss.cable:
        dropped = number_of(
            "{node} dropped {n:,} frame in front of the cable at {interface}, by the kernel's "
            "count: the queue there was full, more was to be sent than the cable takes.",
            "{node} dropped {n:,} frames in front of the cable at {interface}, by the kernel's "
            "count: the queue there was full, more was to be sent than the cable takes.",
            loss.frames,
            **names,
        )
    else:
        dropped = number_of(
            "{switch} dropped {n:,} frame at {interface}, by the kernel's count: its queue there "
            "was full, it did not come to them in time.",
            "{switch} dropped {n:,} frames at {interface}, by the kernel's count: its queue there "
            "was full, it did not come to them in time.",
            loss.frames,
            switch=loss.node,
            interface=loss.interface,
        )
    return together(dropped, _missing(loss) if loss.cable or loss.beside else _vanished(loss))


def _missing(loss: QueueLoss) -> str:
    """What the frames show of those that were dropped where not all of them vanished, or where they
    may have been dropped in another queue."""
    if loss.vanished is None:
        return ""
    if loss.certain and loss.beside:
        return say(
            "Together with {others} as many frames are missing as were counted.",
            others=listed(loss.beside),
        )
    if loss.certain:
        return term("As many came in and are missing there.")
    if loss.beside:
        return number_of(
            "{n:,} that came in may have been dropped here or at {others}: the frames do not show "
            "which.",
            "{n:,} that came in may have been dropped here or at {others}: the frames do not show "
            "which.",
            loss.vanished,
            others=listed(loss.beside),
        )
    if loss.vanished > loss.frames and loss.in_one_go:
        return say(
            "{missing:,} are missing there, {rest:,} more than were counted: with a frame that "
            "found no room Open vSwitch may throw away those that it was to send in the same go.",
            missing=loss.vanished, rest=loss.vanished - loss.frames,
        )  # fmt: skip
    if loss.vanished > loss.frames:
        return say(
            "{missing:,} are missing there: {rest:,} of them for another reason.",
            missing=loss.vanished, rest=loss.vanished - loss.frames,
        )  # fmt: skip
    if loss.open:
        return say(
            "Of these {missing:,} are seen to be missing there; {rest:,} more came in just before "
            "the capture ended.",
            missing=loss.vanished, rest=loss.open,
        )  # fmt: skip
    return say(
        "Of these {missing:,} are seen to be missing there; the frames do not show the other "
        "{rest:,}.",
        missing=loss.vanished, rest=loss.frames - loss.vanished,
    )  # fmt: skip


def _vanished(loss: QueueLoss) -> str:
    """What the frames show of those that a switch dropped."""
    if loss.vanished is None:
        return ""
    if loss.certain:
        return term("As many came in there and went out of no port.")
    if loss.vanished > loss.frames:
        return say(
            "{vanished:,} came in there and went out of no port: {rest:,} of them for another "
            "reason.",
            vanished=loss.vanished, rest=loss.vanished - loss.frames,
        )  # fmt: skip
    if loss.open:
        return say(
            "Of these {vanished:,} are seen to come in and go out of no port; {rest:,} more came "
            "in just before the capture ended.",
            vanished=loss.vanished, rest=loss.open,
        )  # fmt: skip
    return say(
        "Of these {vanished:,} are seen to come in and go out of no port; the frames do not show "
        "the other {rest:,}.",
        vanished=loss.vanished, rest=loss.frames - loss.vanished,
    )  # fmt: skip


def byte_count(size: int) -> Sentence:
    """'1 byte', '1,460 bytes'."""
    return number_of("{n:,} byte", "{n:,} bytes", size)


def frame_count(count: int) -> Sentence:
    """'1 frame', '2,000 frames'."""
    return number_of("{n:,} frame", "{n:,} frames", count)


def times(count: int) -> Sentence:
    """'1 time', '3 times'."""
    return number_of("{n:,} time", "{n:,} times", count)


def count_kind(kind: str, count: int) -> Sentence:
    """'3 DNS questions'."""
    return _COUNTED.get(kind, _COUNTED["other"])(count)
