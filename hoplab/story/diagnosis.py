# SPDX-License-Identifier: Apache-2.0
"""Why something could not be reached: the frames say where it ended, the hosts' settings say why.

What lives here: which packets failed, what was wanted where none left, and which causes fit to what
the frames show. What must not: the walk through the hosts (`walks.py`), words (`host_causes.py`).

1. Only what failed is asked after: a request that nobody answered, or that was refused. A network
   that works gets no diagnosis, whatever its hosts are set to.
2. A packet that came to a host passed all that stands before that host: what is wrong there is no
   cause. If its answer was sent, nothing on the way there is.
3. Where no packet left, the command says whom it was for: an address or a name in it.
4. Two causes are both told; the same one is told once.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address
from urllib.parse import urlsplit

from hoplab.decode import dns as wire_dns
from hoplab.follow.wiring import Wiring
from hoplab.sentences import say, together
from hoplab.story.exit_status import ExitStatus
from hoplab.story.host_causes import Words
from hoplab.story.host_state import Host, HostFacts, address_of
from hoplab.story.lookups import Lookup
from hoplab.story.moved_cables import added_between
from hoplab.story.neighbour_causes import ASKS_MAC, claims
from hoplab.story.records import Cause, Outcome
from hoplab.story.routes import find_routes
from hoplab.story.silence import loop_of_switches
from hoplab.story.steps import Facts
from hoplab.story.trip_records import Trip
from hoplab.story.walks import READDRESSED, Packet, Walk, Walks
from hoplab.story.way_causes import redirects

_MOST = 4  # causes: more of them would explain nothing
_MOST_FLOWS = 8
_MTU = ("mtu-too-small", "mtu-mismatch")
_DNS = 53
_SERVFAIL, _NXDOMAIN, _REFUSED = 2, 3, 5  # RFC 1035, 4.1.1
_PORTS = {"http": 80, "https": 443}
_ADDRESS = re.compile(r"(?<![\w.-])(\d{1,3}(?:\.\d{1,3}){3})(?![\w.-])")
_NAME = re.compile(r"(?<![\w./-])((?:[a-z0-9-]+\.)+[a-z]{2,})\.?(?![\w./-])", re.IGNORECASE)
_PING_SIZE = re.compile(r"\bping\b.*\s-s\s*(\d+)")
_PING_WHOLE = re.compile(r"\bping\b.*\s-M\s*do\b")
_HEADERS = 28  # of an IPv4 and an ICMP packet, which ping's size does not count


@dataclass(slots=True)
class Flow:
    """What was sent to somebody and failed.

    reached: the nodes to which it came. replied: somebody answered, `back` are the nodes to which
    the answer came. refused: the one whom it was for said that nobody wants it there. probe: it
    wants no service. dns: it asks for a name.
    """

    node: str
    packet: Packet
    reached: set[str] = field(default_factory=set)
    replied: bool = False
    back: set[str] = field(default_factory=set)
    refused: bool = False
    probe: bool = False
    dns: bool = False


def find_reasons(
    facts: Facts, hosts: HostFacts | None, host: str, ended: ExitStatus, url: str = ""
) -> list[Cause]:
    """What hosts and switches were set to that explains what failed; [] where nothing failed, or
    nothing is known. host: who ran the command, "" for anybody."""
    if hosts is None or not hosts.now.hosts:
        return []
    words = Words(facts.wiring.name, _controller(facts.wiring))
    walks = Walks(facts.wiring, hosts, words)
    found: list[Cause] = []
    flows = list(_failed(facts, host))
    if not flows and host in hosts.now.hosts and ended.ok is not True:
        flows, found = _wanted(facts, walks, hosts.now.hosts[host], ended, url)
    for flow in flows[:_MOST_FLOWS]:
        found += _causes_of(walks, flow)
    found += _names(facts, walks, host)
    if not found and host in hosts.now.hosts and ended.ok is False:
        found += _unheard(facts, walks, host)
    if flows or found or ended.ok is False:
        found = [*_circling(facts, walks), *found]
    return _distinct(found)[:_MOST]


def _circling(facts: Facts, walks: Walks) -> Iterator[Cause]:
    """Switches in a loop, where frames were seen to go round in it."""
    if any(trip.storm is not None and trip.storm.back for trip in facts.trips):
        switches = loop_of_switches(walks.wiring)
        if switches:
            added = added_between(walks.wiring, walks.facts.built.cables, switches)
            mendable = walks.may_be_wired and bool(added or walks.wiring.controller)
            yield walks.words.switch_loop(switches, added, mendable=mendable)


def _distinct(found: Sequence[Cause]) -> list[Cause]:
    """Each cause once: what stands in the way of a packet often stands in that of its answer."""
    distinct: dict[tuple[str, ...], Cause] = {}
    for cause in found:
        same = tuple(sorted(cause.mend)) or (cause.node, str(cause.sentence))
        if cause.code in _MTU:  # of one card it is told by what it sends, or by what comes
            same = (cause.node, "mtu")
        distinct.setdefault(same, cause)
    return list(distinct.values())


def tell_reasons(outcome: Outcome, causes: Sequence[Cause]) -> None:
    """Put the causes into the end of the story: named in its sentence, with their evidence among
    the reasons."""
    if not causes:
        return
    outcome.causes = list(causes)
    told = [
        say("The likely reason: {cause}", cause=cause.sentence) if cause.likely else cause.sentence
        for cause in causes
    ]
    outcome.sentence = together(outcome.sentence, *told)
    outcome.why = [*(reason for cause in causes for reason in cause.evidence), *outcome.why]


def _controller(wiring: Wiring) -> str:
    """The controller as `hoplab swap` finds it: one of ours by its name, another by its file."""
    files = str(wiring.extra.get("controller_file") or "")
    own = all(file.split("/")[-2:-1] == ["controllers"] for file in files.split(","))
    return wiring.controller if own or not files else files


# ------------------------------------------------------------------ what failed


def _failed(facts: Facts, host: str) -> Iterator[Flow]:
    """The requests of a host that came to nothing, and the questions about names that others asked
    because of them."""
    routes = find_routes(facts, host)
    probes = {trip.number for route in routes for trip in route.probes}
    for route in routes:
        if not route.arrived:
            last = route.probes[-1]
            yield replace(_flow(facts, last, route.probes), probe=True)
    yield from _unanswered(facts, host, probes)
    yield from _unconnected(facts, host, probes)
    yield from _unresolved(facts)


def _unanswered(facts: Facts, host: str, probes: set[int]) -> Iterator[Flow]:
    """The pings that got no reply, and the datagrams that nobody took, by whom they were for."""
    pings: dict[tuple[str, str], list[Trip]] = {}
    datagrams: dict[tuple[str, str, int], list[Trip]] = {}
    for trip in facts.trips:
        if trip.number in probes or trip.group or (host and trip.sender != host):
            continue
        udp = trip.packet.udp
        if trip.kind == "icmp-echo-request" and not _answered(facts, trip, "icmp-echo-reply"):
            pings.setdefault((trip.sender, trip.dst), []).append(trip)
        elif trip.kind == "udp" and udp is not None and _undeliverable(facts, trip):
            datagrams.setdefault((trip.sender, trip.dst, udp.dport), []).append(trip)
    for sent in (*pings.values(), *datagrams.values()):
        yield _flow(facts, sent[-1], sent)


def _undeliverable(facts: Facts, trip: Trip) -> bool:
    """A datagram ended on its way, or an ICMP error reports that it was not delivered."""
    report = facts.by_number.get(trip.answered_by)
    return bool(trip.ended) or (report is not None and report.kind == "icmp-unreachable")


def _unresolved(facts: Facts) -> Iterator[Flow]:
    """The questions about names that got no answer, or whose answer was lost."""
    for lookup in facts.lookups:
        if not lookup.answer or lookup.lost:
            sent = [facts.by_number[number] for number in lookup.tries or [lookup.question]]
            flow = replace(_flow(facts, sent[-1], sent), dns=True)
            answers = [facts.by_number[number] for number in lookup.lost]
            yield _with_replies(flow, answers) if answers else flow


def _unconnected(facts: Facts, host: str, probes: set[int]) -> Iterator[Flow]:
    seen: set[tuple[str, str, int]] = set()
    for connection in facts.connections:
        sent = [facts.by_number[number] for number in connection.syns]
        if not sent or probes & set(connection.syns):
            continue
        if host and connection.client.node != host:
            continue
        key = (connection.client.node, sent[-1].dst, connection.port)
        answer = facts.by_number.get(connection.syn_ack)
        if key in seen or (answer is not None and _came(answer, connection.client.node)):
            continue
        seen.add(key)
        flow = _flow(facts, sent[-1], sent)
        refusal = facts.by_number.get(connection.refused_by)
        if refusal is not None:
            flow.refused = True
            flow.back = {node for node in (connection.client.node,) if _came(refusal, node)}
        yield _with_replies(flow, [answer]) if answer is not None else flow


def _came(trip: Trip, node: str) -> bool:
    return node in trip.delivered


def _answered(facts: Facts, trip: Trip, kind: str) -> bool:
    answer = facts.by_number.get(trip.answered_by)
    return answer is not None and answer.kind == kind and _came(answer, trip.sender)


def _with_replies(flow: Flow, answers: Sequence[Trip]) -> Flow:
    came = {node for answer in answers for node in _reached(answer)}
    return replace(flow, replied=True, back=came)


def _flow(facts: Facts, trip: Trip, sent: Sequence[Trip]) -> Flow:
    """What was sent, in all its sendings, the last of which is `trip`."""
    packet = trip.packet
    protocol, port = "", 0
    if packet.icmp is not None:
        protocol = "icmp"
    elif packet.tcp is not None:
        protocol, port = "tcp", packet.tcp.dport
    elif packet.udp is not None:
        protocol, port = "udp", packet.udp.dport
    ip = packet.ipv4
    dst = address_of(trip.dst) or IPv4Address(0)
    flow = Flow(
        trip.sender,
        Packet(
            protocol, trip.src, dst, port, ip.total_length if ip is not None else 0,
            ip.flags_df if ip is not None else False,
        ),
    )  # fmt: skip
    for each in sent:
        flow.reached |= _reached(each)
        answer = facts.by_number.get(each.answered_by)
        if answer is None:
            continue
        if answer.kind == "icmp-unreachable" and answer.sender in each.delivered:
            icmp = answer.packet.icmp
            flow.refused |= icmp is not None and icmp.code == 3
        elif answer.kind == "icmp-echo-reply":
            flow = _with_replies(flow, [answer])
    return flow


def _reached(trip: Trip) -> set[str]:
    """The nodes to which a packet came, its sender among them."""
    ignoring = {copy.node for copy in trip.ignored}
    came = {leg.head for leg in trip.legs if leg.head and leg.received is not None}
    return {trip.sender, *(came - ignoring), *trip.delivered}


# ------------------------------------------------------------------ what was wanted


def _wanted(
    facts: Facts, walks: Walks, host: Host, ended: ExitStatus, url: str
) -> tuple[list[Flow], list[Cause]]:
    """What a command was for that sent nothing but questions for MAC addresses."""
    line = f"{url} {ended.command}" if url else ended.command
    targets, asked = _targets(walks, host, line), _asked_in_vain(facts, host)
    sent_any = any(trip.sender == host.name and trip.packet.ip is not None for trip in facts.trips)
    if not targets and not asked and not sent_any:
        return _to_resolver(walks, host, line)
    if sent_any and not asked:
        return [], []
    service = _service(line, url) if targets else ("", 0)
    return _unsent(walks, host, line, targets or asked, service), []


def _targets(walks: Walks, host: Host, line: str) -> list[str]:
    """The addresses in a command, without those that are the host's own."""
    own = {
        str(address.ip) for state in (host, walks.built(host.name))
        for card in state.cards.values() for address in card.addresses
    }  # fmt: skip
    return [
        text for text in dict.fromkeys(_ADDRESS.findall(line))
        if text not in own and not text.startswith(("127.", "0.")) and address_of(text) is not None
    ]  # fmt: skip


