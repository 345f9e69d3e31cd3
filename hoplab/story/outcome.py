# SPDX-License-Identifier: Apache-2.0
"""How it ended: success in numbers, or where the last frame died and why.

What lives here: the search for the end, from frames and the command's exit status alone. What must
not: layout, other stages' state beyond `Facts`.

Two witnesses speak, and both are told: the command by its exit status (`exit_status.py`), and the
wire. Whether it succeeded is for the command to say:
1. Status 0 is a success. Where the wire shows a fault all the same (a ping in vain, a page with
   status 404), the sentence says both, the wire second.
2. Any other status is a failure. Where the wire shows no fault, or not of everything, the sentence
   says both; where it shows why, the wire has the sentence and the status stands below.
3. What somebody ended from outside (Ctrl-C, a time limit of the command line's own) is neither: it
   is told what was seen until then.
4. Without a status (nobody ran a command, or nobody kept its status) the wire decides.

The order in which a fetch is judged by its frames, the first that holds:
1. A response came: its status tells; or bytes that are no HTTP.
2. The server answered the SYN by RST, or not at all, or took the request and was silent.
3. The name has no address, or the DNS question was never answered.
4. Only ARP left the client, or nothing at all.
Any other command may have done several things: each kind of them is a finding, with a sentence of
its own. Of a connection from before the capture is told only what was seen of it.
For anything unanswered, `_death` follows that packet to its end. Nothing is told as unanswered that
is not in the capture.
"""

from __future__ import annotations

import ipaddress
import statistics
from urllib.parse import urlsplit

from hoplab.decode.greeting import shown
from hoplab.decode.tls import CERTIFICATE_ALERTS
from hoplab.sentences import together
from hoplab.story.astray import last_networks
from hoplab.story.causes import ASKS_MAC, Lookup, claims, short
from hoplab.story.exit_status import WORDS, ExitStatus
from hoplab.story.gaps import missed_words
from hoplab.story.http_messages import SERVER
from hoplab.story.records import Outcome, Request, Trip
from hoplab.story.remarks import numbers
from hoplab.story.routes import Route, find_routes
from hoplab.story.silence import silent_link
from hoplab.story.steps import Facts
from hoplab.story.talks import before, no_http, talked, tally, upgraded
from hoplab.story.tcp import Connection, Exchange, Secured
from hoplab.story.titles import clean, plural

# What a machine sends by itself, whatever command runs on it.
_BACKGROUND = ("mld", "nd-router", "lldp", "other")
_NOISE = ("nd-", "mld", "lldp", "other")


def find_outcome(
    facts: Facts,
    request: Request | None,
    host: str,
    ended: ExitStatus,
    missed: int | None = None,
) -> Outcome:
    """The end of the story. `host` is where the command ran, when it is no fetch, and `ended` how
    the command or the fetch ended by its own word. missed: frames that the capture missed, 0 if it
    is not known how many, None if it is whole."""
    if request is None:
        findings = _hedged(_findings(facts, host, ended), missed)
        explained = all(one.ok is False for one in findings)
        outcome = _judged(findings, ended)
        if ended.ok is False and outcome.code == "seen":
            outcome.code, outcome.where = "failed", host
        quoted = _quote(ended.complaint)
        if quoted and ended.ok is False and outcome.code == "no-frame":
            outcome.why.append(f"No frame can tell; the command said: {quoted}")
        elif quoted and ended.ok is False and not explained:
            outcome.why.append(f"The command said: {quoted}")
        return outcome
    outcome = _judged(_hedged([_fetch(facts, request)], missed), ended)
    quoted = _quote(request.said)
    if (ended.code is None or ended.code in WORDS["fetch"]) and ended.sentence in outcome.why:
        outcome.why.remove(ended.sentence)  # the client's own words and the wire's say more
    if quoted:
        outcome.why.append(f"The client program said: {quoted}")
    return outcome


def _judged(findings: list[Outcome], ended: ExitStatus) -> Outcome:
    """What the wire shows, together with what the command says of itself."""
    faults = [one for one in findings if one.ok is False]
    unsure = any(one.code == _MISSED for one in findings)
    outcome = faults[-1] if faults else findings[0]
    outcome.why = [line for one in findings for line in one.why]
    if len(findings) > 1:
        outcome.evidence = sorted({number for one in findings for number in one.evidence})
    wire = [findings[0].sentence]
    for one in findings[1:]:
        wire += ["Also:", one.sentence]
    outcome.sentence = together(*wire)
    if ended.late or ended.cut_short:
        outcome.ok = False if ended.late else None
        outcome.sentence = together(ended.sentence, "Until then:", *wire)
    elif ended.ok is None:
        outcome.ok = None if unsure and not faults else not faults
    elif ended.ok:
        outcome.ok = True
        if faults or unsure:
            outcome.sentence = together(ended.sentence, "On the wire:", *wire)
    else:
        outcome.ok = False
        if len(faults) < len(findings):
            outcome.sentence = together(ended.sentence, "On the wire:", *wire)
        else:
            outcome.why.append(ended.sentence)
    return outcome


