# SPDX-License-Identifier: Apache-2.0
"""Who may import whom, read from the source: `docs/architecture.md` says why.

Imports are found wherever they stand, at the top, inside a function or under TYPE_CHECKING, and
`importlib.import_module("name")` counts. So does what is loaded by its path: a folder put where
imports look, a file loaded by `importlib` or `runpy`. A room is a module or package directly below
hoplab.
"""

from __future__ import annotations

import ast
import re
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
    """`capture` of hoplab.capture.pcapng; None for what is not ours or is hoplab itself."""
    parts = name.split(".")
    if parts[0] != "hoplab" or len(parts) < 2:
        return None
    return parts[1] if not parts[1].startswith("__") else None


# What each room may import of ours, beside `sentences`, in which everybody speaks. A room is a
# package, or a module beside the packages.
_FILES = {
    "errors", "wait", "content", "ryu_apps", "outfile", "programs", "openflow_channel",
    "quantities", "nearest", "strict_yaml", "imports",
}  # fmt: skip
KNOWS: dict[str, set[str]] = {
    "sentences": set(),
    "errors": set(),
    "openflow_channel": set(),
    "circles": set(),
    "programs": set(),
    "quantities": set(),
    "nearest": set(),
    "pulse": set(),
    "wait": {"errors"},
    "content": {"errors"},
    "strict_yaml": {"errors"},
    "imports": {"strict_yaml", "programs", "errors"},
    "ryu_apps": {"content", "errors"},
    "outfile": {"errors"},
    "decode": set(),
    "capture": {"errors"},
    "kernel": {"errors"},
    "follow": {"capture", "decode"},
    "story": {"follow", "capture", "decode", "openflow_channel", "circles"},
    "replay": {"openvswitch", "story", "follow", "capture", "decode", "wait"},
    "vantage": {"follow", "capture", "decode", "openflow_channel", "nearest", "errors"},
    "runs": {"vantage", "story", "follow", "capture", "openflow_channel", "errors"},
    "report": {"runs", "story", "follow", "capture", "decode"},
    "packet_filter": {"runs", "story", "errors"},
    "web": {"packet_filter", "report", "runs", "story", "follow", "capture", "decode"},
    "live": {
        "web", "client", "replay", "report", "runs", "story", "follow", "capture", *_FILES,
    },
    "openvswitch": {"kernel", "programs", "pulse", "wait", "errors"},
    "network": {"kernel", "openvswitch", "imports", "content", "nearest", "errors"},
    "control": {
        "openvswitch", "kernel", "openflow_channel", "pulse", "imports", "content", "ryu_apps",
        "wait", "errors",
    },
    "service": {"network", "control", "openvswitch", "kernel", "capture", "circles", *_FILES},
    "client": {"service", "control", "kernel", "capture", "story", "runs", *_FILES},
    "browser": {"content", "errors", "wait"},
    "stock": {
        "client", "service", "control", "openvswitch", "kernel", "capture", *_FILES,
    },
    "plans": {"client", "story", "follow", "kernel", "content", "quantities", "errors"},
    "faults": {"client", "story", "follow", "errors", "wait"},
    "sheets": {
        "client", "faults", "packet_filter", "replay", "runs", "story", "follow", "decode", *_FILES,
    },
    "classroom": {
        "sheets", "client", "packet_filter", "runs", "story", "follow", "capture", "decode",
        *_FILES,
    },
    "api": {
        "client", "service", "packet_filter", "replay", "web", "report", "runs", "vantage",
        "story", "follow", *_FILES,
    },
    "doctor": {"client", "openvswitch", "kernel", *_FILES},
    "wireshark": {"client", "capture", "report", "errors"},
    "cli": {
        "api", "client", "service", "openvswitch", "browser", "stock", "doctor", "wireshark",
        "faults", "plans", "sheets", "classroom", "web", "live", "packet_filter", "report",
        "replay", "runs", "vantage", "story", "follow", "capture", *_FILES,
    },
}  # fmt: skip
# Rooms that may import nothing but these and Python's own library.
STANDARD_LIBRARY_ONLY = {
    "sentences", "errors", "openflow_channel", "circles", "programs", "pulse", "wait", "outfile",
    "kernel", "decode", "capture", "follow",
}  # fmt: skip
# A foreign package, and the files that may import it.
ONLY_IN = {
    "mininet": ("hoplab/network/",),
    "ryu": ("hoplab/control/ryu_main.py",),
    "eventlet": ("hoplab/control/ryu_main.py",),
    "os_ken": ("hoplab/control/osken_main.py",),
    "h11": ("hoplab/browser/",),
    "starlette": ("hoplab/live/",),
    "uvicorn": ("hoplab/live/",),
    "cryptography": ("hoplab/classroom/signatures.py",),
}
# Functions that load a file by its path, or put a folder where imports look.
LOADERS = {
    "spec_from_file_location", "SourceFileLoader", "SourcelessFileLoader", "run_path", "addsitedir",
}  # fmt: skip
PATHS = ("sys.path", "path")  # the latter after `from sys import path`
CHANGERS = {"insert", "append", "extend"}
# Who may: the first loads the topology that a user named, as `mn --custom` does. The second stands
# in a process of stock Mininet's and lets it find a Mininet that is installed elsewhere. The third
# is a controller's process, which finds modules where its user is.
MAY_LOAD = {
    "hoplab/network/topofile.py", "hoplab/stock/sitecustomize.py", "hoplab/control/ryu_main.py",
}  # fmt: skip
# The modules of content, as a folder of theirs on the path would make them importable.
CONTENT_MODULES = {
    part.removesuffix(".py")
    for folder in CONTENT
    for path in (ROOT / folder).rglob("*.py")
    for part in path.relative_to(ROOT / folder).parts
}


