# SPDX-License-Identifier: Apache-2.0
"""A run folder, read again: what was built, what was captured, and the story of both.

What lives here: the reading of `lab.json`, `capture.pcapng` and the head of `trace.json`. What must
not: running labs, root's rights, layout. So a run is told on any machine, by anybody, at any time.

The story is told anew from the frames. Of `trace.json` only what no frame shows is taken: which
URL or command it was, and what the program said.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from hoplab.capture import notes, pcapng_format, pcapng_reader
from hoplab.capture.collector import gc_paused
from hoplab.capture.load import Load, unpack
from hoplab.capture.observation import Observation
from hoplab.capture.spanning_trees import SpanningTrees
from hoplab.errors import Exit, LabError
from hoplab.follow.bridges import find_bridges, with_bridges
from hoplab.follow.follow import Follower
from hoplab.follow.model import Journey
from hoplab.follow.passages import Passage, causes, from_plain
from hoplab.follow.wiring import Wiring
from hoplab.openflow_channel import INTERFACE as OPENFLOW
from hoplab.sentences import say, sentence_of, term
from hoplab.story import tell
from hoplab.story.conversation import ChannelMessage, Listener, conversation
from hoplab.story.faults import STRICT, Faults
from hoplab.story.host_state import HostFacts, read_facts
from hoplab.story.lab_changes import LabChange, lab_changes
from hoplab.story.table_decisions import Raised, exceptions
from hoplab.story.tell import Story
from hoplab.story.trip_records import Leg
from hoplab.vantage import one_place

CAPTURE, TRACE, STATE = "capture.pcapng", "trace.json", "lab.json"
HOSTS = "hosts.json"  # what hosts were set to; not every run has it
# A larger capture is read piece by piece, and what only goes round in a storm is not held.
HELD_MOST = 32 << 20
_LATE_NS = 1_000_000_000  # what a switch did shows within that time
_ALL_NS = 1 << 62


class Pieces(Protocol):
    """Whoever knows what switches did, asked piece by piece. settled_ns: of all frames until then
    it is known, or never will be."""

    settled_ns: int

    def take(
        self, frames: Sequence[Observation], messages: Sequence[ChannelMessage]
    ) -> None:
        """Take the next frames, and what switches and controllers said meanwhile."""

    def advance(self, until_ns: int | None) -> Sequence[Passage]:
        """What switches did until then; None for all that is left."""


class Explain(Protocol):
    """Whoever knows what switches did with frames (`hoplab.replay`)."""

    def __call__(
        self,
        wiring: Wiring,
        ports: Sequence[int | None],
        kept: Sequence[pcapng_format.Note],
        frames: Sequence[Observation],
        messages: Sequence[ChannelMessage],
    ) -> Sequence[Passage]:
        """What each switch did with each frame, in order of time; nothing where it is not known.
        ports: for each port of the capture that of the wiring. kept: what stands beside frames."""

    def begin(
        self,
        wiring: Wiring,
        ports: Sequence[int | None],
        kept: Sequence[pcapng_format.Note],
    ) -> Pieces | None:
        """The same, of a capture that is read piece by piece; None where nothing is known."""



def data_of(leg: Leg, frames: Mapping[int, Observation]) -> bytes:
    """The frame on a link, as sent if that was seen, else as received."""
    seen = frames.get(leg.sent or 0) or frames.get(leg.received or 0)
    return seen.data if seen is not None else b""


RULER = re.compile(r"\|-+[\d.]+ ms\|$")  # above the bars of a waterfall: what their width means


@dataclass(frozen=True)
class Run:
    """A run folder in memory. `frames` are the captured frames by their number in the capture,
    `waterfall` the lines in which a client that fetched a page and all it shows says when it
    waited for what, by its own clock. began_ns: when its commands began, 0 if that is not known.
    failed: a sentence for each command that failed."""

    folder: Path
    wiring: Wiring
    frames: Mapping[int, Observation]
    story: Story
    waterfall: tuple[str, ...] = ()
    began_ns: int = 0
    failed: tuple[str, ...] = ()
    passages: Sequence[Passage] = ()


def waterfall(output: str) -> tuple[str, ...]:
    """The picture that the lab's client ends its words with when it fetches a page and all it
    shows; nothing if there is none. Its first line has a ruler, its last says what the signs
    mean, and the line behind it how long all took (`docs/apps-http.md`)."""
    lines = output.splitlines()
    first = next((i for i, line in enumerate(lines) if RULER.search(line)), None)
    return tuple(lines[first:-1]) if first is not None else ()


@gc_paused()
def read(
    folder: Path,
    *,
    url: str = "",
    host: str = "",
    command: str = "",
    client_report: str = "",
    exit_code: int | None = None,
    late: bool = False,
    interrupted: bool = False,
    faults: Faults = STRICT,
    explain: Explain | None = None,
    kept: Sequence[Passage] | None = None,
) -> Run:
    """The run in a folder: of a fetch when `url` is given, else of `command` on `host`.
    client_report: what a command that failed had to say.
    exit_code, late, interrupted: how that ended, None if it is not known, whether it had to be
    ended, and whether somebody pressed Ctrl-C.
    faults: takes what could not be told.
    explain: says what switches did with frames, if anybody can; kept: the same, as it was found
    before. Raises LabError if its files cannot be read."""
    followed = _Followed([], {}, None, tell.Coverage())
    try:
        urlsplit(url)
        wiring = Wiring.load(folder / STATE)
        try:
            followed = _follow(wiring, folder / CAPTURE, explain, kept, faults)
        except (OSError, ValueError):
            raise
        except Exception:
            with faults.part(term("where frames went")):
                raise
    except (OSError, ValueError) as error:
        raise LabError(
            say(
                "the run in {folder} cannot be read: {error}",
                folder=str(folder),
                error=_why_unreadable(error),
            ),
            say(
                "a run folder holds {file} and {file2}: hoplab visit --save DIR makes one",
                file=STATE,
                file2=CAPTURE,
            ),
            Exit.NO_SUCH if isinstance(error, FileNotFoundError) else Exit.BAD_INPUT,
        ) from error
    wiring = followed.wiring or wiring
    hops = [hop for journey in followed.journeys for hop in journey.hops()]
    story = tell.tell(
        wiring,
        followed.journeys,
        request=tell.Request(url, host, client_report) if url else None,
        host=host,
        command=command,
        complaint=client_report,
        exit_code=exit_code,
        late=late,
        interrupted=interrupted,
        health=tell.Health(
            orphans=followed.unplaced,
            healed=0 if followed.coverage.place else sum(hop.healed for hop in hops),
            uncertain=sum(hop.doubt != 0 for hop in hops),
            cut=followed.coverage.damaged,
            foreign=followed.foreign,
            untimed=followed.untimed,
            place=followed.coverage.place,
        ),
        channel=followed.channel,
        channel_messages=followed.messages,
        coverage=followed.coverage,
        hosts=_hosts(folder / HOSTS),
        passages=followed.passages,
        raised=followed.raised,
        load=followed.load,
        changed=followed.changed,
        names=followed.names,
        faults=faults,
    )
    return Run(folder, wiring, followed.frames, story, passages=followed.passages)


def _why_unreadable(error: OSError | ValueError) -> str:
    """What is wrong with a file of the run."""
    if isinstance(error, FileNotFoundError):
        return say("{file} is missing", file=Path(error.filename).name)
    return sentence_of(error)


def _hosts(path: Path) -> HostFacts | None:
    """What hosts were set to, None if that was not kept or cannot be read: the frames tell alone
    then."""
    try:
        return read_facts(json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


@dataclass(frozen=True)
class _Followed:
    """A capture, followed. channel: what switches and controller said to each other, None if it
    was not captured; messages: the same, read. unplaced: frames that fit nowhere. foreign: those
    that do not begin with an Ethernet header. untimed: those of which the file does not say when
    they were seen. passages: what switches did with frames, as far as it is known. raised:
    exceptions of the controller's. load: how busy the machine was, None if nobody read that.
    changed: what somebody changed in the network. names: node by IP address, as the file says.
    wiring: the lab as the frames show it, None if it is as it was built."""

    journeys: list[Journey]
    frames: Mapping[int, Observation]
    channel: list[Observation] | None
    coverage: tell.Coverage
    unplaced: int = 0
    messages: list[ChannelMessage] | None = None
    passages: Sequence[Passage] = ()
    raised: Sequence[Raised] = ()
    changed: Sequence[LabChange] = ()
    foreign: int = 0
    untimed: int = 0
    load: Load | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    wiring: Wiring | None = None


def _ports(wiring: Wiring, capture: pcapng_format.Capture) -> list[int | None]:
    """The ports of the wiring that the capture's interfaces are; None for one that the lab does
    not have, or whose frames have no Ethernet header, so that nothing can be followed there."""
    ports = wiring.port_map(capture.interfaces)
    return [
        port if interface.ethernet else None
        for port, interface in zip(ports, capture.interfaces, strict=True)
    ]


def _follow(
    wiring: Wiring,
    path: Path,
    explain: Explain | None,
    kept: Sequence[Passage] | None,
    faults: Faults,
) -> _Followed:
    """The journeys in a capture. Raises OSError, PcapngError."""
    if path.stat().st_size > HELD_MOST and not wiring.extra.get(one_place.PLACE):
        with contextlib.suppress(pcapng_format.Unordered):
            return _follow_pieces(wiring, path, explain, kept, faults)
    capture = pcapng_reader.read(path)
    ports = _ports(wiring, capture)
    spoken = [interface.name == OPENFLOW for interface in capture.interfaces]
    channel: list[Observation] = []
    frames: list[Observation] = []
    for seen in capture.observations:
        (channel if spoken[seen.port] else frames).append(seen)
    last_ns = capture.observations[-1].t_ns if capture.observations else 0
    if wiring.extra.get(one_place.PLACE):
        return _followed_at_one_place(wiring, capture)
    seen_by = coverage(wiring, capture, ports, last_ns)
    messages: list[ChannelMessage] | None = None
    passages = kept or ()
    if kept is None and explain is not None and any(spoken):
        with faults.part(term("what switches did by their tables")):
            messages = conversation(channel)
            passages = explain(wiring, ports, capture.notes, frames, messages)
    wiring = with_bridges(wiring, find_bridges(wiring, ports, frames))
    follower = Follower(
        wiring, ports=ports, lossy=seen_by.lossy, causes=causes(passages),
        deaf=_deaf(wiring, capture.notes),
    )  # fmt: skip
    journeys = follower.follow(frames)
    placed = {seen.number: seen for seen in frames if ports[seen.port] is not None}
    heard = channel if any(spoken) else None
    foreign = sum(not capture.interfaces[seen.port].ethernet for seen in frames)
    return _Followed(
        journeys, placed, heard, seen_by, follower.ignored - foreign, messages, passages,
        exceptions(capture.notes), lab_changes(capture.notes), foreign, capture.untimed,
        unpack(capture.notes), capture.names, wiring,
    )


def _deaf(wiring: Wiring, kept: Iterable[pcapng_format.Note]) -> frozenset[int]:
    """The ports that a switch's own spanning tree blocked all the while."""
    blocked = SpanningTrees(kept).always_blocked()
    return frozenset(
        number
        for number, interface in enumerate(wiring.interfaces)
        if (interface.node, interface.name) in blocked
    )


