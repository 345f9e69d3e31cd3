# SPDX-License-Identifier: Apache-2.0
"""Who may import whom, read from the source: `docs/architecture.md` says why.

Imports are found wherever they stand, at the top, inside a function or under TYPE_CHECKING, and
`importlib.import_module("name")` counts. So does what is loaded by its path: a folder put where
imports look, a file loaded by `importlib` or `runpy`. A room is a module or package directly below
hoplab.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CONTENT = ("topologies", "controllers", "apps")


def imports_of(path: Path, package: tuple[str, ...]) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of every import; relative ones made absolute within `package`."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            stem = ".".join((*base, *((node.module,) if node.module else ())))
            # `from hoplab import cli` imports hoplab.cli, so each name counts as a module.
            for alias in node.names:
                yield node.lineno, f"{stem}.{alias.name}"
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name | ast.Attribute)
            and (node.func.id if isinstance(node.func, ast.Name) else node.func.attr)
            in ("import_module", "__import__")
            and node.args
            and isinstance(node.args[0], ast.Constant)
        ):
            yield node.lineno, str(node.args[0].value)


def loads_of(path: Path) -> Iterator[tuple[int, str]]:
    """(line, what is called or changed) where code is loaded by its path, or Python's own path is
    changed: that leads to modules whose names no import tells."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Call):
            name = dotted(node.func)
            owner, _, called = name.rpartition(".")
            if called in LOADERS or (called in CHANGERS and owner in PATHS):
                yield node.lineno, name
        elif isinstance(node, ast.Assign | ast.AugAssign):
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                whole = target.value if isinstance(target, ast.Subscript) else target
                if dotted(whole) in PATHS[:1]:
                    yield node.lineno, dotted(whole)


