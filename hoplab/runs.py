# SPDX-License-Identifier: Apache-2.0
"""A run folder, read again: what was built, what was captured, and the story of both.

What lives here: the reading of `lab.json`, `capture.pcapng` and the head of `trace.json`. What must
not: running labs, root's rights, layout. So a run is told on any machine, by anybody, at any time.

The story is told anew from the frames. Of `trace.json` only what no frame shows is taken: which
URL or command it was, and what the program said.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from hoplab.errors import Exit, LabError
from hoplab.trace import story
from hoplab.trace.follow import Follower
from hoplab.trace.story import Story
from hoplab.trace.wiring import Wiring
from hoplab.wire import pcapng
from hoplab.wire.observation import Observation
from hoplab.wire.openflow_channel import INTERFACE as OPENFLOW

CAPTURE, TRACE, STATE = "capture.pcapng", "trace.json", "lab.json"


@dataclass(frozen=True)
class Run:
    """A run folder in memory. `frames` are the captured frames by their number in the capture,
    `waterfall` the lines in which a client that fetched a page and all it shows says when it
    waited for what, by its own clock."""

    folder: Path
    wiring: Wiring
    frames: Mapping[int, Observation]
    story: Story
    waterfall: tuple[str, ...] = ()


def waterfall(output: str) -> tuple[str, ...]:
    """The picture that the lab's client ends its words with when it fetches a page and all it
    shows; nothing if there is none."""
    lines = output.splitlines()
    first = next((i for i, line in enumerate(lines) if line.startswith("  on  code")), None)
    return tuple(lines[first:-1]) if first is not None else ()


def read(
    folder: Path,
    *,
    url: str = "",
    host: str = "",
    command: str = "",
    said: str = "",
    exit_code: int | None = None,
    late: bool = False,
) -> Run:
    """The run in a folder: of a fetch when `url` is given, else of `command` on `host`.
    exit_code, late: how that ended, None if it is not known, and whether it had to be ended.
    Raises LabError if its files cannot be read."""
    try:
        urlsplit(url)
        wiring = Wiring.load(folder / STATE)
        capture = pcapng.read(folder / CAPTURE)
    except (OSError, ValueError) as error:
        raise LabError(
            f"the run in {folder} cannot be read: {error}",
            f"a run folder holds {STATE} and {CAPTURE}: hoplab visit --save DIR makes one",
            Exit.NO_SUCH if isinstance(error, FileNotFoundError) else Exit.BAD_INPUT,
        ) from error
    ports = wiring.port_map(capture.interfaces)
    spoken = [interface.name == OPENFLOW for interface in capture.interfaces]
    channel: list[Observation] = []
    frames: list[Observation] = []
    for seen in capture.observations:
        (channel if spoken[seen.port] else frames).append(seen)
    seen_by = coverage(wiring, capture, ports)
    follower = Follower(wiring, ports=ports, lossy=seen_by.lossy)
    journeys = follower.follow(frames)
    hops = [hop for journey in journeys for hop in journey.hops()]
    told = story.tell(
        wiring,
        journeys,
        request=story.Request(url, host, said) if url else None,
        host=host,
        command=command,
        said=said,
        exit_code=exit_code,
        late=late,
        health=story.Health(
            orphans=follower.ignored,
            healed=sum(hop.healed for hop in hops),
            uncertain=sum(hop.doubt != 0 for hop in hops),
            cut=seen_by.damaged,
        ),
        channel=channel if any(spoken) else None,
        coverage=seen_by,
    )
    known = {seen.number: seen for seen in frames if ports[seen.port] is not None}
    return Run(folder, wiring, known, told)


def coverage(
    wiring: Wiring, capture: pcapng.Capture, ports: Sequence[int | None]
) -> story.Coverage:
    """What the capture could see of the lab. ports: see `Wiring.port_map`."""

    def by_port(counts: Mapping[int, int]) -> dict[int, int]:
        """By port of the wiring instead of the capture's."""
        return {
            port: count
            for number, count in counts.items()
            if (port := ports[number]) is not None
        }

    heard = {port for port in ports if port is not None}
    return story.Coverage(
        begun_ns=by_port(capture.begun_ns),
        ended_ns=_end(capture),
        missed=by_port(capture.dropped),
        damaged=bool(capture.problem),
        unheard=frozenset(range(len(wiring.interfaces))) - heard,
        queue_drops=by_port(capture.queue_drops),
    )


def _end(capture: pcapng.Capture) -> int | None:
    """When the capture ended, None if the file does not say: its last counts bear the time of its
    last frame if it was written anew without knowing better. A killed capture ended with its last
    frame; the counts in it are older."""
    if not capture.observations or not capture.ended_ns:
        return None
    last = capture.observations[-1].t_ns
    return None if capture.ended_ns == last else max(capture.ended_ns, last)


def complaint(output: str, code: object) -> str:
    """What a command that failed had to say; "" for one that did not."""
    return output if code else ""


def reopen(folder: Path) -> Run:
    """The run in a folder that `--save` kept, told as it was when it was recorded. A folder
    without `trace.json` is told too, by its frames alone."""
    head = _head(folder / TRACE)
    request = head.get("request")
    output = head.get("output")
    output = output if isinstance(output, str) else ""
    code = head.get("exit_code")
    ended: dict[str, Any] = {
        "said": complaint(output, code),
        "exit_code": code if isinstance(code, int) and not isinstance(code, bool) else None,
        "late": head.get("timed_out") is True,
    }
    if isinstance(request, dict) and request.get("url") and request.get("client"):
        run = read(folder, url=str(request["url"]), host=str(request["client"]), **ended)
        return replace(run, waterfall=waterfall(output))
    command = str(head.get("command") or "")
    return read(folder, host=str(head.get("host") or ""), command=command, **ended)


def _head(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise LabError(
            f"{path} cannot be read: {error}",
            "without that file the run is told by its frames alone: move it away",
            Exit.BAD_INPUT,
        ) from error
    return data if isinstance(data, dict) else {}
