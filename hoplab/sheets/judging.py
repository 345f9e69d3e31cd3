# SPDX-License-Identifier: Apache-2.0
"""The checks of a sheet, held against a running lab and a learner's answers.

What lives here: the order of checks, how often each is tried, and what becomes of it. What must
not: what a claim asks (`packet_claims.py`, `table_claims.py`, `flow_claims.py`, `answers.py`), how
a lab is asked (`hands.py`), how it is printed.

A verdict is to be the lab's and not the machine's:

1. A check passes as soon as all of its nodes have passed; only those that have not are asked again.
2. It fails when its time is over, and never after fewer tries than `TRIES`: a busy machine may use
   up the time with the first one.
3. A try of whose frames some are missing, since the capture had no room for them, decides nothing.
   It is done again, and a check that had no other is not judged.
4. What commands print is in one language, whatever the learner's is.
5. Processor time limits an expression, and not the clock.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from hoplab import runs, wait
from hoplab.client import labs
from hoplab.errors import Exit, LabError
from hoplab.nearest import did_you_mean
from hoplab.packet_filter.grammar import FilterError
from hoplab.sentences import say, sentence_of, term
from hoplab.sheets import hands, packet_claims
from hoplab.sheets.answers import Expected, accepts
from hoplab.sheets.claims import ClaimError, read_filter
from hoplab.sheets.expressions import Value, evaluate
from hoplab.sheets.findings import Finding, Judgement, Verdict
from hoplab.sheets.flow_claims import Cables, miss_of_flow, read_flow_claim, read_packet
from hoplab.sheets.records import Check, Sheet
from hoplab.sheets.sources import LiveLab, NoEvidence, Source
from hoplab.sheets.table_claims import (
    OF_SWITCHES,
    Names,
    TableClaim,
    miss_of_host,
    miss_of_switch,
    read_table_claim,
)

WAIT_S = 2.0  # where a check does not say for how long it is tried
TRIES = 2
_UNDECIDED_MOST = 6
_PAUSE_S = 0.2
_SHOWN = 300  # characters of what a command printed

Progress = Callable[[Check, int], None]


class Undecided(Exception):
    """A try that tells nothing: the machine was too busy."""


class Judging:
    """One pass over a sheet's checks.

    answers: the learner's, by check. kept: where the runs of checks are kept, None for nowhere.
    source: what is asked in the place of the lab: its record, or somebody who keeps one.
    """

    def __init__(
        self,
        sheet: Sheet,
        handle: labs.Handle | None,
        answers: Mapping[str, str] | None = None,
        kept: Path | None = None,
        progress: Progress = lambda check, tries: None,
        source: Source | None = None,
    ) -> None:
        self._sheet = sheet
        self._source = source or (LiveLab(handle) if handle is not None else None)
        self._answers = dict(answers or {})
        self._progress = progress
        self._scratch = None if kept else tempfile.TemporaryDirectory(prefix="hoplab-check-")
        self._kept = kept or Path(self._scratch.name if self._scratch else "")
        self._failed = False

    def __enter__(self) -> Judging:
        return self

    def __exit__(self, *_: object) -> None:
        if self._scratch is not None:
            self._scratch.cleanup()

    @property
    def lab(self) -> Source:
        """Who answers what checks ask. Raises LabError where the lab is not up."""
        if self._source is None:
            raise LabError(
                say("the lab of the sheet {name} is not up", name=self._sheet.name),
                say("bring it up: {command}", command=f"hoplab lab start {self._sheet.called}"),
                Exit.NO_SUCH,
            )
        return self._source

    def judge(
        self, only: Iterable[str] = (), *, until_failed: bool = False
    ) -> Iterator[Judgement]:
        """The verdicts, in the sheet's order. only: of these checks alone. until_failed: no more
        after the first that failed. Raises LabError."""
        wanted = list(only)
        stopped = False
        for check in self._sheet.checks.values():
            if wanted and check.id not in wanted:
                continue
            if stopped:
                yield Judgement(check.id, Verdict.SKIPPED)
                continue
            judgement = self._settle(check)
            failed = judgement.verdict in (Verdict.FAILED, Verdict.UNJUDGED)
            self._failed = self._failed or failed
            yield judgement
            if failed and until_failed:
                return
            stopped = check.stop_on_error and judgement.verdict != Verdict.PASSED

    # ------------------------------------------------------------------ one check

    def _settle(self, check: Check) -> Judgement:
        """Try it until it passes or its time is over."""
        if check.kind == "wait":
            return self._pause(check)
        within_s = WAIT_S if check.wait_s is None else check.wait_s
        deadline = time.monotonic() + within_s * wait.patience()
        least, most_undecided = self._tries(check)
        pending: list[str] = list(check.nodes) or [""]
        finding: Finding | None = None
        tries = undecided = 0
        while True:
            tries += 1
            self._progress(check, tries)
            try:
                finding, pending = self._try(check, pending)
                if finding is None:
                    return Judgement(check.id, Verdict.PASSED, None, tries)
            except Undecided:
                undecided += 1
            except NoEvidence as error:
                return Judgement(check.id, Verdict.UNJUDGED, Finding("", sentence_of(error)), tries)
            decided = tries - undecided
            if decided >= least and (least == 1 or time.monotonic() >= deadline):
                break
            if undecided >= most_undecided:
                return Judgement(check.id, Verdict.UNJUDGED, finding, tries)
            time.sleep(_PAUSE_S)  # netlab's retry: nothing tells when a lab has settled
        assert finding is not None
        verdict = Verdict.WARNING if check.warning else Verdict.FAILED
        return Judgement(check.id, verdict, self._explained(check, finding), tries)

    def _tries(self, check: Check) -> tuple[int, int]:
        """After how many tries a check may fail, and how many may decide nothing. A record is the
        same each time."""
        if self._source is not None and not self._source.live:
            return 1, 1
        once = check.kind in ("answer", "config") and not check.count
        return 1 if once else TRIES, _UNDECIDED_MOST

    def _pause(self, check: Check) -> Judgement:
        """A check that does nothing but wait; with `stop_on_error` a barrier, which waits for
        nothing."""
        if check.stop_on_error:
            verdict = Verdict.FAILED if self._failed else Verdict.PASSED
            finding = Finding("", term("a check before it failed")) if self._failed else None
            return Judgement(check.id, verdict, finding, 1)
        self._progress(check, 1)
        if self._source is not None:
            self._source.pause(check.wait_s or 0)
        return Judgement(check.id, Verdict.PASSED, None, 1)

    def _try(self, check: Check, pending: list[str]) -> tuple[Finding | None, list[str]]:
        """The first finding of those nodes that have not passed, and which these are now. Raises
        Undecided, LabError."""
        if self._source is not None:
            self._source.begin(check)
        if check.fresh:
            self.lab.freshen(check.fresh)
        look = getattr(self, f"_try_{check.kind}")
        first: Finding | None = None
        left = []
        try:
            for node in pending:
                finding = look(check, node)
                if finding is not None:
                    left.append(node)
                    first = first or finding
        except FilterError as error:
            raise self._bad(check, sentence_of(error)) from error
        except ClaimError as error:
            raise self._bad(check, sentence_of(error)) from error
        return first, left

    def _bad(self, check: Check, reason: str) -> LabError:
        return LabError(
            say("the check {check} of {sheet} does not fit this lab: {reason}", check=check.id,
                sheet=self._sheet.name, reason=reason),
            term("is another topology up? `hoplab lab reset` brings the sheet's lab back"),
            Exit.BAD_INPUT,
        )  # fmt: skip

    # ------------------------------------------------------------------ commands

    def _run(self, check: Check, node: str, command: str) -> tuple[int, str] | Finding:
        self._check_node(check, node)
        try:
            return self.lab.run_line(node, command)
        except hands.TimedOut as error:
            return Finding(command, sentence_of(error), node)

    def _check_node(self, check: Check, node: str) -> None:
        names = [each["name"] for each in self.lab.state()["nodes"]]
        if node not in names:
            raise self._bad(check, say("there is no node {node}", node=node)) from None

    def _try_exec(self, check: Check, node: str) -> Finding | None:
        done = self._run(check, node, check.command)
        if isinstance(done, Finding):
            return done
        code, printed = done
        if not check.valid:
            if code == 0:
                return None
            return Finding(check.command, _ended(code, printed), node)
        variables = {"stdout": printed, "code": code, "node": {"name": node}}
        value = evaluate(check.valid, variables, self._sheet.plugin)
        return None if value.true else _invalid(check, node, value, printed)

    def _try_show(self, check: Check, node: str) -> Finding | None:
        done = self._run(check, node, check.command)
        if isinstance(done, Finding):
            return done
        code, printed = done
        try:
            result = json.loads(printed)
        except (ValueError, RecursionError):
            return Finding(check.command, _ended(code, printed), node)
        value = evaluate(check.valid, _variables(result, node), self._sheet.plugin)
        return None if value.true else _invalid(check, node, value, printed)

    def _try_plugin(self, check: Check, node: str) -> Finding | None:
        """netlab's: show_F or exec_F names the command, valid_F judges what it prints."""
        name, bracket, rest = check.command.partition("(")
        call, source = f"{name.strip()}{bracket}{rest}", self._sheet.plugin
        if not bracket or not source:
            raise self._bad(check, say("there is no function {call}", call=check.command))
        own = {"node": {"name": node}}
        kind = "show" if f"def show_{name.strip()}(" in source else "exec"
        command = evaluate(f"{kind}_{call}", own, source)
        if command.error:
            raise self._bad(check, command.error)
        done = self._run(check, node, command.text)
        if isinstance(done, Finding):
            return done
        code, printed = done
        if kind == "show":
            try:
                result = json.loads(printed)
            except (ValueError, RecursionError):
                return Finding(command.text, _ended(code, printed), node)
            variables = _variables(result, node)
        else:
            variables = {**own, "stdout": printed, "_result": {"stdout": printed}, "code": code}
        value = evaluate(f"valid_{call}", variables, source)
        return None if value.true else _invalid(check, node, value, printed)

    def _try_config(self, check: Check, node: str) -> Finding | None:
        done = self._run(check, node, check.command)
        if isinstance(done, Finding):
            return done
        code, printed = done
        return Finding(check.command, _ended(code, printed), node) if code else None

    # ------------------------------------------------------------------ frames

    def _try_frames(self, check: Check, node: str) -> Finding | None:
        run = self._record(check, node)
        finding = packet_claims.find_miss(run, check.frames)
        if finding is None:
            if hands.has_gaps(run):
                raise Undecided
            return None
        slow = run.story.fidelity is not None and run.story.fidelity.distorted
        if hands.has_gaps(run) or (slow and packet_claims.delays_asked(check.frames)):
            raise Undecided
        return Finding(
            finding.expected, finding.seen, node, finding.where, finding.why, finding.packet,
            finding.frame, self._folder(check),
        )  # fmt: skip

    def _folder(self, check: Check) -> Path:
        return self._kept / check.id

    def _record(self, check: Check, node: str) -> runs.Run:
        self._check_node(check, node)
        return self.lab.record(node, check.command, self._folder(check))

    def _explained(self, check: Check, finding: Finding) -> Finding:
        """The finding of a command that failed, with what its frames tell: where they ended, and
        why."""
        if check.kind != "exec" or finding.packet or not finding.node:
            return finding
        try:
            run = self._record(check, finding.node)
        except (LabError, NoEvidence):
            return finding
        outcome = run.story.outcome
        if outcome.ok is not False:
            return finding
        trip = next(
            (each for each in run.story.trips if each.number in outcome.evidence), None
        )
        ended = trip if trip is not None and trip.ended else None
        why = (*([ended.ended] if ended is not None else []), outcome.sentence, *outcome.why)
        return Finding(
            finding.expected, finding.seen, finding.node,
            ended.path[-1] if ended is not None and ended.path else outcome.where,
            tuple(dict.fromkeys(why)), trip.number if trip is not None else 0,
            packet_claims.frame_of(trip), self._folder(check),
        )  # fmt: skip

    # ------------------------------------------------------------------ tables, flows

    def _try_table(self, check: Check, _: str) -> Finding | None:
        state = self.lab.state()
        names = Names.of(state["interfaces"])
        hosts: dict[str, Any] = {}
        for node, claims in check.tables:
            self._check_node(check, node)
            parsed = [(text, read_table_claim(text)) for text in claims]
            if any(claim.kind not in OF_SWITCHES for _, claim in parsed) and not hosts:
                hosts = dict(self.lab.hosts())
            for text, claim in parsed:
                miss = self._miss_of_table(check, node, claim, hosts, names)
                if miss is not None:
                    return Finding(text, miss, node)
        return None

    def _miss_of_table(
        self, check: Check, node: str, claim: TableClaim, hosts: Mapping[str, Any], names: Names
    ) -> str | None:
        if claim.kind in OF_SWITCHES:
            return miss_of_switch(claim, self.lab.table(node), names)
        if node not in hosts:
            raise self._bad(check, say("{node} has no such table", node=node))
        return miss_of_host(claim, hosts[node], names)

    def _try_flow(self, check: Check, _: str) -> Finding | None:
        cables = Cables(self.lab.state())
        for switch, pairs in check.flows:
            self._check_node(check, switch)
            ports = cables.ports(switch)
            for packet, claim in pairs:
                fields = cables.fields(read_packet(packet), switch)
                code, printed = self.lab.trace_flow(switch, fields)
                if code:
                    return Finding(f"{packet}: {claim}", _ended(code, printed), switch)
                came_by = fields.partition(",")[0].partition("=")[2]
                if came_by.isdigit() and 0 < int(came_by) <= len(ports):
                    came_by = ports[int(came_by) - 1]
                miss = miss_of_flow(read_flow_claim(claim), printed, ports, came_by)
                if miss is not None:
                    return Finding(f"{packet}: {claim}", miss, switch)
        return None

    # ------------------------------------------------------------------ answers

    def _try_answer(self, check: Check, node: str) -> Finding | None:
        answer = self._answers.get(check.id)
        if answer is None:
            return Finding(
                "",
                say("not answered yet: {command}",
                    command=f"hoplab lab answer {self._sheet.called} {check.id} …"),
            )  # fmt: skip
        expected = check.answer
        assert expected is not None
        if check.count:
            run = self._record(check, node)
            if hands.has_gaps(run):
                raise Undecided
            n = packet_claims.count(run, read_filter(check.count))
            expected = Expected((str(n),), (), expected.unit, expected.near, expected.near_share)
        if accepts(expected, answer):
            return None
        return Finding("", say("you answered {answer}", answer=answer))


