# SPDX-License-Identifier: Apache-2.0
"""A caching recursive resolver: it starts at the root and asks its way down to the answer.

The cast (names with dns_ are files in protocols/)
    `dns_cache`       what was answered, and what was denied, each until its TTL has run out
    `dns_reputation`  how quickly each server answers, and which ones are of no use
    `dns_reply`       judges one reply: answer, referral, denial, or of no use; drops what its
                      sender has no business to say (bailiwick)
    `dns_exchange`    one question to one server over UDP, over TCP if the reply was truncated
    `Recursor`        the walk from the root; its `resolve(query)` is the seam for changes
    `main`            the command line; the sockets towards clients are in dns_service.py

Run it on a host of the lab, or anywhere with servers of your own on an unusual port:

    python3 apps/dns_resolver.py --root a.root-servers.lab=10.53.0.2 --log resolver.log
    python3 apps/dns_resolver.py --hints apps/zones/root.hints --listen 127.0.0.1 --port 5354
    dig -p 5354 @127.0.0.1 www.itheima.com A

Change it, in eight lines: a resolver that does not let anybody see advertisements.

    import dns_resolver
    from protocols.dns_records import record
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
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

# With -I or -P Python does not look beside the program for modules; this one's are there.
sys.path.append(os.path.dirname(os.path.realpath(__file__)))
try:
    from protocols import dns_records, dns_service, dns_zone, service
    from protocols.command_line import Parser, bad_value
    from protocols.dns_cache import CACHE_LIMIT, Cache, Result, aged
    from protocols.dns_exchange import exchange
    from protocols.dns_records import (
        AAAA,
        ANY,
        CNAME,
        DS,
        NS,
        ROOT,
        A,
        BadText,
        RRset,
        above,
        name_text,
        parent,
        type_text,
    )
    from protocols.dns_reply import MAX_CHAIN, Servers, Verdict, read_reply
    from protocols.dns_reputation import Reputation
    from protocols.dns_wire import (
        NOERROR,
        RA,
        RD,
        SERVFAIL,
        Message,
    )
    from protocols.language import in_words, say
except ImportError as missing:
    import shlex  # imported here, since only this sentence needs it

    folder, program = os.path.split(os.path.abspath(__file__))
    print(
        f"{program} needs the folder protocols beside it ({missing}).\n"
        f'  Next: cp -r "$(dirname "$(hoplab path dns_resolver)")"/protocols {shlex.quote(folder)}',
        file=sys.stderr,
    )
    raise SystemExit(2) from None

MAX_REFERRALS = 16  # steps down the tree for one name
MAX_DEPTH = 4  # lookups of a server's name, each made because another one needs it
MAX_QUESTIONS = 40  # sent to servers on behalf of one client's question
TOTAL_S = 4.5  # a client (glibc) asks again after 5 s: answer before, even if with SERVFAIL
ROUNDS = 2  # times that each server of a zone is asked
STALE_WAIT_S = 1.8  # how long a client waits before it gets an old answer, RFC 8767 section 5
STALE_PAUSE_S = 30.0  # for how long after a failure an old answer is given at once, ibid.


class Failure(Exception):
    """There is no answer to be had: the client gets SERVFAIL, the log gets the reason."""


class Job:
    """One client's question: what it has used up of the limits, and how it logs."""

    def __init__(self, log: Callable[[str], None], seconds: float = TOTAL_S) -> None:
        self.log = log
        self.deadline = time.monotonic() + seconds
        self.questions_left = MAX_QUESTIONS
        self.sought: set[bytes] = set()  # names of servers whose addresses are being looked up

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
        self.result: Result | None = None
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
        result = self._cached(query.qname, query.qtype)
        if result is None:
            return None
        job = self._job(query)
        job.log(f"in the cache: {result}")
        return self._response(query, result, job)

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
            return self._response(query, Result(SERVFAIL, []), None)
        # Without recursion: the cache, or else the deepest zone known (RFC 1034 section 4.3.2).
        result = self.cache.get(name, rtype) or self._alias(name)
        response = self._response(query, result or Result(NOERROR, []), job)
        if result is None:
            zone, servers = self._nearest(name)
            response.authority.append(RRset(zone, NS, 0, list(servers)))
            job.log(f"not there; named the servers of {name_text(zone)}")
        return response

    def _job(self, query: Message) -> Job:
        """What QUERY may use up, and a log that puts the number of the query in front."""
        assert query.qname is not None
        with self._lock:
            self._count += 1
            number = self._count
        job = Job(lambda text: self.log(f"#{number} {text}"))
        how = "" if query.flags & RD else " without recursion: from the cache alone"
        job.log(f"asked {name_text(query.qname)} {type_text(query.qtype)}{how}")
        return job

    def _response(self, query: Message, result: Result, job: Job | None) -> Message:
        """RESULT as a message; JOB's log has a line about it."""
        response = query.reply(*result.rrsets, authoritative=False)
        response.flags |= RA
        response.rcode = result.rcode
        if result.soa is not None:
            response.authority.append(result.soa)
        if job is not None:
            job.log(f"told the client: {result}")
        return response

    def _cached(self, name: bytes, rtype: int, *, stale: bool = False) -> Result | None:
        """The whole answer, CNAMEs and all, if it is in the cache."""
        answer: list[RRset] = []
        for _ in range(MAX_CHAIN):
            result = self.cache.get(name, rtype, stale=stale)
            if result is None and rtype not in (CNAME, ANY):
                result = self._alias(name, stale=stale)
            if result is None:
                return None
            answer += result.rrsets
            if not answer or answer[-1].rtype != CNAME or rtype in (CNAME, ANY):
                return Result(result.rcode, answer, result.soa)
            if not result.rrsets:
                return Result(result.rcode, answer, result.soa)
            name = answer[-1].target()
        return None

    def _alias(self, name: bytes, *, stale: bool = False) -> Result | None:
        """The CNAME of NAME, if it is in the cache. A denial of it says nothing of other types, so
        it counts as nothing."""
        result = self.cache.get(name, CNAME, stale=stale)
        return result if result is not None and result.rrsets else None

    def _find(self, name: bytes, rtype: int, job: Job) -> Result:
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

    def _together(self, key: tuple[bytes, int], name: bytes, rtype: int, job: Job) -> Result:
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
            if flight.result is None:
                raise Failure(flight.why)
            return flight.result
        try:
            flight.result = self.lookup(name, rtype, job)
            return flight.result
        except Failure as failure:
            flight.why = str(failure)
            raise
        finally:
            flight.why = flight.why or "the one who asked failed"
            with self._lock:
                del self._flights[key]
            flight.over.set()

    def lookup(self, name: bytes, rtype: int, job: Job, depth: int = 0) -> Result:
        """Steps 1 and 5: the cache, then the walk, again for each CNAME."""
        answer: list[RRset] = []
        seen: set[bytes] = set()
        while name.lower() not in seen and len(seen) <= MAX_CHAIN:
            seen.add(name.lower())
            result = self.cache.get(name, rtype)
            if result is None and rtype not in (CNAME, ANY):
                result = self._alias(name)
            if result is not None:
                job.log(f"in the cache: {name_text(name)} {result}")
            else:
                result = self._walk(name, rtype, job, depth)
            answer += result.rrsets
            last = result.rrsets[-1] if result.rrsets else None
            if last is None or last.rtype != CNAME or rtype in (CNAME, ANY):
                return Result(result.rcode, answer, result.soa)
            # The chain may have passed through several names in this one reply.
            seen.update(rrset.name.lower() for rrset in result.rrsets)
            name = last.target()
        raise Failure(f"the CNAMEs of {name_text(name)} lead in a circle, or too far")

    def _walk(self, name: bytes, rtype: int, job: Job, depth: int) -> Result:
        """Steps 2 to 5: down the tree until somebody answers or denies."""
        # The DS of a zone's top is with the zone above it (RFC 4035 section 3.1.4.1).
        zone, servers = self._nearest(parent(name) if rtype == DS else name)
        for _ in range(MAX_REFERRALS):
            verdict = self._ask(zone, servers, name, rtype, job, depth)
            if verdict.kind == "answer":
                if rtype != ANY:
                    for rrset in verdict.rrsets:
                        self.cache.put(rrset)
                return Result(NOERROR, verdict.rrsets)
            if verdict.kind == "denial":
                soa = verdict.soa
                if soa is not None:
                    soa = aged(soa, min(soa.ttl, soa.minimum()))
                    self.cache.put_denial(name, rtype, verdict.rcode, soa)
                return Result(verdict.rcode, [], soa)
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
            for ancestor in above(name.lower()):
                entry = self._zones.get(ancestor)
                if entry is not None and entry[0] > now:
                    return ancestor, entry[1]
        return ROOT, self.roots

    def _ask(
        self, zone: bytes, servers: Servers, name: bytes, rtype: int, job: Job, depth: int
    ) -> Verdict:
        """Step 3: the servers of ZONE, one after the other, until one is of use."""
        question = f"which serves {name_text(zone)}: {name_text(name)} {type_text(rtype)}?"
        hopeless: set[str] = set()
        every_address = [address for addresses in servers.values() for address in addresses]
        for _ in range(ROUNDS):
            for server, address in self._addresses(zone, servers, job, depth):
                if address in hopeless:
                    continue
                timeout = min(self.timeout_s, job.spend())
                job.log(f"ask {name_text(server)} ({address}), {question}")
                start = time.monotonic()
                try:
                    reply = self.exchange(address, name, rtype, timeout)
                except OSError as error:
                    self.reputation.silent(address, timeout)
                    job.log(f"  {address}: {_reason(error)}")
                    continue
                self.reputation.answered(address, time.monotonic() - start, every_address)
                verdict = read_reply(reply, zone, name, rtype)
                job.log(f"  {address}: {verdict}")
                if verdict.kind != "useless":
                    return verdict
                hopeless.add(address)
                self.reputation.lame(zone, address)
        raise Failure(f"no server of the zone {name_text(zone)} was of use")

    def _addresses(
        self, zone: bytes, servers: Servers, job: Job, depth: int
    ) -> Iterator[tuple[bytes, str]]:
        """Where to ask: the addresses that came with the names, the quickest first; then those of
        the other servers, which are looked up."""
        pairs = [
            (server, address) for server, addresses in servers.items() for address in addresses
        ]
        yield from self.reputation.order(zone, pairs)
        for server, addresses in servers.items():
            if addresses or server in job.sought:
                continue  # asked above, or its address is what this very lookup is for
            if depth >= MAX_DEPTH:
                last = name_text(server)
                raise Failure(f"too many servers in a row without an address, last {last}")
            job.sought.add(server)
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
                job.sought.discard(server)