def _asked_in_vain(facts: Facts, host: Host) -> list[str]:
    """The addresses whose MAC a host asked for and did not get, each once."""
    asked = [
        trip.dst for trip in facts.trips
        if trip.kind in ASKS_MAC and trip.sender == host.name and not trip.answered_by
        and not (trip.stray or claims(trip)) and address_of(trip.dst) is not None
    ]  # fmt: skip
    return list(dict.fromkeys(asked))


def _unsent(
    walks: Walks, host: Host, line: str, targets: Sequence[str], service: tuple[str, int]
) -> list[Flow]:
    """What a command would have sent to its targets. service: the protocol and the port that it
    asks for."""
    size, whole = _PING_SIZE.search(line), bool(_PING_WHOLE.search(line))
    length = int(size[1]) + _HEADERS if size else 0
    source = _source(walks, host)
    flows = []
    for text in targets:
        dns = text in (host.resolvers or ()) and text not in line  # nobody asked for it by hand
        protocol, port = ("udp", _DNS) if dns else service
        packet = Packet(protocol, source, IPv4Address(text), port, length, whole)
        flows.append(Flow(host.name, packet, dns=dns))
    return flows


def _source(walks: Walks, host: Host) -> str:
    """The address that a host sends from."""
    for state in (host, walks.built(host.name)):
        for card in state.cards.values():
            for address in card.addresses:
                if not address.is_loopback:
                    return str(address.ip)
    return ""