# Codes of ends that a frame shows, so that they hold whatever else the capture missed.
_SHOWN = frozenset(
    (
        "refused", "reset", "http-error", "tls-failed", "nxdomain", "dns-failed", "address-taken",
        "unreachable",
    )
)  # fmt: skip
# No faults, and they rest on what did not come all the same: a SYN, the head of a response.
_NEUTRAL = ("no-frame", "udp", "before", "opened", "unanswered", "no-http", "http-0.9")
_MISSED = "capture-missed"


def _hedged(findings: list[Outcome], missed: int | None) -> list[Outcome]:
    """The findings as far as they can be told by a capture that missed so many frames (0: it is not
    known how many, None: it is whole): that something did not come is nothing it can say."""
    if missed is None:
        return findings
    text = f"How it went cannot be told by frames: {missed_words(missed)}, and what was not seen "
    unsure = Outcome(None, _MISSED, text + "may have passed.")
    kept = [
        one for one in findings
        if one.code in _SHOWN or (one.ok is not False and one.code not in _NEUTRAL)
    ]  # fmt: skip
    return kept if len(kept) == len(findings) else [*kept, unsure]


def _quote(said: str, limit: int = 200) -> str:
    """The last lines of what a program printed, as many as fit; there it says why it gave up."""
    kept: list[str] = []
    for line in reversed(said.splitlines()):
        words = " ".join(line.split())
        if words.split(" ")[1:2] == ["ms"]:
            continue  # what fetch.py tells of a step that went well
        if words and kept and sum(map(len, kept)) + 3 * len(kept) + len(words) > limit:
            break
        if words:
            kept.insert(0, words)
    text = ""
    for words in kept:
        text += ("" if not text else " " if words.startswith("Next:") else " | ") + words
    return clean(text, limit)


def _fetch(facts: Facts, request: Request) -> Outcome:
    mine = [
        one
        for one in facts.connections
        if one.client.node == request.client
        and (not one.dns or _wants_port_53(request))
        and _begun_in_capture(one)  # a fetch opens its own
    ]
    answered = _answered(mine)
    if answered:
        url = urlsplit(request.url)
        path = (url.path or "/") + (f"?{url.query}" if url.query else "")
        page = [one for one in answered if one[1].target == path and (one[1].status or 0) < 300]
        return _response(facts, request.client, *(page or answered)[-1])
    if mine:
        return no_http(facts, mine[-1], fetch=True) or _no_response(facts, mine[-1])
    asked = [one for one in facts.lookups if one.asker == request.client]
    if asked:
        return _no_address(facts, asked)
    return _nothing_left(facts, request)


def _begun_in_capture(connection: Connection) -> bool:
    """Its handshake is in the capture, or as much of it as proves that it began there; or at least
    a request is."""
    shaken = connection.syn or (connection.syn_ack and connection.ack)
    return bool(shaken or connection.exchanges)


def _unheard(connection: Connection) -> bool:
    """Its SYN is in the capture, and nothing that the server would have said."""
    return bool(connection.syn) and connection.server.base is None


def _answered(connections: list[Connection]) -> list[tuple[Connection, Exchange]]:
    """The requests whose response came back to their client."""
    return [
        (one, exchange)
        for one in connections
        for exchange in one.exchanges
        if exchange.status and exchange.ended_ns
    ]


def _back(facts: Facts, connection: Connection, numbers: list[int]) -> bool:
    """One of these segments of the server reached the client."""
    return any(facts.by_number[number].reached(connection.client.node) for number in numbers)


def _sendings(connection: Connection, first: int) -> list[int]:
    """The trips with these bytes; [] for none."""
    return [first, *(n for n, of in connection.again.items() if first in of)] if first else []


def _way_back(facts: Facts, asked: int, answers: list[int], text: str) -> Outcome:
    """It was answered, and none of the answers came."""
    last = facts.by_number[answers[-1]]
    times = "" if len(answers) == 1 else f", {len(answers)} times"
    why = [
        f"The way there works: {last.sender} answered #{asked} by #{answers[0]}{times}.",
        f"The way back does not: {last.ended}.",
    ]
    where = last.path[-1] if last.path else last.sender
    return Outcome(False, "reply-lost", text, why, where, [asked, *answers])


