# SPDX-License-Identifier: Apache-2.0
"""How good a capture is, in words: what it missed, and what cannot be told for certain by that.

What lives here: sentences on `Health`. What must not: the judgement of single frames
(`coverage.py`).
"""

from __future__ import annotations

from hoplab.sentences import number_of, term
from hoplab.story.summary_records import Health


def capture_faults(health: Health) -> list[str]:
    """Why the numbers of a capture may be a little low; nothing if it is whole."""
    faults: list[str] = []
    if health.dropped:
        faults.append(
            number_of(
                "{n:,} frame missed by the capture",
                "{n:,} frames missed by the capture",
                health.dropped,
            )
        )
    if health.orphans:
        faults.append(
            number_of(
                "{n:,} frame that fit no known way",
                "{n:,} frames that fit no known way",
                health.orphans,
            )
        )
    if health.foreign:
        faults.append(
            number_of(
                "{n:,} frame without an Ethernet header (raw IP, Linux cooked), not followed",
                "{n:,} frames without an Ethernet header (raw IP, Linux cooked), not followed",
                health.foreign,
            )
        )
    if health.healed:
        faults.append(
            number_of(
                "{n:,} frame seen at one end only",
                "{n:,} frames seen at one end only",
                health.healed,
            )
        )
    if health.cut:
        faults.append(term("the rest of the file cannot be read"))
    return faults


def capture_remarks(health: Health) -> list[str]:
    """What else is to be said of a capture, in whole sentences."""
    lines: list[str] = []
    if health.untimed:
        lines.append(
            number_of(
                "Of {n:,} frame the file does not say when it was seen: it has the time of the "
                "frame before it, so that how long things took cannot be told.",
                "Of {n:,} frames the file does not say when they were seen: they have the time of "
                "the frame before them, so that how long things took cannot be told.",
                health.untimed,
            )
        )
    if health.unseen:
        lines.append(
            number_of(
                "{n:,} frame not seen to arrive, where the capture missed some: what seems lost "
                "there may have passed, and is not counted as lost.",
                "{n:,} frames not seen to arrive, where the capture missed some: what seems lost "
                "there may have passed, and is not counted as lost.",
                health.unseen,
            )
        )
    if health.under_way:
        lines.append(
            number_of(
                "{n:,} packet under way when the capture began or ended: neither lost nor new by "
                "that.",
                "{n:,} packets under way when the capture began or ended: neither lost nor new by "
                "that.",
                health.under_way,
            )
        )
    if health.uncounted:
        lines.append(
            number_of(
                "{n:,} packet came into a switch and went out of no port: by a flow, or for want "
                "of room. What the kernel's datapath drops itself is not counted here.",
                "{n:,} packets came into a switch and went out of no port: by a flow, or for want "
                "of room. What the kernel's datapath drops itself is not counted here.",
                health.uncounted,
            )
        )
    if health.uncertain:
        lines.append(uncertain(health.uncertain))
    return lines


def uncertain(count: int) -> str:
    """Of how many frames the place is the likeliest of several."""
    return number_of(
        "{n:,} frame had others with the same bytes beside them: which was which is the likeliest "
        "guess.",
        "{n:,} frames had others with the same bytes beside them: which was which is the likeliest "
        "guess.",
        count,
    )
