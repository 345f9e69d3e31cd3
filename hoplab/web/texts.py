# SPDX-License-Identifier: Apache-2.0
"""Sentences for a page that speaks every language: templates once, values beside them.

What lives here: how a sentence of the story is written into a scene. What must not: sentences.

A text of a scene is one of these, and nothing else:

    "www"                    data: a name, an address, a program's own words
    [7, {"node": VALUE}]     template 7 of the table, filled in
    {"list": [VALUE, ...]}   items with the language's comma between them
    {"row": [TEXT, ...]}     sentences one after the other

and a VALUE is a text, or {"node": "h1"}, {"packet": 3}, {"ip": ...}, {"mac": ...}: something that
a reader can select. A row of the table has a template for each language, in the order of
`languages`, with the plural form that fits the number; what stands in a brace of it, format and
all, is the name of a value, which is formatted already: a page needs to know no formats.
"""

from __future__ import annotations

import string
from collections.abc import Collection, Sequence
from typing import Any

from hoplab.report.language import Language
from hoplab.report.sentence_parts import packets_of, typed
from hoplab.sentences import Listing, Sentence, Together

Text = str | list[Any] | dict[str, Any]


class Texts:
    """Takes in sentences; `templates` is the table of a scene. nodes: the names of the lab's."""

    def __init__(self, languages: Sequence[Language], nodes: Collection[str]) -> None:
        self.languages = languages
        self.templates: list[list[str]] = []
        self._nodes = nodes
        self._places: dict[tuple[str, ...], int] = {}
        self._rows: dict[tuple[str, str, int], tuple[int, list[tuple[str, str, str]]]] = {}

    def __call__(self, text: str) -> Text:
        """A text as data."""
        if isinstance(text, Sentence):
            place, braces = self._row(text)
            if not braces:
                return [place]
            packets = packets_of(text.template) | packets_of(text.plural)
            values = {
                brace: {"packet": text.values[name]}
                if name in packets and isinstance(text.values[name], int)
                else self._value(text.values[name], spec)
                for brace, name, spec in braces
            }
            return [place, values]
        if isinstance(text, Listing):
            return {"list": [self._value(item, "") for item in text.items]}
        if isinstance(text, Together):
            return {"row": [self(part) for part in text.parts]}
        return str(text)

    def _row(self, text: Sentence) -> tuple[int, list[tuple[str, str, str]]]:
        """The place of a sentence's templates, and their braces: as written, name, format."""
        key = (text.template, text.plural, text.n if text.plural else 0)
        known = self._rows.get(key)
        if known is not None:
            return known
        row = tuple(
            language.template(text) or self.languages[0].template(text)
            for language in self.languages
        )
        place = self._places.get(row)
        if place is None:
            place = self._places[row] = len(self.templates)
            self.templates.append(list(row))
        braces: dict[str, tuple[str, str, str]] = {}
        for template in row:
            for _, name, spec, _ in string.Formatter().parse(template):
                if name is not None:
                    written = f"{name}:{spec}" if spec else name
                    braces[written] = (written, name, spec or "")
        made = place, list(braces.values())
        if len(self._rows) < 100_000:  # a number in a plural makes a key of its own
            self._rows[key] = made
        return made

    def _value(self, value: Any, spec: str) -> Any:
        if isinstance(value, Sentence | Listing | Together):
            return self(value)
        if isinstance(value, str) and not spec:
            kind = typed(value, self._nodes)
            return kind if isinstance(kind, dict) else value
        return format(value, spec)
