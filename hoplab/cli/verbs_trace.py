# SPDX-License-Identifier: Apache-2.0
"""The verbs that follow packets: `visit` and `trace`."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from hoplab import ryu_apps
from hoplab.cli import output, verbs_lab
from hoplab.cli.verbs_host import _command
from hoplab.client import interrupts, labs, up_down
from hoplab.errors import Exit, LabError, cannot_write
from hoplab.outfile import unwritable
from hoplab.sentences import listed, say, term
from hoplab.story.faults import Faults

if TYPE_CHECKING:
    from hoplab.replay.explain import Explainer
    from hoplab.story.records import Story

LONGER_S = 10  # a fetch that gives up by itself says why, and has a story


def visit(arguments: argparse.Namespace) -> int:
    from hoplab.client import recording

    wish = _wished_url(arguments)
    _check_live(arguments)
    with _Lab(arguments, default="web") as lab:
        url, host = lab.where(wish)
        command = recording.fetch_command(url, arguments.timeout, every=arguments.all)
        if arguments.live:
            from hoplab.cli import verbs_live

            return verbs_live.follow(lab.handle, arguments, host, command, f"visit {url}")
        lab.record(host, command, longer_s=LONGER_S)
        return lab.tell(url=url, host=host)


def _wished_url(arguments: argparse.Namespace) -> str:
    """The URL on the command line, whole, or "". Raises LabError for one that no lab can fetch."""
    url: str = arguments.url or ""
    if url and "://" not in url:
        url = f"http://{url}"
    if url:
        _check(url)
    return url


def _check(url: str) -> None:
    """Raises LabError for a URL that no lab can fetch, before one is brought up for it."""
    scheme, _, rest = url.partition("://")
    if scheme.lower() not in ("http", "https"):
        raise LabError(
            say("{url} is no http:// URL", url=url),
            say(
                "labs speak HTTP, plain or by TLS (https://): {command}",
                command=f"hoplab visit http://{rest}",
            ),
            Exit.USAGE,
        )
    try:
        url.encode()
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError as error:
        raise LabError(
            say("{url} is no URL", url=url),
            say("like this: {example}", example="http://NAME:PORT/PATH"),
            Exit.USAGE,
        ) from error
    try:
        _ = parts.port
    except ValueError as error:
        raise LabError(
            say("{url} is no URL: its port is no number from 0 to 65535", url=url),
            say("like this: {example}", example="http://NAME:PORT/PATH"),
            Exit.USAGE,
        ) from error
    if not host:
        raise LabError(
            say("{url} names no host", url=url),
            say(
                "like this: {command}; in the lab web, without a URL, the lab's own page is "
                "fetched",
                command="hoplab visit http://www.itheima.com/",
            ),
            Exit.USAGE,
        )


def trace(arguments: argparse.Namespace) -> int:
    if arguments.compare is not None:
        from hoplab.cli import verbs_compare

        return verbs_compare.compare(arguments)
    arguments.host = (arguments.host or "").rstrip(":") or arguments.host  # as for --compare
    command = _command(arguments)
    if not command and (arguments.host or not arguments.live):
        raise LabError(
            term("no command was given")
            if arguments.host
            else term("no host and no command were given"),
            f"hoplab trace {arguments.host or 'HOST'} -- ping -c 1 ADDRESS",
            Exit.USAGE,
        )
    _check_live(arguments)
    with _Lab(arguments, default="switch") as lab:
        if arguments.live:
            from hoplab.cli import verbs_live

            return verbs_live.follow(lab.handle, arguments, arguments.host, command)
        show = not (arguments.json or arguments.quiet)
        lab.record(arguments.host, command, show=show)
        return lab.tell(host=arguments.host, command=shlex.join(command))


def _check_live(arguments: argparse.Namespace) -> None:
    """Raises LabError where what is told while it happens should be kept."""
    if arguments.live and (arguments.save is not None or arguments.play):
        raise LabError(
            term("--live keeps nothing, so there is nothing to --save")
            if arguments.save is not None
            else term("--live keeps nothing, so there is nothing to --play"),
            term("leave --live out, or run `hoplab capture` beside it"),
            Exit.USAGE,
        )


def _first_host(state: dict[str, Any]) -> str:
    hosts = [node["name"] for node in state["nodes"] if node["kind"] == "host"]
    if not hosts:
        raise LabError(
            say("the lab {lab} has no host", lab=state["name"]),
            term("bring up a topology that has one; hoplab ls shows what is up"),
            Exit.NO_SUCH,
        )
    return str(hosts[0])


def _first_server(state: dict[str, Any]) -> str:
    raise LabError(
        say("the topology {topology} names no URL to visit", topology=state["topology"]),
        say("give one: {command}", command="hoplab visit http://ADDRESS/"),
        Exit.USAGE,
    )


class _Lab:
    """The lab to record in: the one that is up, or one brought up for it (and left up, unless
    --down); then what was recorded, told and kept."""

    def __init__(self, arguments: argparse.Namespace, default: str) -> None:
        self.arguments = arguments
        self.default = default
        self.started = False
        self.recorded = False  # from here on there is nothing to be undone
        self.shown = False  # what the command said stands on the screen
        self.told = False
        self.kept: Path | None = None  # where the run is
        self.quiet = arguments.json
        self.play = getattr(arguments, "play", False)
        self._found: labs.Handle | None = None
        self._explain: Explainer | None = None

    def __enter__(self) -> _Lab:
        arguments = self.arguments
        try:
            self.save = _save_folder("" if self.play and arguments.save is None else arguments.save)
        except OSError as error:
            raise unwritable(error, error.filename or arguments.save, "--save") from error
        try:
            self._found = self._find() or self._bring_up()
            interrupts.release_interrupts()  # from here on `_end` can end it
            # Beside the lab's own files: the lab sees it, and it goes with the lab.
            self.folder = Path(tempfile.mkdtemp(prefix="run-", dir=self.handle.folder))
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
        assert self._found is not None
        return self._found

    def _find(self) -> labs.Handle | None:
        arguments = self.arguments
        try:
            handle = labs.find(arguments.name)
        except LabError as error:
            if labs.live() and arguments.name is None:
                raise error
            return None
        state = handle.state()
        if arguments.topology:
            file, *wanted = verbs_lab.find_topology(arguments.topology)
            there = [state.get("chosen", ""), state["arguments"], tuple(state.get("words", ()))]
            if (str(file), wanted) != (state["topology_file"], there):
                raise LabError(
                    say(
                        "the lab {lab} is up with another topology, {topology}",
                        lab=handle.name,
                        topology=state["topology"],
                    ),
                    say(
                        "end it ({command}), or bring up a second one with --name",
                        command=f"hoplab down --name {handle.name}",
                    ),
                    Exit.TAKEN,
                )
        self._check_options(handle, state)
        if arguments.controller:
            apps = ryu_apps.find(arguments.controller)
            if apps.as_data() != state["controller_apps"]:
                with output.Progress(self.quiet) as progress:
                    progress(say("putting {controller} in charge", controller=apps.name))
                    _, too_late = verbs_lab.swap_to(handle, apps)
                    interrupts.release_interrupts()
                    if too_late:
                        raise LabError(
                            say(
                                "interrupted; {controller} is in charge of {lab} already",
                                controller=arguments.controller,
                                lab=handle.name,
                            ),
                            say(
                                "{command} puts another one in charge",
                                command="hoplab swap",
                            ),
                            Exit.INTERRUPTED,
                        )
        return handle

    def _check_options(self, handle: labs.Handle, state: dict[str, Any]) -> None:
        """Raises LabError if the lab was brought up otherwise than is asked for now."""
        arguments = self.arguments
        otherwise = [
            text
            for text, differs in (
                (
                    f"--datapath {arguments.datapath}",
                    arguments.datapath in ("kernel", "user", "afxdp")
                    and state["datapath"] not in ("none", arguments.datapath),
                ),
                (
                    f"--platform {arguments.platform}",
                    arguments.platform != "ryu" and state.get("platform") != arguments.platform,
                ),
                ("--ipv6", arguments.ipv6 and not state.get("ipv6")),
                ("--static-arp", arguments.static_arp and not state.get("static_arp")),
            )
            if differs
        ]
        if otherwise:
            raise LabError(
                say(
                    "the lab {lab} is up without {options}",
                    lab=handle.name,
                    options=" ".join(otherwise),
                ),
                say("end it first: {command}", command=f"hoplab down --name {handle.name}"),
                Exit.TAKEN,
            )

    def _bring_up(self) -> labs.Handle:
        name = self.arguments.name or labs.DEFAULT_NAME
        topology = self.arguments.topology or self.default
        self.started = True
        return verbs_lab.bring_up(self.arguments, topology, name, capture=True, quiet=self.quiet)

    def where(self, url: str) -> tuple[str, str]:
        """What is fetched and by which host: as asked for, else what the topology names. Raises
        LabError."""
        state = self.handle.state()
        host = self.arguments.host or state["client"] or _first_host(state)
        return url or state["url"] or _first_server(state), host

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
                self.folder,
                show=show,
                timeout_s=self.arguments.timeout + longer_s,
            )
        self.recorded = True
        self.shown = show and bool(self.run.output)

    def watch(self, until: Callable[[], None]) -> None:
        """Capture while `until` runs."""
        from hoplab.client import recording

        self._begin_to_explain()
        self.run = recording.watch(self.handle, self.folder, until)

    def _begin_to_explain(self) -> None:
        """The shadow of the lab's switches comes up while the capture runs."""
        from hoplab.replay.explain import Explainer

        state = self.handle.state()
        if state.get("controller"):
            self._explain = Explainer(state)

    def tell(self, *, host: str, url: str = "", command: str = "") -> int:
        """Keep the run if that was asked for, tell it, and say how it ended: an exit code."""
        from hoplab import runs
        from hoplab.follow import passages
        from hoplab.report import as_json

        unkept = self._keep_frames()
        self.recorded = True
        run, faults = self.run, Faults()
        # What the program itself said is worth quoting when it failed.
        read = runs.read(
            self.folder,
            url=url,
            host=host,
            command=command,
            client_report=runs.complaint(run.output, run.code),
            exit_code=run.code,
            late=run.late is not None,
            interrupted=run.interrupted,
            faults=faults,
            explain=self._explain,
        )
        story = read.story
        data = {**as_json.to_dict(story, faults), "exit_code": run.code, "output": run.output}
        data["timed_out"] = run.late is not None
        data["interrupted"] = run.interrupted
        if read.passages:
            data["switches"] = passages.to_plain(read.passages)
        folder = self.save if self.save is not None and unkept is None else self.folder
        try:
            self._write(folder, data, story, faults)
        except OSError as error:
            unkept = unkept or self._unkept(error)
        self._print(data, story, faults)
        self.told = True
        if len(faults):
            self._say_untold(faults)
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

    def _keep_frames(self) -> LabError | None:
        """Copy what was captured to the --save folder, before anything is told of it: all of it or
        nothing. The error to end with, if that fails."""
        from hoplab.client import recording

        if self.save is None:
            return None
        try:
            for file in (recording.CAPTURE, recording.STATE, recording.HOSTS):
                if file != recording.HOSTS or (self.folder / file).exists():
                    shutil.copyfile(self.folder / file, self.save / file)
        except OSError as error:
            return self._unkept(error)
        self.kept = self.save
        return None

    def _unkept(self, error: OSError) -> LabError:
        """The error to end with when the run cannot be kept where it was to be."""
        from hoplab.client import recording

        if self.save is None:
            return cannot_write(error, self.folder)
        for file in (recording.CAPTURE, recording.TRACE, recording.STATE, recording.HOSTS):
            with contextlib.suppress(OSError):
                (self.save / file).unlink()
        failure = unwritable(error, self.save, "--save")
        with contextlib.suppress(OSError):
            self.save.rmdir()
        self.kept = None
        return failure

    def _say_untold(self, faults: Faults) -> None:
        """Which parts of the story are missing, and what to do about it: a fault of ours."""
        place = self._put_aside()
        parts = listed(faults.lines())
        missing: str = say(
            "not told, by a fault of hoplab: {parts}: please report it with that folder (--debug "
            "shows the traceback)",
            parts=parts,
        )
        if place is not None:
            missing = say(
                "not told, by a fault of hoplab: {parts}; the run is kept in {folder}: please "
                "report it with that folder (--debug shows the traceback)",
                parts=parts,
                folder=str(place),
            )
        sys.stderr.write(f"hoplab: {output.tr(missing)}\n")
        if self.arguments.debug:
            sys.stderr.write("\n".join(fault.trail for fault in faults.all[:20]))

    def _put_aside(self) -> Path | None:
        """Where the run is kept though nobody has asked for that, because it would be lost else:
        beside what the user works on, or where labs have their folders. None: it cannot be."""
        if self.kept is not None:
            return self.kept
        for base in (Path(), labs.state_folder() / "runs"):
            try:
                folder = _fresh_folder(base)
            except OSError:
                continue
            try:
                for entry in sorted(self.folder.iterdir()):
                    # A rename takes no room, where it can be one.
                    shutil.move(entry, folder / entry.name)
            except OSError:
                with contextlib.suppress(OSError):
                    for entry in folder.iterdir():
                        shutil.move(entry, self.folder / entry.name)
                    folder.rmdir()
                continue
            self.kept = folder
            return folder
        return None

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
        if self.save is not None and self.kept is not None:
            files = say(
                "kept in {folder}: capture.pcapng (for Wireshark), trace.json, lab.json",
                folder=str(self.save),
            )
            page = shlex.quote(min(os.path.relpath(self.save), str(self.save), key=len))
            look = say("a page to look at it: hoplab report {folder}", folder=page)
            print(f"  {output.tr(files)}\n  {output.tr(look)}")
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
        shutil.rmtree(self.folder, ignore_errors=True)
        # Whoever reads on only as far as `head` does has not failed, nor has a full disk there.
        self._end(failed=kind is not None and not self.recorded)
        if rescued is not None:
            raise rescued from error

    def _rescue(self, error: BaseException) -> LabError | None:
        """What was captured is kept if something stops us before it is told; the error that says
        where, in place of the one that stopped us."""
        from hoplab.runs import CAPTURE

        try:
            captured = (self.folder / CAPTURE).stat().st_size > 0
        except OSError:
            captured = False
        if self.told or not captured or isinstance(error, BrokenPipeError):
            return None
        if isinstance(error, LabError) and error.code in (Exit.USAGE, Exit.NO_SUCH):
            return None  # nothing was run: a host that is mistyped leaves no folder behind
        place = self._put_aside()
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
        if self._found is not None and (self.arguments.down or (failed and self.started)):
            up_down.down(self._found)


def _save_folder(wish: str | None) -> Path | None:
    """The folder to keep the run in, made now, so that a fault shows before the work is done."""
    if wish is None:
        return None
    folder = Path(wish or _dated())
    if os.path.exists(folder) and (not os.path.isdir(folder) or any(folder.iterdir())):
        raise LabError(
            say("{folder} exists and is not empty", folder=str(folder)),
            term("choose another folder for --save"),
            Exit.TAKEN,
        )
    folder.mkdir(parents=True, exist_ok=True)
    return folder.absolute()


def _dated() -> str:
    return time.strftime("hoplab-%Y%m%d-%H%M%S")


def _fresh_folder(base: Path) -> Path:
    """A new folder in `base`, named by the date. Raises OSError."""
    base.mkdir(parents=True, exist_ok=True)
    name = _dated()
    for more in ("", *(f"-{number}" for number in range(2, 100))):
        with contextlib.suppress(FileExistsError):
            folder = (base / f"{name}{more}").absolute()
            folder.mkdir()
            return folder
    raise FileExistsError(name)
