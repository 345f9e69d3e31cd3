# SPDX-License-Identifier: Apache-2.0
"""A caching recursive resolver: it starts at the root and asks its way down to the answer.

The cast
    `Cache`       what was answered, and what was denied, each until its TTL has run out
    `Reputation`  how quickly each server answers, and which ones are of no use
    `read_reply`  judges one reply: answer, referral, denial, or of no use; drops what its
                  sender has no business to say (bailiwick)
    `Recursor`    the walk from the root; its `resolve(query)` is the seam for changes
    `exchange`    one question to one server over UDP, over TCP if the reply was truncated
    `main`        the command line; the sockets towards clients are in dns_service.py

Run it on a host of the lab, or anywhere with servers of your own on an unusual port:

    python3 apps/dns_resolver.py --root a.root-servers.lab=10.53.0.2 --log resolver.log
    python3 apps/dns_resolver.py --hints apps/zones/root.hints --listen 127.0.0.1 --port 5354
    dig -p 5354 @127.0.0.1 www.itheima.com A

Change it, in eight lines: a resolver that does not let anybody see advertisements.

    import dns_resolver
    from dns_records import record
    class Calm(dns_resolver.Recursor):
        def resolve(self, query):
            if query.name.startswith("ads."):
                return query.reply(record(query.name, "A", "0.0.0.0"), authoritative=False)
            return super().resolve(query)
    dns_resolver.main(recursor=Calm)

The walk for one name (RFC 1034 section 5.3.3):
  1. Is the answer, the denial, or a CNAME of the name in the cache? Use it.
  2. Which is the deepest zone above the name whose servers we know? In the beginning: the root.
  3. Ask these servers, the quickest first, one after the other, until one says something of use.
  4. A referral: remember the servers of the deeper zone, go to 3 with them.
  5. An answer or a denial: remember it. A CNAME: begin again with its target.

Rules followed: RFC 2308 (negative cache), RFC 2181 section 5.4.1 (glue leads the way, but is never
an answer), RFC 5452 (random id and source port, reply matched to the question), RFC 6891 (EDNS),
RFC 8767 (with --serve-stale: an old answer rather than none). It has no DNSSEC, no query
minimisation and asks no root server for the list of root servers.
"""

from __future__ import annotations

import argparse
import math
import select
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import dns_records
import dns_service
import dns_zone
import service
from dns_records import (
    AAAA,
    ANY,
    CNAME,
    NS,
    ROOT,
    SOA,
    A,
    BadText,
    RRset,
    above,
    is_below,
    name_text,
    type_text,
)
from dns_wire import (
    AA,
    FORMERR,
    NOERROR,
    NOTIMP,
    NXDOMAIN,
    QR,
    RA,
    RCODES,
    RD,
    SERVFAIL,
    TC,
    Malformed,
    Message,
    decode,
    encode,
    question,
)

Servers = dict[bytes, list[str]]  # names of servers, with the addresses that we know

MAX_CHAIN = 12  # CNAMEs in a row
MAX_REFERRALS = 16  # steps down the tree for one name
MAX_DEPTH = 4  # a server's name that must be resolved to resolve a server's name to ...
MAX_QUESTIONS = 40  # sent to servers on behalf of one client's question
TOTAL_S = 4.5  # a client (glibc) asks again after 5 s: answer before, even if with SERVFAIL
ROUNDS = 2  # times that each server of a zone is asked
LAME_S = 60.0  # a server that knows nothing of a zone is not asked for this long, if others are
MAX_SRTT_S = 10.0
MAX_TTL_S = 86_400
MAX_NEGATIVE_TTL_S = 3 * 3600  # RFC 2308 section 5
CACHE_LIMIT = 10_000  # entries
STALE_TTL_S = 30  # of an old answer, RFC 8767 section 4
STALE_WAIT_S = 1.8  # a client waits so long before it gets an old answer, section 5
STALE_PAUSE_S = 30.0  # after a failure, an old answer is given at once for so long, section 5


