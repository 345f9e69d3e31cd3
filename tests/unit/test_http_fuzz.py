# SPDX-License-Identifier: Apache-2.0
"""Both HTTP parsers under damaged input: no crash, no hang, no growth, and the same result however
the bytes arrive.

The seeds are the request corpus and a few responses; they are cut, glued, and damaged at random.
An input that fails is printed, so that it can be sent again. A campaign of any length:

    HOPLAB_FUZZ=5000000 SEED=7 pytest -m long tests/unit/test_http_fuzz.py
"""

from __future__ import annotations

import os
import random
import resource
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "apps"))

from protocols import http1
from protocols.fetch_errors import FetchError
from protocols.fetch_response import ResponseReader

from tests.unit.http_corpus import CASES

REQUESTS = [raw for raw in CASES.values() if len(raw) < 3000]
OK = b"HTTP/1.1 200 OK\r\n"
RESPONSES = [
    OK + b"Content-Length: 5\r\n\r\nhello",
    OK + b"Content-Length: 5, 5\r\n\r\nhello",
    OK + b"\r\nuntil the end",
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.0 404\nContent-Length: 2\n\nno",
    b'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 304 Not Modified\r\nETag: "x"\r\n\r\n',
    OK
    + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nA ; x=y\r\n, world...\r\n0\r\nT: x\r\n\r\n",
    OK + b"Transfer-Encoding: gzip, chunked\r\nConnection: close\r\n\r\n1\r\nx\r\n0\r\n\r\n",
    b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n",
]
WORDS = [
    b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b":", b",", b";", b"\xff", b"-1", b"%2e",
    b"chunked", b"Transfer-Encoding: ", b"Content-Length: ", b"Host: a\r\n", b"HTTP/1.1",
    b"0\r\n\r\n", b"5\r\n", b"ffffffffffffffff", b"\r\n\r\n", b"GET / HTTP/1.1\r\n",
    b"Expect: 100-continue\r\n", b"close",
]  # fmt: skip
MOST_HELD = http1.MAX_HEAD + 2 * http1.MAX_LINE + 65_536


def damaged(rng: random.Random, seeds: list[bytes]) -> bytes:
    """One input."""
    data = bytearray(rng.choice(seeds))
    if rng.random() < 0.2:
        donor = rng.choice(seeds)
        data[rng.randrange(len(data) + 1) :] = donor[rng.randrange(len(donor) + 1) :]
    for _ in range(rng.choice((0, 1, 1, 2, 3, 6))):
        at = rng.randrange(len(data) + 1)
        kind = rng.randrange(4)
        if kind == 0:
            data[at : at + 1] = bytes((rng.randrange(256),))
        elif kind == 1:
            data[at:at] = rng.choice(WORDS)
        elif kind == 2:
            del data[at : at + rng.randrange(1, 9)]
        else:
            data[at:at] = data[at : at + rng.randrange(1, 40)]
    return bytes(data)


def pieces(rng: random.Random, data: bytes) -> list[bytes]:
    """DATA whole, or cut at random places."""
    if rng.random() < 0.5:
        return [data]
    cuts = sorted(rng.randrange(len(data) + 1) for _ in range(rng.randrange(1, 6)))
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]


def read_requests(parts: list[bytes]) -> tuple[object, ...]:
    """What the server understands: requests with their bodies, and how it ended."""
    reader = http1.RequestReader()
    parsed: list[object] = []
    body = b""
    try:
        for part in parts:
            reader.feed(part)
            while True:
                if reader.in_body:
                    body += reader.body()
                    if reader.in_body:
                        break
                    parsed.append(body)
                    body = b""
                request = reader.next() if not reader.in_body else None
                if request is None and not reader.in_body:
                    break
                if request is not None:
                    parsed.append((request.method, request.path, request.host, request.length))
            assert len(reader.buffer) <= MOST_HELD
    except http1.BadRequest as bad:
        assert bad.status in http1.REASONS
        return (*parsed, "refused")
    return (*parsed, body)


def read_response(parts: list[bytes]) -> tuple[object, ...]:
    """What the client understands."""
    body = bytearray()
    reader = ResponseReader("GET", body.extend)
    try:
        for part in parts:
            if reader.state != "done":
                reader.feed(part)
        if reader.state != "done":
            reader.end()
    except FetchError as error:
        assert error.code in (8, 18, 52) and error.hint
        return reader.status, "refused"
    assert len(body) == reader.received
    return reader.status, bytes(body)


def campaign(count: int, seed: int) -> None:
    """COUNT inputs, half of them requests. An assertion or exception shows the input."""
    rng = random.Random(seed)
    for number in range(count):
        seeds, read = (REQUESTS, read_requests) if number % 2 else (RESPONSES, read_response)
        data = damaged(rng, seeds)
        parts = pieces(rng, data)
        began = time.process_time()
        try:
            result = read(parts)
            if len(parts) > 1:
                assert result == read([data]), "it depends on how the bytes arrive"
        except BaseException:
            print(f"seed {seed}, number {number}: {parts!r}", file=sys.stderr)
            raise
        assert time.process_time() - began < 1, data


def test_damaged_input() -> None:
    campaign(15_000, 1)


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_very_much_damaged_input_without_growth(capsys: pytest.CaptureFixture[str]) -> None:
    count, seed = int(os.environ.get("HOPLAB_FUZZ", "500000")), int(os.environ.get("SEED", "2"))
    campaign(100_000, 0)
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    campaign(count, seed)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    with capsys.disabled():
        took = time.monotonic() - start
        print(f"\n{count:,} inputs in {took:.0f} s, grown by {grown:,} KiB")
    assert grown < 8 * 1024
