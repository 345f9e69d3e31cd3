# SPDX-License-Identifier: Apache-2.0
"""All sentences but titles: why a packet was sent, how it ended, what a switch was told, remarks,
and how the command ended.

What lives here: a rule for each template. What must not: titles (`titles.py`).

What hosts were set to (`ip`, `ss` and the like, read by hoplab itself) has no second source after
the run: such sentences have a rule only where frames or the command's own output show them, too.
"""

from __future__ import annotations

import re
import statistics
import struct
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

from truth import titles
from truth.evidence import OPENFLOW, Evidence, Frame, messages
from truth.numbers import tcp_flows
from truth.oracle import About, Pairs, Rule, Unknown, plain, words

RULES: dict[str, Rule] = {}
PACKET_IN, PACKET_OUT, FLOW_MOD = 10, 13, 14
FLOODING = (0xFFFFFFFA, 0xFFFFFFFB, 0xFFFFFFFC)  # NORMAL, FLOOD, ALL


def of(*templates: str) -> Callable[[Rule], Rule]:
    """Enters a rule for these templates."""

    def enter(rule: Rule) -> Rule:
        for template in templates:
            RULES[template] = rule
        return rule

    return enter


def packets_in(value: Any) -> list[int]:
    """The numbers of packets in a value, in order."""
    if isinstance(value, str):
        return [int(number.replace(",", "")) for number in re.findall(r"#([\d,]*\d)", value)]
    if isinstance(value, dict):
        if isinstance(value.get("packet"), int):
            return [value["packet"]]
        return [number for inner in value.values() for number in packets_in(inner)]
    if isinstance(value, list):
        return [number for inner in value for number in packets_in(inner)]
    return []


def nodes_in(value: Any) -> list[str]:
    """The nodes in a value, in order."""
    if isinstance(value, dict):
        if isinstance(value.get("node"), str):
            return [value["node"]]
        return [node for inner in value.values() for node in nodes_in(inner)]
    if isinstance(value, list):
        return [node for inner in value for node in nodes_in(inner)]
    return []


def cards(evidence: Evidence, node: str) -> set[str]:
    return {each.name for each in evidence.interfaces.values() if each.node == node}


def sent_by(evidence: Evidence, node: str) -> list[Frame]:
    names = cards(evidence, node)
    return [frame for frame in evidence.sent if frame.interface in names]


def heard_by(evidence: Evidence, node: str) -> list[Frame]:
    names = cards(evidence, node)
    return [frame for frame in evidence.captured if not frame.out and frame.interface in names]


def broken(evidence: Evidence, size: int, lengths: set[str]) -> bool:
    """Less than what was announced came, as a connection was reset."""
    resets = any(frame.tcp and frame.flag("reset") for frame in evidence.captured)
    return resets and 0 <= size < max(int(length) for length in lengths)


def times(value: Any) -> int:
    text = words(value)
    return {"once": 1, "twice": 2}.get(text) or int(text.split()[0].replace(",", ""))


def owns(evidence: Evidence, node: str, address: str) -> bool:
    return node in evidence.owners_of_ip(address)


# ------------------------------------------------------------------------- switch and controller


def received(about: About) -> Frame:
    """The frame that a decision is about, as it came to the switch."""
    leg = about.told["legs"][about.owner["leg"]]
    frame = about.evidence.frames.get(leg["received"] or leg["sent"] or 0)
    if frame is None:
        raise Unknown
    return frame


