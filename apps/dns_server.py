# SPDX-License-Identifier: Apache-2.0
"""An authoritative DNS server: it answers for the zones it is given, and for nothing else.

The cast
    `load_zone`   reads a master file (RFC 1035 section 5) and says in a sentence what is wrong
    `Zone`        one zone: which names exist, where it delegates, what it knows
    `Authority`   the algorithm; its `resolve(query)` is the seam for changes
    `main`        the command line; sockets are in dns_service.py and service.py

Run it (port 53 needs root; port 5353 does not), and ask it:

    python3 apps/dns_server.py --zone apps/zones/itheima.com.zone --listen 127.0.0.1 --port 5353
    dig -p 5353 @127.0.0.1 blog.itheima.com A

Change it, in ten lines: a server with one more name that tells the time.

    import time, dns.message, dns.rrset, dns_server
    class Clock(dns_server.Authority):
        def resolve(self, query):
            name = query.question[0].name
            if name.to_text() != "clock.lab.":
                return super().resolve(query)
            response = dns.message.make_response(query)
            response.answer.append(dns.rrset.from_text(name, 0, "IN", "TXT", f'"{time.ctime()}"'))
            return response
    dns_server.main(authority=Clock)

Rules followed: RFC 1034 section 4.3.2 (the algorithm), RFC 2308 (NXDOMAIN, NODATA: SOA in the
authority section), RFC 4592 (wildcards, names that exist only through names below them), RFC 6604
(rcode at the end of a CNAME chain), RFC 8482 (ANY), RFC 9471 (glue). No DNSSEC, no zone transfer.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset
import dns_service
import service

if TYPE_CHECKING:
    import dns.zone

MAX_CHAIN = 16  # CNAMEs followed in one answer

A = dns.rdatatype.A
AAAA = dns.rdatatype.AAAA
ANY = dns.rdatatype.ANY
CNAME = dns.rdatatype.CNAME
DS = dns.rdatatype.DS
MX = dns.rdatatype.MX
NS = dns.rdatatype.NS
SOA = dns.rdatatype.SOA


class Zone:
    """One zone, with what its master file does not say outright."""

    def __init__(self, data: dns.zone.Zone) -> None:
        assert data.origin is not None
        self.origin: dns.name.Name = data.origin
        self._data = data
        # A name exists when it has records, and also when a name below it has (RFC 4592
        # section 2.2.2): lab. exists because of a.root-servers.lab.
        self.names: set[dns.name.Name] = {self.origin}
        for name in data.nodes:
            while name not in self.names and name.is_subdomain(self.origin):
                self.names.add(name)
                name = name.parent()

    def rrset(self, name: dns.name.Name, rdtype: dns.rdatatype.RdataType) -> dns.rrset.RRset | None:
        """The records of NAME and RDTYPE as the file gives them (a fresh copy), or None."""
        return self._data.get_rrset(name, rdtype)

    def types_at(self, name: dns.name.Name) -> list[dns.rdatatype.RdataType]:
        """All types of record that NAME has."""
        node = self._data.get_node(name)
        return [] if node is None else [rdataset.rdtype for rdataset in node.rdatasets]

    def cut(self, name: dns.name.Name, rdtype: dns.rdatatype.RdataType) -> dns.name.Name | None:
        """Where, between the zone's top and NAME, the zone is handed to other servers."""
        depth = len(self.origin)
        # From the top down: what lies below a cut is not ours, not even another NS.
        for labels in range(depth + 1, len(name) + 1):
            above = dns.name.Name(name.labels[-labels:])
            if above not in self.names:
                return None
            if self.rrset(above, NS) is not None:
                # DS lives on the parent's side of the cut (RFC 4035 section 3.1.4.1).
                return None if above == name and rdtype == DS else above
        return None

    def match(self, name: dns.name.Name) -> dns.name.Name | None:
        """The name whose records answer for NAME: itself, a wildcard, or None (NXDOMAIN)."""
        if name in self.names:
            return name
        encloser = name.parent()
        while encloser not in self.names:
            encloser = encloser.parent()
        wildcard = dns.name.Name((b"*", *encloser.labels))
        return wildcard if wildcard in self.names else None

    def negative_soa(self) -> dns.rrset.RRset:
        """The SOA for NXDOMAIN and NODATA; its TTL is how long "no" may be cached."""
        soa = self.rrset(self.origin, SOA)
        assert soa is not None
        soa.ttl = min(soa.ttl, soa[0].minimum)  # RFC 2308 section 3
        return soa


