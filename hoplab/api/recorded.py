# SPDX-License-Identifier: Apache-2.0
"""A command that ran in a lab with every frame captured around it: its exit, story and packets.

What lives here: a run as an object, told when somebody asks for its story. What must not: how it
was recorded (`hoplab.client.recording`), how it is told (`hoplab.runs`).
"""

from __future__ import annotations

import html
import json
import shutil
import tempfile
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

from hoplab import runs
from hoplab.api.packets import Packet, Packets
from hoplab.client import recording
from hoplab.client.kept_runs import kept_folder, what_was_done
from hoplab.errors import Exit, LabError
from hoplab.follow import passages
from hoplab.outfile import unwritable
from hoplab.replay.explain import Explainer
from hoplab.report import as_json, terminal
from hoplab.report.language import ENGLISH
from hoplab.runs import CAPTURE, HOSTS, STATE, TRACE, Run
from hoplab.sentences import say, term
from hoplab.story.faults import Faults
from hoplab.story.records import Outcome, Story
from hoplab.vantage import foreign

_INLINE_PIXELS = 640


def tell_recorded(
    recorded: recording.Run,
    folder: Path,
    *,
    host: str,
    url: str = "",
    command: str = "",
    faults: Faults,
    explain: Explainer | None,
) -> tuple[Run, dict[str, Any]]:
    """A recorded command, told, and what trace.json has of it. folder: where its files are. url:
    what was fetched; else `command` was run. Raises LabError."""
    read = runs.read(
        folder,
        url=url,
        host=host,
        command=command,
        # What the program itself said is worth quoting when it failed.
        client_report=runs.complaint(recorded.output, recorded.code),
        exit_code=recorded.code,
        late=recorded.late is not None,
        interrupted=recorded.interrupted,
        faults=faults,
        explain=explain,
    )
    data = {
        **as_json.to_dict(read.story, faults),
        "exit_code": recorded.code,
        "output": recorded.output,
        "timed_out": recorded.late is not None,
        "interrupted": recorded.interrupted,
    }
    if read.passages:
        data["switches"] = passages.to_plain(read.passages)
    return read, data


class Recorded:
    """A recorded run. `folder` holds its files, and goes with this object unless the run was kept
    (`save`). It is told when its story or its packets are asked for, and only once."""

    def __init__(
        self,
        folder: Path,
        tell: Callable[[Faults], tuple[Run, dict[str, Any] | None]],
        *,
        host: str = "",
        command: str = "",
        code: int | None = None,
        output: str = "",
        timed_out: bool = False,
        keeps: object = None,
    ) -> None:
        """tell: reads the run. keeps: what must live as long as this."""
        self.folder = folder
        self.host = host
        self.command = command
        self.code = code
        self.output = output
        self.timed_out = timed_out
        self.asked: list[Packet] = []
        self._tell = tell
        self._keeps = keeps
        self._faults = Faults()

    @property
    def ok(self) -> bool:
        """The command exited with 0. Whether the network did its part, `story.outcome.ok` says."""
        return self.code == 0

    @cached_property
    def _told(self) -> tuple[Run, dict[str, Any] | None]:
        return self._tell(self._faults)

    @property
    def run(self) -> Run:
        """The run in memory: its wiring, its frames by number, its story."""
        return self._told[0]

    @property
    def story(self) -> Story:
        """What happened: `story.outcome`, `story.steps`, `story.trips`. Raises LabError."""
        return self.run.story

    @property
    def outcome(self) -> Outcome:
        """How it ended: `ok`, `sentence`, `why`, and `mend`, commands that mend it."""
        return self.story.outcome

    @property
    def packets(self) -> Packets:
        """All packets, in the order of time."""
        return Packets(self.run, self.story.trips, self.asked.append)

    @property
    def untold(self) -> list[str]:
        """What could not be told because of a fault of hoplab's own; none, as a rule."""
        _ = self._told
        return self._faults.lines()

    def text(self, detail: str = "brief", *, width: int = 100) -> str:
        """The story as text. detail: 'brief', 'normal' or 'full'."""
        return terminal.render(
            self.story, width=width, detail=detail, faults=self._faults
        )

    def player(self) -> str:
        """The page that plays the run: one file of HTML that needs no network."""
        from hoplab.web.player import player

        return player([self.run], ENGLISH)

    def save(self, folder: str | Path) -> Path:
        """Keep the run in a folder that is new or empty, as `hoplab trace --save` does, for
        `hoplab find`, `hoplab report` and Wireshark. Raises LabError."""
        place = Path(folder)
        if place.exists() and (not place.is_dir() or any(place.iterdir())):
            raise LabError(
                say("{folder} exists and is not empty", folder=str(place)),
                term("choose another folder"),
                Exit.TAKEN,
            )
        data = self._told[1]
        try:
            place.mkdir(parents=True, exist_ok=True)
            for file in (CAPTURE, STATE, HOSTS, TRACE):
                if (self.folder / file).exists():
                    shutil.copyfile(self.folder / file, place / file)
            if data is not None:
                text = json.dumps(data, indent=1, ensure_ascii=False)
                (place / TRACE).write_bytes(text.encode("utf-8", "backslashreplace"))
        except OSError as error:
            raise unwritable(error, place, "save") from error
        return place.absolute()

    def __repr__(self) -> str:
        return f"<run of {self.command!r} on {self.host}, exit code {self.code}>"

    def _repr_html_(self) -> str:
        """For Jupyter: the story, and below it the player."""
        story = html.escape(self.text("normal"))
        page = html.escape(self.player(), quote=True)
        return (
            f"<details><summary>{html.escape(str(self.outcome.sentence))}</summary>"
            f"<pre>{story}</pre></details>"
            f'<iframe srcdoc="{page}" sandbox="allow-scripts" '
            f'style="width:100%;height:{_INLINE_PIXELS}px;border:0"></iframe>'
        )


