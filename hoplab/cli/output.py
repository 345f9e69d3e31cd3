# SPDX-License-Identifier: Apache-2.0
"""What the command prints: progress on stderr, results on stdout, errors as sentences.

All of it is in one language, chosen once (`speak`) and applied as late as possible (`tr`). Data
(`--json`) is English whatever the language. A catalogue is read for another language alone.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hoplab import sentences
from hoplab.errors import LabError
from hoplab.report.cells import cells, wrap
from hoplab.report.language import ENGLISH, Language, code_from, language
from hoplab.sentences import Listing, Sentence, Together, say, term

if TYPE_CHECKING:
    from hoplab.story.faults import Faults

SLOW_S = 2.0  # from here on a silent command worries people

_language = ENGLISH


def speak(code: str | None = None) -> None:
    """From now on print in this language; None: in that of the user's environment."""
    global _language
    chosen = language(code or code_from(os.environ))
    _language = chosen if _takes(chosen) else ENGLISH


def _takes(language: Language) -> bool:
    """Whether the terminal, or what stands in its place, has the letters of this language."""
    try:
        for stream in (sys.stdout, sys.stderr):
            language(term("no lab is up")).encode(stream.encoding or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def spoken() -> Language:
    """The language that is spoken."""
    return _language


def tr(text: str) -> str:
    """A sentence in the language that is spoken; a name, or what a program said, as it is."""
    made = isinstance(text, Sentence | Listing | Together)
    return _language(text) if made else text


def is_english() -> bool:
    """Whether what `tr` gives is what it was given."""
    return _language is ENGLISH


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
        step = tr(step)
        now = time.monotonic()
        if self._live:
            sys.stderr.write(f"\r\x1b[K… {step} ")
            sys.stderr.flush()
        elif self._step and now - self._began > SLOW_S:
            took = say("{step} ({s:.1f} s)", step=self._step, s=now - self._began)
            sys.stderr.write(f"… {tr(took)}\n")
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


def print_kept(folder: Path) -> None:
    """Where a run is kept now, and how to look at it."""
    files = say(
        "kept in {folder}: capture.pcapng (for Wireshark), trace.json, lab.json",
        folder=str(folder),
    )
    page = shlex.quote(min(os.path.relpath(folder), str(folder), key=len))
    look = say("a page to look at it: hoplab report {folder}", folder=page)
    print(f"  {tr(files)}\n  {tr(look)}")


def print_untold(faults: Faults, folder: str, *, debug: bool) -> None:
    """Which parts of a story or report are missing, and what to do about it: a fault of ours.
    folder: where the run is, "" if it could not be kept."""
    parts = sentences.listed(faults.lines())
    missing: str = say(
        "not told, by a fault of hoplab: {parts}: please report it with that folder (--debug shows "
        "the traceback)",
        parts=parts,
    )
    if folder:
        missing = say(
            "not told, by a fault of hoplab: {parts}; the run is kept in {folder}: please report "
            "it with that folder (--debug shows the traceback)",
            parts=parts,
            folder=folder,
        )
    sys.stderr.write(f"hoplab: {tr(missing)}\n")
    if debug:
        sys.stderr.write("\n".join(fault.trail for fault in faults.all[:20]))


def warn(text: str) -> None:
    """Something beside what was asked for, on stderr."""
    line = say("note: {text}", text=text)
    sys.stderr.write(f"hoplab: {tr(line)}\n")


def print_error(error: LabError, *, as_json: bool) -> None:
    """A failure: a sentence, what to do next, and details if there are any."""
    if as_json:
        print_json(error.as_json())
        return
    text = f"hoplab: {tr(error.message)}\n"
    if error.detail:
        text += "".join(f"    | {line}\n" for line in tr(error.detail).splitlines())
    if error.hint:
        next_step = say("Next: {hint}", hint=error.hint)
        text += f"  {tr(next_step)}\n"
    sys.stderr.write(text)


def table(rows: list[list[str]], head: list[str]) -> str:
    """Columns wide enough for what is in them, the last one free."""
    width_of = width_in_cells()
    every = [[tr(cell) for cell in row] for row in [head, *rows]]
    widths = [max(width_of(row[i]) for row in every) for i in range(len(head) - 1)]
    lines = []
    for row in every:
        filled = [
            cell + " " * (width - width_of(cell)) for cell, width in zip(row, widths, strict=False)
        ]
        lines.append("  ".join([*filled, row[-1]]).rstrip())
    return "\n".join(lines)


def width_in_cells() -> Callable[[str], int]:
    """What says how wide a text is in a terminal: Chinese letters take two cells each."""
    return len if is_english() else cells


def wrapped(head: str, text: str, columns: int) -> list[str]:
    """Lines of a text that begins behind a head, and goes on below its own beginning."""
    indent = " " * width_in_cells()(head)
    if not is_english():
        return wrap(text, columns, initial_indent=head, subsequent_indent=indent)
    return textwrap.wrap(
        head + text,
        columns,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def listed(label: str, commands: list[str]) -> str:
    """A label and commands to try, in one line if it fits, else one a line."""
    space = "" if label.endswith("：") else " "  # noqa: RUF001  a wide colon brings its own
    line = f"{label}{space}{'; '.join(commands)}"
    if width_in_cells()(line) <= terminal_width():
        return line
    return "\n      ".join([label, *commands])


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


def has_display() -> bool:
    """Whether a browser of this user's can show something here."""
    return any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))


def open_in_browser(address: str) -> bool:
    """Shows an address in the user's browser; False where none was found."""
    if not has_display():
        return False
    import webbrowser

    return webbrowser.open(address)
