# SPDX-License-Identifier: Apache-2.0
"""How the tables of each switch were when a capture began, and each change since, with its time.

What lives here: what switches told of their tables (`hoplab.decode.tables`) joined with what
controllers told them (the OpenFlow channel). What must not: processes, frames of hosts.

1. A switch tells of every flow that comes, changes or goes, but not who wanted it. A change belongs
   to the first flow-mod that asks for just this and that no change before it belongs to; what
   belongs to none was wanted by somebody else, timed out, or was learned by the switch itself.
2. A change has two times: when the flow-mod was seen on its way to the switch, and when the switch
   told of it. Between them it took effect. What belongs to no flow-mod took effect within
   `UNSEEN_NS` before the switch told of it.
3. Groups and meters are told of only at the beginning; later changes are those that the channel
   shows. What a switch refused (OFPT_ERROR, by its number) has changed nothing.
4. Messages of a bundle take effect when it is committed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from hoplab.capture import notes
from hoplab.capture.pcapng_format import Note
from hoplab.decode import tables
from hoplab.decode.openflow import Match, Message
from hoplab.follow.passages import BEFORE, CONTROLLER, ELSEWHERE
from hoplab.follow.wiring import Wiring
from hoplab.story.channel_state import switches_of
from hoplab.story.conversation import ChannelMessage, Connection

UNSEEN_NS = 1_000_000
_SLACK_NS = 5_000_000  # our own clock is read a moment after a message has come
_LONGEST_NS = 5_000_000_000
_MOST_RECENT = 256
_BARRIER_REPLY = b"\x15"  # it answers the last of our first requests
_MOST = 0xFFFFFF00  # port numbers above are not ports


@dataclass(frozen=True)
class Change:
    """A change of a switch's tables. from_ns, until_ns: it took effect between them. flow, group,
    meter, port: what changed; of a group or meter the message that did it.
    came: how (see `hoplab.follow.passages`); flow_mod: number of the frame with the message."""

    from_ns: int
    until_ns: int
    flow: tables.FlowChange | None = None
    message: bytes = b""
    port: tables.Port | None = None
    came: str = ELSEWHERE
    flow_mod: int = 0


@dataclass
class SwitchHistory:
    """A switch at the beginning, and what changed. asked_ns, heard_ns: when it was asked, and when
    somebody began to listen. known_ns: from when on its tables are known."""

    known_ns: int = 0
    asked_ns: int = 0
    heard_ns: int = 0
    flows: list[tables.FlowChange] = field(default_factory=list)
    groups: list[tables.Group] = field(default_factory=list)
    meters: list[tables.Meter] = field(default_factory=list)
    ports: list[tables.Port] = field(default_factory=list)
    learned: list[tuple[int, int, str]] = field(default_factory=list)  # port, VLAN, MAC address
    # What the meters had counted, at the beginning and at the end.
    counts: list[dict[int, tables.MeterCount]] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)  # in order of time
    made: int = 0  # so many of them have been made once, and stay where they are
    whole: bool = False  # all that it was asked at the beginning is answered

    def put(self, change: Change) -> None:
        """Put a change in its place."""
        place = len(self.changes)
        order = change.from_ns, change.until_ns
        while place > self.made:
            before = self.changes[place - 1]
            if (before.from_ns, before.until_ns) <= order:
                break
            place -= 1
        self.changes.insert(place, change)


@dataclass(frozen=True)
class Refused:
    """A message that a switch refused: the type and code of its error, and the number of the frame
    with the error in the capture."""

    t_ns: int
    number: int
    connection: Connection
    xid: int
    error: tuple[int, int]


class Histories:
    """What switches were and what changed, as far as the capture has been read. `by_switch` has
    those that have told of their tables; `owners`, whose the connections are, as far as known.

    All notes at once and all messages at once give the same as piece by piece, but for whose a
    connection is: what is said on one before that is known is left out.
    """

    def __init__(
        self, wiring: Wiring, came_to: Callable[[ChannelMessage], set[str]]
    ) -> None:
        """came_to: the switches that a packet-in may be of, by the frame in it."""
        self.by_switch: dict[str, SwitchHistory] = {}
        self.owners: dict[Connection, str] = {}
        self._wiring, self._came_to = wiring, came_to
        self._switches: dict[str, SwitchHistory] = {}
        self._told: dict[str, list[tuple[int, tables.FlowChange]]] = {}
        self._wishes: dict[str, _Wishes] = {}
        self._last_ns: dict[str, int] = {}  # of the changes that a switch told of
        self._refused: set[tuple[Connection, int]] = set()
        self._bundles: dict[tuple[Connection, int], list[_Mod]] = {}
        self._ownerless: list[_Mod] = []
        self._connections: set[Connection] = set()
        self._keys: dict[tuple[int, frozenset[tuple[str, bytes, bytes | None]]], set[str]] = {}
        self._votes: dict[Connection, dict[str, int]] = {}

    def note(self, kept: Iterable[Note]) -> None:
        """What switches told of their tables."""
        for note in kept:
            if note.source not in self._wiring.nodes:
                continue
            if note.topic == notes.TABLES:
                history = self._switches.setdefault(note.source, SwitchHistory())
                told = self._told.setdefault(note.source, [])
                before = len(told)
                _take(history, note, told)
                for _, change in told[before:]:
                    key = change.cookie, change.match.key
                    self._keys.setdefault(key, set()).add(note.source)
                if history.known_ns:
                    self.by_switch[note.source] = history
            elif note.topic == notes.LEARNED:
                history = self._switches.setdefault(note.source, SwitchHistory())
                history.learned += _learned(note.data.decode("utf-8", "replace"))

    def refusals(self, messages: Iterable[ChannelMessage]) -> None:
        """What switches refused: known before what they were told is heard."""
        self._refused |= {(error.connection, error.xid) for error in refusals(messages)}

    def hear(self, messages: Sequence[ChannelMessage], until_ns: int | None = None) -> None:
        """What switches and controllers said, and with it the changes that switches have told of
        until then, None for all. All of a while at once: whose a connection is shows in any of its
        messages."""
        self._learn_owners(messages)
        mods = [*self._ownerless, *_mods(messages, self._refused, self._bundles)]
        self._ownerless = []
        by_switch: dict[str, list[_Mod]] = {}
        for mod in mods:
            owner = self.owners.get(mod.connection)
            if owner is None:
                self._ownerless.append(mod)
            else:
                by_switch.setdefault(owner, []).append(mod)
        newest_ns = max((heard.t_ns for heard in messages), default=0)
        self._ownerless = [
            mod for mod in self._ownerless if newest_ns - mod.t_ns <= _LONGEST_NS
        ]
        for name, history in self.by_switch.items():
            self._join(name, history, by_switch.get(name, []), until_ns)

    def awaited_ns(self, since_ns: int) -> int | None:
        """When the first flow-mod since then was to take effect of which no switch has told yet:
        what it tells is read as there is time. None if there is none."""
        return min(
            (
                mod.effect_ns
                for wishes in self._wishes.values()
                for mod in wishes.recent
                if not mod.taken and mod.effect_ns >= since_ns
            ),
            default=None,
        )

    def _learn_owners(self, messages: Sequence[ChannelMessage]) -> None:
        """Whose the connections are: by a features reply, or because there is only one switch, else
        by the frames that it asked about and the flows that came when they were wanted there."""
        sure = switches_of(self._wiring, messages)
        self.owners |= sure
        self._connections |= {heard.connection for heard in messages}
        if len(self._told) == 1:
            only = next(iter(self._told))
            self.owners = {each: self.owners.get(each, only) for each in self._connections}
            return
        for heard in messages:
            message = heard.message.inner or heard.message
            if heard.connection in self.owners and heard.connection not in self._votes:
                continue
            if heard.up:
                fitting = self._came_to(heard)
            elif message.kind == "flow-mod":
                key = (message.cookie or 0, (message.match or Match()).key)
                fitting = self._keys.get(key, set())
            else:
                continue
            if len(fitting) == 1:
                count = self._votes.setdefault(heard.connection, {})
                switch = next(iter(fitting))
                count[switch] = count.get(switch, 0) + 1
        for connection in sure:
            self._votes.pop(connection, None)
        for connection, count in self._votes.items():
            self.owners[connection] = max(count, key=lambda switch: count[switch])

    def _join(
        self, name: str, history: SwitchHistory, mods: Sequence[_Mod], until_ns: int | None
    ) -> None:
        """Puts the changes that were told, and those that were only wanted, in their places."""
        wishes = self._wishes.setdefault(name, _Wishes())
        wishes.add(mods)
        last_ns = self._last_ns.get(name, 0)
        told = self._told.get(name, [])
        count = len(told)
        if until_ns is not None:
            count = sum(t_ns <= until_ns for t_ns, _ in told)
        for t_ns, change in told[:count]:
            mod = wishes.find(change, t_ns)
            from_ns = t_ns - UNSEEN_NS if mod is None else min(mod.effect_ns, t_ns)
            if mod is None and t_ns <= history.heard_ns:
                from_ns = history.known_ns  # it may have come long before anybody listened
            last_ns = max(last_ns, from_ns)  # the order in which a switch tells of them is theirs
            if mod is None:
                history.put(Change(last_ns, t_ns, flow=change))
            else:
                history.put(
                    Change(last_ns, t_ns, flow=change, came=CONTROLLER, flow_mod=mod.number)
                )
        del told[:count]
        self._last_ns[name] = last_ns
        for mod in mods:
            if mod.message.kind != "flow-mod" and mod.effect_ns >= history.known_ns:
                history.put(
                    Change(
                        mod.effect_ns, mod.effect_ns, message=mod.message.raw, came=CONTROLLER,
                        flow_mod=mod.number,
                    )
                )  # fmt: skip


def _take(
    history: SwitchHistory, note: Note, told: list[tuple[int, tables.FlowChange]]
) -> None:
    """What one message tells."""
    if not note.data:
        history.asked_ns = note.t_ns
        return
    history.whole = history.whole or note.data[1:2] == _BARRIER_REPLY
    history.heard_ns = history.heard_ns or note.t_ns
    initial = tables.is_initial(note.data)
    if initial:
        history.known_ns = history.known_ns or history.asked_ns or note.t_ns
    for item in tables.read(note.data):
        if not isinstance(item, tables.FlowChange):
            _take_answer(history, note, item)
        elif initial:
            history.flows.append(item)
        else:
            told.append((note.t_ns, item))


def _take_answer(
    history: SwitchHistory,
    note: Note,
    item: tables.Group | tables.Meter | tables.MeterCount | tables.Port,
) -> None:
    """A group, a meter, a meter's counters or a port, of a message that tells of such."""
    if isinstance(item, tables.Group):
        history.groups.append(item)
    elif isinstance(item, tables.Meter):
        history.meters.append(item)
    elif isinstance(item, tables.MeterCount):
        if not history.counts or item.number in history.counts[-1]:
            history.counts.append({})
        history.counts[-1][item.number] = item
    elif item.number < _MOST:
        if note.data[1] == 12:  # a port status, and no answer
            history.put(Change(note.t_ns - UNSEEN_NS, note.t_ns, port=item))
        else:
            history.ports.append(item)


