# SPDX-License-Identifier: Apache-2.0
"""The words of the command line: verbs in the order of a user's day.

What each verb takes stands in `options_*.py`, what several have in `options.py`; each names the
module `verbs_*` that has its function, as `module:verb`. Texts are templates, translated when a
parser is built or its help is shown; argparse's own words are in the catalogue too
(`cli/argparse_words.py`).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any

from hoplab import __version__
from hoplab.cli import (
    argparse_words,
    options_changes,
    options_class,
    options_labs,
    options_plans,
    options_sheets,
    options_traces,
    options_web,
)
from hoplab.cli.options import Formatter, Verb, add_lang, examples_text
from hoplab.cli.output import tr
from hoplab.errors import Exit, LabError
from hoplab.nearest import did_you_mean
from hoplab.report.cells import cells
from hoplab.report.language import languages
from hoplab.sentences import say, term, together

EXIT_CODES = term("""exit codes:
  0 done   1 it did not succeed   2 wrong usage   3 a file of yours is wrong
  4 no such lab, host or file   5 the name is taken   6 refused (hoplab doctor)
  7 the lab died   8 disk full   130 interrupted   visit: as 0 and 1.
  exec, shell, run, mn: the command's own code.""")

# The verbs by the user's day: what somebody wants to do, the verbs for it, and what they are about.
GROUPS: tuple[tuple[str, tuple[str, ...], str], ...] = (
    (term("look"), ("doctor", "ls", "link", "table", "path"),
     term("machine, labs, cables, tables")),
    (term("run"), ("up", "down", "exec", "shell", "pingall", "run", "mn"),
     term("labs, and commands in them")),
    (term("see"), ("visit", "trace", "open", "web", "tell", "wireshark"),
     term("every frame of what you do, told")),
    (term("change"), ("swap", "link", "add", "remove", "set", "apply"),
     term("what a lab is, while it runs")),
    (term("teach"), ("lab", "class", "break"),
     term("sheets, courses, faults to find")),
    (term("keep"), ("save", "report", "find", "capture", "completion"),
     term("labs, runs and frames as files")),
)  # fmt: skip

# What adds each verb's words, in the order of the long list.
_ADDERS: dict[str, Callable[[Any], object]] = {
    "doctor": options_labs.add_doctor,
    "up": options_labs.add_up,
    "ls": options_labs.add_ls,
    "exec": options_labs.add_exec,
    "shell": options_labs.add_shell,
    "swap": options_labs.add_swap,
    "table": options_labs.add_table,
    "link": options_changes.add_link,
    "add": options_changes.add_add,
    "remove": options_changes.add_remove,
    "set": options_changes.add_set,
    "lab": options_sheets.add_lab,
    "class": options_class.add_class,
    "break": options_changes.add_break,
    "save": options_plans.add_save,
    "apply": options_plans.add_apply,
    "visit": options_traces.add_visit,
    "trace": options_traces.add_trace,
    "open": options_traces.add_open,
    "web": options_web.add_web,
    "report": options_traces.add_report,
    "tell": options_traces.add_tell,
    "find": options_traces.add_find,
    "capture": options_traces.add_capture,
    "wireshark": options_traces.add_wireshark,
    "run": options_labs.add_run_and_mn,
    "mn": options_labs.add_run_and_mn,
    "pingall": options_labs.add_pingall,
    "path": options_labs.add_path,
    "down": options_labs.add_down,
    "completion": options_labs.add_completion,
}


class _Overview(Formatter):
    """Verbs in groups, a line each, instead of a line for every verb: a screen, not two."""

    def add_argument(self, action: argparse.Action) -> None:
        if not isinstance(action, argparse._SubParsersAction):
            super().add_argument(action)
            return
        rows = [[f"  {tr(name)}", " ".join(verbs), tr(about)] for name, verbs, about in GROUPS]
        grouped = {verb for _, verbs, _ in GROUPS for verb in verbs}
        for each in action._choices_actions:  # what nobody has put into a group is not hidden
            if each.dest not in grouped:
                rows.append(["", each.dest, tr(each.help or "")])
        widths = [max(cells(row[place]) for row in rows) for place in (0, 1)]
        lines = [
            f"{name}{' ' * (widths[0] - cells(name))}  {verbs}{' ' * (widths[1] - cells(verbs))}"
            f"  {about}\n"
            for name, verbs, about in rows
        ]
        self._add_item("".join, [lines])


class _Words(argparse.ArgumentParser):
    """The words behind `hoplab`. A verb that there is not is told with the one that is meant."""

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if isinstance(action, argparse._SubParsersAction) and value not in action.choices:
            raise LabError(
                say("hoplab has no verb {verb}", verb=value),
                together(
                    did_you_mean(value, action.choices),
                    say("{command} lists them", command="hoplab --help"),
                ),
                Exit.USAGE,
            )
        super()._check_value(action, value)


def build_parser(verb: str | None = None) -> argparse.ArgumentParser:
    """The whole command line, with its help in the language that is spoken now. verb: of all verbs
    this one alone, if it is one: to add the words of all takes longer than many a verb does."""
    argparse_words.translate()
    start = [
        ("hoplab visit            ", term("fetch a page and see every frame of it")),
        ("hoplab up switch && hoplab trace h1 -- ping -c 1 10.0.0.2", ""),
    ]
    parser = _Words(
        prog="hoplab",
        description=tr(term("A network lab that follows one real packet across every hop.")),
        epilog="\n".join([examples_text(term("start here:"), start), tr(EXIT_CODES)]),
        formatter_class=_Overview,
    )
    parser.add_argument(
        "--version",
        action="version",
        version=f"hoplab {__version__}",
        help=term("show program's version number and exit"),
    )
    add_lang(parser)
    verbs = parser.add_subparsers(
        title=term("verbs (hoplab VERB --help says more)"), metavar="VERB", required=True,
        parser_class=Verb,
    )  # fmt: skip
    adders = [_ADDERS[verb]] if verb in _ADDERS else dict.fromkeys(_ADDERS.values())
    for add in adders:
        add(verbs)
    return parser


def verb_asked_for(argv: Sequence[str]) -> str | None:
    """The first word that is neither an option of all verbs nor such an option's value: a verb, or
    what somebody took for one. None where the words ask for no verb, or for help before it."""
    words = iter(argv)
    for word in words:
        if word == "--lang":
            next(words, None)
        elif not word.startswith("--lang="):
            return None if word.startswith("-") else word
    return None


def language_asked_for(argv: Sequence[str]) -> str | None:
    """The value of --lang among words that are not parsed yet: --help and what is said of wrong
    words come before the end of parsing. A value that is none is left for the parser to tell."""
    for place, word in enumerate(argv):
        option, equals, value = word.partition("=")
        if word == "--":
            break
        if option == "--lang":
            chosen = value if equals else "".join(argv[place + 1 : place + 2])
            return chosen if chosen in languages() else None
    return None
