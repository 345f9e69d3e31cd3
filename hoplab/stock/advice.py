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


def of_no_network(argv: Sequence[str]) -> str:
    """What to say of a command that has ended well without having built a network, if its script
    has one to build; "" if it has none."""
    for file in [word for word in argv if word.endswith(".py")][:1]:
        try:
            tree = ast.parse(Path(file).read_bytes())
        except (OSError, SyntaxError, ValueError):
            return ""
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
        networks = [call.lineno for call in calls if _last_name(call.func) == "Mininet"]
        if networks:
            return say(
                "{file} has built no network: nothing that was run came to the Mininet(…) of line "
                "{line}",
                file=file,
                line=min(networks),
            )
        if any(map(_defines_topo, ast.walk(tree))):
            return say(
                "{file} defines a Topo, and builds no network of it: {command} does",
                file=file,
                command=f"hoplab up {shlex.quote(file)}",
            )
    return ""


def _defines_topo(node: ast.AST) -> bool:
    """A class made of a Topo, or the table in which `mn --custom` looks for such."""
    if isinstance(node, ast.ClassDef):
        return any(_last_name(base).endswith("Topo") for base in node.bases)
    return isinstance(node, ast.Assign) and "topos" in map(_last_name, node.targets)


def _last_name(node: ast.expr) -> str:
    """Of `mininet.topo.Topo` the last."""
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
