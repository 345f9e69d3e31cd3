# SPDX-License-Identifier: Apache-2.0
"""Whatever a person reads is a template, read from the source of the engine.

English that is written into the program in any other way (a literal, an f-string, a sum of them)
could be told in no other language. It is looked for where text leaves for a reader: in what
`LabError`, `print`, a stream's `write`, argparse's `help`, a step of progress, a state that is
waited for and a translation are given. Variables are followed to where the same function sets them.
Beside that, in the rooms that speak to people no literal at all may read like a sentence.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# A function, and how many of its first arguments are templates.
TEMPLATED = {"say": 1, "term": 1, "number_of": 2}

# Who gives text to a reader: a function, and which of its arguments are read.
READ: dict[str, tuple[int | str, ...]] = {
    "LabError": (0, 1, "message", "hint"),
    "NoAnswer": (0, 1),
    "TimedOut": (0, 1),
    "WaitTimeout": (0, 1),
    "print": (0, 1, 2, 3),
    "write": (0,),
    "tr": (0,),
    "note": (0,),
    "progress": (0,),
    "part": (0,),
    "until": (1, "hint"),
    "add_argument": ("help",),
    "add_verb": (2,),
    "add_parser": ("help", "description", "epilog"),
    "add_argument_group": (0, "title", "description"),
    "ArgumentParser": ("description", "epilog"),
    "ArgumentTypeError": (0,),
}
# Text of these kinds is the same in every language.
COMMAND = re.compile(
    r"(hoplab|sudo|pip|curl|ssh|python3|\{\} -m pip|ip (link|addr|neigh|route|rule)|"
    r"nft (chain|delete)|(set|clear) port|echo nameserver)\b(?!:)|--?[a-z]"
)
NAMES = {"hoplab", "ssh", "curl"}
# In these no literal may read like a sentence.
SPEAKING = ("cli", "client", "service", "story", "network", "report")
SENTENCE = re.compile(r"[A-Za-z][a-z']+ [a-z]{2,}")

# What reads like a sentence in the rooms that speak, and is none. Reason, then the texts.
ALLOWED = {
    "a command to type, or read by a program": (
        'eval "$(hoplab completion bash)"\nhoplab completion zsh > ~/.zfunc/_hoplab\n'
        "hoplab completion fish > ~/.config/fish/completions/hoplab.fish",
        "string match -q '*/*' -- (commandline -ct)",
        "import mininet",
        "ifconfig lo ",
        "nameserver {}\noptions timeout:2 attempts:2\n",
        '<?xml version="1.0" encoding="UTF-8"?>\n{}\n',
        "<!doctype html>\n{}\n",
        "light dark",
        "  Note over {}: {}",
    ),
    "names of kinds and of style sheets' classes": (
        "under way", "mono num", "card verdict{}", "card side", "sequence tall", "frame lost",
        "frame ignored", "mark bad", "tip passing", "topology wide", "wire idle",
    ),
    "another program's words, looked for in what it printed": (
        "start new thread",
        "counter packets (\\d+) bytes \\d+ ?",
        "\\b(?:ip protocol|meta l4proto) (\\w+)",
        "\\bip saddr ([\\d./]+)",
        "\\bip daddr ([\\d./]+)",
        "Missing parentheses in call to|multiple exception types must be parenthesized|"
        "leading zeros in decimal integer literals|inconsistent use of tabs|"
        "invalid decimal literal",
    ),
    "a mark in what a shell prints, and words of Mininet's": (
        "hoplab: tc failed",
        "cmd cmdPrint sendCmd pexec popen setIP setMAC setARP setDefaultRoute setHostRoute attach "
        "configLinkStatus addNAT",
    ),
    "in a file's own description, which is English as all data is": (
        "hoplab: topology {}, controller {}, datapath {}\nbuilt by: {}",
        "switches and controller",
        "interface of {}",
    ),
    "a fault of the caller's program, as Python's own are": (
        "{} has no attribute {}",
        "detail is {}; known are {}",
    ),
}  # fmt: skip


# Files that cannot speak the reader's language: why.
MUTE = {
    "hoplab/control/osken_main.py": "a program of its own, whose words go to the controller's log",
    "hoplab/control/ryu_main.py": "a program of its own, whose words go to the controller's log",
    "hoplab/control/roles.py": "runs in that program",
    "hoplab/stock/reference_switch.py": "programs of their own, whose words go to Mininet's logs",
    "hoplab/wireshark/extcap.py": "the braces of Wireshark's own form, {name=…}{display=…}",
}


def literal(node: ast.AST) -> str | None:
    """The fixed part of a text; {} for what is put into it. None for what is no text."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        return "".join(
            str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values
        )
    return None


def has_words(text: str) -> bool:
    """Whether it is more than signs, names, the name of a file and a command to type."""
    if re.fullmatch(r"\S*\w[./]\w\S*", text):
        return False
    words = {word for word in re.findall("[A-Za-z]{2,}", text) if not word.isupper()}
    return bool(words - NAMES) and not COMMAND.match(text.strip())


def called(call: ast.Call) -> str:
    """The last name of what is called."""
    return getattr(call.func, "id", getattr(call.func, "attr", ""))


