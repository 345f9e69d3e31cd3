# SPDX-License-Identifier: Apache-2.0
"""argparse's own words ("usage:", "the following arguments are required") in the user's language.

What lives here: the templates that argparse hands to gettext, and the way they are looked up. What
must not: hoplab's own sentences.

argparse takes its words from two functions of gettext that stand in its module. They would look
into a catalogue of Python's, which no Python brings along; here they look into ours. In English
argparse is left as it is.
"""

from __future__ import annotations

import argparse
import gettext
from typing import Any

from hoplab.cli.output import is_english, tr
from hoplab.sentences import Sentence, term

HEADING = term("%(heading)s:")
USAGE = term("usage: ")

# Those that a user of `hoplab` can meet, as in Python 3.10 to 3.14: what a version does not say is
# not looked up.
WORDS = (
    USAGE,
    term("positional arguments"),
    term("options"),
    HEADING,
    term("show this help message and exit"),
    term("%(prog)s: error: %(message)s\n"),
    term("argument %(argument_name)s: %(message)s"),
    term("the following arguments are required: %s"),
    term("unrecognized arguments: %s"),
    term("not allowed with argument %s"),
    term("ignored explicit argument %r"),
    term("one of the arguments %s is required"),
    term("expected one argument"),
    term("expected at most one argument"),
    term("expected at least one argument"),
    term("ambiguous option: %(option)s could match %(matches)s"),
    term("unexpected option string: %s"),
    term("invalid %(type)s value: %(value)r"),
    term("invalid choice: %(value)r (choose from %(choices)s)"),
    term("invalid choice: %(value)r, maybe you meant %(closest)r? (choose from %(choices)s)"),
)


def heading(text: str) -> str:
    """A translated heading with what stands behind one."""
    return tr(HEADING) % {"heading": text}


def translate() -> None:
    """Let argparse speak the language that `output` speaks."""
    module: Any = argparse
    module._ = gettext.gettext if is_english() else _word
    module.ngettext = gettext.ngettext if is_english() else _words


def _word(message: str | None) -> str | None:
    """None stands for what nobody described."""
    return None if message is None else tr(Sentence(message, message, {}))


def _words(singular: str, plural: str, n: int) -> str | None:
    return _word(singular if n == 1 else plural)
