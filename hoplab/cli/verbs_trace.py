# SPDX-License-Identifier: Apache-2.0
"""The verbs that follow packets: `visit` and `trace`."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shlex
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from hoplab import client, content
from hoplab.cli import output, verbs_lab
from hoplab.cli.verbs_host import _command
from hoplab.errors import Exit, LabError, cannot_write
from hoplab.outfile import unwritable

LONGER_S = 10  # a fetch that gives up by itself says why, and has a story


def visit(arguments: argparse.Namespace) -> int:
    from hoplab import record

    wish = _wished_url(arguments)
    with _Lab(arguments, default="web") as lab:
        url, host = lab.where(wish)
        command = record.fetch_command(url, arguments.timeout, every=arguments.all)
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
            f"{url} is no http:// URL",
            f"labs speak HTTP, plain or by TLS (https://): hoplab visit http://{rest}",
            Exit.USAGE,
        )
    try:
        url.encode()
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise LabError(
            f"{url} is no URL: {error}", "like this: http://NAME:PORT/PATH", Exit.USAGE
        ) from error
    if not host:
        raise LabError(
            f"{url} names no host",
            "like this: hoplab visit http://www.itheima.com/; in the lab web, without a URL, the "
            "lab's own page is fetched",
            Exit.USAGE,
        )


def trace(arguments: argparse.Namespace) -> int:
    command = _command(arguments)
    if not command and (arguments.host or not arguments.live):
        raise LabError(
            "no command was given" if arguments.host else "no host and no command were given",
            f"hoplab trace {arguments.host or 'HOST'} -- ping -c 1 ADDRESS",
            Exit.USAGE,
        )
    if arguments.live and arguments.save is not None:
        raise LabError(
            "--live keeps nothing, so there is nothing to --save",
            "leave --live out, or run `hoplab capture` beside it",
            Exit.USAGE,
        )
    with _Lab(arguments, default="switch") as lab:
        if arguments.live:
            from hoplab.cli import verbs_live

            return verbs_live.follow(lab.handle, arguments, command)
        lab.record(arguments.host, command)
        return lab.tell(host=arguments.host, command=shlex.join(command))


def _first_host(state: dict[str, Any]) -> str:
    hosts = [node["name"] for node in state["nodes"] if node["kind"] == "host"]
    return str(hosts[0])


def _first_server(state: dict[str, Any]) -> str:
    raise LabError(
        f"the topology {state['topology']} names no URL to visit",
        "give one: hoplab visit http://ADDRESS/",
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
        self.quiet = arguments.json
        self._found: client.Handle | None = None

    def __enter__(self) -> _Lab:
        arguments = self.arguments
        try:
            self.save = _save_folder(arguments.save)
        except OSError as error:
            raise unwritable(error, error.filename or arguments.save, "--save") from error
        try:
            self._found = self._find() or self._bring_up()
            client.release_interrupts()  # from here on `_end` can end it
            # Beside the lab's own files: the lab sees it, and it goes with the lab.
            self.folder = Path(tempfile.mkdtemp(prefix="run-", dir=self.handle.folder))
        except OSError as error:
            self._end(failed=True)
            raise cannot_write(error, client.labs_folder()) from error
        except BaseException:
            self._end(failed=True)
            raise
        return self

    @property
    def handle(self) -> client.Handle:
        """The lab, once entered."""
        assert self._found is not None
        return self._found

    def _find(self) -> client.Handle | None:
        arguments = self.arguments
        try:
            handle = client.find(arguments.name)
        except LabError as error:
            if client.live() and arguments.name is None:
                raise error
            return None
        state = handle.state()
        if arguments.topology:
            file, chosen, parameters = verbs_lab.find_topology(arguments.topology)
            there = state["topology_file"], state.get("chosen", ""), state["arguments"]
            if (str(file), chosen, parameters) != there:
                raise LabError(
                    f"the lab {handle.name} is up with another topology, {state['topology']}",
                    f"end it (hoplab down --name {handle.name}), or bring up a second one with "
                    "--name",
                    Exit.TAKEN,
                )
        self._check_options(handle, state)
        if arguments.controller:
            files = content.find_all("controllers", arguments.controller)
            if ",".join(map(str, files)) != state["controller_file"]:
                with output.Progress(self.quiet) as progress:
                    progress(f"putting {arguments.controller} in charge")
                    verbs_lab.swap_to(handle, files)
        return handle

    def _check_options(self, handle: client.Handle, state: dict[str, Any]) -> None:
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
                f"the lab {handle.name} is up without {' '.join(otherwise)}",
                f"end it first: hoplab down --name {handle.name}",
                Exit.TAKEN,
            )

    def _bring_up(self) -> client.Handle:
        name = self.arguments.name or client.DEFAULT_NAME
        topology = self.arguments.topology or self.default
        self.started = True
        return verbs_lab.bring_up(self.arguments, topology, name, capture=True, quiet=self.quiet)

    def where(self, url: str) -> tuple[str, str]:
        """What is fetched and by which host: as asked for, else what the topology names. Raises
        LabError."""
        state = self.handle.state()
        host = self.arguments.host or state["client"] or _first_host(state)
        return url or state["url"] or _first_server(state), host

    def record(self, host: str, command: list[str], longer_s: float = 0) -> None:
        from hoplab import record

        with output.Progress(self.quiet) as progress:
            progress("capturing")
            self.run = record.record(
                self.handle,
                host,
                command,
                self.folder,
                timeout_s=self.arguments.timeout + longer_s,
            )

    def watch(self, until: Callable[[], None]) -> None:
        """Capture while `until` runs."""
        from hoplab import record

        self.run = record.watch(self.handle, self.folder, until)

    def tell(self, *, host: str, url: str = "", command: str = "") -> int:
        from hoplab import record, runs
        from hoplab.report import as_json, terminal
        from hoplab.report.language import code_from, language

        # What the program itself said is worth quoting when it failed.
        story = runs.read(
            self.folder,
            url=url,
            host=host,
            command=command,
            said=runs.complaint(self.run.output, self.run.code),
            exit_code=self.run.code if command or url else None,
            late=self.run.late is not None,
        ).story
        data = {**as_json.to_dict(story), "exit_code": self.run.code, "output": self.run.output}
        data["timed_out"] = self.run.late is not None
        try:
            text = json.dumps(data, indent=1, ensure_ascii=False)
            (self.folder / record.TRACE).write_bytes(text.encode("utf-8", "backslashreplace"))
            if self.save is not None:
                record.annotate(self.folder, story)
        except OSError as error:
            raise cannot_write(error, self.folder) from error
        if self.save is not None:
            self._keep(self.save)
        self.recorded = True
        if self.arguments.json:
            output.print_json(data)
        else:
            print(
                terminal.render(
                    story,
                    width=output.terminal_width(),
                    color=output.colour_wanted(),
                    detail=self.arguments.detail,
                    ascii=not output.is_utf8(),
                    tr=language(self.arguments.lang or code_from(os.environ)),
                )
            )
            if getattr(self.arguments, "all", False):
                self._waterfall()
            self._footer()
            if self.run.late is not None:
                raise self.run.late
        return Exit.OK if self.run.code == 0 else Exit.FAILED

    def _keep(self, save: Path) -> None:
        """Copy the run: all of it or nothing. Raises LabError."""
        from hoplab import record

        files = (record.CAPTURE, record.TRACE, record.STATE)
        try:
            for file in files:
                shutil.copyfile(self.folder / file, save / file)
        except OSError as error:
            for file in files:
                (save / file).unlink(missing_ok=True)
            raise unwritable(error, save, "--save") from error

    def _waterfall(self) -> None:
        """When the client waited for what, as it saw it itself."""
        from hoplab import runs
        from hoplab.report.language import code_from, language

        lines = runs.waterfall(self.run.output)
        if lines:
            tr = language(self.arguments.lang or code_from(os.environ))
            print(f"  {tr('What the client waited for, by its own clock:')}")
            print("\n".join(f"  {line}" for line in lines) + "\n")

    def _footer(self) -> None:
        if not self.run.quiet:
            print("  note: the network was not quiet at the end; frames may be missing there")
        if self.save is not None:
            print(f"  kept in {self.save}: capture.pcapng (for Wireshark), trace.json, lab.json")
            page = shlex.quote(min(os.path.relpath(self.save), str(self.save), key=len))
            print(f"  a page to look at it: hoplab report {page}")
        if self.started and not self.arguments.down:
            name = self.handle.name
            option = "" if name == client.DEFAULT_NAME else f" --name {name}"
            steps = verbs_lab.next_steps(self.handle.state(), option)
            lab = "the lab" if name == client.DEFAULT_NAME else f"the lab {name}"
            print(output.listed(f"  {lab} stays up; next:", steps))

    def __exit__(self, kind: Any, error: Any, trail: Any) -> None:
        client.hold_interrupts()  # whether the lab stays is decided, and said
        shutil.rmtree(self.folder, ignore_errors=True)
        # Whoever reads on only as far as `head` does has not failed, nor has a full disk there.
        self._end(failed=kind is not None and not self.recorded)

    def _end(self, *, failed: bool) -> None:
        """End the lab if it was asked for, or if it was brought up for something that failed; an
        empty --save folder has nothing to tell."""
        if failed and self.save is not None:
            with contextlib.suppress(OSError):
                self.save.rmdir()
        if self._found is not None and (self.arguments.down or (failed and self.started)):
            client.down(self._found)


def _save_folder(wish: str | None) -> Path | None:
    """The folder to keep the run in, made now, so that a fault shows before the work is done."""
    if wish is None:
        return None
    folder = Path(wish or time.strftime("hoplab-%Y%m%d-%H%M%S"))
    if os.path.exists(folder) and (not os.path.isdir(folder) or any(folder.iterdir())):
        raise LabError(
            f"{folder} exists and is not empty", "choose another folder for --save", Exit.TAKEN
        )
    folder.mkdir(parents=True, exist_ok=True)
    return folder.absolute()
