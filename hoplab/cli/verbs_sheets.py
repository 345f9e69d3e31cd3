# SPDX-License-Identifier: Apache-2.0
"""The verb that lab sheets are done with: `lab`."""

from __future__ import annotations

import argparse
import contextlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hoplab.classroom import joined
from hoplab.classroom.handed_out import of_student, page_of
from hoplab.cli import output, verbs_lab
from hoplab.cli.options_sheets import ACTIONS
from hoplab.cli.output import Progress, print_json, table, tr
from hoplab.client import labs, up_down
from hoplab.client.interrupts import release_interrupts
from hoplab.errors import Exit, LabError
from hoplab.nearest import did_you_mean
from hoplab.sentences import listed, number_of, say, term, to_plain, together
from hoplab.sheets import hands, kathara, sheet_file
from hoplab.sheets.findings import Finding, Judgement, Verdict, exit_code
from hoplab.sheets.judging import Judging, check_names
from hoplab.sheets.learner import Learner, learner_of
from hoplab.sheets.records import Check, Moment, Sheet, Text
from hoplab.sheets.sources import Source

LIST_HEAD: list[str] = [
    term("SHEET"), term("TITLE"), term("MINUTES"), term("CHECKS"), term("PASSED LAST"),
    term("LAB"),
]  # fmt: skip
CHECK_HEAD: list[str] = ["", term("CHECK"), term("WHAT IS CHECKED")]
_MARKS = {
    Verdict.PASSED: "✓", Verdict.FAILED: "✗", Verdict.WARNING: "!", Verdict.UNJUDGED: "?",
    Verdict.SKIPPED: "-",
}  # fmt: skip


def lab(arguments: argparse.Namespace) -> int:
    """`hoplab lab ACTION [SHEET] …`"""
    action = arguments.action or "list"
    if action not in ACTIONS:
        raise LabError(
            say("{verb} does not know {word}", verb="lab", word=action),
            together(did_you_mean(action, ACTIONS), say("it has: {names}", names=listed(ACTIONS))),
            Exit.USAGE,
        )
    if action == "list":
        return _list(arguments)
    if action == "check" and arguments.kathara:
        return _check_kathara(arguments)
    if not arguments.sheet:
        raise LabError(
            term("which sheet?"), say("{command} lists them", command="hoplab lab list"), Exit.USAGE
        )
    sheet = _sheet(arguments)
    actions: dict[str, Callable[[argparse.Namespace, Sheet], int]] = {
        "start": _start, "check": _check, "answer": _answer, "hint": _hint, "show": _show,
        "reset": _reset, "slides": _slides, "submit": _submit,
    }  # fmt: skip
    if arguments.words and action not in ("answer", "show"):
        raise LabError(
            say("{verb} does not know what to do with {words}", verb=f"lab {action}",
                words=" ".join(arguments.words)),
            say("hoplab {verb} --help shows what it takes; a lab is chosen with --name LAB",
                verb="lab"),
            Exit.USAGE,
        )  # fmt: skip
    return actions[action](arguments, sheet)


def _sheet(arguments: argparse.Namespace) -> Sheet:
    """The sheet that is meant, as it is for a student if one is named. Raises LabError."""
    place = sheet_file.find(arguments.sheet)
    if not arguments.student:
        return sheet_file.load(place)
    student = joined.find(arguments.student)
    return of_student(place, student)


def _words(text: Text) -> str:
    """What a sheet's author says, in the language that is spoken."""
    return text.into(output.spoken().code)


# ------------------------------------------------------------------------ list


