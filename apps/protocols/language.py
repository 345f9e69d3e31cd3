# SPDX-License-Identifier: Apache-2.0
"""What a program prints, in its user's language.

The cast
    `say`      a sentence: its English template, and the values in it
    `listed`   several of these, or names, in a row
    `spoken`   the same in the language of HOPLAB_LANG, LC_ALL, LC_MESSAGES or LANG
    `translated`   the same where it is not for a terminal; `language` is that language's code
    `in_words` what the system or OpenSSL says, as a sentence if it is a common one
    `padded`   text made as wide as a column of a table
    `folder`   where the catalogues are: locale/LANGUAGE/LC_MESSAGES/apps.po

A sentence is English text, and can be used as such. It also knows how it was made, so another
language looks its template up in a catalogue and fills in the same values. What a catalogue lacks
is printed in English. `make messages` compiles apps.po to apps.mo, which is what Python reads.

    say("{host} is an address", host="10.0.0.1")
"""

from __future__ import annotations

import os
import sys
import unicodedata
from collections.abc import Iterable
from functools import cache

VARIABLES = ("HOPLAB_LANG", "LC_ALL", "LC_MESSAGES", "LANG")  # the first that is set decides
folder = os.path.join(os.path.dirname(os.path.realpath(__file__)), "locale")


class Sentence(str):
    """English text that knows its template and its values; these may be sentences, too."""

    template: str
    values: dict[str, object]


class Listing(Sentence):
    """Items with commas between them."""

    items: tuple[str, ...]


def say(template: str, /, **values: object) -> Sentence:
    """A sentence from a template as `str.format` takes it, with named values. Literals alone can
    be found by the tool that fills the catalogues."""
    sentence = Sentence(template.format_map(values))
    sentence.template, sentence.values = template, values
    return sentence


def listed(items: Iterable[str]) -> Listing:
    """Names, or sentences, in a row."""
    items = tuple(items)
    listing = Listing(", ".join(items))
    listing.items = items
    return listing


def spoken(text: str) -> str:
    """A sentence in the user's language; other text, and what no catalogue has, as it is."""
    words = translated(text)
    try:
        words.encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return str(text)  # the terminal lacks the letters
    return words


def translated(text: str) -> str:
    """A sentence in the user's language, whatever letters that takes."""
    if isinstance(text, Listing):
        comma = translated(say("{first}, {second}", first="", second=""))
        return comma.join(map(translated, text.items))
    if not isinstance(text, Sentence):
        return str(text)
    values = {
        name: translated(value) if isinstance(value, str) else value
        for name, value in text.values.items()
    }
    return _template(text.template).format_map(values)


def language() -> str:
    """The code of the language that texts are in: what pages name in `lang`."""
    code = "" if is_english() else _locale().partition(".")[0].partition("_")[0]
    return code if os.path.isdir(os.path.join(folder, code)) and code else "en"


def is_english() -> bool:
    """Whether the user's language is English, or none is set."""
    locale = _locale()
    return not locale or locale.startswith(("C.", "en")) or locale in ("C", "POSIX")


def _locale() -> str:
    return next(filter(None, map(os.environ.get, VARIABLES)), "")


@cache
def _template(english: str) -> str:
    """The template in the user's language."""
    if is_english():
        return english
    import gettext  # imported here, since most programs speak English

    # For zh_CN.UTF-8 it looks for that, for zh_CN and for zh.
    names = [_locale().replace("-", "_")]
    return gettext.translation("apps", folder, names, fallback=True).gettext(english)


# What the system and OpenSSL say most often, so that it can be said in other languages.
REASONS = (
    say("Address already in use"),
    say("Broken pipe"),
    say("Cannot assign requested address"),
    say("Connection refused"),
    say("Connection reset by peer"),
    say("Connection timed out"),
    say("Is a directory"),
    say("Name or service not known"),
    say("No route to host"),
    say("No space left on device"),
    say("No such file or directory"),
    say("Not a directory"),
    say("Permission denied"),
    say("Read-only file system"),
    say("Transport endpoint is not connected"),
    say("self-signed certificate"),
    say("self-signed certificate in certificate chain"),
    say("unable to get local issuer certificate"),
    say("wrong version number"),
    say("record layer failure"),
    say("unexpected eof while reading"),
)


def in_words(reason: object) -> str:
    """What the system or OpenSSL says, or what an OSError says: a sentence, if it is a common
    one."""
    if isinstance(reason, OSError):
        reason = reason.strerror or str(reason)
    text = str(reason)
    return next((sentence for sentence in REASONS if sentence == text), text)


def padded(text: str, columns: int) -> str:
    """TEXT with blanks behind it, so wide that the next column begins where it does elsewhere."""
    return text + " " * (columns - width(text))


def width(text: str) -> int:
    """In columns of a terminal: most letters take one, Chinese ones two."""
    return sum(1 + (unicodedata.east_asian_width(letter) in "WF") for letter in text)
