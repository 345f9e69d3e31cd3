# SPDX-License-Identifier: Apache-2.0
"""Where frames went: every leg of every trip against the capture and the wiring.

What lives here: rules for the fields of trips that are no sentences. What must not: sentences.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import pairwise
from typing import Any

from truth.evidence import Evidence, Frame
from truth.oracle import Judge


def judge(judge: Judge) -> None:
    """All trips of a run."""
    trace, evidence = judge.evidence.trace, judge.evidence
    used: Counter[tuple[str, int]] = Counter()
    for trip in trace["trips"]:
        for leg in trip["legs"]:
            for end in ("sent", "received"):
                if leg[end] is not None:
                    used[end, leg[end]] += 1
    for trip in trace["trips"]:
        place = f"#{trip['number']}"
        for leg in trip["legs"]:
            _leg(judge, trip, leg, f"{place} leg {leg['index']}", used)
        _trip(judge, trip, place)
        _switches(judge, trip, place)
        _routers(judge, trip, place)
    if "left_out" not in trace and not any("storm" in trip for trip in trace["trips"]):
        orphans = trace["summary"]["capture"]["orphans"]
        placed = {number for (_, number) in used}
        missing = [frame.number for frame in evidence.captured if frame.number not in placed]
        judge.claim("every frame is told", "capture", orphans, len(missing))
    _losses(judge)


def end_frames(evidence: Evidence, leg: dict[str, Any]) -> tuple[Frame | None, Frame | None]:
    """The frame where it was sent, and where it was received."""
    return evidence.frames.get(leg["sent"] or 0), evidence.frames.get(leg["received"] or 0)


def seen(evidence: Evidence, leg: dict[str, Any]) -> Frame | None:
    """The frame of a leg, at either end."""
    sent, received = end_frames(evidence, leg)
    return sent or received


def _leg(
    judge: Judge, trip: dict[str, Any], leg: dict[str, Any], place: str, used: Counter[Any]
) -> None:
    evidence = judge.evidence
    for end, node, out in (("sent", "tail", True), ("received", "head", False)):
        if leg[end] is None:
            continue
        frame = evidence.frames.get(leg[end])
        shown = (frame.interface, frame.out) if frame else None
        judge.claim(f"leg.{end}: interface", place, (leg[f"{node}_interface"], out), shown)
        judge.claim(f"leg.{end}: told once", place, 1, used[end, leg[end]])
    for node in ("tail", "head"):
        if leg[f"{node}_interface"]:
            owner = evidence.node_of(leg[f"{node}_interface"])
            judge.claim(f"leg.{node}: wiring", place, leg[node], owner)
    if leg["head_interface"] and leg["tail_interface"]:
        peer = evidence.interfaces[leg["tail_interface"]].peer
        judge.claim("leg: a cable joins its ends", place, leg["head_interface"], peer)
    sent, received = end_frames(evidence, leg)
    frame = sent or received
    if sent is not None and received is not None:
        judge.claim("leg: same bytes at both ends", place, True, same(sent, received))
        judge.claim("leg: sent before received", place, True, sent.t_ns <= received.t_ns)
    if frame is None:
        judge.claim("leg: seen at one end", place, True, False)
        return
    judge.claim("leg.t_ns", place, leg["t_ns"], frame.t_ns)
    judge.claim("leg.src_mac", place, leg["src_mac"], frame.get("eth.src"))
    judge.claim("leg.dst_mac", place, leg["dst_mac"], frame.get("eth.dst"))
    if frame.get("vlan.id"):
        judge.claim("leg.vlan", place, str(leg.get("vlan")), frame.fields["vlan.id"][0])
    judge.claim("leg.length", place, leg["length"], frame.length)
    one_end = (sent is None) != (received is None)
    judge.claim("leg.healed", place, leg["healed"], one_end and sent is None)
    missing = leg["lost"] or leg["cut"] or leg["unseen"] if "unseen" in leg else (
        leg["lost"] or leg["cut"])  # fmt: skip
    if leg["head_interface"]:
        judge.claim("leg.lost, cut or unseen", place, bool(missing), received is None)
    if leg["parent"] is None:
        judge.claim("leg.origin: born", place, leg["origin"], "born")
        return
    parent = trip["legs"][leg["parent"]]
    judge.claim("leg.parent: made where it came", place, parent["head"], leg["tail"])
    before = seen(evidence, parent)
    if before is not None:
        judge.claim("leg.parent: came first", place, True, before.t_ns <= frame.t_ns)
        _made_of(judge, leg, before, frame, place)


def same(frame: Frame, again: Frame) -> bool:
    """The same bytes, as far as both were kept."""
    shorter = min(len(frame.data), len(again.data))
    return frame.length == again.length and frame.data[:shorter] == again.data[:shorter]


def _made_of(
    judge: Judge, leg: dict[str, Any], before: Frame, after: Frame, place: str
) -> None:
    """What a node made of a frame: the same bytes, or the same packet."""
    if leg["origin"] == "switched":
        ok = same(before, after) or packet(before) == packet(after)
        judge.claim("leg.origin: switched, the same packet", place, True, ok)
        by_switch = judge.evidence.nodes[leg["tail"]].openflow or (
            judge.evidence.is_switch(leg["tail"]))  # fmt: skip
        judge.claim("leg.origin: by a switch", place, True, by_switch)
    else:
        judge.claim("leg.origin: routed, IP id", place, before.get("ip.id"), after.get("ip.id"))
        fell = before.ttl - after.ttl
        judge.claim("leg.origin: routed, TTL one lower", place, 1, fell)
        addresses = (before.src, before.dst) == (after.src, after.dst)
        judge.claim("leg.origin: routed or translated", place, leg["origin"],
                    "routed" if addresses else "translated")  # fmt: skip
        whole = before.get("ip.len") == after.get("ip.len")
        if whole and addresses:
            judge.claim("leg.origin: routed, the same content", place, True,
                        content(before) == content(after))  # fmt: skip


def packet(frame: Frame) -> tuple[str, ...]:
    """What stays of an IP packet when a switch rewrites addresses, ports or tags."""
    layers = "ip.id ip.proto ip.frag_offset icmp.type icmp.ident icmp.seq icmpv6.type"
    layers += " tcp.seq_raw tcp.ack_raw tcp.len udp.length arp.opcode dns.id"
    return tuple(frame.get(name) for name in layers.split())


def content(frame: Frame) -> bytes:
    """What an IP packet carries."""
    at = frame.data.find(bytes.fromhex("0800"), 12) + 2
    length = int(frame.get("ip.len") or 0)
    header = int(frame.get("ip.hdr_len") or 0)
    return frame.data[at + header : at + length]


# ----------------------------------------------------------------------------------------- trips


def _trip(judge: Judge, trip: dict[str, Any], place: str) -> None:
    evidence, legs = judge.evidence, trip["legs"]
    frame = seen(evidence, legs[0])
    if frame is None:
        return
    started = evidence.trace["started_ns"]
    judge.claim("trip.t_ns", place, trip["t_ns"], frame.t_ns)
    judge.claim("trip.ms", place, trip["ms"], round((frame.t_ns - started) / 1e6, 6))
    judge.claim("trip.length", place, trip["length"], frame.length)
    judge.claim("trip.src_mac", place, trip["src_mac"], frame.get("eth.src"))
    judge.claim("trip.dst_mac", place, trip["dst_mac"], frame.get("eth.dst"))
    judge.claim("trip.src", place, trip["src"], frame.src or frame.get("arp.src.proto_ipv4"))
    wanted = (
        frame.dst
        if not (frame.get("icmpv6.nd.ns.target_address"))
        else frame.get("icmpv6.nd.ns.target_address")
    )
    judge.claim("trip.dst", place, trip["dst"], wanted or frame.get("arp.dst.proto_ipv4"))
    judge.claim("trip.sender", place, trip["sender"], _maker(evidence, trip, frame))
    times = {evidence.frames[n].t_ns for leg in legs for n in (leg["sent"], leg["received"]) if n}
    judge.claim("trip.arrived_ns", place, True, trip["arrived_ns"] in times)
    kind = kind_of(frame)
    if kind:
        judge.claim("trip.kind", place, True, trip["kind"] in kind)
    else:
        judge.unknown("trip.kind of " + trip["kind"])
    lost = [leg["index"] for leg in legs if leg["lost"]]
    judge.claim("trip.lost", place, trip["lost"], lost)
    pairs = {(leg["tail"], leg["head"]) for leg in legs}
    path = trip["path"]
    walked = all(pair in pairs for pair in pairwise(path))
    judge.claim("trip.path: along its legs", place, True, walked and path[:1] == [legs[0]["tail"]])
    _receivers(judge, trip, frame, place)
    _answered(judge, trip, frame, place)


def _receivers(judge: Judge, trip: dict[str, Any], frame: Frame, place: str) -> None:
    evidence, legs = judge.evidence, trip["legs"]
    got = {leg["head"] for leg in legs if leg["received"] is not None}
    for node in trip["delivered"]:
        there = node in got or bool(trip.get("proved"))
        judge.claim("trip.delivered: a frame came there", place, True, there)
        judge.claim("trip.delivered: to no switch", place, False,
                    evidence.is_switch(node) and not for_switches(evidence, frame))  # fmt: skip
        macs = {leg["dst_mac"] for leg in legs if leg["head"] == node}
        cards = {each.mac for each in evidence.interfaces.values() if each.node == node}
        group = any(int(mac[:2], 16) & 1 for mac in macs if mac)
        if not trip.get("proved"):
            judge.claim("trip.delivered: to its card", place, True, group or bool(macs & cards))
    for copy in trip["ignored"]:
        leg = legs[copy["leg"]]
        judge.claim("trip.ignored: where", place, copy["node"], leg["head"])
        judge.claim("trip.ignored: it came", place, True, leg["received"] is not None)
        group = bool(int(leg["dst_mac"][:2], 16) & 1)
        judge.claim("trip.ignored: by", place, copy["by"], "software" if group else "card")
        if not group and leg["head_interface"]:
            own = evidence.interfaces[leg["head_interface"]].mac
            judge.claim("trip.ignored: another card's", place, False, own == leg["dst_mac"])
    target = trip["target"]
    frames = filter(None, (seen(evidence, leg) for leg in legs))
    addresses = {each.dst for each in frames} - {""}
    addresses = addresses - {trip["dst"]} or {trip["dst"]}  # where a node put another there
    owners = {node for address in addresses for node in evidence.owners_of_ip(address)}
    if target and len(owners) == 1:
        judge.claim("trip.target", place, {target}, owners)
    elif target:
        judge.unknown("trip.target without an address in lab.json")


def _answered(judge: Judge, trip: dict[str, Any], frame: Frame, place: str) -> None:
    """What answers a packet: by what identifies both."""
    number = trip["answered_by"]
    if not number:
        return
    answers = [each for each in judge.evidence.trace["trips"] if each["number"] == number]
    if not answers:
        judge.unknown("trip.answered_by left out of a storm")
        return
    answer = seen(judge.evidence, answers[0]["legs"][0])
    if answer is None:
        return
    rule = "trip.answered_by"
    judge.claim(rule + ": later", place, True, answer.t_ns >= frame.t_ns)
    names: tuple[tuple[str, str], ...]
    if answer.get("icmp.type") in ("3", "11", "5") or answer.get("icmpv6.type") in "1 2 3".split():
        quoted = [*answer.fields.get("ip.dst", []), *answer.fields.get("ipv6.dst", [])][1:]
        finals = {leg_frame.dst for leg in trip["legs"]
                  if (leg_frame := seen(judge.evidence, leg)) is not None}  # fmt: skip
        judge.claim(rule + ": quotes it", place, True, bool(finals & set(quoted)))
        return
    if frame.get("arp.opcode"):
        names = (("arp.dst.proto_ipv4", "arp.src.proto_ipv4"),)
    elif frame.get("icmpv6.nd.ns.target_address"):
        names = (("icmpv6.nd.ns.target_address", "icmpv6.nd.na.target_address"),)
    elif frame.get("icmp.type") == "8":
        names = (("icmp.ident", "icmp.ident"), ("icmp.seq", "icmp.seq"))
    elif frame.get("icmpv6.type") == "128":
        names = (("icmpv6.echo.identifier",) * 2, ("icmpv6.echo.sequence_number",) * 2)
    elif frame.get("dns.id"):
        names = (("dns.id", "dns.id"), ("dns.qry.name", "dns.qry.name"))
    elif frame.tcp:
        claimed = frame.number_in("tcp.seq_raw") + frame.number_in("tcp.len") + frame.flag("syn")
        shown = answer.number_in("tcp.ack_raw")
        ahead = (shown - claimed) % 2**32
        judge.claim(rule + ": acknowledges it", place, True, ahead < 2**31)
        return
    elif frame.get("udp.srcport"):
        names = (("udp.srcport", "udp.dstport"),)
        if frame.get("dhcp.option.dhcp"):
            names = (("dhcp.hw.mac_addr", "dhcp.hw.mac_addr"),)
    else:
        judge.unknown("trip.answered_by of " + trip["kind"])
        return
    for asked, answered in names:
        judge.claim(f"{rule}: {asked}", place, frame.get(asked), answer.get(answered))


def for_switches(evidence: Evidence, frame: Frame) -> bool:
    """Probes, spanning tree, and what is for a switch's own card."""
    owners = evidence.owners_of_mac(frame.get("eth.dst"))
    return (
        frame.get("eth.type") == "0x88cc"
        or frame.get("eth.dst").startswith("01:80:c2:00:00:0")
        or any(evidence.is_switch(node) for node in owners)
    )