class Failure(Exception):
    """No answer to be had: the client gets SERVFAIL, the log gets the reason."""


@dataclass(frozen=True)
class Found:
    """What is known about a question: records, or a denial with the SOA that vouches for it."""

    rcode: int
    rrsets: list[RRset]
    soa: RRset | None = None


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
        # (name, type) -> (expires, what). Type ANY: holds for all types, as NXDOMAIN does.
        self._entries: dict[tuple[bytes, int], tuple[float, Found]] = {}

    def put(self, rrset: RRset) -> None:
        """Remember an answer."""
        found = Found(NOERROR, [rrset])
        self._store((rrset.name.lower(), rrset.rtype), min(rrset.ttl, MAX_TTL_S), found)

    def put_denial(self, name: bytes, rtype: int, rcode: int, soa: RRset) -> None:
        """Remember that NAME does not exist (NXDOMAIN) or has no RTYPE (NOERROR)."""
        ttl = min(soa.ttl, soa.minimum(), MAX_NEGATIVE_TTL_S)
        kind = ANY if rcode == NXDOMAIN else rtype
        self._store((name.lower(), kind), ttl, Found(rcode, [], soa))

    def _store(self, key: tuple[bytes, int], ttl: int, found: Found) -> None:
        if ttl <= 0:
            return  # "for this transaction only" (RFC 1035 section 3.2.1)
        with self._lock:
            self._entries.pop(key, None)
            if found.rrsets:
                self._entries.pop((key[0], ANY), None)  # so the name exists after all
            while len(self._entries) >= self._limit:
                del self._entries[next(iter(self._entries))]  # the oldest
            self._entries[key] = (self._clock() + ttl, found)

    def get(self, name: bytes, rtype: int, *, stale: bool = False) -> Found | None:
        """What is remembered and still true, with the TTL that is left. With STALE also what was
        true until not too long ago."""
        name = name.lower()
        now = self._clock()
        for key in ((name, ANY), (name, rtype)):
            with self._lock:
                entry = self._entries.get(key)
                if entry is None:
                    continue
                expires, found = entry
                left = math.floor(expires - now)
                if left <= 0 and now > expires + self.stale_s:
                    del self._entries[key]
                    continue
            if left <= 0:
                if not stale:
                    continue
                left = STALE_TTL_S
            return Found(
                found.rcode,
                [_aged(rrset, left) for rrset in found.rrsets],
                None if found.soa is None else _aged(found.soa, left),
            )
        return None


def _aged(rrset: RRset, ttl: int) -> RRset:
    """A copy of RRSET with TTL: what lies in the cache must not change with what is sent."""
    return RRset(rrset.name, rrset.rtype, ttl, rrset.datas)