def check_names(sheet: Sheet, names: Iterable[str]) -> None:
    """Raises LabError for a name that no check has."""
    for name in names:
        if name not in sheet.checks:
            raise LabError(
                say("the sheet {sheet} has no check {name}", sheet=sheet.name, name=name),
                did_you_mean(name, sheet.checks),
                Exit.NO_SUCH,
            )


def _variables(result: Any, node: str) -> dict[str, Any]:
    """What an expression on JSON can name: the keys of it, and `_result` for all of it."""
    keys = {key: value for key, value in result.items()} if isinstance(result, dict) else {}
    return {**keys, "_result": result, "node": {"name": node}}


def _ended(code: int, printed: str) -> str:
    words = _clipped(printed)
    if not words:
        return say("it ended with {code} and printed nothing", code=code)
    return say("it ended with {code}: {words}", code=code, words=words)


def _clipped(printed: str) -> str:
    words = " ".join(printed.split())
    return words if len(words) <= _SHOWN else f"{words[: _SHOWN - 1]}…"


def _invalid(check: Check, node: str, value: Value, printed: str) -> Finding:
    """What the expression wanted and what it was given."""
    words = _clipped(printed)
    if value.error and not value.error.startswith(("KeyError", "IndexError", "AttributeError",
                                                   "NameError")):  # fmt: skip
        words = f"{value.error}: {words}" if words else value.error
    return Finding(check.meaning or check.valid, words or term("it printed nothing"), node)
