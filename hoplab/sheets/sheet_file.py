# SPDX-License-Identifier: Apache-2.0
"""From a sheet's folder to a sheet.

What lives here: where sheets are, and the reading of `lab.yml`, with errors that name the place in
it. What must not: running labs.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn, TypeVar, cast

from hoplab import content, strict_yaml
from hoplab.errors import Exit, LabError
from hoplab.nearest import did_you_mean
from hoplab.sentences import listed, say, sentence_of, term, together
from hoplab.sheets import variants
from hoplab.sheets.answers import Expected
from hoplab.sheets.claims import ClaimError, read_claim, read_filter
from hoplab.sheets.flow_claims import read_flow_claim, read_packet
from hoplab.sheets.records import FOLDER, Check, Line, Moment, PacketClaims, Sheet, Text
from hoplab.sheets.table_claims import read_table_claim

T = TypeVar("T")
FILE, PLUGIN = "lab.yml", "validate.py"
FRESH = ("arp", "switches", "names")
LANGUAGES = ("en", "zh")
# Where the name of a netlab device stands in a dictionary of commands, ours is one of these.
_OURS = ("linux", "hoplab", "none")
_ID = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,40}")
_OPTIONS = {"ipv6": bool, "static_arp": bool, "datapath": str, "platform": str}
# Checks that run a command: the key that it stands at.
_RUNS = {"exec": "exec", "show": "show", "plugin": "plugin", "config": "config", "frames": "trace"}
_OF_A_CHECK = {
    "description", "nodes", "devices", "exec", "show", "valid", "pass", "fail", "wait", "wait_msg",
    "wait_str", "level", "stop_on_error", "plugin", "config", "trace", "frames", "table", "flow",
    "answer", "unit", "near", "hint", "moment", "fresh",
}  # fmt: skip
_OF_A_SHEET = {
    "title", "minutes", "lab", "setup", "files", "score", "moments", "validate", "vary",
}  # fmt: skip
_OF_A_LAB = {"topology", "controller", *_OPTIONS}
_OF_A_MOMENT = {"nodes", "trace", "at", "says"}


# ------------------------------------------------------------------------ where sheets are


def folders() -> list[Path]:
    """The folders of our sheets, in their order."""
    try:
        place = content.folder("labs")
    except LabError:
        return []
    return sorted(path.parent for path in place.glob(f"*/{FILE}"))


def names() -> list[str]:
    """The names of our sheets."""
    return [folder.name for folder in folders()]


def find(name: str) -> Path:
    """The folder or file that '3', '03', '03-hub', 'hub' or a path means. Raises LabError."""
    path = Path(name).expanduser()
    if "/" in name or name.endswith((".yml", ".yaml", ".json")):
        if path.is_file() or (path / FILE).is_file():
            return path.absolute()
        raise LabError(
            say("there is no lab sheet {name}", name=name),
            say("a sheet is a folder with a {file}, or such a file", file=FILE), Exit.NO_SUCH,
        )  # fmt: skip
    every = folders()
    for folder in every:
        number, _, rest = folder.name.partition("-")
        numbers = {number, number.lstrip("0")} if number.isdigit() else set()
        if name in {folder.name, rest, *numbers} and name:
            return folder
    own = [folder.name for folder in every]
    words = [word for each in own for word in (each, each.partition("-")[2])]
    raise LabError(
        say("there is no lab sheet {name}", name=name),
        together(
            did_you_mean(name, filter(None, words)),
            say("{command} lists them", command="hoplab lab list"),
        ),
        Exit.NO_SUCH,
    )


def _called(path: Path) -> str:
    """What to say on a command line for the sheet that is there."""
    if path in folders():
        return path.name
    return shlex.quote(min(f"./{os.path.relpath(path)}", str(path), key=len))


def load(path: Path, seed: bytes | None = None) -> Sheet:
    """The sheet in a folder, or in a file that has at least `validate`. seed: of a student, who
    has something else where the sheet varies. Raises LabError."""
    file = path / FILE if path.is_dir() else path
    data = strict_yaml.read_file(file)
    values: dict[str, str] = {}
    if seed is not None and isinstance(data, dict):
        values = variants.choose(_vary(Place(file, data)), seed)
        data = {
            key: value if key == "vary" else variants.put_in(value, values)
            for key, value in data.items()
        }
    return replace(read_sheet(data, file), varied=values)


def _vary(top: Place) -> tuple[variants.Rule, ...]:
    """What varies from student to student. Raises LabError."""
    if not top.has("vary"):
        return ()
    place = top.at("vary")
    rules = tuple(
        variants.Rule(str(text), place.at(text).strings()) for text in place.mapping()
    )
    try:
        variants.check(rules)
    except variants.NoRule as error:
        place.bad(sentence_of(error))
    return rules


# ------------------------------------------------------------------------ what a file says


class Place:
    """A value in the file and where it stands, for errors."""

    def __init__(self, file: Path, value: Any, where: str = "") -> None:
        self.file, self.value, self.where = file, value, where

    def bad(self, reason: str, hint: str = "") -> NoReturn:
        name = f"{self.file.parent.name}/{self.file.name}"
        place = f"{name}: {self.where}" if self.where else name
        raise LabError(
            say("{place}: {reason}", place=place, reason=reason),
            hint or term("docs/sheets.md has the format of a sheet"),
            Exit.BAD_INPUT,
        )

    def at(self, key: Any) -> Place:
        where = f"{self.where}.{key}" if self.where else str(key)
        value = self.value[key] if isinstance(self.value, list) else None
        if isinstance(self.value, dict):
            value = self.value.get(key)
        return Place(self.file, value, where)

    def has(self, key: str) -> bool:
        return isinstance(self.value, dict) and self.value.get(key) is not None

    def get(self, key: str, read: Callable[[Place], T], default: T | tuple[()]) -> T:
        """What `read` makes of the value at a key, where there is one."""
        return read(self.at(key)) if self.has(key) else cast(T, default)

    def mapping(self, known: Iterable[str] | None = None) -> dict[Any, Any]:
        if not isinstance(self.value, dict):
            self.bad(term("names and values are wanted here"))
        if known is not None:
            for key in self.value:
                if key not in known:
                    self.bad(say("there is no key {key}", key=str(key)),
                             did_you_mean(str(key), known))  # fmt: skip
        return self.value

    def items(self) -> list[Place]:
        """The entries of a list; what is none is a list of one."""
        if not isinstance(self.value, list):
            return [self]
        return [self.at(number) for number in range(len(self.value))]

    def words(self) -> str:
        if isinstance(self.value, bool):
            return "true" if self.value else "false"
        if not isinstance(self.value, str | int | float) or self.value == "":
            self.bad(term("text is wanted here"))
        return str(self.value)

    def strings(self) -> tuple[str, ...]:
        return tuple(each.words() for each in self.items())

    def text(self) -> Text:
        """Words for people: one text, or one for each language."""
        if isinstance(self.value, dict):
            self.mapping(LANGUAGES)
            return Text({code: self.at(code).words() for code in self.value})
        return Text({"en": self.words()})

    def texts(self) -> tuple[Text, ...]:
        return tuple(each.text() for each in self.items())

    def number(self, least: float = 0) -> float:
        if isinstance(self.value, bool) or not isinstance(self.value, int | float):
            self.bad(term("a number is wanted here"))
        if self.value < least:
            self.bad(say("it is to be at least {n:g}", n=least))
        return float(self.value)

    def truth(self) -> bool:
        if not isinstance(self.value, bool):
            self.bad(term("true or false is wanted here"))
        return self.value

    def of_a_device(self) -> Place:
        """netlab's dictionary of commands by device: ours, or the only one."""
        if not isinstance(self.value, dict):
            return self
        for name in _OURS:
            if name in self.value:
                return self.at(name)
        if len(self.value) == 1:
            return self.at(next(iter(self.value)))
        self.bad(say("none of these is for {device}", device=_OURS[0]))


