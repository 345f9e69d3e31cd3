# SPDX-License-Identifier: Apache-2.0
"""What varies in a sheet from student to student, and what a student has in its place.

What lives here: the reading of `vary`, the choice by a seed, and its putting in. What must not:
where seeds come from (`hoplab.classroom`), running labs.

    vary:
      "10.0.0.": "10.{a 1-250}.{b 0-250}."        numbers of a range, called a and b
      "0000 . 0000": "{a bits} . {b bits}"        the same numbers, as eight binary digits
      "--seed 59": ["--seed 59", "--seed 63"]     one of these

On the left stands a text as the sheet has it, on the right what it becomes, everywhere in the
sheet and its page. All of them are put in at the same time: what one puts in is no place for
another one. A number or a word is not found within a longer one.

1. A choice is HMAC-SHA256(seed, name of the choice), as a number, modulo how many there are. So
   it is the same on every machine and in every release of Python, and nobody who has not the seed
   can know it.
2. The name of a choice is that of its number, or its text on the left: another entry of `vary`
   changes no choice but its own.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hoplab.sentences import say

_NUMBER = re.compile(r"\{([a-z][a-z0-9_]*)(?: (?:(\d+)-(\d+)|(bits)))?\}")


@dataclass(frozen=True)
class Rule:
    """text: as it stands in the sheet. into: what may stand there instead, with numbers in
    braces."""

    text: str
    into: tuple[str, ...]


class NoRule(ValueError):
    """What stands at `vary` cannot be done; its text is a sentence."""


def check(rules: tuple[Rule, ...]) -> None:
    """Raises NoRule for a number that has no range, or two."""
    ranges: dict[str, tuple[int, int]] = {}
    used: set[str] = set()
    for rule in rules:
        for words in rule.into:
            for name, low, high, _ in _NUMBER.findall(words):
                used.add(name)
                if not low:
                    continue
                bounds = (int(low), int(high))
                if bounds[0] > bounds[1] or ranges.setdefault(name, bounds) != bounds:
                    raise NoRule(say("the number {name} has no clear range", name=name))
            if "{" in _NUMBER.sub("", words):
                raise NoRule(say("{words}: a number is {example}", words=words,
                                 example="{name 1-250}"))  # fmt: skip
    for name in sorted(used - set(ranges)):
        raise NoRule(say("the number {name} has no clear range", name=name))


def choose(rules: tuple[Rule, ...], seed: bytes) -> dict[str, str]:
    """What each text becomes under this seed."""
    ranges = {
        name: (int(low), int(high))
        for rule in rules for words in rule.into
        for name, low, high, _ in _NUMBER.findall(words) if low
    }  # fmt: skip
    numbers = {
        name: low + _pick(seed, f"number {name}", high - low + 1)
        for name, (low, high) in ranges.items()
    }

    def as_digits(match: re.Match[str]) -> str:
        number = numbers[match[1]]
        return f"{number:08b}" if match[4] else str(number)

    return {
        rule.text: _NUMBER.sub(
            as_digits, rule.into[_pick(seed, f"text {rule.text}", len(rule.into))]
        )
        for rule in rules
    }


def _pick(seed: bytes, name: str, of: int) -> int:
    digest = hmac.new(seed, name.encode(), hashlib.sha256).digest()
    return int.from_bytes(digest, "big") % of


def put_in(data: Any, values: Mapping[str, str]) -> Any:
    """A sheet's data or text, with these texts changed at any depth, in names and in values."""
    if not values:
        return data
    longest_first = sorted(values, key=len, reverse=True)
    pattern = re.compile("|".join(_as_pattern(text) for text in longest_first))

    def changed(each: Any) -> Any:
        if isinstance(each, str):
            return pattern.sub(lambda match: values[match[0]], each)
        if isinstance(each, dict):
            return {changed(key): changed(value) for key, value in each.items()}
        return [changed(value) for value in each] if isinstance(each, list) else each

    return changed(data)


def _as_pattern(text: str) -> str:
    """The text, not within a longer number or word."""
    before = r"(?<![\w.])" if re.match(r"\w", text) else ""
    after = r"(?!\w)" if re.search(r"\w$", text) else ""
    return before + re.escape(text) + after
