# SPDX-License-Identifier: Apache-2.0
"""The verb that tells anybody's capture: `tell`. It needs files only, no lab, no rights."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hoplab import runs
from hoplab.cli import output
from hoplab.cli.run_folder import save_folder
from hoplab.errors import Exit, cannot_write
from hoplab.follow.wiring import Node, Wiring
from hoplab.replay.explain import Explainer
from hoplab.report import as_json, terminal
from hoplab.report.cells import wrap
from hoplab.sentences import Sentence, listed, number_of, say, term
from hoplab.story.faults import Faults
from hoplab.vantage import evidence, foreign, one_place

_NODES_MOST = 12  # of which the text says who they are; --json has all
_HOW = {
    evidence.CLAIMED: term("it says so itself"),
    evidence.LINK_LOCAL: term("no router passes such an address on"),
    evidence.FIRST_TTL: term("likely, by the TTL"),
}


def tell(arguments: argparse.Namespace) -> int:
    faults = Faults()
    progress = output.Progress(quiet=arguments.json)
    progress(say("reading {file}", file=arguments.file))
    with progress, as_run(arguments.file, arguments) as (folder, wiring), Explainer() as explain:
        progress(term("telling what its frames show"))
        run = runs.reopen(folder, faults, explain)
        progress.done()
        data: dict[str, Any] = {}
        if arguments.json or arguments.save is not None:  # of a large capture it is large, too
            data = as_json.to_dict(run.story, faults)
            data["source"] = _source(arguments.file, wiring)
        if arguments.save is not None:
            _write_head(folder, data)
        if arguments.json:
            output.print_json(data)
        else:
            _print(run, wiring, arguments.detail, faults)
        if arguments.save is not None and not arguments.json:
            output.print_kept(folder)
        if arguments.play:
            from hoplab.cli.verbs_report import play

            play(folder)
        if len(faults):
            place = str(folder) if arguments.save is not None else ""
            output.print_untold(faults, place, debug=arguments.debug)
    return Exit.OK


@contextmanager
def as_run(file: str, arguments: argparse.Namespace) -> Iterator[tuple[Path, Wiring]]:
    """The capture as a run folder, and its wiring: in the folder of --save, else for as long as it
    is told."""
    wiring = foreign.wiring_in(Path(arguments.wiring)) if arguments.wiring else None
    if arguments.play and arguments.save is None:
        arguments.save = ""
    with tempfile.TemporaryDirectory(prefix="hoplab-tell-") as scratch:
        # Read before the folder of --save is made: a file that is none leaves no folder behind.
        described = foreign.make_run(
            Path(file), Path(scratch), interface=arguments.interface or "", wiring=wiring
        )
        kept = save_folder(arguments.save)
        if kept is None:
            yield Path(scratch), described
            return
        try:
            for name in (runs.CAPTURE, runs.STATE):
                (kept / name).write_bytes((Path(scratch) / name).read_bytes())
        except OSError as error:
            raise cannot_write(error, kept) from error
        yield kept, described


def _write_head(folder: Path, data: dict[str, Any]) -> None:
    text = json.dumps(data, indent=1, ensure_ascii=False)
    try:
        (folder / runs.TRACE).write_bytes(text.encode("utf-8", "backslashreplace"))
    except OSError as error:
        raise cannot_write(error, folder) from error


def _source(file: str, wiring: Wiring) -> dict[str, Any]:
    """What was told, and who is who in it, as data."""
    place = wiring.extra.get(one_place.PLACE)
    source: dict[str, Any] = {"file": os.path.abspath(file), "place": place}
    if place:
        source["nodes"] = [
            {"name": node.name, "kind": node.kind, "macs": _macs(wiring, node.name), **node.extra}
            for node in wiring.nodes.values()
            if node.name != place
        ]
    return source


def _macs(wiring: Wiring, node: str) -> list[str]:
    macs = [wiring.interfaces[port].mac for port in wiring.ports(node)]
    return [mac for mac in macs if mac]


def _print(run: runs.Run, wiring: Wiring, detail: str, faults: Faults) -> None:
    sys.stdout.write(
        terminal.render(
            run.story,
            width=output.terminal_width(),
            color=output.colour_wanted(),
            detail=detail,
            ascii=not output.is_utf8(),
            tr=output.spoken(),
            faults=faults,
        )
    )
    if wiring.extra.get(one_place.PLACE) and detail != "brief":
        heading = output.tr(term("Who is who, as far as the frames show:"))
        print(f"  {heading}")
        margins = {"initial_indent": " " * 4, "subsequent_indent": " " * 6}
        for sentence in who_is_who(wiring):
            print("\n".join(wrap(output.tr(sentence), output.terminal_width(), **margins)))


def who_is_who(wiring: Wiring) -> list[Sentence]:
    """A line a card: its node, its MAC address, how its addresses are known, who is behind it."""
    place = wiring.extra[one_place.PLACE]
    behind: dict[str, list[str]] = {}
    for node in wiring.nodes.values():
        if "behind" in node.extra:
            behind.setdefault(str(node.extra["behind"]), []).append(node.name)
    cards = [
        node for node in wiring.nodes.values()
        if node.name != place and "behind" not in node.extra
    ]  # fmt: skip
    cards.sort(key=lambda node: -int(node.extra["frames"]))
    lines = [_card(wiring, node, behind.get(node.name, [])) for node in cards[:_NODES_MOST]]
    if len(cards) > _NODES_MOST:
        rest = len(cards) - _NODES_MOST
        lines.append(number_of("and {n:,} more card", "and {n:,} more cards", rest))
    return lines


def _card(wiring: Wiring, node: Node, behind: list[str]) -> Sentence:
    own = node.extra["known"]  # its addresses, each with how that is known
    addresses = listed(
        [
            say("{ip} ({how}, frame {frame})", ip=ip, how=_HOW[each["how"]], frame=each["frame"])
            for ip, each in own.items()
        ],
        most=4,
    )
    mac = _macs(wiring, node.name)[0]
    if not own and not node.extra["frames"]:
        return say("{mac}: no frame came from it", mac=mac)
    if not own and not behind:
        return say("{mac}: no address of its own was seen", mac=mac)
    if not behind:
        return say("{mac}: {addresses}", mac=mac, addresses=addresses)
    passed = number_of(
        "it passed packets on from {n:,} address behind it: {addresses}",
        "it passed packets on from {n:,} addresses behind it: {addresses}",
        len(behind),
        addresses=listed(behind, most=6),
    )
    if not own:
        return say("{mac}: {passed}", mac=mac, passed=passed)
    return say("{mac}: {addresses}; {passed}", mac=mac, addresses=addresses, passed=passed)
