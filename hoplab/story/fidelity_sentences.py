# SPDX-License-Identifier: Apache-2.0
"""Whether the times of a run are to be trusted, in words.

What lives here: sentences on `Fidelity`. What must not: how it is found (`fidelity.py`).
"""

from __future__ import annotations

from collections.abc import Iterator

from hoplab.sentences import Sentence, listed, number_of, say, term, together
from hoplab.story.fidelity_records import (
    BEFORE_CABLE,
    BEHIND_PORT,
    BUSY,
    PRESSED,
    STANDING,
    STOLEN,
    STOPPED,
    Cause,
    Fidelity,
    FullQueue,
    Spell,
)

QUEUES_MOST = 2  # of which each has a sentence of its own
WORTH_TELLING = 0.05  # of the time
_MS, _S = 1e6, 1e9


def distortion(fidelity: Fidelity, started_ns: int) -> str:
    """What the machine did to the run, from which packet on, by how much and why; "" where it did
    nothing, or that is not known. started_ns: when the first frame was seen."""
    if not fidelity.distorted:
        return ""
    parts: list[str] = []
    if fidelity.spells:
        parts.append(_delayed(fidelity, started_ns))
    parts += [_full(queue, started_ns) for queue in fidelity.queues[:QUEUES_MOST]]
    rest = fidelity.queues[QUEUES_MOST:]
    if rest:
        parts.append(
            number_of(
                "{n:,} more queue was full and dropped {frames:,}.",
                "{n:,} more queues were full and dropped {frames:,}.",
                len(rest),
                frames=sum(queue.frames for queue in rest),
            )
        )
    return together(*parts, term("So not all times and losses here are the network's own."))


def verdict(fidelity: Fidelity, started_ns: int) -> str:
    """The verdict in words, whatever it is."""
    if fidelity.distorted:
        return distortion(fidelity, started_ns)
    if fidelity.verdict == "unknown":
        return term(
            "Whether the machine distorted times is not known: the capture does not say how busy "
            "it was, or no frame can be judged."
        )
    if fidelity.verdict == "unclear":
        return number_of(
            "{n:,} frame was kept {ms:,.1f} ms longer than it should on its way, and how busy the "
            "machine was does not explain it.",
            "{n:,} frames were kept longer than they should on their way, by up to {ms:,.1f} ms, "
            "and how busy the machine was does not explain it.",
            fidelity.unexplained,
            ms=fidelity.most_unexplained_ns / _MS,
        )
    parts = [term("Times are to be trusted: the machine kept no frame waiting.")]
    crush = next((crush for crush in fidelity.crushes if crush.packet), None)
    if crush is not None:
        parts.append(
            say(
                "It had too much to do, though: from #{packet} (t = {s:.2f} s) on tasks waited for "
                "a processor {share:.0%} of {ms:,.0f} ms.",
                packet=crush.packet,
                s=max(0, crush.began_ns - started_ns) / _S,
                share=crush.share,
                ms=(crush.ended_ns - crush.began_ns) / _MS,
            )
        )
    elif (fidelity.pressed or 0) >= WORTH_TELLING:
        parts.append(
            say(
                "It was busy, though: some task waited for a processor {share:.0%} of the time.",
                share=fidelity.pressed,
            )
        )
    return together(*parts)


def places(fidelity: Fidelity) -> Iterator[Sentence]:
    """What each node took for a packet; cables only where that can be seen in the figures."""
    for spread in fidelity.spreads:
        values = {
            "place": spread.place,
            "median": spread.median_ns / _MS,
            "p99": spread.p99_ns / _MS,
            "most": spread.most_ns / _MS,
        }
        if spread.what == "cable":
            if spread.most_ns >= _MS:
                yield number_of(
                    "The cable at {place}: {n:,} frame took {most:.2f} ms.",
                    "The cable at {place}: {n:,} frames took {median:.2f} ms (median), 99 % at "
                    "most {p99:.2f} ms, the longest {most:.2f} ms.",
                    spread.passages,
                    **values,
                )
        elif spread.what == "controller":
            yield number_of(
                "The controller, asked by {place}: {n:,} answer took {most:.2f} ms.",
                "The controller, asked by {place}: {n:,} answers took {median:.2f} ms (median), "
                "99 % at most {p99:.2f} ms, the longest {most:.2f} ms.",
                spread.passages,
                **values,
            )
        else:
            yield number_of(
                "{place}: {n:,} frame took {most:.2f} ms on its way through.",
                "{place}: {n:,} frames took {median:.2f} ms (median) on their way through, 99 % "
                "at most {p99:.2f} ms, the longest {most:.2f} ms.",
                spread.passages,
                **values,
            )