def _response(facts: Facts, host: str, connection: Connection, exchange: Exchange) -> Outcome:
    status, size = exchange.status or 0, exchange.body_bytes
    first = next((t for t in facts.trips if t.sender == host), facts.trips[0])
    ms = (exchange.ended_ns - first.t_ns) / 1e6
    server = connection.server.node
    what = f"{server} answered {status} {exchange.reason}".rstrip()
    text = f"{what}: {plural(size, 'byte')} of content, {ms:,.1f} ms after the first frame"
    outcome = Outcome(True, "fetched", text + ".", where=server)
    outcome.evidence = [exchange.request, exchange.response]
    outcome.status, outcome.bytes, outcome.ms = status, size, ms
    if status == 101:
        outcome.why.append(upgraded(connection, exchange.upgrade))
    expected = exchange.content_length
    if status >= 400:
        outcome.ok, outcome.code = False, "http-error"
        outcome.why.append("Every frame arrived: it is the server that says no.")
    elif expected is not None and size < expected and exchange.method != "HEAD" and status != 304:
        outcome.ok, outcome.code = False, "cut-short"
        outcome.why.append(f"The server announced {expected:,} bytes; {size:,} came.")
    elif exchange.unfinished:
        outcome.ok, outcome.code = False, "cut-short"
        outcome.why.append("The server sent it in chunks; the empty one that ends them never came.")
    return outcome


def _several(opened: list[Connection], unopened: list[Connection]) -> Outcome:
    """Clicks of a person, or whatever else fetched more than one thing."""
    asked = [(one, exchange) for one in opened for exchange in one.exchanges]
    came = set(_answered(opened))
    good = {each for each in came if (each[1].status or 0) < 400}
    text = f"{plural(len(asked), 'HTTP request')}, {len(good)} of them answered without an error."
    outcome = Outcome(len(good) == len(asked) and not unopened, "several", text)
    for one, exchange in asked:
        if (one, exchange) in good:
            continue
        server, what = one.server.node, clean(exchange.target, 60)
        if (one, exchange) in came:
            outcome.why.append(f"{server} answered {exchange.status} to the request for {what}.")
        elif one.server.arrived_bytes and not exchange.status:
            outcome.why.append(f"{server} answered by no HTTP to the request for {what}.")
        else:
            outcome.why.append(f"{server} did not answer the request for {what}.")
        outcome.evidence.append(exchange.request)
    for one in unopened:
        outcome.why.append(f"No connection to {one.server.node}, port {one.port}, was opened.")
        outcome.evidence.append(one.syn)
    del outcome.why[5:]
    return outcome


def _no_response(facts: Facts, connection: Connection) -> Outcome:
    client, server = connection.client.node, connection.server.node
    if connection.refused_by:
        return _refused(connection, facts.by_number[connection.refused_by].sender)
    if _unheard(connection):
        text = f"The SYN of {client} to {server} was never answered."
        return _death(
            facts, facts.by_number[(connection.syns or connection.trips)[-1]], text, "syn"
        )
    replies = _sendings(connection, connection.syn_ack)
    heard = connection.ack or connection.data_seen or _back(facts, connection, replies)
    if replies and not heard:
        text = f"The SYN of {client} to {server} was answered, but no SYN + ACK came back."
        return _way_back(facts, connection.syn or connection.trips[0], replies, text)
    if connection.tls is not None and connection.tls.alert:
        return _alert(facts, connection, connection.tls)
    if connection.tls is not None and not connection.tls.server_hello:
        plain = [n for n in connection.trips if facts.by_number[n].kind == "http-response"]
        if plain:
            text = f"{client} began with TLS, and {server} answered in plain HTTP."
            why = [f"Who listens on its port {connection.port} does not speak TLS."]
            evidence = [connection.tls.client_hello, plain[0]]
            return Outcome(False, "tls-failed", text, why, server, evidence)
        came = connection.server.arrived_bytes
        if came and not connection.tls.alert:
            text = f"{client} began with TLS, and {server} answered by "
            text += f"{plural(came, 'byte')} that {'is' if came == 1 else 'are'} no TLS: "
            first = connection.server.data_trips[0]
            text += f"{shown(facts.by_number[first].packet.payload)}."
            evidence = [connection.tls.client_hello, first]
            return Outcome(False, "tls-failed", text, [], server, evidence)
    if connection.tls is not None and all(connection.tls.sealed):
        return _sealed(connection, connection.tls)
    if connection.resets:
        number = connection.resets[0]
        who = facts.by_number[number].sender
        text = f"{who} broke the connection off by RST before a response came."
        return Outcome(False, "reset", text, [], who, [number])
    if connection.tls is not None and connection.tls.server_hello:
        return _sealed(connection, connection.tls)
    if connection.exchanges and connection.exchanges[-1].status:
        last = connection.exchanges[-1]
        text = f"{server} answered the HTTP request, but the response never came back."
        return _way_back(facts, last.request, _sendings(connection, last.response), text)
    if connection.exchanges:
        asked = facts.by_number[connection.exchanges[-1].request]
        if connection.first_fin == SERVER and connection.server.fin:
            text = f"{server} closed the connection without a byte in answer to the HTTP request."
            evidence = [asked.number, connection.server.fin]
            return Outcome(False, "request-closed", text, [], server, evidence)
        return _death(facts, asked, "The HTTP request was never answered.", "request")
    if not connection.syn:
        return before(facts, [connection])
    text = f"The connection to {server} was opened, but no HTTP request went over it."
    return Outcome(False, "no-request", text, [], client, [connection.syn])