def kind_of(frame: Frame) -> tuple[str, ...]:
    """The kinds that a packet may be told as, () where nothing here can tell."""
    get = frame.get
    if get("arp.opcode"):
        if get("arp.src.proto_ipv4") == get("arp.dst.proto_ipv4"):
            return ("arp-announcement",)
        return ({"1": "arp-request", "2": "arp-reply"}.get(get("arp.opcode"), "arp-other"),)
    if get("ip.frag_offset") not in ("", "0"):
        return ("fragment",)
    if get("icmp.type"):
        kinds = {"8": "icmp-echo-request", "0": "icmp-echo-reply", "3": "icmp-unreachable",
                 "11": "icmp-time-exceeded", "5": "icmp-redirect"}  # fmt: skip
        return (kinds.get(get("icmp.type"), "icmp-other"),)
    if get("icmpv6.type"):
        kinds = {"128": "icmp-echo-request", "129": "icmp-echo-reply", "1": "icmp-unreachable",
                 "2": "icmp-too-big", "3": "icmp-time-exceeded", "135": "nd-solicitation",
                 "136": "nd-advertisement", "133": "nd-router", "134": "nd-router",
                 "137": "nd-router", "130": "mld", "131": "mld", "132": "mld",
                 "143": "mld"}  # fmt: skip
        return (kinds.get(get("icmpv6.type"), "icmp-other"),)
    if frame.tcp:
        return _tcp_kind(frame)
    if get("dhcp.option.dhcp"):
        kinds = {"1": "dhcp-discover", "2": "dhcp-offer", "3": "dhcp-request", "5": "dhcp-ack",
                 "6": "dhcp-nak"}  # fmt: skip
        return (kinds.get(get("dhcp.option.dhcp"), "dhcp-other"),)
    if get("dns.id") and "53" in (get("udp.srcport"), get("udp.dstport")):
        return ("dns-answer",) if get("dns.flags.response") in ("1", "True") else ("dns-question",)
    if get("udp.srcport"):
        return ("udp", "quic")
    if get("eth.type") == "0x88cc":
        return ("lldp",)
    return ()


