# SPDX-License-Identifier: Apache-2.0
"""lab.json, the file that says what a lab is: drafted beside the one that holds, then put there.

What lives here: how the file is written, whole or not at all. What must not: what it says
(`lab.py`).
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from pathlib import Path
from typing import Any

from hoplab.errors import cannot_write


def _lines(state: dict[str, Any]) -> str:
    """lab.json, with a line for each node and each interface."""

    def value(item: Any) -> str:
        if isinstance(item, list) and item and isinstance(item[0], dict):
            rows = ",\n  ".join(map(json.dumps, item))
            return f"[\n  {rows}\n ]"
        return json.dumps(item)

    rows = ",\n ".join(f"{json.dumps(key)}: {value(item)}" for key, item in state.items())
    return f"{{\n {rows}\n}}\n"


class StateFile:
    """The lab.json of one lab. written: what it says."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.written: dict[str, Any] = {}
        self._drafts: dict[Path, dict[str, Any]] = {}  # what it may say next, by file

    def draft(self, state: dict[str, Any]) -> Path:
        """The new file, beside the one that holds. Raises LabError, on a full disk too."""
        # Several threads may be at it.
        fresh = self.path.with_suffix(f".new-{threading.get_ident()}")
        try:
            fresh.write_text(_lines(state))
        except OSError as error:
            with contextlib.suppress(OSError):
                fresh.unlink()
            raise cannot_write(error, self.path.parent) from error
        self._drafts[fresh] = state
        return fresh

    def replace(self, draft: Path) -> None:
        """Have lab.json be what was drafted; that takes no room."""
        os.replace(draft, self.path)
        self.written = self._drafts.pop(draft)

    def forget(self, draft: Path) -> None:
        """What was drafted does not come to be."""
        draft.unlink(missing_ok=True)
        self._drafts.pop(draft, None)

    def write(self, state: dict[str, Any]) -> None:
        """Have lab.json say this. Raises LabError, on a full disk too."""
        self.replace(self.draft(state))