def _service(line: str, url: str) -> tuple[str, int]:
    """Protocol and port that a command asks for, "" and 0 where that is not plain."""
    address = url or next((word for word in line.split() if "://" in word), "")
    if address:
        try:
            parts = urlsplit(address)
            return "tcp", parts.port or _PORTS.get(parts.scheme, 0)
        except ValueError:
            return "tcp", 0
    try:
        words = shlex.split(line)
    except ValueError:
        words = line.split()
    program = words[0].rpartition("/")[2] if words else ""
    if program in ("ping", "fping"):
        return "icmp", 0
    if program in ("nc", "ncat", "telnet") and words[-1:] and words[-1].isdigit():
        return ("udp" if "-u" in words else "tcp"), int(words[-1])
    if program in ("curl", "wget"):
        return "tcp", 80
    return "", 0


def _to_resolver(walks: Walks, host: Host, line: str) -> tuple[list[Flow], list[Cause]]:
    """What a host was to ask its resolver, where not even the question left it; or why it has
    nobody to ask."""
    words = line.split(maxsplit=1)
    names = _NAME.findall(line if "://" in line else words[1] if len(words) > 1 else "")
    names += [urlsplit(word).hostname or "" for word in line.split() if "://" in word]
    if not any(name and name not in host.names for name in names) or host.resolvers is None:
        return [], []
    if not host.resolvers:
        before = walks.built(host.name).resolvers or ("",)
        return [], [walks.words.no_resolver(host, before[0])]
    resolver = address_of(host.resolvers[0])
    if resolver is None:
        return [], []
    return [Flow(host.name, Packet("udp", _source(walks, host), resolver, _DNS), dns=True)], []


