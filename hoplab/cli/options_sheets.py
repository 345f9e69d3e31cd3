# SPDX-License-Identifier: Apache-2.0
"""The options of the verb that lab sheets are done with: `lab`."""

from __future__ import annotations

from typing import Any

from hoplab.cli.options import add_json, add_name, add_verb
from hoplab.sentences import say, term

ACTIONS = ("list", "start", "check", "answer", "hint", "show", "reset", "slides", "submit")


def add_lab(verbs: Any) -> None:
    p = add_verb(
        verbs,
        "lab",
        term("do a lab sheet that checks itself"),
        [
            ("hoplab lab start 03 ", term("bring up the lab of sheet 03")),
            ("hoplab lab check 03 ", term("which of its checks pass, and why the others do not")),
            ("hoplab lab list", ""),
            ("hoplab lab answer 02 q-network 10.0.0.128/25", ""),
            ("hoplab lab hint 03  ", term("the next hint for the first check that failed")),
            ("hoplab lab show 03 repeats", ""),
            ("hoplab lab reset 03 ", term("begin it anew")),
            ("hoplab lab check 03 --only q-copies --json", ""),
            ("hoplab lab start 02 --student 4711", ""),
            ("hoplab lab submit 02 --student 4711", term("the file to hand in")),
            ("hoplab lab check --kathara correction.yaml --name mylab", ""),
        ],
        "verbs_sheets",
    )
    p.mixed = True
    p.add_argument(
        "action", metavar="ACTION", nargs="?", help=say("one of {words}", words=" ".join(ACTIONS))
    )
    p.add_argument(
        "sheet", metavar="SHEET", nargs="?",
        help=term("its number or name, or the path of a folder with a lab.yml"),
    )  # fmt: skip
    p.add_argument(
        "words", metavar="WORD", nargs="*",
        help=term("answer: a question and its answer; show: a question, check or moment"),
    )  # fmt: skip
    add_name(p)
    p.add_argument(
        "--student", metavar="ID",
        help=term("the sheet as it is for this student of a course: an ID whose key is here "
                  "(hoplab class join), or a key file"),
    )  # fmt: skip
    p.add_argument(
        "--only", metavar="CHECK", action="append",
        help=term("this check alone; may be given again"),
    )  # fmt: skip
    p.add_argument(
        "--kathara", metavar="FILE", help=term("check a lab by a file of Kathará Lab Checker")
    )
    p.add_argument(
        "--replace", action="store_true",
        help=term("start: end the lab of this name first, if one is up"),
    )  # fmt: skip
    p.add_argument("--again", action="store_true", help=term("show: record it anew"))
    p.add_argument(
        "-o", "--output", metavar="FILE", help=term("slides, submit: the file that is written")
    )
    add_json(p)
