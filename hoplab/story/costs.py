# SPDX-License-Identifier: Apache-2.0
"""What one run cost beside another, in sentences that a learner understands.

What lives here: which figures of two summaries belong together, and what may be said of them. What
must not: layout, and whether the two are comparable at all (`same_start.py`).

Rules:
1. Compared are the run with the least and the one with the most throughput in all, else those with
   the most and the least that nobody needed.
2. Figures are told as they are. A cause is told as likely, and only where the frames bear it out:
   the slower run brought more that its receivers had no use for, and their cables were full.
"""

from __future__ import annotations

from collections.abc import Sequence

from hoplab.follow.wiring import natural
from hoplab.sentences import say
from hoplab.story.summary_records import LinkCount, Summary, Transfer, percent
from hoplab.story.transfers import covered

MATTERS = 0.8  # the part of the throughput below which the slower run is called slower
FULL = 0.7  # of its rate: from here on a cable is called full, for nothing fills it every moment
MORE_UNWANTED = 0.2  # so much more of what arrived must be unwanted to be the likely cause
NEAR = 0.1  # amounts that differ by a tenth are the same

Called = tuple[str, Summary]  # what a run is called, and its numbers


def sentences(sides: Sequence[Called]) -> list[str]:
    """What is to be said of two runs or more, the most important first."""
    slow, fast = _ends(sides)
    (slow_name, slow_run), (fast_name, fast_run) = slow, fast
    remarks: list[str] = []
    slower = _slower(slow_run, fast_run)
    both_measured = bool(measured(slow_run) and measured(fast_run))
    if both_measured:
        remarks.append(_throughput(slow, fast))
    if slow_run.arrived_bytes and fast_run.arrived_bytes:
        remarks.append(
            say(
                "With {slow} {slow_share} of the bytes that arrived were of no use to the one that "
                "got them, with {fast} {fast_share}.",
                slow=slow_name,
                slow_share=_unwanted(slow_run),
                fast=fast_name,
                fast_share=_unwanted(fast_run),
            )
        )
    cable = _likely_cause(slow_run, fast_run) if slower else None
    if cable is not None:
        remarks.append(
            say(
                "The cable between {node} and {peer} was full with {run}, and {share} of what came "
                "over it was for others: that is likely why it was slower.",
                node=cable.a,
                peer=cable.b,
                run=slow_name,
                share=cable.unwanted_percent,
            )
        )
    more_unwanted = _unwanted_share(slow_run) - _unwanted_share(fast_run) >= MORE_UNWANTED
    if both_measured and not slower and more_unwanted:
        remarks.append(_no_slower(slow_name, slow_run))
    return remarks


def measured(summary: Summary) -> list[Transfer]:
    """The transfers that were long enough to have a throughput."""
    return [transfer for transfer in summary.transfers if transfer.bits_per_s is not None]


def paired(summaries: Sequence[Summary]) -> list[tuple[tuple[str, str], list[float | None]]]:
    """((sender, receiver), the throughput in each run) for all that have one in any run."""
    runs = [
        {(transfer.sender, transfer.receiver): transfer for transfer in measured(summary)}
        for summary in summaries
    ]
    pairs = sorted({pair for run in runs for pair in run}, key=_by_name)
    return [
        (pair, [run[pair].bits_per_s if pair in run else None for run in runs]) for pair in pairs
    ]


def _by_name(pair: tuple[str, str]) -> tuple[object, object]:
    return natural(pair[0]), natural(pair[1])


def rate(bits_per_s: float) -> str:
    """'9.5 Mbit/s'."""
    figure, unit = _measure(bits_per_s)
    return f"{figure} {unit}"


def _measure(bits_per_s: float) -> tuple[str, str]:
    """Figure and unit of a rate."""
    for unit, size in (("Gbit/s", 1e9), ("Mbit/s", 1e6), ("kbit/s", 1e3)):
        if bits_per_s >= size:
            return f"{bits_per_s / size:.{0 if bits_per_s >= 100 * size else 1}f}", unit
    return f"{bits_per_s:.0f}", "bit/s"


