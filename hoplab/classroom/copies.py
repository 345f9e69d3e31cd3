# SPDX-License-Identifier: Apache-2.0
"""Submissions of different students that look like copies of each other.

What lives here: what two of them have in common that honest ones have not. What must not: a
verdict. A remark is for the teacher to look at.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import replace

from hoplab.classroom.marking import Marked
from hoplab.sentences import Sentence, listed, say

_MOST = 6  # names in a remark
_ANSWERS_LEAST = 3  # fewer are alike by chance


def with_remarks(marked: Sequence[Marked]) -> list[Marked]:
    """The same, each with remarks on what it has in common with others."""
    remarks: dict[int, list[str]] = defaultdict(list)
    for places, template in _shared(marked):
        for place in places:
            others = sorted({marked[each].student for each in places} - {marked[place].student})
            if others:
                remarks[place].append(_said(template, others))
    for place, remark in _answers_of_others(marked):
        remarks[place].append(remark)
    for places in _grouped((each.student, each.sheet) if each.checks else () for each in marked):
        for place in places:
            files = [marked[each].file for each in places if each != place]
            remarks[place].append(
                say("there is another file of this student's for this sheet: {files}",
                    files=listed(files, _MOST))
            )  # fmt: skip
    return [
        replace(each, remarks=(*each.remarks, *dict.fromkeys(remarks[place])))
        for place, each in enumerate(marked)
    ]


def _said(kind: str, others: Sequence[str]) -> Sentence:
    names = listed(others, _MOST)
    if kind == "run":
        return say("a run in it is also in what {students} handed in", students=names)
    return say("its answers are letter for letter those of {students}", students=names)


def _grouped(keys: Iterable[Hashable]) -> Iterator[list[int]]:
    """The places that have the same key, where there are several; an empty key is none."""
    places: dict[Hashable, list[int]] = defaultdict(list)
    for place, key in enumerate(keys):
        if key:
            places[key].append(place)
    yield from (group for group in places.values() if len(group) > 1)


def _shared(marked: Sequence[Marked]) -> Iterator[tuple[list[int], str]]:
    having: dict[str, list[int]] = defaultdict(list)
    for place, each in enumerate(marked):
        for mark in each.prints:
            having[mark].append(place)
    # Many frames of a run are shared at once: each group is told once.
    for group in {tuple(places) for places in having.values() if len(places) > 1}:
        yield list(group), "run"
    for alike in _grouped(_own_words(each) for each in marked):
        yield alike, "answers"


def _own_words(each: Marked) -> tuple[object, ...]:
    """All answers, if enough of them are in words that the sheet does not list; else nothing."""
    own = [
        answer for name, answer in each.answers.items()
        if answer not in each.rights.get(name, ())
    ]  # fmt: skip
    if len(each.answers) < _ANSWERS_LEAST or sum(map(len, own)) < 12:
        return ()
    return (each.sheet, *sorted(each.answers.items()))


def _answers_of_others(marked: Sequence[Marked]) -> Iterator[tuple[int, str]]:
    """Wrong answers that are right in the sheet of somebody else."""
    owners: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    for each in marked:
        for name, texts in each.rights.items():
            for text in texts:
                owners[each.sheet, name, text].add(each.student)
    for place, each in enumerate(marked):
        for name, answer in each.answers.items():
            theirs = owners.get((each.sheet, name, answer), set())
            if theirs and each.student not in theirs and len(theirs) <= _MOST:
                yield place, say(
                    "its answer to {check} is right in the sheet of {students}", check=name,
                    students=listed(sorted(theirs), _MOST),
                )
