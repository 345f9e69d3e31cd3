# SPDX-License-Identifier: Apache-2.0
"""The verbs that run something on a host."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Sequence

from hoplab import programs
from hoplab.client import labs
from hoplab.errors import Exit, LabError
from hoplab.nearest import did_you_mean
from hoplab.sentences import listed, say, term, together


def _command(arguments: argparse.Namespace) -> list[str]:
    """The words after HOST, without the -- before them. Raises LabError for an option there: it
    would be taken for the command."""
    words: list[str] = arguments.command
    if words[:1] == ["--"]:
        return words[1:]
    if words and words[0].startswith("-"):
        verb = arguments.verb.partition(":")[2]
        meant = forgotten(arguments.host, verb, words)
        if meant:
            raise LabError(
                say("{program} stands where the host belongs", program=arguments.host),
                meant,
                Exit.USAGE,
            )
        raise LabError(
            say("{option} stands after the host, where the command begins", option=words[0]),
            say(
                "options go before the host: {command}",
                command=_options_first(verb, arguments.host, words),
            ),
            Exit.USAGE,
        )
    return words


def _options_first(verb: str, host: str, words: Sequence[str]) -> str:
    """The command line with the options, which stand at the beginning of `words`, before the host.
    Where no -- ends them nobody can tell what is an option's value and what the command."""
    if "--" in words[:-1]:
        end = words.index("--")
        return f"hoplab {verb} {shlex.join([*words[:end], host, *words[end:]])}"
    return f"hoplab {verb} {words[0]} {host} -- COMMAND"


def check_host(handle: labs.Handle, host: str, verb: str, command: Sequence[str]) -> None:
    """Raises LabError for a host that there is not: with the name that is meant, or saying that it
    was forgotten, where a program stands in its place."""
    names = [node["name"] for node in handle.state()["nodes"]]
    if host in names:
        return
    near = did_you_mean(host, names)
    hint: str = say("it has: {names}", names=listed(names, most=40))
    raise LabError(
        say("this lab has no host {host}", host=host),
        together(near or forgotten(host, verb, command), hint),
        Exit.NO_SUCH,
    )


def forgotten(word: str, verb: str, command: Sequence[str]) -> str:
    """The line that is meant where a program stands in the place of the host, else ""."""
    if not word or not programs.find(word):
        return ""
    line = shlex.join([word, *command])
    return say("was the host forgotten? {command}", command=f"hoplab {verb} HOST -- {line}")


def exec_(arguments: argparse.Namespace) -> int:
    from hoplab.client import commands

    command = _command(arguments)
    if not command:
        raise LabError(
            term("no command was given"),
            forgotten(arguments.host, "exec", [])
            or f"hoplab exec {arguments.host} -- ping -c 1 ADDRESS",
            Exit.USAGE,
        )
    handle = labs.find(arguments.name)
    check_host(handle, arguments.host, "exec", command)
    return commands.pass_through(handle, arguments.host, command)


def shell(arguments: argparse.Namespace) -> int:
    from hoplab.client import commands

    handle = labs.find(arguments.name)
    command = _command(arguments) or ["bash", "--norc", "-i"]
    check_host(handle, arguments.host, "shell", _command(arguments))
    if not sys.stdin.isatty():
        return commands.pass_through(handle, arguments.host, _command(arguments) or ["bash"])
    os.environ["PS1"] = f"{arguments.host}:\\w\\$ "
    return commands.terminal(handle, arguments.host, command)