def _tcp_kind(frame: Frame) -> tuple[str, ...]:
    if frame.flag("reset"):
        return ("tcp-rst",)
    if frame.flag("syn"):
        return ("tcp-syn-ack",) if frame.flag("ack") else ("tcp-syn",)
    if frame.number_in("tcp.len") > 0:
        if frame.get("http.request.method"):
            return ("http-request", "tcp-data")
        if frame.get("http.response.code"):
            return ("http-response", "tcp-data")
        if frame.get("dns.id"):
            return ("dns-question", "dns-answer", "tcp-data")
        if frame.get("tls.record.content_type"):
            return ("tls-client-hello", "tls-server-hello", "tls-handshake", "tls-data",
                    "tls-alert", "tcp-data")  # fmt: skip
        return ("tcp-data", "tls-data", "tls-handshake", "tcp-keepalive", "http-response",
                "tcp-window-probe")  # fmt: skip
    if frame.flag("fin"):
        return ("tcp-fin",)
    return ("tcp-ack", "tcp-keepalive", "tcp-window-probe")


# -------------------------------------------------------------------------- switches and routers


def _switches(judge: Judge, trip: dict[str, Any], place: str) -> None:
    evidence, legs = judge.evidence, trip["legs"]
    storm = "storm" in trip or "alerts" in evidence.trace  # of which copies are only counted
    for copies in trip["switches"]:
        came = legs[copies["leg"]]
        judge.claim("trip.switches: where", place, copies["node"], came["head"])
        out = {leg["tail_interface"] for leg in legs if leg["parent"] == copies["leg"]}
        out -= {came["head_interface"]}
        judge.claim("trip.switches: out", place, copies["out"], len(out))
        ports = len(evidence.ports_of(copies["node"])) - 1
        judge.claim("trip.switches: of", place, copies["of"], max(ports, len(out)))
        if copies["flooded"] or len(out) < 2:
            judge.claim("trip.switches: flooded", place, copies["flooded"], len(out) > 1)
        else:
            judge.unknown("trip.switches: several copies that are told as no flood")
        group = bool(int(came["dst_mac"][:2] or "0", 16) & 1)
        judge.claim("trip.switches: due", place, copies["due"], group)
    kept = {copies["leg"] for copies in trip["switches"]}
    for leg in legs:
        if evidence.is_switch(leg["head"]) and leg["index"] not in kept and not storm:
            judge.claim("trip.switches: all of them", place, True, False)