class Reputation:
    """What is known about servers: how quickly they answer, and for which zones they are no use.

    The time is smoothed: 7 parts of what we thought, 3 parts of the new one. No answer counts as
    a time twice as long as thought. Servers that are passed over seem a little quicker each time,
    so that one that has recovered is asked again some day. An unknown server counts as quick.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._srtt: dict[str, float] = {}
        self._lame: dict[tuple[bytes, str], float] = {}

    def order(self, zone: bytes, pairs: list[tuple[bytes, str]]) -> list[tuple[bytes, str]]:
        """PAIRS (server, address), the one to ask first in front; the useless ones at the end."""
        now = self._clock()
        with self._lock:
            # sorted() keeps the order of those that are alike.
            return sorted(
                pairs,
                key=lambda pair: (
                    self._lame.get((zone, pair[1]), 0.0) > now,
                    self._srtt.get(pair[1], 0.0),
                ),
            )

    def answered(self, address: str, rtt_s: float, others: Sequence[str]) -> None:
        """ADDRESS has answered after RTT_S; OTHERS could have been asked instead."""
        with self._lock:
            self._room(self._srtt)
            before = self._srtt.get(address)
            self._srtt[address] = rtt_s if before is None else 0.7 * before + 0.3 * rtt_s
            for other in others:
                if other != address and other in self._srtt:
                    self._srtt[other] *= 0.98

    def silent(self, address: str, waited_s: float) -> None:
        """ADDRESS has not answered within WAITED_S."""
        with self._lock:
            self._room(self._srtt)
            before = self._srtt.get(address, 0.0)
            self._srtt[address] = min(MAX_SRTT_S, max(2 * before, waited_s, 0.5))

    def lame(self, zone: bytes, address: str) -> None:
        """ADDRESS is said to serve ZONE and does not."""
        with self._lock:
            self._room(self._lame)
            self._lame[zone, address] = self._clock() + LAME_S

    @staticmethod
    def _room(table: dict[str, float] | dict[tuple[bytes, str], float]) -> None:
        if len(table) >= CACHE_LIMIT:
            table.clear()


@dataclass(frozen=True)
class Verdict:
    """What one reply is worth: kind is answer, referral, denial or useless (then see why)."""

    kind: str
    why: str = ""
    rrsets: list[RRset] = field(default_factory=list)  # the answer, CNAMEs first
    rcode: int = NOERROR  # of a denial: NXDOMAIN, or NOERROR for NODATA
    soa: RRset | None = None  # of a denial: vouches for it, and says for how long
    child: bytes = ROOT  # of a referral: the zone that it hands us to
    servers: Servers = field(default_factory=dict)
    ttl: int = 0


def read_reply(reply: Message, zone: bytes, name: bytes, rtype: int) -> Verdict:
    """Judge the REPLY of a server of ZONE to the question NAME, RTYPE.

    Only records within ZONE count: the servers of com. may speak of everything below com., and
    of nothing else. Otherwise any server could plant an address for any name.
    """
    rcode = reply.rcode
    if rcode not in (NOERROR, NXDOMAIN):
        return Verdict("useless", why=RCODES.get(rcode, f"rcode {rcode}"))
    name = name.lower()
    authoritative = bool(reply.flags & AA)
    chain = _chain(_within(reply.answer, zone), name, rtype)
    if chain:
        if not authoritative:
            return Verdict("useless", why="an answer at second hand (AA is off)")
        return Verdict("answer", rrsets=chain)
    authority = _within(reply.authority, zone)
    soas = [rr for rr in authority if rr.rtype == SOA and is_below(name, rr.name.lower())]
    for rrset in authority:
        child = rrset.name.lower()
        deeper = child != zone and is_below(name, child)
        if rrset.rtype == NS and deeper and not soas and rcode == NOERROR:
            return _referral(rrset, _within(reply.additional, zone))
    if not authoritative:
        return Verdict("useless", why="neither an answer nor a way to one")
    return Verdict("denial", rcode=rcode, soa=soas[0] if soas else None)


def _within(section: Sequence[RRset], zone: bytes) -> list[RRset]:
    return [rrset for rrset in section if is_below(rrset.name.lower(), zone)]


def _chain(answer: Sequence[RRset], name: bytes, rtype: int) -> list[RRset]:
    """The records for NAME, with the CNAMEs that lead to them; as far as ANSWER goes."""
    if rtype == ANY:
        return [rrset for rrset in answer if rrset.name.lower() == name]
    here = {(rrset.name.lower(), rrset.rtype): rrset for rrset in answer}
    chain: list[RRset] = []
    while len(chain) <= MAX_CHAIN:
        rrset = here.get((name, rtype))
        if rrset is not None:
            return [*chain, rrset]
        # Out of the dict, so that a loop of CNAMEs ends here.
        rrset = here.pop((name, CNAME), None)
        if rrset is None:
            break
        chain.append(rrset)
        name = rrset.target().lower()
    return chain


def _referral(ns: RRset, additional: Sequence[RRset]) -> Verdict:
    servers: Servers = {target.lower(): [] for target in ns.datas}
    ttl = ns.ttl
    for wanted, family in ((A, socket.AF_INET), (AAAA, socket.AF_INET6)):
        for rrset in additional:
            if rrset.rtype == wanted and rrset.name.lower() in servers:
                servers[rrset.name.lower()] += [socket.inet_ntop(family, d) for d in rrset.datas]
                ttl = min(ttl, rrset.ttl)
    return Verdict("referral", child=ns.name.lower(), servers=servers, ttl=min(ttl, MAX_TTL_S))


class Job:
    """One client's question: what it has used up of the limits, and how it logs."""

    def __init__(self, log: Callable[[str], None], seconds: float = TOTAL_S) -> None:
        self.log = log
        self.deadline = time.monotonic() + seconds
        self.questions_left = MAX_QUESTIONS
        self.wanted: set[bytes] = set()  # names of servers whose addresses we are looking for

    def left(self) -> float:
        """Seconds that are left."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise Failure("out of time")
        return left

    def spend(self) -> float:
        """Account for one more question to a server; returns the seconds left."""
        left = self.left()
        if self.questions_left <= 0:
            raise Failure(f"gave up after {MAX_QUESTIONS} questions")
        self.questions_left -= 1
        return left


class Flight:
    """A question that is being worked on; others who ask the same wait for it."""

    def __init__(self) -> None:
        self.over = threading.Event()
        self.found: Found | None = None
        self.why = ""


Exchange = Callable[[str, bytes, int, float], Message]


class Recursor(dns_service.Source):
    """Walks from the root. Override `resolve` to change what clients are told.

    ROOTS are the root servers' names and addresses. EXCHANGE(address, name, type, timeout_s) asks
    one server; tests put a function there instead of the network.
    """

    def __init__(
        self,
        roots: Servers,
        exchange: Exchange,
        log: Callable[[str], None] = lambda text: None,
        timeout_s: float = 1.0,
        cache: Cache | None = None,
    ) -> None:
        self.roots = roots
        self.exchange = exchange
        self.log = log
        self.timeout_s = timeout_s
        self.cache = Cache() if cache is None else cache
        self.reputation = Reputation()
        self._lock = threading.Lock()
        self._zones: dict[bytes, tuple[float, Servers]] = {}
        self._flights: dict[tuple[bytes, int], Flight] = {}
        self._failed: dict[tuple[bytes, int], float] = {}
        self._count = 0

    def at_once(self, query: Message) -> Message | None:
        """What takes no waiting: the answer from the cache. None: a thread calls `resolve`."""
        if type(self).resolve is not Recursor.resolve:
            return None
        if not query.flags & RD:
            return self.resolve(query)
        assert query.qname is not None
        found = self._cached(query.qname, query.qtype)
        if found is None:
            return None
        job = self._job(query)
        job.log(f"in the cache: {_outcome(found)}")
        return self._response(query, found, job)

    def resolve(self, query: Message) -> Message:
        """The response to a client's QUERY, which has exactly one question, of class IN."""
        assert query.qname is not None
        name, rtype = query.qname, query.qtype
        job = self._job(query)
        try:
            if query.flags & RD:
                return self._response(query, self._find(name, rtype, job), job)
        except Failure as failure:
            job.log(f"SERVFAIL: {failure}")
            return self._response(query, Found(SERVFAIL, []), None)
        # Without recursion: the cache, or else the deepest zone known (RFC 1034 section 4.3.2).
        found = self.cache.get(name, rtype) or self.cache.get(name, CNAME)
        response = self._response(query, found or Found(NOERROR, []), job)
        if found is None:
            zone, servers = self._nearest(name)
            response.authority.append(RRset(zone, NS, 0, list(servers)))
            job.log(f"not there; named the servers of {name_text(zone)}")
        return response

    def _job(self, query: Message) -> Job:
        """A number for this question, and what it may use up."""
        assert query.qname is not None
        with self._lock:
            self._count += 1
            number = self._count
        job = Job(lambda text: self.log(f"#{number} {text}"))
        how = "" if query.flags & RD else " without recursion: from the cache alone"
        job.log(f"asked {name_text(query.qname)} {type_text(query.qtype)}{how}")
        return job

    def _response(self, query: Message, found: Found, job: Job | None) -> Message:
        """What is known as a message; told to JOB's log."""
        response = query.reply(*found.rrsets, authoritative=False)
        response.flags |= RA
        response.rcode = found.rcode
        if found.soa is not None:
            response.authority.append(found.soa)
        if job is not None:
            job.log(f"told the client: {_outcome(found)}")
        return response

    def _cached(self, name: bytes, rtype: int, *, stale: bool = False) -> Found | None:
        """The whole answer, CNAMEs and all, if it is in the cache."""
        answer: list[RRset] = []
        for _ in range(MAX_CHAIN):
            found = self.cache.get(name, rtype, stale=stale)
            if found is None and rtype not in (CNAME, ANY):
                found = self.cache.get(name, CNAME, stale=stale)
            if found is None:
                return None
            answer += found.rrsets
            if not answer or answer[-1].rtype != CNAME or rtype in (CNAME, ANY):
                return Found(found.rcode, answer, found.soa)
            if not found.rrsets:
                return Found(found.rcode, answer, found.soa)
            name = answer[-1].target()
        return None

    def _find(self, name: bytes, rtype: int, job: Job) -> Found:
        """The answer; an old one rather than none, where that is allowed (RFC 8767)."""
        key = (name.lower(), rtype)
        old = None
        if self.cache.stale_s and self._cached(name, rtype) is None:
            old = self._cached(name, rtype, stale=True)
        if old is not None:
            if self._failed.get(key, 0.0) > time.monotonic():
                job.log("nobody answered a moment ago: an old answer at once")
                return old
            job.deadline = min(job.deadline, time.monotonic() + STALE_WAIT_S)
        try:
            return self._together(key, name, rtype, job)
        except Failure as failure:
            if old is None:
                raise
            job.log(f"{failure}: an old answer rather than none")
            if len(self._failed) >= CACHE_LIMIT:
                self._failed.clear()
            self._failed[key] = time.monotonic() + STALE_PAUSE_S
            return old

    def _together(self, key: tuple[bytes, int], name: bytes, rtype: int, job: Job) -> Found:
        """Ask once for all who want to know the same at the same time. Otherwise a popular name
        that has just run out would bring a storm; and each further question that is under way
        would be one more chance to guess an id (RFC 5452 section 5)."""
        with self._lock:
            flight = self._flights.get(key)
            first = flight is None
            if flight is None:
                flight = self._flights[key] = Flight()
        if not first:
            job.log("the same question is under way: wait for its answer")
            if not flight.over.wait(job.left()):
                raise Failure("out of time")
            if flight.found is None:
                raise Failure(flight.why)
            return flight.found
        try:
            flight.found = self.lookup(name, rtype, job)
            return flight.found
        except Failure as failure:
            flight.why = str(failure)
            raise
        finally:
            flight.why = flight.why or "the one who asked failed"
            with self._lock:
                del self._flights[key]
            flight.over.set()

    def lookup(self, name: bytes, rtype: int, job: Job, depth: int = 0) -> Found:
        """Steps 1 and 5: the cache, then the walk, again for each CNAME."""
        answer: list[RRset] = []
        seen: set[bytes] = set()
        while name.lower() not in seen and len(seen) <= MAX_CHAIN:
            seen.add(name.lower())
            found = self.cache.get(name, rtype)
            if found is None and rtype not in (CNAME, ANY):
                alias = self.cache.get(name, CNAME)
                if alias is not None and alias.rrsets:
                    found = alias
            if found is not None:
                job.log(f"in the cache: {name_text(name)} {_outcome(found)}")
            else:
                found = self._walk(name, rtype, job, depth)
            answer += found.rrsets
            last = found.rrsets[-1] if found.rrsets else None
            if last is None or last.rtype != CNAME or rtype in (CNAME, ANY):
                return Found(found.rcode, answer, found.soa)
            # The chain may have passed through several names in this one reply.
            seen.update(rrset.name.lower() for rrset in found.rrsets)
            name = last.target()
        raise Failure(f"the CNAMEs of {name_text(name)} lead in a circle, or too far")

    def _walk(self, name: bytes, rtype: int, job: Job, depth: int) -> Found:
        """Steps 2 to 5: down the tree until somebody answers or denies."""
        zone, servers = self._nearest(name)
        for _ in range(MAX_REFERRALS):
            verdict = self._ask(zone, servers, name, rtype, job, depth)
            if verdict.kind == "answer":
                if rtype != ANY:
                    for rrset in verdict.rrsets:
                        self.cache.put(rrset)
                return Found(NOERROR, verdict.rrsets)
            if verdict.kind == "denial":
                soa = verdict.soa
                if soa is not None:
                    soa = _aged(soa, min(soa.ttl, soa.minimum()))
                    self.cache.put_denial(name, rtype, verdict.rcode, soa)
                return Found(verdict.rcode, [], soa)
            # A referral always leads further down (read_reply sees to it), so this loop ends.
            zone, servers = verdict.child, verdict.servers
            with self._lock:
                if len(self._zones) >= CACHE_LIMIT:
                    self._zones.clear()
                self._zones[zone] = (time.monotonic() + verdict.ttl, servers)
        raise Failure(f"more than {MAX_REFERRALS} referrals for {name_text(name)}")

    def _nearest(self, name: bytes) -> tuple[bytes, Servers]:
        """Step 2: the deepest zone above NAME whose servers we know."""
        now = time.monotonic()
        with self._lock:
            for each in above(name.lower()):
                entry = self._zones.get(each)
                if entry is not None and entry[0] > now:
                    return each, entry[1]
        return ROOT, self.roots

    def _ask(
        self, zone: bytes, servers: Servers, name: bytes, rtype: int, job: Job, depth: int
    ) -> Verdict:
        """Step 3: the servers of ZONE, one after the other, until one is of use."""
        asked = f"which serves {name_text(zone)}: {name_text(name)} {type_text(rtype)}?"
        hopeless: set[str] = set()
        known = [address for addresses in servers.values() for address in addresses]
        for _ in range(ROUNDS):
            for server, address in self._addresses(zone, servers, job, depth):
                if address in hopeless:
                    continue
                timeout = min(self.timeout_s, job.spend())
                job.log(f"ask {name_text(server)} ({address}), {asked}")
                start = time.monotonic()
                try:
                    reply = self.exchange(address, name, rtype, timeout)
                except OSError as error:
                    self.reputation.silent(address, timeout)
                    job.log(f"  {address}: {_reason(error)}")
                    continue
                self.reputation.answered(address, time.monotonic() - start, known)
                verdict = read_reply(reply, zone, name, rtype)
                job.log(f"  {address}: {_describe(verdict)}")
                if verdict.kind != "useless":
                    return verdict
                hopeless.add(address)
                self.reputation.lame(zone, address)
        raise Failure(f"no server of the zone {name_text(zone)} was of use")

    def _addresses(
        self, zone: bytes, servers: Servers, job: Job, depth: int
    ) -> Iterator[tuple[bytes, str]]:
        """Where to ask: known addresses, the quickest first; then look up the others."""
        known = [(server, address) for server, found in servers.items() for address in found]
        yield from self.reputation.order(zone, known)
        for server, addresses in servers.items():
            if addresses or server in job.wanted:
                continue  # known, or we are here because we look for it
            if depth >= MAX_DEPTH:
                last = name_text(server)
                raise Failure(f"too many servers in a row without an address, last {last}")
            job.wanted.add(server)
            try:
                for rtype, family in ((A, socket.AF_INET), (AAAA, socket.AF_INET6)):
                    job.log(f"need the address of {name_text(server)}")
                    result = self.lookup(server, rtype, job, depth + 1)
                    if result.rrsets and result.rrsets[-1].rtype == rtype:
                        for raw in result.rrsets[-1].datas:
                            yield server, socket.inet_ntop(family, raw)
                        break
            except Failure as failure:
                job.log(f"no address of {name_text(server)}: {failure}")
            finally:
                job.wanted.discard(server)


