# SPDX-License-Identifier: Apache-2.0
"""The moment of a run that a sheet wants to show, as the player's page names it.

What lives here: from a sheet's words to '#3@s1'. What must not: pages.
"""

from __future__ import annotations

import re

from hoplab.errors import Exit, LabError
from hoplab.packet_filter.matching import compile_filter
from hoplab.runs import Run
from hoplab.sentences import say, term
from hoplab.sheets.records import Moment


def place_of(moment: Moment, run: Run) -> str:
    """What stands behind the page's address. Raises LabError for a run without such a packet."""
    at = moment.at
    if not re.fullmatch(r"#m?\d+", at):
        test = compile_filter(at, run)
        number = next((trip.number for trip in run.story.trips if test(trip)), 0)
        if not number:
            raise LabError(
                say("in the run of {command} there is no packet {filter}",
                    command=moment.command, filter=at),
                term("is the lab as the sheet wants it at this point?"),
                Exit.FAILED,
            )  # fmt: skip
        at = f"#{number}"
    return f"{at}@{moment.node}" if moment.node else at