def _refused(connection: Connection, sender: str) -> Outcome:
    server, port = connection.server.node, connection.port
    evidence = [connection.syn, connection.refused_by]
    if sender != server:
        text = f"{sender} refused the connection in the name of {server}: "
        text += "it answered the SYN by RST."
        why = [f"A filter there lets nothing through to port {port}, most likely."]
        return Outcome(False, "refused", text, why, sender, evidence)
    text = f"{server} refused the connection: it answered the SYN by RST."
    why = [f"The way there and back works; nobody listens on port {port}."]
    return Outcome(False, "refused", text, why, server, evidence)


def _alert(facts: Facts, connection: Connection, tls: Secured) -> Outcome:
    client, server = connection.client.node, connection.server.node
    who = facts.by_number[tls.alert].sender
    text = f"{who} ended TLS by an alert that is not sealed: {tls.alert_text}."
    why = []
    if who == client and tls.alert_text in CERTIFICATE_ALERTS:
        why = [
            f"{client} does not accept the certificate that {server} showed: it is for another "
            "name, out of date, or signed by nobody that it trusts. Nothing was asked for."
        ]
    return Outcome(False, "tls-failed", text, why, who, [tls.client_hello, tls.alert])


def _sealed(connection: Connection, tls: Secured) -> Outcome:
    """What frames can tell of a fetch by TLS; whether the page was good they cannot."""
    client, server = connection.client.node, connection.server.node
    sizes = (
        f"{plural(tls.sealed[0], 'sealed byte')} to {server}, {plural(tls.sealed[1], 'byte')} back"
    )
    if not all(tls.sealed):
        text = f"{client} and {server} began with TLS, and nothing sealed was answered: {sizes}."
        return Outcome(False, "tls-failed", text, [], server, [tls.client_hello, tls.server_hello])
    text = f"{client} and {server} spoke {tls.version}: {sizes}. What was said cannot be read."
    return Outcome(True, "sealed", text, [], server, [tls.client_hello, tls.server_hello])


def _no_address(facts: Facts, asked: list[Lookup]) -> Outcome:
    """No connection was tried: what the answers to the client's questions say."""
    found = [one for one in asked if _has_address(one)]
    if found:
        return _after_name(facts, found[-1])
    missing = [one for one in asked if one.rcode == 3]
    if missing:
        return _missing_name(facts, missing[0])
    silent = [one for one in asked if not one.answer]
    if silent:
        return _silent_name(facts, silent[-1])
    last = next((one for one in asked if one.kind == "A"), asked[-1])
    evidence = [last.question, last.answer]
    if last.rcode:
        text = f"{last.server} could not resolve {clean(last.name, 60)}: {last.result}."
        return Outcome(False, "dns-failed", text, _failed_help(facts, last), last.server, evidence)
    text = f"{last.server} answered about {clean(last.name, 60)}: {last.result}."
    return Outcome(False, "no-address", text, [], last.server, evidence)


def _has_address(lookup: Lookup) -> bool:
    return lookup.rcode == 0 and lookup.has_record and lookup.kind in ("A", "AAAA")


def _missing_name(facts: Facts, found: Lookup) -> Outcome:
    text = f"There is no such name: {clean(found.name, 60)} (NXDOMAIN from {found.server})."
    why = _authority(facts, found)
    why.append("Without an address there is nowhere to send a SYN: none was sent.")
    return Outcome(False, "nxdomain", text, why, found.server, [found.question, found.answer])


def _silent_name(facts: Facts, one: Lookup) -> Outcome:
    text = f"The DNS question for {clean(one.name, 60)} was never answered."
    if one.lost:
        text = f"The DNS question for {clean(one.name, 60)} was answered, but no answer came back."
    last = one
    inner = [other for other in facts.lookups if other.serves == one.question and not other.answer]
    if inner:
        last = inner[-1]
        text += f" {last.asker} asked {last.server} on behalf of {one.asker} and got no answer."
    if last.lost:
        return _way_back(facts, last.question, last.lost, text)
    return _death(facts, facts.by_number[last.tries[-1]], text, "dns")


def _authority(facts: Facts, found: Lookup) -> list[str]:
    """Who knew that the name does not exist."""
    inner = [one for one in facts.lookups if one.serves == found.question and one.rcode == 3]
    if not inner:
        return []
    return [f"{inner[-1].server} is the one who knew (#{inner[-1].answer})."]


def _failed_help(facts: Facts, found: Lookup) -> list[str]:
    """What the resolver tried before it gave up."""
    inner = [one for one in facts.lookups if one.serves == found.question and not one.answer]
    if not inner:
        return []
    tried = inner[-1]
    end = _death(facts, facts.by_number[tried.tries[-1]], "", "dns")
    return [f"{found.server} asked {tried.server} and got no answer.", *end.why]


