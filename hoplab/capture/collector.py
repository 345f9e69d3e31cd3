# SPDX-License-Identifier: Apache-2.0
"""Python's cycle collector, held while a great many objects are made."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


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
