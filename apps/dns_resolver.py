# SPDX-License-Identifier: Apache-2.0
"""A caching recursive resolver: it starts at the root and asks its way down to the answer.

The cast
    `Cache`       what was answered, and what was denied, each until its TTL has run out
    `read_reply`  judges one reply: answer, referral, denial, or of no use; drops what its
                  sender has no business to say (bailiwick)
    `Recursor`    the walk from the root; its `resolve(query)` is the seam for changes
    `exchange`    one question to one server over UDP, over TCP if the reply was truncated
    `main`        the command line; the sockets towards clients are in dns_service.py

Run it on a host of the lab, or anywhere with servers of your own on an unusual port:

    python3 apps/dns_resolver.py --root a.root-servers.lab=10.53.0.2 --log resolver.log
    python3 apps/dns_resolver.py --hints apps/zones/root.hints --listen 127.0.0.1 --port 5354
    dig -p 5354 @127.0.0.1 www.itheima.com A

The walk for one name (RFC 1034 section 5.3.3):
  1. Is the answer, the denial, or a CNAME of the name in the cache? Use it.
  2. Which is the deepest zone above the name whose servers we know? In the beginning: the root.
  3. Ask these servers, one after the other, until one says something of use.
  4. A referral: remember the servers of the deeper zone, go to 3 with them.
  5. An answer or a denial: remember it. A CNAME: begin again with its target.

Rules followed: RFC 2308 (negative cache), RFC 2181 section 5.4.1 (glue leads the way, but is never
an answer), RFC 5452 (random id and source port, reply matched to the question), RFC 6891 (EDNS).
It has no DNSSEC, no query minimisation and asks no root server for the list of root servers.
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

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import dns_service
import service

Name = dns.name.Name
RRset = dns.rrset.RRset
RdataType = dns.rdatatype.RdataType
Servers = dict[Name, list[str]]  # names of servers, with the addresses that we know

A = dns.rdatatype.A
AAAA = dns.rdatatype.AAAA
ANY = dns.rdatatype.ANY
CNAME = dns.rdatatype.CNAME
NS = dns.rdatatype.NS
SOA = dns.rdatatype.SOA

MAX_CHAIN = 12  # CNAMEs in a row
MAX_REFERRALS = 16  # steps down the tree for one name
MAX_DEPTH = 4  # a server's name that must be resolved to resolve a server's name to ...
MAX_QUESTIONS = 40  # sent to servers on behalf of one client's question
TOTAL_S = 4.5  # a client (glibc) asks again after 5 s: answer before, even if with SERVFAIL
ROUNDS = 2  # times that each server of a zone is asked
AVOID_S = 30.0  # a server that did not answer comes last for this long
MAX_TTL_S = 86_400
MAX_NEGATIVE_TTL_S = 3 * 3600  # RFC 2308 section 5
CACHE_LIMIT = 10_000  # entries


class Failure(Exception):
    """No answer to be had: the client gets SERVFAIL, the log gets the reason."""


@dataclass(frozen=True)
class Found:
    """What is known about a question: records, or a denial with the SOA that vouches for it."""

    rcode: dns.rcode.Rcode
    rrsets: list[RRset]
    soa: RRset | None = None


class Cache:
    """Answers and denials by name and type; TTLs count down while they lie here."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, limit: int = CACHE_LIMIT
    ) -> None:
        self._clock = clock
        self._limit = limit
        self._lock = threading.Lock()
        # (name, type) -> (expires, what). Type ANY: holds for all types, as NXDOMAIN does.
        self._entries: dict[tuple[Name, int], tuple[float, Found]] = {}

    def put(self, rrset: RRset) -> None:
        """Remember an answer."""
        found = Found(dns.rcode.NOERROR, [_aged(rrset, rrset.ttl)])
        self._store((rrset.name, int(rrset.rdtype)), min(rrset.ttl, MAX_TTL_S), found)

    def put_denial(self, name: Name, rdtype: int, rcode: dns.rcode.Rcode, soa: RRset) -> None:
        """Remember that NAME does not exist (NXDOMAIN) or has no RDTYPE (NOERROR)."""
        ttl = min(soa.ttl, soa[0].minimum, MAX_NEGATIVE_TTL_S)
        kind = int(ANY) if rcode == dns.rcode.NXDOMAIN else int(rdtype)
        self._store((name, kind), ttl, Found(rcode, [], _aged(soa, soa.ttl)))

    def _store(self, key: tuple[Name, int], ttl: int, found: Found) -> None:
        if ttl <= 0:
            return  # "for this transaction only" (RFC 1035 section 3.2.1)
        with self._lock:
            self._entries.pop(key, None)
            if found.rrsets:
                self._entries.pop((key[0], int(ANY)), None)  # so the name exists after all
            while len(self._entries) >= self._limit:
                del self._entries[next(iter(self._entries))]  # the oldest
            self._entries[key] = (self._clock() + ttl, found)

    def get(self, name: Name, rdtype: int) -> Found | None:
        """What is remembered and still true, with the TTL that is left."""
        for key in ((name, int(ANY)), (name, int(rdtype))):
            with self._lock:
                entry = self._entries.get(key)
                if entry is None:
                    continue
                expires, found = entry
                left = math.floor(expires - self._clock())
                if left <= 0:
                    del self._entries[key]
                    continue
            return Found(
                found.rcode,
                [_aged(rrset, left) for rrset in found.rrsets],
                None if found.soa is None else _aged(found.soa, left),
            )
        return None


