# SPDX-License-Identifier: Apache-2.0
"""A lab sheet as data.

What lives here: plain records. What must not: how they are read (`sheet_file.py`) or judged
(`judging.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hoplab.packet_filter.grammar import Tree
from hoplab.sheets.answers import Expected
from hoplab.sheets.claims import Claim

# What a line of a sheet that is no node's begins with: it changes the lab itself.
LAB = "hoplab"
FOLDER = "{sheet}"  # in a line: the sheet's folder
Line = tuple[str, str]  # a node and a line for its shell, or LAB and what changes


@dataclass(frozen=True)
class Text:
    """Words of a sheet's author, in the languages that they were written in."""

    by_language: Mapping[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.by_language)

    def into(self, code: str) -> str:
        """In this language, else in English, else in any."""
        texts = self.by_language
        return texts.get(code) or texts.get("en") or next(iter(texts.values()), "")


@dataclass(frozen=True)
class PacketClaims:
    """What is claimed of the packets that a filter means. text: the filter as it was written."""

    text: str
    tree: Tree
    claims: tuple[Claim, ...]


@dataclass(frozen=True)
class Moment:
    """A command, and the moment of its run that shows something. at: a packet's number, or a filter
    whose first packet it is; node: where, "" for nowhere in particular."""

    id: str
    host: str
    command: str
    at: str
    node: str = ""
    says: Text = Text()


@dataclass(frozen=True)
class Check:
    """One check of a sheet. kind: what is done: 'exec', 'show', 'plugin', 'config', 'frames',
    'table', 'flow', 'answer', 'wait'.

    command: the line that nodes run. tables: by node what is claimed of what it has. flows: by
    switch packets and what it does with them. count: the filter whose packets are the right answer.
    wait_s: for how long it is tried again, None for no more than usual. meaning: what `valid` asks,
    for a reader, where it was not written for readers.
    """

    id: str
    kind: str
    description: Text
    nodes: tuple[str, ...] = ()
    command: str = ""
    valid: str = ""
    meaning: str = ""
    frames: tuple[PacketClaims, ...] = ()
    tables: tuple[tuple[str, tuple[str, ...]], ...] = ()
    flows: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = ()
    answer: Expected | None = None
    count: str = ""
    when_passed: Text = Text()
    when_failed: Text = Text()
    hints: tuple[Text, ...] = ()
    wait_s: float | None = None
    warning: bool = False
    stop_on_error: bool = False
    moment: str = ""
    fresh: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sheet:
    """A sheet. name: of its folder, and of its lab; called: what to say on a command line for it,
    for one of ours its name and for another one its path. score: how many checks pass at the start,
    None if it does not say. options: of the lab beside topology and controller. files: what it
    gives a learner to work with, in its folder. varies: texts of it that are others for each
    student; varied: what they are for this one. student: whose sheet it is, "" for nobody's."""

    folder: Path
    name: str
    called: str = ""
    title: Text = Text()
    minutes: int = 0
    topology: str = ""
    controller: str = ""
    options: Mapping[str, object] = field(default_factory=dict)
    setup: tuple[Line, ...] = ()
    files: tuple[str, ...] = ()
    score: int | None = None
    moments: Mapping[str, Moment] = field(default_factory=dict)
    checks: Mapping[str, Check] = field(default_factory=dict)
    plugin: str = ""
    varies: tuple[str, ...] = ()
    varied: Mapping[str, str] = field(default_factory=dict)
    student: str = ""

    @property
    def own_name(self) -> str:
        """The name of its lab, and of what a learner did in it."""
        return f"{self.name}-{self.student}" if self.student else self.name

    @property
    def number(self) -> str:
        """'03' of 03-hub; "" for one that has none."""
        first = self.name.partition("-")[0]
        return first if first.isdigit() else ""