def _followed_at_one_place(wiring: Wiring, capture: pcapng_format.Capture) -> _Followed:
    """A capture of one place, whose wiring was made of its own frames."""
    frames = [seen for seen in capture.observations if capture.interfaces[seen.port].ethernet]
    journeys = one_place.journeys(wiring, frames)
    placed = {seen.number: seen for seen in frames}
    seen_by = tell.Coverage(damaged=bool(capture.problem), place=str(wiring.extra[one_place.PLACE]))
    followed = sum(len(journey.hops()) for journey in journeys)
    return _Followed(
        journeys, placed, None, seen_by, foreign=len(capture.observations) - len(frames),
        untimed=capture.untimed, unplaced=0 if followed else len(frames),
    )  # fmt: skip


def coverage(
    wiring: Wiring, capture: pcapng_format.Capture, ports: Sequence[int | None], last_ns: int = 0
) -> tell.Coverage:
    """What the capture could see of the lab. ports: see `Wiring.port_map`. last_ns: when its last
    frame was seen, 0 if that is not known."""

    def by_port(counts: Mapping[int, int]) -> dict[int, int]:
        """By port of the wiring instead of the capture's."""
        return {
            port: count
            for number, count in counts.items()
            if (port := ports[number]) is not None
        }

    heard = {port for port in ports if port is not None}
    return tell.Coverage(
        begun_ns=by_port(capture.begun_ns),
        ended_ns=_end(capture, last_ns),
        missed=by_port(capture.dropped),
        damaged=bool(capture.problem),
        partial=wiring.extra.get("partial") is True,
        unheard=frozenset(range(len(wiring.interfaces))) - heard,
        queue_drops=by_port(capture.queue_drops),
        cable_drops=by_port(capture.cable_drops),
        cable_losses=_lost_on_purpose(wiring, capture),
    )


