# SPDX-License-Identifier: Apache-2.0
"""Why a switch did what it did with a frame that it asked nobody about: the likely flow.

What lives here: what can be told of a flood, or of a frame that went nowhere, by the flows that the
channel has shown. What must not: questions and their answers (`controller_answers.py`).

1. A frame that went nowhere while the connection was closed: there was nobody to ask.
2. A flood that was not asked about: the flows that the channel has shown so far are looked
   through as the switch does (OpenFlow 1.3.5, 5.1). Where the capture began later than they, one
   that does what was seen is likely, since one that is not known may stand before it; and where the
   channel has shown none at all, one from before the capture is. If some were shown and none of
   them does it, or if the channel is of a version that is not read, the flow is not known.
"""

from __future__ import annotations

from hoplab.follow.wiring import Wiring
from hoplab.sentences import Sentence, say, term
from hoplab.story.arrivals import Arrival
from hoplab.story.channel_state import ChannelState
from hoplab.story.flow_tables import Flow, FlowTables
from hoplab.story.openflow_words import flow_words, ports_words
from hoplab.story.trip_records import Decision

_FLOOD = ("FLOOD",)


def flow_decision(
    wiring: Wiring, arrival: Arrival, tables: FlowTables, state: ChannelState
) -> Decision | None:
    """Why a frame was flooded, or went nowhere, that nobody was asked about."""
    fan = arrival.fan
    if fan is None or fan.out == 1:
        return None  # as a rule
    node, leg, trip = arrival.node, arrival.leg, arrival.trip
    unjudged = trip.fate in ("dropped", "cut") or trip.doubt  # it is not seen that a flow decided
    if not fan.out and not unjudged and state.alone(node):
        text = say(
            "{switch} had no controller at that moment, and no flow that sends this on: it "
            "dropped it",
            switch=node,
        )
        end = say("{switch} dropped it: it had no flow for it, and no controller", switch=node)
        return Decision(node, leg, "nobody", text, term("drop"), end=end)
    if not fan.flooded:
        return None
    unread = state.unread_version(node)
    if unread:
        text = say(
            "why {switch} floods this is not known: it speaks OpenFlow {version} with its "
            "controller, which is not read here",
            switch=node, version=unread,
        )  # fmt: skip
        return Decision(node, leg, "unknown", text, term("flood"), ports=_FLOOD)
    return _flooded(wiring, arrival, tables, node in state.missing)


def _flooded(wiring: Wiring, arrival: Arrival, tables: FlowTables, missing: bool) -> Decision:
    """By which flow a switch flooded a frame that it did not ask about. missing: it has had no flow
    for some frame."""
    node, leg = arrival.node, arrival.leg
    flow = tables.decide(arrival.in_port, arrival.data, arrival.t_ns)
    if flow is not None and (flow.floods or _does(wiring, arrival, flow)):
        text = _by_flow(wiring, node, flow, tables.whole)
        return Decision(node, leg, "flow", text, term("flood"), flow=flow_words(flow), ports=_FLOOD)
    # A flow that floods whatever comes would have taken the frames that it had no flow for.
    if tables.changed or tables.whole or missing:
        text = say(
            "{switch} did not ask the controller, and the capture does not show by which flow it "
            "floods this",
            switch=node,
        )
        return Decision(node, leg, "unknown", text, term("flood"), ports=_FLOOD)
    text = say(
        "{switch} did not ask the controller: a flow floods this, most likely one from before the "
        "capture",
        switch=node,
    )
    return Decision(node, leg, "flow", text, term("flood"), ports=_FLOOD)


def _by_flow(wiring: Wiring, node: str, flow: Flow, certain: bool) -> Sentence:
    """certain: no flow that is not known may stand before it."""
    words = flow_words(flow)
    if flow.floods and certain:
        return say(
            "{switch} did not ask the controller: a flow it has floods this ({flow})",
            switch=node, flow=words,
        )  # fmt: skip
    if flow.floods:
        return say(
            "{switch} did not ask the controller: most likely a flow that came during the capture "
            "floods this ({flow})",
            switch=node, flow=words,
        )  # fmt: skip
    ports = ports_words(wiring, node, flow.ports)
    if certain:
        return say(
            "{switch} did not ask the controller: a flow it has sends this to {ports} ({flow})",
            switch=node, ports=ports, flow=words,
        )  # fmt: skip
    return say(
        "{switch} did not ask the controller: most likely a flow that came during the capture "
        "sends this to {ports} ({flow})",
        switch=node, ports=ports, flow=words,
    )  # fmt: skip


def _does(wiring: Wiring, arrival: Arrival, flow: Flow) -> bool:
    """The frame left by the very ports that the flow names."""
    left = {
        port for leg in arrival.trip.legs
        if leg.parent == arrival.leg and (port := wiring.port(leg.tail_interface)) is not None
    }  # fmt: skip
    numbers = {str(wiring.interfaces[port].extra.get("port")) for port in left}
    return numbers == set(flow.ports)
