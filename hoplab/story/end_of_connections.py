# SPDX-License-Identifier: Apache-2.0
"""How several TCP connections ended that were to carry HTTP, and which one of them is told.

What lives here: the connections of one command, by what became of them. What must not: how a single
one ended (`end_of_connection.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hoplab.sentences import number_of, say
from hoplab.story.end_of_connection import (
    answered_requests,
    no_response,
    reached_client,
    response,
    sendings,
)
from hoplab.story.http_messages import Exchange
from hoplab.story.records import Outcome
from hoplab.story.steps import Facts
from hoplab.story.talks import no_http, talked, tally
from hoplab.story.tcp_connection import Connection
from hoplab.story.wire_text import clean

_MOST_REASONS = 5
_LONGEST_TARGET = 60


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
        """The connections that were not opened: refused, or never answered."""
        return [*self.refused, *self.dead]

    @property
    def failed(self) -> list[Connection]:
        """The connections that came to nothing: not opened, or no response came to a request."""
        return [*self.unopened, *self.silent]

    @property
    def opened(self) -> list[Connection]:
        """The connections whose handshake succeeded."""
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
    return not reached_client(facts, connection, sendings(connection, connection.syn_ack))


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
