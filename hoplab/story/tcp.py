# SPDX-License-Identifier: Apache-2.0
"""TCP connections among the trips: who opened, what each segment is for, how it was closed.

What lives here: the reading of sequence numbers (RFC 9293). What must not: the boundaries of HTTP
messages (`http_messages.py`), sentences for a learner (`steps.py`) and paths.

How a segment gets its phase, in time order:
1. SYN and SYN+ACK, and an RST before any SYN+ACK: 'handshake'.
2. The client's first empty segment after the SYN+ACK: 'handshake' (its ACK is the third frame).
3. Segments with data, even if they also bear FIN, and the ACKs of data: 'exchange'.
4. FIN without data, RST, and the ACKs that cover the other side's FIN: 'close'.

What is sent again need not look like its first sending: Linux joins small segments that were lost,
and lets a FIN ride on them. So a segment repeats whatever it has below the highest number so far.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable

from hoplab.decode import packet as wire
from hoplab.decode.packet import Tcp
from hoplab.sentences import say, term
from hoplab.story.counts import byte_count
from hoplab.story.http_messages import CLIENT, SERVER, Sending
from hoplab.story.secured import note_hello, note_tls
from hoplab.story.tcp_connection import Connection, End, Side, start_of_sending
from hoplab.story.tcp_titles import segment_title
from hoplab.story.trip_records import Segment, Way


class Connections:
    """Takes packets one by one, in time order, and finds their connections.

    lossy: the capture is known to lack frames."""

    def __init__(self, *, lossy: bool = False) -> None:
        self.lossy = lossy
        self.all: list[Connection] = []  # in order of their first segment
        self._by_ends: dict[frozenset[End], Connection] = {}

    def add(self, way: Way) -> Segment | None:
        """Places a packet, once: what it is in its connection, None if it is in none."""
        tcp = way.packet.tcp
        if tcp is None:
            return None
        pairs = _pairs(way)
        keys = [frozenset(pair) for pair in pairs]
        connection = self._by_ends.get(keys[0])
        if connection is None or _reopens(connection, tcp):
            connection = _open(way, tcp, pairs)
            self.all.append(connection)
        for key in keys:
            self._by_ends[key] = connection
        return _segment(connection, way, tcp, pairs, self.lossy)

    def note_ends(self, way: Way) -> None:
        """Takes between which ends a packet went on that was placed before it was translated."""
        pairs = _pairs(way)
        connection = self._by_ends.get(frozenset(pairs[0]))
        if connection is not None and way.number in connection.phases:
            _note_ends(connection, pairs)
            self._by_ends[frozenset(pairs[-1])] = connection


def connections(
    ways: Iterable[Way], *, lossy: bool = False
) -> tuple[list[Connection], dict[int, Segment]]:
    """The connections in order of their first segment; and what each packet is in its own, by
    number."""
    connections_ = Connections(lossy=lossy)
    placed = ((way.number, connections_.add(way)) for way in ways)
    segments = {number: segment for number, segment in placed if segment is not None}
    return connections_.all, segments


def _pairs(way: Way) -> list[tuple[End, End]]:
    """Between which ends a packet was sent and, if it was translated, arrived."""
    return [_ends(way.packet), _ends(way.last)] if way.translated else [_ends(way.packet)]


def _ends(packet: wire.Packet) -> tuple[End, End]:
    tcp = packet.tcp
    return ((packet.src, tcp.sport), (packet.dst, tcp.dport)) if tcp else (("", 0), ("", 0))


def _reopens(connection: Connection, tcp: Tcp) -> bool:
    """A SYN with another first number on ports that were used before is a new connection."""
    if not tcp.syn or tcp.ack_flag or not connection.syn:
        return False
    return connection.client.relative(tcp.seq) != 0


def _open(way: Way, tcp: Tcp, pairs: list[tuple[End, End]]) -> Connection:
    """A connection from its first segment: the sender of a SYN is the client, else the one that
    talks to the lower port."""
    opens = (tcp.syn and not tcp.ack_flag) or (not tcp.syn and tcp.dport <= tcp.sport)
    mine, theirs = Side(way.sender), Side(way.target or way.dst)
    for source, destination in pairs:
        mine.ends.add(source)
        theirs.ends.add(destination)
    if opens:
        return Connection(tcp.dport, mine, theirs)
    return Connection(tcp.sport, theirs, mine)


def _segment(
    connection: Connection, way: Way, tcp: Tcp, pairs: list[tuple[End, End]], lossy: bool
) -> Segment:
    """Places one segment in its connection."""
    from_client = _note_ends(connection, pairs)
    side, peer = connection.sides if from_client else connection.sides[::-1]
    role = CLIENT if from_client else SERVER
    connection.trips.append(way.number)
    start_at = _start_of(connection, role, tcp)
    end = start_at + tcp.payload_length + tcp.syn + tcp.fin
    probe = _is_probe(connection, side, tcp, start_at, end)
    gap = start_at > (side.highest or 0) and not tcp.rst
    earlier = [] if probe else side.sent_before(start_at, end)
    newly = _take_ack(connection, 1 - role, tcp, way)  # what is answered was heard before
    fresh = 0 if probe else _send(connection, role, way, tcp, start_at, earlier)
    phase = _phase(connection, tcp, from_client, way, peer)
    connection.phases[way.number] = phase
    kind, title = segment_title(connection, way, tcp, phase, start_at, newly)
    connection.tls = note_tls(connection.tls, way, kind, from_client, fresh, connection.hello)
    title = _with_window(title, side.note_window(tcp, way.number, way.t_ns))
    notes: tuple[str, ...] = ()
    if peer.full is not None and (probe or _is_data_probe(tcp)):
        peer.full.probes.append(way.number)
        kind, title = "tcp-window-probe", term("TCP zero-window probe: is there room again?")
    elif probe:
        kind, title = "tcp-keepalive", term("TCP keep-alive: are you still there?")
    elif earlier:
        title, notes = _sent_again(connection, way, tcp, title, earlier, fresh)
    elif gap:
        notes = (_gap_before(lossy),)
    if tcp.rst and phase == "handshake":
        syn = connection.syns[-1]
        return Segment(kind, title, notes, _refusal(connection, way, syn), (syn,))
    return Segment(kind, title, notes)


def _is_data_probe(tcp: Tcp) -> bool:
    """One byte for a receiver that takes none: it asks, as a sender may whose receiver has no room
    (RFC 9293, 3.8.6.1)."""
    return tcp.payload_length == 1 and not (tcp.syn or tcp.fin or tcp.rst)


def _with_window(title: str, full: bool | None) -> str:
    """The title, with what the segment says of the room that its sender has."""
    if full is None:
        return title
    if full:
        return say("{title}; no room for more (window 0)", title=title)
    return say("{title}; room for more again", title=title)


def _note_ends(connection: Connection, pairs: list[tuple[End, End]]) -> bool:
    """Whether the client sent a segment between these ends, which from now on are the sides'."""
    source, destination = pairs[0]
    from_client = source in connection.client.ends or destination in connection.server.ends
    side, peer = connection.sides if from_client else connection.sides[::-1]
    for from_, to in pairs:
        side.ends.add(from_)
        peer.ends.add(to)
    return from_client


