# SPDX-License-Identifier: Apache-2.0
"""Kept runs as a list, and one of them removed: `ls --runs`."""

from __future__ import annotations

import argparse
import os
import time

from hoplab.cli.output import print_json, table, tr
from hoplab.client import kept_runs
from hoplab.errors import Exit, LabError
from hoplab.quantities import size_text
from hoplab.sentences import number_of, say, term

HEAD: list[str] = [term("RUN"), term("KEPT"), term("SIZE"), term("OF"), term("FOLDER")]


def show(arguments: argparse.Namespace) -> int:
    """List kept runs, or remove one. Raises LabError."""
    if not arguments.runs or arguments.lab or arguments.svg:
        raise LabError(
            term("--runs and --remove are about kept runs, and about no lab"),
            "hoplab ls --runs --remove RUN",
            Exit.USAGE,
        )
    if arguments.remove is not None:
        run = kept_runs.find(arguments.remove)
        kept_runs.remove(run)
        if arguments.json:
            print_json({"removed": str(run.folder)})
        else:
            print(tr(say("removed: {folder}", folder=str(run.folder))))
        return Exit.OK
    runs = kept_runs.kept_runs()
    if arguments.json:
        print_json([
            {"name": run.name, "folder": str(run.folder), "size": run.size, "kept": run.made_s,
             "of": run.about()}
            for run in runs
        ])  # fmt: skip
        return Exit.OK
    if not runs:
        none = say("no run is kept here; keep one: {command}", command="hoplab visit --save my-run")
        print(tr(none))
        return Exit.OK
    rows = [
        [run.name, time.strftime("%Y-%m-%d %H:%M", time.localtime(run.made_s)),
         size_text(run.size), run.about() or "-",
         min(os.path.relpath(run.folder), str(run.folder), key=len)]
        for run in runs
    ]  # fmt: skip
    print(table(rows, HEAD))
    total = sum(run.size for run in runs)
    count = number_of("{n:,} run, {size}", "{n:,} runs, {size}", len(runs), size=size_text(total))
    print(tr(count))
    return Exit.OK
