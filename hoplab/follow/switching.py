# SPDX-License-Identifier: Apache-2.0
"""Rule 2 of the follower: which hop into a switch an OUT of it is a copy of.

It is a copy of the oldest hop into that switch, by another port, with identical bytes (802.1Q tags
aside). A hop is copied to each port once; several ports: a flood.

A controller may want it otherwise: a copy back out of the port by which the frame came, or a second
one out of the same port (a mirror). A frame that left without cause is such a copy of the newest
hop with identical bytes, once it is sure that no other cause turns up (`settle`).

How long ago it may have come in: as long as a switch may wait for its controller; and besides, out
of a port with a rate, for as long as frames have left there without a pause, since so long this one
may have waited behind them.

Identical frames, of which the switch may have dropped one: as on a cable (`cables.py`), port by
port. As many copies as frames that came in are matched in one way only; as long as there are fewer,
they are in doubt (`Doubt.CAUSE`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hoplab.follow.ages import MILLISECOND, MOST_ALIKE, Ages
from hoplab.follow.alike import forget, keep, prove, push
from hoplab.follow.identity import untagged
from hoplab.follow.model import Doubt, Hop, Origin
from hoplab.follow.tree import join

_CAUSE, _UNSEEN = int(Doubt.CAUSE), int(Doubt.UNSEEN)
_SWITCHED = Origin.SWITCHED
_REMEMBERED = 16  # hops of a crowd that are kept; a storm would make ever more
_STALL_NS = 500 * MILLISECOND  # a queue may be held up for so long by the machine


class _Shaped:
    """A port with a rate, in bit/s: since when frames have left it without a pause."""

    __slots__ = ("_bits", "_rate", "since_ns")

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._bits = 0  # that left since then
        self.since_ns = 0

    def sent(self, length: int, t: int) -> None:
        """Notes that a frame of this length left at time t."""
        self._bits += 8 * length
        if t - self.since_ns > self._bits * 1_000_000_000 // self._rate + _STALL_NS:
            self.since_ns, self._bits = t, 0  # a pause: less has left than the rate allows


class _Entry:
    """A hop into a switch and the ports that it has been copied to (its own counts as one).
    last_ns: when the last copy was sent. before: the hop with identical bytes that came before it
    and had been copied to all ports by then, if that is not long ago."""

    __slots__ = ("before", "hop", "last_ns", "used")

    def __init__(self, hop: Hop, used: int) -> None:
        self.hop = hop
        self.used = used
        self.last_ns = 0
        self.before: Hop | None = None


class _Crowd:
    """Hops into a switch with identical bytes. copied: those copied to all ports, a moment ago.
    unsure: by port, copies that are proved only once no other hop can be meant. proved: by port,
    when the last ones were, and which; one more hop, if it was there by then, undoes that."""

    __slots__ = ("copied", "entries", "proved", "unsure")

    def __init__(self) -> None:
        self.proved: dict[int, tuple[int, list[Hop]]] = {}
        self.entries: list[_Entry] = []
        self.copied: list[_Entry] = []
        self.unsure: dict[int, list[Hop]] = {}


class Switch:
    """What the follower keeps for one switch.

    bits: by port, its bit in `_Entry.used`. late: hops out of the switch without cause, waiting for
    one whose clock is behind. extra: those among them that may be one copy more of other hops, with
    these, the newest last.
    """

    switch = True

    def __init__(self, ages: Ages, ports: list[int], rates: Mapping[int, int]) -> None:
        """rates: of the ports that have one, in bit/s."""
        self._ages = ages
        self._shaped = {port: _Shaped(rate) for port, rate in rates.items()}
        self.bits = {port: 1 << place for place, port in enumerate(ports)}
        self.all_ports = (1 << len(ports)) - 1
        queue_ns = ages.queue_ns if rates else 0
        self._kept_ns = ages.switch_ns + queue_ns + ages.link_ns + ages.slack_ns
        self.lossy = False
        self._came: dict[bytes, _Entry | _Crowd] = {}
        self._late: dict[bytes, list[Hop]] = {}
        self.extra: list[tuple[Hop, list[Hop]]] = []

    def grow(self, port: int, addresses: Sequence[bytes]) -> None:
        """It has one more port."""
        if port not in self.bits:
            self.bits[port] = 1 << len(self.bits)
            self.all_ports = (1 << len(self.bits)) - 1

    def __len__(self) -> int:
        return len(self._came) + len(self._late) + len(self.extra)

    def find_cause(self, hop: Hop, port: int, data: bytes, t: int) -> None:
        """Joins the hop, which left by `port` at time t, to its cause."""
        key = untagged(data) if data[12] in (0x81, 0x88) else data
        alike = self._came.get(key)
        if self._shaped and port in self._shaped:
            self._shaped[port].sent(len(data), t)
        if type(alike) is _Entry:
            if self._copy_of(alike, hop, port, t):
                return
        elif type(alike) is _Crowd and self._copy_of_crowd(alike, hop, port, t):
            return
        push(self._late, key, hop)
        if alike is not None:
            self._note_extra(alike, hop, t)

    def _copy_of(self, entry: _Entry, hop: Hop, port: int, t: int) -> bool:
        """Joins the hop, which left by `port` at time t, to the only one with identical bytes;
        False if that cannot be its cause."""
        bit = self.bits[port]
        if entry.used & bit:
            return False
        cause, ages = entry.hop, self._ages
        arrival = cause.received
        age = t - (cause.t_ns if arrival is None else arrival.t_ns)
        if arrival is None and not self.lossy:
            longest = ages.link_ns
        else:
            longest = self._longest(port, t) if self._shaped else ages.switch_ns
        if not (-ages.slack_ns <= age <= longest and join(cause, hop, _SWITCHED)):
            return False
        entry.used |= bit
        entry.last_ns = t
        if self.lossy:
            if age > ages.slack_ns:
                hop.doubt |= _CAUSE
        elif arrival is None:
            hop.doubt |= _UNSEEN
        return True

    def _longest(self, port: int, t: int) -> int:
        """For how long what leaves by a port at time t may have been in the switch."""
        ages = self._ages
        shaped = self._shaped.get(port)
        waited_ns = min(t - shaped.since_ns, ages.queue_ns) if shaped is not None else 0
        return ages.switch_ns + waited_ns

    def _note_extra(self, alike: _Entry | _Crowd, hop: Hop, t: int) -> None:
        """Keeps in mind of which hop this one may be a copy, though that was copied to the port
        before, or came by it."""
        ages = self._ages
        entries = [alike] if isinstance(alike, _Entry) else [*alike.entries, *alike.copied]
        causes = [entry.hop for entry in entries]
        causes += [entry.before for entry in entries if entry.before is not None]
        fitting = [
            cause for cause in causes
            if -ages.slack_ns <= t - cause.came_ns
            <= (ages.switch_ns if cause.received or self.lossy else ages.link_ns)
        ]  # fmt: skip
        if fitting:
            fitting.sort(key=lambda cause: cause.came_ns)
            self.extra.append((hop, fitting))

    def settle(self, until: int) -> None:
        """Makes extra copies of those sent until then: no other cause can turn up any more.

        Where several hops can be meant, more copies were sent than there are causes, so which of
        the port's copies is whose cannot be told.
        """
        if not self.extra:
            return
        waiting = []
        for hop, causes in self.extra:
            if hop.t_ns > until:
                waiting.append((hop, causes))
            elif hop.origin is Origin.BORN and join(causes[-1], hop, _SWITCHED):
                if self.lossy:
                    hop.doubt |= _CAUSE
                elif causes[-1].received is None:
                    hop.doubt |= _UNSEEN
                if len(causes) > 1:
                    for cause in causes:
                        for copy in cause.children:
                            if copy.tail == hop.tail:
                                copy.doubt |= _CAUSE
        self.extra = waiting

    def _copy_of_crowd(self, crowd: _Crowd, hop: Hop, port: int, t: int) -> bool:
        """Joins the hop, which left by `port` at time t, to one of several with identical bytes;
        False if none of them can be its cause."""
        bit = self.bits[port]
        fitting = self._fitting(crowd, port, t)
        chosen = self._choose(fitting, t)
        if chosen is None or not join(chosen.hop, hop, _SWITCHED):
            return False
        chosen.used |= bit
        chosen.last_ns = max(chosen.last_ns, t)
        if chosen.used == self.all_ports:
            crowd.entries.remove(chosen)
            crowd.copied.append(chosen)
        if len(fitting) > 1 or self.lossy:
            self._doubt(crowd, hop, bit)
        elif bit in crowd.unsure:
            proved = crowd.unsure.pop(bit)
            prove(proved, _CAUSE)
            crowd.proved[bit] = t, [*proved, hop]
        if not self.lossy and chosen.hop.received is None:
            hop.doubt |= _UNSEEN
        return True

    def _fitting(self, crowd: _Crowd, port: int, t: int) -> list[_Entry]:
        """Those of which a copy can have left by this port at time t."""
        bit = self.bits[port]
        longest, slack = self._longest(port, t), self._ages.slack_ns
        longest_unseen = longest if self.lossy else self._ages.link_ns
        fitting = []
        for entry in crowd.entries:
            if entry.used & bit:
                continue
            age = t - entry.hop.came_ns
            if age > longest:
                # It was never copied, so it can be any of those that may be meant instead of
                # each other: their doubt stays.
                crowd.unsure.pop(bit, None)
            elif age >= -slack and (entry.hop.received is not None or age <= longest_unseen):
                fitting.append(entry)
        return fitting

    def _choose(self, fitting: list[_Entry], t: int) -> _Entry | None:
        """The one that arrived first, which need not be the one that was sent first: they may have
        come by two cables. One that was sent here and was not (yet) seen to arrive is the cause
        only if no other can be, unless all are so recent that their arrival may be stamped late."""
        if len(fitting) < 2:
            return fitting[0] if fitting else None
        arrived = [entry for entry in fitting if entry.hop.received is not None]
        if arrived:
            return min(arrived, key=lambda entry: entry.hop.came_ns)
        recent = all(t - entry.hop.came_ns <= self._ages.slack_ns for entry in fitting)
        return fitting[0] if recent else None

    def _doubt(self, crowd: _Crowd, hop: Hop, bit: int) -> None:
        if hop.doubt & _CAUSE:
            return
        hop.doubt |= _CAUSE
        # A hop that is dropped from the list stays in doubt.
        keep(crowd.unsure.setdefault(bit, []), hop, _REMEMBERED)

    def enter(self, hop: Hop, port: int, data: bytes, t: int) -> None:
        """A hop is on its way into the switch, by `port`, since time t."""
        key = untagged(data) if data[12] in (0x81, 0x88) else data
        entry = _Entry(hop, self.bits[port])
        alike = self._came.get(key)
        if alike is None:
            self._came[key] = entry
        else:
            if type(alike) is _Entry:
                if self._over(alike, t):
                    self._came[key] = entry
                    entry.before = alike.hop
                else:
                    crowd = _Crowd()
                    (crowd.copied if alike.used == self.all_ports else crowd.entries).append(alike)
                    self._join_crowd(key, crowd, entry, t)
            elif type(alike) is _Crowd:
                self._join_crowd(key, alike, entry, t)
        if self._late and key in self._late:
            self._late_copies(entry, key)

    def _over(self, entry: _Entry, t: int) -> bool:
        """Whether the hop is so old at time t that no frame from then on can be a copy of it."""
        ages = self._ages
        if entry.used == self.all_ports and not self.lossy:
            return entry.last_ns < t - ages.slack_ns
        return entry.hop.t_ns < t - self._kept_ns

    def _join_crowd(self, key: bytes, crowd: _Crowd, entry: _Entry, t: int) -> None:
        self._came[key] = crowd
        crowd.copied = [old for old in crowd.copied[-_REMEMBERED:] if not self._over(old, t)]
        # A copy that was sent just now may be of this one, if the clocks disagree.
        limit = t - self._ages.slack_ns
        for earlier in (*crowd.entries, *crowd.copied):
            if earlier.last_ns >= limit:
                for copy in earlier.hop.children:
                    if copy.t_ns >= limit and copy.tail in self.bits:
                        self._doubt(crowd, copy, self.bits[copy.tail])
        for bit, (when, hops) in list(crowd.proved.items()):
            if when >= limit:
                for hop in hops:
                    self._doubt(crowd, hop, bit)
            del crowd.proved[bit]
        keep(crowd.entries, entry, MOST_ALIKE)

    def _late_copies(self, entry: _Entry, key: bytes) -> None:
        """Gives a hop into a switch the copies that were stamped before it."""
        t = entry.hop.t_ns
        waiting = self._late[key]
        alike = self._came.get(key)
        for hop in list(waiting):
            if hop.origin is not Origin.BORN or abs(t - hop.t_ns) > self._ages.slack_ns:
                continue
            assert hop.tail is not None
            bit = self.bits[hop.tail]
            if not entry.used & bit and join(entry.hop, hop, _SWITCHED):
                entry.used |= bit
                entry.last_ns = max(entry.last_ns, hop.t_ns)
                waiting.remove(hop)
                if type(alike) is _Crowd:
                    self._doubt(alike, hop, bit)
        if not waiting:
            del self._late[key]

    def storm(self, data: bytes) -> None:
        """Frames with these bytes are only counted from now on, so what becomes of those that are
        in the switch is, too."""
        key = untagged(data)
        alike = self._came.pop(key, None)
        entries = alike.entries if type(alike) is _Crowd else [alike]
        for entry in entries:
            if type(entry) is _Entry and entry.used != self.all_ports:
                entry.hop.more = True
        self._late.pop(key, None)

    def forget(self, now: int) -> None:
        """Drops frames that came so long ago that no copy of them can leave any more."""
        limit = now - self._kept_ns
        came = self._came
        # Until then one may be copied once more than is usual.
        over = [
            key for key, alike in came.items()
            if type(alike) is _Entry and alike.hop.t_ns < limit
        ]  # fmt: skip
        for key in over:
            del came[key]
        crowds = [(key, alike) for key, alike in came.items() if type(alike) is _Crowd]
        for key, crowd in crowds:
            if any(entry.hop.t_ns < limit for entry in crowd.entries):
                crowd.entries = [entry for entry in crowd.entries if entry.hop.t_ns >= limit]
                crowd.unsure.clear()
            if not crowd.entries and all(entry.hop.t_ns < limit for entry in crowd.copied):
                del came[key]
        forget(self._late, now - 2 * self._ages.slack_ns)