def _sent_again(
    connection: Connection, way: Way, tcp: Tcp, title: str, earlier: list[Sending], fresh: int
) -> tuple[str, tuple[str, ...]]:
    """Title and notes of a segment of which some bytes, or all, were sent before. Notes it if all
    were; fresh: how many were not."""
    if fresh:
        return title, (_begins_again(tcp, earlier, fresh),)
    connection.again[way.number] = [sending.trip for sending in earlier]
    return say("{title} (again)", title=title), (_repeats(earlier),)


def _gap_before(lossy: bool) -> str:
    """That bytes are missing. lossy: the capture is known to lack frames."""
    if lossy:
        return term(
            "bytes before this segment were not seen: lost, overtaken, or missed by the capture"
        )
    return term("bytes before this segment were not seen: lost, or overtaken")


def _begins_again(tcp: Tcp, earlier: list[Sending], fresh: int) -> str:
    """That the beginning of a segment was sent before. `fresh`: how many of its bytes were not."""
    return say(
        "its first {size} were sent before, in #{packet}",
        size=byte_count(tcp.payload_length - fresh), packet=earlier[0].trip,
    )  # fmt: skip


def _start_of(connection: Connection, role: int, tcp: Tcp) -> int:
    """The first number of the segment, counted from the first of its side."""
    side = connection.sides[role]
    if tcp.syn:
        side.mss = tcp.mss or 536  # RFC 9293, 3.7.1: what a SYN without the option means
    if side.base is None:
        side.base = tcp.seq
        connection.dialogue.open(role, int(tcp.syn))
    return side.relative(tcp.seq) or 0


def _is_probe(connection: Connection, side: Side, tcp: Tcp, start_at: int, end: int) -> bool:
    """A keep-alive names the last number that was sent, when all of them are acknowledged."""
    if tcp.syn or tcp.fin or tcp.rst or not connection.ack or side.highest is None:
        return False
    return end <= start_at + 1 and start_at == side.highest - 1 and side.acked >= side.highest