def rooms(root: Path) -> set[str]:
    """The names of all packages and modules directly below hoplab."""
    return {
        path.stem for path in (root / "hoplab").iterdir()
        if path.name != "__init__.py" and (path.suffix == ".py" or (path / "__init__.py").exists())
    }  # fmt: skip


def faults(root: Path) -> list[str]:
    """Every forbidden import below `root`, as `file:line: what is wrong`."""
    sentences: list[str] = []

    def fault(path: Path, line: int, sentence: str) -> None:
        sentences.append(f"{path.relative_to(root)}:{line}: {sentence}")

    for path in sorted((root / "hoplab").rglob("*.py")):
        file = path.relative_to(root)
        parts = file.with_suffix("").parts
        room = parts[1]
        if room == "__init__":
            continue
        if room not in KNOWS:
            fault(path, 1, f"the room {room} has no rule: say in KNOWS what it may import")
        for line, name in imports_of(path, parts[:-1]):
            target, top = room_of(name), name.split(".")[0]
            if target in KNOWS and target not in {room, "sentences", *KNOWS.get(room, KNOWS)}:
                fault(path, line, f"{room} must not know {target}")
            if target == "cli" and room != "cli":
                fault(path, line, "nothing imports cli")
            if not file.as_posix().startswith(ONLY_IN.get(top, ("",))):
                fault(path, line, f"only {' '.join(ONLY_IN[top])} may import {top}")
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
    return sentences


def test_every_import_is_allowed() -> None:
    assert faults(ROOT) == []


