# SPDX-License-Identifier: Apache-2.0
"""Says one line to QEMU's monitor and prints the answer: monitor.py SOCKET stop"""

from __future__ import annotations

import socket
import sys

PROMPT = b"(qemu) "


def ask(path: str, line: str) -> str:
    """The monitor's answer to `line`. Raises OSError when nobody answers within 10 s."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(10)
        sock.connect(path)
        heard = b""
        for order in ("", line + "\n"):
            sock.sendall(order.encode())
            prompts = heard.count(PROMPT) + 1
            while heard.count(PROMPT) < prompts:
                part = sock.recv(4096)
                if not part:
                    break
                heard += part
    # The monitor echoes the line with the escape codes of its line editor, and ends with a prompt.
    answer = heard.decode(errors="replace").split("\r\n", 2)[-1]
    return answer.removesuffix(PROMPT.decode()).strip()


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    print(ask(*sys.argv[1:]))
