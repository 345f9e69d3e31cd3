# SPDX-License-Identifier: Apache-2.0
"""What a check is judged by: a running lab, or the record of one.

What lives here: the questions that a check asks, put to a lab, and what was answered, kept and
given again. What must not: verdicts, files that are handed in.

A record has, for each check, what commands printed and what tables held at its last try, and for
each recorded command the run's folder. Of a run's frames everything is derived anew; what commands
printed can only be taken as it was recorded. What a switch would do with a packet is in no record:
only Open vSwitch can say that.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from hoplab import runs
from hoplab.client import labs
from hoplab.client.commands import TimedOut
from hoplab.client.inventory import facts_of
from hoplab.errors import LabError
from hoplab.sentences import say, term
from hoplab.sheets import hands
from hoplab.sheets.records import Check
from hoplab.story.faults import Faults
from hoplab.story.host_state import Host, read_facts

# What a run consists of, where it is judged again. `trace.json` is not: it is a story told by
# whoever handed it in.
RUN_FILES = (runs.STATE, runs.CAPTURE, runs.HOSTS)
# Checks whose runs are judged. For others a run only explains a failure.
_BY_FRAMES = ("frames", "answer")


class NoEvidence(Exception):
    """What a check asks for is not in the record. Its text is a sentence."""


class Source(Protocol):
    """Whoever answers what checks ask. live: whether asking again may bring another answer."""

    live: bool

    def begin(self, check: Check) -> None:
        """What is asked from now on is asked for this check."""

    def pause(self, seconds: float) -> None:
        """Let time go by, where there is a lab for which it does."""

    def state(self) -> dict[str, Any]:
        """What the lab is: its lab.json."""

    def freshen(self, kinds: Iterable[str]) -> None:
        """Have the lab forget what it learned."""

    def run_line(self, node: str, line: str) -> tuple[int, str]:
        """A line for a node's shell: exit code, and what it printed. Raises TimedOut."""

    def hosts(self) -> Mapping[str, Host]:
        """What hosts and routers are set to."""

    def table(self, switch: str) -> dict[str, Any]:
        """What a switch has learned, and its flows."""

    def trace_flow(self, switch: str, fields: str) -> tuple[int, str]:
        """What the switch would do with such a packet."""

    def record(self, node: str, command: str, folder: Path) -> runs.Run:
        """The run of a command. folder: where a lab's run is kept."""


class LiveLab:
    """A running lab."""

    live = True

    def __init__(self, handle: labs.Handle) -> None:
        self._handle = handle

    def begin(self, check: Check) -> None:
        pass

    def pause(self, seconds: float) -> None:
        time.sleep(seconds)

    def state(self) -> dict[str, Any]:
        return self._handle.state()

    def freshen(self, kinds: Iterable[str]) -> None:
        hands.freshen(self._handle, kinds)

    def run_line(self, node: str, line: str) -> tuple[int, str]:
        return hands.run_line(self._handle, node, line)

    def hosts(self) -> Mapping[str, Host]:
        return _hosts(self.facts())

    def facts(self) -> dict[str, Any]:
        """The same as `hosts.json` has it."""
        return {"format": 1, **facts_of(self._handle)}

    def table(self, switch: str) -> dict[str, Any]:
        return hands.table_of(self._handle, switch)

    def trace_flow(self, switch: str, fields: str) -> tuple[int, str]:
        return hands.trace_flow(self._handle, switch, fields)

    def record(self, node: str, command: str, folder: Path) -> runs.Run:
        return hands.record(self._handle, node, command, folder)


def _hosts(facts: Any) -> dict[str, Host]:
    try:
        read = read_facts(facts)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise NoEvidence(term("the record of the lab cannot be read")) from None
    return dict(read.now.hosts) if read is not None else {}


