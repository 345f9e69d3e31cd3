# SPDX-License-Identifier: Apache-2.0
"""The rows of a step, textbook and real frames, and the remarks on it.

What lives here: a rule for each template of a row or a remark. What must not: other sentences.
"""

from __future__ import annotations

import re
from typing import Any

from truth import titles
from truth.evidence import OPENFLOW, Evidence, Frame
from truth.oracle import About, Pairs, Rule, Unknown, plain, words
from truth.rules import RULES, broken, heard_by, nodes_in, of, packets_in, sent_by, times


def rows(about: About) -> list[tuple[dict[str, Any], Frame]]:
    """The trips of a row, with their first frames."""
    found = []
    for number in about.owner["trips"]:
        trip = about.trip_of(number)
        found.append((trip, about.frame_of(trip)))
    if not found:
        raise Unknown
    return found


@of("{sender} to {receiver}")
def handshake_row(about: About, values: dict[str, Any]) -> Pairs:
    flags = {"SYN": ("syn",), "SYN + ACK": ("syn", "ack"), "ACK": ("ack",)}
    for trip, frame in rows(about)[:1]:
        yield "sender", plain(values["sender"]), trip["sender"]
        receivers = (*trip["delivered"], trip["target"] or frame.dst)
        yield "receiver", True, plain(values["receiver"]) in receivers
        textbook = flags.get(about.owner["textbook"])
        if textbook:
            shown = tuple(name for name in ("syn", "ack") if frame.flag(name))
            yield "flags", textbook, shown


@of("did not come")
def did_not_come(about: About, values: dict[str, Any]) -> Pairs:
    yield "no packet", [], about.owner["trips"]


def closing(*flags: str, data: bool | None = None) -> Rule:
    def rule(about: About, values: dict[str, Any]) -> Pairs:
        for trip, frame in rows(about)[:1]:
            yield "who", plain(values["node"]), trip["sender"]
            for flag in flags:
                yield flag, True, frame.flag(flag)
            if data is not None:
                yield "data", data, frame.number_in("tcp.len") > 0

    return rule


RULES["{node} has no more to send"] = closing("fin")
RULES["{node} has no more to send, riding on data"] = closing("fin", data=True)
RULES["{node} confirms"] = closing("ack")
RULES["{node} confirms, the same frame as its own FIN"] = closing("fin", "ack")
RULES["{node} ends it at once"] = closing("reset")


@of("{record} {name}: {result}")
def dns_row(about: About, values: dict[str, Any]) -> Pairs:
    trip, frame = rows(about)[-1]
    if frame.get("dns.flags.response") not in ("1", "True"):
        raise Unknown
    yield from titles.dns(True)(About(about.evidence, {}, trip, frame), values)


@of("{method} {target}")
def request_row(about: About, values: dict[str, Any]) -> Pairs:
    _, frame = rows(about)[0]
    yield "method", values["method"], frame.get("http.request.method")
    yield "target", values["target"], frame.get("http.request.uri")


@of("{answer}, {size} of content")
def response_row(about: About, values: dict[str, Any]) -> Pairs:
    _, frame = rows(about)[0]
    status = f"{frame.get('http.response.code')} {frame.get('http.response.phrase')}".rstrip()
    yield "answer", words(values["answer"]), status
    length = frame.get("http.content_length_header")
    head = "-I" in about.evidence.trace["command"].split()
    if length and not head:
        size = plain(values["size"])
        yield "size", True, size == int(length) or broken(about.evidence, size, {length})


@of("{client} asks everybody")
def dhcp_row(about: About, values: dict[str, Any]) -> Pairs:
    trip, frame = rows(about)[0]
    yield "who", plain(values["client"]), trip["sender"]
    yield "Discover", "1", frame.get("dhcp.option.dhcp")


# ------------------------------------------------------------------------------------ remarks


def frames_of(about: About, value: Any) -> list[Frame]:
    numbers = packets_in(value)
    if not numbers:
        raise Unknown
    return [about.frame_of(about.trip_of(number)) for number in numbers]


