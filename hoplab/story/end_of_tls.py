# SPDX-License-Identifier: Apache-2.0
"""How TLS ended: by an alert, by something that is no TLS, or sealed, so that nobody can tell.

What lives here: what can be read of a connection that began with a ClientHello. What must not:
connections without (`end_of_connection.py`).
"""

from __future__ import annotations

from hoplab.decode.greeting import shown
from hoplab.decode.tls import CERTIFICATE_ALERTS
from hoplab.sentences import number_of, say
from hoplab.story.counts import byte_count
from hoplab.story.records import Outcome, Trip
from hoplab.story.secured import Secured
from hoplab.story.steps import Facts
from hoplab.story.tcp_connection import Connection


def failed_tls(facts: Facts, connection: Connection, tls: Secured) -> Outcome | None:
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


def sealed_end(connection: Connection, tls: Secured) -> Outcome:
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