def _outcome(found: Found) -> str:
    if found.rrsets:
        return "; ".join(str(rrset) for rrset in found.rrsets)
    if found.rcode == NXDOMAIN:
        return "NXDOMAIN, there is no such name"
    return "no record of this type"


def _describe(verdict: Verdict) -> str:
    if verdict.kind == "answer":
        return _outcome(Found(NOERROR, verdict.rrsets))
    if verdict.kind == "referral":
        known = ", ".join(
            f"{name_text(server)} {' '.join(addresses)}".rstrip()
            for server, addresses in verdict.servers.items()
        )
        return f"referral to {name_text(verdict.child)}: {known}"
    if verdict.kind == "denial":
        return _outcome(Found(verdict.rcode, []))
    return f"of no use: {verdict.why}"


def _reason(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return "no reply in time"
    return error.strerror or str(error)


def exchange(address: str, name: bytes, rtype: int, timeout_s: float, port: int = 53) -> Message:
    """Ask the server at ADDRESS. Raises OSError; TimeoutError when nothing that fits came."""
    deadline = time.monotonic() + timeout_s
    query = question(name, rtype)  # RD off: we do the walking
    reply = _by_udp(query, address, port, deadline)
    if reply.rcode in (FORMERR, NOTIMP) and reply.edns is None:
        # RFC 6891 section 7: a server that does not know EDNS gets the question without it.
        query = question(name, rtype, edns=False)
        reply = _by_udp(query, address, port, deadline)
    if reply.flags & TC:
        query.id = question(name, rtype).id
        reply = _by_tcp(query, address, port, deadline)
    return reply


def fits(query: Message, wire: bytes) -> Message | None:
    """WIRE as a message if it is a response to QUERY: same id, same question; else None."""
    try:
        reply = decode(wire)
    except Malformed:
        return None  # the network sends anything; whatever it is, it is no reply
    if not reply.flags & QR or reply.id != query.id or reply.opcode != query.opcode:
        return None
    if reply.qname is None:
        # Servers that cannot parse may leave the question out (RFC 1035 section 4.1.1).
        return reply if reply.rcode in (FORMERR, SERVFAIL, NOTIMP) else None
    assert query.qname is not None
    same = (reply.qtype, reply.qclass) == (query.qtype, query.qclass)
    return reply if same and reply.qname.lower() == query.qname.lower() else None


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    return left


def _by_udp(query: Message, address: str, port: int, deadline: float) -> Message:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    # A new socket for each question: the kernel gives each a source port at random. Connected:
    # the kernel drops datagrams of others and reports "port unreachable".
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.connect((address, port))
        sock.send(encode(query))
        poll = select.poll()
        poll.register(sock, select.POLLIN)
        while True:
            if not poll.poll(_left(deadline) * 1000):
                continue
            try:
                reply = fits(query, sock.recv(65535))
            except BlockingIOError:
                continue  # its checksum was wrong
            if reply is not None:
                return reply


def _by_tcp(query: Message, address: str, port: int, deadline: float) -> Message:
    frames = dns_service.TcpFrames()
    with socket.create_connection((address, port), timeout=_left(deadline)) as sock:
        sock.sendall(frames.frame(encode(query)))
        while True:
            sock.settimeout(_left(deadline))
            data = sock.recv(65536)
            if not data:
                raise ConnectionError("the server closed the TCP connection without a reply")
            for wire in frames.feed(data):
                reply = fits(query, wire)
                if reply is not None:
                    return reply


def parse_root(text: str) -> tuple[bytes, str]:
    """An argparse type: NAME=ADDRESS."""
    name, _, address = text.partition("=")
    try:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        socket.inet_pton(family, address)
        return dns_records.name(name).lower(), address
    except (OSError, BadText):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not NAME=ADDRESS, such as a.root-servers.lab=10.53.0.2"
        ) from None


