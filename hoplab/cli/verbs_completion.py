# SPDX-License-Identifier: Apache-2.0
"""The verb `completion`: a script for a shell, and the words that it asks for.

The script knows verbs, options and fixed choices by heart. What depends on the moment (labs that
are up, their hosts and switches) or on the files at hand it asks of `hoplab completion --words`.
"""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path

from hoplab import content, ryu_apps
from hoplab.client import kept_runs, labs
from hoplab.errors import Exit, LabError
from hoplab.sentences import say, term

# Where which words may stand: by verb and argument; "" stands for every verb.
WORDS = {
    ("", "name"): "labs",
    ("", "controller"): "controllers",
    ("", "topology"): "topologies",
    ("up", "topo"): "topos",
    ("", "compare"): "controllers",
    ("", "host"): "hosts",
    ("", "hosts"): "hosts",
    ("", "switches"): "switches",
    ("capture", "what"): "hosts",
    ("break", "kind"): "faults",
    ("ls", "lab"): "labs",
    ("ls", "remove"): "runs",
    ("web", "lab"): "labs",
    ("link", "first"): "nodes",
    ("link", "second"): "nodes",
    ("add", "to"): "switches",
    ("add", "names"): "nodes",
    ("remove", "names"): "nodes",
    ("set", "host"): "hosts",
    ("path", "what"): "files",
    ("lab", "action"): "actions",
    ("lab", "sheet"): "sheets",
    ("lab", "student"): "students",
    ("class", "action"): "class-actions",
    ("class", "sheet"): "sheets",
}
# Where files and folders stand; bash offers files wherever it has nothing else.
FILES = {("report", "output"), ("tell", "file"), ("tell", "wiring"), ("find", "run"),
         ("capture", "file"), ("", "capture"), ("", "command"), ("ls", "svg"), ("save", "file"),
         ("lab", "output"), ("lab", "kathara"), ("class", "students"),
         ("class", "folder")}  # fmt: skip
FOLDERS = {("class", "output"), ("", "save"), ("", "keep_tmp"), ("report", "run"),
           ("report", "other")}  # fmt: skip
# A lab that is to be brought up is given a new name.
NEW = {("up", "name"), ("run", "name"), ("mn", "name")}

# What has been typed says which lab it is about: `--name`.
_ASK = 'hoplab completion --words {} --line "$COMP_LINE" 2>/dev/null'
_ASK_ZSH = 'hoplab completion --words $1 --line "$BUFFER" 2>/dev/null'
_ASK_FISH = "hoplab completion --words {} --line (commandline | string collect) 2>/dev/null"
_ASK_TCSH = "hoplab completion --words {} 2>/dev/null"
# Called when such a word is completed; what stands in the script itself is run at each TAB.
_ZSH = f"""\
_hoplab_words() {{
  if [[ $PREFIX == */* && $1 == (topologies|controllers) ]]; then
    _files -g '*.py(-.)'
  else
    compadd -- ${{(f)"$({_ASK_ZSH})"}}
  fi
}}"""


def completion(arguments: argparse.Namespace) -> int:
    if arguments.words:
        print("\n".join(words(arguments.words, _lab_in(arguments.line))))
        return Exit.OK
    if not arguments.shell:
        raise LabError(term("for which shell?"), "hoplab completion bash", Exit.USAGE)
    try:
        import shtab
    except ImportError:
        raise LabError(
            term("completion scripts need the package shtab"),
            say("install it: {command}", command="pip install shtab"),
            Exit.REFUSED,
        ) from None
    from hoplab.cli.parser import build_parser

    parser = build_parser()
    verbs = next(a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    for name, verb in verbs.choices.items():
        for action in verb._actions:
            places = {(name, action.dest), ("", action.dest)}
            kind = WORDS.get((name, action.dest)) or WORDS.get(("", action.dest))
            if action.nargs == 0 or action.choices is not None or places & NEW:
                continue
            if kind:
                action.complete = {**shtab.cmd(_ASK.format(kind)), **_asks(kind)}
            elif places & FILES:
                action.complete = shtab.FILE
            elif places & FOLDERS:
                action.complete = shtab.DIRECTORY
    own = _ZSH if arguments.shell == "zsh" else ""
    script = shtab.complete(parser, shell=arguments.shell, preamble=own)
    print(script.replace("complete -o bashdefault -F", "complete -o bashdefault -o default -F"))
    return Exit.OK


def _asks(kind: str) -> dict[str, str]:
    """How zsh and fish ask; a path is completed as a path."""
    fish = _ASK_FISH.format(kind)
    if kind in ("topologies", "controllers"):
        path = "string match -q '*/*' -- (commandline -ct)"
        fish = f"if {path}; __fish_complete_suffix .py; else; {fish}; end"
    return {"zsh": f"{{_hoplab_words {kind}}}", "fish": f"({fish})"}


def _lab_in(line: str | None) -> str | None:
    """The lab that a line which is being typed names, None if it names none."""
    # tcsh hands the line over by itself.
    typed = line if line is not None else os.environ.get("COMMAND_LINE", "")
    found = re.search(r"(?:^|\s)--name[= ]+([^\s=]+)(?=\s)", typed)
    return found[1] if found else None


def words(kind: str, lab: str | None = None) -> list[str]:
    """What may stand in such a place now; nothing when there is no lab. lab: which one, if that is
    known."""
    if kind in ("labs", "runs"):
        return _names(kind)
    if kind in ("topologies", "controllers"):
        own = sorted(f"./{path.name}" for path in Path().glob("*.py"))
        modules = ryu_apps.modules() if kind == "controllers" else []
        return [*content.names(kind), *own, *modules]  # type: ignore[arg-type]
    if kind == "topos":
        return sorted({name for path in Path().glob("*.py") for name in content.topos_in(path)})
    if kind == "faults":
        from hoplab.faults.breaking import ALL_KINDS

        return [each.name for each in ALL_KINDS]
    if kind in ("actions", "sheets", "students", "class-actions"):
        return _of_teaching(kind)
    if kind == "files":
        kinds: tuple[content.Kind, ...] = ("topologies", "controllers", "apps")
        return sorted({name for each in kinds for name in content.names(each)})
    return _nodes(kind, lab)


def _names(kind: str) -> list[str]:
    """The names of labs that are up: 'labs'; or of runs that were kept."""
    if kind == "labs":
        return [handle.name for handle in labs.live()]
    return [run.name for run in kept_runs.kept_runs()]


def _of_teaching(kind: str) -> list[str]:
    """What can be done with lab sheets: 'actions'; with courses: 'class-actions'; which sheets
    there are, or whose keys."""
    from hoplab.classroom import joined
    from hoplab.cli import options_class, options_sheets
    from hoplab.sheets import sheet_file

    if kind == "students":
        return joined.ids()
    if kind == "sheets":
        return sheet_file.names()
    return list(options_sheets.ACTIONS if kind == "actions" else options_class.ACTIONS)


def _nodes(kind: str, lab: str | None) -> list[str]:
    """The nodes of a lab: 'hosts', 'switches' or all."""
    try:
        nodes = labs.find(lab).state()["nodes"]
    except LabError:
        return []
    switches = kind == "switches"
    return [
        node["name"]
        for node in nodes
        if kind == "nodes" or (node["kind"] == "switch") == switches
    ]
