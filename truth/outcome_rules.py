# SPDX-License-Identifier: Apache-2.0
"""How the command ended, and why.

What lives here: a rule for each template of an outcome. What must not: other sentences.

What hosts were set to (`ip`, `ss` and the like, read by hoplab itself) has no second source after
the run: such sentences have a rule only where frames or the command's own output show them, too.
"""

from __future__ import annotations

import re
import statistics
from itertools import pairwise
from typing import Any

from truth import titles
from truth.evidence import Evidence, Frame
from truth.numbers import tcp_flows
from truth.oracle import About, Pairs, Unknown, plain, words
from truth.rules import broken, cards, heard_by, of, owns, sent_by, times
from truth.step_rules import _refused


def output_of(about: About) -> str:
    return str(about.evidence.trace.get("output") or "")


@of("{requests} to {hosts}, {answered:,} answered.",
    "{requests} to {hosts}, {answered:,} answered; there and back in {ms:.2f} ms.",
    "{requests} to {hosts}, {answered:,} answered; there and back in {ms:.2f} ms (median).",
    "{requests} to {hosts}, {answered:,} answered by {nodes}; there and back in {ms:.2f} ms.",
    "{requests} to {hosts}, {answered:,} answered by {nodes}; there and back in {ms:.2f} ms "
    "(median).")
def pings(about: About, values: dict[str, Any]) -> Pairs:
    """By ping's own word, and by the echo requests and replies at the sender's card."""
    said = re.findall(r"(\d+) packets transmitted, (\d+) received", output_of(about))
    if len(said) == 1:
        yield "transmitted, by ping", plain(values["requests"]), int(said[0][0])
        yield "received, by ping", values["answered"], int(said[0][1])
    evidence = about.evidence
    host = evidence.trace["host"]
    if "ms" not in values or not host:
        return
    identity = (("icmp.ident", "icmp.seq"),
                ("icmpv6.echo.identifier", "icmpv6.echo.sequence_number"))  # fmt: skip
    began: dict[tuple[str, ...], int] = {}
    took: dict[tuple[str, ...], float] = {}
    names = cards(evidence, host)
    for frame in evidence.captured:
        if frame.interface not in names:
            continue
        key = tuple(frame.get(name) for pair in identity for name in pair)
        if frame.out and (frame.get("icmp.type") == "8" or frame.get("icmpv6.type") == "128"):
            began.setdefault(key, frame.t_ns)
        replied = frame.get("icmp.type") == "0" or frame.get("icmpv6.type") == "129"
        if not frame.out and replied and key in began and key not in took:
            took[key] = (frame.t_ns - began[key]) / 1e6
    if not took:
        raise Unknown
    yield "answered", values["answered"], len(took)
    yield "median", round(values["ms"], 3), round(statistics.median(took.values()), 3)


@of("{asker} found the way to {target}: {path}, {hops}.")
def way_found(about: About, values: dict[str, Any]) -> Pairs:
    hops = re.findall(r"^ *(\d+)  ", output_of(about), re.M)
    if not hops:
        raise Unknown
    yield "hops, by traceroute", plain(values["hops"]), int(hops[-1])
    yield "asker", about.evidence.trace["host"], plain(values["asker"])


@of("{program} ended with {code}: {reason}.", "{program} ended with exit status {code}.",
    "The command ended with exit status {code}.",
    "{program} ended with 0: by its own word it succeeded.")
def ended_with(about: About, values: dict[str, Any]) -> Pairs:
    code = about.evidence.trace.get("exit_code")
    if code is None:
        raise Unknown
    yield "exit status", values.get("code", 0), code
    if "program" in values:
        yield "program", True, plain(values["program"]) in about.evidence.trace["command"]


@of("The client program said: {quote}", "The command said: {quote}")
def quoted(about: About, values: dict[str, Any]) -> Pairs:
    request = about.evidence.trace.get("request") or {}
    everything = " ".join(f"{output_of(about)} {request.get('said', '')}".split())
    if not everything or about.evidence.trace["command"].count(" + "):
        raise Unknown  # of several commands the output of one is kept
    quote = words(values["quote"]).replace(" | ", " ")  # which stands between its lines
    yield "said", True, " ".join(quote.split()).strip("'\"…. ") in everything