def open_run(folder: str | Path) -> Recorded:
    """A run that `save` or `--save` kept. Raises LabError if there is none."""
    return _in_folder(kept_folder(folder))


def open_capture(
    file: str | Path, *, interface: str = "", wiring: str | Path | None = None
) -> Recorded:
    """A capture from anywhere, pcap or pcapng, as `hoplab tell` tells it (docs/tell.md). interface:
    of a file of several the one to tell. wiring: a lab.json, or the folder of a kept run, that says
    how they are wired. Raises LabError."""
    keeps = tempfile.TemporaryDirectory(prefix="hoplab-run-", ignore_cleanup_errors=True)
    described = foreign.wiring_in(Path(wiring)) if wiring is not None else None
    foreign.make_run(Path(file), Path(keeps.name), interface=interface, wiring=described)
    return _in_folder(Path(keeps.name), keeps)


def _in_folder(place: Path, keeps: object = None) -> Recorded:
    """The run in a folder. keeps: what must live as long as it."""
    head = runs.head_of(place / TRACE)

    def tell(faults: Faults) -> tuple[Run, None]:
        with Explainer() as explain:
            return runs.reopen(place, faults, explain), None

    code, output = head.get("exit_code"), head.get("output")
    request = head.get("request")
    client = request.get("client") if isinstance(request, dict) else None
    return Recorded(
        place,
        tell,
        host=str(client or head.get("host") or ""),
        command=what_was_done(head),
        code=code if isinstance(code, int) else None,
        output=output if isinstance(output, str) else "",
        timed_out=head.get("timed_out") is True,
        keeps=keeps,
    )


def take_run(
    recorded: recording.Run, *, host: str, url: str = "", command: str = ""
) -> Recorded:
    """The run that was recorded beside a lab, moved to a place where it outlives the lab."""
    keeps = tempfile.TemporaryDirectory(prefix="hoplab-run-", ignore_cleanup_errors=True)
    folder = Path(keeps.name)
    for entry in recorded.folder.iterdir():
        shutil.move(entry, folder / entry.name)

    def tell(faults: Faults) -> tuple[Run, dict[str, Any]]:
        with Explainer() as explain:
            return tell_recorded(
                recorded, folder, host=host, url=url, command=command, faults=faults,
                explain=explain,
            )  # fmt: skip

    return Recorded(
        folder,
        tell,
        host=host,
        command=url or command,
        code=recorded.code,
        output=recorded.output,
        timed_out=recorded.late is not None,
        keeps=keeps,
    )
