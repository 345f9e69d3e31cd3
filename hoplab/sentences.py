# SPDX-License-Identifier: Apache-2.0
"""Sentences as data: an English template, the values in it, and the text that they make.

What lives here: how a sentence that a person reads is written down. What must not: languages
(`hoplab.report.language` looks templates up), any sentence itself, anything else of hoplab.

    say("{server} answered {status}", server="www", status=404)     www answered 404
    number_of("{n:,} frame", "{n:,} frames", 3)                       3 frames
    listed(["s1", "s2"])                                            s1, s2
    together(say("It rained."), say("It stopped."))                 It rained. It stopped.

1. What these make is text, in English, and can be used as text. It also carries its template and
   its values, so another language looks the template up, exactly, and fills in the same values;
   nothing is ever matched back out of finished text.
2. A value may be a sentence of its own, or a list of them: it is translated on its own and put in.
   Names, addresses and numbers are values and are the same in every language.
3. Cutting, joining or formatting such a text makes plain text of it, which no language can look
   up: put it into a template as a value instead. A test renders every story in Chinese and
   fails for what was left in English.
4. Templates are literals at the call, so that tools find them (`make messages`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["Listing", "Sentence", "Together", "listed", "number_of", "say", "term", "together"]


class Sentence(str):
    """English text that knows how it was made. plural, n: the template for other numbers than
    one, and the number that decides; "" and 0 where no number does."""

    template: str
    values: Mapping[str, Any]
    plural: str
    n: int


    def __new__(
        cls, text: str, template: str, values: Mapping[str, Any], plural: str = "", n: int = 0
    ) -> Sentence:
        made = super().__new__(cls, text)
        made.template = template
        made.values = values
        made.plural, made.n = plural, n
        return made

    def __getnewargs__(self) -> tuple[Any, ...]:
        return str(self), self.template, self.values, self.plural, self.n


class Listing(str):
    """Items of one kind, in a row: names or sentences, with the language's comma between them."""

    items: tuple[str, ...]


    def __new__(cls, text: str, items: tuple[str, ...]) -> Listing:
        made = super().__new__(cls, text)
        made.items = items
        return made

    def __getnewargs__(self) -> tuple[Any, ...]:
        return str(self), self.items


class Together(str):
    """Sentences one after the other. Between English ones stands a space, between Chinese none."""

    parts: tuple[str, ...]


    def __new__(cls, text: str, parts: tuple[str, ...]) -> Together:
        made = super().__new__(cls, text)
        made.parts = parts
        return made

    def __getnewargs__(self) -> tuple[Any, ...]:
        return str(self), self.parts


def say(template: str, /, **values: Any) -> Sentence:
    """A sentence from a template in the syntax of `str.format`, with named values only."""
    return Sentence(template.format_map(values) if values else template, template, values)


def term(template: str, /) -> Sentence:
    """A word or phrase without values, such as a heading."""
    return Sentence(template, template, {})


def number_of(singular: str, plural: str, n: int, /, **values: Any) -> Sentence:
    """`singular` for one, `plural` for any other number; both may name the number as {n}."""
    values["n"] = n
    template = singular if n == 1 else plural
    return Sentence(template.format_map(values), singular, values, plural, n)


def listed(items: Iterable[str]) -> Listing:
    """Items with commas between them."""
    items = tuple(items)
    return Listing(", ".join(items), items)


def together(*parts: str) -> Together:
    """Sentences one after the other; empty ones are left out."""
    kept = tuple(part for part in parts if part)
    return Together(" ".join(kept), kept)