def _reason(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return "no reply in time"
    return error.strerror or str(error)


def parse_root(text: str) -> tuple[bytes, str]:
    """An argparse type: NAME=ADDRESS."""
    name, _, address = text.partition("=")
    try:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        socket.inet_pton(family, address)
        return dns_records.name(name).lower(), address
    except (OSError, BadText):
        raise bad_value(
            say("{text!r} is not NAME=ADDRESS, such as a.root-servers.lab=10.53.0.2", text=text)
        ) from None


def load_hints(path: str) -> Servers:
    """The root servers in the master file PATH, or ServiceError."""
    hint = say("See apps/zones/root.hints for one that works, or use --root NAME=ADDRESS.")
    try:
        records = list(dns_zone.read_records(Path(path)))
    except OSError as error:
        sentence = say("cannot read {path}: {reason}", path=path, reason=in_words(error))
        raise service.ServiceError(sentence, hint) from None
    except dns_zone.Fault as fault:
        sentence = say("not a file of hints: {fault}", fault=fault.args[0])
        raise service.ServiceError(sentence, hint) from None
    names = {
        rrset.target().lower() for rrset in records if rrset.rtype == NS and rrset.name == ROOT
    }
    servers: Servers = {}
    for rtype, family in ((A, socket.AF_INET), (AAAA, socket.AF_INET6)):
        for rrset in records:
            if rrset.rtype == rtype and rrset.name.lower() in names:
                address = socket.inet_ntop(family, rrset.datas[0])
                servers.setdefault(rrset.name.lower(), []).append(address)
    if not servers:
        sentence = say("{path} names no root server with an address", path=path)
        raise service.ServiceError(sentence, hint)
    return servers


def collect_roots(pairs: Sequence[tuple[bytes, str]], hints: str | None) -> Servers:
    """The root servers of --root and --hints together."""
    servers: Servers = load_hints(hints) if hints is not None else {}
    for name, address in pairs:
        if address not in servers.setdefault(name, []):
            servers[name].append(address)
    if not servers:
        raise service.ServiceError(
            say("no root server to start from"), say("Give --root NAME=ADDRESS or --hints FILE.")
        )
    return servers


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = Parser(
        "dns_resolver.py",
        say("Caching recursive DNS resolver that starts at the root servers given."),
        """  python3 apps/dns_resolver.py --root a.root-servers.lab=10.53.0.2
  python3 apps/dns_resolver.py --hints apps/zones/root.hints --background --log resolver.log
  python3 apps/dns_resolver.py --root a=127.0.0.2 --upstream-port 5353 --port 5354
  python3 apps/dns_resolver.py --root a=10.53.0.2 --root a=fd00:53::2 --serve-stale 86400
  dig -p 5354 @127.0.0.1 www.itheima.com""",
        say(
            "exit codes: 0 ended or went to the background; 1 cannot listen; 2 bad options or "
            "hints; 3 died"
        ),
    )
    parser.add_argument(
        "--root",
        metavar="NAME=ADDR",
        type=parse_root,
        action="append",
        default=[],
        help=say("a root server; may be given several times"),
    )
    parser.add_argument("--hints", metavar="FILE", help=say("root servers from a master file"))
    parser.add_argument(
        "--timeout",
        metavar="S",
        type=service.seconds,
        default=1.0,
        help=say("seconds to wait for one server before the next is asked (default %(default)s)"),
    )
    parser.add_argument(
        "--upstream-port",
        metavar="N",
        type=service.port_number,
        default=53,
        help=say("port of the servers that it asks (default %(default)s); for tests without root"),
    )
    parser.add_argument(
        "--serve-stale",
        metavar="S",
        type=service.seconds,
        default=0.0,
        help=say("when nobody answers, say again what was true up to S seconds ago (RFC 8767)"),
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