# ------------------------------------------------------------------ why


def _causes_of(walks: Walks, flow: Flow) -> list[Cause]:
    """The causes that fit to what the frames show of a flow."""
    if not int(flow.packet.dst) or flow.packet.dst.is_multicast or flow.node not in walks.hosts:
        return []
    there = walks.find(flow.node, flow.packet)
    causes = _causes_there(walks, flow, there)
    answer = _answer_to(walks, flow, there, causes)
    if answer is None:
        return causes
    back = walks.find(there.nodes[-1], answer)
    return causes + _beyond(walks, back, flow.back)


def _causes_there(walks: Walks, flow: Flow, there: Walk) -> list[Cause]:
    """What stands in the way of a flow to whom it is for, and what is wrong with its service."""
    causes: list[Cause] = []
    if not flow.replied:
        causes += _beyond(walks, there, flow.reached)
        if there.arrived and there.nodes[-1] in flow.reached and not flow.probe:
            causes += _service_causes(walks, flow, there.nodes[-1])
    return _of_resolver(walks, flow, causes) if flow.dns else causes


def _answer_to(walks: Walks, flow: Flow, there: Walk, causes: Sequence[Cause]) -> Packet | None:
    """What the one at the end of the way would answer to a flow, None if nothing comes back."""
    source = address_of(there.source or _source(walks, walks.hosts[flow.node]))
    if any(cause.node == flow.node and cause.code in READDRESSED for cause in causes):
        # It will send from the address that it was built with, once the cause is mended.
        source = address_of(_source(walks, walks.built(flow.node)))
    if not there.arrived or source is None or flow.refused or len(there.nodes) < 2:
        return None
    packet = flow.packet
    # What answers a ping may be cut; of TCP, whose packets may not, the sizes differ.
    size = packet.size if packet.protocol == "icmp" else 0
    return Packet(packet.protocol, str(packet.dst), source, packet.port, size, back=True)