def _list(arguments: argparse.Namespace) -> int:
    up = {handle.name for handle in labs.live()}
    sheets = [sheet_file.load(folder) for folder in sheet_file.folders()]
    rows, data = [], []
    for sheet in sheets:
        verdicts = learner_of(sheet.name).verdicts
        passed = [name for name in sheet.checks if verdicts.get(name) == Verdict.PASSED.value]
        row = {
            "name": sheet.name, "title": sheet.title.into("en"), "minutes": sheet.minutes,
            "checks": len(sheet.checks), "passed": len(passed), "up": sheet.name in up,
            "folder": str(sheet.folder),
        }  # fmt: skip
        data.append(row)
        rows.append([
            sheet.name, _words(sheet.title), str(sheet.minutes or ""), str(len(sheet.checks)),
            str(len(passed)) if verdicts else "", tr(term("up")) if sheet.name in up else "",
        ])  # fmt: skip
    if arguments.json:
        print_json(data)
    elif not rows:
        print(tr(term("this installation of hoplab has no lab sheets")))
    else:
        print(table(rows, LIST_HEAD))
    return Exit.OK


# ------------------------------------------------------------------------ start, reset


def _lab_name(arguments: argparse.Namespace, sheet: Sheet) -> str:
    return arguments.name or sheet.own_name


def _start(arguments: argparse.Namespace, sheet: Sheet) -> int:
    name = _lab_name(arguments, sheet)
    former = labs.Handle(name)
    if former.alive() and not arguments.replace:
        raise LabError(
            say("a lab called {lab} is up already", lab=name),
            say("go on with it, or begin anew: {command}",
                command=f"hoplab lab reset {sheet.called}"),
            Exit.TAKEN,
        )  # fmt: skip
    return _begin(arguments, sheet, name)


def _reset(arguments: argparse.Namespace, sheet: Sheet) -> int:
    learner_of(sheet.own_name).forget()
    return _begin(arguments, sheet, _lab_name(arguments, sheet))


def _begin(arguments: argparse.Namespace, sheet: Sheet, name: str) -> int:
    """Bring the lab up as the sheet wants it, in the place of one that is up."""
    if not sheet.topology:
        raise LabError(
            say("the sheet {sheet} names no topology", sheet=sheet.name),
            say("bring a lab up, and check it: {command}",
                command=f"hoplab lab check {sheet.folder}/lab.yml --name LAB"),
            Exit.BAD_INPUT,
        )  # fmt: skip
    files = _hand_out(sheet)
    former = labs.Handle(name)
    if former.alive():
        up_down.down(former)
    handle = bring_up(sheet, name, arguments)
    release_interrupts()
    try:
        with Progress(arguments.json) as progress:
            progress(term("setting the lab up as the sheet has it"))
            hands.apply(handle, sheet.setup, sheet.folder)
    except BaseException:
        up_down.down(handle)
        raise
    labs.prefer(name)
    state = handle.state()
    of = len(sheet.checks)
    if arguments.json:
        own = {"files": str(files)} if files is not None else {}
        print_json({"sheet": sheet.name, "lab": name, "score": sheet.score, "of": of, **own})
        return Exit.OK
    if sheet.title:
        print(_words(sheet.title))
    print(tr(verbs_lab.describe(verbs_lab.summary(state))))
    from hoplab.cli import verbs_inventory

    if verbs_inventory.is_small(state):
        print("\n".join(f"  {line}" for line in verbs_inventory.picture(state)))
    if sheet.score is not None:
        print(tr(_score_line(sheet.score, of)))
    page = page_of(sheet, _page_name(), learner_of(sheet.own_name).folder)
    if page is not None:
        print(tr(say("the sheet: {file}", file=str(page))))
    if files is not None:
        print(tr(say("its files: {folder}", folder=str(files))))
    if name != labs.DEFAULT_NAME and labs.Handle(labs.DEFAULT_NAME).alive():
        verbs_lab.note(
            say("a lab called {lab} is up, too, and commands without --name go there: end it "
                "({command}), or add --name {name}", lab=labs.DEFAULT_NAME, name=name,
                command=f"hoplab down --name {labs.DEFAULT_NAME}")
        )  # fmt: skip
    return Exit.OK