def read_sheet(data: Any, file: Path) -> Sheet:
    """The sheet in the data of a file. Raises LabError."""
    top = Place(file, data)
    whole = top.mapping()
    ours = file.name == FILE
    if ours:
        top.mapping(_OF_A_SHEET)
    if "validate" not in whole:
        top.bad(say("it has no {key}", key="validate"))
    named = top.at("moments").mapping() if top.has("moments") else {}
    moments = {}
    for name in named:
        moment = _moment(str(name), top.at("moments").at(name))
        moments[str(name)] = replace(moment, command=_in_folder(moment.command, file))
    checks = {}
    for name in top.at("validate").mapping():
        place = top.at("validate").at(name)
        if _ID.fullmatch(str(name)) is None:
            place.bad(say("{name} is no name for a check", name=repr(name)))
        check = _check(str(name), place, moments, ours=ours)
        if ours:
            check = replace(check, command=_in_folder(check.command, file))
        checks[str(name)] = check
    plugin = file.parent / PLUGIN
    sheet = Sheet(
        folder=file.parent,
        name=file.parent.name if ours else file.stem,
        called=_called(file.parent if ours else file),
        moments=moments,
        checks=checks,
        plugin=plugin.read_text(encoding="utf-8") if plugin.is_file() else "",
    )
    return _with_lab(sheet, top) if ours else sheet


