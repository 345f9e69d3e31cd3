# SPDX-License-Identifier: Apache-2.0
"""The sentences that every form of a report says: what was done, how a packet spread, how good the
capture is.

What lives here: sentences as data (`hoplab.sentences`), made of a story. What must not: languages
and layout, which are their readers' own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from hoplab.sentences import Sentence, Together, listed, number_of, say, term, together
from hoplab.story.capture_quality import capture_faults, capture_remarks
from hoplab.story.records import Setting, Story
from hoplab.story.summary_records import Health
from hoplab.story.trip_records import Trip

LEGEND = term(
    "Every line is read from captured frames. #n is a packet, at +ms after the first; on every "
    "link it travels in a frame of its own."
)
NOTHING_SEEN = term("Not one frame on any link.")
MEND = term("To mend it, paste this:")
WATERFALL = term("What the client waited for, by its own clock:")
WATERFALL_HEADS = term("  on  code    bytes")
WATERFALL_LEGEND = term(
    "  . name   + connect   * TLS   - wait   # receive      on: which connection"
)
TIMES = term("Whether times are to be trusted")
MAPPING = (term("textbook"), term("packets"), term("really"))  # heads of the table of a step


def title(story: Story) -> str:
    """What was done: 'client fetches http://…', or the command."""
    if story.request is not None:
        client, url = story.request.client, story.request.url
        return say("{client} fetches {url}", client=client, url=url)
    if story.setting.command:
        return f"{story.setting.host}: {story.setting.command}"
    return term("What the frames tell")


def places(setting: Setting) -> list[Sentence]:
    """'topology web', 'controller hub', 'datapath user': what there is of them."""
    named = []
    if setting.topology:
        named.append(say("topology {name}", name=setting.topology))
    if setting.controller:
        named.append(say("controller {name}", name=setting.controller))
    if setting.datapath:
        named.append(say("datapath {name}", name=setting.datapath))
    return named


def waterfall(lines: Iterable[str]) -> list[str]:
    """The client's picture of what it waited for: its own bars and figures. The heads of its
    columns, before the ruler, and the last line, what the signs mean, are said here."""
    first, *rows, _ = lines
    ruler = first[first.index("|") :]
    return [say("{heads}  {ruler}", heads=WATERFALL_HEADS, ruler=ruler), *rows, WATERFALL_LEGEND]


def flooded_by(trip: Trip) -> Sentence | None:
    """Which switches sent it out of several ports, and of how many; None if none did."""
    switches = [
        say("{switch} ({n}/{total} ports)", switch=copies.node, n=copies.out, total=copies.of)
        for copies in trip.fanouts
        if copies.flooded
    ]
    copying = [
        say("{switch} ({n} ports)", switch=copies.node, n=copies.out)
        for copies in trip.fanouts
        if copies.out > 1 and not copies.flooded
    ]
    if not switches and copying:
        return say("copied by {switches}", switches=listed(dict.fromkeys(copying)))
    if not switches:
        return None
    # In a loop a switch floods it many times.
    return say("flooded by {switches}", switches=listed(dict.fromkeys(switches)))


def ignored_by(trip: Trip) -> Iterator[Sentence]:
    """Who got it and left it alone, a sentence for each reason."""
    cards = dict.fromkeys(copy.node for copy in trip.ignored if copy.by == "card")
    if cards:
        yield say("ignored by: {nodes} (another card's MAC)", nodes=listed(cards))
    software = dict.fromkeys(copy.node for copy in trip.ignored if copy.by == "software")
    if len(software) == 1:
        yield say("ignored by: {node} (not its address)", node=next(iter(software)))
    elif software:
        yield say("ignored by: {nodes} (not their address)", nodes=listed(software))


def capture_quality(health: Health) -> Sentence:
    """Whether the capture is whole, and what that means for the numbers."""
    faults = capture_faults(health)
    if health.place and not faults:
        return say(
            "Capture of one place, {place}: what became of a frame behind it is not known.",
            place=health.place,
        )
    if not faults:
        return term("Capture: complete, every frame found its place.")
    return say("Capture: {faults}; the numbers may be too low.", faults=listed(faults))


def capture_told(health: Health) -> Together:
    """The same, and what else is to be said of the capture."""
    return together(capture_quality(health), *capture_remarks(health))


def untold(part: str) -> Sentence:
    """In the place of a part that could not be shown."""
    return say("Not told, by a fault of hoplab: {part}.", part=part)


def more_packets(n: int) -> Sentence:
    """How many packets are left out below those that are shown."""
    return number_of("and {n:,} more packet", "and {n:,} more packets", n)


def more_frames_of_storm(n: int) -> Sentence:
    """Of those of one packet that are not shown."""
    return number_of(
        "and {n:,} more frame of the storm", "and {n:,} more frames of the storm", n
    )


def more_steps(n: int, packets: int) -> Sentence:
    """Of those that are not shown, with all the packets in them."""
    return say(
        "and {steps} with {packets}",
        steps=number_of("{n:,} more step", "{n:,} more steps", n),
        packets=number_of("{n:,} packet", "{n:,} packets", packets),
    )


def side_by_side(called: Sequence[str]) -> Sentence:
    """The heading of two runs beside each other."""
    return say("{name} and {name2}, side by side", name=called[0], name2=called[1])
