# SPDX-License-Identifier: Apache-2.0
"""What to do about a command of `hoplab run` that could not do what was meant: the line that works.
"""

from __future__ import annotations

import ast
import shlex
from collections.abc import Sequence
from pathlib import Path

from hoplab import content
from hoplab.sentences import say


def line_for_script(argv: Sequence[str]) -> str:
    """How to run a command whose first word is a Python script; "" if it is none."""
    script = Path(argv[0])
    if not script.is_file() or not (script.suffix == ".py" or _names_python(script)):
        return ""
    return say("it is a Python script: {command}", command=_with_python("python3", argv))


def _names_python(script: Path) -> bool:
    """Whether its first line says that Python reads it: that Python may be nowhere."""
    try:
        with script.open("rb") as opened:
            first = opened.readline(200)
    except OSError:
        return False
    return first.startswith(b"#!") and b"python" in first


def _with_python(python: str, argv: Sequence[str]) -> str:
    return f"hoplab run -- {python} {shlex.join(argv)}"


def for_python2(argv: Sequence[str]) -> str:
    """What to say of a command that failed, if it is a script for Python 2; "" if it is none."""
    names = [word for word in argv if word.endswith(".py")]
    if not names or "python2" in argv[0]:
        return ""
    try:
        ast.parse(Path(names[0]).read_bytes())
    except SyntaxError as error:
        if content.is_python2(error):
            return say(
                "{file} is for Python 2: {command} rewrites it for Python 3 (Debian's package "
                "2to3)",
                file=names[0],
                command=f"2to3 -w {shlex.quote(names[0])}",
            )
    except (OSError, ValueError):
        pass
    return ""
