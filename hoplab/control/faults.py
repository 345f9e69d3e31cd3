# SPDX-License-Identifier: Apache-2.0
"""Exceptions that a controller's apps raised and nobody caught, as sentences for `up`, `ls` and
`swap`. What they are made of is read in `log.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from hoplab.control.log import Raised
from hoplab.sentences import number_of, say, term

_EVENTS = {
    "EventOFPPacketIn": term("a packet-in"),
    "EventOFPSwitchFeatures": term("the coming of a switch"),
    "EventOFPStateChange": term("a change of a switch's connection"),
    "EventOFPPortStatus": term("a port's change"),
    "EventOFPFlowRemoved": term("a flow's end"),
    "EventOFPErrorMsg": term("an OpenFlow error"),
}


def sentence(raised: Raised, times: int, switches: Mapping[int, str]) -> str:
    """What was raised, where, at what, and how often. switches: datapath id -> name."""
    values = {
        "error": f"{raised.exception}: {raised.text}" if raised.text else raised.exception,
        "place": f"{Path(raised.file).name}:{raised.line}",
    }
    what: str = _EVENTS.get(raised.event) or raised.event
    if raised.event and raised.dpid is not None:
        switch = switches.get(raised.dpid) or f"{raised.dpid:x}"
        what = say("{event} of {switch}", event=what, switch=switch)
    if not raised.event:
        return number_of(
            "the controller raised {error} ({place})",
            "the controller raised {error} ({place}), {n:,} times",
            times,
            **values,
        )
    return number_of(
        "the controller raised {error} ({place}) at {event}",
        "the controller raised {error} ({place}), {n:,} times, last at {event}",
        times,
        event=what,
        **values,
    )
