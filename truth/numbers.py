# SPDX-License-Identifier: Apache-2.0
"""The numbers of a summary, counted anew from the capture.

What lives here: rules for the summary. What must not: single trips (`trips.py`).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

from truth.evidence import Evidence, Frame
from truth.oracle import Judge


def judge(judge: Judge) -> None:
    evidence, trace = judge.evidence, judge.evidence.trace
    summary, trips = trace["summary"], trace["trips"]
    storm = "left_out" in trace or any("storm" in trip for trip in trips)
    captured = evidence.captured
    if captured and not summary["capture"]["orphans"]:
        judge.claim("started_ns", "summary", trace["started_ns"], captured[0].t_ns)
    left_out = trace.get("left_out", {"trips": 0, "frames": 0, "kinds": {}})
    judge.claim("summary.trips", "summary", summary["trips"], len(trips) + left_out["trips"])
    kinds = Counter(trip["kind"] for trip in trips) + Counter(left_out["kinds"])
    judge.claim("summary.kinds", "summary", summary["kinds"], dict(kinds))
    unseen_ends = summary["capture"]["healed"]
    orphans = summary["capture"]["orphans"]
    if not orphans:
        judge.claim("summary.frames", "summary", summary["frames"],
                    len(evidence.sent) + unseen_ends)  # fmt: skip
    _links(judge, summary, storm or bool(unseen_ends) or bool(orphans))
    if storm:
        judge.unknown("summary of a storm: arrivals, ignored")
    else:
        _arrivals(judge, summary, trips)
    lost = sum(len(trip["lost"]) for trip in trips)
    if not storm:
        judge.claim("summary.lost_on_links", "summary", summary["lost_on_links"], lost)
    queues = sum(loss["frames"] for loss in summary["lost_in_queues"])
    judge.claim("summary.lost", "summary", summary["lost"], summary["lost_on_links"] + queues)
    for loss in summary["lost_in_queues"]:
        _queue(judge, loss)
    _transfers(judge, summary)


def _links(judge: Judge, summary: dict[str, Any], gaps: bool) -> None:
    """Frames and bytes by cable and direction. gaps: some were seen at their receiver alone."""
    evidence = judge.evidence
    count: Counter[str] = Counter()
    size: Counter[str] = Counter()
    for frame in evidence.sent:
        count[frame.interface] += 1
        size[frame.interface] += frame.length
    told = set()
    for link in summary["links"]:
        place = f"{link['a_interface']} - {link['b_interface']}"
        a, b = link["a_interface"], link["b_interface"]
        told |= {a, b}
        judge.claim("link: wiring", place, b, evidence.interfaces[a].peer)
        judge.claim("link: nodes", place, (link["a"], link["b"]),
                    (evidence.node_of(a), evidence.node_of(b)))  # fmt: skip
        judge.claim("link: both ways", place, link["frames"], link["forth"] + link["back"])
        if gaps:
            judge.unknown("link counts of a capture with gaps or a storm")
            continue
        judge.claim("link: forth", place, link["forth"], count[a])
        judge.claim("link: back", place, link["back"], count[b])
        judge.claim("link: forth bytes", place, link["forth_bytes"], size[a])
        judge.claim("link: back bytes", place, link["back_bytes"], size[b])
    silent = {interface for interface in count if interface not in told}
    judge.claim("links: all of them", "summary", set(), silent)
    if not gaps:
        judge.claim("summary.bytes", "summary", summary["bytes"], sum(size.values()))


def _arrivals(judge: Judge, summary: dict[str, Any], trips: list[dict[str, Any]]) -> None:
    evidence = judge.evidence
    ends = [
        leg for trip in trips for leg in trip["legs"]
        if leg["received"] is not None and not evidence.is_switch(leg["head"])
    ]  # fmt: skip
    judge.claim("summary.arrivals", "summary", summary["arrivals"], len(ends))
    came = [
        frame for frame in evidence.captured
        if not frame.out and not evidence.is_switch(evidence.node_of(frame.interface))
    ]  # fmt: skip
    if not summary["capture"]["orphans"]:
        judge.claim("summary.arrivals: frames", "summary", summary["arrivals"], len(came))
        size = sum(frame.length for frame in came)
        judge.claim("summary.arrived_bytes", "summary", summary["arrived_bytes"], size)
    ignored = [(copy["node"], trip["legs"][copy["leg"]]["length"])
               for trip in trips for copy in trip["ignored"]]  # fmt: skip
    judge.claim("summary.ignored", "summary", summary["ignored"], len(ignored))
    by_node = dict(Counter(node for node, _ in ignored))
    judge.claim("summary.ignored_by_node", "summary", summary["ignored_by_node"], by_node)
    size = sum(length for _, length in ignored)
    judge.claim("summary.ignored_bytes", "summary", summary["ignored_bytes"], size)
    if summary["arrivals"]:
        share = round(len(ignored) / summary["arrivals"], 4)
        judge.claim("summary.ignored_share", "summary", summary["ignored_share"], share)


def _queue(judge: Judge, loss: dict[str, Any]) -> None:
    """Frames that a queue did not take. No more are missing than came into that node. The kernel
    may have counted more than are missing (copies with the same bytes are not told apart, and it
    counts past the edges of the capture): the story says how many the frames do not show."""
    judge.claim("queue loss: where", loss["interface"], loss["node"],
                judge.evidence.node_of(loss["interface"]))  # fmt: skip
    if loss["vanished"] is not None:
        evidence = judge.evidence
        came = sum(
            evidence.node_of(frame.interface) == loss["node"] for frame in evidence.captured
            if not frame.out or not evidence.is_switch(loss["node"])
        )  # fmt: skip
        ports = sum(each.node == loss["node"] for each in evidence.interfaces.values())
        judge.claim("queue loss: no more than came in", loss["interface"], True,
                    loss["vanished"] + loss["open"] <= came * max(1, ports))  # fmt: skip


# -------------------------------------------------------------------------------------- transfers


def _transfers(judge: Judge, summary: dict[str, Any]) -> None:
    """What TCP carried, by the sequence numbers that tshark reads at the sender's own card."""
    flows = tcp_flows(judge.evidence)
    by_sender: dict[str, list[Flow]] = defaultdict(list)
    for flow in flows:
        by_sender[flow.node].append(flow)
    translated = any(
        leg["origin"] == "translated" for trip in judge.evidence.trace["trips"]
        for leg in trip["legs"]
    )  # fmt: skip
    # A switch translates, too: then nobody sends back between the same addresses.
    there = {flow.ends for flow in flows}
    for transfer in summary["transfers"]:
        place = f"transfer {transfer['from']} to {transfer['to']}"
        senders = [
            flow for flow in by_sender[transfer["from"]]
            if transfer["to"] in judge.evidence.owners_of_ip(flow.ends[2])
        ]  # fmt: skip
        alone = any((*flow.ends[2:], *flow.ends[:2]) not in there for flow in senders)
        if not senders or translated or alone or not all(flow.whole for flow in senders):
            judge.unknown("transfer of a connection from before, or through a translation")
            continue
        judge.claim("transfer.segments", place, transfer["segments"],
                    sum(flow.segments for flow in senders))  # fmt: skip
        judge.claim("transfer.retransmissions", place, transfer["retransmissions"],
                    sum(flow.again for flow in senders))  # fmt: skip
        judge.claim("transfer.bytes", place, transfer["bytes"],
                    sum(flow.acknowledged for flow in senders))  # fmt: skip