def _lost_on_purpose(wiring: Wiring, capture: pcapng_format.Capture) -> dict[int, int]:
    """Frames that cables lost because they were to lose some, by port; of several notes the last
    one counts. What cannot be read is left out."""
    lost: dict[int, int] = {}
    for note in capture.notes:
        if note.topic == notes.LOST:
            with contextlib.suppress(ValueError, AttributeError):
                counts = json.loads(note.data).items()
                lost = {
                    port: frames for name, frames in counts
                    if (port := wiring.port(name)) is not None and isinstance(frames, int)
                }  # fmt: skip
    return lost


def _parted(
    observations: Iterable[Observation], spoken: Sequence[bool]
) -> tuple[list[Observation], list[Observation]]:
    """What was heard on the channel of the controllers, and the frames of the network. spoken: for
    each port whether it is that channel."""
    heard: list[Observation] = []
    frames: list[Observation] = []
    for seen in observations:
        (heard if spoken[seen.port] else frames).append(seen)
    return heard, frames


def _placed(journeys: Iterable[Journey]) -> dict[int, Observation]:
    """The frames of journeys, by their number."""
    return {
        seen.number: seen
        for journey in journeys
        for hop in journey.hops()
        for seen in (hop.sent, hop.received)
        if seen is not None
    }


