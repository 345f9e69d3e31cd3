# SPDX-License-Identifier: Apache-2.0
"""The verbs that write a running lab as a file: `save`, and make it what a file says: `apply`."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from hoplab import outfile
from hoplab.cli.output import Progress, print_json, tr
from hoplab.client import labs as client
from hoplab.client.topologies import find_topology
from hoplab.errors import Exit, LabError
from hoplab.plans import as_containers, as_file, of_file, of_lab
from hoplab.plans.becoming import become
from hoplab.plans.differences import differences
from hoplab.sentences import number_of, say, term

PRINT = "-"
MININET = "mininet"
CLAB = ".clab.yml"


def save(arguments: argparse.Namespace) -> int:
    handle = client.find(arguments.name)
    if arguments.program != MININET:
        return _save_for_others(handle, arguments)
    path = Path(f"{handle.name}.py" if arguments.file == PRINT else arguments.file)
    if path.suffix != ".py":
        raise LabError(
            say("{file} is no name for a Python file", file=path),
            say("its name must end in .py: {command}",
                command=f"hoplab save {shlex.quote(f'{path}.py')}"),
            Exit.USAGE,
        )  # fmt: skip
    if arguments.file != PRINT and path.exists() and not arguments.force:
        raise LabError(
            say("{file} is there already", file=path),
            term("--force writes over it"),
            Exit.TAKEN,
        )
    plan = of_lab.plan_of(handle)
    options = _options(handle.state())
    text, remarks = as_file.text_of(plan, path, options)
    if arguments.file == PRINT:
        print(text, end="")
    else:
        try:
            path.write_text(text)
        except OSError as error:
            raise outfile.unwritable(error, path, "FILE") from error
    command = f"hoplab up {shlex.quote(str(path))}{options}"
    if arguments.json and arguments.file != PRINT:
        print_json({"file": str(path), "topology": as_file.topo_name(path), "up": command,
                    "left_out": remarks})  # fmt: skip
        return Exit.OK
    if arguments.file != PRINT:
        print(tr(say("The lab {lab} is in {file} now: {command}", lab=handle.name, file=path,
                     command=command)))  # fmt: skip
    _say_left_out(remarks)
    return Exit.OK


def _save_for_others(handle: client.Handle, arguments: argparse.Namespace) -> int:
    """The lab as a folder of Kathará or a file of containerlab."""
    program = arguments.program
    path = Path(handle.name + CLAB if arguments.file == PRINT else arguments.file)
    if program == as_containers.CONTAINERLAB and not path.name.endswith(CLAB):
        raise LabError(
            say("{file} is no name for a file of containerlab", file=path),
            say("its name must end in {suffix}", suffix=CLAB),
            Exit.USAGE,
        )
    if arguments.file != PRINT and path.exists() and not arguments.force:
        raise LabError(
            say("{file} is there already", file=path), term("--force writes over it"), Exit.TAKEN
        )
    title = path.name.removesuffix(CLAB)
    files, remarks = as_containers.files_of(of_lab.plan_of(handle), program, title)
    if arguments.file == PRINT:
        for name, text in files.items():
            print(f"# {name}\n{text}", end="")
    else:
        _write(path if program == as_containers.KATHARA else path.parent, files)
    command = f"hoplab up {shlex.quote(str(path.absolute()))}"
    if arguments.json and arguments.file != PRINT:
        print_json({"file": str(path), "up": command, "left_out": remarks})
        return Exit.OK
    if arguments.file != PRINT:
        print(tr(say("The lab {lab} is in {file} now: {command}", lab=handle.name, file=path,
                     command=command)))  # fmt: skip
    _say_left_out(remarks)
    return Exit.OK


def _write(folder: Path, files: Mapping[str, str]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (folder / name).write_text(text)
    except OSError as error:
        raise outfile.unwritable(error, folder, "FILE") from error


def _say_left_out(remarks: Iterable[str]) -> None:
    remarks = list(remarks)
    if remarks:
        print(tr(say("The file does not have:")), file=sys.stderr)
        for remark in remarks:
            print(f"- {tr(remark)}", file=sys.stderr)


def _options(state: Mapping[str, Any]) -> str:
    """What `up` was told beside the topology, and a file cannot tell it."""
    flags = {"ipv6": "--ipv6", "static_arp": "--static-arp"}
    return "".join(f" {flag}" for key, flag in flags.items() if state.get(key))


def apply(arguments: argparse.Namespace) -> int:
    handle = client.find(arguments.name)
    wish = find_topology(arguments.topology, arguments.topo or "")
    with Progress() as progress:
        progress(term("reading the topology"))
        wanted = of_file.plan_of(wish.file, wish.parameters, wish.chosen, wish.words)
        progress(term("looking at the lab"))
        before = of_lab.plan_of(handle)
        made, left = differences(before, wanted)
        if not arguments.dry_run:
            become(handle, before, made, progress)
    option = [] if handle.name == client.DEFAULT_NAME else ["--name", handle.name]
    lines = [shlex.join(["hoplab", change.words[0], *option, *change.words[1:]]) for change in made]
    code = Exit.FAILED if left and not arguments.dry_run else Exit.OK
    if arguments.json:
        print_json({"changes": lines, "done": not arguments.dry_run, "not_changed": left})
        return code
    for line in lines:
        print(line)
    if not lines and not left:
        print(tr(say("The lab {lab} is what {file} says.", lab=handle.name, file=wish.file.name)))
    elif not arguments.dry_run and lines:
        print(tr(number_of("{n} change was made", "{n} changes were made", len(lines))))
    if left:
        print(tr(say("This wants the lab brought up anew: {command}",
                     command=f"hoplab up --replace {shlex.quote(arguments.topology)}")),
              file=sys.stderr)  # fmt: skip
        for remark in left:
            print(f"- {tr(remark)}", file=sys.stderr)
    return code