BROKEN: list[tuple[str, str, str]] = [
    ("hoplab/circles.py", "import hoplab.follow.wiring", "circles must not know follow"),
    ("hoplab/openflow_channel.py", "import hoplab.wait", "openflow_channel must not know wait"),
    ("hoplab/programs.py", "from hoplab import errors", "programs must not know errors"),
    ("hoplab/pulse.py", "from hoplab import wait", "pulse must not know wait"),
    ("hoplab/service/lab.py", "from h11 import Connection", "only hoplab/browser/ may import h11"),
    ("hoplab/sentences.py", "from hoplab import errors", "sentences must not know errors"),
    ("hoplab/errors.py", "import hoplab.kernel.sandbox", "errors must not know kernel"),
    ("hoplab/errors.py", "import dns.name", "errors uses the standard library only, not dns"),
    ("hoplab/wait.py", "from hoplab import content", "wait must not know content"),
    ("hoplab/content.py", "from hoplab import outfile", "content must not know outfile"),
    ("hoplab/ryu_apps.py", "from hoplab import outfile", "ryu_apps must not know outfile"),
    ("hoplab/outfile.py", "from hoplab.client import labs", "outfile must not know client"),
    ("hoplab/decode/dns.py", "from hoplab.capture import clock", "decode must not know capture"),
    ("hoplab/decode/dns.py", "from hoplab.errors import LabError", "decode must not know errors"),
    ("hoplab/capture/ring.py", "from hoplab import content", "capture must not know content"),
    ("hoplab/capture/ring.py", "from ..follow import model", "capture must not know follow"),
    ("hoplab/kernel/sandbox.py", "from hoplab.capture import ring", "kernel must not know capture"),
    ("hoplab/kernel/batch.py", "from hoplab.network import net", "kernel must not know network"),
    ("hoplab/kernel/sandbox.py", "import mininet.net", "only hoplab/network/ may import mininet"),
    ("hoplab/follow/model.py", "from hoplab.story import tell", "follow must not know story"),
    ("hoplab/follow/model.py", "import dpkt", "follow uses the standard library only, not dpkt"),
    ("hoplab/story/tell.py", "from hoplab.report import terminal", "story must not know report"),
    ("hoplab/story/tell.py", "from .. import network", "story must not know network"),
    ("hoplab/runs.py", "from hoplab.report import page", "runs must not know report"),
    ("hoplab/vantage/one_place.py", "from hoplab.story import tell", "vantage must not know story"),
    ("hoplab/replay/player.py", "from hoplab.client import labs", "replay must not know client"),
    ("hoplab/report/page.py", "from hoplab import client", "report must not know client"),
    ("hoplab/packet_filter/x.py", "import hoplab.web.scene", "packet_filter must not know web"),
    ("hoplab/web/scene.py", "from hoplab.client import labs", "web must not know client"),
    ("hoplab/live/feed.py", "from hoplab.service import lab", "live must not know service"),
    ("hoplab/web/scene.py", "import starlette", "only hoplab/live/ may import starlette"),
    ("hoplab/openvswitch/ovsdb.py", "import hoplab.network", "openvswitch must not know network"),
    ("hoplab/network/net.py", "from hoplab.service import lab", "network must not know service"),
    ("hoplab/control/process.py", "from hoplab import network", "control must not know network"),
    ("hoplab/control/process.py", "import ryu", "only hoplab/control/ryu_main.py may import ryu"),
    ("hoplab/control/roles.py", "import eventlet", "only hoplab/control/ryu_main.py may import"),
    ("hoplab/control/ryu_main.py", "from os_ken import cfg", "only hoplab/control/osken_main.py"),
    ("hoplab/service/lab.py", "from hoplab.client import labs", "service must not know client"),
    ("hoplab/service/lab.py", "from hoplab.story import tell", "service must not know story"),
    ("hoplab/service/lab.py", "def f():\n    from mininet.net import Mininet", "only hoplab/netw"),
    ("hoplab/service/lab.py", "import importlib\nimportlib.import_module('mininet.cli')", "only"),
    ("hoplab/client/labs.py", "from hoplab.report import page", "client must not know report"),
    ("hoplab/browser/proxy.py", "from hoplab.client import labs", "browser must not know client"),
    ("hoplab/stock/run.py", "from hoplab.network import net", "stock must not know network"),
    ("hoplab/doctor/checks.py", "from hoplab.service import lab", "doctor must not know service"),
    ("hoplab/faults/kinds.py", "import hoplab.service.lab", "faults must not know service"),
    ("hoplab/plans/of_file.py", "from hoplab import network", "plans must not know network"),
    ("hoplab/sheets/judging.py", "from hoplab.report import page", "sheets must not know report"),
    ("hoplab/classroom/x.py", "from hoplab.report import page", "classroom must not know report"),
    ("hoplab/classroom/x.py", "import cryptography", "only hoplab/classroom/signatures.py may"),
    ("hoplab/api/lab.py", "from hoplab.network import net", "api must not know network"),
    ("hoplab/wireshark/extcap.py", "import hoplab.story.tell", "wireshark must not know story"),
    ("hoplab/cli/main.py", "from hoplab.network import net", "cli must not know network"),
    ("hoplab/quantities.py", "from hoplab import errors", "quantities must not know errors"),
    ("hoplab/nearest.py", "from hoplab import errors", "nearest must not know errors"),
    ("hoplab/strict_yaml.py", "from hoplab import wait", "strict_yaml must not know wait"),
    ("hoplab/imports/needs.py", "from hoplab import network", "imports must not know network"),
    ("hoplab/attic/things.py", "import os", "the room attic has no rule"),
    ("hoplab/report/server.py", "import hoplab.cli.main", "nothing imports cli"),
    ("hoplab/report/server.py", "from hoplab import cli", "nothing imports cli"),
    ("hoplab/browser/proxy.py", "import http1", "the engine never imports content, such as http1"),
    ("hoplab/service/lab.py", "from topologies import nodes", "the engine never imports content"),
    ("hoplab/service/lab.py", "import importlib\nimportlib.import_module('kit')", "the engine"),
    ("hoplab/browser/proxy.py", "import sys\nsys.path.insert(0, 'apps')", "the engine"),
    ("hoplab/browser/proxy.py", "import sys\ndef f(x):\n    sys.path.append(x)", "the engine"),
    ("hoplab/browser/proxy.py", "from sys import path\npath.extend(['apps'])", "the engine"),
    ("hoplab/browser/proxy.py", "import sys\nsys.path[:0] = ['apps']", "the engine"),
    ("hoplab/browser/proxy.py", "import sys\nsys.path += ['apps']", "the engine"),
    ("hoplab/content.py", "import site\nsite.addsitedir('apps')", "the engine"),
    ("hoplab/runs.py", "import runpy\nrunpy.run_path('apps/fetch.py')", "the engine"),
    (
        "hoplab/cli/main.py",
        "from importlib import util\nutil.spec_from_file_location('fetch', 'apps/fetch.py')",
        "the engine loads nothing by its path: util.spec_from_file_location",
    ),
    (
        "hoplab/service/lab.py",
        "from importlib.machinery import SourceFileLoader\nSourceFileLoader('kit', 'kit.py')",
        "the engine loads nothing by its path: SourceFileLoader",
    ),
    ("topologies/web.py", "from hoplab import content", "content stands alone"),
    ("apps/dns_server.py", "import hoplab", "content stands alone"),
    ("controllers/hub.py", "from hoplab.errors import LabError", "content stands alone"),
    ("controllers/hub.py", "from ryu.app.wsgi import WSGIApplication", "not portable"),
]