def _aged(rrset: RRset, ttl: int) -> RRset:
    """A copy of RRSET with TTL: what lies in the cache must not change with what is sent."""
    return dns.rrset.from_rdata_list(rrset.name, ttl, list(rrset))


@dataclass(frozen=True)
class Verdict:
    """What one reply is worth: kind is answer, referral, denial or useless (then see why)."""

    kind: str
    why: str = ""
    rrsets: list[RRset] = field(default_factory=list)  # the answer, CNAMEs first
    rcode: dns.rcode.Rcode = dns.rcode.NOERROR  # of a denial: NXDOMAIN, or NOERROR for NODATA
    soa: RRset | None = None  # of a denial: vouches for it, and says for how long
    child: Name = dns.name.root  # of a referral: the zone that it hands us to
    servers: Servers = field(default_factory=dict)
    ttl: int = 0


def read_reply(reply: dns.message.Message, zone: Name, name: Name, rdtype: int) -> Verdict:
    """Judge the REPLY of a server of ZONE to the question NAME, RDTYPE.

    Only records within ZONE count: the servers of com. may speak of everything below com., and
    of nothing else. Otherwise any server could plant an address for any name.
    """
    rcode = reply.rcode()
    if rcode not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
        return Verdict("useless", why=dns.rcode.to_text(rcode))
    authoritative = bool(reply.flags & dns.flags.AA)
    chain = _chain(_within(reply.answer, zone), name, rdtype)
    if chain:
        if not authoritative:
            return Verdict("useless", why="an answer at second hand (AA is off)")
        return Verdict("answer", rrsets=chain)
    authority = _within(reply.authority, zone)
    soas = [rr for rr in authority if rr.rdtype == SOA and name.is_subdomain(rr.name)]
    for rrset in authority:
        deeper = rrset.name != zone and name.is_subdomain(rrset.name)
        if rrset.rdtype == NS and deeper and not soas and rcode == dns.rcode.NOERROR:
            return _referral(rrset, _within(reply.additional, zone))
    if not authoritative:
        return Verdict("useless", why="neither an answer nor a way to one")
    return Verdict("denial", rcode=rcode, soa=soas[0] if soas else None)


def _within(section: Sequence[RRset], zone: Name) -> list[RRset]:
    return [
        rrset
        for rrset in section
        if rrset.rdclass == dns.rdataclass.IN and rrset.name.is_subdomain(zone) and len(rrset) > 0
    ]