def _ends(sides: Sequence[Called]) -> tuple[Called, Called]:
    """The run that was dearest, and the cheapest."""
    if all(measured(summary) for _, summary in sides):
        order = sorted(sides, key=lambda side: _overall(side[1]))
    else:
        order = sorted(sides, key=lambda side: -_unwanted_share(side[1]))
    return order[0], order[-1]


def elapsed_ns(summary: Summary) -> int:
    """How long at least one transfer lasted."""
    return covered((transfer.first_ns, transfer.last_ns) for transfer in measured(summary))


def _moved(summary: Summary) -> int:
    return sum(transfer.bytes for transfer in measured(summary))


def _overall(summary: Summary) -> float:
    """Bytes a second, of all transfers together."""
    return _moved(summary) / (elapsed_ns(summary) / 1e9) if measured(summary) else 0.0


def _slower(slow: Summary, fast: Summary) -> bool:
    return bool(measured(slow)) and _overall(slow) < MATTERS * _overall(fast)


def _throughput(slow: Called, fast: Called) -> str:
    (slow_name, slow_run), (fast_name, fast_run) = slow, fast
    if not _slower(slow_run, fast_run):
        return say(
            "About as fast: {slow_rate} from host to host with {slow}, {fast_rate} with {fast}.",
            slow_rate=_range(slow_run),
            slow=slow_name,
            fast_rate=_range(fast_run),
            fast=fast_name,
        )
    moved = _moved(slow_run), _moved(fast_run)
    if abs(moved[0] - moved[1]) <= NEAR * max(moved):
        return say(
            "Slower with {slow}: {size:,} bytes took {slow_s:.2f} s, with {fast} {fast_s:.2f} s.",
            slow=slow_name,
            size=moved[0],
            slow_s=elapsed_ns(slow_run) / 1e9,
            fast=fast_name,
            fast_s=elapsed_ns(fast_run) / 1e9,
        )
    return say(
        "Slower with {slow}: {slow_rate} in all, with {fast} {fast_rate}.",
        slow=slow_name,
        slow_rate=rate(_overall(slow_run) * 8),
        fast=fast_name,
        fast_rate=rate(_overall(fast_run) * 8),
    )


def _range(summary: Summary) -> str:
    """'4.7-5.1 Mbit/s', or one rate where all read alike."""
    rates = [transfer.bits_per_s or 0.0 for transfer in measured(summary)]
    (low, low_unit), (high, unit) = _measure(min(rates)), _measure(max(rates))
    if low_unit != unit:
        return f"{low} {low_unit} - {high} {unit}"
    return f"{low} {unit}" if low == high else f"{low}-{high} {unit}"


def _unwanted(summary: Summary) -> str:
    return percent(summary.ignored_bytes, summary.arrived_bytes)


def _unwanted_share(summary: Summary) -> float:
    return summary.ignored_bytes / summary.arrived_bytes if summary.arrived_bytes else 0.0


def _likely_cause(slow: Summary, fast: Summary) -> LinkCount | None:
    """The cable to a receiver that was full, and more of it for others than in the faster run."""
    before = {(link.a_interface, link.b_interface): link for link in fast.links}
    receivers = {transfer.receiver for transfer in measured(slow)}
    full = [
        link
        for link in slow.links
        if receivers & {link.a, link.b} and fullness(link, slow) >= FULL
        if _share(link) - _share(before.get((link.a_interface, link.b_interface))) >= MORE_UNWANTED
    ]
    return max(full, key=_share, default=None)


def _share(link: LinkCount | None) -> float:
    return link.ignored_bytes / link.arrived_bytes if link and link.arrived_bytes else 0.0


def fullness(link: LinkCount, summary: Summary) -> float:
    """The part of its rate that a cable carried towards its host while data was transferred, 0 to
    1; 0 where nothing limits it."""
    seconds = elapsed_ns(summary) / 1e9
    return min(1.0, link.arrived_bytes * 8 / (link.rate * seconds)) if link.rate and seconds else 0


def _no_slower(run: str, summary: Summary) -> str:
    if all(link.rate for link in summary.links):
        return say("That made nothing slower with {run}: its cables had room for it.", run=run)
    return say(
        "That made nothing slower with {run}: the cables carry what the machine can. Where they "
        "have a rate, as in rate=10M, they can be full.",
        run=run,
    )