def _routers(judge: Judge, trip: dict[str, Any], place: str) -> None:
    evidence, legs = judge.evidence, trip["legs"]
    told = {rewrite["leg"] for rewrite in trip["routers"]}
    routed = {leg["index"] for leg in legs if leg["origin"] in ("routed", "translated")}
    if told or routed:
        judge.claim("trip.routers: all of them", place, sorted(told), sorted(routed))
    for rewrite in trip["routers"]:
        after = legs[rewrite["leg"]]
        judge.claim("trip.routers: where", place, rewrite["node"], after["tail"])
        for moment, leg in (("before", legs[after["parent"]]), ("after", after)):
            frame = seen(evidence, leg)
            if frame is None:
                continue
            told_ = rewrite[moment]
            values = {"src_mac": frame.get("eth.src"), "dst_mac": frame.get("eth.dst"),
                      "src": frame.src, "dst": frame.dst, "ttl": frame.ttl}  # fmt: skip
            for name, shown in values.items():
                judge.claim(f"trip.routers: {moment} {name}", place, told_[name], shown)
            for end in ("src", "dst"):
                owners = evidence.owners_of_mac(told_[f"{end}_mac"])
                if len(owners) == 1 and told_[f"{end}_owner"]:
                    judge.claim(f"trip.routers: {moment} {end}_owner", place,
                                {told_[f"{end}_owner"]}, owners)  # fmt: skip
        judge.claim("trip.routers: translated", place, rewrite["translated"],
                    after["origin"] == "translated")  # fmt: skip


