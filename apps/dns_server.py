# SPDX-License-Identifier: Apache-2.0
"""An authoritative DNS server: it answers for the zones it is given, and for nothing else.

The cast
    `Authority`   the algorithm; its `resolve(query)` is the seam for changes
    `Files`       the master files: read at the start, read again when they have changed
    `main`        the command line
    Its parts are in protocols/: master files in dns_zone.py, bytes in dns_wire.py, sockets in
    dns_service.py and service.py

Run it (port 53 needs root; port 5353 does not), and ask it:

    python3 apps/dns_server.py --zone apps/zones/itheima.com.zone --listen 127.0.0.1 --port 5353
    dig -p 5353 @127.0.0.1 blog.itheima.com A

Change it, in eight lines: a server with one more name that tells the time.

    import time, dns_server
    from protocols.dns_records import record
    class Clock(dns_server.Authority):
        def resolve(self, query):
            if query.name != "clock.lab.":
                return super().resolve(query)
            return query.reply(record("clock.lab.", "TXT", f'"{time.ctime()}"', ttl=0))
    dns_server.main(authority=Clock)

Rules followed: RFC 1034 section 4.3.2 (the algorithm), RFC 2308 (NXDOMAIN, NODATA: SOA in the
authority section), RFC 4592 (wildcards, names that exist only through names below them), RFC 6604
(rcode at the end of a CNAME chain), RFC 8482 (ANY gets one set over UDP), RFC 9471 (glue), RFC 5936
(zone transfer, for those whom --allow-transfer names). No DNSSEC, no updates, no DNAME.
"""

from __future__ import annotations

import argparse
import ipaddress
import os
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

# With -I or -P Python does not look beside the program for modules; this one's are there.
sys.path.append(os.path.dirname(os.path.realpath(__file__)))
try:
    from protocols import dns_service, dns_zone, service
    from protocols.command_line import Parser, bad_value
    from protocols.dns_records import (
        AAAA,
        ANY,
        CNAME,
        DS,
        NS,
        ROOT,
        SOA,
        A,
        RRset,
        above,
        name_text,
    )
    from protocols.dns_templates import Templates
    from protocols.dns_wire import AA, NOERROR, NXDOMAIN, RCODES, REFUSED, Message
    from protocols.dns_zone import Zone
    from protocols.language import in_words, say
except ImportError as missing:
    import shlex  # imported here, since only this sentence needs it

    folder, program = os.path.split(os.path.abspath(__file__))
    print(
        f"{program} needs the folder protocols beside it ({missing}).\n"
        f'  Next: cp -r "$(dirname "$(hoplab path dns_server)")"/protocols {shlex.quote(folder)}',
        file=sys.stderr,
    )
    raise SystemExit(2) from None