def _uncounted(walks: Walks, cause: Cause, came: bool) -> bool:
    """The kernel counts what comes and fails the test of rp_filter, and counted nothing."""
    counts = cause.node in walks.facts.before.hosts
    return cause.code == "rp-filter" and cause.likely and counts and came


def _beyond(walks: Walks, walk: Walk, reached: set[str]) -> list[Cause]:
    """What stands in the way at the last host that the packet came to, and behind it."""
    furthest = max(
        (place for place, node in enumerate(walk.nodes, 1) if node in reached), default=1
    )
    return [
        found.cause for found in walk.found
        if found.place >= furthest
        and not _uncounted(walks, found.cause, found.cause.node in reached)
    ]  # fmt: skip


def _service_causes(walks: Walks, flow: Flow, name: str) -> list[Cause]:
    """The causes of a packet that came to the right host, where no program took it."""
    host, packet = walks.hosts[name], flow.packet
    if packet.protocol not in ("tcp", "udp") or not packet.port:
        return []
    if host.listens(packet.protocol, packet.port, str(packet.dst)) is not None:
        return []
    if redirects(host, packet):
        return []  # a forwarded port: whether anybody listens here is not what it depends on
    for listener in host.listeners:
        if (listener.protocol, listener.port) == (packet.protocol, packet.port) and listener.local:
            return [walks.words.bound_to_loopback(host, listener)]
    served = walks.built(name).listens(packet.protocol, packet.port, str(packet.dst))
    return [walks.words.nobody_listens(host, packet.protocol, packet.port, served)]


def _unheard(facts: Facts, walks: Walks, host: str) -> Iterator[Cause]:
    """Answers that came to the card of the one who had asked, and no further: all of them are
    asked after, since the command says that it failed."""
    questions = [trip.number for trip in facts.trips if trip.kind == "icmp-echo-request"]
    pairs = [(number, facts.by_number[number].answered_by) for number in questions]
    pairs += [
        (connection.syn, connection.syn_ack) for connection in facts.connections
        if connection.syn and not connection.ack
    ]  # fmt: skip
    pairs += [(lookup.question, lookup.answer) for lookup in facts.lookups]
    for question, number in pairs:
        answer = facts.by_number.get(number)
        if answer is None or facts.by_number[question].sender != host or not _came(answer, host):
            continue
        asked = _flow(facts, facts.by_number[question], ()).packet
        dst = address_of(answer.last.dst)
        card = next((leg.head_interface for leg in answer.legs if leg.head == host), "")
        port = facts.wiring.port(card)
        if dst is not None and port is not None:
            name = str(facts.wiring.interfaces[port].extra.get("ifname") or card)
            packet = Packet(asked.protocol, answer.src, dst, asked.port, back=True)
            at_home = walks.home(host, name, packet)
            yield from (cause for cause in at_home if not _uncounted(walks, cause, True))


