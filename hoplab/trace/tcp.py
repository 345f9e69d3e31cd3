# SPDX-License-Identifier: Apache-2.0
"""TCP connections among the trips: who opened, what each segment is for, how it was closed.

What lives here: the reading of sequence numbers (RFC 9293) and of HTTP message boundaries. What
must not: sentences for a learner (`steps.py`) and paths.

How a segment gets its phase, in time order:
1. SYN and SYN+ACK, and an RST before any SYN+ACK: 'handshake'.
2. The client's first empty segment after the SYN+ACK: 'handshake' (its ACK is the third frame).
3. Segments with data, even if they also bear FIN, and the ACKs of data: 'exchange'.
4. FIN without data, RST, and the ACKs that cover the other side's FIN: 'close'.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from hoplab.trace.narrative import Trip
from hoplab.trace.titles import clean, dns_title, plural
from hoplab.wire import dns as wire_dns
from hoplab.wire import http as wire_http
from hoplab.wire import packet as wire
from hoplab.wire import tls
from hoplab.wire.http import HttpStart
from hoplab.wire.packet import Tcp

End = tuple[str, int]
CLIENT, SERVER = 0, 1


@dataclass(slots=True)
class Exchange:
    """One HTTP request and what came back. Bytes are of the bodies; times in nanoseconds.

    version: of the response, "HTTP/1.1". closes: the server said Connection: close in it.
    """

    request: int
    method: str
    target: str
    response: int = 0
    status: int | None = None
    reason: str = ""
    content_length: int | None = None
    body_bytes: int = 0
    started_ns: int = 0
    answered_ns: int = 0
    ended_ns: int = 0
    version: str = ""
    closes: bool = False


@dataclass(slots=True)
class Secured:
    """What could be read of TLS: trips of the hellos, 0 for none; bytes of sealed records."""

    client_hello: int = 0
    server_hello: int = 0
    server_name: str = ""
    version: str = ""
    cipher: str = ""
    sealed: list[int] = field(default_factory=lambda: [0, 0])  # from the client, from the server
    sealed_trips: list[int] = field(default_factory=list)


@dataclass(slots=True)
class Side:
    """What one side of a connection did. Sequence numbers are relative to its first (its ISN).

    ends: its addresses and ports; more than one if a router translates.
    """

    node: str
    ends: set[End] = field(default_factory=set)
    base: int | None = None
    highest: int | None = None
    starts: dict[int, tuple[int, int]] = field(default_factory=dict)
    acked: int = -1
    data_bytes: int = 0
    data_trips: list[int] = field(default_factory=list)
    fin: int = 0
    fin_on_data: bool = False
    fin_end: int | None = None
    fin_acked_by: int = 0

    def relative(self, number: int) -> int | None:
        """A sequence number of this side counted from its first, None before the first."""
        if self.base is None:
            return None
        offset = (number - self.base) & 0xFFFFFFFF
        return offset - (1 << 32) if offset >= 1 << 31 else offset


@dataclass(slots=True)
class Connection:
    """One connection. Fields that name trips hold their numbers, 0 for none.

    phases: trip number to 'handshake', 'exchange' or 'close'.
    again: trip number of a repetition to that of the first sending.
    """

    port: int
    client: Side
    server: Side
    trips: list[int] = field(default_factory=list)
    phases: dict[int, str] = field(default_factory=dict)
    syn: int = 0
    syns: list[int] = field(default_factory=list)
    syn_ack: int = 0
    ack: int = 0
    refused_by: int = 0
    resets: list[int] = field(default_factory=list)
    again: dict[int, int] = field(default_factory=dict)
    first_fin: int | None = None
    exchanges: list[Exchange] = field(default_factory=list)
    tls: Secured | None = None

    @property
    def sides(self) -> tuple[Side, Side]:
        """Client and server."""
        return self.client, self.server

    @property
    def data_seen(self) -> bool:
        """At least one byte went over it."""
        return bool(self.client.data_trips or self.server.data_trips)

    @property
    def http(self) -> bool:
        """HTTP was spoken, or the port says that it would have been."""
        return bool(self.exchanges) or self.port in (80, 8000, 8080)


class Connections:
    """Takes trips one by one, in time order, and finds their connections."""

    def __init__(self) -> None:
        self.found: list[Connection] = []  # in order of their first segment
        self._by_ends: dict[frozenset[End], Connection] = {}

    def add(self, trip: Trip) -> None:
        """Places a trip. Fills in its kind, title and notes."""
        tcp = trip.packet.tcp
        if tcp is None:
            return
        by_ends = self._by_ends
        pairs = [_ends(trip.packet), _ends(trip.last)]
        connection = by_ends.get(frozenset(pairs[0]))
        if connection is None or _reopens(connection, tcp):
            connection = _open(trip, tcp, pairs)
            self.found.append(connection)
        for pair in pairs:
            by_ends[frozenset(pair)] = connection
        _segment(connection, trip, tcp, pairs)


def connections(trips: Iterable[Trip]) -> list[Connection]:
    """The connections in order of their first segment. Fills in kinds, titles and notes."""
    all_ = Connections()
    for trip in trips:
        all_.add(trip)
    return all_.found


def _ends(packet: wire.Packet) -> tuple[End, End]:
    tcp = packet.tcp
    return ((packet.src, tcp.sport), (packet.dst, tcp.dport)) if tcp else (("", 0), ("", 0))


def _reopens(connection: Connection, tcp: Tcp) -> bool:
    """A SYN with another first number on ports that were used before is a new connection."""
    if not tcp.syn or tcp.ack_flag or not connection.syn:
        return False
    return connection.client.relative(tcp.seq) != 0


def _open(trip: Trip, tcp: Tcp, pairs: list[tuple[End, End]]) -> Connection:
    """A connection from its first segment: the sender of a SYN is the client, else the one that
    talks to the lower port."""
    opens = (tcp.syn and not tcp.ack_flag) or (not tcp.syn and tcp.dport <= tcp.sport)
    mine, theirs = Side(trip.sender), Side(trip.target or trip.dst)
    for source, destination in pairs:
        mine.ends.add(source)
        theirs.ends.add(destination)
    if opens:
        return Connection(tcp.dport, mine, theirs)
    return Connection(tcp.sport, theirs, mine)


def _segment(connection: Connection, trip: Trip, tcp: Tcp, pairs: list[tuple[End, End]]) -> None:
    """Places one segment in its connection."""
    source, destination = pairs[0]
    from_client = source in connection.client.ends or destination in connection.server.ends
    side, other = connection.sides if from_client else connection.sides[::-1]
    for start, end in pairs:
        side.ends.add(start)
        other.ends.add(end)
    connection.trips.append(trip.number)
    if side.base is None:
        side.base = tcp.seq
    start_at = side.relative(tcp.seq) or 0
    size = tcp.payload_length
    span = size + tcp.syn + tcp.fin
    first = _first_sending(side, start_at, span)
    probe = (
        span <= 1
        and not (tcp.syn or tcp.fin or tcp.rst)
        and (side.highest is not None and start_at == side.highest - 1 and connection.ack != 0)
    )
    if span and not first and not probe:
        side.starts[start_at] = (span, trip.number)
        side.data_bytes += size
        if size:
            side.data_trips.append(trip.number)
        if tcp.fin:
            side.fin, side.fin_on_data, side.fin_end = trip.number, size > 0, start_at + span
            if connection.first_fin is None:
                connection.first_fin = CLIENT if from_client else SERVER
    late = side.highest is not None and start_at > side.highest and not tcp.rst
    side.highest = max(side.highest or 0, start_at + span)
    newly = _take_ack(other, tcp, trip)
    phase = _phase(connection, tcp, from_client, trip, other)
    connection.phases[trip.number] = phase
    trip.kind, trip.title = _words(connection, trip, tcp, phase, start_at, newly)
    if probe:
        trip.kind, trip.title = "tcp-keepalive", "TCP keep-alive: are you still there?"
    elif first:
        connection.again[trip.number] = first
        trip.title += " (again)"
        trip.notes.append(f"retransmission: the same bytes as #{first}, sent again")
    elif late:
        trip.notes.append("bytes before this segment were not seen: lost, or overtaken")
    _http(connection, trip, side is connection.client, bool(first))
    _tls(connection, trip, side is connection.client, bool(first))


def _first_sending(side: Side, start_at: int, span: int) -> int:
    """The earlier trip that carried the same bytes, 0 if these are new."""
    known = side.starts.get(start_at)
    return known[1] if known is not None and 0 < span <= known[0] else 0


def _take_ack(other: Side, tcp: Tcp, trip: Trip) -> int:
    """Notes what the segment acknowledges; returns how many bytes it does so for the first time."""
    upto = other.relative(tcp.ack) if tcp.ack_flag else None
    if upto is None:
        return 0
    newly = max(0, upto - max(other.acked, 0))
    if other.acked <= 0 and newly:
        newly -= 1  # the SYN counts one, but is no byte
    other.acked = max(other.acked, upto)
    if other.fin_end is not None and upto >= other.fin_end and not other.fin_acked_by:
        other.fin_acked_by = trip.number
        newly -= 1  # nor is the FIN
    return max(0, newly)


def _phase(connection: Connection, tcp: Tcp, from_client: bool, trip: Trip, other: Side) -> str:
    number = trip.number
    if tcp.rst:
        connection.resets.append(number)
        if not connection.syn_ack and not from_client and connection.syn:
            connection.refused_by = connection.refused_by or number
            asked = connection.syns[-1]
            trip.causes = [asked]
            trip.cause = f"{trip.sender} refuses #{asked}, the SYN: nobody listens on that port"
            return "handshake"
        return "close"
    if tcp.syn:
        if tcp.ack_flag:
            connection.syn_ack = connection.syn_ack or number
        else:
            connection.syn = connection.syn or number
            connection.syns.append(number)
        return "handshake"
    if connection.syn_ack and not connection.ack and from_client:
        connection.ack = number
        if not tcp.payload_length and not tcp.fin:
            return "handshake"
    if tcp.payload_length:
        return "exchange"
    if tcp.fin:
        return "close"
    upto = other.relative(tcp.ack)
    closing = other.fin_end is not None and upto is not None and upto >= other.fin_end
    return "close" if closing else "exchange"


def _words(
    connection: Connection, trip: Trip, tcp: Tcp, phase: str, start_at: int, newly: int
) -> tuple[str, str]:
    """Kind and title of a segment."""
    ends = f"port {tcp.sport} to {tcp.dport}"
    if tcp.rst:
        return "tcp-rst", f"TCP RST{' + ACK' if tcp.ack_flag else ''}, {ends}"
    if tcp.syn:
        if tcp.ack_flag:
            return "tcp-syn-ack", f"TCP SYN + ACK, {ends}"
        return "tcp-syn", f"TCP SYN, {ends}"
    if tcp.payload_length:
        kind, title = _carried(trip, tcp, start_at)
        return kind, title + (" + FIN" if tcp.fin else "")
    if tcp.fin:
        return "tcp-fin", "TCP FIN + ACK" if tcp.ack_flag else "TCP FIN"
    if trip.number == connection.ack:
        return "tcp-ack", f"TCP ACK, {ends}"
    if phase == "close":
        return "tcp-ack", "TCP ACK of the FIN" + (f" and of {newly:,} bytes" if newly else "")
    what = f" of {plural(newly, 'byte')}" if newly else ""
    return "tcp-ack", f"TCP ACK{what}"


def _carried(trip: Trip, tcp: Tcp, start_at: int) -> tuple[str, str]:
    """Kind and title of a segment with data: HTTP, DNS, or plain bytes."""
    head = wire_http.read(trip.packet)
    if head is not None:
        return _http_words(head, tcp)
    dns = wire_dns.read(trip.packet)
    if dns is not None and dns.questions:
        kind, title = dns_title(dns)
        return kind, title + " (over TCP)"
    sealed = tls.parse(trip.packet.payload)
    if sealed is not None:
        return _tls_words(sealed)
    last = start_at + tcp.payload_length - 1
    size = plural(tcp.payload_length, "byte")
    return "tcp-data", f"TCP data, {size} ({start_at:,} to {last:,})"


def _http_words(head: HttpStart, tcp: Tcp) -> tuple[str, str]:
    if head.request:
        host = f" (Host: {clean(head.host, 40)})" if head.host else ""
        return "http-request", f"HTTP {head.method} {clean(head.target, 60)}{host}"
    kind = f", {clean(head.content_type, 30)}" if head.content_type else ""
    status = f"HTTP {head.status} {clean(head.reason, 30)}".rstrip()
    return "http-response", f"{status}{kind}, {plural(tcp.payload_length, 'byte')}"


def _tls_words(found: tls.Tls) -> tuple[str, str]:
    if found.what == "client-hello":
        wanted = f": I want {clean(found.server_name, 60)}" if found.server_name else ""
        return "tls-client-hello", f"TLS ClientHello{wanted}, up to {found.version}"
    if found.what == "server-hello":
        return "tls-server-hello", f"TLS ServerHello: {found.version}, {found.cipher}"
    size = plural(found.length, "byte")
    if found.what == "data":
        return "tls-data", f"TLS sealed records, {size}"
    if found.what == "alert":
        return "tls-alert", f"TLS alert, {size}"
    return "tls-handshake", f"TLS handshake, {size}"


def _tls(connection: Connection, trip: Trip, from_client: bool, again: bool) -> None:
    """Notes what of TLS can be read: both hellos, and how much was sealed after them."""
    size = trip.packet.tcp.payload_length if trip.packet.tcp else 0
    if again or not size:
        return
    known = connection.tls
    if known is None:
        if trip.kind != "tls-client-hello" or not from_client:
            return
        found = tls.parse(trip.packet.payload)
        name = clean(found.server_name, 60) if found else ""
        connection.tls = Secured(trip.number, server_name=name)
    elif trip.kind == "tls-server-hello" and not from_client and not known.server_hello:
        found = tls.parse(trip.packet.payload)
        if found is not None:
            known.server_hello, known.version = trip.number, found.version
            known.cipher = found.cipher
            known.sealed[SERVER] += max(0, size - _first_record(trip.packet.payload))
    elif known.server_hello:
        known.sealed[CLIENT if from_client else SERVER] += size
        known.sealed_trips.append(trip.number)


def _first_record(data: bytes) -> int:
    return 5 + int.from_bytes(data[3:5], "big")


def _http(connection: Connection, trip: Trip, from_client: bool, again: bool) -> None:
    """Keeps count of requests and responses. A response is as long as what came until the next."""
    size = trip.packet.tcp.payload_length if trip.packet.tcp else 0
    if again or not size:
        return
    head = wire_http.read(trip.packet)
    if head is not None and head.request and from_client:
        asked = Exchange(trip.number, head.method, clean(head.target, 60), started_ns=trip.t_ns)
        connection.exchanges.append(asked)
    elif not from_client and connection.exchanges:
        if head is not None and not head.request:
            waiting = [one for one in connection.exchanges if one.status is None]
            one = waiting[0] if waiting else connection.exchanges[-1]
            one.response, one.status, one.reason = trip.number, head.status, clean(head.reason, 40)
            one.content_length = head.content_length
            one.answered_ns, one.version = trip.t_ns, head.version
            upto = trip.packet.payload.partition(b"\r\n\r\n")[0].lower()
            one.closes = b"\r\nconnection: close" in upto
            blank = trip.packet.payload.find(b"\r\n\r\n")
            size = max(0, size - blank - 4) if blank >= 0 else 0
        answered = [one for one in connection.exchanges if one.status is not None]
        if answered:
            answered[-1].body_bytes += size
            answered[-1].ended_ns = trip.arrived_ns
