# SPDX-License-Identifier: Apache-2.0
"""The verbs that run something on a host."""

from __future__ import annotations

import argparse
import os
import sys

from hoplab.client import labs
from hoplab.errors import Exit, LabError
from hoplab.sentences import say, term


def _command(arguments: argparse.Namespace) -> list[str]:
    """The words after HOST, without the -- before them. Raises LabError for an option there: it
    would be taken for the command."""
    words: list[str] = arguments.command
    if words[:1] == ["--"]:
        return words[1:]
    if words and words[0].startswith("-"):
        raise LabError(
            say("{option} stands after the host, where the command begins", option=words[0]),
            say(
                "options go before the host: {command}",
                command=f"hoplab VERB {words[0]} {arguments.host} -- COMMAND",
            ),
            Exit.USAGE,
        )
    return words


def exec_(arguments: argparse.Namespace) -> int:
    from hoplab.client import commands

    command = _command(arguments)
    if not command:
        raise LabError(
            term("no command was given"),
            f"hoplab exec {arguments.host} -- ping -c 1 ADDRESS",
            Exit.USAGE,
        )
    return commands.pass_through(labs.find(arguments.name), arguments.host, command)


def shell(arguments: argparse.Namespace) -> int:
    from hoplab.client import commands

    handle = labs.find(arguments.name)
    command = _command(arguments) or ["bash", "--norc", "-i"]
    if not sys.stdin.isatty():
        return commands.pass_through(handle, arguments.host, _command(arguments) or ["bash"])
    os.environ["PS1"] = f"{arguments.host}:\\w\\$ "
    return commands.terminal(handle, arguments.host, command)