def _after_name(facts: Facts, last: Lookup) -> Outcome:
    """The name was resolved and no SYN left: ARP for the next hop, or no route."""
    values = f"{last.server} answered about {clean(last.name, 60)}: {last.result}."
    asked = _unanswered_arp(facts, last.asker, facts.by_number[last.answer].number)
    if asked:
        return _arp_death(facts, asked, values)
    text = f"{values} But no SYN left {last.asker}."
    why = [
        "The reason is inside the client (no route to that address, perhaps): no frame shows it."
    ]
    return Outcome(False, "no-syn", text, why, last.asker, [last.answer])


def _nothing_left(facts: Facts, request: Request) -> Outcome:
    asked = _unanswered_arp(facts, request.client, 0)
    if asked:
        return _arp_death(facts, asked, "")
    sent = [trip for trip in facts.trips if trip.sender == request.client]
    if any(not trip.kind.startswith(_NOISE) for trip in sent):
        text = f"{request.client} sent frames, but none of them for this fetch."
    else:
        text = f"Not one frame of the fetch left {request.client}."
    why = [
        f"{request.client} gave up before its card was asked to send: it has no route to the "
        "address it wants (`ip route` there shows what it has; a link that is down takes its "
        "routes along), it knows no resolver, or the URL names nothing that it could ask for."
    ]
    if _at_home(facts, request):
        why = [
            f"The URL names {request.client} itself: what a machine says to itself goes over its "
            "loopback and crosses no wire."
        ]
    return Outcome(False, "no-frame", text, why, request.client, [])


def _wants_port_53(request: Request) -> bool:
    try:
        return urlsplit(request.url).port == 53
    except ValueError:
        return False


def _at_home(facts: Facts, request: Request) -> bool:
    """The URL names the client's own machine."""
    host = (urlsplit(request.url).hostname or "").rstrip(".")
    try:
        if ipaddress.ip_address(host).is_loopback:
            return True
    except ValueError:
        return host in ("localhost", request.client)
    ports = facts.wiring.ports(request.client) if request.client in facts.wiring.nodes else []
    own = [address for port in ports for address in facts.wiring.interfaces[port].addresses]
    return host in [address.partition("/")[0] for address in own]


def _unanswered_arp(facts: Facts, node: str, after: int) -> list[Trip]:
    found = [
        trip
        for trip in facts.trips
        if trip.kind in ASKS_MAC
        and trip.sender == node
        and not trip.answered_by
        and trip.group
        and not claims(trip)
    ]
    found = [trip for trip in found if trip.number > after]
    return [trip for trip in found if trip.dst == found[-1].dst] if found else []


def _arp_death(facts: Facts, asked: list[Trip], before: str) -> Outcome:
    one = asked[-1]
    text = f"{one.sender} asked {plural(len(asked), 'time')} for the MAC of {one.dst}, "
    lost = _lost_replies(facts, asked)
    if lost:
        text = f"{before} {text}and no answer came back.".strip()
        return _way_back(facts, lost[0].causes[-1], [trip.number for trip in lost], text)
    text += "and nobody answered."
    why = [_heard(one), *_unreached(facts, one)]
    trips = [trip.number for trip in asked]
    return Outcome(False, "arp-silent", f"{before} {text}".strip(), why, one.sender, trips)


def _lost_replies(facts: Facts, asked: list[Trip]) -> list[Trip]:
    """Answers to these ARP requests (or neighbour solicitations) that reached nobody."""
    numbers_ = {trip.number for trip in asked}
    kinds = ("arp-reply", "nd-advertisement")
    return [
        trip for trip in facts.trips
        if trip.kind in kinds and trip.ended and numbers_.intersection(trip.causes)
    ]  # fmt: skip


def _heard(trip: Trip) -> str:
    """Who got a frame that nobody answered."""
    got = list(dict.fromkeys([*trip.delivered, *(one.node for one in trip.ignored)]))
    got = [node for node in got if node != trip.sender]  # in a loop its own question comes back
    if not got:
        return trip.ended[:1].upper() + trip.ended[1:] + "." if trip.ended else ""
    if trip.delivered:
        return f"It reached {', '.join(got)}."
    return f"{', '.join(got)} got the request; the address belongs to none of them."


def _unreached(facts: Facts, asked: Trip) -> list[str]:
    """Who could have answered, had the request come there, and the link that it did not go over."""
    owner = asked.target
    if not owner or owner in asked.delivered:
        return []
    why = [f"{owner} has that address, but no request reached it."]
    return why + _silent_link(facts, asked.sender, owner)


def _silent_link(facts: Facts, asker: str, owner: str) -> list[str]:
    """The link on the way from one to the other, on the same network, that no frame went over."""
    near, far = silent_link(facts.wiring, facts.trips, asker, owner)
    if not near:
        return []
    return [
        f"Not one frame was seen between {near} and {far}: that link may be down at either "
        "end, which `ip link` there tells."
    ]


