# SPDX-License-Identifier: Apache-2.0
"""From a line of the filter language to a tree.

What lives here: words, brackets, and what binds how. What must not: packets.

    either = both {"or" both}
    both   = single {["and"] single}
    single = "not" single | "(" either ")" | FIELD SIGN VALUE | RELATION VALUE | WORD | "TEXT"
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from hoplab.errors import Exit, LabError
from hoplab.packet_filter.vocabulary import FIELDS, NUMBER, READINGS, RELATIONS
from hoplab.sentences import say

DEEPEST = 100  # brackets and nots within each other
_TOKEN = re.compile(
    r'"([^"]*)"|(<=|>=|==|!=|&&|\|\||[()<>!=])|((?:(?!&&|\|\|)[^\s()<>!="])+)|(")'
)
_JOINING = {"&&": "and", "||": "or", "!": "not"}
_OPERATORS = ("and", "or", "not")
_SIGNS = ("==", "=", "!=", "<", ">", "<=", ">=")
_PUNCTUATION = re.compile(r"[()<>=!]+")
_NUMBER = re.compile(NUMBER)


class FilterError(LabError):
    """A line that means nothing. word: the one that cannot stand where it stands."""

    def __init__(self, word: str) -> None:
        super().__init__(
            say("{word} cannot stand there", word=word),
            say("docs/filter.md has the words of a filter, such as: tcp from client via r1"),
            Exit.BAD_INPUT,
        )
        self.word = word


@dataclass(frozen=True)
class Either:
    """At least one of its parts is true."""

    parts: tuple[Tree, ...]


@dataclass(frozen=True)
class Both:
    """All of its parts are true; without any part it is true of every packet."""

    parts: tuple[Tree, ...]


@dataclass(frozen=True)
class Not:
    """Its part is not true."""

    part: Tree


@dataclass(frozen=True)
class Compared:
    """A reading beside a value, a number where the reading is one."""

    reading: str
    sign: str
    value: str | float


@dataclass(frozen=True)
class Related:
    """A relation and what it is to."""

    relation: str
    value: str


@dataclass(frozen=True)
class Word:
    """A word that stands alone."""

    text: str


@dataclass(frozen=True)
class Title:
    """Words that are looked for in the packet's title."""

    text: str


Tree = Either | Both | Not | Compared | Related | Word | Title


@dataclass(frozen=True)
class _Token:
    """text: as it is understood. quoted: it stood between quotes and is nothing but text."""

    text: str
    quoted: bool = False

    def is_word(self, *words: str) -> bool:
        return not self.quoted and self.text in words

    @property
    def punctuation(self) -> bool:
        return not self.quoted and _PUNCTUATION.fullmatch(self.text) is not None


def parse(text: str) -> Tree:
    """The tree of a line; of an empty one that which is true of every packet. Raises
    FilterError."""
    tokens = _tokens(text)
    if not tokens:
        return Both(())
    parser = _Parser(tokens)
    tree = parser.either()
    if parser.at < len(tokens):
        raise FilterError(tokens[parser.at].text)
    return tree


def _tokens(text: str) -> list[_Token]:
    tokens = []
    for match in _TOKEN.finditer(text):
        quoted, sign, word, unclosed = match.groups()
        if unclosed:
            raise FilterError(unclosed)
        if quoted is not None:
            tokens.append(_Token(quoted, quoted=True))
        elif sign:
            tokens.append(_Token(_JOINING.get(sign, sign)))
        else:
            tokens.append(_Token(word.lower() if word.lower() in _OPERATORS else word))
    return tokens


class _Parser:
    def __init__(self, tokens: list[_Token]) -> None:
        self.tokens, self.at, self._depth = tokens, 0, 0

    def _next_is(self, *words: str) -> bool:
        return self.at < len(self.tokens) and self.tokens[self.at].is_word(*words)

    def either(self) -> Tree:
        parts = [self._both()]
        while self._next_is("or"):
            self.at += 1
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else Either(tuple(parts))

    def _both(self) -> Tree:
        parts = [self._single()]
        while True:
            if self._next_is("and"):
                self.at += 1
            elif self.at >= len(self.tokens) or self._next_is("or", ")"):
                break
            parts.append(self._single())
        return parts[0] if len(parts) == 1 else Both(tuple(parts))

    def _single(self) -> Tree:
        if self.at >= len(self.tokens):
            raise FilterError("…")
        token = self.tokens[self.at]
        self.at += 1
        if token.quoted:
            return Title(token.text)
        if token.text == "not":
            return Not(self._deeper(self._single, "not"))
        if token.text == "(":
            part = self._deeper(self.either, "(")
            if not self._next_is(")"):
                raise FilterError("(")
            self.at += 1
            return part
        name = token.text.lower()
        if name in FIELDS and self._next_is(*_SIGNS):
            return self._compared(FIELDS[name])
        if name in RELATIONS and self.at < len(self.tokens):
            following = self.tokens[self.at]
            if not following.is_word(*_OPERATORS, "(", ")"):
                if following.punctuation:
                    raise FilterError(following.text)
                self.at += 1
                return Related(name, following.text)
        if token.punctuation or token.is_word(*_OPERATORS):
            raise FilterError(token.text)
        return Word(token.text)

    def _deeper(self, read: Callable[[], Tree], word: str) -> Tree:
        self._depth += 1
        if self._depth > DEEPEST:
            raise FilterError(word)
        part = read()
        self._depth -= 1
        return part

    def _compared(self, reading: str) -> Compared:
        sign = self.tokens[self.at].text
        self.at += 1
        if self.at >= len(self.tokens):
            raise FilterError(sign)
        token = self.tokens[self.at]
        self.at += 1
        if not READINGS[reading]:
            if sign not in ("==", "=", "!="):
                raise FilterError(sign)
            return Compared(reading, sign, token.text.lower())
        if _NUMBER.fullmatch(token.text) is None:
            raise FilterError(token.text)
        return Compared(reading, sign, float(token.text))
