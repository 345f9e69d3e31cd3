# SPDX-License-Identifier: Apache-2.0
"""What cuts a frame into fields: how far it has been cut, and how bytes are read.

What lives here: no protocol. Those are in `fields.py` and the modules named `fields_...`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from hoplab.decode import packet as wire
from hoplab.sentences import number_of, say, term
from hoplab.story.wire_text import clean


class Field(NamedTuple):
    """Bytes start to end (exclusive) of the frame. `name` is unique within a layer of a frame.
    Names, and what words there are in layers and values, are sentences (`hoplab.sentences`);
    anything else of them is data, the same in every language."""

    layer: str
    name: str
    start: int
    end: int
    value: str


class Cutter:
    """Takes fields off the front of the frame.

    end: where the frame ends, or inside a tunnel the packet. tunnels: those that the cut has come
    into, the innermost last; the layers of what is inside are named by them.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0
        self.end = len(data)
        self.tunnels: list[str] = []
        self.out: list[Field] = []

    def left(self) -> int:
        return max(0, self.end - self.at)

    @contextlib.contextmanager
    def inside(self, tunnel: str, end: int) -> Iterator[None]:
        """What is taken meanwhile lies in this tunnel, and ends there."""
        before, self.end = self.end, min(self.end, end)
        self.tunnels.append(tunnel)
        yield
        self.tunnels.pop()
        self.end = before

    def take(
        self, layer: str, name: str, size: int, read: Callable[[bytes], str] | None = None
    ) -> bytes:
        """The next `size` bytes as a field: fewer if the frame ends, none if it has ended."""
        raw = self.data[self.at : min(self.at + max(0, size), self.end)]
        if raw:
            if len(raw) < size:
                value: str = term("cut")
            else:
                value = str(number(raw)) if read is None else read(raw)
            for tunnel in reversed(self.tunnels):
                layer = say("{layer} in {tunnel}", layer=layer, tunnel=tunnel)
            self.out.append(Field(layer, name, self.at, self.at + len(raw), value))
            self.at += len(raw)
        return raw


def number(raw: bytes) -> int:
    """Bytes as a number, the most significant first."""
    return int.from_bytes(raw, "big")


def mac(raw: bytes) -> str:
    return wire.mac_text(raw)


def ip4(raw: bytes) -> str:
    return wire.ipv4_text(raw)


def ip6(raw: bytes) -> str:
    return wire.ipv6_text(raw)


def hexadecimal(raw: bytes) -> str:
    return f"0x{raw.hex()}"


def text(raw: bytes) -> str:
    return clean(raw.decode("latin-1").rstrip("\r\n"), 100)


def extent(raw: bytes) -> str:
    return number_of("{n:,} byte", "{n:,} bytes", len(raw))


def named(names: Mapping[int, str], form: str = "{}") -> Callable[[bytes], str]:
    def read(raw: bytes) -> str:
        value = form.format(number(raw))
        name = names.get(number(raw))
        return say("{value} ({name})", value=value, name=name) if name else value

    return read


def fixed(text: str) -> Callable[[bytes], str]:
    """Reads whatever the bytes are as this text, which is known already."""
    return lambda raw: text
