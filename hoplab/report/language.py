# SPDX-License-Identifier: Apache-2.0
"""What a person reads, in the reader's language.

Sentences that know their template (`hoplab.sentences`) are looked up in a gettext catalogue,
`hoplab/locale/LANGUAGE/LC_MESSAGES/hoplab.po`, and filled in with the same values. Any other text
is still matched as a finished English sentence:

A story is told in English, once, by `hoplab.story`. A catalogue maps templates of those sentences
to another language's: "{node} asks {other}" to "{node} 询问 {other}". What stands in the place of
a brace is taken over as it is (names, addresses, numbers); `{part*}` is a phrase with a template of
its own. So a sentence is written once, `trace.json` stays the same in every language, and a
sentence without a template is shown in English rather than left out. `Language.unknown` collects
those, and the tests insist that the recorded runs leave none.

Rules of matching:
1. A template must match the whole text. The one with the most fixed letters wins.
2. The names of braces may narrow what they take: see `_TAKES`. Any other takes one character or
   more, as few as possible. What stands in square brackets may be missing: "{n} frame[s]".
3. A trailing "Step 3  " and the like are composed by the layout, not here.
"""

from __future__ import annotations

import gettext
import re
from collections.abc import Mapping
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any

from hoplab.sentences import Listing, Sentence, Together, say

DOMAIN = "hoplab"
LOCALE = Path(__file__).resolve().parents[1] / "locale"

_TAKES = {
    "n": r"[\d,.]+",
    "m": r"[\d,.]+",
    "node": r"\S+",
    "other": r"\S+",
    "third": r"\S+",
    "ip": r"[0-9a-fA-F.:]+",
    "mac": r"[0-9a-f:]{17}",
    "nums": r"\(#[^()]*\)",
    "owner": r" \(\S+\)",
    "icmp": "ICMP(?:v6)?",
    "kind": r"\S+",
    "share": r"<?\d+%",
    "method": r"[A-Z-]+",
    "verb": "send|pass on",
}
_BRACE = re.compile(r"\{(\w+)(\*?)\}")
_OPTIONAL = re.compile(r"\\\[(\w+)\\\]")  # as re.escape writes it
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

    def __init__(
        self,
        code: str,
        catalogue: Mapping[str, str] | None = None,
        translations: gettext.NullTranslations | None = None,
    ) -> None:
        self.code = code
        self.unknown: set[str] = set()
        self._translations = translations or gettext.NullTranslations()
        self._translations.add_fallback(_Missing())
        self._exact: dict[str, str] = {}
        self._templates: list[tuple[re.Pattern[str], str]] = []
        self._known: dict[str, str] = {}
        templates = []
        for english, other in (catalogue or {}).items():
            if "{" in english or "[" in english:
                templates.append((len(_BRACE.sub("", english)), english, other))
            else:
                self._exact[english] = other
        for _, english, other in sorted(templates, key=lambda one: -one[0]):
            self._templates.append((_pattern(english), other))

    def __call__(self, text: str) -> str:
        """The text in this language; as it is where no template fits."""
        if self.code == "en" or not text:
            return text
        if isinstance(text, Sentence):
            return self._filled(text)
        if isinstance(text, Listing):
            return self.comma.join(map(self.value, text.items))
        if isinstance(text, Together):
            return self.joint.join(map(self, text.parts))
        known = self._known.get(text)
        if known is None:
            known = self._find(text)
            if len(self._known) < 100_000:  # titles of a long capture are all different
                self._known[text] = known
        return known

    @cached_property
    def comma(self) -> str:
        """What stands between the items of a list."""
        return self(say("{first}, {second}", first="", second=""))

    @cached_property
    def joint(self) -> str:
        """What stands between a sentence and the next one: in Chinese, nothing."""
        return self(say("{first} {second}", first="", second=""))

    def _filled(self, sentence: Sentence) -> str:
        """The sentence's template in this language, with its values."""
        if sentence.plural:
            template = self._translations.ngettext(sentence.template, sentence.plural, sentence.n)
        else:
            template = self._translations.gettext(sentence.template)
        if not template:
            return self._find(str(sentence))
        values = {name: self.value(value) for name, value in sentence.values.items()}
        return template.format_map(values) if values else template

    def value(self, value: Any) -> Any:
        """What is a sentence in this language; names, addresses and numbers as they are."""
        return self(value) if isinstance(value, Sentence | Listing | Together) else value

    def _find(self, text: str) -> str:
        if text in self._exact:
            return self._exact[text]
        for pattern, other in self._templates:
            match = pattern.fullmatch(text)
            if match is not None:
                return _BRACE.sub(partial(self._part, match), other)
        if re.search("[A-Za-z]{2}", text) and not _DATA.fullmatch(text):
            self.unknown.add(text)
        return text

    def _part(self, match: re.Match[str], brace: re.Match[str]) -> str:
        found = match.group(brace[1])
        if brace[1] == "names":
            return found.replace(", ", self.comma)
        if not brace[2] or (" " not in found and found not in self._exact):
            return found  # a name
        return self(found)