def _told_somewhere(
    passages: Iterable[Passage], placed: Mapping[int, Observation]
) -> list[Passage]:
    """Without those of frames that a storm only counts, which are told nowhere."""
    return [each for each in passages if each.packet_out or each.number in placed]


def _follow_pieces(
    wiring: Wiring,
    path: Path,
    explain: Explain | None,
    kept: Sequence[Passage] | None,
    faults: Faults,
) -> _Followed:
    """The same for a capture that is too large to hold; `frames` has those of the journeys."""
    follower: Follower | None = None
    tables: Pieces | None = None
    channel: list[Observation] = []
    held: list[Observation] = []
    passages: list[Passage] = [*(kept or ())]
    listener, messages = Listener(), list[ChannelMessage]()
    last_ns = foreign = 0
    spoken: list[bool] = []
    ports: list[int | None] = []

    def ask(until_ns: int | None) -> None:
        """Ask the tables about what was taken until then, and follow it."""
        nonlocal tables
        assert follower is not None
        limit_ns = _ALL_NS
        if tables is not None:
            with faults.part(term("what switches did by their tables")):
                found = tables.advance(until_ns)
                follower.explain(causes(found))
                passages.extend(found)
            limit_ns = tables.settled_ns
        count = len(held)
        if until_ns is not None:
            count = next((i for i, seen in enumerate(held) if seen.t_ns > limit_ns), count)
        follower.feed(held[:count])
        del held[:count]

    for capture, observations in pcapng_reader.read_pieces(path):
        if follower is None:
            spoken = [interface.name == OPENFLOW for interface in capture.interfaces]
            ports = _ports(wiring, capture)
            follower = Follower(wiring, ports=ports, causes=causes(passages))
            follower.lossy = coverage(wiring, capture, ports).lossy
            if kept is None and explain is not None and any(spoken):
                with faults.part(term("what switches did by their tables")):
                    tables = explain.begin(wiring, ports, capture.notes)
        heard, frames = _parted(observations, spoken)
        said = [message for seen in heard for message in listener.feed(seen)]
        channel += heard
        messages += said
        held += frames
        foreign += sum(not capture.interfaces[seen.port].ethernet for seen in observations)
        if observations:
            last_ns = observations[-1].t_ns
        if tables is not None:
            tables.take(frames, said)
        ask(last_ns - _LATE_NS)
    assert follower is not None, "a large file has a first piece"
    ask(None)
    journeys = follower.finish()
    placed = _placed(journeys)
    passages = _told_somewhere(passages, placed)
    seen_by = coverage(wiring, capture, ports, last_ns)
    return _Followed(
        journeys, placed, channel if any(spoken) else None, seen_by, follower.ignored - foreign,
        messages, passages, exceptions(capture.notes), lab_changes(capture.notes), foreign,
        capture.untimed, load=unpack(capture.notes), names=capture.names,
    )  # fmt: skip