class Flow:
    """One direction of a TCP connection at its sender's card."""

    def __init__(self, node: str, ends: tuple[str, str, str, str]) -> None:
        self.node, self.ends = node, ends
        self.base: int | None = None
        self.whole = False
        self.highest = 0
        self.segments = self.again = self.acknowledged = 0
        self.fin_at = 0

    @property
    def arrived(self) -> int:
        """Bytes that the other side acknowledged."""
        return self.acknowledged

    def send(self, frame: Frame) -> None:
        seq = frame.number_in("tcp.seq_raw")
        if frame.flag("syn"):
            self.base, self.whole = seq, True
        if self.base is None:
            self.base = seq - 1
        length = frame.number_in("tcp.len")
        at = (seq - self.base) % 2**32
        if length > 0 and at < 2**31:
            self.segments += 1
            self.again += at < self.highest
        if at < 2**31:
            end = at + length + frame.flag("syn") + frame.flag("fin")
            self.highest = max(self.highest, end)
            if frame.flag("fin"):
                self.fin_at = end

    def hear(self, frame: Frame) -> None:
        if self.base is None or not frame.flag("ack") or frame.flag("reset"):
            return
        upto = (frame.number_in("tcp.ack_raw") - self.base) % 2**32
        if upto < 2**31:
            upto -= bool(self.fin_at and upto >= self.fin_at)
            self.acknowledged = max(self.acknowledged, upto - 1)


def tcp_flows(evidence: Evidence) -> list[Flow]:
    """Of every connection both directions, at the cards of the hosts that have the addresses."""
    open_: dict[tuple[str, str, str, str], Flow] = {}
    flows = []
    for frame in evidence.captured:
        node = evidence.node_of(frame.interface)
        if not frame.tcp or evidence.is_switch(node):
            continue
        if frame.out and node in evidence.owners_of_ip(frame.src):
            opening = frame.flag("syn")
            flow = open_.get(frame.ends)
            if flow is None or (opening and flow.base != frame.number_in("tcp.seq_raw")):
                flow = open_[frame.ends] = Flow(node, frame.ends)
                flows.append(flow)
            flow.send(frame)
            back = (frame.ends[2], frame.ends[3], frame.ends[0], frame.ends[1])
            if back in open_:
                open_[back].hear(frame)
    return flows
