# SPDX-License-Identifier: Apache-2.0
"""TLS in a connection: what can be read of it, as its segments come.

What lives here: both hellos, an alert, and how much was sealed. What must not: the bytes of records
(`hoplab.decode.tls`), how it ended (`end_of_tls.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hoplab.decode import tls, x509
from hoplab.decode.x509 import Certificate
from hoplab.story.http_messages import CLIENT, SERVER
from hoplab.story.trip_records import Way
from hoplab.story.wire_text import clean


@dataclass(slots=True)
class Secured:
    """What could be read of TLS: trips of the hellos, of an alert and of the end of the server's
    certificate, 0 for none; the records of the client and of the server."""

    client_hello: int = 0
    server_hello: int = 0
    server_name: str = ""
    version: str = ""
    cipher: str = ""
    alert: int = 0
    alert_text: str = ""
    alert_code: int = -1
    certificate: Certificate | None = None
    certificate_trip: int = 0
    records: tuple[tls.Records, tls.Records] = field(
        default_factory=lambda: (tls.Records(), tls.Records())
    )
    sealed_trips: list[int] = field(default_factory=list)

    @property
    def sealed(self) -> tuple[int, int]:
        """Bytes of sealed records from the client and from the server."""
        return self.records[CLIENT].sealed, self.records[SERVER].sealed


def note_tls(
    secured: Secured | None, way: Way, kind: str, from_client: bool, size: int
) -> Secured | None:
    """What is known of TLS with one segment more; None if the connection does not speak it. size:
    how many bytes were not sent before."""
    if not size:
        return secured
    if secured is None:
        if kind != "tls-client-hello" or not from_client:
            return None
        hello = tls.parse(way.packet.payload)
        name = clean(hello.server_name, 60) if hello else ""
        secured = Secured(way.number, server_name=name)
    elif kind == "tls-server-hello" and not from_client and not secured.server_hello:
        hello = tls.parse(way.packet.payload)
        if hello is not None:
            secured.server_hello, secured.version = way.number, hello.version
            secured.cipher = hello.cipher
    _note_records(secured, way, from_client, size)
    return secured


def _note_records(secured: Secured, way: Way, from_client: bool, size: int) -> None:
    """Reads on in the records of one side: a certificate, an alert, what is sealed."""
    before = sum(secured.sealed)
    tcp = way.packet.tcp
    fresh = way.packet.payload[tcp.payload_length - size if tcp is not None else 0 :]
    records = secured.records[CLIENT if from_client else SERVER]
    records.take(fresh, size - len(fresh))
    if records.certificate and not from_client and not secured.certificate_trip:
        secured.certificate_trip = way.number
        secured.certificate = x509.parse(records.certificate)
    if records.alert and not secured.alert:
        secured.alert, secured.alert_text = way.number, records.alert
        secured.alert_code = records.alert_code
    if sum(secured.sealed) > before:
        secured.sealed_trips.append(way.number)
