# SPDX-License-Identifier: Apache-2.0
"""What switches and controllers did: what a switch asked, what it was told, what it did by itself.

What lives here: a rule for each template of a decision. What must not: other sentences.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import Any

from truth.evidence import OPENFLOW, Evidence, Frame, messages
from truth.oracle import About, Pairs, Unknown, plain, words
from truth.rules import of

PACKET_IN, PACKET_OUT, FLOW_MOD = 10, 13, 14
FLOODING = (0xFFFFFFFA, 0xFFFFFFFB, 0xFFFFFFFC)  # NORMAL, FLOOD, ALL


def received(about: About) -> Frame:
    """The frame that a decision is about, as it came to the switch."""
    leg = about.told["legs"][about.owner["leg"]]
    frame = about.evidence.frames.get(leg["received"] or leg["sent"] or 0)
    if frame is None:
        raise Unknown
    return frame


WITH_OXM = (3, 4, 5, 6)  # 1.2 to 1.5 lay out what is read here alike


def packet_in_data(version: int, message: bytes) -> bytes:
    """The frame in a packet-in; b"" for a version that is not read here."""
    if version in WITH_OXM:
        at = 16 if version == 3 else 24  # 1.2 has no cookie there
        length = struct.unpack_from("!H", message, at + 2)[0]
        return message[at + (length + 7) // 8 * 8 + 2 :]
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
    tables = {message[15] for version, message in matching if version in WITH_OXM}
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
            same_port = version in WITH_OXM and port is not None and (
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
    if version in WITH_OXM:
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


PLACES_IN_1_0 = {"in_port": 12, "eth_src": 14, "eth_dst": 20}  # in a flow-mod
OXM = {"in_port": "80000004", "eth_dst": "80000606", "eth_src": "80000806"}


@of("table {table}: {match} → {action}")
def installed(about: About, values: dict[str, Any]) -> Pairs:
    """A flow-mod with that table and match was sent at that time."""
    wanted = []
    wanted_of_1_0 = []
    for part in words(values["match"]).split(", "):
        name, _, value = part.partition("=")
        if name not in OXM:
            raise Unknown
        number = value.replace(":", "") if ":" in value else f"{int(value):08x}"
        wanted.append(bytes.fromhex(OXM[name] + number))
        wanted_of_1_0.append((PLACES_IN_1_0[name], bytes.fromhex(number)))
    question = about.evidence.frames[about.owner["packet_in"]]
    fits = []
    for frame in about.evidence.by_place.get((OPENFLOW, False), ()):
        if not question.t_ns <= frame.t_ns <= question.t_ns + 2_000_000_000:
            continue
        for version, kind, message in messages(frame):
            if kind == 4 and version == 4:  # a bundle's message holds the flow-mod
                message = message[24:]
                kind = message[1] if len(message) > 1 else 0
            if kind == 34 and version in (5, 6):  # the same since 1.4
                message = message[16:]
                kind = message[1] if len(message) > 1 else 0
            if kind == FLOW_MOD and version == 1 and all(
                message[at : at + 6] == value or int.from_bytes(value, "big") == int.from_bytes(
                    message[at : at + 2], "big")
                for at, value in wanted_of_1_0
            ):
                fits.append(frame)
            if kind == FLOW_MOD and version in WITH_OXM and len(message) > 48:
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
