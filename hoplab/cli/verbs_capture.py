# SPDX-License-Identifier: Apache-2.0
"""The verb that captures live: `capture`."""

from __future__ import annotations

import argparse
import json
import os
import socket
import sys
import time
from pathlib import Path
from typing import Any

from hoplab import wait
from hoplab.cli import output
from hoplab.client import labs
from hoplab.errors import Exit, LabError
from hoplab.outfile import OutFile
from hoplab.sentences import from_plain, number_of, say, term
from hoplab.service.spec import LARGEST_MESSAGE

STOP_S = 30  # for a recorder that has much to write, or a pipe that is slowly read


def capture(arguments: argparse.Namespace) -> int:
    if arguments.count is not None and arguments.count < 1:
        raise LabError(term("--count wants a number above 0"), code=Exit.USAGE)
    handle = labs.find(arguments.name)
    program = None
    if arguments.filter:
        from hoplab.capture import bpf

        program = bpf.compile(arguments.filter)
    name = arguments.file or time.strftime("hoplab-%Y%m%d-%H%M%S.pcapng")
    if name == "-":
        if sys.stdout.isatty():
            raise LabError(
                term("a capture is no text for a terminal"),
                term("pipe it: hoplab capture -w - | tshark -r -, or write a file: -w lab.pcapng"),
                Exit.USAGE,
            )
        if arguments.json:
            raise LabError(term("stdout cannot be both frames and --json"), "-w FILE", Exit.USAGE)
        target, file = os.dup(1), None
    else:
        file = OutFile(Path(name), "-w")
        target = file.fd
    request = {
        "op": "listen",
        "interfaces": arguments.what,
        "filter": program,
        "count": arguments.count or 0,
        "fresh": file is not None,  # what stdout is, is the shell's: there may be something before
    }
    where = term("stdout") if name == "-" else name
    listening = False
    try:
        with handle.connect() as sock:
            labs.send(sock, request, (target,))
            os.close(target)  # the lab has it; so a pipe ends when the lab's capture ends
            target = -1
            labs.receive(sock, handle.name)
            listening = True
            if not arguments.json:
                _print(say("capturing into {file}; Ctrl-C ends it", file=where))
            totals = _follow(sock, handle.name, arguments.duration)
    except BaseException:
        if file is not None and not listening:
            file.discard()
        raise
    finally:
        if target != -1:
            os.close(target)
    return _report(totals, where, arguments.json)


def _print(text: str) -> None:
    sys.stderr.write(f"{output.tr(text)}\n")
    sys.stderr.flush()


def _follow(sock: socket.socket, name: str, duration_s: float | None) -> dict[str, Any]:
    """Until the capture ends, by itself or because we say so; its totals."""
    try:
        ready = wait.readable([sock.fileno()], duration_s)
    except KeyboardInterrupt:
        ready = set()
    if ready:
        data = sock.recv(LARGEST_MESSAGE)
        if not data:
            raise LabError(
                say("the lab {lab} ended, and the capture with it", lab=name),
                term("what was written until then can be read"),
                Exit.LAB_DIED,
            )
        message = json.loads(data, object_hook=from_plain)
        if "error" in message:
            raise LabError.from_dict(message)
        totals: dict[str, Any] = message["ok"]
        return totals
    labs.send(sock, {"stop": True})
    totals = labs.receive(sock, name, STOP_S)["ok"]
    return totals


def _report(totals: dict[str, Any], where: str, as_json: bool) -> int:
    # A reader that has seen enough (head, a closed Wireshark) is how a pipe ends.
    failed = bool(totals["problem"]) and totals["ended"] != "pipe"
    if as_json:
        output.print_json({**totals, "file": where})
    else:
        values = {
            "frames": number_of("{n:,} frame", "{n:,} frames", totals["frames"]),
            "interfaces": number_of("{n} interface", "{n} interfaces", totals["interfaces"]),
            "file": where,
        }
        if totals["dropped"]:
            _print(
                say(
                    "{frames} from {interfaces} in {file}, {n:,} lost: the capture could not keep "
                    "up",
                    n=totals["dropped"],
                    **values,
                )
            )
        else:
            _print(say("{frames} from {interfaces} in {file}", **values))
        if failed:
            missing = say("the end is missing: {reason}", reason=totals["problem"])
            sys.stderr.write(f"  {output.tr(say('note: {text}', text=missing))}\n")
    return Exit.FAILED if failed else Exit.OK