class Authority:
    """Answers from its zones. Override `resolve` to change what it says.

    For each name, the question's first, then the targets of CNAMEs:
      1. Find the deepest zone that holds the name. None: REFUSED (or the end of the chain).
      2. Is there a cut between the zone's top and the name? Then refer to the servers there.
      3. The name does not exist, and no wildcard covers it: NXDOMAIN, with the SOA.
      4. It has records of the type: they are the answer.
      5. It has a CNAME: put it into the answer and go on with its target.
      6. It has neither: NODATA, which is NOERROR with an empty answer and the SOA.
    """

    def __init__(self, zones: Iterable[Zone]) -> None:
        self.zones = {zone.origin: zone for zone in zones}

    def resolve(self, query: dns.message.Message) -> dns.message.Message:
        """The response to QUERY, which has exactly one question, of class IN."""
        question = query.question[0]
        response = dns.message.make_response(query)
        name: dns.name.Name | None = question.name
        seen: set[dns.name.Name] = set()
        while name is not None and name not in seen and len(seen) < MAX_CHAIN:
            seen.add(name)
            zone = self.zone_of(name, question.rdtype)
            if zone is None:
                if len(seen) == 1:
                    response.set_rcode(dns.rcode.REFUSED)
                break
            name = self._step(zone, name, question.rdtype, response)
        return response

    def zone_of(self, name: dns.name.Name, rdtype: dns.rdatatype.RdataType = ANY) -> Zone | None:
        """The deepest of our zones that holds NAME."""
        # The DS of a zone's top is the parent's to give, if we are the parent too.
        skip = name if rdtype == DS and name != dns.name.root else None
        fallback = self.zones.get(name)
        while True:
            zone = self.zones.get(name)
            if zone is not None and name != skip:
                return zone
            if name == dns.name.root:
                return fallback
            name = name.parent()

    def _step(
        self,
        zone: Zone,
        name: dns.name.Name,
        rdtype: dns.rdatatype.RdataType,
        response: dns.message.Message,
    ) -> dns.name.Name | None:
        """Steps 2 to 6 for one name; returns the name to go on with."""
        cut = zone.cut(name, rdtype)
        if cut is not None:
            servers = zone.rrset(cut, NS)
            assert servers is not None
            response.authority.append(servers)
            self._add_addresses(zone, servers, response)
            return None
        # AA speaks of the first name in the answer (RFC 1035 section 4.1.1): a referral at the
        # end of a chain that began with us leaves it set.
        response.flags |= dns.flags.AA
        source = zone.match(name)
        if source is None:
            response.set_rcode(dns.rcode.NXDOMAIN)
            response.authority.append(zone.negative_soa())
            return None
        found = False
        for wanted in zone.types_at(source) if rdtype == ANY else [rdtype]:
            rrset = zone.rrset(source, wanted)
            if rrset is not None:
                found = True
                rrset.name = name  # a wildcard's records appear under the name asked for
                response.answer.append(rrset)
                if wanted in (NS, MX):
                    self._add_addresses(zone, rrset, response)
        if found:
            return None
        alias = zone.rrset(source, CNAME)
        if alias is not None:
            alias.name = name
            response.answer.append(alias)
            target: dns.name.Name = alias[0].target
            return target
        response.authority.append(zone.negative_soa())
        return None

    def _add_addresses(
        self, zone: Zone, rrset: dns.rrset.RRset, response: dns.message.Message
    ) -> None:
        """Add what we know of the addresses of an NS or MX record's targets."""
        for rdata in rrset:
            target = rdata.exchange if rrset.rdtype == MX else rdata.target
            for rdtype in (A, AAAA):
                # Glue stands in the zone above the cut, true addresses in the target's zone.
                for place in (zone, self.zone_of(target)):
                    addresses = place.rrset(target, rdtype) if place is not None else None
                    if addresses is not None and addresses not in response.additional:
                        response.additional.append(addresses)
                        break