def _hand_out(sheet: Sheet) -> Path | None:
    """Copy what the sheet gives a learner into a folder of its name, here; None if that is nothing.
    Raises LabError."""
    if not sheet.files:
        return None
    folder = Path.cwd() / sheet.name
    try:
        folder.mkdir(exist_ok=True)
        for name in sheet.files:
            shutil.copyfile(sheet.folder / name, folder / name)
    except shutil.SameFileError:
        pass  # this is the folder that the sheets are in
    except OSError as error:
        raise LabError(
            say("{output} cannot be written: {reason}", output=folder, reason=error.strerror),
            term("change to a folder of your own, and start it there"),
            Exit.BAD_INPUT,
        ) from error
    return folder


def _page_name() -> str:
    return "README.md" if output.is_english() else f"README.{output.spoken().code}.md"


def _score_line(passed: int, of: int) -> str:
    """'2 of 9 checks pass: the rest is your work'."""
    if passed >= of:
        return say("{checks} pass", checks=number_of("all {n} checks", "all {n} checks", of))
    return say("{n} of {of} checks pass: the rest is your work", n=passed, of=of)


def bring_up(sheet: Sheet, name: str, arguments: argparse.Namespace) -> labs.Handle:
    """The lab that the sheet names. Raises LabError. Returns with interrupts held."""
    own = {
        key: str(sheet.folder / value) if value.startswith("./") else value
        for key, value in (("topology", sheet.topology), ("controller", sheet.controller))
    }
    options = sheet.options
    wanted = argparse.Namespace(
        controller=own["controller"] or None,
        platform=options.get("platform", "ryu"),
        datapath=options.get("datapath", "auto"),
        ipv6=options.get("ipv6", False),
        static_arp=options.get("static_arp", False),
        debug=arguments.debug,
    )
    return verbs_lab.bring_up(
        wanted, own["topology"], name, capture=False, quiet=bool(arguments.json)
    )


# ------------------------------------------------------------------------ check


def _handle(arguments: argparse.Namespace, sheet: Sheet) -> labs.Handle | None:
    """The sheet's lab, or the one that is named; None if it is not up."""
    if arguments.name:
        return labs.find(arguments.name)
    handle = labs.Handle(sheet.own_name)
    if handle.alive():
        return handle
    return labs.find(None) if not sheet.topology else None


def _check(arguments: argparse.Namespace, sheet: Sheet) -> int:
    check_names(sheet, arguments.only or ())
    learner = learner_of(sheet.own_name)
    judgements = _judged(arguments, sheet, _handle(arguments, sheet), learner)
    for judgement in judgements:
        learner.verdicts[judgement.check] = judgement.verdict.value
    learner.keep()
    return _tell(arguments, sheet, judgements)


def _check_kathara(arguments: argparse.Namespace) -> int:
    sheet, passed_over = kathara.read(Path(arguments.kathara).expanduser())
    check_names(sheet, arguments.only or ())
    for words in passed_over:
        output.warn(words)
    judgements = _judged(arguments, sheet, labs.find(arguments.name), None)
    return _tell(arguments, sheet, judgements)


def _judged(
    arguments: argparse.Namespace,
    sheet: Sheet,
    handle: labs.Handle | None,
    learner: Learner | None,
    *,
    until_failed: bool = False,
    source: Source | None = None,
) -> list[Judgement]:
    """The verdicts, with progress. Raises LabError."""
    names = list(sheet.checks)
    with Progress(arguments.json) as progress:

        def show(check: Check, tries: int) -> None:
            place = {"n": names.index(check.id) + 1, "of": len(names), "check": check.id}
            step = say("check {n} of {of}: {check}", **place)
            if tries > 1:
                step = say("check {n} of {of}: {check}, try {tries}", **place, tries=tries)
            progress(step)

        answers = learner.answers if learner is not None else {}
        kept = learner.runs if learner is not None else None
        with Judging(sheet, handle, answers, kept, show, source) as judging:
            judgements = list(judging.judge(arguments.only or (), until_failed=until_failed))
    for judgement in judgements:
        _keep_place(judgement.finding)
    return judgements


