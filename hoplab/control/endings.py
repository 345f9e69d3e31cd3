# SPDX-License-Identifier: Apache-2.0
"""Why a controller's process ended by itself: what the exit codes of its launcher say.

What lives here: sentences for codes of `ryu_main.py`. What must not: any other exit code, which an
app may end with for reasons of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hoplab.control.ryu_main import NO_APP, NO_EVENTS, NO_LISTENER
from hoplab.sentences import Sentence, say, term


def reason(code: int | None, files: Sequence[Path]) -> Sentence | None:
    """What the code says; None: nothing of its own."""
    if code == NO_EVENTS:
        return term("no class in it handles an OpenFlow event (@set_ev_cls)")
    if code == NO_LISTENER:
        return term("the OpenFlow listener ended (is its port taken?)")
    if code is not None and 0 <= code - NO_APP < len(files):
        file = files[code - NO_APP]
        return say("{file}: no class in it is a ryu.base.app_manager.RyuApp", file=file)
    return None
