# SPDX-License-Identifier: Apache-2.0
"""Names that somebody may have meant who wrote another one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from hoplab.sentences import listed, say, term, together


def nearest(word: str, names: Iterable[str]) -> str:
    """The name that is like it, "" if none is."""
    return next(iter(difflib.get_close_matches(word, list(names), n=1)), "")


def did_you_mean(word: str, names: Iterable[str]) -> str:
    """'did you mean client?' where a name is near, else ""."""
    name = nearest(word, names)
    return say("did you mean {name}?", name=name) if name else ""


def meant(word: str, names: Iterable[str], most: int = 40) -> str:
    """The same, and which names there are."""
    every = list(names)
    if not every:
        return term("it has none")
    return together(
        did_you_mean(word, every), say("it has: {names}", names=listed(every, most=most))
    )
