# SPDX-License-Identifier: Apache-2.0
"""Text from the wire, made safe to print.

What lives here: what every text goes through that some machine sent. What must not: what it means.
"""

from __future__ import annotations


def clean(text: str, limit: int = 120) -> str:
    """Text from the wire, safe to print: no control characters, and not endless."""
    if len(text) <= limit and text.isprintable():
        return text
    out = "".join(char if char.isprintable() else "?" for char in text[: limit + 1])
    return out[: limit - 1] + "…" if len(out) > limit else out