# ---------------------------------------------------------------------------------------- losses


def _losses(judge: Judge) -> None:
    """A frame that is told as lost on a cable: fewer of its bytes came than were sent."""
    evidence = judge.evidence
    sent: dict[tuple[str, bytes], int] = defaultdict(int)
    if not any(trip["lost"] for trip in evidence.trace["trips"]):
        return
    for frame in evidence.captured:
        interface = frame.interface
        if not frame.out:
            interface = evidence.interfaces[interface].peer
        sent[interface, frame.data] += 1 if frame.out else -1
    for trip in evidence.trace["trips"]:
        for number in trip["lost"]:
            leg = trip["legs"][number]
            frame = evidence.frames[leg["sent"]]
            more = sent[frame.interface, frame.data] > 0
            judge.claim("leg.lost: fewer came than were sent", f"#{trip['number']}", True, more)


def _maker(evidence: Evidence, trip: dict[str, Any], frame: Frame) -> str:
    """Who sent the first frame; of a packet that a node had when the capture began, which it says
    in a note, the node that has its source address."""
    tail: str = trip["legs"][0]["tail"]
    early = f"{tail} had it when the capture began"
    source = frame.src or frame.get("arp.src.proto_ipv4")
    if early not in trip["notes"] or trip["sender"] not in evidence.owners_of_ip(source):
        return tail
    return str(trip["sender"])
