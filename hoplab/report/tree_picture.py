# SPDX-License-Identifier: Apache-2.0
"""A network as a tree in a terminal: who is joined to whom, with addresses.

    s1
    ├─ h1  10.0.0.1/24
    ├─ h2 … h9  10.0.0.2/24 … 10.0.0.9/24  (8 hosts)
    └─ s2
       └─ h10  10.0.0.10/24

1. The root is the switch, or else the node, with the most cables; what no cable joins to it stands
   below, with a root of its own.
2. A cable that is no branch of the tree is named where its second end stands: `also joined to`.
3. Many hosts in a row are drawn as the first and the last.

What lives here: that tree as lines. What must not: the kernel, sentences on what is drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field

from hoplab.follow.wiring import Wiring, natural
from hoplab.report.cells import cells
from hoplab.sentences import listed, number_of, say, term

MOST_IN_A_ROW = 8  # hosts without anything behind them
_LINES = {True: ("├─ ", "└─ ", "│  ", "   "), False: ("|- ", "`- ", "|  ", "   ")}


@dataclass
class _Branch:
    """A node in the tree. also: nodes that it is joined to by cables that are no branches; cut: the
    cable to the node above carries nothing."""

    name: str
    cut: bool = False
    also: list[str] = field(default_factory=list)
    below: list[_Branch] = field(default_factory=list)


def tree(
    wiring: Wiring,
    columns: int,
    tr: Callable[[str], str] = str,
    *,
    cut: Collection[str] = (),
    unicode: bool = True,
) -> list[str]:
    """The lines, none longer than `columns`. cut: interfaces whose cable carries nothing."""
    painter = _Painter(wiring, columns, tr, _LINES[unicode])
    lines: list[str] = []
    left = dict.fromkeys(wiring.nodes)
    while left:
        root = _grow(wiring, _root(wiring, left), cut)
        for name in _names(root):
            left.pop(name, None)
        lines += painter.paint(root)
    return lines


def _root(wiring: Wiring, names: Collection[str]) -> str:
    def rank(name: str) -> tuple[bool, int]:
        return wiring.kind(name) != "switch", -len(wiring.ports(name))

    return min(names, key=lambda name: (rank(name), natural(name)))


def _grow(wiring: Wiring, start: str, cut: Collection[str]) -> _Branch:
    """The tree from a node on, the nearest nodes first."""
    root = _Branch(start)
    branches = {start: root}
    taken: set[frozenset[int]] = set()
    row = [root]
    while row:
        following = []
        for branch in row:
            for port in wiring.ports(branch.name):
                peer = wiring.peer(port)
                cable = frozenset((port, port if peer is None else peer))
                if peer is None or cable in taken:
                    continue
                taken.add(cable)
                name = wiring.node_name(peer)
                if name in branches:
                    branches[name].also.append(branch.name)
                    continue
                dead = wiring.port_name(port) in cut or wiring.port_name(peer) in cut
                branches[name] = _Branch(name, dead)
                branch.below.append(branches[name])
                following.append(branches[name])
        row = following
    return root


def _names(branch: _Branch) -> Iterator[str]:
    yield branch.name
    for below in branch.below:
        yield from _names(below)


class _Painter:
    """Makes the lines of a tree."""

    def __init__(
        self, wiring: Wiring, columns: int, tr: Callable[[str], str], signs: Sequence[str]
    ) -> None:
        self._wiring, self._columns, self._tr = wiring, columns, tr
        self._branch, self._last, self._bar, self._gap = signs

    def paint(self, branch: _Branch, head: str = "", rest: str = "") -> Iterator[str]:
        """The lines of a branch. head: what stands before its first line, rest: before others."""
        yield self._fit(head + self._line(branch))
        rows = list(self._rows(branch))
        for place, row in enumerate(rows):
            at_end = place == len(rows) - 1
            first = rest + (self._last if at_end else self._branch)
            if isinstance(row, str):
                yield self._fit(first + row)
            else:
                yield from self.paint(row, first, rest + (self._gap if at_end else self._bar))

    def _rows(self, branch: _Branch) -> Iterator[_Branch | str]:
        """What is below: leaves first, in the order of their names, many of them as one line."""
        below = sorted(branch.below, key=lambda each: natural(each.name))
        leaves = [each for each in below if self._is_leaf(each)]
        if len(leaves) > MOST_IN_A_ROW:
            first, last = leaves[0].name, leaves[-1].name
            count = number_of("{n} host", "{n} hosts", len(leaves))
            ends = " … ".join(self._addresses(name) for name in (first, last))
            yield f"{first} … {last}  {ends}  ({self._tr(count)})"
        else:
            yield from leaves
        yield from (each for each in below if not self._is_leaf(each))

    def _is_leaf(self, branch: _Branch) -> bool:
        kind = self._wiring.kind(branch.name)
        return kind == "host" and not (branch.below or branch.also or branch.cut)

    def _line(self, branch: _Branch) -> str:
        parts = [branch.name, self._addresses(branch.name)]
        if branch.cut:
            parts.append(self._tr(term("(cable cut)")))
        if branch.also:
            names = listed(dict.fromkeys(branch.also))
            parts.append(self._tr(say("(also joined to {names})", names=names)))
        return "  ".join(filter(None, parts))

    def _addresses(self, name: str) -> str:
        ports = map(self._wiring.interface, self._wiring.ports(name))
        return ", ".join(address for port in ports for address in port.addresses)

    def _fit(self, line: str) -> str:
        if cells(line) <= self._columns:
            return line
        while cells(line) >= self._columns:
            line = line[:-1]
        return f"{line}…"
