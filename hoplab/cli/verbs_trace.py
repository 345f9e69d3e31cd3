# SPDX-License-Identifier: Apache-2.0
"""The verbs that follow packets: `visit` and `trace`."""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from hoplab import client, content
from hoplab.cli import output, verbs_lab
from hoplab.cli.verbs_host import _command
from hoplab.errors import Exit, LabError
from hoplab.lab import no_space


def visit(arguments: argparse.Namespace) -> int:
    from hoplab import record

    url = arguments.url
    if url and "://" not in url:
        url = f"http://{url}"
    if url and not url.startswith("http://"):
        raise LabError(
            f"{url} is no http:// URL", "labs speak plain HTTP: it can be read", Exit.USAGE
        )
    with _Lab(arguments, default="web") as lab:
        state = lab.handle.state()
        url = url or state["url"] or _first_server(state)
        host = arguments.host or state["client"] or _first_host(state)
        command = record.fetch_command(url, arguments.timeout)
        lab.record(host, command)
        return lab.tell(url=url, host=host)


def trace(arguments: argparse.Namespace) -> int:
    command = _command(arguments)
    if not command:
        raise LabError(
            "no command was given",
            f"hoplab trace {arguments.host} -- ping -c 1 ADDRESS",
            Exit.USAGE,
        )
    with _Lab(arguments, default="switch") as lab:
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
        self.quiet = arguments.json

    def __enter__(self) -> _Lab:
        arguments = self.arguments
        try:
            self.save = _save_folder(arguments.save)
            self.folder = Path(tempfile.mkdtemp(prefix="hoplab-"))
        except OSError as error:
            raise no_space(error, Path(error.filename or ".")) from error
        try:
            self.handle = self._find() or self._bring_up()
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise
        return self

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
            file, parameters = verbs_lab.find_topology(arguments.topology)
            if (str(file), parameters) != (state["topology_file"], state["arguments"]):
                raise LabError(
                    f"the lab {handle.name} is up with another topology, {state['topology']}",
                    f"end it (hoplab down --name {handle.name}), or bring up a second one with "
                    "--name",
                    Exit.TAKEN,
                )
        if arguments.controller:
            files = [str(f) for f in content.find_all("controllers", arguments.controller)]
            if ",".join(files) != state["controller_file"]:
                with output.Progress(self.quiet) as progress:
                    progress(f"putting {arguments.controller} in charge")
                    handle.ask({"op": "swap", "files": files})
        return handle

    def _bring_up(self) -> client.Handle:
        name = self.arguments.name or client.DEFAULT_NAME
        topology = self.arguments.topology or self.default
        self.started = True
        return verbs_lab.bring_up(self.arguments, topology, name, capture=True, quiet=self.quiet)

    def record(self, host: str, command: list[str]) -> None:
        from hoplab import record

        with output.Progress(self.quiet) as progress:
            progress("capturing")
            self.run = record.record(
                self.handle, host, command, self.folder, timeout_s=self.arguments.timeout
            )

    def tell(self, *, host: str, url: str = "", command: str = "") -> int:
        from hoplab import record
        from hoplab.report import as_json, terminal

        # What the program itself said is worth quoting when it failed.
        said = " ".join(self.run.output.split()) if self.run.code else ""
        story = record.tell(self.folder, url=url, host=host, command=command, said=said)
        data = {**as_json.to_dict(story), "exit_code": self.run.code, "output": self.run.output}
        try:
            (self.folder / record.TRACE).write_text(json.dumps(data, indent=1, ensure_ascii=False))
            if self.save is not None:
                for file in (record.CAPTURE, record.TRACE, record.STATE):
                    shutil.copyfile(self.folder / file, self.save / file)
        except OSError as error:
            raise no_space(error, self.save or self.folder) from error
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
                )
            )
            self._footer()
        return Exit.OK if self.run.code == 0 else Exit.FAILED

    def _footer(self) -> None:
        if not self.run.quiet:
            print("  note: the network was not quiet at the end; frames may be missing there")
        if self.save is not None:
            print(
                f"  kept in {self.save}: capture.pcapng (for Wireshark), trace.json, lab.json"
            )
        if self.started and not self.arguments.down:
            name = self.handle.name
            option = "" if name == client.DEFAULT_NAME else f" --name {name}"
            state = self.handle.state()
            other = "hub" if state["controller"] != "hub" else "learning_switch"
            swap = f"hoplab swap{option} {other}; " if state["controller"] else ""
            print(f"  the lab {name} stays up: {swap}hoplab shell{option} "
                  f"{state['client'] or _first_host(state)}; hoplab down{option}")  # fmt: skip

    def __exit__(self, kind: Any, error: Any, trail: Any) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        failed = kind is not None and self.started
        if (self.arguments.down or failed) and hasattr(self, "handle"):
            client.down(self.handle)


def _save_folder(wish: str | None) -> Path | None:
    """The folder to keep the run in, made now, so that a fault shows before the work is done."""
    if wish is None:
        return None
    folder = Path(wish or time.strftime("hoplab-%Y%m%d-%H%M%S"))
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise LabError(
            f"{folder} exists and is not empty", "choose another folder for --save", Exit.TAKEN
        )
    folder.mkdir(parents=True, exist_ok=True)
    return folder.absolute()