class Recording(LiveLab):
    """A running lab; what it answers is kept in a folder: `evidence.json`, and runs/CHECK.NODE."""

    def __init__(self, handle: labs.Handle, folder: Path) -> None:
        super().__init__(handle)
        self._folder = folder
        self._check: Check | None = None
        self._kept: dict[str, dict[str, Any]] = {}
        self._lab: dict[str, Any] = {}

    def begin(self, check: Check) -> None:
        self._check = check
        self._kept.setdefault(check.id, {})

    def state(self) -> dict[str, Any]:
        self._lab = super().state()
        return self._lab

    def _keep(self, kind: str, key: str, value: Any) -> None:
        assert self._check is not None
        self._kept[self._check.id].setdefault(kind, {})[key] = value

    def run_line(self, node: str, line: str) -> tuple[int, str]:
        try:
            code, printed = super().run_line(node, line)
        except TimedOut as error:
            self._keep("commands", _key(node, line), {"late": True, "printed": error.output})
            raise
        self._keep("commands", _key(node, line), {"code": code, "printed": printed})
        return code, printed

    def hosts(self) -> Mapping[str, Host]:
        facts = self.facts()
        self._keep("facts", "", facts)
        return _hosts(facts)

    def table(self, switch: str) -> dict[str, Any]:
        table = super().table(switch)
        self._keep("tables", switch, table)
        return table

    def record(self, node: str, command: str, folder: Path) -> runs.Run:
        run = super().record(node, command, folder)
        if self._check is not None and self._check.kind in _BY_FRAMES:
            place = self._folder / run_name(self._check.id, node)
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir(parents=True)
            for name in RUN_FILES:
                with contextlib.suppress(FileNotFoundError):
                    shutil.copyfile(folder / name, place / name)
        return run

    def as_data(self) -> dict[str, Any]:
        """What was asked and answered, but for the runs."""
        return {"format": 1, "lab": self._lab, "checks": self._kept}


class Recorded:
    """The record of a lab. data: what `Recording.as_data` made; folder: where its runs are."""

    live = False

    def __init__(self, data: Any, folder: Path) -> None:
        self._folder = folder
        self.lab = _mapping(_mapping(data).get("lab"))
        self._checks = _mapping(_mapping(data).get("checks"))
        self._check = ""

    def begin(self, check: Check) -> None:
        self._check = check.id

    def pause(self, seconds: float) -> None:
        pass

    def state(self) -> dict[str, Any]:
        lab = self.lab
        if not isinstance(lab.get("nodes"), list) or not isinstance(lab.get("interfaces"), list):
            raise NoEvidence(term("there is no record of the lab"))
        return lab

    def freshen(self, kinds: Iterable[str]) -> None:
        pass

    def _kept(self, kind: str, key: str) -> dict[str, Any]:
        own = _mapping(self._checks.get(self._check))
        value = _mapping(own.get(kind)).get(key)
        if not isinstance(value, dict):
            raise NoEvidence(term("there is no record of it"))
        return value

    def run_line(self, node: str, line: str) -> tuple[int, str]:
        kept = self._kept("commands", _key(node, line))
        printed = str(kept.get("printed", ""))
        if kept.get("late") is True:
            error = TimedOut(term("the command had not ended in time"))
            error.output = printed
            raise error
        code = kept.get("code")
        if not isinstance(code, int) or isinstance(code, bool):
            raise NoEvidence(term("there is no record of it"))
        return code, printed

    def hosts(self) -> Mapping[str, Host]:
        return _hosts(self._kept("facts", ""))

    def table(self, switch: str) -> dict[str, Any]:
        return self._kept("tables", switch)

    def trace_flow(self, switch: str, fields: str) -> tuple[int, str]:
        raise NoEvidence(
            term("what a switch would do with a packet only Open vSwitch can say: it is not "
                 "judged without a lab")
        )  # fmt: skip

    def record(self, node: str, command: str, folder: Path) -> runs.Run:
        place = self._folder / run_name(self._check, node)
        if not (place / runs.CAPTURE).is_file():
            raise NoEvidence(term("there is no run of it"))
        words = command.split()
        url = ""
        if words[:1] == ["visit"]:
            url = words[1] if len(words) > 1 else str(self.lab.get("url") or "")
        try:
            return runs.read(
                place, url=url, host=node, command="" if url else command, faults=Faults()
            )
        except LabError as error:
            reason = say("its run cannot be read: {reason}", reason=error.message)
            raise NoEvidence(reason) from None


def _key(node: str, line: str) -> str:
    return f"{node}: {line}"


def run_name(check: str, node: str) -> str:
    """The name of the folder of a check's run on a node."""
    return f"{check}.{node}"


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def read_evidence(data: bytes) -> Any:
    """What `evidence.json` holds. Raises NoEvidence."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise NoEvidence(term("the record of the lab cannot be read")) from None


