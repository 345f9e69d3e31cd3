# SPDX-License-Identifier: Apache-2.0
"""How TLS ended: by an alert, by something that is no TLS, or sealed, so that nobody can tell.

What lives here: what can be read of a connection that began with a ClientHello. What must not:
connections without (`end_of_connection.py`).
"""

from __future__ import annotations

from hoplab.decode import tls as wire_tls
from hoplab.decode.greeting import shown
from hoplab.decode.x509 import Certificate
from hoplab.sentences import Sentence, number_of, say, term
from hoplab.story.counts import byte_count
from hoplab.story.records import Outcome
from hoplab.story.secured import Secured
from hoplab.story.steps import Facts, certificate_text, day
from hoplab.story.tcp_connection import Connection
from hoplab.story.trip_records import Trip
from hoplab.story.wire_text import clean


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
    if sender == client and tls.alert_code in wire_tls.CERTIFICATE_ALERTS:
        why = _not_accepted(facts, client, server, tls)
    else:
        why = _reason(sender, server if sender == client else client, tls)
    return Outcome(False, "tls-failed", sentence, why, sender, [tls.client_hello, tls.alert])


# What alerts mean (RFC 8446 section 6.2), for whoever reads the story; those of certificates are
# told by the certificate.
_REASONS = {
    wire_tls.NO_HANDSHAKE: term(
        "They have no cipher, no key exchange or no kind of certificate in common."
    ),
    wire_tls.NO_VERSION: term("They have no version of TLS in common."),
    wire_tls.NO_PROTOCOL: term("They have no protocol in common to speak inside TLS (ALPN)."),
}
_SENSELESS = (wire_tls.UNEXPECTED, wire_tls.DECODE, wire_tls.ILLEGAL, wire_tls.OVERFLOW)


def _reason(sender: str, peer: str, tls: Secured) -> list[str]:
    """What the alert means; nothing for one that explains itself."""
    alert, values = tls.alert_code, {"sender": sender, "peer": peer}
    if alert in _REASONS:
        return [_REASONS[alert]]
    if alert == wire_tls.TOO_WEAK:
        return [say("What {peer} offers is too weak for {sender}.", **values)]
    if alert == wire_tls.NO_NAME:
        return [say("{sender} has no site by the name {name}.", name=tls.server_name, **values)]
    if alert in (wire_tls.CERTIFICATE_WANTED, *wire_tls.CERTIFICATE_ALERTS):
        return [say("{sender} wants a certificate of {peer} that it can accept.", **values)]
    if alert in (wire_tls.BAD_MAC, wire_tls.DECRYPT):
        return [say("What {peer} sent does not fit the key that they agreed on.", **values)]
    if alert in _SENSELESS:
        return [say("{sender} could not make sense of what {peer} sent.", **values)]
    if alert == wire_tls.INTERNAL:
        return [say("{sender} failed for a reason of its own.", **values)]
    return []


def _not_accepted(facts: Facts, client: str, server: str, tls: Secured) -> list[str]:
    """Why a client does not take a certificate, as far as the certificate itself shows it."""
    nothing = term("Nothing was asked for.")
    certificate = tls.certificate
    if certificate is None:
        unseen = say(
            "{client} does not accept the certificate that {server} showed: it is for another "
            "name, out of date, or signed by nobody that it trusts. Nothing was asked for.",
            client=client, server=server,
        )  # fmt: skip
        return [unseen]
    shown = say("{certificate}.", certificate=certificate_text(server, certificate))
    fault = _fault_of(certificate, tls, client, facts.by_number[tls.certificate_trip].t_ns)
    return [shown, fault, nothing] if fault is not None else [shown, nothing]


def _fault_of(
    certificate: Certificate, tls: Secured, client: str, shown_ns: int
) -> Sentence | None:
    """What is wrong with a certificate, as far as it shows that itself; None if it does not."""
    now_s = shown_ns // 1_000_000_000
    if certificate.not_after is not None and certificate.not_after < now_s:
        return say("It was out of date by then, {date} by the capture's clock.", date=day(now_s))
    if certificate.not_before is not None and certificate.not_before > now_s:
        return say(
            "It is good from {date} on, and it was {now} by the capture's clock.",
            date=day(certificate.not_before), now=day(now_s),
        )  # fmt: skip
    name = tls.server_name
    if name and not any(_fits(name, each) for each in certificate.names):
        return say("{client} asked for {name}, which is not among these.", client=client, name=name)
    if certificate.self_signed:
        return say("{client} does not trust it: anybody can sign for himself.", client=client)
    if tls.alert_code == wire_tls.UNKNOWN_CA:
        issuer = clean(certificate.issuer, 60) or "?"
        return say("{client} does not trust {issuer}.", client=client, issuer=issuer)
    return None


def _fits(wanted: str, name: str) -> bool:
    """Whether a certificate's name is that of a host: a star stands for one label at the front (RFC
    6125 section 6.4.3)."""
    wanted, name = wanted.lower().rstrip("."), name.lower().rstrip(".")
    if name.startswith("*."):
        return wanted.partition(".")[2] == name[2:]
    return wanted == name


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
