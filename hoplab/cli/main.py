# SPDX-License-Identifier: Apache-2.0
"""The command line: from its words to a verb's function, and where errors end.

Each verb is a function in one of the modules `verbs_*` that takes the parsed
arguments and returns an exit code; modules are imported when their verb is used, so that
`hoplab --help` is quick.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import os
import select
import shlex
import signal
import sys
from collections.abc import Iterator, Sequence

from hoplab.cli import output
from hoplab.cli.output import print_error, tr
from hoplab.cli.parser import build_parser, language_asked_for, verb_asked_for
from hoplab.errors import Exit, LabError, is_full, limited, reason_of
from hoplab.report.language import code_from
from hoplab.sentences import say, term, together

# Verbs whose functions cannot have their name.
FUNCTIONS = {
    "break": "break_", "class": "class_", "exec": "exec_", "open": "open_", "set": "set_",
    "table": "show_table",
}  # fmt: skip


def _are_the_files(arguments: argparse.Namespace, words: list[str]) -> str:
    """How to give words to a topology file that reads its command line, if they may be its own."""
    topology = getattr(arguments, "topology", None) or ""
    if not topology.endswith(".py"):
        return ""
    quoted = shlex.quote(f"{topology} {' '.join(words)}")
    return say("are they for the file? hoplab up {quoted}.", quoted=quoted)


def _is_the_line(verb: str, argv: Sequence[str]) -> str:
    """Stock Mininet's own options stand behind `--`: the line that was meant."""
    words = list(argv)
    if verb != "mn" or verb not in words:
        return ""
    at = words.index(verb) + 1
    line = shlex.join([*words[:at], "--", *words[at:]])
    return say("hoplab {line} (what is for stock Mininet stands behind --).", line=line)


def main(argv: Sequence[str] | None = None) -> int:
    """The entry point. Returns an exit code; the only place where errors are printed."""
    _three_streams()
    as_json = False
    debug = bool(os.environ.get("HOPLAB_DEBUG"))
    try:
        # Before the words are parsed, for what is wrong with them is told in this language, too.
        words = sys.argv[1:] if argv is None else argv
        output.speak(language_asked_for(words))
        arguments, unknown = build_parser(verb_asked_for(words)).parse_known_args(words)
        output.speak(getattr(arguments, "lang", None))
        as_json = getattr(arguments, "json", False)
        debug = debug or arguments.debug
        if unknown:
            verb = arguments.verb.partition(":")[2]
            raise LabError(
                say(
                    "{verb} does not know what to do with {words}",
                    verb=verb,
                    words=" ".join(unknown),
                ),
                together(
                    _are_the_files(arguments, unknown),
                    _is_the_line(verb, words),
                    say(
                        "hoplab {verb} --help shows what it takes; a lab is chosen with --name LAB",
                        verb=verb,
                    ),
                ),
                Exit.USAGE,
            )
        _end_politely()
        # Whoever began us may have held Ctrl-C back until it can be answered.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        module, _, function = arguments.verb.partition(":")
        verb = getattr(
            importlib.import_module(f"hoplab.cli.{module}"), FUNCTIONS.get(function, function)
        )
        with _programs_speaking_alike():
            code: int = verb(arguments)
        sys.stdout.flush()
        return code
    except LabError as error:
        if debug:
            raise
        return _print(error, as_json)
    except KeyboardInterrupt:
        if debug:
            raise
        with contextlib.suppress(OSError):  # the terminal may be gone
            text = tr(term("interrupted; nothing was left behind"))
            sys.stderr.write(f"\nhoplab: {text}\n")
        return int(Exit.INTERRUPTED)
    except SystemExit:  # argparse has printed
        try:
            sys.stdout.flush()
        except OSError:
            _no_more_output()
        raise
    except Exception as error:
        if isinstance(error, BrokenPipeError) and _nobody_reads():
            _no_more_output()  # the reader (head, less) has seen enough
            return 0
        if debug:
            raise
        return _print(_unforeseen(error), as_json)


@contextlib.contextmanager
def _programs_speaking_alike() -> Iterator[None]:
    """What runs on hosts gets this environment, and our own programs speak HOPLAB_LANG: a story
    that quotes them is in one language, whether --lang, the locale or the terminal chose it."""
    before = os.environ.get("HOPLAB_LANG")
    if output.spoken().code != code_from(os.environ):
        os.environ["HOPLAB_LANG"] = output.spoken().code
    try:
        yield
    finally:
        os.environ.pop("HOPLAB_LANG", None)
        if before is not None:
            os.environ["HOPLAB_LANG"] = before


def _three_streams() -> None:
    """Whoever starts us may have closed some of stdin, stdout and stderr: what is opened next would
    take their numbers. And what they do not know how to write is escaped."""
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
    sys.stdin = sys.stdin or os.fdopen(0, closefd=False)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _end_politely() -> None:
    """A request to end, or the end of the terminal, cleans up as Ctrl-C does."""
    signal.signal(signal.SIGTERM, _terminated)
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup(1)
        signal.signal(signal.SIGHUP, _terminated)


def _unforeseen(error: Exception) -> LabError:
    """What nobody has foreseen where it happened."""
    from hoplab.client import labs  # here: `hoplab --help` needs none of it

    try:
        labs.here()
    except LabError as gone:
        return gone
    if is_full(error):
        return LabError(
            say("what is to be written finds no room: {reason}", reason=reason_of(error)),
            term("free some space where the output goes"),
            Exit.NO_SPACE,
        )
    if isinstance(error, PermissionError) and error.filename is not None:
        return LabError(
            say("{file}: {reason}", file=error.filename, reason=reason_of(error)),
            term("it is closed to you"),
            Exit.NO_SUCH,
        )
    return limited(error) or LabError(
        say(
            "this should not happen: {kind}: {reason}",
            kind=type(error).__name__,
            reason=str(error),
        ),
        term("run it again with --debug and report what it prints"),
    )


def _print(error: LabError, as_json: bool) -> int:
    """Print it, on stderr if stdout does not take it; its code."""
    try:
        print_error(error, as_json=as_json)
        sys.stdout.flush()
    except OSError:
        _no_more_output()
        with contextlib.suppress(OSError):
            print_error(error, as_json=False)
    return int(error.code)


def _no_more_output() -> None:
    """What stdout still holds goes nowhere, or Python would complain at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _nobody_reads() -> bool:
    """Is it our output that has no reader any more, and not some other pipe or socket?"""
    ours = select.poll()
    ours.register(1, 0)
    ours.register(2, 0)
    return bool(ours.poll(0))


def _terminated(number: int, frame: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
