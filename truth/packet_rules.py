# SPDX-License-Identifier: Apache-2.0
"""Why a packet was sent, where it ended, and what is remarkable about it.

What lives here: a rule for each such template. What must not: titles (`titles.py`).
"""

from __future__ import annotations

import re
from typing import Any

from truth import titles
from truth.evidence import OPENFLOW, Frame, messages
from truth.oracle import About, Pairs, plain, words
from truth.rules import RULES, cards, heard_by, of, sent_by, times

# -------------------------------------------------------------------------- why it was sent


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


@of(
    "{node} gives as its own the address {ip}, which is one of {holder}: who takes that in sends "
    "to {node} what is meant for {holder}"
)
def anothers_name(about: About, values: dict[str, Any]) -> Pairs:
    yield "asker", plain(values["node"]), about.told["sender"]
    claimed = about.first.get("arp.src.proto_ipv4") or about.first.get("ipv6.src")
    yield "ip", plain(values["ip"]), claimed
    yield "another's", False, plain(values["holder"]) == about.told["sender"]


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


@of("the controller had {node} send it", "the controller had {node} send it, asked about #{packet}")
def controller_made(about: About, values: dict[str, Any]) -> Pairs:
    """A packet-out of any version ends with the bytes of the frame."""
    yield from stray(about, values)
    outs = [
        frame for frame in about.evidence.by_place.get((OPENFLOW, False), ())
        if frame.t_ns <= about.first.t_ns
        and any(
            kind == 13 and message.endswith(about.first.data)
            for _, kind, message in messages(frame)
        )
    ]  # fmt: skip
    yield "a packet-out with these bytes", True, bool(outs)
    if "packet" in values:
        trip = about.trip_of(plain(values["packet"]))
        answers = {decision["packet_out"] for decision in trip["decisions"]}
        yield "the answer to that one", True, bool(answers & {frame.number for frame in outs})


@of("{node} takes the offer of #{packet}")
def takes_offer(about: About, values: dict[str, Any]) -> Pairs:
    offer = about.frame_of(about.trip_of(plain(values["packet"])))
    yield "who", plain(values["node"]), about.told["sender"]
    wanted = about.first.get("dhcp.option.requested_ip_address")
    yield "the address", offer.get("dhcp.ip.your"), wanted


# --------------------------------------------------------------------------- where it ended


@of("{switch} took it in by {interface} and sent it out of no port")
def out_of_no_port(about: About, values: dict[str, Any]) -> Pairs:
    interface = plain(values["interface"])
    ends = [leg for leg in about.told["legs"]
            if leg["head_interface"] == interface and leg["received"]]  # fmt: skip
    yield "it came there", True, bool(ends)
    yield "switch", plain(values["switch"]), about.evidence.node_of(interface)
    made = {leg["parent"] for leg in about.told["legs"]}
    yield "nothing made of it", True, any(leg["index"] not in made for leg in ends)


@of("802.1Q tags on the way: {hops}")
def tags_on_the_way(about: About, values: dict[str, Any]) -> Pairs:
    """Which one on which link is judged of each leg."""
    seen = [leg["sent"] or leg["received"] for leg in about.told["legs"]]
    frames = [about.evidence.frames[number] for number in seen]
    yield "a tag", True, any(frame.get("vlan.id") for frame in frames)


@of("It came to {node} with the tag of VLAN {vlan}, which it did not have when {sender} sent it: "
    "{node} takes it only if it has a card in that VLAN.")
def came_tagged(about: About, values: dict[str, Any]) -> Pairs:
    came = heard_by(about.evidence, plain(values["node"]))
    sent = sent_by(about.evidence, plain(values["sender"]))
    yield "came tagged", True, any(
        frame.get("vlan.id") == str(values["vlan"]) for frame in came
    )
    yield "sent without", True, any(not frame.get("vlan.id") for frame in sent)


def in_switch(about: About, switch: str) -> Pairs:
    """It came to that switch, and nothing was made of what came there."""
    told = about.told["legs"]
    ends = [leg for leg in told if leg["head"] == switch and leg["received"]]
    yield "it came there", True, bool(ends)
    made = {leg["parent"] for leg in told}
    yield "nothing made of it", True, any(leg["index"] not in made for leg in ends)


@of("{switch} asked the controller about it, which sent it nowhere while the capture ran",
    "{switch} asked the controller about it, whose packet-out had no frame in it",
    "the controller had {switch} drop it",
    "the controller sent it back to {switch}, which refused to send it on: {error}")
def kept_by_controller(about: About, values: dict[str, Any]) -> Pairs:
    """A packet-in with its bytes, and nothing of it left the switch."""
    switch = plain(values["switch"])
    yield from in_switch(about, switch)
    asked = {each["packet_in"] for each in about.told["decisions"] if each["node"] == switch}
    asked -= {None, 0}
    questions = [about.evidence.frames[number] for number in asked]
    came = [
        about.evidence.frames[leg["received"]].data[:40]
        for leg in about.told["legs"] if leg["head"] == switch and leg["received"]
    ]  # fmt: skip
    yield "asked about it", True, any(
        kind == 10 and begin in message
        for begin in came
        for frame in questions
        for _, kind, message in messages(frame)
    )
    error = any(
        kind == 1
        for frame in about.evidence.by_place.get((OPENFLOW, False), ())
        for _, kind, _ in messages(frame)
    )
    if "error" in values:
        yield "an error", True, error


@of("{switch} dropped it: a flow of its tables says so",
    "{switch} dropped it: no flow of its tables takes it",
    "{switch} dropped it: it was to leave by the port by which it had come",
    "{switch} dropped it: it was to leave by a port that {switch} has not",
    "{switch} dropped it: it was to leave by a port that is down",
    "{switch} dropped it: its TTL had come to its end",
    "{switch} dropped it: no bucket of its group was alive",
    "{switch} dropped it: it had no flow for it, and no controller",
    "meter {meter} of {switch} dropped it")
def dropped_in_switch(about: About, values: dict[str, Any]) -> Pairs:
    """Nothing of it left the switch. By which flow is not judged."""
    yield from in_switch(about, plain(values["switch"]))


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


@of("{node} has the MAC {mac}, and no copy reached it: {switch} sent this to {taker}, whose card "
    "took it for its own")
def taken_by_another(about: About, values: dict[str, Any]) -> Pairs:
    node, taker, legs = plain(values["node"]), plain(values["taker"]), about.told["legs"]
    yield "owner", {node}, about.evidence.owners_of_mac(plain(values["mac"]))
    yield "no copy", False, node in {leg["head"] for leg in legs if leg["received"]}
    yield "it came there", True, any(
        leg["received"] and (leg["tail"], leg["head"]) == (plain(values["switch"]), taker)
        for leg in legs
    )


# ------------------------------------------------------------------------------------- notes


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
