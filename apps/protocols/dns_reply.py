# SPDX-License-Identifier: Apache-2.0
"""One reply judged: what it is worth to one who asked a server of a zone.

The cast
    `Verdict`     answer, referral, denial, or of no use
    `read_reply`  judges; drops what the sender has no business to say (bailiwick). Glue leads the
                  way, but is never an answer (RFC 2181 section 5.4.1)
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass, field

from protocols.dns_cache import MAX_TTL_S, Result
from protocols.dns_records import AAAA, ANY, CNAME, NS, ROOT, SOA, A, RRset, is_below, name_text
from protocols.dns_wire import AA, NOERROR, NXDOMAIN, RCODES, Message

Servers = dict[bytes, list[str]]  # names of servers, with the addresses that we know

MAX_CHAIN = 12  # CNAMEs in a row


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

    def __str__(self) -> str:
        if self.kind == "answer":
            return str(Result(NOERROR, self.rrsets))
        if self.kind == "referral":
            servers = ", ".join(
                f"{name_text(server)} {' '.join(addresses)}".rstrip()
                for server, addresses in self.servers.items()
            )
            return f"referral to {name_text(self.child)}: {servers}"
        if self.kind == "denial":
            return str(Result(self.rcode, []))
        return f"of no use: {self.why}"


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
    by_key = {(rrset.name.lower(), rrset.rtype): rrset for rrset in answer}
    chain: list[RRset] = []
    while len(chain) <= MAX_CHAIN:
        rrset = by_key.get((name, rtype))
        if rrset is not None:
            return [*chain, rrset]
        # Out of the dict, so that a loop of CNAMEs ends here.
        rrset = by_key.pop((name, CNAME), None)
        if rrset is None:
            break
        chain.append(rrset)
        name = rrset.target().lower()
    return chain


def _referral(ns: RRset, additional: Sequence[RRset]) -> Verdict:
    servers: Servers = {target.lower(): [] for target in ns.datas}
    ttl = ns.ttl
    for rtype, family in ((A, socket.AF_INET), (AAAA, socket.AF_INET6)):
        for rrset in additional:
            if rrset.rtype == rtype and rrset.name.lower() in servers:
                servers[rrset.name.lower()] += [socket.inet_ntop(family, d) for d in rrset.datas]
                ttl = min(ttl, rrset.ttl)
    return Verdict("referral", child=ns.name.lower(), servers=servers, ttl=min(ttl, MAX_TTL_S))
