# SPDX-License-Identifier: Apache-2.0
"""What was answered and what was denied, each until its TTL has run out.

The cast
    `Result`  what is known about a question
    `Cache`   keeps it: RFC 2308 (denials), RFC 8767 (old answers rather than none)
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from protocols.dns_records import ANY, RRset
from protocols.dns_wire import NOERROR, NXDOMAIN

MAX_TTL_S = 86_400
MAX_NEGATIVE_TTL_S = 3 * 3600  # RFC 2308 section 5
CACHE_LIMIT = 10_000  # entries; then the oldest go
STALE_TTL_S = 30  # of an old answer, RFC 8767 section 4


@dataclass(frozen=True)
class Result:
    """What is known about a question: records, or a denial with the SOA that vouches for it."""

    rcode: int
    rrsets: list[RRset]
    soa: RRset | None = None

    def __str__(self) -> str:
        if self.rrsets:
            return "; ".join(str(rrset) for rrset in self.rrsets)
        if self.rcode == NXDOMAIN:
            return "NXDOMAIN, there is no such name"
        return "no record of this type"


class Cache:
    """Answers and denials by name and type; TTLs count down while they lie here.

    STALE_S: how long to keep what has run out, for the day when nobody answers (RFC 8767).
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        limit: int = CACHE_LIMIT,
        stale_s: float = 0.0,
    ) -> None:
        self._clock = clock
        self._limit = limit
        self.stale_s = stale_s
        self._lock = threading.Lock()
        # (name, type) -> (when it expires, the result). Type ANY: it holds for all types, as
        # NXDOMAIN does.
        self._entries: dict[tuple[bytes, int], tuple[float, Result]] = {}

    def put(self, rrset: RRset) -> None:
        """Remember an answer."""
        result = Result(NOERROR, [rrset])
        self._store((rrset.name.lower(), rrset.rtype), min(rrset.ttl, MAX_TTL_S), result)

    def put_denial(self, name: bytes, rtype: int, rcode: int, soa: RRset) -> None:
        """Remember that NAME does not exist (NXDOMAIN) or has no RTYPE (NOERROR)."""
        ttl = min(soa.ttl, soa.minimum(), MAX_NEGATIVE_TTL_S)
        kind = ANY if rcode == NXDOMAIN else rtype
        self._store((name.lower(), kind), ttl, Result(rcode, [], soa))

    def _store(self, key: tuple[bytes, int], ttl: int, result: Result) -> None:
        if ttl <= 0:
            return  # "for this transaction only" (RFC 1035 section 3.2.1)
        with self._lock:
            self._entries.pop(key, None)
            if result.rrsets:
                # The name exists after all: forget an NXDOMAIN of before.
                self._entries.pop((key[0], ANY), None)
            while len(self._entries) >= self._limit:
                del self._entries[next(iter(self._entries))]  # the oldest
            self._entries[key] = (self._clock() + ttl, result)

    def get(self, name: bytes, rtype: int, *, stale: bool = False) -> Result | None:
        """What is remembered and still true, with the TTL that is left. With STALE also what was
        true until not too long ago."""
        name = name.lower()
        now = self._clock()
        for key in ((name, ANY), (name, rtype)):
            with self._lock:
                entry = self._entries.get(key)
                if entry is None:
                    continue
                expires, result = entry
                left = math.floor(expires - now)
                if left <= 0 and now > expires + self.stale_s:
                    del self._entries[key]
                    continue
            if left <= 0:
                if not stale:
                    continue
                left = STALE_TTL_S
            return Result(
                result.rcode,
                [aged(rrset, left) for rrset in result.rrsets],
                None if result.soa is None else aged(result.soa, left),
            )
        return None


def aged(rrset: RRset, ttl: int) -> RRset:
    """A copy of RRSET with TTL: what lies in the cache must not change with what is sent."""
    return RRset(rrset.name, rrset.rtype, ttl, rrset.datas)