def _keep_place(finding: Finding | None) -> None:
    """Beside the run of a check that failed: the packet and the node to look at."""
    if finding is not None and finding.run is not None and finding.packet:
        place = f"#{finding.packet}" + (f"@{finding.where}" if finding.where else "")
        with contextlib.suppress(OSError):
            (finding.run / "place").write_text(place, encoding="utf-8")


def _tell(arguments: argparse.Namespace, sheet: Sheet, judgements: list[Judgement]) -> int:
    """Print the verdicts; the exit code that they make."""
    code = exit_code(judgements)
    passed = sum(each.verdict == Verdict.PASSED for each in judgements)
    if arguments.json:
        checks = [_as_json(sheet, each) for each in judgements]
        print_json({"sheet": sheet.name, "passed": passed, "of": len(judgements),
                    "exit_code": code, "checks": checks})  # fmt: skip
        return code
    if not judgements:
        print(tr(say("the sheet {sheet} has no checks", sheet=sheet.name)))
        return code
    rows = []
    for each in judgements:
        check = sheet.checks[each.check]
        text = check.when_passed if each.verdict == Verdict.PASSED else check.when_failed
        about = _words(text) or _words(check.description)
        rows.append([_MARKS[each.verdict], each.check, about or check.command])
    print(table(rows, CHECK_HEAD))
    for each in judgements:
        if each.finding is not None or each.verdict == Verdict.UNJUDGED:
            print()
            print("\n".join(_lines_of(sheet, each)))
    print()
    print(tr(_score_line(passed, len(judgements))))
    if code == Exit.FAILED:
        first = next(each for each in judgements if each.verdict == Verdict.FAILED)
        if sheet.checks[first.check].hints:
            print(tr(say("a hint: {command}", command=f"hoplab lab hint {sheet.called}")))
    return code


def _as_json(sheet: Sheet, judgement: Judgement) -> dict[str, Any]:
    check = sheet.checks[judgement.check]
    data: dict[str, Any] = {
        "id": judgement.check, "kind": check.kind, "verdict": judgement.verdict.value,
        "description": check.description.into("en"), "tries": judgement.tries,
    }  # fmt: skip
    finding = judgement.finding
    if finding is not None:
        data["finding"] = {
            "expected": finding.expected, "seen": str(finding.seen), "node": finding.node,
            "where": finding.where, "why": [str(each) for each in finding.why],
            "packet": finding.packet, "frame": finding.frame,
            "run": str(finding.run) if finding.run else None,
            "sentences": to_plain({"seen": finding.seen, "why": list(finding.why)}),
        }  # fmt: skip
    return data


def _lines_of(sheet: Sheet, judgement: Judgement) -> list[str]:
    """What was expected and seen, where a packet ended and why, and where to look."""
    check, finding = sheet.checks[judgement.check], judgement.finding
    about = _words(check.description)
    heading = f"{_MARKS[judgement.verdict]} {check.id}" + (f": {about}" if about else "")
    if judgement.verdict == Verdict.UNJUDGED:
        reason = term("the machine was too busy to capture every frame: check it again")
        return [heading, f"    {tr(reason)}"]
    assert finding is not None
    rows: list[tuple[str, str]] = [
        (term("on"), finding.node),
        (term("expected"), finding.expected),
        (term("seen"), tr(finding.seen)),
        (term("ended at"), finding.where),
        *((term("why"), tr(reason)) for reason in finding.why),
        (term("look at"), _look_at(sheet, check, finding)),
    ]  # fmt: skip
    cells = [(tr(label), words) for label, words in rows if words]
    width = max(output.width_in_cells()(label) for label, _ in cells)
    lines = [heading]
    for number, (label, words) in enumerate(cells):
        shown = "" if number and cells[number - 1][0] == label else label
        pad = " " * (width - output.width_in_cells()(shown))
        lines.append(f"    {shown}{pad}  {words}")
    return lines