def _in_folder(line: str, file: Path) -> str:
    """A line for a node's shell, with the sheet's folder where it is meant."""
    return line.replace(FOLDER, str(file.parent))


def _with_lab(sheet: Sheet, top: Place) -> Sheet:
    """A sheet of our own format: with its lab, its title and the score to expect."""
    lab = top.at("lab")
    options: dict[str, object] = {}
    if top.has("lab"):
        lab.mapping(_OF_A_LAB)
        for name, kind in _OPTIONS.items():
            if lab.has(name):
                place = lab.at(name)
                options[name] = place.truth() if kind is bool else place.words()
    return replace(
        sheet,
        varies=tuple(rule.text for rule in _vary(top)),
        title=top.get("title", Place.text, Text()),
        minutes=int(top.get("minutes", Place.number, 0.0)),
        topology=lab.get("topology", Place.words, ""),
        controller=lab.get("controller", Place.words, ""),
        options=options,
        setup=top.get("setup", read_lines, ()),
        files=top.get("files", _files, ()),
        score=int(top.at("score").number()) if top.has("score") else None,
    )


def _files(place: Place) -> tuple[str, ...]:
    """The names of files beside the sheet. Raises LabError for one that is not there."""
    for entry in place.items():
        name = entry.words()
        if Path(name).name != name or not (place.file.parent / name).is_file():
            entry.bad(say("there is no file {name} beside it", name=name))
    return place.strings()


def read_lines(place: Place) -> tuple[Line, ...]:
    """Lines for nodes, in order. Raises LabError."""
    lines: list[Line] = []
    for entry in place.items():
        if len(entry.mapping()) != 1:
            entry.bad(say("a line is {example}", example="- h1: ip addr …"))
        node = next(iter(entry.value))
        lines.append((str(node), entry.at(node).words()))
    return tuple(lines)


def _moment(name: str, place: Place) -> Moment:
    place.mapping(_OF_A_MOMENT)
    for key in ("nodes", "trace", "at"):
        if not place.has(key):
            place.bad(say("it has no {key}", key=key))
    at, _, node = place.at("at").words().rpartition("@")
    if not at:
        at, node = node, ""
    if not re.fullmatch(r"#m?\d+", at.strip()):
        _claimed(place.at("at"), read_filter, at)
    return Moment(
        name, place.at("nodes").strings()[0], place.at("trace").words(), at.strip(), node.strip(),
        place.at("says").text() if place.has("says") else Text(),
    )  # fmt: skip


def _claimed(place: Place, read: Callable[[str], Any], text: str) -> Any:
    """What `read` makes of words in the file; what is wrong with them is told with their place."""
    try:
        return read(text)
    except ClaimError as error:
        place.bad(sentence_of(error))


# ------------------------------------------------------------------------ checks


def _kind(place: Place) -> str:
    """What a check does: exactly one thing."""
    if place.has("answer"):
        return "answer"
    actions = [key for key in ("exec", "show", "plugin", "trace", "table", "flow", "config")
               if place.has(key)]  # fmt: skip
    if len(actions) > 1:
        place.bad(say("it does several things: {keys}", keys=listed(actions)))
    if not actions:
        if place.has("frames"):
            place.bad(say("it has {key}, and no {missing}", key="frames", missing="trace"))
        if place.has("wait"):
            return "wait"
        place.bad(
            term("it does nothing: exec, show, trace, table, flow, answer or wait is missing")
        )
    return "frames" if actions[0] == "trace" else actions[0]