def _pattern(english: str) -> re.Pattern[str]:
    out, at, seen = [], 0, set[str]()
    for brace in _BRACE.finditer(english):
        out.append(_fixed(english[at : brace.start()]))
        name = brace[1]
        if name in seen:
            out.append(f"(?P={name})")
        else:
            takes = _TAKES.get(name.rstrip("0123456789"), ".+?")
            out.append(f"(?P<{name}>{takes})")
            seen.add(name)
        at = brace.end()
    out.append(_fixed(english[at:]))
    return re.compile("".join(out), re.DOTALL)


def _fixed(text: str) -> str:
    return _OPTIONAL.sub(r"(?:\1)?", re.escape(text))


def arrows(text: str) -> str:
    """Paths with real arrows: stories are told in ASCII."""
    return text.replace(" -> ", " → ")


ENGLISH = Language("en")


def languages() -> tuple[str, ...]:
    """The codes of the languages that there are: English, and every one with a catalogue."""
    return ("en", *sorted(path.parts[-3] for path in LOCALE.glob(f"*/LC_MESSAGES/{DOMAIN}.mo")))


@cache
def language(code: str) -> Language:
    """The language of a code that `languages` names."""
    return ENGLISH if code == "en" else read_language(code)


def read_language(code: str) -> Language:
    """The same, read anew: nothing has been asked of it yet."""
    older = Path(__file__).parent / "static" / f"{code}.txt"
    pairs = catalogue(older.read_text(encoding="utf-8")) if older.is_file() else {}
    return Language(code, pairs, gettext.translation(DOMAIN, LOCALE, [code], fallback=True))


def catalogue(text: str) -> dict[str, str]:
    """The pairs of a catalogue: two lines each, English first; empty lines and comments (##)
    between them. A line's leading spaces count."""
    lines = [line for line in text.split("\n") if line.strip() and not line.startswith("##")]
    if len(lines) % 2:
        raise ValueError("a catalogue has two lines for each sentence; one is missing")
    return dict(zip(lines[::2], lines[1::2], strict=True))


def code_from(environment: Mapping[str, str]) -> str:
    """The code that HOPLAB_LANG or a user's locale asks for (POSIX: LC_ALL, LC_MESSAGES, LANG,
    first set wins): zh_CN if there is one, else zh, else English."""
    values = map(environment.get, ("HOPLAB_LANG", "LC_ALL", "LC_MESSAGES", "LANG"))
    locale = next((value for value in values if value), "")
    name = re.split("[.@]", locale)[0].replace("-", "_")
    codes = {code.lower(): code for code in languages()}
    return codes.get(name.lower()) or codes.get(name.split("_")[0].lower()) or "en"