def requests_for(evidence: Evidence, asker: str, ip: str) -> list[Frame]:
    return [
        frame for frame in sent_by(evidence, asker)
        if ip in (frame.get("icmpv6.nd.ns.target_address"),
                  frame.get("arp.opcode") == "1" and frame.get("arp.dst.proto_ipv4"))
    ]  # fmt: skip


@of("{asker} asked {times} for the MAC of {ip}, and nobody answered.",
    "{asker} asked {times} for the MAC of {ip} {packets}; nobody answered.",
    "{asker} asked {times} for the MAC of {ip} {packets}; no answer came back.")
def nobody_answered(about: About, values: dict[str, Any]) -> Pairs:
    asker, ip = plain(values["asker"]), plain(values["ip"])
    yield "times", times(values["times"]), len(requests_for(about.evidence, asker, ip))
    replies = [
        frame for frame in heard_by(about.evidence, asker)
        if frame.get("arp.opcode") == "2" and frame.get("arp.src.proto_ipv4") == ip
    ]  # fmt: skip
    yield "answers", 0, len(replies)


@of("{nodes} got the request; the address belongs to none of them.")
def none_of_them(about: About, values: dict[str, Any]) -> Pairs:
    evidence = about.evidence
    for node in plain(values["nodes"]):
        requests = [frame for frame in heard_by(evidence, node)
                    if frame.get("arp.opcode") == "1"
                    or frame.get("icmpv6.nd.ns.target_address")]  # fmt: skip
        yield f"{node} got one", True, bool(requests)
        last = requests[-1] if requests else None
        asked_for = last.get("arp.dst.proto_ipv4") if last else ""
        asked_for = asked_for or (last.get("icmpv6.nd.ns.target_address") if last else "")
        yield f"{node} has it", False, owns(evidence, node, asked_for)


@of("{node} has that address, but no request reached it.")
def no_request_reached(about: About, values: dict[str, Any]) -> Pairs:
    node = plain(values["node"])
    asked_for = {frame.get("arp.dst.proto_ipv4") for frame in about.evidence.sent
                 if frame.get("arp.opcode") == "1"}  # fmt: skip
    mine = {address for address in asked_for if owns(about.evidence, node, address)}
    yield "somebody asks for it", True, bool(mine)
    came = [frame for frame in heard_by(about.evidence, node)
            if frame.get("arp.opcode") == "1"
            and frame.get("arp.dst.proto_ipv4") in mine]  # fmt: skip
    yield "requests there", 0, len(came)


@of("No node of this lab has the address {ip}.")
def no_node_has(about: About, values: dict[str, Any]) -> Pairs:
    yield "owners", set(), about.evidence.owners_of_ip(plain(values["ip"]))


@of("There is no such name: {name} (NXDOMAIN from {server}).",
    "The zone that {server} serves has no name {name}.")
def no_such_name(about: About, values: dict[str, Any]) -> Pairs:
    yield "NXDOMAIN", True, any(
        frame.get("dns.flags.rcode") == "3"
        and frame.get("dns.qry.name") == plain(values["name"]).rstrip(".")
        for frame in sent_by(about.evidence, plain(values["server"]))
    )


@of("{server} answered {record} {name}: {result}.")
def server_answered(about: About, values: dict[str, Any]) -> Pairs:
    answers = [
        frame for frame in sent_by(about.evidence, plain(values["server"]))
        if frame.get("dns.flags.response") in ("1", "True")
        and frame.get("dns.qry.name") == plain(values["name"]).rstrip(".")
    ]  # fmt: skip
    yield "answers", True, bool(answers)
    for frame in answers[-1:]:
        yield from titles.dns(True)(About(about.evidence, {}, None, frame), values)
    status = re.search(r"status: (\w+)", output_of(about))
    if status:
        yield "status, by dig", "NOERROR", status[1]