def _delayed(fidelity: Fidelity, started_ns: int) -> Sentence:
    first: Spell = fidelity.spells[0]
    most_ms = max(spell.most_ns for spell in fidelity.spells) / _MS
    values = {
        "packet": first.packet,
        "s": (first.began_ns - started_ns) / _S,
        "ms": most_ms,
        "causes": listed(_cause(cause) for cause in fidelity.causes),
    }
    if most_ms < 1:
        return say(
            "From #{packet} (t = {s:.2f} s) on the machine delayed frames, by up to {ms:.1f} ms: "
            "{causes}.",
            **values,
        )
    return say(
        "From #{packet} (t = {s:.2f} s) on the machine delayed frames, by up to {ms:,.0f} ms: "
        "{causes}.",
        **values,
    )


def _cause(cause: Cause) -> Sentence:
    values = {"ms": cause.ns / _MS, "share": cause.share, "process": cause.who}
    if cause.code == STOPPED:
        return say("{process} was stopped by a signal for {ms:,.0f} ms", **values)
    if cause.code == BUSY:
        return say("{process} had more to do than a processor can", **values)
    if cause.code == STOLEN:
        return say("other virtual machines had {share:.0%} of the processors' time", **values)
    if cause.code == PRESSED:
        return say("tasks waited for a processor {share:.0%} of the time", **values)
    if cause.ns < _MS:
        return say("{process} waited {ms:.1f} ms for a processor", **values)
    return say("{process} waited {ms:,.0f} ms for a processor", **values)


def _full(queue: FullQueue, started_ns: int) -> str:
    values = {
        "packet": queue.packet,
        "s": (queue.t_ns - started_ns) / _S,
        "node": queue.node,
        "interface": queue.interface,
        "ms": queue.most_ns / _MS,
    }
    if queue.queue == STANDING:
        held = say("It held others back for up to {ms:,.0f} ms.", **values)
        return together(
            number_of(
                "A queue in front of the cable at {interface} that was there before, and that the "
                "lab did not make, was full and dropped {n:,} frame.",
                "A queue in front of the cable at {interface} that was there before, and that the "
                "lab did not make, was full and dropped {n:,} frames.",
                queue.frames,
                **values,
            ),
            held if queue.most_ns else "",
        )
    if queue.queue == BEFORE_CABLE:
        return _full_before_cable(queue, values)
    if queue.queue == BEHIND_PORT and queue.packet:
        return number_of(
            "From #{packet} (t = {s:.2f} s) on {node} did not come to its frames at {interface} in "
            "time: its queue there was full, {n:,} frame was dropped.",
            "From #{packet} (t = {s:.2f} s) on {node} did not come to its frames at {interface} in "
            "time: its queue there was full, {n:,} frames were dropped.",
            queue.frames,
            **values,
        )
    if queue.queue == BEHIND_PORT:
        return number_of(
            "{node} did not come to its frames at {interface} in time: its queue there was full, "
            "{n:,} frame was dropped.",
            "{node} did not come to its frames at {interface} in time: its queue there was full, "
            "{n:,} frames were dropped.",
            queue.frames,
            **values,
        )
    return number_of(
        "From #{packet} (t = {s:.2f} s) on frames are missing on cables: the kernel dropped {n:,}, "
        "since the backlog of a processor was full.",
        "From #{packet} (t = {s:.2f} s) on frames are missing on cables: the kernel dropped {n:,}, "
        "since the backlog of a processor was full.",
        queue.frames,
        **values,
    )


def _full_before_cable(queue: FullQueue, values: dict[str, object]) -> str:
    if not queue.packet:
        return number_of(
            "A queue that was made in front of the cable at {interface} meanwhile was full and "
            "dropped {n:,} frame; no frame shows when.",
            "A queue that was made in front of the cable at {interface} meanwhile was full and "
            "dropped {n:,} frames; no frame shows when.",
            queue.frames,
            **values,
        )
    if queue.most_ns:
        return number_of(
            "From #{packet} (t = {s:.2f} s) on a queue that was made in front of the cable at "
            "{interface} meanwhile was full: it dropped {n:,} frame and held others back for up to "
            "{ms:,.0f} ms.",
            "From #{packet} (t = {s:.2f} s) on a queue that was made in front of the cable at "
            "{interface} meanwhile was full: it dropped {n:,} frames and held others back for up "
            "to {ms:,.0f} ms.",
            queue.frames,
            **values,
        )
    return number_of(
        "From #{packet} (t = {s:.2f} s) on a queue that was made in front of the cable at "
        "{interface} meanwhile was full: it dropped {n:,} frame.",
        "From #{packet} (t = {s:.2f} s) on a queue that was made in front of the cable at "
        "{interface} meanwhile was full: it dropped {n:,} frames.",
        queue.frames,
        **values,
    )
