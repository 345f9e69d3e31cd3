# SPDX-License-Identifier: Apache-2.0
"""Where our topologies, controllers, apps and lab sheets are, and which file a name means.

The same answers in a checkout, an editable install and a wheel: in the first two the folders
stand beside hoplab/, in a wheel inside it. A bare name means a file of ours; anything with a
slash or a suffix is the user's own file and may be anywhere.

Nothing here reads more of a file than it takes to tell what kind it is, and nothing is imported.
"""

from __future__ import annotations

import ast
import difflib
import re
import shlex
from pathlib import Path
from typing import Literal

from hoplab.errors import Exit, LabError, reason_of
from hoplab.sentences import listed, say, term, together

Kind = Literal["topologies", "controllers", "apps", "labs"]

KINDS: tuple[Kind, ...] = ("topologies", "controllers", "apps", "labs")

_KIND = {
    "topologies": term("topology"),
    "controllers": term("controller"),
    "apps": term("app"),
    "labs": term("lab sheet"),
}
_SUFFIX = {"topologies": ".py", "controllers": ".py", "apps": ".py", "labs": ".md"}
# What a file must have to be listed, which the helpers beside it do not.
_MARK = {
    "topologies": re.compile(r"^topos\b", re.MULTILINE),
    "controllers": re.compile(r"^class \w+\(.*\bRyuApp\)", re.MULTILINE),
    "apps": re.compile(r"^if __name__ ==", re.MULTILINE),
    "labs": re.compile(r"^# ", re.MULTILINE),
}
_HERE = Path(__file__).resolve().parent


def folder(kind: Kind) -> Path:
    """Our folder of that kind."""
    # Inside first: in a wheel, a folder beside us belongs to somebody else.
    for place in (_HERE / kind, _HERE.parent / kind):
        if place.is_dir():
            return place
    raise LabError(
        say("this installation of hoplab has no folder {folder}", folder=kind),
        term("install hoplab again"),
        Exit.NO_SUCH,
    )


def installer() -> str:
    """The command that installs what hoplab needs; "" where this is no checkout."""
    path = _HERE.parent / "scripts" / "install.sh"
    return shlex.quote(str(path)) if path.is_file() else ""


def names(kind: Kind) -> list[str]:
    """The bare names that a user may give, sorted."""
    try:
        place = folder(kind)
    except LabError:
        return []
    return sorted(
        path.stem
        for path in place.glob(f"*{_SUFFIX[kind]}")
        if _MARK[kind].search(path.read_text(encoding="utf-8", errors="replace"))
    )


def find(kind: Kind, name: str) -> Path:
    """The file that `name` means: one of ours, or the user's own; absolute."""
    suffix = _SUFFIX[kind]
    if "/" in name or name.endswith(suffix):
        try:
            path = Path(name).expanduser().absolute()
            there = path.is_file()
        except OSError as error:  # a folder that may not be entered, or that is gone
            raise LabError(
                say("{file} cannot be read: {reason}", file=name, reason=reason_of(error)),
                term("copy it to a folder of yours, or go to one"),
                Exit.NO_SUCH,
            ) from error
        if there:
            return path
        if path.is_dir():
            message = say("{folder} is a folder, not a {kind} file", folder=name, kind=_KIND[kind])
            raise LabError(message, "", Exit.NO_SUCH)
        raise LabError(
            say("there is no file {file}", file=name), _hint(kind, path.stem), Exit.NO_SUCH
        )
    path = folder(kind) / f"{name}{suffix}"
    if name and path.is_file():
        return path
    own = [file for file in (f"{name}{suffix}", name) if Path(file).is_file()]
    hint = say("for your own file say ./{file}", file=own[0]) if own else _hint(kind, name)
    message = say("there is no {kind} {name!r}", kind=_KIND[kind], name=name)
    raise LabError(message, hint, Exit.NO_SUCH)


def find_all(kind: Kind, names_: str) -> tuple[Path, ...]:
    """The files that 'two_table_switch,monitor' means. Raises LabError."""
    return tuple(find(kind, name.strip()) for name in names_.split(","))


def _hint(kind: Kind, name: str) -> str:
    """The likeliest name first, then all of them."""
    every = names(kind)
    close = difflib.get_close_matches(name, every, n=1)
    return together(
        say("did you mean {name}?", name=close[0]) if close else "",
        say(
            "hoplab has: {names}; a file of your own is given by its path, as in ./my{suffix}",
            names=listed(every) or term("none"),
            suffix=_SUFFIX[kind],
        ),
    )


def topos_in(path: Path) -> list[str]:
    """The names of the topologies that a user's file seems to have, by its text alone."""
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Dict):
            continue
        if [_last_word(target) for target in node.targets] == ["topos"]:
            keys = [key.value for key in node.value.keys if isinstance(key, ast.Constant)]
            return [key for key in keys if isinstance(key, str)]
    classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    topos = {"Topo"}
    for _ in classes:  # as often as classes may be made of one another
        topos |= {made.name for made in classes if topos & set(map(_last_word, made.bases))}
    return [made.name for made in classes if made.name in topos]


def _last_word(node: ast.expr) -> str:
    """'Topo' of mininet.topo.Topo."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


# What Python 3 says of what was right in Python 2: `print x`, `except E, e`, 0777, a `` and <>.
_PYTHON_2 = re.compile(
    r"Missing parentheses in call to|multiple exception types must be parenthesized|"
    r"leading zeros in decimal integer literals|inconsistent use of tabs|invalid decimal literal"
)


def is_python2(error: SyntaxError) -> bool:
    """Whether what Python 3 does not understand was right in Python 2."""
    text = error.text or ""
    return bool(_PYTHON_2.search(error.msg)) or "<>" in text or bool(re.match(r"\s*exec ", text))