def _look_at(sheet: Sheet, check: Check, finding: Finding) -> str:
    if finding.run is None or not finding.packet:
        return ""
    command = f"hoplab lab show {sheet.called} {check.id}"
    if finding.frame:
        return tr(say("#{packet}, frame {frame} of the capture: {command}", packet=finding.packet,
                      frame=finding.frame, command=command))  # fmt: skip
    return tr(say("#{packet}: {command}", packet=finding.packet, command=command))


def _submit(arguments: argparse.Namespace, sheet: Sheet) -> int:
    """Judge once more, with everything recorded, and write the file that is handed in."""
    from hoplab.cli import verbs_submit

    handle = _handle(arguments, sheet)
    learner = learner_of(sheet.own_name)

    def judge(source: Source | None) -> list[Judgement]:
        judgements = _judged(arguments, sheet, handle, learner, source=source)
        learner.verdicts.update({each.check: each.verdict.value for each in judgements})
        learner.keep()
        return judgements

    return verbs_submit.submit(arguments, sheet, handle, learner.answers, judge)


# ------------------------------------------------------------------------ answer, hint


def _question(sheet: Sheet, name: str) -> Check:
    check_names(sheet, [name])
    check = sheet.checks[name]
    if check.kind != "answer":
        questions = [each.id for each in sheet.checks.values() if each.kind == "answer"]
        raise LabError(
            say("{check} is no question", check=name),
            say("it has: {names}", names=listed(questions)) if questions else "",
            Exit.USAGE,
        )
    return check


def _answer(arguments: argparse.Namespace, sheet: Sheet) -> int:
    if len(arguments.words) < 2:
        raise LabError(
            term("an answer needs the question's name and the words"),
            say("as in {command}", command="hoplab lab answer 02 q-network 10.0.0.128/25"),
            Exit.USAGE,
        )
    name, *words = arguments.words
    check = _question(sheet, name)
    learner = learner_of(sheet.own_name)
    learner.answers[name] = " ".join(words)
    arguments.only = [name]
    judgements = _judged(arguments, sheet, _handle(arguments, sheet), learner)
    learner.verdicts.update({each.check: each.verdict.value for each in judgements})
    learner.keep()
    code = exit_code(judgements)
    if arguments.json:
        print_json(_as_json(sheet, judgements[0]))
        return code
    if code == Exit.OK:
        print(tr(say("✓ {check}: right", check=name)))
        if check.when_passed:
            print(f"  {_words(check.when_passed)}")
        return code
    print(tr(say("✗ {check}: not {answer}", check=name, answer=learner.answers[name])))
    if check.when_failed:
        print(f"  {_words(check.when_failed)}")
    return code


def _hint(arguments: argparse.Namespace, sheet: Sheet) -> int:
    learner = learner_of(sheet.own_name)
    failed = (Verdict.FAILED.value, Verdict.WARNING.value, Verdict.UNJUDGED.value)
    name = next((name for name in sheet.checks if learner.verdicts.get(name) in failed), "")
    if not name and not learner.verdicts:
        judgements = _judged(
            arguments, sheet, _handle(arguments, sheet), learner, until_failed=True
        )
        learner.verdicts.update({each.check: each.verdict.value for each in judgements})
        last = judgements[-1] if judgements else None
        name = last.check if last is not None and last.verdict != Verdict.PASSED else ""
    if not name:
        learner.keep()
        print(tr(say("every check passed: there is nothing to hint at; see for yourself: {command}",
                     command=f"hoplab lab check {sheet.called}")))  # fmt: skip
        return Exit.OK
    check = sheet.checks[name]
    given = learner.hints.get(name, 0)
    at = min(given, len(check.hints) - 1)
    learner.hints[name] = min(given + 1, len(check.hints))
    learner.keep()
    hint = _words(check.hints[at]) if check.hints else ""
    if arguments.json:
        print_json({"check": name, "hint": hint, "n": at + 1, "of": len(check.hints)})
        return Exit.OK
    about = _words(check.description)
    print(f"{name}: {about}" if about else name)
    if not hint:
        print(f"  {tr(term('there is no hint for this check'))}")
        return Exit.OK
    print(f"  {hint}")
    if at + 1 < len(check.hints):
        print(tr(say("hint {n} of {of}", n=at + 1, of=len(check.hints))))
    else:
        print(tr(term("that was the last hint for it")))
    return Exit.OK


