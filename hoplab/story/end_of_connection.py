# SPDX-License-Identifier: Apache-2.0
"""How TCP connections ended that were to carry HTTP, and several of them together.

What lives here: responses, refusals, what broke off, and which connection of several is told. What
must not: bytes that are no HTTP (`talks.py`), names (`end_of_lookup.py`), and where an unanswered
packet died (`end_of_packet.py`).

A connection without a response is judged by the first that holds: it was refused; its SYN was not
answered, or the answer was lost; TLS failed; it was reset; TLS sealed what was said; the response
was lost; the request was not answered; nothing was asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hoplab.decode.greeting import shown
from hoplab.decode.tls import CERTIFICATE_ALERTS
from hoplab.sentences import number_of, say
from hoplab.story.end_of_datagrams import nobody_listens
from hoplab.story.end_of_packet import answer_lost, no_answer
from hoplab.story.http_messages import SERVER
from hoplab.story.records import Outcome, Trip
from hoplab.story.steps import Facts
from hoplab.story.talks import before, no_http, talked, tally, upgraded
from hoplab.story.tcp import Connection, Exchange, Secured
from hoplab.story.titles import byte_count, clean

Answered = tuple[Connection, Exchange]

_MOST_REASONS = 5
_LONGEST_TARGET = 60


def begun_in_capture(connection: Connection) -> bool:
    """Its handshake is in the capture, or as much of it as proves that it began there; or at least
    a request is."""
    shaken = connection.syn or (connection.syn_ack and connection.ack)
    return bool(shaken or connection.exchanges)


def answered_requests(connections: Iterable[Connection]) -> list[Answered]:
    """The requests whose response came back to their client."""
    return [
        (connection, exchange)
        for connection in connections
        for exchange in connection.exchanges
        if exchange.status and exchange.ended_ns
    ]


@dataclass(slots=True, frozen=True)
class _Tried:
    """The connections that a command opened, or tried to, by what became of them.

    dead: neither the SYN nor anything else was answered. silent: no response came to a request.
    """

    every: Sequence[Connection]
    refused: Sequence[Connection]
    dead: Sequence[Connection]
    silent: Sequence[Connection]

    @property
    def unopened(self) -> list[Connection]:
        """Those that were not opened."""
        return [*self.refused, *self.dead]

    @property
    def failed(self) -> list[Connection]:
        """Those that came to nothing."""
        return [*self.unopened, *self.silent]

    @property
    def opened(self) -> list[Connection]:
        """Those that were."""
        unopened = self.unopened
        return [connection for connection in self.every if connection not in unopened]

    @property
    def requests(self) -> int:
        """How many requests were seen on them."""
        return sum(len(connection.exchanges) for connection in self.every)

    @property
    def diverse(self) -> bool:
        """They went to several machines or ports, or some failed and some did not."""
        targets = {(connection.server.node, connection.port) for connection in self.every}
        return len(targets) > 1 or 0 < len(self.failed) < len(self.every)

    @property
    def without_protocol(self) -> bool:
        """Neither TLS nor an HTTP request without a response was seen on any."""
        return not self.silent and not any(connection.tls for connection in self.every)


def end_of_connections(facts: Facts, host: str, connections: Sequence[Connection]) -> Outcome:
    """What became of the connections that a command opened, on `host` or ("") on any."""
    tried = _by_end(facts, connections)
    answered = answered_requests(connections)
    if answered:
        if len(answered) > 1 or tried.failed or tried.requests > 1:
            return _several_requests(tried)
        return response(facts, host or answered[-1][0].client.node, *answered[-1])
    if tried.diverse and tried.without_protocol:
        return tally(tried.opened, tried.refused, tried.dead)
    last = (tried.failed or connections)[-1]
    end = no_http(facts, last, fetch=False)
    if end is not None:
        return end
    broken = last.resets and not last.server.arrived_bytes
    if tried.failed or last.tls or broken:
        return no_response(facts, last)
    if len(connections) == 1:
        return talked(facts, last)
    return tally(tried.opened, tried.refused, tried.dead)


def _by_end(facts: Facts, connections: Sequence[Connection]) -> _Tried:
    return _Tried(
        connections,
        [connection for connection in connections if connection.refused_by],
        [connection for connection in connections if _is_dead(facts, connection)],
        [connection for connection in connections if _is_silent(facts, connection)],
    )


def _is_silent(facts: Facts, connection: Connection) -> bool:
    """It carried a request, and no response came; one that was lost is no success either."""
    if not connection.exchanges or answered_requests([connection]):
        return False
    return no_http(facts, connection, fetch=False) is None


def _is_dead(facts: Facts, connection: Connection) -> bool:
    """Its SYN was sent, and neither an answer nor anything else ever came back."""
    lives = connection.refused_by or connection.data_seen or connection.ack
    if not connection.syn or lives:
        return False
    return not _back(facts, connection, _sendings(connection, connection.syn_ack))


def _back(facts: Facts, connection: Connection, packets: Iterable[int]) -> bool:
    """One of these segments of the server reached the client."""
    return any(facts.by_number[number].reached(connection.client.node) for number in packets)


def _sendings(connection: Connection, first: int) -> list[int]:
    """The trips with these bytes; [] for none."""
    if not first:
        return []
    return [first, *(number for number, firsts in connection.again.items() if first in firsts)]


def response(facts: Facts, host: str, connection: Connection, exchange: Exchange) -> Outcome:
    """The response that came, and whether all of it did."""
    status, size = exchange.status or 0, exchange.body_bytes
    first = next((trip for trip in facts.trips if trip.sender == host), facts.trips[0])
    ms = (exchange.ended_ns - first.t_ns) / 1e6
    server = connection.server.node
    values = {
        "server": server,
        "status": status,
        "size": byte_count(size),
        "ms": ms,
    }
    if exchange.reason:
        sentence = say(
            "{server} answered {status} {reason}: {size} of content, {ms:,.1f} ms after the first "
            "frame.",
            reason=exchange.reason, **values,
        )  # fmt: skip
    else:
        sentence = say(
            "{server} answered {status}: {size} of content, {ms:,.1f} ms after the first frame.",
            **values,
        )
    outcome = Outcome(True, "fetched", sentence, where=server)
    outcome.evidence = [exchange.request, exchange.response]
    outcome.status, outcome.bytes, outcome.ms = status, size, ms
    if status == 101:
        outcome.why.append(upgraded(connection, exchange.upgrade))
    expected = exchange.content_length
    if status >= 400:
        outcome.ok, outcome.code = False, "http-error"
        outcome.why.append(say("Every frame arrived: it is the server that says no."))
    elif expected is not None and size < expected and exchange.method != "HEAD" and status != 304:
        outcome.ok, outcome.code = False, "cut-short"
        outcome.why.append(
            say(
                "The server announced {expected:,} bytes; {size:,} came.",
                expected=expected,
                size=size,
            )
        )
    elif exchange.unfinished:
        outcome.ok, outcome.code = False, "cut-short"
        outcome.why.append(
            say("The server sent it in chunks; the empty one that ends them never came.")
        )
    return outcome


def _several_requests(tried: _Tried) -> Outcome:
    """Clicks of a person, or whatever else fetched more than one thing."""
    requests = [
        (connection, exchange) for connection in tried.every for exchange in connection.exchanges
    ]
    answered = set(answered_requests(tried.every))
    good = {answer for answer in answered if (answer[1].status or 0) < 400}
    sentence = number_of(
        "{n:,} HTTP request, {good} of them answered without an error.",
        "{n:,} HTTP requests, {good} of them answered without an error.",
        len(requests), good=len(good),
    )  # fmt: skip
    outcome = Outcome(len(good) == len(requests) and not tried.unopened, "several", sentence)
    for connection, exchange in requests:
        if (connection, exchange) in good:
            continue
        outcome.why.append(_what_came(connection, exchange, (connection, exchange) in answered))
        outcome.evidence.append(exchange.request)
    for connection in tried.unopened:
        outcome.why.append(
            say(
                "No connection to {server}, port {port}, was opened.",
                server=connection.server.node,
                port=connection.port,
            )
        )
        outcome.evidence.append(connection.syn)
    del outcome.why[_MOST_REASONS:]
    return outcome


def _what_came(connection: Connection, exchange: Exchange, answered: bool) -> str:
    """What a request got that was no success."""
    server, target = connection.server.node, clean(exchange.target, _LONGEST_TARGET)
    if answered:
        return say(
            "{server} answered {status} to the request for {target}.",
            server=server, status=exchange.status, target=target,
        )  # fmt: skip
    if connection.server.arrived_bytes and not exchange.status:
        return say(
            "{server} answered by no HTTP to the request for {target}.",
            server=server, target=target,
        )  # fmt: skip
    return say("{server} did not answer the request for {target}.", server=server, target=target)


def no_response(facts: Facts, connection: Connection) -> Outcome:
    """Why no response to a request came over a connection."""
    tls = connection.tls
    no_handshake = _no_handshake(facts, connection)
    if no_handshake is not None:
        return no_handshake
    failed = _failed_tls(facts, connection, tls) if tls is not None else None
    if failed is not None:
        return failed
    if tls is not None and all(tls.sealed):
        return _sealed(connection, tls)
    if connection.resets:
        breaker = facts.by_number[connection.resets[0]].sender
        sentence = say(
            "{node} broke the connection off by RST before a response came.", node=breaker
        )
        return Outcome(False, "reset", sentence, [], breaker, connection.resets[:1])
    if tls is not None and tls.server_hello:
        return _sealed(connection, tls)
    if connection.exchanges:
        return _no_answer_to_request(facts, connection)
    if not connection.syn:
        return before(facts, [connection])
    sentence = say(
        "The connection to {server} was opened, but no HTTP request went over it.",
        server=connection.server.node,
    )
    return Outcome(False, "no-request", sentence, [], connection.client.node, [connection.syn])


def _no_handshake(facts: Facts, connection: Connection) -> Outcome | None:
    """Why the connection was not opened; None if it was."""
    client, server = connection.client.node, connection.server.node
    if connection.refused_by:
        return _refused(connection, facts.by_number[connection.refused_by].sender)
    unheard = connection.syn and connection.server.base is None
    if unheard:
        sentence = say(
            "The SYN of {client} to {server} was never answered.", client=client, server=server
        )
        last = facts.by_number[(connection.syns or connection.trips)[-1]]
        return no_answer(facts, last, sentence, "syn")
    replies = _sendings(connection, connection.syn_ack)
    heard = connection.ack or connection.data_seen or _back(facts, connection, replies)
    if not replies or heard:
        return None
    sentence = say(
        "The SYN of {client} to {server} was answered, but no SYN + ACK came back.",
        client=client, server=server,
    )  # fmt: skip
    return answer_lost(facts, connection.syn or connection.trips[0], replies, sentence)


def _refused(connection: Connection, refuser: str) -> Outcome:
    server, port = connection.server.node, connection.port
    evidence = [connection.syn, connection.refused_by]
    if refuser == server:
        sentence = say(
            "{server} refused the connection: it answered the SYN by RST.", server=server
        )
        return Outcome(False, "refused", sentence, [nobody_listens(port)], server, evidence)
    sentence = say(
        "{node} refused the connection in the name of {server}: it answered the SYN by RST.",
        node=refuser, server=server,
    )  # fmt: skip
    why: list[str] = [
        say("A filter there lets nothing through to port {port}, most likely.", port=port)
    ]
    return Outcome(False, "refused", sentence, why, refuser, evidence)


def _failed_tls(facts: Facts, connection: Connection, tls: Secured) -> Outcome | None:
    """TLS that was ended by an alert, or answered by something else; None for any other."""
    if tls.alert:
        return _alert(facts, connection, tls)
    if tls.server_hello:
        return None
    trips = [facts.by_number[number] for number in connection.trips]
    plain = next((trip for trip in trips if trip.kind == "http-response"), None)
    if plain is not None:
        return _plain_http(connection, tls, plain)
    if connection.server.arrived_bytes:
        return _no_tls(facts, connection, tls)
    return None


def _alert(facts: Facts, connection: Connection, tls: Secured) -> Outcome:
    client, server = connection.client.node, connection.server.node
    sender = facts.by_number[tls.alert].sender
    sentence = say(
        "{node} ended TLS by an alert that is not sealed: {alert}.",
        node=sender, alert=tls.alert_text,
    )  # fmt: skip
    why: list[str] = []
    if sender == client and tls.alert_text in CERTIFICATE_ALERTS:
        why.append(
            say(
                "{client} does not accept the certificate that {server} showed: it is for another "
                "name, out of date, or signed by nobody that it trusts. Nothing was asked for.",
                client=client,
                server=server,
            )
        )
    return Outcome(False, "tls-failed", sentence, why, sender, [tls.client_hello, tls.alert])


def _plain_http(connection: Connection, tls: Secured, answer: Trip) -> Outcome:
    server = connection.server.node
    sentence = say(
        "{client} began with TLS, and {server} answered in plain HTTP.",
        client=connection.client.node, server=server,
    )  # fmt: skip
    why: list[str] = [
        say("Who listens on its port {port} does not speak TLS.", port=connection.port)
    ]
    evidence = [tls.client_hello, answer.number]
    return Outcome(False, "tls-failed", sentence, why, server, evidence)


def _no_tls(facts: Facts, connection: Connection, tls: Secured) -> Outcome:
    server, first = connection.server.node, connection.server.data_trips[0]
    sentence = number_of(
        "{client} began with TLS, and {server} answered by {n:,} byte that is no TLS: {start}.",
        "{client} began with TLS, and {server} answered by {n:,} bytes that are no TLS: {start}.",
        connection.server.arrived_bytes,
        client=connection.client.node, server=server,
        start=shown(facts.by_number[first].packet.payload),
    )  # fmt: skip
    return Outcome(False, "tls-failed", sentence, [], server, [tls.client_hello, first])


def _sealed(connection: Connection, tls: Secured) -> Outcome:
    """What frames can tell of a fetch by TLS; whether the page was good they cannot."""
    client, server = connection.client.node, connection.server.node
    there, back = tls.sealed
    values = {
        "client": client,
        "server": server,
        "there": number_of("{n:,} sealed byte", "{n:,} sealed bytes", there),
        "back": byte_count(back),
    }
    evidence = [tls.client_hello, tls.server_hello]
    if there and back:
        sentence = say(
            "{client} and {server} spoke {version}: {there} to {server}, {back} back. What was "
            "said cannot be read.",
            version=tls.version, **values,
        )  # fmt: skip
        return Outcome(True, "sealed", sentence, [], server, evidence)
    sentence = say(
        "{client} and {server} began with TLS, and nothing sealed was answered: {there} to "
        "{server}, {back} back.",
        **values,
    )
    return Outcome(False, "tls-failed", sentence, [], server, evidence)


def _no_answer_to_request(facts: Facts, connection: Connection) -> Outcome:
    """What became of the last request on a connection, and of its response."""
    server, last = connection.server, connection.exchanges[-1]
    if last.status:
        sentence = say(
            "{server} answered the HTTP request, but the response never came back.",
            server=server.node,
        )
        return answer_lost(facts, last.request, _sendings(connection, last.response), sentence)
    if connection.first_fin == SERVER and server.fin:
        sentence = say(
            "{server} closed the connection without a byte in answer to the HTTP request.",
            server=server.node,
        )
        evidence = [last.request, server.fin]
        return Outcome(False, "request-closed", sentence, [], server.node, evidence)
    sentence = say("The HTTP request was never answered.")
    return no_answer(facts, facts.by_number[last.request], sentence, "request")
