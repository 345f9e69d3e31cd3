# SPDX-License-Identifier: Apache-2.0
"""Writes the manual page hoplab(1) from the command line's own parser.

    python scripts/make_man.py [FILE]     (default: stdout)

Nothing is said here that `hoplab --help` does not say: one source, two forms. That is why the page
is made when hoplab is built or installed, and kept nowhere. It is in the classic macros of man(7),
without a date, so that the same code and Python always give the same bytes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))


def escape(text: str) -> str:
    """Text that roff prints as it is: backslashes, dashes to copy, no line that is a macro."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("…", "...").replace("'", "\\(aq")
    return "\n".join("\\&" + line if line.startswith(".") else line for line in text.split("\n"))


def _example(text: str) -> Iterator[str]:
    yield from (".PP", ".nf", ".RS 4", escape(text), ".RE", ".fi")


def _argument(formatter: argparse.HelpFormatter, action: argparse.Action) -> Iterator[str]:
    names = ", ".join(action.option_strings)
    if action.nargs != 0:
        default = action.dest.upper() if names else action.dest
        value = formatter._format_args(action, default)
        names = f"{names} {value}".strip()
    text = formatter._expand_help(action) if action.help else ""
    if not text and action.choices is not None:
        text = "one of " + ", ".join(map(str, action.choices))
    yield ".TP"
    yield f"\\fB{escape(names)}\\fR"
    yield escape(text) or "\\&"


def _verb(name: str, parser: argparse.ArgumentParser) -> Iterator[str]:
    formatter = parser._get_formatter()
    usage = " ".join(parser.format_usage().split()).removeprefix("usage: ")
    yield f'.SS "{escape(usage)}"'
    yield escape(parser.description or "")
    for action in parser._actions:
        if not isinstance(action, argparse._HelpAction):
            yield from _argument(formatter, action)
    if parser.epilog:
        title, _, examples = parser.epilog.partition("\n")
        yield from (".PP", escape(title.capitalize()))
        yield from _example(examples.strip("\n"))


def page() -> str:
    """The whole page, in man(7)."""
    from hoplab import __version__
    from hoplab.cli.parser import EXIT_CODES, build_parser

    parser = build_parser()
    (verbs,) = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    lines = [
        ".\\\" Written by scripts/make_man.py from the command line's parser; do not edit.",
        f'.TH HOPLAB 1 "" "hoplab {__version__}" "User Commands"',
        ".SH NAME",
        f"hoplab \\- {escape((parser.description or '').rstrip('.'))}",
        ".SH SYNOPSIS",
        ".B hoplab",
        escape("VERB [OPTION ...] [ARGUMENT ...]"),
        ".SH DESCRIPTION",
        "Builds networks of real hosts, real switches and a real controller in namespaces of their",
        "own, and tells from captured frames what happened on every wire. No root is needed.",
        *_example((parser.epilog or "").split("\n\n")[0]),
        ".SH VERBS",
    ]
    for name, verb in verbs.choices.items():
        lines += _verb(name, verb)
    title, _, codes = EXIT_CODES.partition("\n")
    lines += [f".SH {title.rstrip(':').upper()}", *_example(codes)]
    lines += [
        ".SH ENVIRONMENT",
        *(".TP", "\\fBXDG_STATE_HOME\\fR"),
        "Labs and their logs live in \\fIhoplab/labs\\fR below it",
        "(usually \\fI~/.local/state\\fR).",
        *(".TP", "\\fBHOPLAB_DEBUG\\fR"),
        escape("If it is not empty: as --debug."),
        *(".TP", "\\fBHOPLAB_LANG\\fR"),
        "The language to print in, such as zh, where it is not to be that of the locale.",
        *(".TP", "\\fBHOPLAB_PATIENCE\\fR"),
        "How many times longer than usual to wait for a part of a lab (default: 1).",
        ".SH SEE ALSO",
        ".BR mn (1),",
        ".BR ovs\\-vsctl (8),",
        ".BR tshark (1),",
        ".BR namespaces (7)",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    if len(sys.argv) == 1:
        print(page(), end="")
        return
    path = Path(sys.argv[1])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
