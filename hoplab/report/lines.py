# SPDX-License-Identifier: Apache-2.0
"""Lines of text for a terminal: colour where it is wanted, breaks at words, and the characters that
the terminal has.

What lives here: how a line is written. What must not: what it says.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from hoplab.report.cells import cells, wrap
from hoplab.report.language import Language
from hoplab.sentences import term
from hoplab.story.faults import STRICT, Faults
from hoplab.story.storms import DROWNED, kind_of
from hoplab.story.trip_records import Trip

_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
_ASCII = str.maketrans(
    {
        "→": "->",
        "←": "<-",
        "⇒": "=>",
        "─": "-",
        "═": "=",
        "█": "#",
        "▌": "#",
        "…": "...",
        "·": "*",
        "✗": "!",
        "✓": "+",
        "–": "-",  # noqa: RUF001
    }
)


@dataclass(slots=True)
class Page:
    """Lines so far, and how to write one. explained: lessons, remarks, and by whom switches
    decided, each of which is told at length once. storming: the kinds of packets that go round."""

    width: int
    color: bool
    ascii: bool
    detail: str
    digits: int  # of the longest trip number
    indent: int  # where the text of a trip begins
    tr: Language
    lines: list[str] = field(default_factory=list)
    shown_macs: set[tuple[str, ...]] = field(default_factory=set)
    explained: set[str] = field(default_factory=set)
    faults: Faults = STRICT
    storming: set[str] = field(default_factory=set)

    @property
    def stormy(self) -> bool:
        """There is a storm in the story."""
        return bool(self.storming)

    def drowned(self, trips: Iterable[Trip]) -> bool:
        """All of them go round, or were on their way when the capture began."""
        return self.stormy and all(kind_of(trip, self.storming)[0] in DROWNED for trip in trips)

    @contextlib.contextmanager
    def part(self, part: str) -> Iterator[None]:
        """A part that is missing as a whole if it cannot be told."""
        before, untold = len(self.lines), len(self.faults)
        with self.faults.part(part):
            yield
        if len(self.faults) > untold and self.faults.all[-1].part == part:
            del self.lines[before:]
            missing = term("a part of the story that could not be told")
            self.line(f"   … {self.tr(missing)}", "red")

    def once(self, text: str) -> bool:
        """Whether this has not been asked for the same text before."""
        news = text not in self.explained
        self.explained.add(text)
        return news

    def paint(self, text: str, *styles: str) -> str:
        """Text in colour, where colour is wanted."""
        if not self.color or not text:
            return text
        codes = ";".join(_CODES[style] for style in styles)
        return f"\x1b[{codes}m{text}\x1b[0m"

    def line(self, text: str = "", *styles: str) -> None:
        """One line as it is."""
        self.lines.append(self.paint(self.fit(text), *styles))

    def wrap(self, text: str, indent: int, *styles: str, hang: int = 0) -> None:
        """A sentence, broken at words; `hang` indents the lines after the first more."""
        lines = wrap(
            self.fit(text),
            self.width,
            initial_indent=" " * indent,
            subsequent_indent=" " * (indent + hang),
        )
        self.lines.extend(self.paint(line, *styles) for line in lines)

    def tell(self, sentence: str, indent: int, *styles: str, hang: int = 0) -> None:
        """A sentence in the reader's language, broken at words."""
        self.wrap(self.tr(sentence), indent, *styles, hang=hang)

    def rule(self, text: str) -> None:
        """A heading with a line to the right edge."""
        self.lines.append("")
        bar = self.fit("─")
        head = self.fit(f"── {text} ")
        self.lines.append(self.paint(head + bar * (self.width - cells(head)), "bold", "cyan"))

    def fit(self, text: str) -> str:
        """The text in the characters that the terminal has."""
        if not self.ascii:
            return text.replace(" -> ", " → ")
        return text.translate(_ASCII).encode("ascii", "replace").decode("ascii")

    def text(self) -> str:
        """All lines so far, without blanks at their ends."""
        return "\n".join(line.rstrip() for line in self.lines) + "\n"


def time_since_start(ms: float) -> str:
    """When a packet came, from the first one on: '+0.31 ms', '+120.4 s'."""
    return f"+{ms:,.2f} ms" if ms < 100_000 else f"+{ms / 1000:,.1f} s"
