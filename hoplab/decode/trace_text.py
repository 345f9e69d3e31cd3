# SPDX-License-Identifier: Apache-2.0
"""What Open vSwitch says a switch does with a frame: the text of `ofproto/trace`, as records.

The text is made for people (ovs-vswitchd(8), Open vSwitch 2.8 and later): a line for each flow that
the frame met, below it a line for each of its actions, remarks (`->`) and warnings (`>>`) below
those. Indentation says what belongs to what, but for a last action, which is printed as deep as
those before. A frame that is looked up again (`recirc`) has its text once more.

What lives here: that text, line by line. What must not: sockets, what it means for a story.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

# In place of a table: what was gathered on the way and is carried out at its end, or what is done
# after an interruption.
ACTION_SET = -1

_HIT = re.compile(
    r"^( *)(?:(\d+)|(--))\. (?:(No match\.)|(Executing action set:)"
    r"|(?:(.*?), )?priority (\d+)(?:, cookie (0x[0-9a-f]+))?)$"
)
_BUCKET = re.compile(r"^( *)bucket (\d+)$")
_GROUP = re.compile(r"\bgroup:(\d+)")
# How a look-up goes on that was interrupted: no action of a flow's.
_THAWING = ("Resuming from", "Restoring actions", "unroll_xlate(", "restored state")
_ROUND = re.compile(r"^recirc\((0x[0-9a-f]+)\)")


@dataclass(frozen=True)
class Action:
    """One action as it was carried out. within: the groups that it was carried out for and, of
    each, the bucket. remarks: what Open vSwitch has to say about it, warnings too."""

    text: str
    within: tuple[tuple[int, int], ...] = ()
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Hit:
    """A flow that a frame met, or a table in which it met none (priority is None).

    table: ACTION_SET for the actions of the action set. match: "" for any frame."""

    table: int
    priority: int | None
    match: str
    cookie: int
    actions: tuple[Action, ...] = ()

    @property
    def missed(self) -> bool:
        return self.priority is None and self.table != ACTION_SET


@dataclass(frozen=True)
class Round:
    """One look-up, from the first table to the last. flow, final: the frame's fields before and
    after. megaflow: those that it depended on. datapath: what the datapath is told to do. recirc:
    which of those before it goes on with, "" for none."""

    flow: str
    hits: tuple[Hit, ...]
    final: str
    megaflow: str
    datapath: str
    recirc: str = ""


@dataclass
class _Open:
    """A hit that lines are still added to. column: where its actions stand, 0 until one came."""

    table: int
    priority: int | None
    match: str
    cookie: int
    column: int = 0
    actions: list[Action] = field(default_factory=list)

    def close(self) -> Hit:
        return Hit(self.table, self.priority, self.match, self.cookie, tuple(self.actions))


class _Reader:
    def __init__(self) -> None:
        self.rounds: list[Round] = []
        self.recirc = ""
        self.clear()

    def clear(self) -> None:
        self.flow = self.final = self.megaflow = ""
        self.hits: list[_Open] = []
        self.open: list[_Open] = []  # those that lines may belong to, the innermost last
        self.groups: list[tuple[int, int, int]] = []  # column, group, bucket
        self.last: _Open | None = None  # the hit of the last action

    def line(self, text: str) -> None:
        words = text.strip()
        if not words or not words.strip("-="):
            return
        again = _ROUND.match(words)
        if again:
            self.recirc = again[1]
        elif words.startswith("Flow: "):
            self.clear()
            self.flow = words[6:]
        elif words.startswith("Final flow: "):
            self.final = words[12:]
        elif words.startswith("Megaflow: "):
            self.megaflow = words[10:]
        elif words.startswith("Datapath actions: "):
            hits = tuple(
                hit.close() for hit in self.hits if hit.actions or hit.table != ACTION_SET
            )
            self.rounds.append(
                Round(self.flow, hits, self.final, self.megaflow, words[18:], self.recirc)
            )
            self.recirc = ""
            self.clear()
        elif self.flow and not words.startswith("bridge("):
            self.step(text, words)

    def step(self, text: str, words: str) -> None:
        column = len(text) - len(text.lstrip())
        hit = _HIT.match(text)
        bucket = _BUCKET.match(text)
        if hit:
            self.leave_groups(column)
            table = int(hit[2]) if hit[2] else ACTION_SET
            cookie = int(hit[8], 16) if hit[8] else 0
            opened = _Open(table, int(hit[7]) if hit[7] else None, hit[6] or "", cookie)
            self.hits.append(opened)
            self.open = [] if hit[3] else self.open
            self.open.append(opened)
        elif bucket:
            self.leave_groups(column)
            self.groups.append((column, self.last_group(), int(bucket[2])))
        elif words.startswith(("-> ", ">> ", ">>>> ")):
            self.remark(words.partition(" ")[2])
        elif words == "thaw":
            self.hits.append(_Open(ACTION_SET, None, "", 0))
            self.open = [self.hits[-1]]
        elif self.open and not words.startswith(_THAWING):
            self.leave_groups(column)
            self.act(column, words)

    def leave_groups(self, column: int) -> None:
        while self.groups and column <= self.groups[-1][0]:
            self.groups.pop()

    def last_group(self) -> int:
        """The group of the action right before a bucket, and before the buckets beside it."""
        for hit in reversed(self.hits):
            for action in reversed(hit.actions):
                found = _GROUP.search(action.text)
                if found and len(action.within) <= len(self.groups):
                    return int(found[1])
        return 0

    def act(self, column: int, words: str) -> None:
        within = tuple((group, number) for _, group, number in self.groups)
        # What stands further to the left belongs to a table from which this one was asked.
        if not within:
            while len(self.open) > 1 and self.open[-1].column > column:
                self.open.pop()
        owner = self.open[-1]
        if not owner.column and not within:
            owner.column = column
        owner.actions.append(Action(words, within))
        self.last = owner

    def remark(self, words: str) -> None:
        if self.last is not None and self.last.actions:
            action = self.last.actions[-1]
            remarks = (*action.remarks, words)
            self.last.actions[-1] = Action(action.text, action.within, remarks)


def read_trace(text: str) -> tuple[Round, ...]:
    """The rounds of a trace, in their order. Lines that are not known are passed over."""
    reader = _Reader()
    for line in text.splitlines():
        reader.line(line)
    return tuple(reader.rounds)
