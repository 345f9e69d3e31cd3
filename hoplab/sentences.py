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
5. JSON would make plain text of such a text, too. What is to be translated on the other side of a
   socket goes through `to_plain` before it and `from_plain` behind it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

__all__ = [
    "Listing", "Sentence", "Together", "from_plain", "listed", "number_of", "say", "sentence_of",
    "term", "to_plain", "together",
]  # fmt: skip


class Sentence(str):
    """English text that knows how it was made. plural, n: the template for other numbers than
    one, and the number that decides; "" and 0 where no number does."""

    template: str
    values: Mapping[str, Any]
    plural: str = ""
    n: int = 0

    def __new__(
        cls, text: str, template: str, values: Mapping[str, Any], plural: str = "", n: int = 0
    ) -> Sentence:
        made = super().__new__(cls, text)
        made.template = template
        made.values = values
        if plural:
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


def listed(items: Iterable[str], most: int = 0) -> Listing:
    """Items with commas between them. most: of more than that the first ones, and a sign for the
    others; 0 for no limit."""
    items = tuple(items)
    if most and len(items) > most:
        items = (*items[:most], "…")
    return Listing(", ".join(items), items)


def together(*parts: str) -> Together:
    """Sentences one after the other; empty ones are left out."""
    kept = tuple(part for part in parts if part)
    return Together(" ".join(kept), kept)


def sentence_of(error: BaseException) -> str:
    """What an exception was made with: its sentence, if it has one. str() would make plain text
    of it."""
    first = error.args[0] if len(error.args) == 1 else None
    return first if isinstance(first, Sentence | Listing | Together) else str(error)


def to_plain(data: Any) -> Any:
    """Data for JSON in which texts keep their templates and values, at any depth: a sentence is
    {"say": TEMPLATE, "values": {NAME: VALUE, ...}}, with "plural" and "n" where a number decides,
    a listing {"listed": [...]}, several sentences {"together": [...]}."""
    if isinstance(data, Sentence):
        plain = {"say": data.template, "values": to_plain(data.values)}
        return {**plain, "plural": data.plural, "n": data.n} if data.plural else plain
    if isinstance(data, Listing):
        return {"listed": to_plain(data.items)}
    if isinstance(data, Together):
        return {"together": to_plain(data.parts)}
    if isinstance(data, Mapping):
        return {name: to_plain(value) for name, value in data.items()}
    if isinstance(data, list | tuple):
        return [to_plain(value) for value in data]
    return data if data is None or isinstance(data, str | int | float) else str(data)


def from_plain(data: dict[str, Any]) -> Any:
    """The inverse of `to_plain` for one object of JSON whose parts are done: the `object_hook` of
    `json.loads`."""
    if "say" in data:
        template, values = data["say"], data["values"]
        plural, n = data.get("plural", ""), data.get("n", 0)
        words = plural if plural and n != 1 else template
        return Sentence(words.format_map(values) if values else words, template, values, plural, n)
    if "listed" in data:
        return listed(data["listed"])
    return together(*data["together"]) if "together" in data else data
