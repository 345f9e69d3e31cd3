# SPDX-License-Identifier: Apache-2.0
"""What the command prints: progress on stderr, results on stdout, errors as sentences."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from typing import Any

from hoplab.errors import LabError

SLOW_S = 2.0  # from here on a silent command worries people


class Progress:
    """The step at work, on stderr. In a terminal it is one line that is overwritten and goes away
    at the end; elsewhere a step is printed once it has run for two seconds."""

    def __init__(self, quiet: bool = False) -> None:
        self._quiet = quiet
        self._live = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._began = time.monotonic()
        self._step = ""

    def __call__(self, step: str) -> None:
        if self._quiet:
            return
        now = time.monotonic()
        if self._live:
            sys.stderr.write(f"\r\x1b[K… {step} ")
            sys.stderr.flush()
        elif self._step and now - self._began > SLOW_S:
            sys.stderr.write(f"… {self._step} ({now - self._began:.1f} s)\n")
        self._step, self._began = step, now

    def done(self) -> None:
        """Take the line away."""
        if self._live and self._step and not self._quiet:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
        self._step = ""

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self.done()


def print_json(data: Any) -> None:
    """Plain data as indented JSON."""
    print(json.dumps(data, indent=2, ensure_ascii=False))


def print_error(error: LabError, *, as_json: bool) -> None:
    """A failure: a sentence, what to do next, and details if there are any."""
    if as_json:
        print_json(error.as_dict())
        return
    text = f"hoplab: {error.message}\n"
    if error.detail:
        text += "".join(f"    | {line}\n" for line in error.detail.splitlines())
    if error.hint:
        text += f"  Next: {error.hint}\n"
    sys.stderr.write(text)


def table(rows: list[list[str]], head: list[str]) -> str:
    """Columns wide enough for what is in them, the last one free."""
    every = [head, *rows]
    widths = [max(len(row[i]) for row in every) for i in range(len(head) - 1)]
    lines = []
    for row in every:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        lines.append("  ".join([*cells, row[-1]]).rstrip())
    return "\n".join(lines)


def listed(what: str, commands: list[str]) -> str:
    """Commands to try, in one line if it fits, else one a line."""
    line = f"{what} {'; '.join(commands)}"
    if len(line) <= terminal_width():
        return line
    return "\n      ".join([what, *commands])


def colour_wanted() -> bool:
    """Colour on a terminal, unless the user says no (no-color.org)."""
    return (
        sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    )


def terminal_width() -> int:
    """Columns to fill: the terminal's, or 100 for a pipe."""
    if not sys.stdout.isatty():
        wish = os.environ.get("COLUMNS", "")
        return int(wish) if re.fullmatch("[1-9][0-9]{0,3}", wish) else 100
    return max(60, os.get_terminal_size(1).columns)


def is_utf8() -> bool:
    """Whether stdout takes arrows and lines."""
    return (sys.stdout.encoding or "").lower().replace("-", "") in ("utf8", "utf8sig")