def _chain(answer: Sequence[RRset], name: Name, rdtype: int) -> list[RRset]:
    """The records for NAME, with the CNAMEs that lead to them; as far as ANSWER goes."""
    if rdtype == ANY:
        return [rrset for rrset in answer if rrset.name == name]
    here = {(rrset.name, rrset.rdtype): rrset for rrset in answer}
    chain: list[RRset] = []
    while len(chain) <= MAX_CHAIN:
        rrset = here.get((name, RdataType(rdtype)))
        if rrset is not None:
            return [*chain, rrset]
        # Out of the dict, so that a loop of CNAMEs ends here.
        rrset = here.pop((name, CNAME), None)
        if rrset is None:
            break
        chain.append(rrset)
        name = rrset[0].target
    return chain


def _referral(ns: RRset, additional: Sequence[RRset]) -> Verdict:
    servers: Servers = {rdata.target: [] for rdata in ns}
    ttl = ns.ttl
    for wanted in (A, AAAA):
        for rrset in additional:
            if rrset.rdtype == wanted and rrset.name in servers:
                servers[rrset.name] += [rdata.address for rdata in rrset]
                ttl = min(ttl, rrset.ttl)
    return Verdict("referral", child=ns.name, servers=servers, ttl=min(ttl, MAX_TTL_S))