MAX_CHAIN = 16  # CNAMEs followed in one answer
TRANSFER_BYTES = 16_000  # of one message of a zone transfer, roughly
POLL_S = 1.0  # how often files are looked at for changes

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Authority(dns_service.Source):
    """Answers from its zones. Override `resolve` to change what it says.

    For each name, the question's first, then the targets of CNAMEs:
      1. Find the deepest zone that holds the name. None: REFUSED. Another one than that of the
         question: the end of the chain.
      2. Is there a cut between the zone's top and the name? Then refer to the servers there.
      3. The name does not exist, and no wildcard covers it: NXDOMAIN, with the SOA.
      4. It has records of the type: they are the answer.
      5. It has a CNAME: put it into the answer and go on with its target.
      6. It has neither: NODATA, which is NOERROR with an empty answer and the SOA.
    """

    def __init__(self, zones: Iterable[Zone], transfer_to: Sequence[Network] = ()) -> None:
        self.zones: dict[bytes, Zone] = {}
        self.transfer_to = transfer_to
        # Our own answers depend on the query alone, so each is worked out once. What a derived
        # class says may depend on anything.
        self.repeats = type(self) is Authority
        self.replace(zones)

    def replace(self, zones: Iterable[Zone]) -> None:
        """Serve these zones from now on."""
        self.zones = {zone.origin: zone for zone in zones}
        # A new dict, after the zones: an answer that a thread still makes from the old zones lands
        # in the old dict, which nobody reads any more.
        self.ready_answers = {} if self.repeats else None
        self.templates = Templates(self.zones.values()) if self.repeats else None

    def resolve(self, query: Message) -> Message:
        """The response to QUERY, which has exactly one question, of class IN."""
        assert query.qname is not None
        response = query.reply(authoritative=False)
        name = query.qname
        zone = self.zone_of(name.lower(), query.qtype)
        if zone is None:
            response.rcode = REFUSED
            return response
        seen: set[bytes] = set()
        while (key := name.lower()) not in seen and len(seen) < MAX_CHAIN:
            seen.add(key)
            target = self._step(zone, name, key, query, response)
            # A chain is followed within one zone. Where it leaves, the resolver must ask anew and
            # will not believe us about names of others, even if we serve their zone too.
            if target is None or self.zone_of(target.lower(), query.qtype) is not zone:
                break
            name = target
        return response

    def zone_of(self, name: bytes, rtype: int = ANY) -> Zone | None:
        """The deepest of our zones that holds NAME (in small letters)."""
        zone_below = None  # the one whose top NAME itself is
        for ancestor in above(name):
            zone = self.zones.get(ancestor)
            if zone is None:
                continue
            # The DS of a zone's top is given by the parent zone, if we serve that too.
            if rtype != DS or ancestor != name or name == ROOT:
                return zone
            zone_below = zone
        return zone_below

    def _step(
        self, zone: Zone, name: bytes, key: bytes, query: Message, response: Message
    ) -> bytes | None:
        """Steps 2 to 6 for one name; returns the name to go on with."""
        rtype = query.qtype
        cut = zone.cut(key, rtype)
        if cut is not None:
            servers = zone.rrset(cut, NS)
            assert servers is not None
            response.authority.append(servers)
            self._add_addresses(zone, servers, response)
            return None
        # AA speaks of the first name in the answer (RFC 1035 section 4.1.1): a referral at the
        # end of a chain that began with us leaves it set.
        response.flags |= AA
        source = zone.match(key)
        if source is None:
            response.rcode = NXDOMAIN
            response.authority.append(zone.denial)
            return None
        node = zone.records.get(source)
        if node is not None:
            if rtype == ANY:
                # RFC 8482 section 4.1: over UDP one set will do; forged questions gain nothing.
                rrsets = list(node.values())
                rrsets = rrsets if query.over_tcp else rrsets[:1]
            else:
                rrsets = [node[rtype]] if rtype in node else []
            for rrset in rrsets:
                # Under the name as it was asked for, capital letters and all.
                response.answer.append(RRset(name, rrset.rtype, rrset.ttl, rrset.datas))
                if rtype != ANY:
                    self._add_addresses(zone, rrset, response)
            if rrsets:
                return None
            alias = node.get(CNAME)
            if alias is not None:
                # A wildcard's records appear under the name asked for.
                owner = alias.name if source == key else name
                response.answer.append(RRset(owner, CNAME, alias.ttl, alias.datas))
                return alias.target()
        response.authority.append(zone.denial)
        return None

    def _add_addresses(self, zone: Zone, rrset: RRset, response: Message) -> None:
        """Add what we know of the addresses of the names that an NS, MX or SRV points at."""
        if not rrset.targets():
            return
        present = {(entry.name.lower(), entry.rtype) for entry in response.additional}
        present.update((entry.name.lower(), entry.rtype) for entry in response.answer)
        for target in rrset.targets():
            key = target.lower()
            for rtype in (A, AAAA):
                if (key, rtype) in present:
                    continue
                # Only those in this zone: glue below its cuts, true addresses elsewhere.
                addresses = zone.rrset(key, rtype)
                if addresses is not None:
                    present.add((key, rtype))
                    response.additional.append(addresses)

    def transfer(self, query: Message, peer: str) -> Iterator[Message] | None:
        """The zone, record by record, SOA first and last; None for those who may not have it."""
        assert query.qname is not None
        zone = self.zones.get(query.qname.lower())
        address = ipaddress.ip_address(peer.partition("%")[0])
        allowed = any(
            address in network for network in self.transfer_to if network.version == address.version
        )
        return _transfer(zone, query) if zone is not None and allowed else None


