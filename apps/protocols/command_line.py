# SPDX-License-Identifier: Apache-2.0
"""A program's command line and its --help, in its user's language.

The cast
    `Parser`      argparse's, with sentences made by `say` for description, help and exit codes
    `bad_value`   what an option's type raises, from a sentence

argparse takes its own words ("usage:", "expected one argument") from two functions of gettext that
stand in its module. They would look into a catalogue of Python's, which no Python brings along;
here they look into that of these programs. In English argparse is left as it is.
"""

from __future__ import annotations

import argparse
import gettext
import re
from typing import Any

from protocols.language import Sentence, is_english, say, spoken, width

HEADING = say("%(heading)s:")
# Those that a user of these programs can meet, so that the catalogues have them.
WORDS = (
    HEADING,
    say("usage: "),
    say("positional arguments"),
    say("options"),
    say("show this help message and exit"),
    say("%(prog)s: error: %(message)s\n"),
    say("argument %(argument_name)s: %(message)s"),
    say("the following arguments are required: %s"),
    say("unrecognized arguments: %s"),
    say("expected one argument"),
    say("expected at least one argument"),
    say("ambiguous option: %(option)s could match %(matches)s"),
    say("invalid choice: %(value)r (choose from %(choices)s)"),
)
# What no line is broken inside of: a word, or a letter of Chinese, with the marks beside it.
PIECE = re.compile("[（“]?(?:[!-~]+|.)[，。；：、）？”]*")  # noqa: RUF001


class Parser(argparse.ArgumentParser):
    """A command line. examples: lines to type, the same in every language."""

    def __init__(self, prog: str, description: str, examples: str, exit_codes: str) -> None:
        module: Any = argparse
        module._ = gettext.gettext if is_english() else _word
        module.ngettext = gettext.ngettext if is_english() else _words
        heading = spoken(say("examples:"))
        super().__init__(
            prog=prog,
            description=spoken(description),
            epilog=f"{heading}\n{examples}\n\n{spoken(exit_codes)}",
            formatter_class=Formatter,
        )

    def add_argument(self, *names: Any, **settings: Any) -> argparse.Action:
        """An option whose help is in the user's language."""
        if isinstance(settings.get("help"), Sentence):
            settings["help"] = spoken(settings["help"])
        return super().add_argument(*names, **settings)


class Formatter(argparse.RawDescriptionHelpFormatter):
    """Headings in the user's language, and lines of Chinese, which has no blanks to break at."""

    def start_section(self, heading: str | None) -> None:
        super().start_section(heading)
        self._headings = [*getattr(self, "_headings", []), heading or ""]

    def format_help(self) -> str:
        """Before Python 3.13 argparse writes the colon behind a heading itself."""
        text = super().format_help()
        for heading in () if is_english() else getattr(self, "_headings", ()):
            text = text.replace(f"{heading}:\n", spoken(HEADING) % {"heading": heading} + "\n", 1)
        return text

    def _split_lines(self, text: str, width: int) -> list[str]:
        return super()._split_lines(text, width) if is_english() else list(broken(text, width))


def broken(text: str, columns: int) -> list[str]:
    """Lines of at most so many columns. A word of Latin letters stays whole, and no line begins
    with a mark that belongs to the one before."""
    pieces = PIECE.findall(text)
    lines = [""]
    for piece in pieces:
        if width(lines[-1] + piece) > columns and lines[-1]:
            lines.append("")
        lines[-1] += piece if lines[-1] else piece.lstrip()
    return [line.rstrip() for line in lines]


def bad_value(sentence: str) -> argparse.ArgumentTypeError:
    """The error for what is no value of an option."""
    return argparse.ArgumentTypeError(spoken(sentence))


def _word(message: str | None) -> str | None:
    """None stands for what nobody described."""
    return None if message is None else spoken(say(message))


def _words(singular: str, plural: str, n: int) -> str | None:
    return _word(singular if n == 1 else plural)