class Job:
    """One client's question: what it has used up of the limits, and how it logs."""

    def __init__(self, log: Callable[[str], None], seconds: float = TOTAL_S) -> None:
        self.log = log
        self.deadline = time.monotonic() + seconds
        self.questions_left = MAX_QUESTIONS
        self.wanted: set[Name] = set()  # names of servers whose addresses we are looking for

    def spend(self) -> float:
        """Account for one more question to a server; returns the seconds left."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise Failure("out of time")
        if self.questions_left <= 0:
            raise Failure(f"gave up after {MAX_QUESTIONS} questions")
        self.questions_left -= 1
        return left


Exchange = Callable[[str, Name, RdataType, float], dns.message.Message]


class Recursor:
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
        self._lock = threading.Lock()
        self._zones: dict[Name, tuple[float, Servers]] = {}
        self._silent: dict[str, float] = {}
        self._count = 0

    def resolve(self, query: dns.message.Message) -> dns.message.Message:
        """The response to a client's QUERY, which has exactly one question, of class IN."""
        question = query.question[0]
        name, rdtype = question.name, question.rdtype
        response = dns.message.make_response(query, recursion_available=True)
        with self._lock:
            self._count += 1
            number = self._count
        job = Job(lambda text: self.log(f"#{number} {text}"))
        kind = dns.rdatatype.to_text(rdtype)
        try:
            if not query.flags & dns.flags.RD:
                job.log(f"asked {name} {kind} without recursion: from the cache alone")
                found = self._remembered(name, rdtype, response)
                if response.authority:
                    job.log(f"not there; named the servers of {response.authority[0].name}")
            else:
                job.log(f"asked {name} {kind}")
                found = self.lookup(name, rdtype, job)
        except Failure as failure:
            job.log(f"SERVFAIL: {failure}")
            response.set_rcode(dns.rcode.SERVFAIL)
            return response
        response.set_rcode(found.rcode)
        response.answer = found.rrsets
        if found.soa is not None:
            response.authority.append(found.soa)
        job.log(f"told the client: {_outcome(found)}")
        return response

    def _remembered(self, name: Name, rdtype: int, response: dns.message.Message) -> Found:
        """For queries without RD: the cache, or else the deepest zone known (RFC 1034, 4.3.2)."""
        found = self.cache.get(name, rdtype) or self.cache.get(name, CNAME)
        if found is not None:
            return found
        zone, servers = self._nearest(name)
        for server in servers:
            text = server.to_text()
            response.authority.append(dns.rrset.from_text(zone, 0, "IN", "NS", text))
        return Found(dns.rcode.NOERROR, [])

    def lookup(self, name: Name, rdtype: int, job: Job, depth: int = 0) -> Found:
        """Steps 1 and 5: the cache, then the walk, again for each CNAME."""
        answer: list[RRset] = []
        seen: set[Name] = set()
        while name not in seen and len(seen) <= MAX_CHAIN:
            seen.add(name)
            found = self.cache.get(name, rdtype)
            if found is None and rdtype not in (CNAME, ANY):
                alias = self.cache.get(name, CNAME)
                if alias is not None and alias.rrsets:
                    found = alias
            if found is not None:
                job.log(f"in the cache: {name} {_outcome(found)}")
            else:
                found = self._walk(name, rdtype, job, depth)
            answer += found.rrsets
            last = found.rrsets[-1] if found.rrsets else None
            if last is None or last.rdtype != CNAME or rdtype in (CNAME, ANY):
                return Found(found.rcode, answer, found.soa)
            # The chain may have passed through several names in this one reply.
            seen.update(rrset.name for rrset in found.rrsets)
            name = last[0].target
        raise Failure(f"the CNAMEs of {name} lead in a circle, or too far")

    def _walk(self, name: Name, rdtype: int, job: Job, depth: int) -> Found:
        """Steps 2 to 5: down the tree until somebody answers or denies."""
        zone, servers = self._nearest(name)
        for _ in range(MAX_REFERRALS):
            verdict = self._ask(zone, servers, name, rdtype, job, depth)
            if verdict.kind == "answer":
                if rdtype != ANY:
                    for rrset in verdict.rrsets:
                        self.cache.put(rrset)
                return Found(dns.rcode.NOERROR, verdict.rrsets)
            if verdict.kind == "denial":
                rcode = verdict.rcode
                if verdict.soa is not None:
                    verdict.soa.ttl = min(verdict.soa.ttl, verdict.soa[0].minimum)
                    self.cache.put_denial(name, rdtype, rcode, verdict.soa)
                return Found(rcode, [], verdict.soa)
            # A referral always leads further down (read_reply sees to it), so this loop ends.
            zone, servers = verdict.child, verdict.servers
            with self._lock:
                if len(self._zones) >= CACHE_LIMIT:
                    self._zones.clear()
                self._zones[zone] = (time.monotonic() + verdict.ttl, servers)
        raise Failure(f"more than {MAX_REFERRALS} referrals for {name}")

    def _nearest(self, name: Name) -> tuple[Name, Servers]:
        """Step 2: the deepest zone above NAME whose servers we know."""
        now = time.monotonic()
        with self._lock:
            while name != dns.name.root:
                entry = self._zones.get(name)
                if entry is not None and entry[0] > now:
                    return name, entry[1]
                name = name.parent()
        return dns.name.root, self.roots

    def _ask(
        self, zone: Name, servers: Servers, name: Name, rdtype: int, job: Job, depth: int
    ) -> Verdict:
        """Step 3: the servers of ZONE, one after the other, until one is of use."""
        kind = dns.rdatatype.to_text(RdataType(rdtype))
        hopeless: set[str] = set()
        for _ in range(ROUNDS):
            for server, address in self._addresses(servers, job, depth):
                if address in hopeless:
                    continue
                timeout = min(self.timeout_s, job.spend())
                job.log(f"ask {server} ({address}), which serves {zone}: {name} {kind}?")
                try:
                    reply = self.exchange(address, name, RdataType(rdtype), timeout)
                except OSError as error:
                    with self._lock:
                        self._silent[address] = time.monotonic() + AVOID_S
                    job.log(f"  {address}: {_reason(error)}")
                    continue
                verdict = read_reply(reply, zone, name, rdtype)
                job.log(f"  {address}: {_describe(verdict)}")
                if verdict.kind == "useless":
                    hopeless.add(address)
                    continue
                with self._lock:
                    self._silent.pop(address, None)
                return verdict
        raise Failure(f"no server of the zone {zone} was of use")

    def _addresses(self, servers: Servers, job: Job, depth: int) -> Iterator[tuple[Name, str]]:
        """Where to ask: known addresses first, the silent ones last; then look up the others."""
        now = time.monotonic()
        known = [(server, address) for server, found in servers.items() for address in found]
        with self._lock:
            late = {address for address, until in self._silent.items() if until > now}
        # sorted() keeps the order of those that are alike.
        yield from sorted(known, key=lambda pair: pair[1] in late)
        for server, found in servers.items():
            if found or server in job.wanted:
                continue  # known, or we are here because we look for it
            if depth >= MAX_DEPTH:
                raise Failure(f"too many servers in a row without an address, last {server}")
            job.wanted.add(server)
            try:
                for rdtype in (A, AAAA):
                    job.log(f"need the address of {server}")
                    result = self.lookup(server, rdtype, job, depth + 1)
                    if result.rrsets and result.rrsets[-1].rdtype == rdtype:
                        yield from ((server, rdata.address) for rdata in result.rrsets[-1])
                        break
            except Failure as failure:
                job.log(f"no address of {server}: {failure}")
            finally:
                job.wanted.discard(server)