def _check(name: str, place: Place, moments: Mapping[str, Moment], *, ours: bool) -> Check:
    place.mapping(_OF_A_CHECK if ours else None)
    kind = _kind(place)
    counted = kind == "answer" and place.at("answer").has("count")
    nodes = place.get("nodes", Place.strings, ())
    command = _command(place, _RUNS.get(kind, "trace")) if counted or kind in _RUNS else ""
    if kind == "show" and not place.has("valid"):
        place.bad(say("it has {key}, and no {missing}", key="show", missing="valid"))
    moment = place.get("moment", Place.words, "")
    if moment and moment not in moments:
        place.at("moment").bad(
            say("there is no moment {name}", name=moment), did_you_mean(moment, moments)
        )
    check = Check(
        id=name,
        kind=kind,
        description=place.get("description", Place.text, Text()),
        nodes=nodes,
        command=command,
        valid=place.get("valid", lambda valid: valid.of_a_device().words().strip(), ""),
        when_passed=place.get("pass", Place.text, Text()),
        when_failed=place.get("fail", Place.text, Text()),
        hints=place.get("hint", Place.texts, ()),
        wait_s=place.at("wait").number() if place.has("wait") else None,
        warning=_one_of(place, "level", ("error", "warning", "info"))[:1] not in ((), ("error",)),
        stop_on_error=place.get("stop_on_error", Place.truth, False),
        moment=moment,
        fresh=_one_of(place, "fresh", FRESH),
    )
    return _with_claims(check, place, counted=counted)


def _with_claims(check: Check, place: Place, *, counted: bool) -> Check:
    """What it claims, by its kind."""
    if check.kind == "frames":
        return replace(check, frames=place.get("frames", _frames, ()))
    if check.kind == "table":
        return replace(check, tables=_tables(place.at("table")))
    if check.kind == "flow":
        return replace(check, flows=_flows(place.at("flow")))
    if check.kind == "answer":
        count = place.at("answer").at("count").words() if counted else ""
        return replace(check, answer=_answer(place), count=count)
    return check


def _command(place: Place, key: str) -> str:
    """What nodes run."""
    for wanted in ("nodes", key):
        if not place.has(wanted):
            place.bad(say("it has no {key}", key=wanted))
    return place.at(key).of_a_device().words().strip()


def _one_of(place: Place, key: str, words: Sequence[str]) -> tuple[str, ...]:
    """The words at a key, each of which is one of these."""
    chosen = place.get(key, Place.strings, ())
    for word in chosen:
        if word not in words:
            place.at(key).bad(say("{word} is none of {words}", word=word, words=listed(words)))
    return chosen


def _pairs(place: Place) -> Iterable[tuple[str, Place]]:
    """FILTER: CLAIM, in a list or as one mapping."""
    for entry in place.items():
        for key in entry.mapping():
            yield str(key), entry.at(key)


def _frames(place: Place) -> tuple[PacketClaims, ...]:
    entries = []
    for text, claims in _pairs(place):
        tree = _claimed(claims, read_filter, text)
        made = tuple(_claimed(each, read_claim, each.words()) for each in claims.items())
        entries.append(PacketClaims(text, tree, made))
    return tuple(entries)


def _tables(place: Place) -> tuple[tuple[str, tuple[str, ...]], ...]:
    tables = []
    for node in place.mapping():
        for each in place.at(node).items():
            _claimed(each, read_table_claim, each.words())
        tables.append((str(node), place.at(node).strings()))
    return tuple(tables)


def _flows(place: Place) -> tuple[tuple[str, tuple[tuple[str, str], ...]], ...]:
    flows = []
    for switch in place.mapping():
        pairs = []
        for packet, claim in _pairs(place.at(switch)):
            _claimed(claim, read_packet, packet)
            _claimed(claim, read_flow_claim, claim.words())
            pairs.append((packet, claim.words()))
        flows.append((str(switch), tuple(pairs)))
    return tuple(flows)


def _answer(place: Place) -> Expected:
    right = place.at("answer")
    unit = place.get("unit", Place.words, "")
    near, near_share = place.get("near", _nearness, (0.0, 0.0))
    accepted: tuple[str, ...] = ()
    all_of: tuple[str, ...] = ()
    if right.has("count"):
        right.mapping({"count"})
        _claimed(right, read_filter, right.at("count").words())
    elif isinstance(right.value, dict):
        right.mapping({"all of"})
        all_of = right.at("all of").strings()
    elif isinstance(right.value, bool):
        accepted = ("yes" if right.value else "no",)
    else:
        accepted = right.strings()
    return Expected(accepted, all_of, unit, near, near_share)


def _nearness(place: Place) -> tuple[float, float]:
    """How far a number may be from the right one, and as a part of it: one of them is 0."""
    words = place.words()
    try:
        if words.endswith("%"):
            return 0.0, float(words[:-1]) / 100
        return float(words), 0.0
    except ValueError:
        place.bad(term("a number is wanted here, or a share such as 20%"))