@of("{n:,} frame {packets} carries nothing but an ACK; textbook pictures often leave them out.")
def only_acks(about: About, values: dict[str, Any]) -> Pairs:
    frames = frames_of(about, values["packets"])
    if not re.search("to|more|…", words(values["packets"])):
        yield "how many", values["n"], len(frames)
    for frame in frames:
        flags = [name for name in ("syn", "ack", "fin", "reset") if frame.flag(name)]
        yield "flags", ["ack"], flags
        yield "no data", 0, frame.number_in("tcp.len")


@of("Three frames {packets} instead of four: {node} put its ACK and its own FIN into one "
    "(#{packet}).")
def three_frames(about: About, values: dict[str, Any]) -> Pairs:
    trip = about.trip_of(plain(values["packet"]))
    frame = about.frame_of(trip)
    yield "who", plain(values["node"]), trip["sender"]
    yield "FIN + ACK", True, frame.flag("fin") and frame.flag("ack")


@of("The first FIN had no frame of its own: it rode on the last data of {node} (#{packet}).")
def fin_on_data(about: About, values: dict[str, Any]) -> Pairs:
    trip = about.trip_of(plain(values["packet"]))
    frame = about.frame_of(trip)
    yield "who", plain(values["node"]), trip["sender"]
    yield "FIN", True, frame.flag("fin")
    yield "data", True, frame.number_in("tcp.len") > 0


@of("No FIN: the connection was broken off by RST (#{packet}).")
def broken_off(about: About, values: dict[str, Any]) -> Pairs:
    frame = about.frame_of(about.trip_of(plain(values["packet"])))
    yield "RST", True, frame.flag("reset")
    ends = (frame.ends, (*frame.ends[2:], *frame.ends[:2]))
    fins = [each for each in about.evidence.captured
            if each.tcp and each.flag("fin") and each.ends in ends]  # fmt: skip
    yield "no FIN", 0, len(fins)


@of("Instead of SYN + ACK {server} sent RST: nobody listens on port {port}.")
def rst_instead(about: About, values: dict[str, Any]) -> Pairs:
    yield "RST", True, _refused(about.evidence, plain(values["server"]), values["port"])


def _refused(evidence: Evidence, node: str, port: Any) -> bool:
    """An RST or a report "port unreachable" left that node about that port."""
    return any(
        (frame.tcp and frame.flag("reset") and frame.get("tcp.srcport") == str(port))
        or (frame.get("icmp.type") == "3" and frame.get("icmp.code") == "3"
            and frame.get("udp.dstport") == str(port))
        for frame in sent_by(evidence, node)
    )  # fmt: skip


@of("Nobody on {node} listens on {protocol} port {port}.")
def nobody_listens(about: About, values: dict[str, Any]) -> Pairs:
    yield "it said so", True, _refused(about.evidence, plain(values["node"]), values["port"])


@of("{server} refused the connection: it answered the SYN by RST.")
def refused(about: About, values: dict[str, Any]) -> Pairs:
    yield "RST", True, any(
        frame.tcp and frame.flag("reset")
        for frame in sent_by(about.evidence, plain(values["server"]))
    )


@of("The response took {n} frames {packets}: one frame carries at most {size} of it here.")
def response_frames(about: About, values: dict[str, Any]) -> Pairs:
    frames = frames_of(about, values["packets"])
    sizes = [frame.number_in("tcp.len") for frame in frames]
    if len(frames) == values["n"]:
        yield "largest", plain(values["size"]), max(sizes)
    yield "all carry data", True, min(sizes) > 0


@of("{resolver} did not know {record} {name}; it asked {servers}, and passed the result on.",
    "{resolver} did not know {record} {name}; it asked {server}, and passed the result on.")
def resolver_asked(about: About, values: dict[str, Any]) -> Pairs:
    evidence, resolver = about.evidence, plain(values["resolver"])
    asked_nodes = {
        node for frame in sent_by(evidence, resolver)
        if frame.get("dns.flags.response") in ("0", "False")
        for node in evidence.owners_of_ip(frame.dst)
    }  # fmt: skip
    for server in nodes_in(values.get("servers", values.get("server"))):
        yield "asked", True, server in asked_nodes
    answered = [
        frame for frame in sent_by(evidence, resolver)
        if frame.get("dns.flags.response") in ("1", "True")
        and frame.get("dns.qry.name") == values["name"].rstrip(".")
    ]  # fmt: skip
    yield "passed on", True, bool(answered)


