# SPDX-License-Identifier: Apache-2.0
"""What nodes dropped for want of room, in words: by the kernel's count, and by the frames.

What lives here: sentences on `QueueLoss`. What must not: which frames are missing
(`full_queues.py`).
"""

from __future__ import annotations

from hoplab.sentences import listed, number_of, say, term, together
from hoplab.story.summary_records import QueueLoss


def queue_loss(loss: QueueLoss) -> str:
    """What a node dropped at one port for want of room, beside what the frames show."""
    names = {"node": loss.node, "interface": loss.interface}
    if loss.meant:
        return _lossy(loss)
    if loss.cable and loss.own:
        return number_of(
            "{node} sent faster than its cable takes: its own queue in front of {interface} was "
            "full and dropped {n:,} frame, by the kernel's count. No frame that was captured shows "
            "it.",
            "{node} sent faster than its cable takes: its own queue in front of {interface} was "
            "full and dropped {n:,} frames, by the kernel's count. No frame that was captured "
            "shows them.",
            loss.frames,
            **names,
        )
    if loss.cable:
        dropped = number_of(
            "{node} dropped {n:,} frame in front of the cable at {interface}, by the kernel's "
            "count: the queue there was full, more was to be sent than the cable takes.",
            "{node} dropped {n:,} frames in front of the cable at {interface}, by the kernel's "
            "count: the queue there was full, more was to be sent than the cable takes.",
            loss.frames,
            **names,
        )
    else:
        dropped = number_of(
            "{switch} dropped {n:,} frame at {interface}, by the kernel's count: its queue there "
            "was full, it did not come to them in time.",
            "{switch} dropped {n:,} frames at {interface}, by the kernel's count: its queue there "
            "was full, it did not come to them in time.",
            loss.frames,
            switch=loss.node,
            interface=loss.interface,
        )
    return together(dropped, _missing(loss) if loss.cable or loss.beside else _vanished(loss))


def _lossy(loss: QueueLoss) -> str:
    """What was lost because somebody wants the cable to lose some, and what besides."""
    lost = number_of(
        "The cable at {interface} lost {n:,} frame that {node} sent, as it was asked to, by the "
        "kernel's count.",
        "The cable at {interface} lost {n:,} frames that {node} sent, as it was asked to, by the "
        "kernel's count.",
        loss.meant,
        node=loss.node, interface=loss.interface,
    )  # fmt: skip
    full = number_of(
        "For {n:,} more there was no room in the queue in front of it.",
        "For {n:,} more there was no room in the queue in front of it.",
        loss.frames - loss.meant,
    )
    shown = term("No frame that was captured shows them.") if loss.own else _missing(loss)
    return together(lost, "" if loss.lossy else full, shown)


def _missing(loss: QueueLoss) -> str:
    """What the frames show of those that were dropped where not all of them vanished, or where they
    may have been dropped in another queue."""
    if loss.vanished is None:
        return ""
    if loss.certain and loss.beside:
        return say(
            "Together with {others} as many frames are missing as were counted.",
            others=listed(loss.beside),
        )
    if loss.certain:
        return term("As many came in and are missing there.")
    if loss.beside:
        return number_of(
            "{n:,} that came in may have been dropped here or at {others}: the frames do not show "
            "which.",
            "{n:,} that came in may have been dropped here or at {others}: the frames do not show "
            "which.",
            loss.vanished,
            others=listed(loss.beside),
        )
    if loss.vanished > loss.frames and loss.in_one_go:
        return say(
            "{missing:,} are missing there, {rest:,} more than were counted: with a frame that "
            "found no room Open vSwitch may throw away those that it was to send in the same go.",
            missing=loss.vanished, rest=loss.vanished - loss.frames,
        )  # fmt: skip
    if loss.vanished > loss.frames:
        return say(
            "{missing:,} are missing there: {rest:,} of them for another reason.",
            missing=loss.vanished, rest=loss.vanished - loss.frames,
        )  # fmt: skip
    if loss.open:
        return say(
            "Of these {missing:,} are seen to be missing there; {rest:,} more came in just before "
            "the capture ended.",
            missing=loss.vanished, rest=loss.open,
        )  # fmt: skip
    if loss.in_one_go and loss.frames <= 2 * loss.vanished:
        return say(
            "Of these {missing:,} are seen to be missing there. The other {rest:,} may be the same "
            "frames, counted again: where a queue takes some frames of a batch and refuses the "
            "next, Open vSwitch tries that one once more.",
            missing=loss.vanished, rest=loss.frames - loss.vanished,
        )  # fmt: skip
    return say(
        "Of these {missing:,} are seen to be missing there; the frames do not show the other "
        "{rest:,}.",
        missing=loss.vanished, rest=loss.frames - loss.vanished,
    )  # fmt: skip


def _vanished(loss: QueueLoss) -> str:
    """What the frames show of those that a switch dropped."""
    if loss.vanished is None:
        return ""
    if loss.certain:
        return term("As many came in there and went out of no port.")
    if loss.vanished > loss.frames:
        return say(
            "{vanished:,} came in there and went out of no port: {rest:,} of them for another "
            "reason.",
            vanished=loss.vanished, rest=loss.vanished - loss.frames,
        )  # fmt: skip
    if loss.open:
        return say(
            "Of these {vanished:,} are seen to come in and go out of no port; {rest:,} more came "
            "in just before the capture ended.",
            vanished=loss.vanished, rest=loss.open,
        )  # fmt: skip
    return say(
        "Of these {vanished:,} are seen to come in and go out of no port; the frames do not show "
        "the other {rest:,}.",
        vanished=loss.vanished, rest=loss.frames - loss.vanished,
    )  # fmt: skip
