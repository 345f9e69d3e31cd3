# SPDX-License-Identifier: Apache-2.0
"""How wide text is in a terminal, and how it is broken into lines.

East Asian characters take two cells (Unicode Standard Annex 11), and Chinese has no spaces to break
at: a line may end after any such character, unless the next one is a mark that must not begin a
line (a full stop, a closing bracket) or this one is an opening bracket.
"""

from __future__ import annotations

import re
import textwrap
import unicodedata

_NOT_FIRST = "，。、；：？！）》」』】…％·”’"  # noqa: RUF001
_NOT_LAST = "（《「『【“‘"  # noqa: RUF001


def wide(char: str) -> bool:
    """It takes two cells. What is ambiguous (arrows, lines) takes one, as in any terminal whose
    locale is not East Asian and most of those whose locale is."""
    return unicodedata.east_asian_width(char) in "WF"


def cells(text: str) -> int:
    """Width in cells."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(char) else 2 if wide(char) else 1 for char in text
    )


def ljust(text: str, width: int) -> str:
    """Filled with spaces on the right."""
    return text + " " * (width - cells(text))


def rjust(text: str, width: int) -> str:
    """Filled with spaces on the left."""
    return " " * (width - cells(text)) + text


def wrap(
    text: str, width: int, *, initial_indent: str = "", subsequent_indent: str = ""
) -> list[str]:
    """Lines of at most `width` cells, broken at spaces and between East Asian characters."""
    if not any(wide(char) for char in text):
        return textwrap.wrap(
            text,
            width,
            initial_indent=initial_indent,
            subsequent_indent=subsequent_indent,
            break_on_hyphens=False,
        )
    lines: list[str] = []
    line = initial_indent
    used = False  # something other than the indent is on the line
    room = width - max(len(initial_indent), len(subsequent_indent))
    for piece in _pieces(text.lstrip(), room):  # blanks that no line has make no word longer
        if used and cells(line + piece.rstrip()) > width:
            lines.append(line.rstrip())
            line, used = subsequent_indent, False
        line += piece if used else piece.lstrip()
        used = used or bool(piece.strip())
    if used:
        lines.append(line.rstrip())
    return lines


def _pieces(text: str, room: int) -> list[str]:
    """The parts between which a line may break; a space stays with the part before it."""
    pieces: list[str] = []
    for part in re.findall(r" +|[^ ]", re.sub(r"\s", " ", text)):
        last = pieces[-1][-1:] if pieces else ""
        joins = (
            bool(pieces)
            and (
                part.isspace()
                or part in _NOT_FIRST
                or last in _NOT_LAST
                or not (last == " " or wide(last) or wide(part))
            )
            and cells(pieces[-1] + part.rstrip()) <= room
        )
        if joins:
            pieces[-1] += part
        else:
            pieces.append(part)
    return pieces
