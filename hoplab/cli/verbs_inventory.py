# SPDX-License-Identifier: Apache-2.0
"""What is in one lab: `ls LAB` as text, and the picture that `up` ends with."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hoplab import outfile
from hoplab.cli import output
from hoplab.cli.output import print_json, table, terminal_width, tr
from hoplab.client import labs as client
from hoplab.client.inventory import inventory
from hoplab.errors import Exit
from hoplab.follow.wiring import Wiring
from hoplab.report.tree_picture import tree
from hoplab.sentences import listed, say, term

SMALL = 16  # nodes; a larger network is drawn when somebody asks
COLUMNS = 80
HOST_HEAD: list[str] = [
    term("HOST"), term("INTERFACE"), term("ADDRESS"), term("GATEWAY"), term("DNS"),
    term("SERVICES"),
]  # fmt: skip
SWITCH_HEAD: list[str] = [term("SWITCH"), term("CONTROLLER"), term("FLOWS"), term("PORTS")]


def show(arguments: argparse.Namespace) -> int:
    """Tell of one lab. Raises LabError."""
    handle = client.find(arguments.lab)
    if arguments.svg:
        return _write_svg(handle, Path(arguments.svg))
    data = inventory(handle)
    if arguments.json:
        print_json(data)
        return Exit.OK
    controller = data["controller"] or tr(term("none"))
    heading = say(
        "lab {lab}: topology {topology}, controller {controller}, datapath {datapath}",
        lab=data["name"], topology=data["topology"], controller=controller,
        datapath=data["datapath"],
    )  # fmt: skip
    print(tr(heading))
    if data["hosts"]:
        print()
        print(table([row for host in data["hosts"] for row in _host_rows(host)], HOST_HEAD))
    if data["switches"]:
        print()
        print(table([_switch_row(switch) for switch in data["switches"]], SWITCH_HEAD))
    cut = [cable for cable in data["cables"] if cable["state"] == "down"]
    print()
    print("\n".join(picture(handle.state(), cut)))
    return Exit.OK


def picture(state: dict[str, Any], cut: list[dict[str, Any]] | None = None) -> list[str]:
    """The network as lines. state: lab.json; cut: the cables that are, as `link` has them."""
    dead = {end["interface"] for cable in cut or () for end in cable["ends"]}
    columns = min(COLUMNS, terminal_width())
    return tree(Wiring.from_dict(state), columns, tr, cut=dead, unicode=output.is_utf8())


def is_small(state: dict[str, Any]) -> bool:
    return len(state["nodes"]) <= SMALL


def _host_rows(host: dict[str, Any]) -> Iterator[list[str]]:
    services = _services(host["services"])
    last = [host["gateway"] or "-", ", ".join(host["dns"]) or "-", services or "-"]
    for place, each in enumerate(host["interfaces"] or [{"name": "-", "addresses": []}]):
        addresses = ", ".join(each["addresses"]) or "-"
        if not each.get("up", True):
            addresses = tr(say("{addresses} (down)", addresses=addresses))
        first = [host["name"], each["name"], addresses]
        yield [*first, *last] if not place else ["", *first[1:], "", "", ""]


def _services(listeners: list[dict[str, Any]]) -> str:
    """'dns_server.py tcp/53 udp/53': each program once, with all that it serves."""
    by_program: dict[str, dict[str, None]] = {}
    for each in listeners:
        where = f"{each['protocol']}/{each['port']}"
        by_program.setdefault(each["program"], {})[where] = None
    return listed(
        " ".join([program, *ports] if program else ports) for program, ports in by_program.items()
    )


def _switch_row(switch: dict[str, Any]) -> list[str]:
    controller = switch["controller"] or "-"
    if switch["controller"] and switch["connected"] is False:
        controller = say("{controller} (not connected)", controller=controller)
    flows = "-" if switch["flows"] is None else str(switch["flows"])
    return [switch["name"], controller, flows, listed(switch["ports"], most=6)]


def _write_svg(handle: client.Handle, path: Path) -> int:
    from hoplab.report.drawing import network

    text = network(Wiring.from_dict(handle.state()), output.spoken())
    if str(path) == "-":
        print(text, end="")
        return Exit.OK
    file = outfile.OutFile(path, "--svg")
    outfile.empty(file.fd)
    with open(file.fd, "w", encoding="utf-8") as out:
        try:
            out.write(text)
        except OSError as error:
            raise outfile.unwritable(error, path, "--svg") from error
    print(tr(say("written: {file}", file=str(path))))
    return Exit.OK
