# SPDX-License-Identifier: Apache-2.0
"""The verb that lists cables and changes one: `link`."""

from __future__ import annotations

import argparse
from typing import Any

from hoplab import quantities
from hoplab.cli.output import print_json, table, tr
from hoplab.client import changes
from hoplab.client import labs as client
from hoplab.errors import Exit, LabError
from hoplab.sentences import listed, say, term
from hoplab.service.cable_words import sentence

HEAD: list[str] = [
    term("CABLE"),
    term("STATE"),
    term("RATE"),
    term("DELAY"),
    term("LOSS"),
    term("QUEUE"),
    term("FRAMES →"),
    term("← FRAMES"),
    term("DROPPED"),
]
_STATES = {"up": term("up"), "down": term("down")}


def link(arguments: argparse.Namespace) -> int:
    handle = client.find(arguments.name)
    limits = {
        key: getattr(arguments, option[2:])
        for option, (key, _) in changes.LIMITS.items()
        if getattr(arguments, option[2:]) is not None
    }
    wanted = bool(limits or arguments.clear or arguments.state)
    forgotten = arguments.second in changes.STATES and not arguments.state
    if wanted or forgotten:
        if arguments.second is None or forgotten:
            raise LabError(
                term("of which cable?"),
                say("name both ends: {command}", command="hoplab link h1 s1 down"),
                Exit.USAGE,
            )
        request = changes.link_request(
            arguments.first, arguments.second, arguments.state, limits, clear=arguments.clear
        )
        cables = [handle.ask(request)]
    else:
        cables = _chosen(handle.ask({"op": "links"}), arguments)
    if arguments.json:
        print_json(cables[0] if wanted else cables)
    elif wanted:
        print(tr(sentence(cables[0])))
    else:
        print(table([_row(cable) for cable in cables], HEAD))
    return Exit.OK


def _chosen(cables: list[dict[str, Any]], arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """The cables of the nodes that are named, or all. Raises LabError if there are none."""
    words = [word for word in (arguments.first, arguments.second) if word]

    def joins(cable: dict[str, Any]) -> bool:
        names = [{end["node"], end["interface"]} for end in cable["ends"]]
        return all(any(word in own for own in names) for word in words)

    fitting = [cable for cable in cables if joins(cable)]
    if words and not fitting:
        nodes = listed(dict.fromkeys(end["node"] for cable in cables for end in cable["ends"]),
                       most=40)  # fmt: skip
        raise LabError(
            say("there is no cable of {names}", names=listed(words)),
            say("cables join: {names}", names=nodes),
            Exit.NO_SUCH,
        )
    return fitting


def _row(cable: dict[str, Any]) -> list[str]:
    first, second = cable["ends"]

    def both(key: str, text: Any) -> str:
        """What both ends do, or one and the other."""
        values = [text(end[key]) if end.get(key) else "-" for end in (first, second)]
        return values[0] if values[0] == values[1] else "/".join(values)

    delay = both("delay_ms", quantities.time_text)
    if first.get("jitter_ms") or second.get("jitter_ms"):
        delay = f"{delay}±{both('jitter_ms', quantities.time_text)}"
    return [
        f"{first['interface']} {second['interface']}",
        _STATES[cable["state"]],
        both("rate", quantities.rate_text),
        delay,
        both("loss", quantities.percent_text),
        both("queue", str),
        f"{first['sent']:,}",
        f"{second['sent']:,}",
        f"{first['dropped'] + second['dropped']:,}",
    ]
