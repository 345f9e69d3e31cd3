# SPDX-License-Identifier: Apache-2.0
"""What switches did not send on, for the conclusion: by their own tables, or because the controller
did not say where to. Packets with one reason are counted together.
"""

from __future__ import annotations

from collections.abc import Iterable

from hoplab.sentences import Sentence, listed, say
from hoplab.story.trip_records import Trip

_NAMED = 4  # packets that are named one by one
_SENTENCES = 3  # more would be no conclusion


def not_sent_on(trips: Iterable[Trip]) -> list[Sentence]:
    """A sentence for each reason, in order of time."""
    groups: dict[str, list[int]] = {}
    for trip in trips:
        if not trip.ended:
            continue
        for decision in trip.decisions:
            passage = decision.passage
            dropped = passage is not None and not passage.asked and passage.reason
            unsent = decision.by == "controller" and not decision.ports
            if dropped or unsent:
                groups.setdefault(decision.sentence, []).append(trip.number)
    sentences = []
    for sentence, numbers in list(groups.items())[:_SENTENCES]:
        if len(numbers) <= _NAMED:
            packets: str = listed(f"#{number}" for number in numbers)
        else:
            packets = say(
                "#{first} to #{last}, {n:,} packets",
                first=numbers[0], last=numbers[-1], n=len(numbers),
            )  # fmt: skip
        sentences.append(say("{packets}: {sentence}.", packets=packets, sentence=sentence))
    return sentences
