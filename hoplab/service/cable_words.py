# SPDX-License-Identifier: Apache-2.0
"""What a cable is now, in words. A cable: as `cables.py` describes it."""

from __future__ import annotations

from typing import Any

from hoplab import quantities
from hoplab.sentences import listed, say


def sentence(cable: dict[str, Any]) -> str:
    """What a cable is now: cut, or up, and what it does to frames."""
    first, second = cable["ends"]
    limits = _limits(first)
    values = {"port": first["interface"], "port2": second["interface"]}
    if cable["state"] == "down":
        return say("the cable {port} - {port2} is cut", **values)
    if not limits:
        return say("the cable {port} - {port2} is up", **values)
    return say(
        "the cable {port} - {port2} is up; each direction: {limits}",
        limits=listed(limits), **values,
    )  # fmt: skip


def _limits(end: dict[str, Any]) -> list[str]:
    parts: list[str] = []
    if end.get("rate"):
        parts.append(say("{rate}bit/s", rate=quantities.rate_text(end["rate"])))
    if end.get("delay_ms"):
        parts.append(say("{time} later", time=quantities.time_text(end["delay_ms"])))
    if end.get("jitter_ms"):
        parts.append(say("{time} more or less", time=quantities.time_text(end["jitter_ms"])))
    if end.get("loss"):
        parts.append(say("{share} lost", share=quantities.percent_text(end["loss"])))
    if end.get("queue"):
        parts.append(say("a queue of {n}", n=end["queue"]))
    return parts
