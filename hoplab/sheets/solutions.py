# SPDX-License-Identifier: Apache-2.0
"""Solutions of a sheet: right ones in different ways, and wrong ones, made from one by seed.

What lives here: `solutions.yml`, and the making of wrong solutions. What must not: labs.

A wrong solution is one change of the first right one: a line left out, two lines of a node
exchanged, a netmask, an address, a gateway or a port that is another, a hub in the place of a
switch, an answer that is another. Its name says which: 'mask 1', 'leave-out 3', 'q-mask: /27'.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address
from pathlib import Path

from hoplab import strict_yaml
from hoplab.sentences import say
from hoplab.sheets.answers import Expected
from hoplab.sheets.records import LAB, Line, Sheet
from hoplab.sheets.sheet_file import Place, read_lines

FILE = "solutions.yml"
ANSWERS_MOST = 3  # wrong answers to a question: more of them would hide what else is missed
_KNOWN = {"right", "wrong", "mutate", "harmless", "faults"}
_OF_A_SOLUTION = {"do", "answers"}
_ADDRESS = r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.])"
_MASK = re.compile(rf"({_ADDRESS})/(\d{{1,2}})(?!\d)")
_GATEWAY = re.compile(rf"((?:via|gw|gateway) +)({_ADDRESS})")
_PLAIN = re.compile(rf"(?<!via )(?<!gw )(?<!gateway )({_ADDRESS})")
_PORT = re.compile(r"((?:-p|--port|--dport|--sport|tp_dst=|:)[ =]?)(\d{2,5})(?!\d|[:.])")
_SWAP = re.compile(r"^((?:hoplab )?swap )(\S+)$")


@dataclass(frozen=True)
class Solution:
    """What somebody does in the sheet's lab, and answers. fault: 'KIND' or 'KIND at NODE', what
    `hoplab break` puts in after it, with its seed."""

    name: str
    lines: tuple[Line, ...] = ()
    answers: Mapping[str, str] = field(default_factory=dict)
    fault: str = ""


@dataclass(frozen=True)
class Solutions:
    """right: those that pass. wrong: those that do not. harmless: by name, wrong ones that are
    right all the same, and why. mutate: kinds of changes, none for all. faults: see Solution."""

    right: tuple[Solution, ...]
    wrong: tuple[Solution, ...] = ()
    mutate: tuple[str, ...] = ()
    harmless: Mapping[str, str] = field(default_factory=dict)
    faults: tuple[str, ...] = ()


def load(folder: Path) -> Solutions:
    """The solutions beside a sheet. Raises LabError."""
    file = folder / FILE
    top = Place(file, strict_yaml.read_file(file))
    top.mapping(_KNOWN)
    if not top.has("right"):
        top.bad(say("it has no {key}", key="right"))
    harmless = top.at("harmless")
    return Solutions(
        right=tuple(_solution(name, top.at("right").at(name)) for name in top.value["right"]),
        wrong=tuple(
            _solution(name, top.at("wrong").at(name)) for name in top.value.get("wrong") or ()
        ),
        mutate=top.get("mutate", Place.strings, ()),
        harmless={str(name): harmless.at(name).words() for name in harmless.value or ()},
        faults=top.get("faults", Place.strings, ()),
    )


def _solution(name: str, place: Place) -> Solution:
    place.mapping(_OF_A_SOLUTION)
    answers = place.at("answers")
    return Solution(
        str(name),
        place.get("do", read_lines, ()),
        {str(key): answers.at(key).words() for key in answers.value or ()},
    )


def wrong_solutions(sheet: Sheet, solutions: Solutions, seed: int = 1) -> list[Solution]:
    """The wrong ones: those made from the first right one, the sheet's own, and faults put upon the
    right one. The same seed makes the same."""
    model = solutions.right[0]
    dice = random.Random(f"{sheet.name} {seed}")
    kinds = solutions.mutate or tuple(_CHANGES)
    made: list[Solution] = []
    for kind in kinds:
        for number, changed in enumerate(_CHANGES[kind](sheet, model, dice), 1):
            name = changed.name or f"{kind} {number}"
            made.append(replace(changed, name=name))
    made += [
        replace(model, name=f"break {kind}", fault=kind) for kind in solutions.faults
    ]  # fmt: skip
    made += solutions.wrong
    return [each for each in made if each.name not in solutions.harmless]


# ------------------------------------------------------------------------ changes

Change = Callable[[Sheet, Solution, random.Random], Iterator[Solution]]


def _leave_out(_: Sheet, model: Solution, __: random.Random) -> Iterator[Solution]:
    for place in range(len(model.lines)):
        yield replace(model, name="", lines=model.lines[:place] + model.lines[place + 1 :])


def _order(_: Sheet, model: Solution, __: random.Random) -> Iterator[Solution]:
    lines = model.lines
    for place in range(len(lines) - 1):
        first, second = lines[place : place + 2]
        if first[0] == second[0] and first != second:
            yield replace(
                model, name="", lines=(*lines[:place], second, first, *lines[place + 2 :])
            )


def _in_lines(
    model: Solution, pattern: re.Pattern[str], change: Callable[[re.Match[str]], str]
) -> Iterator[Solution]:
    """Each place in the lines that the pattern finds, changed."""
    for place, (node, line) in enumerate(model.lines):
        for match in pattern.finditer(line):
            text = line[: match.start()] + change(match) + line[match.end() :]
            if text != line:
                lines = (*model.lines[:place], (node, text), *model.lines[place + 1 :])
                yield replace(model, name="", lines=lines)


def _mask(_: Sheet, model: Solution, __: random.Random) -> Iterator[Solution]:
    """So narrow that nobody else is in the network, but a neighbour at most."""

    def narrow(match: re.Match[str]) -> str:
        return f"{match[1]}/31" if int(match[2]) < 31 else match[0]

    return _in_lines(model, _MASK, narrow)


def _other_address(text: str, dice: random.Random) -> str:
    """Another host in the same /24."""
    try:
        number = int(IPv4Address(text))
    except ValueError:
        return text
    last = dice.choice([n for n in range(201, 250) if n != number & 0xFF])
    return str(IPv4Address(number & ~0xFF | last)) if number & 0xFF else text


def _address(_: Sheet, model: Solution, dice: random.Random) -> Iterator[Solution]:
    return _in_lines(model, _PLAIN, lambda match: _other_address(match[1], dice))


def _gateway(_: Sheet, model: Solution, dice: random.Random) -> Iterator[Solution]:
    return _in_lines(model, _GATEWAY, lambda match: match[1] + _other_address(match[2], dice))


def _port(_: Sheet, model: Solution, dice: random.Random) -> Iterator[Solution]:
    def other(match: re.Match[str]) -> str:
        return match[1] + str(int(match[2]) + dice.randint(1, 9))

    return _in_lines(model, _PORT, other)


def _controller(sheet: Sheet, model: Solution, _: random.Random) -> Iterator[Solution]:
    """A hub in the place of a switch; a switch in that of a hub."""
    swaps = [
        place for place, (node, line) in enumerate(model.lines)
        if node == LAB and _SWAP.match(line)
    ]  # fmt: skip
    if swaps:
        place = swaps[-1]
        match = _SWAP.match(model.lines[place][1])
        assert match is not None
        other = "learning_switch" if match[2] == "hub" else "hub"
        line = (LAB, match[1] + other)
        yield replace(
            model, name="", lines=(*model.lines[:place], line, *model.lines[place + 1 :])
        )
    elif sheet.controller in ("hub", "learning_switch"):
        other = "learning_switch" if sheet.controller == "hub" else "hub"
        yield replace(model, name="", lines=(*model.lines, (LAB, f"swap {other}")))


def _answers(sheet: Sheet, model: Solution, dice: random.Random) -> Iterator[Solution]:
    """Each answer as others that are as likely."""
    others = list(model.answers.values())
    for name, right in model.answers.items():
        check = sheet.checks.get(name)
        expected = check.answer if check is not None and check.answer is not None else Expected()
        candidates = dict.fromkeys([*_near_misses(right, dice), *others, "something else"])
        wrong = [each for each in candidates if each != right and not _may_be_right(expected, each)]
        for answer in wrong[:ANSWERS_MOST]:
            answers = {**model.answers, name: answer}
            yield replace(model, name=f"{name}: {answer}", answers=answers)


def _may_be_right(expected: Expected, answer: str) -> bool:
    """Whether the sheet lists this very answer as another right one. By the letter: whether it is
    taken for a right one that it is not is what the score is about."""
    return answer in (*expected.accepted, *expected.together)


def _near_misses(right: str, dice: random.Random) -> list[str]:
    """Answers that somebody gives who nearly understood."""
    masked = _MASK.fullmatch(right)
    if masked is not None:
        length = int(masked[2])
        return [f"{masked[1]}/{length - 1}", f"{_other_address(masked[1], dice)}/{length}"]
    if re.fullmatch(_ADDRESS, right):
        return [_other_address(right, dice)]
    if re.fullmatch(r"/\d+", right):
        return [f"/{int(right[1:]) + 1}", f"/{int(right[1:]) - 1}"]
    if re.fullmatch(r"\d+", right):
        number = int(right)
        return [str(number + 1), str(abs(number - 1)), str(number * 2 or 3)]
    if re.fullmatch(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}", right, re.IGNORECASE):
        return [right[:-2] + ("00" if right[-2:] != "00" else "01")]
    opposite = {"yes": "no", "no": "yes", "true": "no", "false": "yes"}.get(right.lower())
    return [opposite] if opposite else []


_CHANGES: dict[str, Change] = {
    "leave-out": _leave_out, "order": _order, "mask": _mask, "address": _address,
    "gateway": _gateway, "port": _port, "controller": _controller, "answers": _answers,
}  # fmt: skip