def _transfer(zone: Zone, query: Message) -> Iterator[Message]:
    message, size = query.reply(), 0
    soa = zone.records[zone.origin][SOA]
    for rrset in (*zone.all(), soa):
        for raw in rrset.datas:
            more = len(raw) + len(rrset.name) + 10
            # Sent before the record is added, which may be as large as a message can be.
            if message.answer and size + more > TRANSFER_BYTES:
                yield message
                message, size = query.reply(), 0
            message.answer.append(RRset(rrset.name, rrset.rtype, rrset.ttl, [raw]))
            size += more
    if message.answer:
        yield message


class Files:
    """The master files of a server, and what they looked like when they were last read."""

    HINT = say("See apps/zones/ for files that work; each begins with $ORIGIN, $TTL and an SOA.")

    def __init__(self, paths: Sequence[str]) -> None:
        # Absolute, since a server in the background changes its folder.
        self.paths = [Path(path).resolve() for path in paths]
        self.names = list(paths)
        self.read: set[Path] = set(self.paths)
        self.stamp = self._stamp()

    def _stamp(self) -> dict[Path, tuple[int, int, int]]:
        """Time, size and inode of each file: one of them changes when the file does."""
        stamps = {}
        for path in self.read:
            try:
                stat = path.stat()
            except OSError:
                stamps[path] = (0, 0, 0)
            else:
                stamps[path] = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        return stamps

    def load(self) -> list[Zone]:
        """The zones of all files; two files for one zone are a mistake. Raises ServiceError."""
        before = self._stamp()
        where: dict[bytes, str] = {}
        zones = []
        for path, name in zip(self.paths, self.names, strict=True):
            try:
                zone = dns_zone.load_zone(path)
            except OSError as error:
                raise service.ServiceError(
                    say("cannot read the zone {name}: {reason}", name=name, reason=in_words(error)),
                    self.HINT,
                ) from None
            except dns_zone.Fault as fault:
                sentence = say("not a zone: {fault}", fault=fault.args[0])
                raise service.ServiceError(sentence, self.HINT) from None
            if zone.origin in where:
                raise service.ServiceError(
                    say(
                        "{file} and {other_file} are both the zone {zone}",
                        file=where[zone.origin],
                        other_file=name,
                        zone=name_text(zone.origin),
                    ),
                    say("Give one --zone file for each zone."),
                )
            where[zone.origin] = name
            zones.append(zone)
        self.read = {*self.paths, *(file for zone in zones for file in zone.files)}
        # The stamps of files known before were taken before they were read: what has changed since
        # is then seen as a change.
        self.stamp = self._stamp() | {p: s for p, s in before.items() if p in self.read}
        return zones

    def changed(self) -> bool:
        """Has a file changed since it was last looked at?"""
        before, self.stamp = self.stamp, self._stamp()
        return before != self.stamp


def watch(files: Files, source: Authority, log: dns_service.Log) -> None:
    """Read the files again whenever one changes; a file with a mistake changes nothing. The
    server answers from the old zones until the new ones are complete."""
    pause = threading.Event()
    mistake = ""
    while True:
        pause.wait(POLL_S)
        # After a mistake they are always read: it may be mended in a file that was not reached.
        if not files.changed() and not mistake:
            continue
        try:
            source.replace(files.load())
            log("zones read again")
            mistake = ""
        except service.ServiceError as error:
            if str(error) != mistake:
                mistake = str(error)
                log(f"still serving the old zones: {mistake}")


def parse_network(text: str) -> Network:
    """An argparse type: an address, or a network such as 10.53.0.0/24."""
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        raise bad_value(
            say("{text!r} is neither an address nor a network such as 10.53.0.0/24", text=text)
        ) from None


