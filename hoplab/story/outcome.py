# SPDX-License-Identifier: Apache-2.0
"""How it ended: success in numbers, or where the last frame died and why.

What lives here: the verdict, from what the wire shows and from what the command says of itself.
What must not: the search for the end on the wire, in `end_of_fetch.py` for a fetch and in
`end_of_command.py` for anything else; layout.

Two witnesses speak, and both are told: the command by its exit status (`exit_status.py`), and the
wire. Whether it succeeded is for the command to say:
1. Status 0 is a success. Where the wire shows a fault all the same (a ping in vain, a page with
   status 404), the sentence says both, the wire second.
2. Any other status is a failure. Where the wire shows no fault, or not of everything, the sentence
   says both; where it shows why, the wire has the sentence and the status stands below.
3. What somebody ended from outside (Ctrl-C, a time limit of the command line's own) is neither: it
   is told what was seen until then.
4. Without a status (nobody ran a command, or nobody kept its status) the wire decides.

Nothing is told as unanswered that is not in the capture.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from hoplab.sentences import number_of, say, together
from hoplab.story.end_of_command import ends_of_command
from hoplab.story.end_of_fetch import end_of_fetch
from hoplab.story.exit_status import WORDS, ExitStatus
from hoplab.story.records import Outcome, Request
from hoplab.story.steps import Facts
from hoplab.story.wire_text import clean

# Codes of ends that a frame shows, so that they hold whatever else the capture missed.
_SHOWN = frozenset(
    (
        "refused", "reset", "http-error", "tls-failed", "nxdomain", "dns-failed", "address-taken",
        "unreachable",
    )
)  # fmt: skip
# No faults, and they rest on what did not come all the same: a SYN, the head of a response.
_NEUTRAL = ("no-frame", "udp", "before", "opened", "unanswered", "no-http", "http-0.9")
_MISSED = "capture-missed"

_LONGEST_QUOTE = 200
_BELONGING = re.compile("  [^\\W\\d]+[:：]")  # noqa: RUF001  # as in "  Next: ...", in any language


def find_outcome(
    facts: Facts,
    request: Request | None,
    host: str,
    ended: ExitStatus,
    missed: int | None = None,
    place: str = "",
) -> Outcome:
    """The end of the story. `host` is where the command ran, when it is no fetch, and `ended` how
    the command or the fetch ended by its own word. missed: frames that the capture missed, 0 if it
    is not known how many, None if it is whole. place: that the capture is of, where it is of one
    alone."""
    if request is not None:
        return _of_fetch(facts, request, ended, missed)
    if place and not missed:
        findings = _seen_at(place, ends_of_command(facts, host, ended))
    else:
        findings = _hedged(ends_of_command(facts, host, ended), missed)
    explained = all(finding.ok is False for finding in findings)
    outcome = _judged(findings, ended)
    if ended.ok is False and outcome.code == "seen":
        outcome.code, outcome.where = "failed", host
    quote = _quote(ended.complaint)
    if quote and ended.ok is False and outcome.code == "no-frame" and not facts.explained:
        outcome.why.append(say("No frame can tell; the command said: {quote}", quote=quote))
    elif quote and ended.ok is False and (outcome.code == "no-frame" or not explained):
        outcome.why.append(say("The command said: {quote}", quote=quote))
    return outcome


def _of_fetch(facts: Facts, request: Request, ended: ExitStatus, missed: int | None) -> Outcome:
    # Where its status has words, the client's own words and the wire's say more than these.
    silent = ended.code is None or ended.code in WORDS["fetch"]
    findings = _hedged([end_of_fetch(facts, request)], missed)
    outcome = _judged(findings, ended, status_below=not silent)
    quote = _quote(request.client_report)
    if quote:
        outcome.why.append(say("The client program said: {quote}", quote=quote))
    return outcome


def _judged(
    findings: Sequence[Outcome], ended: ExitStatus, *, status_below: bool = True
) -> Outcome:
    """What the wire shows, together with what the command says of itself. status_below: where the
    wire has the sentence, the words of the exit status stand among the reasons."""
    outcome = _of_wire(findings)
    wire = outcome.sentence
    faults = sum(finding.ok is False for finding in findings)
    unsure = any(finding.code == _MISSED for finding in findings)
    if ended.late or ended.cut_short:
        outcome.ok = False if ended.late else None
        outcome.sentence = together(ended.sentence, say("Until then: {finding}", finding=wire))
        return outcome
    if ended.ok is None:
        outcome.ok = None if unsure and not faults else not faults
        return outcome
    outcome.ok = ended.ok
    agree = faults == len(findings) if ended.ok is False else not (faults or unsure)
    if not agree:
        outcome.sentence = together(ended.sentence, say("On the wire: {finding}", finding=wire))
    elif ended.ok is False and status_below:
        outcome.why.append(ended.sentence)
    return outcome


def _of_wire(findings: Sequence[Outcome]) -> Outcome:
    """All findings in one: the last fault among them, or the first where there is none, with the
    sentences and reasons of all."""
    faults = [finding for finding in findings if finding.ok is False]
    outcome = faults[-1] if faults else findings[0]
    outcome.why = [reason for finding in findings for reason in finding.why]
    if len(findings) > 1:
        outcome.evidence = sorted({number for finding in findings for number in finding.evidence})
    rest = [say("Also: {finding}", finding=finding.sentence) for finding in findings[1:]]
    outcome.sentence = together(findings[0].sentence, *rest) if rest else findings[0].sentence
    return outcome


def _hedged(findings: list[Outcome], missed: int | None) -> list[Outcome]:
    """The findings as far as they can be told by a capture that missed so many frames (0: it is not
    known how many, None: it is whole): that something did not come is nothing it can say."""
    if missed is None:
        return findings
    kept = [
        finding for finding in findings
        if finding.code in _SHOWN or (finding.ok is not False and finding.code not in _NEUTRAL)
    ]  # fmt: skip
    return kept if len(kept) == len(findings) else [*kept, _cannot_be_told(missed)]


def _seen_at(place: str, findings: list[Outcome]) -> list[Outcome]:
    """The findings of a capture of one place: that something did not come is true of the place."""
    seen: list[Outcome] = []
    for finding in findings:
        shown = finding.code in _SHOWN or finding.code == "resolved"
        if not shown and (not finding.ok or finding.code in _NEUTRAL):
            sentence = say(
                "As far as {place} shows: {finding}", place=place, finding=finding.sentence
            )
            finding = replace(finding, sentence=sentence)
        # Who asks once and is answered need not be answered past this place; one who asks again
        # was not.
        if finding.code == "arp-silent" and len(finding.evidence) == 1:
            finding = replace(finding, ok=None, code=_MISSED)
        seen.append(finding)
    return seen


def _cannot_be_told(missed: int) -> Outcome:
    if not missed:
        sentence = say(
            "How it went cannot be told by frames: the capture lacks frames, and what was not seen "
            "may have passed."
        )
        return Outcome(None, _MISSED, sentence)
    sentence = number_of(
        "How it went cannot be told by frames: the capture missed {n:,} frame, and what was not "
        "seen may have passed.",
        "How it went cannot be told by frames: the capture missed {n:,} frames, and what was not "
        "seen may have passed.",
        missed,
    )
    return Outcome(None, _MISSED, sentence)


def _quote(output: str) -> str:
    """The last lines of what a program printed, as many as fit; there it says why it gave up. A
    line that belongs to the one above it, as a next step does, stands directly behind that."""
    kept: list[str] = []
    belonging: list[bool] = []
    for line in reversed(output.splitlines()):
        words = line.split()
        if not words or words[1:2] == ["ms"]:
            continue  # the latter is what fetch.py tells of a step that went well
        text = " ".join(words)
        if kept and sum(map(len, kept)) + 3 * len(kept) + len(text) > _LONGEST_QUOTE:
            break
        kept.insert(0, text)
        belonging.insert(0, bool(_BELONGING.match(line)))
    quote = "".join(kept[:1])
    for text, belongs in zip(kept[1:], belonging[1:], strict=True):
        joint = "" if quote.endswith("。") else " "  # no space stands behind a full-width mark
        quote += (joint if belongs else " | ") + text
    return clean(quote, _LONGEST_QUOTE)