def dotted(node: ast.expr) -> str:
    """`sys.path.insert` for such an expression; without what is no name in it."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}".removeprefix(".")
    return node.id if isinstance(node, ast.Name) else ""


def room_of(name: str) -> str | None:
    """`wire` of hoplab.wire.pcapng; None for what is not ours or is hoplab itself."""
    parts = name.split(".")
    if parts[0] != "hoplab" or len(parts) < 2:
        return None
    return parts[1] if not parts[1].startswith("__") else None


# Rooms that may import only these rooms of ours.
KNOWS = {
    "sentences": set[str](),
    "errors": set[str](),
    "sandbox": {"errors"},
    "wire": {"wire", "errors"},
    "trace": {"trace", "wire", "errors"},
    "runs": {"trace", "wire", "errors"},
    "report": {"report", "runs", "trace", "wire", "errors"},
}
# Rooms that may import nothing but these and Python's own library.
STANDARD_LIBRARY_ONLY = {"sentences", "errors", "sandbox"}
# A foreign package, and the rooms that may import it.
ONLY_IN = {
    "mininet": {"network"}, "ryu": {"ryu_main"}, "os_ken": {"osken_main"},
    "eventlet": {"ryu_main"}, "h11": {"http_peer", "proxy"},
}  # fmt: skip
# Functions that load a file by its path, or put a folder where imports look.
LOADERS = {
    "spec_from_file_location", "SourceFileLoader", "SourcelessFileLoader", "run_path", "addsitedir",
}  # fmt: skip
PATHS = ("sys.path", "path")  # the latter after `from sys import path`
CHANGERS = {"insert", "append", "extend"}
# Who may: the first loads the topology that a user named, as `mn --custom` does. The second stands
# in a process of stock Mininet's and lets it find a Mininet that is installed elsewhere.
MAY_LOAD = {"hoplab/network/topofile.py", "hoplab/stock.py"}
# The modules of content, as a folder of theirs on the path would make them importable.
CONTENT_MODULES = {
    part.removesuffix(".py")
    for folder in CONTENT
    for path in (ROOT / folder).rglob("*.py")
    for part in path.relative_to(ROOT / folder).parts
}


def faults(root: Path) -> list[str]:
    """Every forbidden import below `root`, as `file:line: what is wrong`."""
    found: list[str] = []

    def fault(path: Path, line: int, sentence: str) -> None:
        found.append(f"{path.relative_to(root)}:{line}: {sentence}")

    for path in sorted((root / "hoplab").rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        room = parts[1]
        for line, name in imports_of(path, parts[:-1]):
            other, top = room_of(name), name.split(".")[0]
            if other not in (None, "sentences") and room in KNOWS and other not in KNOWS[room]:
                fault(path, line, f"{room} must not know {other}")
            if other == "cli" and room not in ("cli", "__main__"):
                fault(path, line, "nothing imports cli")
            if room not in ONLY_IN.get(top, {room}):
                fault(path, line, f"only {' '.join(sorted(ONLY_IN[top]))} may import {top}")
            if top in CONTENT or (top in CONTENT_MODULES and top not in sys.stdlib_module_names):
                fault(path, line, f"the engine never imports content, such as {top}")
            if (
                room in STANDARD_LIBRARY_ONLY
                and top != "hoplab"
                and top not in sys.stdlib_module_names
            ):
                fault(path, line, f"{room} uses the standard library only, not {top}")
        if path.relative_to(root).as_posix() not in MAY_LOAD:
            for line, name in loads_of(path):
                fault(path, line, f"the engine loads nothing by its path: {name}")
    for folder in CONTENT:
        for path in sorted((root / folder).rglob("*.py")):
            for line, name in imports_of(path, (folder,)):
                if name.split(".")[0] == "hoplab":
                    fault(path, line, "content stands alone and never imports hoplab")
                if folder == "controllers" and name.startswith(
                    ("ryu.app.", "ryu.cmd.", "ryu.topology.")
                ):
                    fault(path, line, f"not portable beyond Ryu itself: {name}")
    return found


def test_every_import_is_allowed() -> None:
    assert faults(ROOT) == []


BROKEN: list[tuple[str, str, str]] = [
    ("hoplab/errors.py", "import hoplab.sandbox", "errors must not know sandbox"),
    ("hoplab/errors.py", "import dns.name", "errors uses the standard library only, not dns"),
    ("hoplab/sandbox.py", "from hoplab.wire import pcapng", "sandbox must not know wire"),
    ("hoplab/sandbox.py", "import mininet.net", "only network may import mininet"),
    ("hoplab/wire/pcapng.py", "from hoplab import content", "wire must not know content"),
    ("hoplab/wire/pcapng.py", "from ..trace import model", "wire must not know trace"),
    ("hoplab/trace/story.py", "from hoplab.report import terminal", "trace must not know report"),
    ("hoplab/trace/story.py", "from .. import network", "trace must not know network"),
    ("hoplab/runs.py", "from hoplab.report import page", "runs must not know report"),
    ("hoplab/report/page.py", "from hoplab import client", "report must not know client"),
    ("hoplab/daemon.py", "def f():\n    from mininet.net import Mininet", "only network may"),
    ("hoplab/daemon.py", "import importlib\nimportlib.import_module('mininet.cli')", "only netw"),
    ("hoplab/control.py", "import ryu", "only ryu_main may import ryu"),
    ("hoplab/gate.py", "from h11 import Connection", "only http_peer proxy may import h11"),
    ("hoplab/ryu_main.py", "from os_ken import cfg", "only osken_main may import os_ken"),
    ("hoplab/web/server.py", "import hoplab.cli.main", "nothing imports cli"),
    ("hoplab/web/server.py", "from hoplab import cli", "nothing imports cli"),
    ("hoplab/proxy.py", "import http1", "the engine never imports content, such as http1"),
    ("hoplab/lab.py", "from topologies import nodes", "the engine never imports content"),
    ("hoplab/lab.py", "import importlib\nimportlib.import_module('kit')", "the engine never imp"),
    ("hoplab/proxy.py", "import sys\nsys.path.insert(0, 'apps')", "the engine loads nothing by i"),
    ("hoplab/proxy.py", "import sys\ndef f(x):\n    sys.path.append(x)", "the engine loads noth"),
    ("hoplab/proxy.py", "from sys import path\npath.extend(['apps'])", "the engine loads nothing"),
    ("hoplab/proxy.py", "import sys\nsys.path[:0] = ['apps']", "the engine loads nothing by its p"),
    ("hoplab/proxy.py", "import sys\nsys.path += ['apps']", "the engine loads nothing by its path"),
    ("hoplab/content.py", "import site\nsite.addsitedir('apps')", "the engine loads nothing by it"),
    ("hoplab/runs.py", "import runpy\nrunpy.run_path('apps/fetch.py')", "the engine loads nothing"),
    (
        "hoplab/cli/main.py",
        "from importlib import util\nutil.spec_from_file_location('fetch', 'apps/fetch.py')",
        "the engine loads nothing by its path: util.spec_from_file_location",
    ),
    (
        "hoplab/lab.py",
        "from importlib.machinery import SourceFileLoader\nSourceFileLoader('kit', 'kit.py')",
        "the engine loads nothing by its path: SourceFileLoader",
    ),
    ("topologies/web.py", "from hoplab import content", "content stands alone"),
    ("apps/dns_server.py", "import hoplab", "content stands alone"),
    ("controllers/hub.py", "from hoplab.errors import LabError", "content stands alone"),
    ("controllers/hub.py", "from ryu.app.wsgi import WSGIApplication", "not portable"),
]


@pytest.mark.parametrize(("file", "source", "says"), BROKEN)
def test_a_forbidden_import_is_found(tmp_path: Path, file: str, source: str, says: str) -> None:
    path = tmp_path / file
    path.parent.mkdir(parents=True)
    path.write_text(source + "\n")
    line = source.count("\n") + 1
    found = faults(tmp_path)
    assert any(fault.startswith(f"{file}:{line}: {says}") for fault in found), found


ALLOWED: list[tuple[str, str]] = [
    ("hoplab/sandbox.py", "import ctypes, os\nfrom hoplab.errors import LabError"),
    ("hoplab/wire/pcapng.py", "from hoplab.wire.observation import Observation\nimport struct"),
    ("hoplab/trace/story.py", "from hoplab.wire import packet\nfrom .model import Hop"),
    ("hoplab/network.py", "def f():\n    from mininet.net import Mininet"),
    ("hoplab/ryu_main.py", "import eventlet\nfrom ryu.cmd import manager"),
    ("hoplab/cli/main.py", "from hoplab.cli import parse\nfrom hoplab import __version__"),
    ("hoplab/wire/capture.py", "from hoplab import __version__"),
    ("hoplab/network/topofile.py", "import sys\nsys.path.insert(0, 'where the user is')"),
    ("hoplab/lab.py", "import os\nos.path.join('a')\nfolders = []\nfolders.append('apps')"),
    ("hoplab/proxy.py", "import h11"),
    ("topologies/web.py", "from mininet.topo import Topo"),
    ("controllers/hub.py", "from ryu.base import app_manager"),
]


@pytest.mark.parametrize(("file", "source"), ALLOWED)
def test_an_allowed_import_is_left_alone(tmp_path: Path, file: str, source: str) -> None:
    path = tmp_path / file
    path.parent.mkdir(parents=True)
    path.write_text(source + "\n")
    assert faults(tmp_path) == []