@of("The DNS question for {name} was never answered.")
def never_answered(about: About, values: dict[str, Any]) -> Pairs:
    name, host = plain(values["name"]).rstrip("."), about.evidence.trace["host"]
    answers = [
        frame for frame in heard_by(about.evidence, host)
        if frame.get("dns.qry.name") == name
        and frame.get("dns.flags.response") in ("1", "True")
    ]  # fmt: skip
    yield "answers", 0, len(answers)
    if "dig" in about.evidence.trace["command"]:
        yield "by dig", True, "no servers could be reached" in output_of(about)


@of("{server} answered {status} {reason}: {size} of content, {ms:,.1f} ms after the first frame.")
def page(about: About, values: dict[str, Any]) -> Pairs:
    responses = [
        frame for frame in sent_by(about.evidence, plain(values["server"]))
        if frame.get("http.response.code") == str(values["status"])
    ]  # fmt: skip
    yield "status", True, bool(responses)
    lengths = {frame.get("http.content_length_header") for frame in responses} - {""}
    head = "-I" in about.evidence.trace["command"].split()
    if lengths and not head:
        size = plain(values["size"])
        yield "size", True, str(size) in lengths or broken(about.evidence, size, lengths)


@of("Two cards claim {ip}: {first} ({first_mac}) and {second} ({second_mac}).")
def two_cards(about: About, values: dict[str, Any]) -> Pairs:
    for node, mac in (("first", "first_mac"), ("second", "second_mac")):
        yield mac, True, any(
            frame.get("arp.src.hw_mac") == plain(values[mac])
            and frame.get("arp.src.proto_ipv4") == plain(values["ip"])
            for frame in sent_by(about.evidence, plain(values[node]))
        )


@of("Not one frame left {host}.")
def no_frame_left(about: About, values: dict[str, Any]) -> Pairs:
    yield "frames", 0, len(sent_by(about.evidence, plain(values["host"])))


@of("{client} got {ip} from {server} {lease}.")
def got_address(about: About, values: dict[str, Any]) -> Pairs:
    said = re.search(r"lease of (\S+) obtained from (\S+?), lease time (\d+)", output_of(about))
    if said is None:
        raise Unknown
    yield "address, by udhcpc", plain(values["ip"]), said[1]
    yield "lease, by udhcpc", words(values["lease"]), f"for {int(said[3]):,} s"
    owners = about.evidence.owners_of_ip(said[2])
    yield "server, by udhcpc", True, plain(values["server"]) in {said[2], *owners}


@of("{client} asked {times} for an address by DHCP, and no offer came.")
def no_offer(about: About, values: dict[str, Any]) -> Pairs:
    client = plain(values["client"])
    asked_now = [frame for frame in sent_by(about.evidence, client)
                 if frame.get("dhcp.option.dhcp") == "1"]  # fmt: skip
    offers = [frame for frame in heard_by(about.evidence, client)
              if frame.get("dhcp.option.dhcp") == "2"]  # fmt: skip
    yield "times", times(values["times"]), len(asked_now)
    yield "offers", 0, len(offers)


@of("{datagrams} to {host}, port {port}; {answers} came back.",
    "{datagrams} to {host}, port {port}: {node} reported {reason}.")
def datagrams(about: About, values: dict[str, Any]) -> Pairs:
    evidence = about.evidence
    host, port = evidence.trace["host"], str(values["port"])
    out = [frame for frame in sent_by(evidence, host)
           if frame.get("udp.dstport") == port and not frame.get("icmp.type")
           and frame.get("ip.frag_offset") in ("", "0")]  # fmt: skip
    yield "datagrams", plain(values["datagrams"]), len(out)
    if "answers" in values:
        back = [frame for frame in heard_by(evidence, host) if frame.get("udp.srcport") == port]
        shown = plain(values["answers"])
        if isinstance(shown, int):
            yield "answers", shown, len(back)
    else:
        yield "reported", True, _refused(evidence, plain(values["node"]), port)


@of("{client} and {server} spoke over TCP, port {port}: {traffic}.",
    "{client} sent {size} to {server}, port {port}; nothing came back.")