def english(node: ast.AST | None, variables: dict[str, list[ast.AST]]) -> Iterator[ast.AST]:
    """The literals with words that this expression may give as they are. variables: what the
    function around sets its names to."""
    text = None if node is None else literal(node)
    if text is not None and COMMAND.match(text.strip()):
        return
    if text is not None and has_words(text):
        yield node
        return
    parts: list[ast.AST | None] = []
    if isinstance(node, ast.JoinedStr):
        parts += node.values
    elif isinstance(node, ast.FormattedValue):
        parts.append(node.value)
    elif isinstance(node, ast.BinOp) and not isinstance(node.op, ast.Div):  # a path, joined
        parts += [node.left, node.right]
    elif isinstance(node, ast.BoolOp):
        parts += node.values
    elif isinstance(node, ast.IfExp):
        parts += [node.body, node.orelse]
    elif isinstance(node, ast.Call) and called(node) in ("join", "tr", "str", "format"):
        parts += node.args
    elif isinstance(node, ast.List | ast.Tuple | ast.Set):
        parts += node.elts
    elif isinstance(node, ast.Name):
        variables = dict(variables)
        parts += variables.pop(node.id, [])  # no name is followed twice
    for part in parts:
        yield from english(part, variables)


def functions(tree: ast.Module) -> Iterator[tuple[ast.AST, dict[str, list[ast.AST]]]]:
    """Every function and the module itself, with what its names are set to."""
    for scope in ast.walk(tree):
        if isinstance(scope, ast.Module | ast.FunctionDef):
            variables: dict[str, list[ast.AST]] = {}
            for node in ast.walk(scope):
                if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign) and node.value:
                    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                    for target in targets:
                        if isinstance(target, ast.Name):
                            variables.setdefault(target.id, []).append(node.value)
            yield scope, variables


def read_by_people(source: str) -> Iterator[tuple[int, str]]:
    """(line, text) of English that is given to a reader and is no template."""
    seen = set()
    # Functions come after the module that they stand in; the last word on a call is theirs.
    for scope, variables in functions(ast.parse(source)):
        for call in (node for node in ast.walk(scope) if isinstance(node, ast.Call)):
            named = {keyword.arg: keyword.value for keyword in call.keywords}
            for place in READ.get(called(call), ()):
                if isinstance(place, str):
                    node = named.get(place)
                else:
                    node = call.args[place] if place < len(call.args) else None
                for literal_node in english(node, variables):
                    key = literal_node.lineno, literal(literal_node) or ""  # type: ignore[attr-defined]
                    if key not in seen:
                        seen.add(key)
                        yield key


def sentences(source: str) -> Iterator[tuple[int, str]]:
    """(line, text) of literals that read like a sentence and are neither a docstring nor a
    template nor the words of an assertion."""
    tree = ast.parse(source)
    silent: set[int] = set()
    for node in ast.walk(tree):
        inner: list[ast.AST] = []
        if isinstance(node, ast.Expr):  # a docstring
            inner = [node.value]
        elif isinstance(node, ast.Call):
            inner = [*node.args[: TEMPLATED.get(called(node), 0)]]
        elif isinstance(node, ast.Assert) and node.msg:
            inner = [node.msg]
        elif isinstance(node, ast.JoinedStr):  # told as a whole
            inner = [part for part in node.values if isinstance(part, ast.Constant)]
        silent.update(map(id, inner))
    for node in ast.walk(tree):
        text = literal(node)
        if text and id(node) not in silent and SENTENCE.search(text) and has_words(text):
            yield node.lineno, text  # type: ignore[attr-defined]


def modules(*rooms: str) -> list[Path]:
    """The engine's modules: all of them, or those of these rooms and those beside the rooms."""
    every = sorted((ROOT / "hoplab").rglob("*.py"))
    return [path for path in every if not rooms or path.parent.name in (*rooms, "hoplab")]


def test_what_people_read_is_a_template() -> None:
    bare = {
        str(path.relative_to(ROOT)): list(read_by_people(path.read_text(encoding="utf-8")))
        for path in modules()
    }
    assert {file: places for file, places in bare.items() if places and file not in MUTE} == {}
    assert [file for file in MUTE if not bare[file]] == [], "these speak by now"


def test_no_literal_of_a_room_that_speaks_reads_like_a_sentence() -> None:
    allowed = {text for texts in ALLOWED.values() for text in texts}
    loose = [
        (str(path.relative_to(ROOT)), line, text)
        for path in modules(*SPEAKING)
        for line, text in sentences(path.read_text(encoding="utf-8"))
    ]
    assert [place for place in loose if place[2] not in allowed] == []
    assert allowed == {text for _, _, text in loose}, "what is allowed stands somewhere"


BROKEN = [
    'raise LabError("the lab is gone")',
    'raise LabError(say("{lab} is gone", lab=name), "bring it up")',
    'raise LabError(f"{name} is gone", code=Exit.NO_SUCH)',
    'raise errors.LabError(message="it is " + "gone")',
    'def f():\n    hint = "end it"\n    raise LabError(say("x"), hint)',
    'print("no lab is up")',
    'print(f"  kept in {folder}")',
    'sys.stderr.write("interrupted" if interrupted else "done")',
    'print(tr("topology"), name)',
    'parser.add_argument("--json", help="print data")',
    'progress(f"starting {name}")',
]
FINE = [
    'raise LabError(say("{lab} is gone", lab=name), term("bring it up"), Exit.NO_SUCH)',
    'raise LabError(error.message, "hoplab up web")',
    'def f():\n    hint = term("end it")\n    raise LabError(say("x"), hint)',
    'print(f"  {tr(line)}\\n")',
    'sys.stderr.write(f"hoplab: {text}\\n")',
    'print(folder / "report.html")',
    'parser.add_argument("--json", metavar="FILE", help=term("print data"))',
]


@pytest.mark.parametrize("source", BROKEN)
def test_bare_english_is_found(source: str) -> None:
    assert len(list(read_by_people(source))) >= 1


@pytest.mark.parametrize("source", FINE)
def test_templates_and_commands_are_no_bare_english(source: str) -> None:
    assert list(read_by_people(source)) == []