def _of_resolver(walks: Walks, flow: Flow, causes: list[Cause]) -> list[Cause]:
    """A host asks the wrong one: nobody has the address of its resolver, or it is no resolver."""
    host, ip = walks.hosts.get(flow.node), str(flow.packet.dst)
    if host is None or ip not in (host.resolvers or ()):
        return causes
    before = walks.built(host.name).resolvers or ()
    right = next((each for each in before if each not in (host.resolvers or ())), "")
    return [
        walks.words.wrong_resolver(host, ip, right, cause.sentence)
        if cause.code in ("nobody-has-it", "port-closed") else cause
        for cause in causes
    ]  # fmt: skip


def _names(facts: Facts, walks: Walks, host: str) -> Iterator[Cause]:
    """Names that were asked for and do not exist, or that a wrong server was asked for."""
    for lookup in facts.lookups:
        asked_by_command = not lookup.serves and (not host or lookup.asker == host)
        if not asked_by_command or not lookup.answer:
            continue
        if lookup.rcode == _NXDOMAIN:
            yield from _missing(facts, walks, lookup)
        elif lookup.rcode in (_SERVFAIL, _REFUSED):
            yield from _misdirected(facts, walks, lookup)
            yield from _unserved(facts, walks, lookup)


def _unserved(facts: Facts, walks: Walks, lookup: Lookup) -> Iterator[Cause]:
    """A server that others send one to for a zone, and that has none of that name."""
    for inner in facts.lookups:
        if inner.serves == lookup.question and inner.answer and inner.rcode == _REFUSED:
            answer = facts.by_number[inner.answer]
            server = walks.hosts.get(answer.sender)
            if server is not None:
                now = server.listens("udp", _DNS, answer.src)
                served = walks.built(server.name).listens("udp", _DNS, answer.src)
                yield walks.words.zone_missing(server, inner.name, now, served)
                return


def _missing(facts: Facts, walks: Walks, lookup: Lookup) -> Iterator[Cause]:
    chain = [lookup]
    for inner in facts.lookups:
        if inner.serves == lookup.question and inner.rcode == _NXDOMAIN:
            chain.append(inner)
    answer = facts.by_number[chain[-1].answer]
    server, dns = walks.hosts.get(answer.sender), wire_dns.read(answer.packet)
    if server is None or dns is None or not dns.aa:
        return  # remembered by somebody who does not have the zone (RFC 2308)
    address = answer.src
    now = server.listens("udp", _DNS, address)
    served = walks.built(server.name).listens("udp", _DNS, address)
    resolver = walks.hosts.get(facts.by_number[lookup.answer].sender)
    remembers = None
    if resolver is not None and resolver is not server:
        remembers = resolver.listens("udp", _DNS, facts.by_number[lookup.answer].src)
    cause = walks.words.name_missing(server, lookup.name, now, served)
    if cause.mend and resolver is not None and remembers is not None and remembers.argv:
        cause = walks.words.remembered(cause, resolver, remembers)
    yield cause


def _misdirected(facts: Facts, walks: Walks, lookup: Lookup) -> Iterator[Cause]:
    host = walks.hosts.get(lookup.asker)
    if host is None or not host.resolvers:
        return
    before = walks.built(host.name).resolvers or ()
    right = next((each for each in before if each not in host.resolvers), "")
    if right:
        ip = facts.by_number[lookup.question].dst
        reason = say("{server} answered: {result}.", server=lookup.server, result=lookup.result)
        yield walks.words.wrong_resolver(host, ip, right, reason)
