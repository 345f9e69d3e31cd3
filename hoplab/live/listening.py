# SPDX-License-Identifier: Apache-2.0
"""A capture of all of a lab's interfaces, written into a pipe of ours.

What lives here: how it begins, and its end as it is asked for. What must not: reading it
(`heard.py`).
"""

from __future__ import annotations

import os
import socket
from typing import Any

from hoplab.client import labs


def listen(handle: labs.Handle) -> tuple[int, socket.socket]:
    """A pipe that a capture of all interfaces is written to, and the connection at which it lives.
    Raises LabError."""
    read_end, write_end = os.pipe()
    try:
        sock = handle.connect()
        try:
            request: dict[str, Any] = {"op": "listen", "interfaces": [], "filter": None, "count": 0}
            labs.send(sock, request, (write_end,))
            labs.receive(sock, handle.name)
        except BaseException:
            sock.close()
            raise
    except BaseException:
        os.close(read_end)
        raise
    finally:
        os.close(write_end)  # the lab has it; so the pipe ends when the lab's capture ends
    return read_end, sock