def _death(facts: Facts, trip: Trip, text: str, code: str) -> Outcome:
    """Where an unanswered packet ended: a report by ICMP, an ARP that nobody answered, a loss, or
    the silence of whom it reached."""
    errors = [
        other
        for other in facts.trips
        if other.kind.startswith("icmp")
        and not other.kind.startswith(("icmp-echo", "icmp-redirect"))
        and other.causes
        and _same_flow(facts.by_number[other.causes[0]], trip)
    ]
    holders = [
        other
        for other in facts.trips
        if other.kind in ASKS_MAC
        and not other.answered_by
        and other.causes
        and _same_flow(facts.by_number[other.causes[0]], trip)
    ]
    end = ", and no further" if trip.ended else ""
    why = [f"It went {' -> '.join(trip.path)}{end}."] if len(trip.path) > 1 else []
    where, evidence = trip.path[-1] if trip.path else trip.sender, [trip.number]
    if holders:
        asker = holders[-1].sender
        tries = [one for one in holders if one.sender == asker]
        text = f"{text} {asker} asked {plural(len(tries), 'time')} for the MAC of "
        text += f"{holders[-1].dst} {numbers([one.number for one in tries])}; "
        lost = _lost_replies(facts, tries)
        if lost:
            text += "no answer came back."
            why.append(f"{lost[-1].sender} answered (#{lost[-1].number}), but: {lost[-1].ended}.")
        else:
            text += "nobody answered."
            why += [_heard(holders[-1]), *_unreached(facts, holders[-1])]
        where, code = asker, "arp-silent"
        evidence += [one.number for one in tries]
    if errors:
        error = errors[-1]
        why.append(f"{error.sender} reported it (#{error.number}): {error.title}.")
        evidence.append(error.number)
        if not holders:
            where, code = error.sender, error.kind.removeprefix("icmp-")
    elif not holders and trip.ended:
        why.append(f"Its last frame: {trip.ended}.")
        if trip.unreached:
            asker = trip.legs[min(last_networks(trip.legs)[0])].tail
            why += _silent_link(facts, asker, trip.unreached)
        code = f"{code}-lost"
    elif not holders:
        got = ", ".join(trip.delivered)
        why.append(f"#{trip.number}, {short(trip)}, reached {got}, which kept silent.")
        code = f"{code}-silent"
    return Outcome(
        False, code, text.strip(), [line for line in why if line], where, sorted(set(evidence))
    )


def _same_flow(one: Trip, other: Trip) -> bool:
    """The same packet, or an earlier sending of it."""
    return one.number == other.number or (
        (one.kind, one.src, one.dst, one.sender) == (other.kind, other.src, other.dst, other.sender)
    )


def _findings(facts: Facts, host: str, ended: ExitStatus) -> list[Outcome]:
    """What a command that is no fetch did, each kind of it by itself: at least one."""
    own = [trip for trip in facts.trips if not host or trip.sender == host]
    old = [
        one
        for one in facts.connections
        if not _begun_in_capture(one) and (not host or host in (one.client.node, one.server.node))
    ]
    if not own:
        return [before(facts, old) if old else _no_frame(host, ended)]
    asked = _unanswered_arp(facts, own[0].sender, 0)
    if asked and all(trip.kind in (*ASKS_MAC, *_BACKGROUND) for trip in own):
        return [_arp_death(facts, asked, "")]
    if all(trip.kind in ASKS_MAC for trip in own):
        return [_claimed(facts, own) if all(claims(trip) for trip in own) else _told(facts, own)]
    routes = find_routes(facts, host)
    probes = {trip.number for route in routes for trip in route.probes}
    findings = [_found_route(facts, route) for route in routes]
    pings = [trip for trip in own if trip.kind == "icmp-echo-request" and trip.number not in probes]
    if pings:
        findings.append(_pings(facts, pings))
    opened = [
        one
        for one in facts.connections
        if (not host or one.client.node == host) and not probes.intersection(one.syns)
    ]
    tried = [one for one in opened if not (one.dns and one.data_seen) and _begun_in_capture(one)]
    if tried:
        findings.append(_connections(facts, host, tried))
    findings += _datagrams(facts, [trip for trip in own if trip.number not in probes])
    lookups = [one for one in facts.lookups if not one.serves and (not host or one.asker == host)]
    findings += [_lookup(facts, one) for one in _failed(lookups)] if findings else []
    if asked and host and findings:
        findings.append(_arp_death(facts, asked, ""))
    if not findings and lookups:
        findings = [_lookup(facts, lookups[-1])]
    if not findings and old:
        findings = [before(facts, old)]
    return findings or [_seen(facts, host, own)]