def _outcome(found: Found) -> str:
    if found.rrsets:
        return "; ".join(rrset.to_text().replace("\n", ", ") for rrset in found.rrsets)
    if found.rcode == dns.rcode.NXDOMAIN:
        return "NXDOMAIN, there is no such name"
    return "no record of this type"


def _describe(verdict: Verdict) -> str:
    if verdict.kind == "answer":
        return _outcome(Found(dns.rcode.NOERROR, verdict.rrsets))
    if verdict.kind == "referral":
        known = ", ".join(
            f"{server} {' '.join(addresses)}".rstrip()
            for server, addresses in verdict.servers.items()
        )
        return f"referral to {verdict.child}: {known}"
    if verdict.kind == "denial":
        return _outcome(Found(verdict.rcode, []))
    return f"of no use: {verdict.why}"


def _reason(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return "no reply in time"
    return error.strerror or str(error)


def exchange(
    address: str, name: Name, rdtype: RdataType, timeout_s: float, port: int = 53
) -> dns.message.Message:
    """Ask the server at ADDRESS. Raises OSError; TimeoutError when nothing that fits came."""
    deadline = time.monotonic() + timeout_s
    # The id comes from the system's random numbers (dns.entropy); flags=0: no recursion desired.
    query = dns.message.make_query(
        name, rdtype, use_edns=0, payload=dns_service.DEFAULT_MAX_UDP, flags=0
    )
    reply = _by_udp(query, address, port, deadline)
    if reply.rcode() in (dns.rcode.FORMERR, dns.rcode.NOTIMP) and reply.edns < 0:
        # RFC 6891 section 7: a server that does not know EDNS gets the question without it.
        query = dns.message.make_query(name, rdtype, flags=0)
        reply = _by_udp(query, address, port, deadline)
    if reply.flags & dns.flags.TC:
        query.id = dns.message.Message().id
        reply = _by_tcp(query, address, port, deadline)
    return reply


def fits(query: dns.message.Message, wire: bytes) -> dns.message.Message | None:
    """WIRE as a message if it is a response to QUERY: same id, same question; else None."""
    try:
        reply = dns.message.from_wire(wire)
    except Exception:
        return None  # the network sends anything; whatever it is, it is no reply
    # Servers that cannot parse may leave the question out (RFC 1035 section 4.1.1).
    return reply if query.is_response(reply) else None


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    return left


def _by_udp(
    query: dns.message.Message, address: str, port: int, deadline: float
) -> dns.message.Message:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    # A new socket for each question: the kernel gives each a source port at random. Connected:
    # the kernel drops datagrams of others and reports "port unreachable".
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.connect((address, port))
        sock.send(query.to_wire())
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


def _by_tcp(
    query: dns.message.Message, address: str, port: int, deadline: float
) -> dns.message.Message:
    frames = dns_service.TcpFrames()
    with socket.create_connection((address, port), timeout=_left(deadline)) as sock:
        sock.sendall(frames.frame(query.to_wire()))
        while True:
            sock.settimeout(_left(deadline))
            data = sock.recv(65536)
            if not data:
                raise ConnectionError("the server closed the TCP connection without a reply")
            for wire in frames.feed(data):
                reply = fits(query, wire)
                if reply is not None:
                    return reply


def parse_root(text: str) -> tuple[Name, str]:
    """An argparse type: NAME=ADDRESS."""
    name, _, address = text.partition("=")
    try:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        socket.inet_pton(family, address)
        return dns.name.from_text(name), address
    except (OSError, dns.exception.DNSException):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not NAME=ADDRESS, such as a.root-servers.lab=10.53.0.2"
        ) from None


