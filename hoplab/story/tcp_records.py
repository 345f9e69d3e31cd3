# SPDX-License-Identifier: Apache-2.0
"""What engineers read in a TCP connection, as records: options, times, windows, what was sent
again.

What lives here: plain frozen records. What must not: how they are found (`tcp_options.py`,
`tcp_timing.py`, `tcp_loss_causes.py`), sentences (`tcp_sentences.py`).

Times are in nanoseconds, sizes in bytes of payload. What a sender knows is read at its own card,
and what a receiver has at its: a segment leaves, an ACK arrives.
"""

from __future__ import annotations

from dataclasses import dataclass

TIMEOUT, FAST, PROBE, UNKNOWN = "timeout", "fast", "probe", "unknown"
CAUSES = (TIMEOUT, FAST, PROBE, UNKNOWN)


@dataclass(slots=True, frozen=True)
class Options:
    """What a SYN says (RFC 9293, 7323, 2018). mss, window_scale: None if it has no such option."""

    mss: int | None
    window_scale: int | None
    sack_permitted: bool
    timestamps: bool


@dataclass(slots=True, frozen=True)
class Agreed:
    """What holds since both SYNs. mss: the lesser of both, where one that is not named means 536
    (RFC 9293, 3.7.1). payload: what fits into a segment beside the timestamps, if they are used."""

    mss: int
    window_scale: bool
    sack: bool
    timestamps: bool

    @property
    def payload(self) -> int:
        return self.mss - 12 * self.timestamps


@dataclass(slots=True, frozen=True)
class Repeat:
    """Why a segment was sent that goes back below what had been sent.

    cause: 'timeout', no ACK came in time; 'fast', ACKs showed that later bytes had come; 'probe',
    the last segment again soon after it, to provoke an ACK (RFC 8985, 7); 'unknown'. likely: the
    frames agree with it and do not prove it. waited_ns: since the bytes were sent the last time,
    None if that was not seen. duplicates: duplicate ACKs that had come for its first byte.
    needless: "" or how it is known that the receiver had the bytes: 'acknowledged', the ACK of them
    had come before; 'd-sack', the receiver said so (RFC 2883); 'crossed', the ACK of
    them had left before it came. proof: the packet that says so, 0 if none is named.
    """

    cause: str
    likely: bool = False
    waited_ns: int | None = None
    duplicates: int = 0
    needless: str = ""
    proof: int = 0


@dataclass(slots=True, frozen=True)
class SegmentTiming:
    """What the numbers and times of one segment tell.

    window: room that its sender announces, scaled, None if the scale is not known. in_flight: bytes
    that were sent and not acknowledged once it had left, None for one without data. rtt_ns: from
    when packet `rtt_of` left until this ACK of it was there, None where it measures nothing (by
    Karn's rule nothing that was sent twice). duplicate: the n-th duplicate ACK of its number, 0 for
    none. ack_delay_ns: how long its sender had the newest bytes that it acknowledges for the first
    time, None if it acknowledges none. overtaken: it was sent once, before bytes that arrived
    before it.
    """

    window: int | None = None
    in_flight: int | None = None
    rtt_ns: int | None = None
    rtt_of: int = 0
    duplicate: int = 0
    ack_delay_ns: int | None = None
    overtaken: bool = False
    again: Repeat | None = None


@dataclass(slots=True, frozen=True)
class Spread:
    """Of some times how many there are, the least, the one in the middle, and the most."""

    n: int
    least_ns: int
    median_ns: int
    most_ns: int


@dataclass(slots=True, frozen=True)
class HopRtt:
    """The RTT from one card on the way on: the segment leaves there, and its ACK comes back
    there."""

    node: str
    interface: str
    rtt: Spread


@dataclass(slots=True, frozen=True)
class Full:
    """A receiver had no room (window 0). first, last: the packets that say so, and that there is
    room again (0: none did). lasted_ns: None if it had none when the capture ended."""

    first: int
    last: int
    lasted_ns: int | None
    probes: tuple[int, ...]


@dataclass(slots=True, frozen=True)
class Throughput:
    """Bytes that the receiver had for the first time, by slices of time from first_ns on."""

    first_ns: int
    slice_ns: int
    bytes: tuple[int, ...]


@dataclass(slots=True, frozen=True)
class Direction:
    """What one side sent to the other.

    rtt: as its sender sees it; hops: the same from each card on the way on, the first card first.
    in_flight: the most. window_least, window_most: room that the receiver announced, None if not
    known. repeats: of each segment that was sent again, by number. overtaken: packets that others
    overtook. delayed_acks: the receiver's packets that bear an ACK alone and were held back;
    delay_most_ns: the longest. full: when the receiver had no room.
    """

    sender: str
    receiver: str
    segments: int
    rtt: Spread | None
    hops: tuple[HopRtt, ...]
    in_flight: int
    window_least: int | None
    window_most: int | None
    repeats: tuple[tuple[int, Repeat], ...]
    overtaken: tuple[int, ...]
    delayed_acks: tuple[int, ...]
    delay_most_ns: int
    full: tuple[Full, ...]
    throughput: Throughput | None

    def caused_by(self, cause: str) -> int:
        """How many were sent again for that reason."""
        return sum(repeat.cause == cause for _, repeat in self.repeats)

    @property
    def needless(self) -> int:
        """How many were sent again although the receiver had them."""
        return sum(bool(repeat.needless) for _, repeat in self.repeats)


@dataclass(slots=True, frozen=True)
class Ending:
    """How a connection ended. code: 'closed' (both sent FIN, both got the ACK), 'closing' (both
    sent FIN, an ACK was not seen), 'half' (one sent FIN), 'reset', 'refused', 'unanswered' (no SYN
    + ACK) or 'open'. node: who began it, "" where nobody did; packet: by which one, 0 for none."""

    code: str
    node: str = ""
    packet: int = 0


@dataclass(slots=True, frozen=True)
class ConnectionFigures:
    """One connection. client_options, server_options: of the SYNs, None where none was seen;
    agreed: None if one is missing. handshake_rtt_ns: from the SYN to the SYN + ACK at the client,
    None if not seen or one of them was sent twice. packets: the first and the last."""

    client: str
    client_port: int
    server: str
    server_port: int
    packets: tuple[int, int]
    client_options: Options | None
    server_options: Options | None
    agreed: Agreed | None
    handshake_rtt_ns: int | None
    forth: Direction
    back: Direction
    ending: Ending

    @property
    def directions(self) -> tuple[Direction, Direction]:
        """From the client, and to it."""
        return self.forth, self.back