@pytest.mark.parametrize(("file", "source", "sentence"), BROKEN)
def test_a_forbidden_import_is_found(tmp_path: Path, file: str, source: str, sentence: str) -> None:
    path = tmp_path / file
    path.parent.mkdir(parents=True)
    path.write_text(source + "\n")
    line = source.count("\n") + 1
    broken = faults(tmp_path)
    assert any(fault.startswith(f"{file}:{line}: {sentence}") for fault in broken), broken


def test_every_room_has_a_rule_with_a_broken_example() -> None:
    assert rooms(ROOT) == set(KNOWS)
    broken = {Path(file).with_suffix("").parts[1] for file, _, _ in BROKEN}
    assert set(KNOWS) - broken == set()


def test_rooms_say_what_they_are_for() -> None:
    """Each package says in its docstring what lives there, what must not, and where to begin."""
    for room in sorted(rooms(ROOT)):
        package = ROOT / "hoplab" / room / "__init__.py"
        if package.exists():
            docstring = ast.get_docstring(ast.parse(package.read_text(encoding="utf-8"))) or ""
            for words in ("Lives here: ", "Must not: ", "Begin with "):
                assert words in docstring, (room, words)


ALLOWED: list[tuple[str, str]] = [
    ("hoplab/kernel/sandbox.py", "import ctypes, os\nfrom hoplab.errors import LabError"),
    ("hoplab/capture/ring.py", "from hoplab.capture.clock import Clock\nimport struct"),
    ("hoplab/story/tell.py", "from hoplab.decode import packet\nfrom .places import Places"),
    ("hoplab/network/net.py", "def f():\n    from mininet.net import Mininet"),
    ("hoplab/control/ryu_main.py", "import eventlet\nfrom ryu.cmd import manager"),
    ("hoplab/cli/main.py", "from hoplab.cli import parse\nfrom hoplab import __version__"),
    ("hoplab/capture/capture.py", "from hoplab import __version__"),
    ("hoplab/network/topofile.py", "import sys\nsys.path.insert(0, 'where the user is')"),
    ("hoplab/service/lab.py", "import os\nos.path.join('a')\nfolders = []\nfolders.append('b')"),
    ("hoplab/browser/proxy.py", "import h11"),
    ("topologies/web.py", "from mininet.topo import Topo"),
    ("controllers/hub.py", "from ryu.base import app_manager"),
]


@pytest.mark.parametrize(("file", "source"), ALLOWED)
def test_an_allowed_import_is_left_alone(tmp_path: Path, file: str, source: str) -> None:
    path = tmp_path / file
    path.parent.mkdir(parents=True)
    path.write_text(source + "\n")
    assert faults(tmp_path) == []


def test_the_architecture_names_every_module_once() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    tree = text[text.index("```\nhoplab/") :].split("```")[1]
    named: list[str] = []
    room = ""
    for line in tree.splitlines():
        entry = re.match(r"( {2}| {4})(\w+/|\w+\.py)(?: |$)", line)
        if entry is None:
            continue
        if entry[2].endswith("/"):
            room = entry[2]
        else:
            named.append((room if len(entry[1]) == 4 else "") + entry[2])
    modules = {
        str(path.relative_to(ROOT / "hoplab")) for path in (ROOT / "hoplab").rglob("*.py")
        if path.name != "__init__.py"
    }  # fmt: skip
    assert sorted(named) == sorted(modules)