def _learned(text: str) -> list[tuple[int, int, str]]:
    """The lines of fdb/show: port, VLAN, MAC address, age."""
    rows = [line.split() for line in text.splitlines()]
    return [
        (int(row[0]), int(row[1]), row[2])
        for row in rows
        if len(row) == 4 and row[0].isdigit() and row[1].isdigit()
    ]


# ---- what controllers wanted --------------------------------------------------------------------


@dataclass
class _Mod:
    """A flow-mod, group-mod or meter-mod. effect_ns: when the switch was to do it."""

    t_ns: int
    effect_ns: int
    number: int
    connection: Connection
    message: Message
    taken: bool = False


def refusals(messages: Iterable[ChannelMessage]) -> list[Refused]:
    """What switches refused."""
    return [
        Refused(heard.t_ns, heard.number, heard.connection, heard.message.xid, heard.message.error)
        for heard in messages
        if heard.up and heard.message.kind == "error" and heard.message.error is not None
    ]


def _mods(
    messages: Iterable[ChannelMessage],
    refused: set[tuple[Connection, int]],
    open_bundles: dict[tuple[Connection, int], list[_Mod]],
) -> list[_Mod]:
    """What controllers wanted of tables and was not refused, in order of its effect. open_bundles:
    those that are not committed yet; they grow."""
    mods: list[_Mod] = []
    for heard in messages:
        if heard.up:
            continue
        message, inner = heard.message, heard.message.inner
        if inner is not None and message.bundle is not None:
            mod = _Mod(heard.t_ns, heard.t_ns, heard.number, heard.connection, inner)
            open_bundles.setdefault((heard.connection, message.bundle), []).append(mod)
        elif message.kind in ("flow-mod", "group-mod", "meter-mod"):
            if (heard.connection, message.xid) not in refused:
                mods.append(
                    _Mod(heard.t_ns, heard.t_ns, heard.number, heard.connection, message)
                )
        elif message.commit and message.bundle is not None:
            for mod in open_bundles.pop((heard.connection, message.bundle), []):
                mod.effect_ns = heard.t_ns
                mods.append(mod)
    return mods


