# SPDX-License-Identifier: Apache-2.0
"""The verb that makes a report of kept runs: `report`. It needs files only, no lab, no rights."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from hoplab import runs
from hoplab.cli import output
from hoplab.client.kept_runs import kept_folder
from hoplab.errors import Exit, LabError, is_full, reason_of
from hoplab.replay.explain import Explainer
from hoplab.report.language import Language, code_from, language
from hoplab.sentences import listed, say, term
from hoplab.story.faults import Faults

PAGE = "report.html"
_SUFFIX = {"html": ".html", "print": ".html", "svg": ".svg", "markdown": ".md"}


def report(arguments: argparse.Namespace) -> int:
    form = (
        "svg" if arguments.svg else "markdown" if arguments.md
        else "print" if arguments.print else "html"
    )  # fmt: skip
    folders = _folders(arguments)
    # A report is a file in UTF-8: it takes every language, whatever the terminal does.
    tr = language(getattr(arguments, "lang", None) or code_from(os.environ))
    faults = Faults()
    with Explainer() as explain:
        kept = [runs.reopen(folder, faults, explain) for folder in folders]
        text = _made(kept, form, tr, faults)
        untold = explain.note()
    if untold is not None:
        sys.stderr.write(f"hoplab: {output.tr(untold)}\n")
    if len(faults):
        output.print_untold(faults, listed(map(str, folders)), debug=arguments.debug)
    if arguments.output == "-":
        sys.stdout.buffer.write(text.encode())
        return Exit.OK
    file = _file(arguments, folders, form)
    _write(file, text)
    _say_where(arguments, file, form, tr, folders)
    if arguments.open:
        show(file)
    return Exit.OK


def _file(arguments: argparse.Namespace, folders: list[Path], form: str) -> Path:
    """Where the report is to be written."""
    stem = "compare" if len(folders) == 2 else "report"
    file = Path(arguments.output or folders[0] / (stem + _SUFFIX[form]))
    if not arguments.output and file.is_symlink():
        file.unlink()  # a run from a stranger must not say where we write
    return file


def _say_where(
    arguments: argparse.Namespace, file: Path, form: str, tr: Language, folders: list[Path]
) -> None:
    if arguments.json:
        output.print_json(
            {
                "file": str(file.absolute()),
                "form": form,
                "language": tr.code,
                "bytes": file.stat().st_size,
                "runs": [str(folder.absolute()) for folder in folders],
            }
        )
    else:
        print(file)


def play(folder: Path, place: str = "") -> Path:
    """Makes the page of a run that was just kept, and shows it. place: what is chosen on it, as
    '#3@s1'."""
    file, faults = folder / PAGE, Faults()
    _write(file, _made([runs.reopen(folder, faults)], "html", output.spoken(), faults))
    if len(faults):
        output.print_untold(faults, str(folder), debug=False)
    show(file, place)
    return file


def show(file: Path, place: str = "") -> None:
    """A page in the user's browser; where there is none, how to get it there."""
    if output.open_in_browser(file.absolute().as_uri() + place):
        return
    here = say(
        "no browser was found here: copy {file} to a machine with one and open it there; it needs "
        "no other file and no network",
        file=str(file),
    )
    sys.stderr.write(f"hoplab: {output.tr(here)}\n")


def _folders(arguments: argparse.Namespace) -> list[Path]:
    """The run folders, one or two. Raises LabError for what cannot be reported."""
    names = [name for name in (arguments.run, arguments.second) if name is not None]
    folders = [kept_folder(name) for name in names]
    if arguments.output == "-" and arguments.open:
        raise LabError(
            term("-o - writes to stdout, so there is no file to --open"),
            term("leave one of them out"),
            Exit.USAGE,
        )
    if arguments.output == "-" and arguments.json:
        raise LabError(
            term("--json tells where the report was written, and -o - writes it to stdout"),
            term("leave one of them out"),
            Exit.USAGE,
        )
    return folders


def _made(kept: list[runs.Run], form: str, tr: Language, faults: Faults) -> str:
    """The report itself. Each form is a module of its own, read when it is asked for."""
    if form == "svg":
        from hoplab.report.drawing import drawing

        return drawing(kept, tr)
    if form == "markdown":
        from hoplab.report.markdown import markdown

        return markdown(kept, tr, faults)
    from hoplab.report.page import page

    if form == "html":
        from hoplab.web.player import player

        with faults.part(term("the page that plays the run; the one to read stands in its place")):
            return player(kept, tr)
    return page(kept, tr, faults=faults)


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise LabError(
            say("{output} cannot be written: {reason}", output=file, reason=reason_of(error)),
            term("free some space, or choose another file with -o"),
            Exit.NO_SPACE if is_full(error) else Exit.BAD_INPUT,
        ) from error
