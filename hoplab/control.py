# SPDX-License-Identifier: Apache-2.0
"""The controller of a lab: Ryu as a child process, and changing it while the network runs.

States of a controller process: starting -> listening -> in charge -> ended. A swap makes before it
breaks: the new controller listens before any switch hears of it, all switches change over in one
transaction, flows of the old one are taken away only when the new one has put in its own, and
only then does the old process end. A new controller that cannot start leaves the old one in charge.
Ryu itself is never imported here.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hoplab import switchd, wait
from hoplab.errors import Exit, LabError

PORTS = (6653, 6654)  # 6653 is IANA's for OpenFlow; a swap alternates
START_S = 20
FLOWS_S = 8  # how long a new controller may take to put in its first flow
_NO_MATCH = re.compile(
    r"(idle|hard)_(timeout|age)=|importance=|n_|"
    r"(send_flow_rem|check_overlap|reset_counts|no_packet_counts|no_byte_counts)$"
)
_LISTEN = "0A"  # TCP_LISTEN in /proc/net/tcp


@dataclass
class Controller:
    """One controller process. `file` is the Ryu app, `port` where it listens on 127.0.0.1."""

    file: Path
    port: int
    log: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process; `ready` waits for it. Raises LabError when there is no such file."""
        if not self.file.is_file():
            raise LabError(
                f"there is no controller file {self.file}",
                "name one of ours (`hoplab path --list`) or a file of your own",
                Exit.NO_SUCH,
            )
        if importlib.util.find_spec("ryu") is None:
            raise LabError(
                f"Ryu is not installed for {sys.executable}",
                "run scripts/install.sh in a checkout and use its .venv/bin/hoplab",
                Exit.REFUSED,
            )
        argv = [sys.executable, "-m", "hoplab.ryu_main"]
        argv += ["--ofp-listen-host", "127.0.0.1", "--ofp-tcp-listen-port", str(self.port)]
        argv += ["--wsapi-host", "127.0.0.1", str(self.file)]
        ours = str(Path(__file__).resolve().parent.parent)
        path = os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH"), ours)))
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"},
                cwd="/",
                start_new_session=True,
            )

    def ready(self) -> None:
        """Wait until it listens. Raises LabError with its last words if it ends instead."""

        def listens() -> bool:
            process = self.process
            assert process is not None
            if process.poll() is not None:
                text = switchd.tail(self.log, 12)
                where = text.splitlines()[-1] if text else f"exit code {process.returncode}"
                raise LabError(
                    f"the controller {self.file.name} ended while starting: {where}",
                    f"mend it; it can be tried alone: ryu-manager {self.file}",
                    Exit.BAD_INPUT,
                    text,
                )
            return _listening(self.port)

        wait.until(
            listens,
            f"the controller {self.file.name} to listen on port {self.port}",
            within_s=START_S,
            hint=f"its log: {self.log}",
        )

    def ended(self) -> bool:
        """Whether the process was started and is no longer there."""
        return self.process is not None and self.process.poll() is not None

    def stop(self) -> None:
        """End the process at once: its flows stay in the switches."""
        if self.process is not None and self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def _listening(port: int) -> bool:
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        words = line.split()
        if words[3] == _LISTEN and words[1].endswith(f":{port:04X}"):
            return True
    return False


@dataclass(frozen=True)
class Flow:
    """A flow as ovs-ofctl lists it: its age in seconds and the words that name it."""

    age_s: float
    table: int
    match: str


def flows(bridge: str) -> list[Flow]:
    """The flows of a bridge (OpenFlow 1.3.5, 7.3.5.2). Raises LabError."""
    found = []
    for line in switchd.ofctl("dump-flows", bridge).splitlines():
        head = re.match(r" ?cookie=\S+, duration=([\d.]+)s, table=(\d+), n_packets=", line)
        if not head:
            continue
        # The match has no spaces; what stands before it are counters, timeouts and flags.
        rest = line[: line.index(" actions=")].split(", ")[-1].split(" ")[-1]
        words = [word for word in rest.split(",") if not _NO_MATCH.match(word)]
        found.append(Flow(float(head[1]), int(head[2]), ",".join(words)))
    return found


def change_over(bridges: Sequence[str], port: int, *, first: bool) -> list[str]:
    """Put the switches under the controller on `port`, then take away what older ones left.

    Returns the bridges on which the new controller has put in no flow (they drop everything).
    Raises LabError if a switch does not connect.
    """
    if not bridges:
        return []
    began = time.monotonic()
    switchd.set_controller(bridges, [f"tcp:127.0.0.1:{port}"])
    wait.until(
        lambda: switchd.connected(bridges),
        f"{', '.join(bridges[:5])} to connect to the controller",
        within_s=20,
        longest_s=0.1,
    )
    empty = _until_flows(bridges, began)
    if not first:
        for bridge in bridges:
            _drop_older(bridge, began)
    return empty


def _until_flows(bridges: Sequence[str], began: float) -> list[str]:
    """Wait until every bridge has a flow younger than `began`; the bridges that got none."""
    waiting = list(bridges)

    def served() -> bool:
        since = time.monotonic() - began
        waiting[:] = [b for b in waiting if not any(f.age_s <= since + 0.001 for f in flows(b))]
        return not waiting

    with contextlib.suppress(LabError):
        wait.until(served, "flows", within_s=FLOWS_S)
    return waiting


def _drop_older(bridge: str, began: float) -> None:
    listed = flows(bridge)
    since = time.monotonic() - began
    for flow in listed:
        if flow.age_s > since + 0.005:
            name = ",".join(filter(None, (f"table={flow.table}", flow.match)))
            switchd.ofctl("--strict", "del-flows", bridge, name)
