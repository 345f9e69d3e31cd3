# SPDX-License-Identifier: Apache-2.0
"""The verb that makes a report of kept runs: `report`. It needs files only, no lab, no rights."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from hoplab import runs
from hoplab.cli import output
from hoplab.errors import Exit, LabError, is_full
from hoplab.replay.explain import Explainer
from hoplab.report.language import Language, code_from, language
from hoplab.sentences import say, term

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
    with Explainer() as explain:
        text = _made([runs.reopen(folder, explain=explain) for folder in folders], form, tr)
        untold = explain.note()
    if untold is not None:
        sys.stderr.write(f"hoplab: {output.tr(untold)}\n")
    if arguments.output == "-":
        sys.stdout.buffer.write(text.encode())
        return Exit.OK
    stem = "compare" if len(folders) == 2 else "report"
    file = Path(arguments.output or folders[0] / (stem + _SUFFIX[form]))
    if not arguments.output and file.is_symlink():
        file.unlink()  # a run from a stranger must not say where we write
    _write(file, text)
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
    if arguments.open:
        show(file)
    return Exit.OK


def play(folder: Path) -> None:
    """Makes the page of a run that was just kept, and shows it."""
    from hoplab.web.player import player

    file = folder / PAGE
    _write(file, player([runs.reopen(folder)], language(output.spoken().code)))
    show(file)


def show(file: Path) -> None:
    """A page in the user's browser; where there is none, how to get it there."""
    if output.open_in_browser(file.absolute().as_uri()):
        return
    here = say(
        "no browser was found here: copy {file} to a machine with one and open it there; it needs "
        "no other file and no network",
        file=str(file),
    )
    sys.stderr.write(f"hoplab: {output.tr(here)}\n")


def _folders(arguments: argparse.Namespace) -> list[Path]:
    """The run folders, one or two. Raises LabError for what cannot be reported."""
    folders = [Path(name) for name in (arguments.run, arguments.second) if name is not None]
    for folder in folders:
        if not os.path.isdir(folder):
            raise LabError(
                say("{folder} is no folder", folder=folder),
                say(
                    "give one that was kept: {command}",
                    command="hoplab visit --save my-run && hoplab report my-run",
                ),
                Exit.NO_SUCH,
            )
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


def _made(kept: list[runs.Run], form: str, tr: Language) -> str:
    """The report itself. Each form is a module of its own, read when it is asked for."""
    if form == "svg":
        from hoplab.report.drawing import drawing

        return drawing(kept, tr)
    if form == "markdown":
        from hoplab.report.markdown import markdown

        return markdown(kept, tr)
    if form == "print":
        from hoplab.report.page import page

        return page(kept, tr)
    from hoplab.web.player import player

    return player(kept, tr)


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise LabError(
            say("{output} cannot be written: {reason}", output=file, reason=error.strerror),
            term("free some space, or choose another file with -o"),
            Exit.NO_SPACE if is_full(error) else Exit.BAD_INPUT,
        ) from error
