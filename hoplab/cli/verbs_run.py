# SPDX-License-Identifier: Apache-2.0
"""The verbs that run somebody else's Mininet: `run` and `mn`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from hoplab.cli.output import tr
from hoplab.errors import Exit, LabError
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
    from hoplab.stock import run as guest

    return guest.run(
        command,
        _say,
        capture=Path(arguments.capture) if arguments.capture else None,
        datapath=arguments.datapath,
        own_tmp=not arguments.share_tmp,
        keep_tmp=Path(arguments.keep_tmp) if arguments.keep_tmp else None,
    )