def spoke(about: About, values: dict[str, Any]) -> Pairs:
    client, port = plain(values["client"]), str(values["port"])
    there = [flow for flow in tcp_flows(about.evidence)
             if flow.node == client and flow.ends[3] == port]  # fmt: skip
    if len(there) != 1 or not there[0].whole:
        raise Unknown
    size = values.get("size") or values["traffic"]["values"]["there"]
    came = there[0].arrived
    yield "bytes there", plain(size), came


@of("{node} reported it (#{packet}): {report}.")
def reported(about: About, values: dict[str, Any]) -> Pairs:
    trip = about.trip_of(plain(values["packet"]))
    yield "who", plain(values["node"]), trip["sender"]
    yield "report", words(values["report"]), trip["title"]
    kind = about.frame_of(trip)
    yield "an ICMP error", True, bool(kind.get("icmp.type") or kind.get("icmpv6.type"))


@of("The way there works: {node} answered #{question} by #{answer}.")
def way_there(about: About, values: dict[str, Any]) -> Pairs:
    answer = about.trip_of(plain(values["answer"]))
    question = about.frame_of(about.trip_of(plain(values["question"])))
    yield "who", plain(values["node"]), answer["sender"]
    frame = about.frame_of(answer)
    for name in ("icmp.ident", "icmp.seq", "dns.id"):
        yield name, question.get(name), frame.get(name)


@of("The way there and back works; nobody listens on port {port}.")
def both_ways(about: About, values: dict[str, Any]) -> Pairs:
    port = str(values["port"])
    yield "RST came back", True, any(
        frame.tcp and frame.flag("reset") and frame.get("tcp.srcport") == port
        for frame in heard_by(about.evidence, about.evidence.trace["host"])
    )


@of("{node} has no route to {ip}: it has no default gateway.")
def no_route(about: About, values: dict[str, Any]) -> Pairs:
    ip = plain(values["ip"])
    towards = [frame for frame in sent_by(about.evidence, plain(values["node"]))
               if frame.dst == ip]  # fmt: skip
    yield "frames to it", 0, len(towards)


@of("{node} has no route back to {ip}: it has no default gateway.")
def no_route_back(about: About, values: dict[str, Any]) -> Pairs:
    ip, node = plain(values["ip"]), plain(values["node"])
    yield "heard from it", True, any(
        frame.src == ip for frame in heard_by(about.evidence, node)
    )
    towards = [frame for frame in sent_by(about.evidence, node) if frame.dst == ip]
    yield "frames to it", 0, len(towards)


@of("The card {card} of {node} is set down.")
def card_down(about: About, values: dict[str, Any]) -> Pairs:
    card = plain(values["card"])
    yield "node", plain(values["node"]), about.evidence.node_of(card)
    heard = about.evidence.by_place
    yield "frames", 0, len(heard.get((card, True), ())) + len(heard.get((card, False), ()))


@of("It went {path}.", "It went {path}, and no further.")
def went(about: About, values: dict[str, Any]) -> Pairs:
    """Each pair of nodes on it is joined by a frame of one packet."""
    path = words(values["path"]).split(" -> ")
    yield "a packet went so", True, any(
        set(pairwise(path))
        <= {(leg["tail"], leg["head"]) for leg in trip["legs"]}
        for trip in about.evidence.trace["trips"]
    )


@of("No SYN + ACK ever came from {server}.")
def no_syn_ack(about: About, values: dict[str, Any]) -> Pairs:
    step = about.step or {}
    syns = [about.frame_of(about.trip_of(number)) for number in step.get("trips", ())]
    ends = {frame.ends for frame in syns if frame.tcp and frame.flag("syn")}
    owners = {name for each in ends for name in about.evidence.owners_of_ip(each[2]) or {each[2]}}
    yield "server", True, plain(values["server"]) in owners
    back = {(*each[2:], *each[:2]) for each in ends}
    host = about.evidence.trace["host"]
    yield "SYN + ACK", 0, sum(
        frame.tcp and frame.flag("syn") and frame.flag("ack") and frame.ends in back
        for frame in heard_by(about.evidence, host)
    )
