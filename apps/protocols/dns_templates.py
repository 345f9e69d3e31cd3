# SPDX-License-Identifier: Apache-2.0
"""Answers for names that nobody has asked yet, put together from an answer to one like them.

The cast
    `Templates`   `answer(query)` gives octets or None; `learn` takes an answer worked out in full

Whoever asks for names that do not exist, each only once, gets the same bytes again and again, but
for the id and the name: the same flags, the same SOA, the same pointers back into the question,
since the names are of the same length and end alike. A template is such an answer without id and
question. It is made from an answer that was worked out in full, never the other way round.

What an answer depends on, for a name that is in none of our records, is its *landmark*: the longest
end of it that is a name of our zones, or stands in one of their records. Zone, cut, wildcard and
SOA follow from the landmark alone (RFC 1034 section 4.3.2, RFC 4592 section 3.3.1), and so does
what can be compressed into a pointer (RFC 1035 section 4.1.4), together with the name's length.
"""

from __future__ import annotations

from collections.abc import Iterable

from protocols.dns_records import FIELDS, above, name_text, pieces
from protocols.dns_wire import HEADER, SERVFAIL
from protocols.dns_zone import Zone

MAX_TEMPLATES = 4096
MAX_QUERY = 512  # octets; what is longer is answered in full
ONE_QUESTION = b"\0\1\0\0\0\0"  # and neither answers nor authorities
# A query, and no bit but RD is set in its first byte of flags.
NO_FLAG_BUT_RD = 0xFE

Key = tuple[bytes, int, bytes, bytes, bytes]


class Templates:
    """Answers without id and question, by what they depend on."""

    def __init__(self, zones: Iterable[Zone]) -> None:
        """ZONES: all that the server answers from; when they change, make a new object."""
        self._landmarks = _landmarks(zones)
        # key -> flags and counts; what follows the question; the log's words after the name
        self._answers: dict[Key, tuple[bytes, bytes, str]] = {}

    def answer(self, query: bytes, noted: bool) -> tuple[bytes, str] | None:
        """The answer to QUERY without its id, and its line for the log if that is NOTED; None:
        it must be worked out."""
        key_and_end = self._key(query)
        if key_and_end is None:
            return None
        key, end = key_and_end
        template = self._answers.get(key)
        if template is None:
            return None
        flags_and_counts, rest, note = template
        if noted:
            if not note:
                return None
            note = name_text(query[HEADER.size : end].lower()) + note
        return flags_and_counts + query[HEADER.size : end + 4] + rest, note

    def learn(self, query: bytes, answer: bytes, note: str) -> bool:
        """Take ANSWER, worked out in full for QUERY, as a template; False: it cannot be one.

        NOTE is the log's line, "" where there is no log.
        """
        key_and_end = self._key(query)
        if key_and_end is None:
            return False
        key, end = key_and_end
        question = query[HEADER.size : end + 4]
        after = HEADER.size + len(question)
        if answer[3] & 0xF == SERVFAIL or answer[HEADER.size : after] != question:
            return False
        name = name_text(question[:-4].lower())
        words = note.removeprefix(name)
        if note and (words == note or name in words):
            return False  # the line speaks of the name elsewhere, too
        if len(self._answers) >= MAX_TEMPLATES:
            self._answers.clear()
        self._answers[key] = answer[2 : HEADER.size], answer[after:], words
        return True

    def _key(self, query: bytes) -> tuple[Key, int] | None:
        """What the answer to QUERY depends on, and where its name ends; None: on the name itself,
        or it is no plain query."""
        if len(query) > MAX_QUERY or query[4:10] != ONE_QUESTION or query[2] & NO_FLAG_BUT_RD:
            return None
        name = query.lower()  # lengths of labels are below 64 and stay as they are
        starts = []
        at = HEADER.size
        try:
            while length := name[at]:
                if length > 63:
                    return None
                starts.append(at)
                at += 1 + length
        except IndexError:
            return None
        end = at + 1
        size = end - HEADER.size
        if size > 255:
            return None
        landmarks = self._landmarks
        landmark = b""
        for start in starts:
            if name[start:end] in landmarks:
                if start == HEADER.size:
                    return None  # the name is in our records
                landmark = name[start:end]
                break
        return (landmark, size, query[2:4], query[10:12], query[end:]), end


def _landmarks(zones: Iterable[Zone]) -> frozenset[bytes]:
    """Every name that the records of ZONES have or speak of, and every end of one, in small
    letters."""
    names: set[bytes] = set()
    for zone in zones:
        for rrset in zone.all():
            mentioned = [rrset.name]
            if any(letter in "nN" for letter in FIELDS.get(rrset.rtype, "")):
                for raw in rrset.datas:
                    mentioned += [
                        piece for letter, piece in pieces(rrset.rtype, raw) if letter in "nN"
                    ]
            for name in mentioned:
                names.update(above(name.lower()))
    return frozenset(names)
