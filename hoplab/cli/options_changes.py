# SPDX-License-Identifier: Apache-2.0
"""The options of the verbs that look at a running lab's cables and hosts, and change them."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from hoplab import quantities
from hoplab.cli.options import add_json, add_name, add_verb
from hoplab.cli.output import tr
from hoplab.sentences import sentence_of, term


def _read(reader: Callable[[str], float]) -> Callable[[str], float]:
    """A reader of values whose complaint argparse prints."""

    def read(text: str) -> float:
        try:
            return reader(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(tr(sentence_of(error))) from error

    return read


def add_link(verbs: Any) -> None:
    p = add_verb(
        verbs,
        "link",
        term("list the cables of a lab; cut, mend, slow one, or make it lose frames"),
        [
            ("hoplab link", ""),
            ("hoplab link h1 s1 down", ""),
            ("hoplab link h1 s1 up      ", term("with addresses, routes and neighbours as before")),
            ("hoplab link r1 r2 --rate 10M --delay 20ms --jitter 2ms --loss 1% --queue 50", ""),
            ("hoplab link r1 r2 --clear ", term("as the topology has it")),
        ],
        "verbs_link",
    )
    p.mixed = True
    add_name(p)
    p.add_argument("first", metavar="A", nargs="?", help=term("a node, or one of its interfaces"))
    p.add_argument("second", metavar="B", nargs="?", help=term("the one at the other end"))
    p.add_argument(
        "state", choices=("up", "down"), nargs="?", help=term("down: cut it; up: join it again")
    )
    for option, metavar, reader, help_text in (
        ("--rate", "RATE", quantities.bits_per_second,
         term("what each direction carries, as in 10M (bits a second)")),
        ("--delay", "TIME", quantities.milliseconds,
         term("for how long each frame is held back, in each direction, as in 20ms")),
        ("--jitter", "TIME", quantities.milliseconds,
         term("up to how much longer or shorter than that, in the same order")),
        ("--loss", "SHARE", quantities.percent, term("how many of 100 frames are lost, as in 1%%")),
        ("--queue", "N", quantities.frames,
         term("how many frames wait for the rate; what comes then is dropped")),
    ):  # fmt: skip
        p.add_argument(option, metavar=metavar, type=_read(reader), help=help_text)
    p.add_argument(
        "--clear", action="store_true", help=term("take away what was asked here since it came up")
    )
    add_json(p)


def add_break(verbs: Any) -> None:
    p = add_verb(
        verbs,
        "break",
        term("break something in a lab, for somebody to find out what"),
        [
            ("hoplab break            ", term("something; the seed is printed")),
            ("hoplab break --seed 7 wrong-gateway", ""),
            ("hoplab break --tell     ", term("what it was")),
            ("hoplab break --mend     ", term("undo it; all settings are compared")),
            ("hoplab break --list", ""),
        ],
        "verbs_break",
    )
    p.mixed = True
    add_name(p)
    p.add_argument(
        "kind", metavar="KIND", nargs="?", help=term("of which kind (default: any that fits)")
    )
    p.add_argument(
        "--seed", type=int, metavar="N", help=term("the same number breaks the same again")
    )
    which = p.add_mutually_exclusive_group()
    which.add_argument("--tell", action="store_true", help=term("say what is broken"))
    which.add_argument("--mend", action="store_true", help=term("undo it"))
    which.add_argument("--list", action="store_true", help=term("all kinds of faults"))
    add_json(p)
