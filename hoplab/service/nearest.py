# SPDX-License-Identifier: Apache-2.0
"""Names that somebody may have meant who wrote another one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from hoplab.sentences import listed, say, together


def meant(word: str, names: Iterable[str], most: int = 40) -> str:
    """'did you mean client?' where a name is near, and which there are."""
    every = list(names)
    close = difflib.get_close_matches(word, every, n=1)
    return together(
        say("did you mean {name}?", name=close[0]) if close else "",
        say("it has: {names}", names=listed(every, most=most)),
    )