# ------------------------------------------------------------------------ show


def _show(arguments: argparse.Namespace, sheet: Sheet) -> int:
    if len(arguments.words) != 1:
        raise LabError(
            term("what is to be shown?"),
            say("the sheet has: {names}",
                names=listed([*sheet.moments, *_with_moments(sheet)]) or tr(term("none"))),
            Exit.USAGE,
        )  # fmt: skip
    name = arguments.words[0]
    learner = learner_of(sheet.own_name)
    moment = sheet.moments.get(name)
    check = sheet.checks.get(name)
    if moment is None and check is None:
        names = [*sheet.moments, *sheet.checks]
        raise LabError(
            say("the sheet {sheet} has nothing called {name}", sheet=sheet.name, name=name),
            together(did_you_mean(name, names), say("it has: {names}", names=listed(names))),
            Exit.NO_SUCH,
        )
    if moment is None and check is not None and check.moment:
        moment = sheet.moments[check.moment]
    if moment is None:
        return _show_run(sheet, learner, name)
    return _show_moment(arguments, sheet, learner, moment)


def _with_moments(sheet: Sheet) -> list[str]:
    return [check.id for check in sheet.checks.values() if check.moment]


def _show_run(sheet: Sheet, learner: Learner, name: str) -> int:
    """The run of a check, at the packet that failed."""
    folder = learner.runs / name
    if not folder.is_dir():
        raise LabError(
            say("there is no run of {check} to show", check=name),
            say("check it first: {command}", command=f"hoplab lab check {sheet.called}"),
            Exit.NO_SUCH,
        )
    from hoplab.cli.verbs_report import play

    place = ""
    with contextlib.suppress(OSError, ValueError):
        place = (folder / "place").read_text().strip()
    print(play(folder, place))
    return Exit.OK


def _show_moment(
    arguments: argparse.Namespace, sheet: Sheet, learner: Learner, moment: Moment
) -> int:
    """The run of a moment, kept or made now, at that moment."""
    from hoplab import runs
    from hoplab.cli.verbs_report import play
    from hoplab.sheets.moments import place_of

    folder = learner.runs / f"moment-{moment.id}"
    if arguments.again or not (folder / runs.CAPTURE).is_file():
        handle = _handle(arguments, sheet)
        if handle is None:
            raise LabError(
                say("the lab of the sheet {name} is not up", name=sheet.name),
                say("bring it up: {command}", command=f"hoplab lab start {sheet.called}"),
                Exit.NO_SUCH,
            )
        with Progress(arguments.json) as progress:
            progress(term("capturing"))
            hands.record(handle, moment.host, moment.command, folder)
    place = place_of(moment, runs.reopen(folder))
    if arguments.json:
        print_json({"moment": moment.id, "run": str(folder), "place": place})
        return Exit.OK
    if moment.says:
        print(_words(moment.says))
    print(tr(say("at {place} in the run of {command}", place=place, command=moment.command)))
    print(play(folder, place))
    return Exit.OK


# ------------------------------------------------------------------------ slides


def _slides(arguments: argparse.Namespace, sheet: Sheet) -> int:
    from hoplab.sheets.slides import slides

    file = Path(arguments.output or f"{sheet.name}-slides.html")
    text = slides(sheet, output.spoken().code)
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise LabError(
            say("{output} cannot be written: {reason}", output=file, reason=error.strerror),
            term("free some space, or choose another file with -o"),
            Exit.BAD_INPUT,
        ) from error
    if arguments.json:
        print_json({"file": str(file.absolute()), "bytes": file.stat().st_size})
    else:
        print(file)
    return Exit.OK
