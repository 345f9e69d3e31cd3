# SPDX-License-Identifier: Apache-2.0
"""Web servers that behave differently, to see the difference on the wire. No sockets.

The cast
    `VARIANTS`   what can be different, by name; `Variant` is one of them
    `varied`     the body of an answer as a variant gives it: slowly, or not to its end

    python3 apps/web_server.py --variant slow --port 8080
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import NamedTuple

from protocols.http1 import Body, FilePart, Response


class Variant(NamedTuple):
    """How a server may behave otherwise.

    version: in the status line. keep: may a connection carry a second request? pause_s: before
    the answer and before each piece of it. reset: break the connection in the middle of the body.
    """

    version: bytes = b"HTTP/1.1"
    keep: bool = True
    pause_s: float = 0.0
    reset: bool = False


VARIANTS = {
    "http1.0": Variant(version=b"HTTP/1.0", keep=False),
    "no-keep-alive": Variant(keep=False),
    "slow": Variant(pause_s=0.3),
    "reset": Variant(keep=False, reset=True),
}
DEFAULT = Variant()
SLOW_PIECE = 512  # octets


class Reset(Exception):
    """The variant "reset" breaks the connection here."""


def varied(variant: Variant, response: Response) -> Body:
    """The body as this VARIANT gives it: slowly, or with a break in the middle."""
    if not variant.pause_s and not variant.reset:
        return response.body
    body = response.body
    if isinstance(body, FilePart):
        data = os.pread(body.file.fd, body.size, body.offset)
    else:
        data = body if isinstance(body, bytes) else b"".join(body)

    def pieces() -> Iterator[bytes]:
        half = len(data) // 2
        if variant.reset:
            yield data[:half]
            time.sleep(0.05)  # so that the half is on the wire before the reset overtakes it
            raise Reset
        for at in range(0, len(data), SLOW_PIECE):
            time.sleep(variant.pause_s)
            yield data[at : at + SLOW_PIECE]

    return pieces()
