# SPDX-License-Identifier: Apache-2.0
"""How a TCP connection ended that was to carry HTTP.

What lives here: responses, refusals, what broke off. What must not: several connections
(`end_of_connections.py`), TLS (`end_of_tls.py`), bytes that are no HTTP (`talks.py`), names
(`end_of_lookup.py`), and where an unanswered packet died (`end_of_packet.py`).

A connection without a response is judged by the first that holds: it was refused; its SYN was not
answered, or the answer was lost; TLS failed; it was reset; TLS sealed what was said; the response
was lost; the request was not answered; nothing was asked.
"""

from __future__ import annotations

from collections.abc import Iterable

from hoplab.sentences import say
from hoplab.story.counts import byte_count
from hoplab.story.end_of_datagrams import nobody_listens
from hoplab.story.end_of_packet import answer_lost, no_answer
from hoplab.story.end_of_tls import failed_tls, sealed_end
from hoplab.story.http_messages import SERVER, Exchange
from hoplab.story.records import Outcome
from hoplab.story.steps import Facts
from hoplab.story.talks import before, upgraded
from hoplab.story.tcp_connection import Connection

Answered = tuple[Connection, Exchange]


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


def reached_client(facts: Facts, connection: Connection, packets: Iterable[int]) -> bool:
    """One of these segments of the server reached the client."""
    return any(facts.by_number[number].reached(connection.client.node) for number in packets)


def sendings(connection: Connection, first: int) -> list[int]:
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
        if facts.place:
            outcome.why.append(say("It is the server that says no."))
        else:
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


def no_response(facts: Facts, connection: Connection) -> Outcome:
    """Why no response to a request came over a connection."""
    tls = connection.tls
    no_handshake = _no_handshake(facts, connection)
    if no_handshake is not None:
        return no_handshake
    failed = failed_tls(facts, connection, tls) if tls is not None else None
    if failed is not None:
        return failed
    if tls is not None and all(tls.sealed):
        return sealed_end(connection, tls)
    if connection.resets:
        breaker = facts.by_number[connection.resets[0]].sender
        sentence = say(
            "{node} broke the connection off by RST before a response came.", node=breaker
        )
        return Outcome(False, "reset", sentence, [], breaker, connection.resets[:1])
    if tls is not None and tls.server_hello:
        return sealed_end(connection, tls)
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
        return _refused(facts, connection, facts.by_number[connection.refused_by].sender)
    unheard = connection.syn and connection.server.base is None
    if unheard:
        sentence = say(
            "The SYN of {client} to {server} was never answered.", client=client, server=server
        )
        last = facts.by_number[(connection.syns or connection.trips)[-1]]
        return no_answer(facts, last, sentence, "syn")
    replies = sendings(connection, connection.syn_ack)
    heard = connection.ack or connection.data_seen or reached_client(facts, connection, replies)
    if not replies or heard:
        return None
    sentence = say(
        "The SYN of {client} to {server} was answered, but no SYN + ACK came back.",
        client=client, server=server,
    )  # fmt: skip
    return answer_lost(facts, connection.syn or connection.trips[0], replies, sentence)


def _refused(facts: Facts, connection: Connection, refuser: str) -> Outcome:
    server, port = connection.server.node, connection.port
    evidence = [connection.syn, connection.refused_by]
    if refuser == server:
        sentence = say(
            "{server} refused the connection: it answered the SYN by RST.", server=server
        )
        likely = nobody_listens(port, facts.place)
        return Outcome(False, "refused", sentence, [likely], server, evidence)
    sentence = say(
        "{node} refused the connection in the name of {server}: it answered the SYN by RST.",
        node=refuser, server=server,
    )  # fmt: skip
    why: list[str] = [
        say("A filter there lets nothing through to port {port}, most likely.", port=port)
    ]
    return Outcome(False, "refused", sentence, why, refuser, evidence)


def _no_answer_to_request(facts: Facts, connection: Connection) -> Outcome:
    """What became of the last request on a connection, and of its response."""
    server, last = connection.server, connection.exchanges[-1]
    if last.status:
        sentence = say(
            "{server} answered the HTTP request, but the response never came back.",
            server=server.node,
        )
        return answer_lost(facts, last.request, sendings(connection, last.response), sentence)
    if connection.first_fin == SERVER and server.fin:
        sentence = say(
            "{server} closed the connection without a byte in answer to the HTTP request.",
            server=server.node,
        )
        evidence = [last.request, server.fin]
        return Outcome(False, "request-closed", sentence, [], server.node, evidence)
    sentence = say("The HTTP request was never answered.")
    return no_answer(facts, facts.by_number[last.request], sentence, "request")
