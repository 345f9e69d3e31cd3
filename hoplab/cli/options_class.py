# SPDX-License-Identifier: Apache-2.0
"""The options of the verb that courses are held with: `class`."""

from __future__ import annotations

from typing import Any

from hoplab.cli.options import add_json, add_verb
from hoplab.sentences import listed, say, term

ACTIONS = ("new", "keys", "show", "join")


def add_class(verbs: Any) -> None:
    p = add_verb(
        verbs,
        "class",
        term("hold a course: keys, each student's own sheets"),
        [
            ("hoplab class new NET101 --students ids.csv  ", term("a course, a key file for each")),
            ("hoplab class join 4711.key                  ",
             term("as a student: take your key")),
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
        help=term("new, keys: IDs of students; show: an ID, and a sheet"),
    )  # fmt: skip
    p.add_argument(
        "--students", metavar="FILE",
        help=term("new, keys: a list of IDs, a line each, or the first column of a CSV file"),
    )  # fmt: skip
    add_json(p)