def load_hints(path: str) -> Servers:
    """The root servers in the master file PATH, or ServiceError."""
    import dns.zone  # here: --root needs none

    hint = "See apps/zones/root.hints for one that works, or use --root NAME=ADDRESS."
    try:
        with open(path, encoding="utf-8") as file:
            zone = dns.zone.from_file(
                file, origin=".", relativize=False, check_origin=False, filename=path
            )
    except OSError as error:
        raise service.ServiceError(f"cannot read {path}: {error.strerror}", hint) from None
    except (dns.exception.DNSException, ValueError, KeyError) as error:
        raise service.ServiceError(f"not a file of hints: {path}: {error}", hint) from None
    servers: Servers = {}
    for rdata in zone.get_rrset(dns.name.root, NS) or ():
        for rdtype in (A, AAAA):
            for address in zone.get_rrset(rdata.target, rdtype) or ():
                servers.setdefault(rdata.target, []).append(address.address)
    if not servers:
        raise service.ServiceError(f"{path} names no root server with an address", hint)
    return servers


def collect_roots(pairs: Sequence[tuple[Name, str]], hints: str | None) -> Servers:
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


def _warm_up() -> None:
    """Load dnspython's record types now: it does so at first use, which costs milliseconds."""
    query = dns.message.make_query(".", "SOA", use_edns=0)
    response = dns.message.make_response(query)
    for kind, data in (("A", "0.0.0.0"), ("AAAA", "::"), ("NS", "."), ("CNAME", ".")):
        response.additional.append(dns.rrset.from_text(".", 0, "IN", kind, data))
    response.authority.append(dns.rrset.from_text(".", 0, "IN", "SOA", ". . 1 1 1 1 1"))
    fits(query, response.to_wire())


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="dns_resolver.py",
        description="Caching recursive DNS resolver that starts at the root servers given.",
        epilog="""examples:
  python3 apps/dns_resolver.py --root a.root-servers.lab=10.53.0.2
  python3 apps/dns_resolver.py --hints apps/zones/root.hints --background --log resolver.log
  python3 apps/dns_resolver.py --root a=127.0.0.2 --upstream-port 5353 --port 5354
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
        type=float,
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
    service.add_options(parser, port=53)
    return parser


def main(argv: Sequence[str] | None = None, recursor: type[Recursor] = Recursor) -> int:
    """Run the resolver; RECURSOR is the class whose `resolve` answers."""
    args = build_parser().parse_args(argv)
    try:
        roots = collect_roots(args.root, args.hints)
        udp, tcp = service.listen_udp_and_tcp(args.listen, args.port)

        def ask(
            address: str, name: Name, rdtype: RdataType, timeout_s: float
        ) -> dns.message.Message:
            return exchange(address, name, rdtype, timeout_s, args.upstream_port)

        def serve(log: service.Log) -> None:
            _warm_up()
            source = recursor(roots, ask, log, args.timeout)
            dns_service.serve(udp, tcp, source.resolve, log, threaded=True)

        return service.run("dns_resolver", serve, udp, args)
    except service.ServiceError as error:
        return service.fail("dns_resolver", error)


if __name__ == "__main__":
    sys.exit(main())
