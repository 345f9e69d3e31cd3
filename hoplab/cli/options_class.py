# SPDX-License-Identifier: Apache-2.0
"""The options of the verb that courses are held with: `class`."""

from __future__ import annotations

from typing import Any

from hoplab.cli.options import add_json, add_verb
from hoplab.sentences import listed, say, term

ACTIONS = ("new", "keys", "show", "judge", "join")


def add_class(verbs: Any) -> None:
    p = add_verb(
        verbs,
        "class",
        term("hold a course: keys, own sheets, marks"),
        [
            ("hoplab class new NET101 --students ids.csv  ", term("a course, a key file for each")),
            ("hoplab class join 4711.key                  ",
             term("as a student: take your key")),
            ("hoplab class judge NET101 handed-in -o marks", ""),
            ("hoplab class judge NET101 handed-in --sheet ./my-sheet --json", ""),
            ("hoplab class keys NET101 4712 4713", ""),
            ("hoplab class show NET101 4711", ""),
            ("hoplab class show NET101 4711 02 --json", ""),
        ],
        "verbs_class",
    )
    p.mixed = True
    p.add_argument(
        "action", metavar="ACTION", nargs="?", help=say("one of {words}", words=listed(ACTIONS))
    )
    p.add_argument(
        "folder", metavar="COURSE", nargs="?",
        help=term("the course's folder; join: a key file"),
    )  # fmt: skip
    p.add_argument(
        "words", metavar="WORD", nargs="*",
        help=term("new, keys: IDs of students; show: an ID, and a sheet; judge: a folder of what "
                  "was handed in, or one file"),
    )  # fmt: skip
    p.add_argument(
        "--students", metavar="FILE",
        help=term("new, keys: a list of IDs, a line each, or the first column of a CSV file"),
    )  # fmt: skip
    p.add_argument(
        "--sheet", metavar="SHEET", action="append",
        help=term("judge: take this sheet; may be given again (default: all of hoplab's own)"),
    )  # fmt: skip
    p.add_argument(
        "-o", "--output", metavar="FOLDER",
        help=term("judge: where page, tables and results are written"),
    )  # fmt: skip
    p.add_argument(
        "--jobs", metavar="N", type=int,
        help=term("judge: so many at a time (default: one for each core)"),
    )  # fmt: skip
    add_json(p)
