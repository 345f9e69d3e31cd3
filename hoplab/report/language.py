# SPDX-License-Identifier: Apache-2.0
"""What a person reads, in the reader's language.

Sentences know their template (`hoplab.sentences`). It is looked up in a gettext catalogue,
`hoplab/locale/LANGUAGE/LC_MESSAGES/hoplab.po`, and filled in with the same values, which may be
sentences themselves. Names, addresses and what a program printed have no template and are the same
in every language. A sentence that the catalogue lacks is given in English rather than left out;
`Language.unknown` collects those, and plain text that reads like a sentence: the tests insist that
the recorded runs leave none.
"""

from __future__ import annotations

import gettext
import re
from collections.abc import Mapping
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from hoplab.sentences import Listing, Sentence, Together, say

DOMAIN = "hoplab"
LOCALE = Path(__file__).resolve().parents[1] / "locale"

# Names, addresses and codes are no sentences: one word with a digit, a dot or a colon, or all
# capitals; and lists of such words.
_DATA = re.compile(r"(?:\S*[\d.:]\S*|[A-Z]+)(?:, (?:\S*[\d.:]\S*|[A-Z]+))*")


class _Missing(gettext.NullTranslations):
    """Asked for what a catalogue lacks: nothing stands for it."""

    def gettext(self, message: str) -> str:
        return ""

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        return ""


class Language:
    """Translates by call: `tr(say("{node} is up", node="h1"))`. English is the identity.

    unknown: what was asked for and is in no catalogue; it was given in English.
    """

    def __init__(self, code: str, translations: gettext.NullTranslations | None = None) -> None:
        self.code = code
        self.unknown: set[str] = set()
        self._translations = translations or gettext.NullTranslations()
        self._translations.add_fallback(_Missing())

    def __call__(self, text: str) -> str:
        """The text in this language; as it is where it has no template."""
        if self.code == "en" or not text:
            return text
        if isinstance(text, Sentence):
            return self._filled(text)
        if isinstance(text, Listing):
            return self.comma.join(map(self.value, text.items))
        if isinstance(text, Together):
            return self.joint.join(map(self, text.parts))
        return self._noted(text)

    @cached_property
    def comma(self) -> str:
        """What stands between the items of a list."""
        return self(say("{first}, {second}", first="", second=""))

    @cached_property
    def joint(self) -> str:
        """What stands between a sentence and the next one: in Chinese, nothing."""
        return self(say("{first} {second}", first="", second=""))

    def template(self, sentence: Sentence) -> str:
        """The sentence's template in this language, "" if its catalogue lacks it."""
        if self.code == "en":
            plural = sentence.plural and sentence.n != 1
            return sentence.plural if plural else sentence.template
        if sentence.plural:
            return self._translations.ngettext(sentence.template, sentence.plural, sentence.n)
        return self._translations.gettext(sentence.template)

    def _filled(self, sentence: Sentence) -> str:
        """The sentence's template in this language, with its values."""
        template = self.template(sentence)
        if not template:
            return self._noted(str(sentence))
        values = {name: self.value(value) for name, value in sentence.values.items()}
        if not values:
            return template
        return _joined(template, values).format_map(values)

    def value(self, value: Any) -> Any:
        """What is a sentence in this language; names, addresses and numbers as they are."""
        return self(value) if isinstance(value, Sentence | Listing | Together) else value

    def _noted(self, text: str) -> str:
        """The text as it is, remembered if it is more than names and numbers."""
        if re.search("[A-Za-z]{2}", text) and not _DATA.fullmatch(text):
            self.unknown.add(text)
        return text


# Chinese characters, and the full-width marks that stand among them.
_HAN, _MARKS = "\u4e00-\u9fff", "，。；：！？、（）“”《》"  # noqa: RUF001
_HAN_OR_MARK = re.compile(f"[{_HAN}{_MARKS}]")


def _joined(template: str, values: Mapping[str, Any]) -> str:
    """The template without the spaces that these values do not want beside them: a space stands
    between a Chinese character and a Latin letter or a digit, and never beside a full-width mark.
    """
    for name, value in values.items():
        if not isinstance(value, str) or not value:
            continue
        field = re.escape(f"{{{name}}}")
        if _HAN_OR_MARK.match(value[-1]):
            behind = " (?! )" if value[-1] in _MARKS else f" (?=[{_HAN}{_MARKS}])"
            template = re.sub(f"({field}){behind}", r"\1", template)
        if _HAN_OR_MARK.match(value[0]):
            before = "(?<! ) " if value[0] in _MARKS else f"(?<=[{_HAN}{_MARKS}]) "
            template = re.sub(f"{before}({field})", r"\1", template)
    return template


def arrows(text: str) -> str:
    """Paths with real arrows: stories are told in ASCII."""
    return text.replace(" -> ", " → ")


ENGLISH = Language("en")


def languages() -> tuple[str, ...]:
    """The codes of the languages that there are: English, and every one with a catalogue."""
    return _languages_in(LOCALE)


@cache
def _languages_in(folder: Path) -> tuple[str, ...]:
    return ("en", *sorted(path.parts[-3] for path in folder.glob(f"*/LC_MESSAGES/{DOMAIN}.mo")))


@cache
def language(code: str) -> Language:
    """The language of a code that `languages` names."""
    return ENGLISH if code == "en" else read_language(code)


def read_language(code: str) -> Language:
    """The same, read anew: nothing has been asked of it yet."""
    return Language(code, gettext.translation(DOMAIN, LOCALE, [code], fallback=True))


def code_from(environment: Mapping[str, str]) -> str:
    """The code that HOPLAB_LANG or a user's locale asks for (POSIX: LC_ALL, LC_MESSAGES, LANG,
    first set wins): zh_CN if there is one, else zh, else English."""
    values = map(environment.get, ("HOPLAB_LANG", "LC_ALL", "LC_MESSAGES", "LANG"))
    locale = next((value for value in values if value), "")
    name = re.split("[.@]", locale)[0].replace("-", "_")
    codes = {code.lower(): code for code in languages()}
    return codes.get(name.lower()) or codes.get(name.split("_")[0].lower()) or "en"
