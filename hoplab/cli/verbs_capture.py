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
from hoplab.service.spec import LARGEST_MESSAGE

STOP_S = 30  # for a recorder that has much to write, or a pipe that is slowly read


def capture(arguments: argparse.Namespace) -> int:
    if arguments.count is not None and arguments.count < 1:
        raise LabError("--count wants a number above 0", code=Exit.USAGE)
    handle = labs.find(arguments.name)
    program = None
    if arguments.filter:
        from hoplab.capture import bpf

        program = bpf.compile(arguments.filter)
    name = arguments.file or time.strftime("hoplab-%Y%m%d-%H%M%S.pcapng")
    if name == "-":
        if sys.stdout.isatty():
            raise LabError(
                "a capture is no text for a terminal",
                "pipe it: hoplab capture -w - | tshark -r -, or write a file: -w lab.pcapng",
                Exit.USAGE,
            )
        if arguments.json:
            raise LabError("stdout cannot be both frames and --json", "-w FILE", Exit.USAGE)
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
    where = "stdout" if name == "-" else name
    listening = False
    try:
        with handle.connect() as sock:
            labs.send(sock, request, (target,))
            os.close(target)  # the lab has it; so a pipe ends when the lab's capture ends
            target = -1
            labs.receive(sock, handle.name)
            listening = True
            if not arguments.json:
                _say(f"capturing into {where}; Ctrl-C ends it")
            totals = _follow(sock, handle.name, arguments.duration)
    except BaseException:
        if file is not None and not listening:
            file.discard()
        raise
    finally:
        if target != -1:
            os.close(target)
    return _report(totals, where, arguments.json)


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
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
                f"the lab {name} ended, and the capture with it",
                "what was written until then can be read",
                Exit.LAB_DIED,
            )
        message = json.loads(data)
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
        frames, interfaces = totals["frames"], totals["interfaces"]
        text = (
            f"{frames:,} frame{'' if frames == 1 else 's'} from {interfaces} "
            f"interface{'' if interfaces == 1 else 's'} in {where}"
        )
        if totals["dropped"]:
            text += f", {totals['dropped']:,} lost: the capture could not keep up"
        _say(text)
        if failed:
            _say(f"  note: the end is missing: {totals['problem']}")
    return Exit.FAILED if failed else Exit.OK
