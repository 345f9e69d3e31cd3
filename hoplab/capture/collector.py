# SPDX-License-Identifier: Apache-2.0
"""Python's cycle collector, held while a great many objects are made."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator

_SELDOM = 200_000  # objects more than before, until it looks for circles; Python itself says 700


@contextlib.contextmanager
def gc_paused() -> Iterator[None]:
    """Holds Python's cycle collector while a great many objects that stay are made.

    It would go through all of them again and again and find nothing; that is a third of the time.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@contextlib.contextmanager
def gc_seldom() -> Iterator[None]:
    """Lets Python's cycle collector look seldom, where objects are made without an end, live for
    seconds, and are no circles: a seventh of the time."""
    before = gc.get_threshold()
    gc.set_threshold(_SELDOM, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
