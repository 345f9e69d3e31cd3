# SPDX-License-Identifier: Apache-2.0
"""HTML and SVG built as values, so that text from the wire can never become markup.

`tag("td", text, cls="name")` escapes every string it is given, in content and in attributes. Only
what `tag` itself returned (`Markup`) goes in as it is. Characters that XML does not allow are shown
as U+FFFD, so that an SVG with them is still read; and so are those that turn the direction of
writing (Unicode Standard Annex 9), with which a name could reorder the sentence around it.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

_UNFIT = re.compile(
    "[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
    "|[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)
_VOID = frozenset(("meta", "br", "hr", "input"))
_SVG_EMPTY = frozenset(("rect", "path", "line", "circle", "polygon", "use"))


class Markup(str):
    """Text that is markup already."""

    __slots__ = ()


Child = str | int | float | None | Iterable["Child"]


def readable(text: str) -> str:
    """Text without what no document may hold, and what would reorder the words around it."""
    return _UNFIT.sub("\ufffd", text)


def escape(text: str) -> Markup:
    """Text as markup that shows it."""
    return Markup(html.escape(readable(text)))


def join(*children: Child) -> Markup:
    """Children one after the other; None is nothing."""
    out: list[str] = []
    _gather(children, out)
    return Markup("".join(out))


def _gather(children: Iterable[Child], out: list[str]) -> None:
    for child in children:
        if child is None:
            continue
        if isinstance(child, Markup):
            out.append(child)
        elif isinstance(child, str):
            out.append(escape(child))
        elif isinstance(child, int | float):
            out.append(number(child))
        else:
            _gather(child, out)


def number(value: float) -> str:
    """A coordinate: at most one decimal, without a needless '.0'."""
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(value)


def tag(name: str, /, *children: Child, **attributes: str | float | bool | None) -> Markup:
    """An element. `cls` is class, `for_` is for, and '_' in a name stands for '-'; True is an
    attribute without value, None and False leave it out."""
    out = [f"<{name}"]
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        key = "class" if key == "cls" else key.rstrip("_").replace("_", "-")
        if value is True:
            out.append(f" {key}")
        else:
            text = value if isinstance(value, str) else number(value)
            out.append(f' {key}="{escape(text)}"')
    if name in _SVG_EMPTY and not children:
        out.append("/>")
    elif name in _VOID:
        out.append(">")
    else:
        out.append(f">{join(*children)}</{name}>")
    return Markup("".join(out))