def _no_frame(host: str, ended: ExitStatus) -> Outcome:
    text = f"Not one frame left {host}." if host else "Not one frame was seen."
    if ended.ok:
        text += " None was needed: the command succeeded."
    elif ended.ok is False and any(word in ended.complaint for word in ("nreachable", "o route")):
        why = [f"The reason is inside {host}: no route, perhaps."] if host else []
        return Outcome(False, "no-frame", text, why, host)
    return Outcome(None, "no-frame", text, [], host if ended.ok is False else "")


def _seen(facts: Facts, host: str, own: list[Trip]) -> Outcome:
    text = f"{plural(len(facts.trips), 'packet')} in all"
    text += f", {len(own)} of them sent by {host}." if host else "."
    return Outcome(None, "seen", text)


def _told(facts: Facts, asked: list[Trip]) -> Outcome:
    """Nothing but ARP requests, which were answered: `arping`."""
    last = [trip for trip in asked if trip.dst == asked[-1].dst]
    answers = [
        trip
        for trip in facts.trips
        if trip.kind in ("arp-reply", "nd-advertisement")
        and last[0].sender in trip.delivered
        and last[0].number < trip.number
        and trip.src == last[0].dst
    ]
    names = ", ".join(dict.fromkeys(trip.sender for trip in answers))
    text = f"{last[0].sender} asked {plural(len(last), 'time')} for the MAC of {last[0].dst}: "
    text += f"{names} answered." if names else "it was answered."
    evidence = [last[-1].number] + [trip.number for trip in answers[-1:]]
    return Outcome(None, "arp-answered", text, [], names.partition(",")[0], evidence)


def _found_route(facts: Facts, route: Route) -> Outcome:
    """What traceroute, tracepath or mtr looked for."""
    if route.arrived:
        hops = plural(len(route.hops) + 1, "hop")
        text = f"{route.sender} found the way to {route.target}: {route.path}, {hops}."
        evidence = sorted({route.probes[0].number, *route.arrived[:3]})
        return Outcome(True, "route", text, [], route.target, evidence)
    text = f"{route.sender} looked for the way to {route.target}"
    text += f" and found {route.path}; " if route.hops else "; "
    text += f"{route.target} did not answer."
    unanswered = [trip for trip in route.probes if not trip.answered_by] or route.probes
    return _death(facts, unanswered[-1], text, "route")


def _connections(facts: Facts, host: str, tried: list[Connection]) -> Outcome:
    """What became of the connections that the command opened."""
    answered = _answered(tried)
    refused = [one for one in tried if one.refused_by]
    dead = [
        one for one in tried
        if one.syn and not (one.refused_by or one.data_seen or one.ack)
        and not _back(facts, one, _sendings(one, one.syn_ack))
    ]  # fmt: skip
    # A request whose response was lost is no success either.
    silent = [
        one
        for one in tried
        if one.exchanges and not _answered([one]) and no_http(facts, one, fetch=False) is None
    ]
    failed = refused + dead + silent
    asked = sum(len(one.exchanges) for one in tried)
    if len(answered) > 1 or (answered and (failed or asked > 1)):
        return _several(tried, refused + dead)
    if answered:
        return _response(facts, host or answered[-1][0].client.node, *answered[-1])
    ends = {(one.server.node, one.port) for one in tried}
    opened = [one for one in tried if one not in refused + dead]
    alike = len(ends) == 1 and (not failed or len(failed) == len(tried))
    if len(tried) > 1 and not (silent or any(one.tls for one in tried) or alike):
        return tally(opened, refused, dead)
    last = (failed or tried)[-1]
    another = no_http(facts, last, fetch=False)
    if another is not None:
        return another
    broken = last.resets and not last.server.arrived_bytes
    if failed or last.tls or broken:
        return _no_response(facts, last)
    return talked(facts, last) if len(tried) == 1 else tally(opened, refused, dead)


def _datagrams(facts: Facts, own: list[Trip]) -> list[Outcome]:
    """UDP to one node, DNS and what a machine sends to find its network left aside."""
    groups: dict[tuple[str, int], list[Trip]] = {}
    heard: set[tuple[str, int, str, int]] = set()  # somebody asked from there, and is answered
    mine = {trip.number for trip in own}
    for trip in facts.trips:
        udp = trip.packet.udp
        if trip.kind != "udp" or udp is None or trip.group or _dhcp(udp.sport, udp.dport):
            continue
        if trip.number not in mine:
            heard.add((trip.src, udp.sport, trip.dst, udp.dport))
        elif (trip.dst, udp.dport, trip.src, udp.sport) not in heard or (
            (trip.dst, udp.dport) in groups
        ):
            groups.setdefault((trip.dst, udp.dport), []).append(trip)
    return [_datagrams_to(facts, port, sent) for (_, port), sent in groups.items()][:3]


def _dhcp(*ports: int) -> bool:
    return any(port in (67, 68, 546, 547) for port in ports)