# ---- both together ------------------------------------------------------------------------------


class _Wishes:
    """The flow-mods that a switch was sent, to be found by what they ask for."""

    def __init__(self) -> None:
        self._puts: dict[tuple[int, int, object], list[_Mod]] = {}
        self._deletions: list[_Mod] = []
        self.recent: deque[_Mod] = deque(maxlen=_MOST_RECENT)  # those that put flows in

    def add(self, mods: Sequence[_Mod]) -> None:
        """Take up more of them, in order of time; those that nothing can belong to any more go."""
        first_ns = next((mod.effect_ns for mod in mods), 0)
        self._deletions = [
            mod for mod in self._deletions if first_ns - mod.effect_ns <= 2 * _LONGEST_NS
        ]
        for mod in mods:
            message = mod.message
            if message.kind != "flow-mod":
                continue
            if message.command in ("add", "modify", "modify-strict"):
                match = message.match or Match()
                key = message.table or 0, message.priority, match.key
                self._puts.setdefault(key, []).append(mod)
                self.recent.append(mod)
            else:
                self._deletions.append(mod)

    def find(self, change: tables.FlowChange, t_ns: int) -> _Mod | None:
        """The one that a change belongs to, which the switch told of at that time."""
        if change.event == tables.DELETED:
            if change.reason != "delete":
                return None
            return next(
                (
                    mod for mod in self._deletions
                    if _near(mod, t_ns) and _deletes(mod.message, change)
                ),
                None,
            )  # fmt: skip
        for mod in self._puts.get((change.table, change.priority, change.match.key), ()):
            if not mod.taken and _near(mod, t_ns):
                mod.taken = True
                return mod
        return None


def _near(mod: _Mod, t_ns: int) -> bool:
    return -_SLACK_NS <= t_ns - mod.effect_ns <= _LONGEST_NS


def _deletes(message: Message, change: tables.FlowChange) -> bool:
    match = message.match or Match()
    if message.table not in (0xFF, change.table):
        return False
    if message.command == "delete-strict":
        return message.priority == change.priority and match.key == change.match.key
    if message.command != "delete":
        return False
    return all(change.match.fields.get(name) == raw for name, raw in match.fields.items())


def how_it_came(change: Change | None) -> tuple[str, int, int]:
    """How, when and by which frame a flow got into its table; None: it was there."""
    if change is None:
        return BEFORE, 0, 0
    return change.came, change.from_ns, change.flow_mod
