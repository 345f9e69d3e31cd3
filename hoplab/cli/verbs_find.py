# SPDX-License-Identifier: Apache-2.0
"""The verb that finds packets in a kept run: `find`. It needs files only, no lab, no rights."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hoplab import runs
from hoplab.cli import output
from hoplab.client.kept_runs import kept_folder
from hoplab.errors import Exit
from hoplab.packet_filter.grammar import parse
from hoplab.packet_filter.matching import compile_tree
from hoplab.replay.explain import Explainer
from hoplab.report import as_json, terminal
from hoplab.sentences import number_of, say
from hoplab.story.faults import Faults
from hoplab.vantage import foreign


@contextmanager
def opened(name: str) -> Iterator[Path]:
    """The folder of a kept run; that of a capture file is there for as long as it is looked at."""
    if os.path.isdir(name) or not os.path.exists(name):
        yield kept_folder(name)
        return
    with tempfile.TemporaryDirectory(prefix="hoplab-find-") as scratch:
        foreign.make_run(Path(name), Path(scratch))
        yield Path(scratch)


def find(arguments: argparse.Namespace) -> int:
    tree = parse(arguments.filter)  # what means nothing is told before anything is read
    faults = Faults()
    with opened(arguments.run) as folder, Explainer() as explain:
        run = runs.reopen(folder, faults, explain)
    means = compile_tree(tree, run)
    story = run.story
    trips = [trip for trip in story.trips if means(trip)]
    if arguments.json:
        steps = story.steps_of_trips()
        packets = [as_json.trip_data(trip, steps.get(trip.number, -1)) for trip in trips]
        data = {"found": len(trips), "of": len(story.trips)}
        output.print_json(data if arguments.count else {**data, "trips": packets})
    else:
        if not arguments.count:
            text = terminal.packet_list(
                story,
                trips,
                width=output.terminal_width(),
                color=output.colour_wanted(),
                detail=arguments.detail,
                ascii=not output.is_utf8(),
                tr=output.spoken(),
            )
            sys.stdout.write(text)
        every = number_of("{n:,} packet", "{n:,} packets", len(story.trips))
        print(output.tr(say("{n:,} of {packets}", n=len(trips), packets=every)))
    if len(faults):
        place = str(folder) if os.path.isdir(arguments.run) else ""  # a capture's has gone again
        output.print_untold(faults, place, debug=arguments.debug)
    return Exit.OK if trips else Exit.FAILED
