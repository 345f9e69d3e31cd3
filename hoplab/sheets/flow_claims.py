# SPDX-License-Identifier: Apache-2.0
"""Claims about what a switch would do with a packet, as Open vSwitch says it itself.

What lives here: packets in words, as fields of a flow, and what a trace's answer means. What must
not: asking labs.

    from h1 to h2: out of s1-eth2            from h1 to h3 tcp 80: dropped
    from h4 to h1: to the controller         in_port=1,arp: out of every other port
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hoplab.decode.trace_text import read_trace
from hoplab.sentences import Sentence, listed, say
from hoplab.sheets.claims import ClaimError

_PACKET = re.compile(
    r"from (?P<sender>\S+) to (?P<target>\S+)(?: (?P<kind>icmp|arp|tcp|udp)(?: (?P<port>\d+))?)?"
)
_OUT = re.compile(r"out of (?P<ports>.+)")
_EVERY = "every other port"
DROPPED, CONTROLLER = "dropped", "to the controller"
# What a select group tells the datapath to do first (OpenFlow 1.3 section 5.6.1).
_HASH = re.compile(r"(?<!\w)hash\(")


@dataclass(frozen=True)
class PacketWords:
    """A packet of one node for another; fields: or what Open vSwitch calls it."""

    sender: str = ""
    target: str = ""
    kind: str = "icmp"
    port: int = 0
    fields: str = ""


@dataclass(frozen=True)
class FlowClaim:
    """Where it goes: out of these ports alone, of every other port, to the controller, nowhere."""

    ports: tuple[str, ...] = ()
    every: bool = False
    controller: bool = False


def read_packet(text: str) -> PacketWords:
    """The packet in these words. Raises ClaimError."""
    words = " ".join(text.split())
    match = _PACKET.fullmatch(words)
    if match is not None:
        kind, port = match["kind"] or "icmp", int(match["port"] or 0)
        if port and kind not in ("tcp", "udp"):
            raise ClaimError(say("{words}: only TCP and UDP have ports", words=words))
        return PacketWords(match["sender"], match["target"], kind, port)
    if re.fullmatch(r"in_port=[\w-]+(,[\w./:=-]+)*", words):
        return PacketWords(fields=words)
    raise ClaimError(
        say("{words} is no packet; such as: from h1 to h2 tcp 80, in_port=1,dl_dst=…",
            words=repr(words))
    )  # fmt: skip


def read_flow_claim(text: str) -> FlowClaim:
    """The claim in these words. Raises ClaimError."""
    words = " ".join(text.split())
    if words == DROPPED:
        return FlowClaim()
    if words == CONTROLLER:
        return FlowClaim(controller=True)
    match = _OUT.fullmatch(words)
    if match is None:
        raise ClaimError(
            say("{words} is no claim of a flow; such as: out of s1-eth2, dropped, "
                "to the controller", words=repr(words))
        )  # fmt: skip
    if match["ports"] == _EVERY:
        return FlowClaim(every=True)
    return FlowClaim(tuple(filter(None, re.split(r"\s*(?:,|\band\b)\s*", match["ports"]))))


class Cables:
    """Who is joined to whom, from a lab.json."""

    def __init__(self, state: Mapping[str, Any]) -> None:
        self._interfaces: list[dict[str, Any]] = list(state["interfaces"])
        self._switches = {node["name"] for node in state["nodes"] if node["kind"] == "switch"}
        self._of = {each["name"]: each for each in self._interfaces}

    def ports(self, node: str) -> list[str]:
        """The node's interfaces, in the order of their ports."""
        return [each["name"] for each in self._interfaces if each["node"] == node]

    def _peer(self, name: str) -> dict[str, Any] | None:
        peer = self._of[name]["peer"]
        return self._of.get(peer) if peer else None

    def _way(self, sender: str, target: str) -> list[dict[str, Any]]:
        """The interfaces by which a packet comes in, node by node, on a shortest way; none where
        no way leads there."""
        came_by: dict[str, dict[str, Any] | None] = {sender: None}
        queue = [sender]
        while queue and target not in came_by:
            here = queue.pop(0)
            for port in self.ports(here):
                end = self._peer(port)
                if end is not None and end["node"] not in came_by:
                    came_by[end["node"]] = end
                    queue.append(end["node"])
        way: list[dict[str, Any]] = []
        end = came_by.get(target)
        while end is not None:
            way.insert(0, end)
            end = came_by[self._of[end["peer"]]["node"]]
        return way

    def fields(self, packet: PacketWords, switch: str) -> str:
        """The packet as Open vSwitch writes a flow, as it comes to this switch: behind a router it
        bears other MAC addresses. Raises ClaimError for a switch that is not on its way."""
        if packet.fields:
            return packet.fields
        way = self._way(packet.sender, packet.target)
        at = next((place for place, end in enumerate(way) if end["node"] == switch), None)
        if at is None:
            raise ClaimError(
                say("no way leads from {node} to {peer} past {switch}", node=packet.sender,
                    peer=packet.target, switch=switch)
            )  # fmt: skip
        behind = [place for place, end in enumerate(way[:at]) if not self._is_switch(end)]
        first = self._of[way[0]["peer"]]
        # Who made the frame that comes, and for whose card it is.
        maker = self._of[way[behind[-1] + 1]["peer"]] if behind else first
        taker = next(end for end in way[at:] if not self._is_switch(end))
        words = [f"in_port={way[at]['name']}", f"dl_src={maker['mac']}"]
        if packet.kind == "arp":
            words += ["dl_dst=ff:ff:ff:ff:ff:ff", "arp", "arp_op=1", f"arp_spa={_address(maker)}",
                      f"arp_tpa={_address(taker)}"]  # fmt: skip
            return ",".join(words)
        words += [f"dl_dst={taker['mac']}", packet.kind, f"nw_src={_address(first)}",
                  f"nw_dst={_address(way[-1])}", f"nw_ttl={64 - len(behind)}"]  # fmt: skip
        if packet.kind == "icmp":
            words += ["icmp_type=8", "icmp_code=0"]
        elif packet.port:
            words += ["tp_src=40000", f"tp_dst={packet.port}"]
        return ",".join(words)

    def _is_switch(self, end: Mapping[str, Any]) -> bool:
        return end["node"] in self._switches


