# SPDX-License-Identifier: Apache-2.0
"""A controller process that is begun before anybody knows what it is to run.

Loading Ryu takes longer than building a small network. Which apps to run is known only when the
topology has been read, so the process loads Ryu meanwhile and waits for one line on its stdin:
the arguments and variables that it would else have been started with.

Little is imported here, for this is the first thing that a lab does. A spare that is not wanted
ends when its stdin does.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from hoplab import content
from hoplab.imports import formats
from hoplab.openflow_channel import CONTROLLER_PORTS

PORT = CONTROLLER_PORTS[0]  # where the first controller of a lab listens
WAIT = "--wait"  # the argument that makes ryu_main wait
# Python looks for modules in the folder where a process starts. It starts in none of the user's, so
# that no `queue.py` there is taken for Python's own; it goes there before it loads the apps.
START = "/"
MODULE = "hoplab.control.ryu_main"
_SWITCHES = re.compile(rb"addSwitch|topolib|(?:Tree|Linear|Torus|Switch|Minimal|Reversed)Topo")


def worth_it(topology: Path) -> bool:
    """Whether a topology file makes switches. A guess: who is wrong only loses time."""
    try:
        return formats.has_hubs(topology) or bool(_SWITCHES.search(topology.read_bytes()))
    except OSError:
        return False


def environment() -> dict[str, str]:
    """The variables of a process that finds hoplab, whatever else is on its path, and kit.py for
    a copy of one of our controllers that it was not copied along with."""
    ours = str(Path(__file__).resolve().parents[2])
    beside = str(content.folder("controllers"))
    # What is relative there is meant from where the user is.
    users = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    path = os.pathsep.join([*map(os.path.abspath, users), ours, beside])
    return {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}


def start(log: Path) -> subprocess.Popen[bytes] | None:
    """Begin a process whose output goes to `log`; None where that cannot be."""
    try:
        log.parent.mkdir(exist_ok=True)
        with open(log, "ab") as out:
            return subprocess.Popen(
                # the port is only for who looks at the list of processes
                [sys.executable, "-m", MODULE, WAIT, "--ofp-tcp-listen-port", str(PORT)],
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=out,
                env=environment(),
                cwd=START,
                start_new_session=True,
            )
    except OSError:
        return None  # a full disk, say; whoever needs the process will say so


def employ(
    process: subprocess.Popen[bytes], arguments: list[str], variables: dict[str, str]
) -> bool:
    """Tell it what to run; whether it was still there to hear it."""
    line = json.dumps({"arguments": arguments, "variables": variables}) + "\n"
    try:
        assert process.stdin is not None
        process.stdin.write(line.encode())
        process.stdin.flush()
    except OSError:
        return False
    return True


def wait_for_work() -> list[str]:
    """In the process: the arguments, once the line has come; its variables are in place. No byte
    behind the line is read. Ends the process if nobody wants it."""
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            raise SystemExit(0)
        line += byte
    work = json.loads(line)
    os.environ.update(work["variables"])
    arguments: list[str] = work["arguments"]
    return arguments