def load_zone(path: str) -> Zone:
    """The zone in the master file PATH, or ServiceError."""
    # Here and not above: the resolver imports from this folder too and needs no zone files.
    import dns.zone

    hint = "See apps/zones/ for files that work; each begins with $ORIGIN, $TTL and an SOA."
    try:
        with open(path, encoding="utf-8") as file:
            zone = dns.zone.from_file(file, relativize=False, check_origin=False, filename=path)
    except OSError as error:
        raise service.ServiceError(f"cannot read the zone {path}: {error.strerror}", hint) from None
    except dns.zone.UnknownOrigin:
        raise service.ServiceError(f"{path}: no $ORIGIN, so no name is complete", hint) from None
    except (dns.exception.DNSException, ValueError, KeyError) as error:
        text = str(error) or type(error).__name__
        # The reader has often taken the end of the line before it complains about the line.
        match = re.fullmatch(re.escape(path) + r":(\d+): (.*)", text, re.DOTALL)
        if match is not None:
            path, text = f"{path}, at or just above line {match[1]}", match[2]
        raise service.ServiceError(f"not a master file: {path}: {text}", hint) from None
    if zone.origin is None:
        raise service.ServiceError(f"{path}: there is no record in it", hint)
    for rdtype in (SOA, NS):
        if zone.get_rdataset(zone.origin, rdtype) is None:
            kind = dns.rdatatype.to_text(rdtype)
            raise service.ServiceError(f"{path}: the zone has no {kind} record at its top", hint)
    return Zone(zone)


def load_zones(paths: Sequence[str]) -> Iterator[Zone]:
    """The zones of all PATHS; two files for one zone are a mistake."""
    where: dict[dns.name.Name, str] = {}
    for path in paths:
        zone = load_zone(path)
        if zone.origin in where:
            raise service.ServiceError(
                f"{where[zone.origin]} and {path} are both the zone {zone.origin}",
                "Give one --zone file for each zone.",
            )
        where[zone.origin] = path
        yield zone


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="dns_server.py",
        description="Authoritative DNS server for zones in master files, over UDP and TCP.",
        epilog="""examples:
  python3 apps/dns_server.py --zone apps/zones/root.zone
  python3 apps/dns_server.py --zone apps/zones/itheima.com.zone \\
      --zone apps/zones/10.in-addr.arpa.zone --background --log dns.log
  python3 apps/dns_server.py --zone my.zone --listen 127.0.0.1 --port 5353
  dig -p 5353 @127.0.0.1 www.itheima.com

exit codes: 0 ended or went to the background; 1 cannot listen; 2 bad options or zone; 3 died""",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--zone",
        metavar="FILE",
        action="append",
        required=True,
        help="master file with $ORIGIN and $TTL; may be given several times",
    )
    parser.add_argument(
        "--max-udp",
        metavar="BYTES",
        type=int,
        default=dns_service.DEFAULT_MAX_UDP,
        help="largest UDP answer for clients that take it (default %(default)s)",
    )
    service.add_options(parser, port=53)
    return parser


def main(argv: Sequence[str] | None = None, authority: type[Authority] = Authority) -> int:
    """Run the server; AUTHORITY is the class whose `resolve` answers."""
    args = build_parser().parse_args(argv)
    try:
        source = authority(load_zones(args.zone))
        udp, tcp = service.listen_udp_and_tcp(args.listen, args.port)

        def serve(log: service.Log) -> None:
            def resolve(query: dns.message.Message) -> dns.message.Message:
                response = source.resolve(query)
                log(summary(query, response))
                return response

            dns_service.serve(udp, tcp, resolve, log, max_udp=args.max_udp)

        return service.run("dns_server", serve, udp, args)
    except service.ServiceError as error:
        return service.fail("dns_server", error)


def summary(query: dns.message.Message, response: dns.message.Message) -> str:
    """One line for the log: the question and what became of it."""
    question = query.question[0]
    kind = dns.rdatatype.to_text(question.rdtype)
    outcome = dns.rcode.to_text(response.rcode())
    if response.answer:
        outcome = "; ".join(rrset.to_text().replace("\n", ", ") for rrset in response.answer)
    elif response.authority and response.authority[0].rdtype == NS:
        outcome = f"referral to {response.authority[0].name}"
    elif response.rcode() == dns.rcode.NOERROR:
        outcome = "NODATA"
    return f"{question.name} {kind} -> {outcome}"


if __name__ == "__main__":
    sys.exit(main())
