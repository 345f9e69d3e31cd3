# SPDX-License-Identifier: Apache-2.0
"""The options of the verbs that look at a running lab's cables and hosts, and change them."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from hoplab import quantities
from hoplab.cli.options import add_json, add_name, add_verb
from hoplab.cli.output import tr
from hoplab.sentences import say, sentence_of, term


def _read(reader: Callable[[str], float]) -> Callable[[str], float]:
    """A reader of values whose complaint argparse prints."""

    def read(text: str) -> float:
        try:
            return reader(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(tr(sentence_of(error))) from error

    return read


def _hexadecimal(text: str) -> int:
    try:
        return int(text, 16)
    except ValueError:
        raise argparse.ArgumentTypeError(
            tr(say("{text} is no number in hexadecimal", text=text))
        ) from None


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
    _add_limits(p)
    p.add_argument(
        "--clear", action="store_true", help=term("take away what was asked here since it came up")
    )
    add_json(p)


def _add_limits(parser: argparse.ArgumentParser) -> None:
    """What a cable may be asked to do."""
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
        parser.add_argument(option, metavar=metavar, type=_read(reader), help=help_text)


def _add_addresses(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--gateway", metavar="ADDRESS", help=term("its default gateway; none: it has none")
    )
    parser.add_argument(
        "--dns", metavar="ADDRESS", help=term("the DNS server that it asks; none: it asks none")
    )


def add_add(verbs: Any) -> None:
    p = add_verb(
        verbs,
        "add",
        term("add a host, a switch or a cable to a running lab"),
        [
            ("hoplab add host h5 --to s1", term("   address, gateway, DNS as its neighbours")),
            ("hoplab add cable s4 s1 --rate 10M --delay 20ms --loss 1%", ""),
            ("hoplab add switch s4     ", term("  under the controller that is in charge")),
            ("hoplab add host h6 --to s1 --ip 10.0.0.9/24 --gateway none --serve web", ""),
        ],
        "verbs_change",
    )
    p.mixed = True
    add_name(p)
    p.add_argument("what", choices=("host", "switch", "cable"), help=term("what is to be added"))
    p.add_argument(
        "names", metavar="NAME", nargs="+",
        help=term("its name; of a cable both ends, which are nodes"),
    )  # fmt: skip
    p.add_argument("--to", metavar="SWITCH", help=term("the switch that a host is joined to"))
    p.add_argument(
        "--ip", metavar="ADDRESS",
        help=term("the host's address, as in 10.0.0.5/24 (default: one that is free there)"),
    )  # fmt: skip
    _add_addresses(p)
    p.add_argument(
        "--dpid", metavar="NUMBER", type=_hexadecimal,
        help=term("a switch's datapath id, in hexadecimal (default: the number in its name)"),
    )  # fmt: skip
    p.add_argument(
        "--serve", metavar="APP", action="append",
        help=term("what the host runs: web, dns, a file or a program, with its options in quotes; "
                  "may be given again"),
    )  # fmt: skip
    _add_limits(p)
    p.add_argument(
        "--force", action="store_true",
        help=term("an address that another host has or of another subnet; a second cable"),
    )  # fmt: skip
    add_json(p)


def add_remove(verbs: Any) -> None:
    p = add_verb(
        verbs,
        "remove",
        term("take a node, or a cable, away from a running lab"),
        [
            ("hoplab remove h5   ", term("with its cables")),
            ("hoplab remove s1 s2", term("the cable of both")),
            ("hoplab remove s1-eth3 s2-eth2", ""),
            ("hoplab remove r1 --force", ""),
        ],
        "verbs_change",
    )
    p.mixed = True
    add_name(p)
    p.add_argument(
        "names", metavar="NAME", nargs="+",
        help=term("a node; or both ends of a cable: nodes or interfaces"),
    )  # fmt: skip
    p.add_argument(
        "--force", action="store_true", help=term("though it is a gateway or the DNS server")
    )
    add_json(p)


def add_set(verbs: Any) -> None:
    p = add_verb(
        verbs,
        "set",
        term("change a host's address, gateway, DNS server, or what it serves"),
        [
            ("hoplab set h1 --ip 10.0.0.9/24 --gateway 10.0.0.254 --dns none", ""),
            ("hoplab set www --service web=stop", ""),
            ("hoplab set www --service web=start", ""),
            ("hoplab set r1-eth1 --ip 10.0.3.1/24", ""),
        ],
        "verbs_change",
    )
    p.mixed = True
    add_name(p)
    p.add_argument(
        "host", metavar="HOST", help=term("a host, or one of its interfaces if it has several")
    )
    p.add_argument(
        "--ip", metavar="ADDRESS",
        help=term("its address, in place of what it has; none: it has none"),
    )  # fmt: skip
    _add_addresses(p)
    p.add_argument(
        "--service", metavar="SERVICE=stop|start|restart", action="append",
        help=term("what it serves, by its program or its port; may be given again"),
    )  # fmt: skip
    p.add_argument(
        "--force", action="store_true",
        help=term("an address that another host has, or of another subnet"),
    )  # fmt: skip
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
        "kind", metavar="KIND", nargs="*",
        help=term("of one of these kinds (default: any that fits)"),
    )  # fmt: skip
    p.add_argument(
        "--seed", type=int, metavar="N", help=term("the same number breaks the same again")
    )
    which = p.add_mutually_exclusive_group()
    which.add_argument("--tell", action="store_true", help=term("say what is broken"))
    which.add_argument("--mend", action="store_true", help=term("undo it"))
    which.add_argument("--list", action="store_true", help=term("all kinds of faults"))
    add_json(p)