def _send(
    connection: Connection,
    role: int,
    way: Way,
    tcp: Tcp,
    start_at: int,
    earlier: list[Sending],
) -> int:
    """Notes what the segment sends. Returns how many bytes of data it sends for the first time."""
    side = connection.sides[role]
    data_at = start_at + tcp.syn
    data_end = data_at + tcp.payload_length
    end = data_end + tcp.fin
    arrived_ns = way.arrived_ns if way.delivered else 0
    for sending in earlier:
        if not sending.arrived_ns and sending.end <= end:
            sending.arrived_ns = arrived_ns
    # Without an earlier sending it fills a hole of the capture, and is the first that is known.
    fresh_at = max(start_at, side.highest or 0) if earlier else start_at
    fresh = max(0, data_end - max(data_at, fresh_at))
    if fresh_at < end:
        sending = Sending(fresh_at, end, way.number, way.t_ns, arrived_ns)
        insort(side.sent, sending, key=start_of_sending)
        if fresh:
            side.data_trips.append(way.number)
            connection.dialogue.take(
                role, data_at, tcp.payload_length, way.packet.payload, sending
            )
            if role == CLIENT:
                first = len(side.data_trips) == 1
                connection.hello = note_hello(connection.hello, way, data_at, fresh, first)
    if tcp.fin and end != side.fin_end:
        side.fin, side.fin_on_data, side.fin_end = way.number, tcp.payload_length > 0, end
        if connection.first_fin is None:
            connection.first_fin = role
    side.highest = max(side.highest or 0, end)
    return fresh


def _repeats(earlier: list[Sending]) -> str:
    first, last = earlier[0].trip, earlier[-1].trip
    if first == last:
        return say("retransmission: the same bytes as #{packet}, sent again", packet=first)
    return say(
        "retransmission: the same bytes as #{first} to #{last}, sent again", first=first, last=last
    )


def _take_ack(connection: Connection, role: int, tcp: Tcp, way: Way) -> int:
    """Notes what the segment acknowledges of that side's bytes; returns how many it does so for
    the first time."""
    sender = connection.sides[role]
    upto = sender.relative(tcp.ack) if tcp.ack_flag else None
    if upto is None:
        return 0
    newly = max(0, upto - max(sender.acked, 0))
    if sender.acked <= 0 and newly:
        newly -= 1  # the SYN counts one, but is no byte
    sender.acked = max(sender.acked, upto)
    fin = sender.fin_end is not None and upto >= sender.fin_end
    connection.dialogue.acknowledged(role, upto - fin, way.t_ns)
    if fin and not sender.fin_acked_by:
        sender.fin_acked_by = way.number
        newly -= 1  # nor is the FIN
    return max(0, newly)


def _phase(connection: Connection, tcp: Tcp, from_client: bool, way: Way, peer: Side) -> str:
    """What the segment is for. Notes SYNs, resets and the ACK that ends the handshake."""
    if tcp.rst:
        return _reset(connection, from_client, way)
    if tcp.syn:
        _note_syn(connection, tcp, from_client, way)
        return "handshake"
    if connection.syn_ack and not connection.ack and from_client:
        connection.ack = way.number
        if not tcp.payload_length and not tcp.fin:
            return "handshake"
    if tcp.payload_length:
        return "exchange"
    if tcp.fin:
        return "close"
    upto = peer.relative(tcp.ack)
    closing = peer.fin_end is not None and upto is not None and upto >= peer.fin_end
    return "close" if closing else "exchange"


def _reset(connection: Connection, from_client: bool, way: Way) -> str:
    """Notes an RST. It belongs to the handshake where it comes instead of the SYN + ACK."""
    connection.resets.append(way.number)
    if connection.syn_ack or from_client or not connection.syn:
        return "close"
    connection.refused_by = connection.refused_by or way.number
    return "handshake"


def _refusal(connection: Connection, way: Way, syn: int) -> str:
    """Why an RST came instead of the SYN + ACK. syn: the number of the SYN."""
    if way.sender == connection.server.node:
        return say(
            "{server} refuses #{packet}, the SYN: nobody listens on that port",
            server=way.sender, packet=syn,
        )  # fmt: skip
    return say(
        "{node} refuses #{packet}, the SYN, in the server's name",
        node=way.sender, packet=syn,
    )  # fmt: skip


def _note_syn(connection: Connection, tcp: Tcp, from_client: bool, way: Way) -> None:
    if not tcp.ack_flag:
        connection.syn = connection.syn or way.number
        connection.syns.append(way.number)
        return
    connection.syn_ack = connection.syn_ack or way.number
    if not from_client and not way.stray:
        connection.server.node = way.sender  # two cards may have the server's address
