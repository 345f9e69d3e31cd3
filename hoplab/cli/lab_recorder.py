# SPDX-License-Identifier: Apache-2.0
"""A command recorded in a lab, and its story told: what `visit`, `trace` and `open` have in common.

What lives here: the order of it: the lab, the recording, the telling, what is printed, the end.
What must not: which lab is meant (`lab_choice.py`), where a run is kept (`run_folder.py`).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hoplab import quantities
from hoplab.cli import output, verbs_lab
from hoplab.cli.lab_choice import client_and_url, find_lab
from hoplab.cli.run_folder import RunFolder, save_folder
from hoplab.client import interrupts, labs, up_down
from hoplab.client.changes import understood
from hoplab.client.schedule import Planned
from hoplab.errors import Exit, LabError, cannot_write
from hoplab.outfile import unwritable
from hoplab.sentences import say, sentence_of, term
from hoplab.story.faults import Faults

if TYPE_CHECKING:
    from hoplab.replay.explain import Explainer
    from hoplab.story.records import Story


def planned(wishes: list[list[str]] | None) -> list[Planned]:
    """What `--at TIME CHANGE` asks for. Raises LabError (USAGE)."""
    changes = []
    for when, text in wishes or ():
        try:
            at_s = quantities.moment(when)
        except ValueError as error:
            raise LabError(
                sentence_of(error),
                say("as in {example}", example="--at 3s 'link h1 s1 down'"),
                Exit.USAGE,
            ) from error
        changes.append(Planned(at_s, text, understood(text)))
    return changes


class LabRecorder:
    """The lab to record in: the one that is up, or one brought up for it (and left up, unless
    --down); then what was recorded, told and kept."""

    def __init__(self, arguments: argparse.Namespace, default: str) -> None:
        self.arguments = arguments
        self.default = default
        self.started = False
        self.recorded = False  # from here on there is nothing to be undone
        self.shown = False  # what the command said stands on the screen
        self.told = False
        self.quiet = arguments.json
        self.planned = planned(getattr(arguments, "at", None))
        self.play = getattr(arguments, "play", False)
        self._handle: labs.Handle | None = None
        self._explain: Explainer | None = None

    def __enter__(self) -> LabRecorder:
        arguments = self.arguments
        try:
            self.save = save_folder("" if self.play and arguments.save is None else arguments.save)
        except OSError as error:
            raise unwritable(error, error.filename or arguments.save, "--save") from error
        try:
            self._handle = find_lab(arguments, self.quiet) or self._bring_up()
            interrupts.release_interrupts()  # from here on `_end` can end it
            # Beside the lab's own files: the lab sees it, and it goes with the lab.
            folder = tempfile.mkdtemp(prefix="run-", dir=self.handle.folder)
            self.files = RunFolder(self.save, Path(folder))
        except OSError as error:
            self._end(failed=True)
            raise cannot_write(error, labs.labs_folder()) from error
        except BaseException:
            self._end(failed=True)
            raise
        return self

    @property
    def handle(self) -> labs.Handle:
        """The lab, once entered."""
        assert self._handle is not None
        return self._handle

    def _bring_up(self) -> labs.Handle:
        name = self.arguments.name or labs.DEFAULT_NAME
        topology = self.arguments.topology or self.default
        self.started = True
        return verbs_lab.bring_up(self.arguments, topology, name, capture=True, quiet=self.quiet)

    def where(self, url: str) -> tuple[str, str]:
        """What is fetched and by which host: as asked for, else what the topology names. Raises
        LabError."""
        return client_and_url(self.arguments, self.handle.state(), url)

    def record(
        self, host: str, command: list[str], longer_s: float = 0, *, show: bool = False
    ) -> None:
        """show: what the command prints is shown as it comes."""
        from hoplab.client import recording

        self._begin_to_explain()
        with output.Progress(self.quiet) as progress:
            progress(term("capturing"))
            if show:
                progress.done()  # the screen is the command's now
            self.run = recording.record(
                self.handle,
                host,
                command,
                self.files.folder,
                show=show,
                timeout_s=self.arguments.timeout + longer_s,
                planned=self.planned,
            )
        for remark in self.run.remarks:
            output.warn(remark)
        self.recorded = True
        self.shown = show and bool(self.run.output)

    def watch(self, until: Callable[[], None]) -> None:
        """Capture while `until` runs."""
        from hoplab.client import recording

        self._begin_to_explain()
        self.run = recording.watch(self.handle, self.files.folder, until)

    def _begin_to_explain(self) -> None:
        """The shadow of the lab's switches comes up while the capture runs."""
        from hoplab.replay.explain import Explainer

        state = self.handle.state()
        if state.get("controller"):
            self._explain = Explainer(state)

    def tell(self, *, host: str, url: str = "", command: str = "") -> int:
        """Keep the run if that was asked for, tell it, and say how it ended: an exit code."""
        from hoplab.api.recorded import tell_recorded

        unkept = self.files.keep_frames()
        self.recorded = True
        run, faults = self.run, Faults()
        read, data = tell_recorded(
            run, self.files.folder, host=host, url=url, command=command, faults=faults,
            explain=self._explain,
        )  # fmt: skip
        story = read.story
        folder = self.save if self.save is not None and unkept is None else self.files.folder
        try:
            self._write(folder, data, story, faults)
        except OSError as error:
            unkept = unkept or self.files.unkept(error)
        self._print(data, story, faults)
        self.told = True
        if len(faults):
            place = self.files.put_aside()
            output.print_untold(faults, str(place or ""), debug=self.arguments.debug)
        return self._exit_code(unkept)

    def _write(self, folder: Path, data: dict[str, Any], story: Story, faults: Faults) -> None:
        """Write the trace into the folder, and the story into the capture that is kept. Raises
        OSError."""
        from hoplab.client import recording

        text = json.dumps(data, indent=1, ensure_ascii=False)
        (folder / recording.TRACE).write_bytes(text.encode("utf-8", "backslashreplace"))
        if self.save is not None:
            with faults.part(term("the comments of the frames in capture.pcapng")):
                recording.annotate(folder, story, output.tr)

    def _print(self, data: dict[str, Any], story: Story, faults: Faults) -> None:
        """The story as it was asked for: as JSON or as text."""
        from hoplab.report import terminal

        if self.arguments.json:
            output.print_json(data)
            return
        text = terminal.render(
            story,
            width=output.terminal_width(),
            color=output.colour_wanted(),
            detail=self.arguments.detail,
            ascii=not output.is_utf8(),
            tr=output.spoken(),
            faults=faults,
        )
        print("\n" + text if self.shown else text)
        if getattr(self.arguments, "all", False):
            self._waterfall()
        self._footer()

    def _exit_code(self, unkept: LabError | None) -> int:
        """How the run ended. Raises LabError where it could not be kept, or took too long."""
        run = self.run
        if unkept is not None:
            raise unkept
        if run.interrupted:
            return Exit.INTERRUPTED
        if run.late is not None and not self.arguments.json:
            raise run.late
        return Exit.FAILED if run.code else Exit.OK

    def _waterfall(self) -> None:
        """When the client waited for what, as it saw it itself."""
        from hoplab import runs
        from hoplab.report import phrases

        lines = runs.waterfall(self.run.output)
        if lines:
            print(f"  {output.tr(phrases.WATERFALL)}")
            legible = map(output.tr, phrases.waterfall(lines))
            print("\n".join(f"  {line}" for line in legible) + "\n")

    def _footer(self) -> None:
        """Where the run is kept, and what may be done next."""
        untold = self._explain.note() if self._explain is not None else None
        if untold is not None:
            print(f"  {output.tr(untold)}")
        if not self.run.quiet:
            note = term("note: the network was not quiet at the end; frames may be missing there")
            print(f"  {output.tr(note)}")
        if self.save is not None and self.files.kept is not None:
            output.print_kept(self.save)
            if self.play:
                from hoplab.cli.verbs_report import play

                play(self.save)
        if self.started and not self.arguments.down:
            name = self.handle.name
            option = "" if name == labs.DEFAULT_NAME else f" --name {name}"
            steps = verbs_lab.next_steps(self.handle.state(), option)
            label: str = term("the lab stays up; next:")
            if name != labs.DEFAULT_NAME:
                label = say("the lab {name} stays up; next:", name=name)
            print(output.listed(f"  {output.tr(label)}", steps))

    def __exit__(self, kind: Any, error: Any, trail: Any) -> None:
        interrupts.hold_interrupts()  # whether the lab stays is decided, and said
        if self._explain is not None:
            self._explain.close()
        rescued = self._rescue(error) if error is not None else None
        shutil.rmtree(self.files.folder, ignore_errors=True)
        # Once the run is recorded, a lab that was brought up for it stays: that its story could not
        # be printed (`| head` closes the pipe) or kept (the disk is full) is no fault of the lab's.
        self._end(failed=kind is not None and not self.recorded)
        if rescued is not None:
            raise rescued from error

    def _rescue(self, error: BaseException) -> LabError | None:
        """What was captured is kept if something stops us before it is told; the error that says
        where, in place of the one that stopped us."""
        from hoplab.runs import CAPTURE

        try:
            captured = (self.files.folder / CAPTURE).stat().st_size > 0
        except OSError:
            captured = False
        if self.told or not captured or isinstance(error, BrokenPipeError):
            return None
        if isinstance(error, LabError) and error.code in (Exit.USAGE, Exit.NO_SUCH):
            return None  # nothing was run: a host that is mistyped leaves no folder behind
        place = self.files.put_aside()
        if place is None:
            return None
        kept = say("what was captured is kept in {folder}", folder=str(place))
        page = shlex.quote(min(os.path.relpath(place), str(place), key=len))
        if isinstance(error, KeyboardInterrupt):
            return LabError(
                say("interrupted; {kept}", kept=kept),
                say("{command} tells it", command=f"hoplab report {page}"),
                Exit.INTERRUPTED,
            )
        if isinstance(error, LabError):
            hint = say("{hint}; {kept}", hint=error.hint, kept=kept) if error.hint else kept
            return LabError(error.message, hint, error.code, error.detail)
        if isinstance(error, Exception):
            sys.stderr.write(f"hoplab: {output.tr(kept)}\n")
        return None

    def _end(self, *, failed: bool) -> None:
        """End the lab if it was asked for, or if it was brought up for something that failed; an
        empty --save folder has nothing to tell."""
        if failed and self.save is not None:
            with contextlib.suppress(OSError):
                self.save.rmdir()
        if self._handle is not None and (self.arguments.down or (failed and self.started)):
            up_down.down(self._handle)
