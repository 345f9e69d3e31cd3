# SPDX-License-Identifier: Apache-2.0
"""The verbs that run something on a host."""

from __future__ import annotations

import argparse
import os
import sys

from hoplab import client
from hoplab.errors import Exit, LabError


def _command(arguments: argparse.Namespace) -> list[str]:
    words: list[str] = arguments.command
    return words[1:] if words[:1] == ["--"] else words


def exec_(arguments: argparse.Namespace) -> int:
    from hoplab import record

    command = _command(arguments)
    if not command:
        raise LabError(
            "no command was given",
            f"hoplab exec {arguments.host} -- ping -c 1 ADDRESS",
            Exit.USAGE,
        )
    return record.pass_through(client.find(arguments.name), arguments.host, command)


def shell(arguments: argparse.Namespace) -> int:
    from hoplab import record

    handle = client.find(arguments.name)
    command = _command(arguments) or ["bash", "--norc", "-i"]
    if not sys.stdin.isatty():
        return record.pass_through(handle, arguments.host, _command(arguments) or ["bash"])
    os.environ["PS1"] = f"{arguments.host}:\\w\\$ "
    return record.terminal(handle, arguments.host, command)
