# SPDX-License-Identifier: Apache-2.0
"""Judges every statement of a run's trace.json by sources that hoplab has no part in.

What lives here: the walk through trace.json, and what a verdict is. What must not: rules, which
stand in `trips.py` (where frames went), `titles.py` (what a packet is), `numbers.py` (the summary)
and `sentences.py` (all other sentences, from `*_rules.py`); any part of hoplab.

A rule for a sentence is found by its template. It yields pairs of what is claimed and what a source
shows; where one pair differs, the statement is false. A rule that finds no source raises `Unknown`.
Statements without a rule, or without a source, are counted by template: nothing is skipped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from truth import evidence as sources
from truth.evidence import Evidence, Frame

Pairs = Iterator[tuple[str, Any, Any]]
# What is said of every run alike is no statement about this one.
LESSONS = ("heading", "lesson")


class Unknown(Exception):
    """No source tells whether the statement is true."""


@dataclass
class Verdict:
    """judged: how many statements by rule. false: place, claim, what is so instead. unjudged: how
    many by template or field."""

    judged: Counter[str] = field(default_factory=Counter)
    false: list[str] = field(default_factory=list)
    unjudged: Counter[str] = field(default_factory=Counter)


@dataclass
class About:
    """What a sentence is about. frame: the first of the trip, None outside of trips; owner: the
    object of trace.json that the sentence is in."""

    evidence: Evidence
    owner: dict[str, Any]
    trip: dict[str, Any] | None = None
    frame: Frame | None = None
    text: str = ""
    step: dict[str, Any] | None = None

    @property
    def first(self) -> Frame:
        if self.frame is None:
            raise Unknown
        return self.frame

    @property
    def told(self) -> dict[str, Any]:
        if self.trip is None:
            raise Unknown
        return self.trip

    def trip_of(self, number: Any) -> dict[str, Any]:
        """The trip of that number; it may have been left out of a storm."""
        for trip in self.evidence.trace["trips"]:
            if trip["number"] == number:
                return dict(trip)
        raise Unknown

    def frame_of(self, trip: dict[str, Any]) -> Frame:
        """The first frame of a trip."""
        leg = trip["legs"][0]
        number = leg["sent"] or leg["received"]
        if number not in self.evidence.frames:
            raise Unknown
        return self.evidence.frames[number]


Rule = Callable[[About, dict[str, Any]], Pairs]


class Judge:
    """Gathers verdicts on one run."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        self.verdict = Verdict()

    def claim(self, rule: str, place: str, claimed: Any, shown: Any) -> None:
        """One statement: what is claimed, and what the sources show."""
        self.verdict.judged[rule] += 1
        if claimed != shown:
            self.verdict.false.append(f"{place}: {rule}: told {claimed!r}, is {shown!r}")

    def unknown(self, what: str) -> None:
        self.verdict.unjudged[what] += 1

    def sentence(self, rules: dict[str, Rule], about: About, parts: Any, place: str) -> None:
        """One sentence, or several one after the other."""
        if not isinstance(parts, dict):
            return
        for several in ("together", "listed"):
            for each in parts.get(several, ()):
                self.sentence(rules, about, each, place)
        template = parts.get("say")
        if template is None:
            return
        rule = rules.get(template)
        if rule is None:
            self.unknown(template)
            return
        try:
            pairs = list(rule(about, parts["values"]))
        except Unknown:
            self.unknown(template)
            return
        if not pairs:
            self.unknown(template)
            return
        self.verdict.judged[template] += 1
        for what, claimed, shown in pairs:
            if claimed != shown:
                false = f"{place}: {template!r}: {what}: told {claimed!r}, is {shown!r}"
                self.verdict.false.append(false)
                break


def judge(folder: Path, evidence: Evidence | None = None) -> Verdict:
    """What is true of the story in a run folder. evidence: of that folder, if it was read."""
    from truth import numbers, sentences, titles, trips

    evidence = evidence or sources.read(folder)
    judge = Judge(evidence)
    trips.judge(judge)
    numbers.judge(judge)
    rules = {**titles.RULES, **sentences.RULES}
    for trip in evidence.trace["trips"]:
        leg = trip["legs"][0]
        frame = evidence.frames.get(leg["sent"] or leg["received"] or 0)
        about = About(evidence, trip, trip, frame)
        _walk(judge, rules, about, trip, f"#{trip['number']}")
    for key in ("outcome", "steps", "alerts_parts", "summary"):
        data = evidence.trace.get(key)
        if key == "alerts_parts":
            for parts in data or ():
                judge.sentence(rules, About(evidence, {}), parts, "alerts")
        elif key == "steps":
            for step in data or ():
                about = About(evidence, step, step=step)
                _walk(judge, rules, about, step, f"step {step['key']}")
        elif data:
            _walk(judge, rules, About(evidence, {}), data, key)
    return judge.verdict


def _walk(judge: Judge, rules: dict[str, Rule], about: About, data: Any, place: str) -> None:
    """Every sentence in an object of trace.json, at any depth."""
    if isinstance(data, list):
        for number, item in enumerate(data):
            _walk(judge, rules, about, item, f"{place}[{number}]")
        return
    if not isinstance(data, dict):
        return
    for key, value in data.items():
        key, is_parts = key.removesuffix("_parts"), key.endswith("_parts")
        if not is_parts:
            if not isinstance(value, str):
                _walk(judge, rules, about, value, f"{place}.{key}")
            continue
        if key in LESSONS or key == "textbook":
            continue
        texts = data[key] if isinstance(data[key], list) else [data[key]]
        for text, parts in zip(texts, value if isinstance(value, list) else [value], strict=True):
            here = About(about.evidence, data, about.trip, about.frame, text, about.step)
            judge.sentence(rules, here, parts, f"{place}.{key}")


def plain(value: Any) -> Any:
    """A value without what says what it is; of a sentence with a number that decides, the number;
    of another sentence, its text."""
    if not isinstance(value, dict):
        return value
    for kind in ("node", "ip", "mac", "packet"):
        if kind in value and len(value) == 1:
            return value[kind]
    if "listed" in value:
        return [plain(item) for item in value["listed"]]
    if "together" in value:
        return " ".join(str(words(part)) for part in value["together"])
    if value.get("plural"):
        return value["n"]
    return words(value)


def words(value: Any) -> str:
    """The English text of a value."""
    if not isinstance(value, dict):
        return str(value)
    if "listed" in value:
        return ", ".join(words(item) for item in value["listed"])
    if "together" in value:
        return " ".join(words(part) for part in value["together"])
    if "say" not in value:
        return str(plain(value))
    template = value["plural"] if value.get("plural") and value["n"] != 1 else value["say"]
    filled = {
        name: words(inner) if isinstance(inner, dict) else inner
        for name, inner in value["values"].items()
    }
    text: str = template.format_map(filled)
    return text