def _end(capture: pcapng_format.Capture, last_ns: int) -> int | None:
    """When the capture ended, None if the file does not say: its last counts bear the time of its
    last frame if it was written anew without knowing better. A killed capture ended with its last
    frame; the counts in it are older."""
    if not last_ns or not capture.ended_ns:
        return None
    return None if capture.ended_ns == last_ns else max(capture.ended_ns, last_ns)


def complaint(output: str, code: object) -> str:
    """What a command that failed had to say; "" for one that did not."""
    return output if code else ""


def failures(head: Mapping[str, Any]) -> tuple[str, ...]:
    """A sentence for each command that failed, as trace.json tells of them."""
    commands = head.get("commands")
    if not isinstance(commands, list):  # one command, not several at a time
        commands = [head]
    failures: list[str] = []
    for each in commands:
        code = each.get("exit_code") if isinstance(each, dict) else 0
        if not code or each.get("stopped"):
            continue
        request = each.get("request") or {}
        values = {
            "host": each.get("host"),
            "command": each.get("command") or request.get("url") or "?",
        }
        if each.get("timed_out"):
            failures.append(say("{host}: {command}: this had not ended in time.", **values))
        else:
            failures.append(
                say("{host}: {command}: this failed (exit code {code}).", code=code, **values)
            )
    return tuple(failures)


@gc_paused()
def reopen(folder: Path, faults: Faults = STRICT, explain: Explain | None = None) -> Run:
    """The run in a folder that `--save` kept, told as it was when it was recorded. A folder
    without `trace.json` is told too, by its frames alone. faults: takes what could not be told.
    explain: is asked what switches did with frames where the folder does not say."""
    head = head_of(folder / TRACE)
    request = head.get("request")
    output = head.get("output")
    output = output if isinstance(output, str) else ""
    code = head.get("exit_code")
    ended: dict[str, Any] = {
        "client_report": complaint(output, code),
        "exit_code": code if isinstance(code, int) and not isinstance(code, bool) else None,
        "late": head.get("timed_out") is True,
        "interrupted": head.get("interrupted") is True,
        "explain": explain,
        "kept": _passages(head),
    }
    if isinstance(request, dict) and request.get("url") and request.get("client"):
        url, client = str(request["url"]), str(request["client"])
        run = read(folder, url=url, host=client, faults=faults, **ended)
        run = replace(run, waterfall=waterfall(output))
    else:
        command = str(head.get("command") or "")
        host = str(head.get("host") or "")
        run = read(folder, host=host, command=command, faults=faults, **ended)
    began_ns = head.get("began_ns")
    return replace(
        run, began_ns=began_ns if isinstance(began_ns, int) else 0, failed=failures(head)
    )


def _passages(head: Mapping[str, Any]) -> list[Passage] | None:
    """What the file says that switches did with frames; None if it says nothing, or no sense."""
    try:
        return from_plain(head["switches"])
    except (KeyError, TypeError, ValueError, IndexError):
        return None


def head_of(path: Path) -> dict[str, Any]:
    """What a trace.json says, {} where there is none. Raises LabError."""
    try:
        data = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise LabError(
            say("{path} cannot be read: {error}", path=str(path), error=sentence_of(error)),
            say("without that file the run is told by its frames alone: move it away"),
            Exit.BAD_INPUT,
        ) from error
    return data if isinstance(data, dict) else {}
