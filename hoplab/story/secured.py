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


@dataclass(slots=True, frozen=True)
class Hello:
    """A ClientHello that comes in several segments.

    trips: those that have brought it so far. data: its bytes, and next_at: the number of the one
    that is to follow. whole: what it says, None as long as some are missing.
    """

    trips: tuple[int, ...]
    data: bytes
    next_at: int
    whole: tls.Tls | None = None

    @property
    def trip(self) -> int:
        """The number of the packet in which the message begins."""
        return self.trips[0]


def note_hello(
    hello: Hello | None, way: Way, start_at: int, size: int, first: bool
) -> Hello | None:
    """A ClientHello with one segment of the client's more, if it goes on in several. start_at: the
    number of the segment's first byte. size: how many of them were not sent before. first: nothing
    was sent before."""
    if (hello is None and not first) or (hello is not None and hello.whole is not None):
        return hello
    tcp, payload = way.packet.tcp, way.packet.payload
    assert tcp is not None
    at = start_at + tcp.payload_length - size
    fresh = payload[tcp.payload_length - size :]
    if len(fresh) < size or (hello is not None and at != hello.next_at):
        return None  # bytes that nobody has seen
    data = fresh if hello is None else hello.data + fresh
    trips = (*(hello.trips if hello is not None else ()), way.number)
    if tls.may_begin_hello(data):
        return Hello(trips, data, at + size)
    whole = tls.parse(data) if hello is not None else None
    if whole is None or whole.what != "client-hello":
        return None
    return Hello(trips, data, at + size, whole)


def note_tls(
    secured: Secured | None, way: Way, kind: str, from_client: bool, size: int,
    hello: Hello | None,
) -> Secured | None:  # fmt: skip
    """What is known of TLS with one segment more; None if the connection does not speak it. size:
    how many bytes were not sent before. hello: a ClientHello that comes in several segments."""
    if not size:
        return secured
    if secured is None:
        secured = _begun(way, kind, size, hello) if from_client else None
        if secured is None:
            return None
    elif hello is not None and hello.whole is not None and way.number == hello.trips[-1]:
        secured.server_name = clean(hello.whole.server_name, 60)
    elif kind == "tls-server-hello" and not from_client and not secured.server_hello:
        record = tls.parse(way.packet.payload)
        if record is not None:
            secured.server_hello, secured.version = way.number, record.version
            secured.cipher = record.cipher
    _note_records(secured, way, from_client, size)
    return secured


def _begun(way: Way, kind: str, size: int, hello: Hello | None) -> Secured | None:
    """What is known of TLS by a segment of the client's that may be a ClientHello, or end one;
    None if it is not."""
    if hello is None:
        if kind != "tls-client-hello":
            return None
        record = tls.parse(way.packet.payload)
        return Secured(way.number, server_name=clean(record.server_name, 60) if record else "")
    if hello.whole is None:
        return Secured(hello.trip) if kind == "tls-client-hello" else None
    secured = Secured(hello.trip, server_name=clean(hello.whole.server_name, 60))
    secured.records[CLIENT].take(hello.data[:-size])  # its beginning, in earlier segments
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