def load_hints(path: str) -> Servers:
    """The root servers in the master file PATH, or ServiceError."""
    hint = "See apps/zones/root.hints for one that works, or use --root NAME=ADDRESS."
    try:
        records = list(dns_zone.read_records(Path(path)))
    except OSError as error:
        raise service.ServiceError(f"cannot read {path}: {error.strerror}", hint) from None
    except dns_zone.Fault as fault:
        raise service.ServiceError(f"not a file of hints: {fault}", hint) from None
    names = {each.target().lower() for each in records if each.rtype == NS and each.name == ROOT}
    servers: Servers = {}
    for rtype, family in ((A, socket.AF_INET), (AAAA, socket.AF_INET6)):
        for each in records:
            if each.rtype == rtype and each.name.lower() in names:
                address = socket.inet_ntop(family, each.datas[0])
                servers.setdefault(each.name.lower(), []).append(address)
    if not servers:
        raise service.ServiceError(f"{path} names no root server with an address", hint)
    return servers


def collect_roots(pairs: Sequence[tuple[bytes, str]], hints: str | None) -> Servers:
    """The root servers of --root and --hints together."""
    servers: Servers = load_hints(hints) if hints is not None else {}
    for name, address in pairs:
        if address not in servers.setdefault(name, []):
            servers[name].append(address)
    if not servers:
        raise service.ServiceError(
            "no root server to start from", "Give --root NAME=ADDRESS or --hints FILE."
        )
    return servers


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="dns_resolver.py",
        description="Caching recursive DNS resolver that starts at the root servers given.",
        epilog="""examples:
  python3 apps/dns_resolver.py --root a.root-servers.lab=10.53.0.2
  python3 apps/dns_resolver.py --hints apps/zones/root.hints --background --log resolver.log
  python3 apps/dns_resolver.py --root a=127.0.0.2 --upstream-port 5353 --port 5354
  python3 apps/dns_resolver.py --root a=10.53.0.2 --root a=fd00:53::2 --serve-stale 86400
  dig -p 5354 @127.0.0.1 www.itheima.com

exit codes: 0 ended or went to the background; 1 cannot listen; 2 bad options or hints; 3 died""",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--root",
        metavar="NAME=ADDR",
        type=parse_root,
        action="append",
        default=[],
        help="a root server; may be given several times",
    )
    parser.add_argument("--hints", metavar="FILE", help="root servers from a master file")
    parser.add_argument(
        "--timeout",
        metavar="S",
        type=service.seconds,
        default=1.0,
        help="seconds to wait for one server before the next is asked (default %(default)s)",
    )
    parser.add_argument(
        "--upstream-port",
        metavar="N",
        type=service.port_number,
        default=53,
        help="port of the servers that it asks (default %(default)s); for tests without root",
    )
    parser.add_argument(
        "--serve-stale",
        metavar="S",
        type=service.seconds,
        default=0.0,
        help="when nobody answers, say again what was true up to S seconds ago (RFC 8767)",
    )
    service.add_options(parser, port=53)
    return parser


def main(argv: Sequence[str] | None = None, recursor: type[Recursor] = Recursor) -> int:
    """Run the resolver; RECURSOR is the class whose `resolve` answers."""
    args = build_parser().parse_args(argv)
    try:
        roots = collect_roots(args.root, args.hints)
        udp, tcp = service.listen_udp_and_tcp(args.listen, args.port)

        ask = partial(exchange, port=args.upstream_port)

        def serve(log: service.Log) -> None:
            source = recursor(roots, ask, log, args.timeout, Cache(stale_s=args.serve_stale))
            dns_service.serve(udp, tcp, source, log, threaded=True)

        return service.run("dns_resolver", serve, udp, args)
    except service.ServiceError as error:
        return service.fail("dns_resolver", error)


if __name__ == "__main__":
    sys.exit(main())
