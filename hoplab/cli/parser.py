# SPDX-License-Identifier: Apache-2.0
"""The words of the command line: verbs in the order of a user's day.

What each verb takes stands in `options_*.py`, what several have in `options.py`; each names the
module `verbs_*` that has its function, as `module:verb`. Texts are templates, translated when a
parser is built or its help is shown; argparse's own words are in the catalogue too
(`cli/argparse_words.py`).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from hoplab import __version__
from hoplab.cli import argparse_words, options_changes, options_labs, options_traces
from hoplab.cli.options import Formatter, Verb, add_lang, examples_text
from hoplab.cli.output import tr
from hoplab.report.language import languages
from hoplab.sentences import term

EXIT_CODES = term("""exit codes:
  0 done   1 it did not succeed   2 wrong usage   3 a file of yours is wrong
  4 no such lab, host or file   5 the name is taken   6 this machine refuses (see hoplab doctor)
  7 the lab died   8 disk full   130 interrupted
  visit: as 0 and 1.   exec, shell, run, mn: the command's own code.""")

_VERBS = (
    options_labs.add_doctor,
    options_labs.add_up,
    options_labs.add_ls,
    options_labs.add_exec,
    options_labs.add_shell,
    options_labs.add_swap,
    options_labs.add_table,
    options_changes.add_link,
    options_changes.add_break,
    options_traces.add_visit,
    options_traces.add_trace,
    options_traces.add_open,
    options_traces.add_report,
    options_traces.add_capture,
    options_traces.add_wireshark,
    options_labs.add_run_and_mn,
    options_labs.add_pingall,
    options_labs.add_path,
    options_labs.add_down,
    options_labs.add_completion,
)


def build_parser() -> argparse.ArgumentParser:
    """The whole command line, with its help in the language that is spoken now."""
    argparse_words.translate()
    start = [
        ("hoplab visit            ", term("fetch a page and see every frame of it")),
        ("hoplab up switch && hoplab trace h1 -- ping -c 1 10.0.0.2", ""),
    ]
    parser = argparse.ArgumentParser(
        prog="hoplab",
        description=tr(term("A network lab that follows one real packet across every hop.")),
        epilog="\n".join([examples_text(term("start here:"), start), tr(EXIT_CODES)]),
        formatter_class=Formatter,
    )
    parser.add_argument(
        "--version",
        action="version",
        version=f"hoplab {__version__}",
        help=term("show program's version number and exit"),
    )
    add_lang(parser)
    verbs = parser.add_subparsers(metavar="VERB", required=True, parser_class=Verb)
    for add in _VERBS:
        add(verbs)
    return parser


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