def _address(interface: Mapping[str, Any]) -> str:
    own = [each for each in interface["addresses"] if ":" not in each]
    return str(own[0]).partition("/")[0] if own else "0.0.0.0"


def miss_of_flow(
    claim: FlowClaim, trace: str, ports: Sequence[str], came_by: str
) -> Sentence | None:
    """What the switch does instead; None where the claim holds. trace: what `ofproto/trace` said
    with port names. ports: all of the switch's interfaces."""
    rounds = read_trace(trace)
    if any(_HASH.search(each.datapath) for each in rounds):
        return say(
            "a group chooses the way out by a hash, which is not known beforehand: here `frames` "
            "can tell, and `flow` cannot"
        )
    actions = rounds[-1].datapath if rounds else ""
    out = tuple(
        port for port in ports if re.search(rf"(?<![\w-]){re.escape(port)}(?![\w-])", actions)
    )
    asked = "userspace(" in actions or "controller(" in actions
    if _holds(claim, out, ports, came_by, asked=asked):
        return None
    if out:
        return say("it sends it out of {ports}", ports=listed(out))
    return say("it asks its controller") if asked else say("it drops the packet")


def _holds(
    claim: FlowClaim, out: Sequence[str], ports: Sequence[str], came_by: str, *, asked: bool
) -> bool:
    if claim.controller:
        return asked
    if claim.every:
        return set(out) == set(ports) - {came_by}
    return set(out) == set(claim.ports) and (bool(out) or not asked)