def _datagrams_to(facts: Facts, port: int, sent: list[Trip]) -> Outcome:
    last, numbers_ = sent[-1], {trip.number for trip in sent}
    target = last.target or last.dst
    text = f"{plural(len(sent), 'UDP datagram')} to {target}, port {port}"
    reports = [
        trip
        for trip in facts.trips
        if trip.kind == "icmp-unreachable"
        and numbers_.intersection(trip.causes)
        and last.sender in trip.delivered
    ]
    if reports:
        report = reports[-1]
        reason = report.title.partition(": ")[2].partition(", about")[0]
        text += f": {report.sender} reported {reason}."
        why = []
        if reason == "port unreachable" and report.sender == target:
            why = [f"The way there and back works; nobody listens on port {port}."]
        evidence = [report.causes[0], report.number]
        return Outcome(False, "unreachable", text, why, report.sender, evidence)
    sources = {(trip.packet.udp.sport if trip.packet.udp else 0) for trip in sent}
    answers = [  # from whatever port: TFTP, for one, answers from another (RFC 1350, 4)
        trip
        for trip in facts.trips
        if trip.kind == "udp"
        and last.sender in trip.delivered
        and (udp := trip.last.udp) is not None
        and trip.last.src == last.dst
        and udp.dport in sources
    ]
    if answers:
        evidence = [sent[0].number, answers[-1].number]
        return Outcome(None, "udp", f"{text}; {len(answers)} came back.", [], target, evidence)
    if all(trip.ended for trip in sent):
        return _death(facts, last, f"{text}.", "udp")
    return Outcome(None, "udp", f"{text}; none came back.", [], target, [last.number])


def _failed(lookups: list[Lookup]) -> list[Lookup]:
    """Names that were asked for and have no address, or of which nobody told. A name is tried with
    the suffixes that the machine knows (resolv.conf): one of them is enough."""
    good = {one.name.lower().partition(".")[0] for one in lookups if _has_address(one)}
    failed = {}
    for one in lookups:
        label = one.name.lower().partition(".")[0]
        if one.kind in ("A", "AAAA") and label not in good:
            failed[label] = one
    return list(failed.values())[:3]


def _claimed(facts: Facts, asked: list[Trip]) -> Outcome:
    """Nothing but questions whether an address is free (RFC 5227, `arping -D`)."""
    one = asked[-1]
    text = f"{one.sender} asked {plural(len(asked), 'time')} whether anybody has {one.dst}: "
    trips = [trip.number for trip in asked]
    has = [facts.by_number[trip.answered_by].sender for trip in asked if trip.answered_by]
    if has:
        return Outcome(False, "address-taken", f"{text}{has[0]} has it.", [], has[0], trips)
    return Outcome(True, "address-free", text + "nobody does.", [], one.sender, trips)


def _lookup(facts: Facts, last: Lookup) -> Outcome:
    """A name was asked for, and nothing done with the answer."""
    if not last.answer:
        return _silent_name(facts, last)
    text = f"{last.server} answered {last.kind} {clean(last.name, 60)}: {last.result}."
    evidence = [last.question, last.answer]
    return Outcome(last.rcode == 0, "resolved", text, [], last.server, evidence)


def _pings(facts: Facts, pings: list[Trip]) -> Outcome:
    replies = [
        (trip, facts.by_number[trip.answered_by])
        for trip in pings
        if trip.answered_by and facts.by_number[trip.answered_by].kind == "icmp-echo-reply"
    ]
    back = [(asked, reply) for asked, reply in replies if asked.sender in reply.delivered]
    sent, target = len(pings), pings[-1].target or pings[-1].dst
    # The card that answered need not be the one that the lab gave the address.
    strange = any(reply.sender != (asked.target or asked.dst) for asked, reply in back)
    names = (trip.dst if strange else trip.target or trip.dst for trip in pings)
    targets = ", ".join(dict.fromkeys(names))
    text = f"{plural(sent, 'echo request')} to {targets}, {len(back):,} answered"
    if strange:
        who = list(dict.fromkeys(reply.sender for _, reply in back))
        text, target = f"{text} by {', '.join(who)}", who[-1]
    if back:
        middle = statistics.median((reply.arrived_ns - asked.t_ns) / 1e6 for asked, reply in back)
        text += f"; there and back in {middle:.2f} ms" + (" (median)" if len(back) > 1 else "")
    if len(back) == sent:
        proof = [back[-1][0].number, back[-1][1].number]
        return Outcome(True, "answered", text + ".", where=target, evidence=proof)
    answered = {asked.number for asked, _ in back}
    gone = [(asked, reply) for asked, reply in replies if asked.number not in answered]
    if gone:
        asked, reply = gone[-1]
        return _way_back(facts, asked.number, [reply.number], text + ".")
    missing = [trip for trip in pings if trip.number not in answered]
    return _death(facts, missing[-1], text + ".", "ping")
