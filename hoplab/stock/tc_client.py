# SPDX-License-Identifier: Apache-2.0
"""`tc` in a script's machine, where it is about netem or takes a queue away: asks `netem.py`, and
goes on as the machine's own `tc` where that has no answer.

    python3 -IS tc_client.py /sbin/tc qdisc add dev h1-eth0 root netem delay 10ms

A program for any Python, which imports nothing of hoplab's: a network has hundreds of such calls.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from typing import Any

DOOR = "/run/hoplab/network"
_PATIENCE_S = 30


def ask(tc: str, words: list[str]) -> dict[str, Any]:
    """The answer as `netem.Answer` has it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_PATIENCE_S)
        connection.connect(DOOR)
        message = {"tc": {"words": words, "tc": tc, "parent": os.getppid()}}
        connection.sendall(json.dumps(message).encode() + b"\n")
        with connection.makefile("rb") as lines:
            answer: dict[str, Any] = json.loads(lines.readline())
            return answer


def main() -> None:
    tc, words = sys.argv[1], sys.argv[2:]
    try:
        answer = ask(tc, words)
    except (OSError, ValueError):
        answer = {"go_on": True}
    if answer.get("go_on", True):
        os.execv(tc, [tc, *words])
    sys.stderr.write(answer["printed"])
    sys.exit(answer["code"])


if __name__ == "__main__":
    main()