def parse_size(text: str) -> int:
    """An argparse type: bytes of a UDP answer."""
    if not text.isascii() or not text.isdigit() or not 512 <= int(text) <= 65507:
        raise bad_value(say("{text!r}: give 512 to 65507 bytes", text=text))
    return int(text)


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = Parser(
        "dns_server.py",
        say(
            "Authoritative DNS server for zones in master files, over UDP and TCP. A file "
            "that changes is read again within about a second."
        ),
        """  python3 apps/dns_server.py --zone apps/zones/root.zone
  python3 apps/dns_server.py --zone apps/zones/itheima.com.zone \\
      --zone apps/zones/10.in-addr.arpa.zone --background --log dns.log
  python3 apps/dns_server.py --zone my.zone --listen 127.0.0.1 --port 5353
  python3 apps/dns_server.py --zone my.zone --port 5353 --allow-transfer 127.0.0.1
  python3 apps/dns_server.py --zone my.zone --check
  dig -p 5353 @127.0.0.1 www.itheima.com
  dig -p 5353 @127.0.0.1 itheima.com AXFR""",
        say(
            "exit codes: 0 ended or went to the background; 1 cannot listen; 2 bad options or "
            "zone; 3 died"
        ),
    )
    parser.add_argument(
        "--zone",
        metavar="FILE",
        action="append",
        required=True,
        help=say("master file with $ORIGIN and $TTL; may be given several times"),
    )
    parser.add_argument(
        "--max-udp",
        metavar="BYTES",
        type=parse_size,
        default=dns_service.DEFAULT_MAX_UDP,
        help=say("largest UDP answer for clients that take it (default %(default)s)"),
    )
    parser.add_argument(
        "--allow-transfer",
        metavar="NET",
        type=parse_network,
        action="append",
        default=[],
        help=say("who may have a whole zone (AXFR): an address or a network; default nobody"),
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help=say("read the files, print the zones as one sees them, end"),
    )
    service.add_options(parser, port=53)
    return parser


def main(argv: Sequence[str] | None = None, authority: type[Authority] = Authority) -> int:
    """Run the server; AUTHORITY is the class whose `resolve` answers."""
    args = build_parser().parse_args(argv)
    try:
        files = Files(args.zone)
        source = authority(files.load(), args.allow_transfer)
        if args.check:
            sys.stdout.write("".join(zone.text() for zone in source.zones.values()))
            return 0
        udp, tcp = service.listen_udp_and_tcp(args.listen, args.port)

        def serve(log: service.Log) -> None:
            threading.Thread(target=watch, args=(files, source, log), daemon=True).start()
            answering = Logged(source, log) if log.wanted else source
            dns_service.serve(udp, tcp, answering, log, max_udp=args.max_udp)

        return service.run("dns_server", serve, udp, args)
    except service.ServiceError as error:
        return service.fail("dns_server", error)


class Logged(dns_service.Source):
    """Another source, with a line in the log for each answer."""

    notes = True

    def __init__(self, source: dns_service.Source, log: service.Log) -> None:
        self.source = source
        self.log = log

    @property
    def ready_answers(self) -> dict[bytes, tuple[bytes, str]] | None:  # type: ignore[override]
        return self.source.ready_answers

    @property
    def templates(self) -> Templates | None:  # type: ignore[override]
        return self.source.templates

    def resolve(self, query: Message) -> Message:
        response = self.source.resolve(query)
        query.note = summary(query, response)
        return response

    def transfer(self, query: Message, peer: str) -> Iterator[Message] | None:
        messages = self.source.transfer(query, peer)
        self.log(
            f"{query.name} {query.type} -> {'refused to' if messages is None else 'to'} {peer}"
        )
        return messages


def summary(query: Message, response: Message) -> str:
    """One line for the log: the question and what became of it."""
    outcome = RCODES.get(response.rcode, str(response.rcode))
    if response.answer:
        outcome = "; ".join(str(rrset) for rrset in response.answer)
    elif response.authority and response.authority[0].rtype == NS:
        outcome = f"referral to {name_text(response.authority[0].name)}"
    elif response.rcode == NOERROR:
        outcome = "NODATA"
    return f"{query.name} {query.type} -> {outcome}"


if __name__ == "__main__":
    sys.exit(main())