@of("No ARP request in the whole capture: every node that sent already had the MAC of its next "
    "hop in its ARP cache.")
def no_arp(about: About, values: dict[str, Any]) -> Pairs:
    requests = [each for each in about.evidence.captured if each.get("arp.opcode") == "1"]
    yield "ARP requests", 0, len(requests)


@of("No node was seen to ask all others for a MAC address: each that sent already had that of its "
    "next hop in its ARP cache.")
def asked_by_nobody(about: About, values: dict[str, Any]) -> Pairs:
    evidence = about.evidence
    asked = [
        frame for node in evidence.nodes if not evidence.is_switch(node)
        for frame in sent_by(evidence, node)
        if frame.get("arp.opcode") == "1" and frame.group
        and frame.get("arp.src.proto_ipv4") != "0.0.0.0"
    ]  # fmt: skip
    yield "ARP requests to all", 0, len(asked)


@of("{n:,} ARP request {packets} came out of a switch, and no node was seen to send it.",
    "{n:,} ARP request {packets} asked whether an address is free.",
    "{n:,} check {packets} asked a neighbour itself whether it is still there.")
def arp_requests(about: About, values: dict[str, Any]) -> Pairs:
    """That no node was seen to send them is judged by the sentence before."""
    frames = frames_of(about, values["packets"])
    if not re.search("to|more|…", words(values["packets"])):
        yield "how many", values["n"], len(frames)
    for frame in frames:
        yield "operation", "1", frame.get("arp.opcode")


@of("{server} answered by HTTP/1.0.")
def http_1_0(about: About, values: dict[str, Any]) -> Pairs:
    yield "status line", True, any(
        titles.payload(frame).startswith(b"HTTP/1.0")
        for frame in sent_by(about.evidence, plain(values["server"])) if frame.tcp
    )  # fmt: skip


@of("{asker} asked {server} {times} for {record} {name} and got no answer.")
def asked_in_vain(about: About, values: dict[str, Any]) -> Pairs:
    evidence, name = about.evidence, values["name"].rstrip(".")
    asker = plain(values["asker"])
    asked_now = [frame for frame in sent_by(evidence, asker)
                 if frame.get("dns.qry.name") == name]  # fmt: skip
    heard = [frame for frame in heard_by(evidence, asker)
             if frame.get("dns.qry.name") == name
             and frame.get("dns.flags.response") in ("1", "True")]  # fmt: skip
    yield "asked", times(values["times"]), len(asked_now)
    yield "answers", 0, len(heard)


@of("{asker} also asked for AAAA, the IPv6 address (#{packet}): {result}.")
def also_aaaa(about: About, values: dict[str, Any]) -> Pairs:
    trip = about.trip_of(plain(values["packet"]))
    yield "who", plain(values["asker"]), trip["sender"]
    yield "type", "28", about.frame_of(trip).get("dns.qry.type")


@of("The URL holds the address {ip} itself: nothing to resolve.")
def nothing_to_resolve(about: About, values: dict[str, Any]) -> Pairs:
    yield "URL", True, plain(values["ip"]) in about.evidence.trace["request"]["url"]


@of("{n:,} retransmission {packets}: the same bytes again.")
def retransmissions(about: About, values: dict[str, Any]) -> Pairs:
    for frame in frames_of(about, values["packets"]):
        yield from titles.tcp_again(About(about.evidence, {}, None, frame), {})


@of("At +{ms:.2f} ms another controller (port {port}) took charge of {switches}.")
def took_charge(about: About, values: dict[str, Any]) -> Pairs:
    port = int(values["port"])
    ports = {
        frame.number_in(name) for frame in about.evidence.by_place.get((OPENFLOW, False), ())
        for name in ("tcp.srcport", "tcp.dstport")
    }  # fmt: skip
    yield "heard at that port", True, port in ports
