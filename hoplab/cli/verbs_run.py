# SPDX-License-Identifier: Apache-2.0
"""The verbs that run somebody else's Mininet: `run` and `mn`."""

from __future__ import annotations

import argparse
import contextlib
import sys
from pathlib import Path

from hoplab import ryu_apps
from hoplab.cli.output import tr
from hoplab.cli.run_folder import save_folder
from hoplab.errors import Exit, LabError
from hoplab.outfile import unwritable
from hoplab.sentences import term


def _say(text: str) -> None:
    sys.stderr.write(f"hoplab: {tr(text)}\n")
    sys.stderr.flush()


def run(arguments: argparse.Namespace) -> int:
    words: list[str] = arguments.command
    return _run(arguments, words[1:] if words[:1] == ["--"] else words)


def mn(arguments: argparse.Namespace) -> int:
    words: list[str] = arguments.command
    return _run(arguments, ["mn", *(words[1:] if words[:1] == ["--"] else words)])


def _run(arguments: argparse.Namespace, command: list[str]) -> int:
    if not command:
        raise LabError(
            term("no command was given"), "hoplab run -- python3 my_script.py", Exit.USAGE
        )
    apps = ryu_apps.find(arguments.controller) if arguments.controller else ryu_apps.NO_APPS
    ryu_apps.check_platform(apps.apps, "ryu")
    from hoplab.client import labs, outside
    from hoplab.stock import guest
    from hoplab.stock import run as stock

    try:
        save = save_folder(arguments.save)
    except OSError as error:
        raise unwritable(error, error.filename or arguments.save, "--save") from error
    wish = guest.Wish(arguments.name, save, apps, workplace=Path(labs.here()))
    far = frozenset(arguments.outside_controller or ())
    try:
        return stock.run(
            command,
            _say,
            capture=Path(arguments.capture) if arguments.capture else None,
            datapath=arguments.datapath,
            own_tmp=not arguments.share_tmp,
            keep_tmp=Path(arguments.keep_tmp) if arguments.keep_tmp else None,
            wish=wish,
            reach=outside.Outside(arguments.no_outside_controller, far),
        )
    finally:
        if save is not None:
            with contextlib.suppress(OSError):
                save.rmdir()  # of a command that has built no network