def packet_in_data(version: int, message: bytes) -> bytes:
    """The frame in a packet-in; b"" for a version that is not read here."""
    if version == 4:
        length = struct.unpack_from("!H", message, 26)[0]
        return message[24 + (length + 7) // 8 * 8 + 2 :]
    return message[18:] if version == 1 else b""


def questions(evidence: Evidence, number: int) -> Iterator[tuple[int, bytes]]:
    frame = evidence.frames.get(number or 0)
    if frame is None or frame.interface != OPENFLOW:
        return
    for version, kind, message in messages(frame):
        if kind == PACKET_IN:
            yield version, message


def carries(inside: bytes, frame: Frame) -> bool:
    return bool(inside) and frame.data[: len(inside)] == inside[: len(frame.data)]


@of("{why} (table {table}) and asked the controller, which {reaction}")
def asked(about: About, values: dict[str, Any]) -> Pairs:
    frame, decision = received(about), about.owner
    matching = [
        (version, message)
        for version, message in questions(about.evidence, decision["packet_in"])
        if carries(packet_in_data(version, message), frame)
    ]
    yield "the packet-in holds the frame", True, bool(matching)
    tables = {message[15] for version, message in matching if version == 4}
    if tables:
        yield "table", True, values["table"] in tables
    yield "switch", True, about.evidence.nodes[decision["node"]].openflow
    question = about.evidence.frames[decision["packet_in"]]
    yield "asked after it came", True, question.t_ns >= frame.t_ns
    if decision["packet_out"]:
        answer = about.evidence.frames[decision["packet_out"]]
        wait_ms = (answer.t_ns - question.t_ns) / 1e6
        yield "wait", round(decision["wait_ms"], 4), round(wait_ms, 4)
        yield "an answer", True, any(
            kind in (PACKET_OUT, FLOW_MOD) for _, kind, _ in messages(answer)
        )
    count = re.search(r"installed ([\d,]+) flow", about.text)
    flows = int(count[1].replace(",", "")) if count else 0
    yield "flows", flows, len(decision["installed"])


@of("{switch} handed it to the controller, which sees by it who is next to whom")
def handed(about: About, values: dict[str, Any]) -> Pairs:
    frame = received(about)
    yield "a probe", "0x88cc", frame.get("eth.type")
    yield "the packet-in holds it", True, any(
        carries(packet_in_data(version, message), frame)
        for version, message in questions(about.evidence, about.owner["packet_in"])
    )


@of("handed over")
def handed_over(about: About, values: dict[str, Any]) -> Pairs:
    yield "a probe", "0x88cc", received(about).get("eth.type")


@of("{switch} did not ask the controller: a flow floods this, most likely one from before the "
    "capture", "{switch} did not ask the controller: a flow it has floods this ({flow})")
def did_not_ask(about: About, values: dict[str, Any]) -> Pairs:
    """No packet-in of that port with these bytes came soon after, and several copies left."""
    frame, decision = received(about), about.owner
    port = about.evidence.interfaces[frame.interface].port if not frame.out else None
    cited = {each["packet_in"] for each in about.told["decisions"]} - {None}
    near = [
        each for each in about.evidence.by_place.get((OPENFLOW, False), ())
        if frame.t_ns <= each.t_ns <= frame.t_ns + 20_000_000
    ]  # fmt: skip
    for each in near:
        if each.number in cited:
            continue  # another switch's
        for version, kind, message in messages(each):
            same_port = version == 4 and port is not None and (
                struct.pack("!II", 0x80000004, port) in message[:64]
            )
            if kind == PACKET_IN and same_port:
                yield "not asked", False, carries(packet_in_data(version, message), frame)
    yield "switch", decision["node"], plain(values["switch"])
    out = {leg["tail_interface"] for leg in about.told["legs"]
           if leg["parent"] == decision["leg"]}  # fmt: skip
    yield "flooded", True, len(out) > 1


@of("why {switch} floods this is not known: it speaks OpenFlow {version} with its controller, "
    "which is not read here")
def not_read(about: About, values: dict[str, Any]) -> Pairs:
    versions = {1: "1.0", 2: "1.1", 3: "1.2", 4: "1.3", 5: "1.4", 6: "1.5"}
    spoken = {
        versions.get(version)
        for frame in about.evidence.by_place.get((OPENFLOW, False), ())
        for version, _, _ in messages(frame)
    }
    if not spoken:
        raise Unknown
    yield "version", True, values["version"] in spoken


def left_by(about: About) -> set[str]:
    """The ports by which the switch's copies of the frame left."""
    return {leg["tail_interface"] for leg in about.told["legs"]
            if leg["parent"] == about.owner["leg"]}  # fmt: skip


@of("{switch} did not ask the controller: it sends this to {ports} by {flows}",
    "{switch} did not ask the controller: it floods this by {flows}")
def by_flows(about: About, values: dict[str, Any]) -> Pairs:
    """The copies left by these ports. Which flow it was is not judged."""
    if "alerts" in about.evidence.trace:
        raise Unknown
    yield "switch", about.owner["node"], plain(values["switch"])
    left = left_by(about)
    if "ports" in values:
        told = set(re.findall(r"\(([^()]+-eth\d+)\)", words(values["ports"])))
        if not told or not left:
            raise Unknown
        yield "ports", True, left <= told
    elif left:
        yield "flooded", True, len(left) > 1
    else:
        raise Unknown


def outputs(message: bytes, version: int) -> set[int]:
    """The ports of a packet-out or of a flow-mod's actions."""
    if version == 4:
        return {
            struct.unpack_from("!I", message, at + 4)[0]
            for at in range(8, len(message) - 8, 2)
            if message[at : at + 4] == b"\x00\x00\x00\x10"
        }
    if version == 1:
        ports = {
            struct.unpack_from("!H", message, at + 4)[0]
            for at in range(8, len(message) - 6, 2)
            if message[at : at + 4] == b"\x00\x00\x00\x08"
        }
        return {port | 0xFFFF0000 if port > 0xFF00 else port for port in ports}
    return set()


def answered_ports(about: About) -> set[int]:
    """The ports that the answer to a decision's question names."""
    frame = about.evidence.frames.get(about.owner.get("packet_out") or 0)
    if frame is None:
        raise Unknown
    ports: set[int] = set()
    for version, kind, message in messages(frame):
        if kind in (PACKET_OUT, FLOW_MOD):
            ports |= outputs(message, version)
    return ports


@of("flood")
def flood(about: About, values: dict[str, Any]) -> Pairs:
    if about.owner.get("by") == "flow":
        if "alerts" in about.evidence.trace:
            raise Unknown  # the copies of a storm are counted, and no legs
        yield "several ports", True, len(left_by(about)) > 1
        return
    yield "flooding port", True, bool(answered_ports(about) & set(FLOODING))


@of("port {port} ({interface})", "port {port}")
def port_answer(about: About, values: dict[str, Any]) -> Pairs:
    port = int(values["port"])
    if about.owner.get("by") == "flow":
        if "interface" not in values or "alerts" in about.evidence.trace:
            raise Unknown
        if not left_by(about):
            raise Unknown  # there may have been no room
        yield "left by it", True, plain(values["interface"]) in left_by(about)
    else:
        yield "port", True, port in answered_ports(about)
    if "interface" in values:
        interface = about.evidence.interfaces.get(plain(values["interface"]))
        place = (interface.node, interface.port) if interface else None
        yield "interface", (about.owner["node"], port), place


OXM = {"in_port": "80000004", "eth_dst": "80000606", "eth_src": "80000806"}


@of("table {table}: {match} → {action}")
def installed(about: About, values: dict[str, Any]) -> Pairs:
    """A flow-mod with that table and match was sent at that time."""
    wanted = []
    for part in words(values["match"]).split(", "):
        name, _, value = part.partition("=")
        if name not in OXM:
            raise Unknown
        number = value.replace(":", "") if ":" in value else f"{int(value):08x}"
        wanted.append(bytes.fromhex(OXM[name] + number))
    question = about.evidence.frames[about.owner["packet_in"]]
    fits = []
    for frame in about.evidence.by_place.get((OPENFLOW, False), ()):
        if not question.t_ns <= frame.t_ns <= question.t_ns + 2_000_000_000:
            continue
        for version, kind, message in messages(frame):
            if kind == 4 and version == 4:  # a bundle's message holds the flow-mod
                message = message[24:]
                kind = message[1] if len(message) > 1 else 0
            if kind == FLOW_MOD and version == 4 and len(message) > 48:
                action = values["action"]
                port = plain(action)
                if isinstance(action, dict) and "port" in action.get("values", {}):
                    port = int(action["values"]["port"])
                    if port not in outputs(message[48:], 4):
                        continue
                if message[24] == values["table"] and all(each in message for each in wanted):
                    fits.append(frame)
    if not fits and not list(messages(question)):
        raise Unknown
    yield "a flow-mod", True, bool(fits)


# --------------------------------------------------------------------------- why it was sent


def answer_of(about: About) -> Frame | None:
    number = about.told["answered_by"]
    return about.frame_of(about.trip_of(number)) if number else None


@of("{node} needed the MAC of {address} before it could send #{packet}, {name}",
    "{node} needed the MAC of {address} before it could pass on #{packet}, {name}")
def needed(about: About, values: dict[str, Any]) -> Pairs:
    node, frame = plain(values["node"]), about.first
    asked_for = frame.get("arp.dst.proto_ipv4") or frame.get("icmpv6.nd.ns.target_address")
    address = re.split(r"[ (]", words(values["address"]))[0]
    yield "asker", node, about.told["sender"]
    yield "address", address, asked_for
    trip = about.trip_of(plain(values["packet"]))
    legs = [leg for leg in trip["legs"] if leg["tail"] == node]
    answer = answer_of(about)
    if legs and answer is not None:
        mac = answer.get("arp.src.hw_mac") or answer.get("icmpv6.opt.linkaddr")
        later = [leg for leg in legs if leg["t_ns"] >= answer.t_ns]
        yield "sent to that card after the answer", True, mac in {leg["dst_mac"] for leg in later}
    elif "pass on" in about.text:
        yield "it came there", True, node in {leg["head"] for leg in trip["legs"]}


@of("{node} needed the MAC of {address} to pass on #{packet}, {name}")
def needed_in_vain(about: About, values: dict[str, Any]) -> Pairs:
    node = plain(values["node"])
    trip = about.trip_of(plain(values["packet"]))
    yield "asker", node, about.told["sender"]
    yield "it came there", True, node in {leg["head"] for leg in trip["legs"]}
    yield "not passed on", False, node in {leg["tail"] for leg in trip["legs"]}


@of("{node} needed the MAC of {address}; the packet that it wanted to send never left")
def never_left(about: About, values: dict[str, Any]) -> Pairs:
    node, frame = plain(values["node"]), about.first
    yield "asker", node, about.told["sender"]
    address = re.split(r"[ (]", words(values["address"]))[0]
    asked_for = frame.get("arp.dst.proto_ipv4") or frame.get("icmpv6.nd.ns.target_address")
    yield "address", address, asked_for


@of("{node} knows the MAC of {ip} and checks that it still holds")
def checks(about: About, values: dict[str, Any]) -> Pairs:
    yield "asker", plain(values["node"]), about.told["sender"]
    target = about.first.get("arp.dst.proto_ipv4")
    yield "ip", plain(values["ip"]), target or about.first.get("icmpv6.nd.ns.target_address")
    yield "to one card", False, about.first.group


@of("{node} asks because of #{packet}")
def asks_on(about: About, values: dict[str, Any]) -> Pairs:
    node, trip = plain(values["node"]), about.trip_of(plain(values["packet"]))
    yield "asker", node, about.told["sender"]
    yield "it came there", True, node in trip["delivered"]
    yield "before", True, about.frame_of(trip).t_ns <= about.first.t_ns


@of("{node} reports what became of #{packet}, {name}")
def reports(about: About, values: dict[str, Any]) -> Pairs:
    frame = about.first
    cause = about.frame_of(about.trip_of(plain(values["packet"])))
    yield "reporter", plain(values["node"]), about.told["sender"]
    if len(frame.fields.get("ip.id", ())) > 1:
        yield "the quoted IP id", frame.fields["ip.id"][1], cause.get("ip.id")
    elif len(frame.fields.get("ipv6.dst", ())) > 1:
        yield "the quoted address", frame.fields["ipv6.dst"][1], cause.dst


@of("{server} refuses #{packet}, the SYN: nobody listens on that port")
def refuses(about: About, values: dict[str, Any]) -> Pairs:
    frame = about.first
    syn = about.frame_of(about.trip_of(plain(values["packet"])))
    yield "RST", True, frame.flag("reset")
    yield "a SYN", True, syn.flag("syn")
    yield "who", plain(values["server"]), about.told["sender"]
    acknowledged = (syn.number_in("tcp.seq_raw") + 1) % 2**32
    yield "of it", acknowledged, frame.number_in("tcp.ack_raw")


@of("{node} sent it, and no frame that came in explains it")
def stray(about: About, values: dict[str, Any]) -> Pairs:
    node = plain(values["node"])
    yield "sender", node, about.told["sender"]
    yield "a switch", True, about.evidence.is_switch(node)


@of("{node} takes the offer of #{packet}")
def takes_offer(about: About, values: dict[str, Any]) -> Pairs:
    offer = about.frame_of(about.trip_of(plain(values["packet"])))
    yield "who", plain(values["node"]), about.told["sender"]
    wanted = about.first.get("dhcp.option.requested_ip_address")
    yield "the address", offer.get("dhcp.ip.your"), wanted


# ----------------------------------------------------------------------------------- how it ended


@of("{switch} took it in by {interface} and sent it out of no port")
def out_of_no_port(about: About, values: dict[str, Any]) -> Pairs:
    interface = plain(values["interface"])
    ends = [leg for leg in about.told["legs"]
            if leg["head_interface"] == interface and leg["received"]]  # fmt: skip
    yield "it came there", True, bool(ends)
    yield "switch", plain(values["switch"]), about.evidence.node_of(interface)
    made = {leg["parent"] for leg in about.told["legs"]}
    yield "nothing made of it", True, any(leg["index"] not in made for leg in ends)


@of("{node} took it in and sent nothing on")
def sent_nothing_on(about: About, values: dict[str, Any]) -> Pairs:
    node = plain(values["node"])
    legs = [leg for leg in about.told["legs"] if leg["head"] == node and leg["received"]]
    yield "it came there", True, bool(legs)
    yield "nothing sent on", False, node in {leg["tail"] for leg in about.told["legs"][1:]}


@of("{node} took it in with TTL {ttl}, which allows no further hop")
def no_further_hop(about: About, values: dict[str, Any]) -> Pairs:
    node = plain(values["node"])
    legs = [leg for leg in about.told["legs"] if leg["head"] == node and leg["received"]]
    yield "it came there", True, bool(legs)
    for leg in legs[-1:]:
        yield "TTL", values["ttl"], about.evidence.frames[leg["received"]].ttl
    yield "1 or 0", True, values["ttl"] <= 1


@of("nobody whom it reached has {ip}")
def nobody_has(about: About, values: dict[str, Any]) -> Pairs:
    reached = {leg["head"] for leg in about.told["legs"] if leg["received"]}
    owners = about.evidence.owners_of_ip(plain(values["ip"]))
    if about.told["dst"]:
        yield "ip", about.told["dst"], plain(values["ip"])
    yield "owners among them", set(), reached & owners


@of("{sender} sent it out of {interface}, it never arrived at {node}")
def never_arrived(about: About, values: dict[str, Any]) -> Pairs:
    lost = [
        (leg["tail"], leg["tail_interface"], leg["head"])
        for leg in about.told["legs"] if leg["received"] is None
    ]  # fmt: skip
    place = tuple(plain(values[name]) for name in ("sender", "interface", "node"))
    yield "a frame that was not received there", True, place in lost


@of("{node} has the MAC {mac}, and no copy reached it: {switch} sent none out of {port}")
def no_copy(about: About, values: dict[str, Any]) -> Pairs:
    node, legs = plain(values["node"]), about.told["legs"]
    yield "owner", {node}, about.evidence.owners_of_mac(plain(values["mac"]))
    yield "no copy", False, node in {leg["head"] for leg in legs if leg["received"]}
    yield "not out of it", False, plain(values["port"]) in {leg["tail_interface"] for leg in legs}


# -------------------------------------------------------------------------------------- notes


@of("{router} cut it into {n} fragments: IP packets of {sizes} bytes")
def cut(about: About, values: dict[str, Any]) -> Pairs:
    router = plain(values["router"])
    frames = [
        about.evidence.frames[leg["sent"]] for leg in about.told["legs"]
        if leg["tail"] == router and leg["sent"]
    ]  # fmt: skip
    yield "how many", values["n"], len(frames)
    sizes = [int(size) for size in plain(values["sizes"])]
    yield "sizes", sizes, [frame.number_in("ip.len") for frame in frames]


@of("a later part of the packet that began with #{packet}")
def later_part(about: About, values: dict[str, Any]) -> Pairs:
    first = about.frame_of(about.trip_of(plain(values["packet"])))
    yield "IP id", first.get("ip.id"), about.first.get("ip.id")
    yield "later", True, about.first.number_in("ip.frag_offset") > 0
    yield "the beginning", 0, first.number_in("ip.frag_offset")


@of("retransmission: the same bytes as #{packet}, sent again")
def retransmission(about: About, values: dict[str, Any]) -> Pairs:
    before = about.frame_of(about.trip_of(plain(values["packet"])))
    yield "the same direction", before.ends, about.first.ends
    start, again = before.number_in("tcp.seq_raw"), about.first.number_in("tcp.seq_raw")
    within = 0 <= (again - start) % 2**32 <= before.number_in("tcp.len") + 1
    yield "overlaps", True, within or 0 <= (start - again) % 2**32 < about.first.length
    yield from titles.tcp_again(about, {})


@of("the question of #{packet} again")
def question_again(about: About, values: dict[str, Any]) -> Pairs:
    before = about.frame_of(about.trip_of(plain(values["packet"])))
    for name in ("dns.qry.name", "dns.qry.type", "arp.dst.proto_ipv4"):
        yield name, before.get(name), about.first.get(name)
    yield "before", True, before.t_ns < about.first.t_ns


@of("{node} ({mac}) claims {ip} too (#{packet})")
def claims_too(about: About, values: dict[str, Any]) -> Pairs:
    trip = about.trip_of(plain(values["packet"]))
    claim = about.frame_of(trip)
    yield "who", plain(values["node"]), trip["sender"]
    yield "mac", plain(values["mac"]), claim.get("arp.src.hw_mac")
    yield "ip", plain(values["ip"]), claim.get("arp.src.proto_ipv4")


@of("this frame came back to {switch} {times} in {ms:,.1f} ms: a storm of {frames}")
def storm(about: About, values: dict[str, Any]) -> Pairs:
    frame = about.first
    names = cards(about.evidence, plain(values["switch"]))
    came = [each for each in about.evidence.captured
            if each.data == frame.data and not each.out and each.interface in names]  # fmt: skip
    yield "at least as often", True, len(came) >= times(values["times"])


RULES["this frame came back to {switch} {times} in {ms:,.1f} ms: a storm of {frames}; the first "
      "{shown:,} are told one by one, the others counted"] = storm


# ------------------------------------------------------------------- textbook and real frames


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


# -------------------------------------------------------------------------------------- remarks


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


# ---------------------------------------------------------------------------------- the outcome


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
    yield "said", True, " ".join(words(values["quote"]).split()).strip("'\"…. ") in everything


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
