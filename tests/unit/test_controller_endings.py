# SPDX-License-Identifier: Apache-2.0
"""Why a controller could not start: what the launcher finds out, and what is said of it."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hoplab.control import endings, faults, log
from hoplab.control.ryu_main import NO_EVENTS, ending, known_words, last_line

ROOT = Path(__file__).resolve().parents[2]


def raised_by(source: str, path: Path) -> BaseException:
    path.write_text(source)
    try:
        exec(compile(source, str(path), "exec"), {"__name__": "app"})
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("x = 1\nprint 'hello'\n", 2),
        ("try:\n    x = 1\nexcept ValueError, e:\n    pass\n", 3),
        ("raise ValueError, 'x'\n", 1),
        ("mode = 0777\n", 1),
        ("n = 10L\n", 1),
        ("if 1 <> 2:\n    pass\n", 1),
        ("exec 'x = 1'\n", 1),
        ("import sys\nprint >>sys.stderr, 'x'\nx = = 1\n", 3),
    ],
)
def test_python_2_is_recognised(source: str, line: int, tmp_path: Path) -> None:
    path = tmp_path / "old.py"
    end = ending(raised_by(source, path), [str(path)])
    assert (end["kind"], end["line"]) == ("syntax", line)
    assert end["python2"] or "x = =" in source
    if end["python2"]:
        assert endings.reason(1, end).startswith(f"{path}:{line} is written for Python 2")
        assert "Python 3" in endings.next_step(end)


def test_a_plain_slip_is_no_python_2(tmp_path: Path) -> None:
    path = tmp_path / "new.py"
    end = ending(raised_by("def f(:\n    pass\n", path), [str(path)])
    assert not end["python2"] and f"{path}:1 cannot be read" in endings.reason(1, end)


def test_a_fault_in_a_module_beside_the_app_is_placed_there(tmp_path: Path) -> None:
    app, sibling = tmp_path / "app.py", tmp_path / "helper.py"
    try:
        exec(compile("\nprint 'x'\n", str(sibling), "exec"))
    except SyntaxError as error:
        sibling.write_text("\nprint 'x'\n")
        assert last_line(error, [str(app)]).startswith(f"{sibling}:2: SyntaxError")
    error = raised_by("\n\n1 / 0\n", sibling)
    assert last_line(error, [str(app)]) == f"{sibling}:3: ZeroDivisionError: division by zero"


@pytest.mark.parametrize(
    ("module", "hint"),
    [
        ("networkx", f"{shlex.quote(sys.executable)} -m pip install networkx"),
        ("yaml", "pip install pyyaml"),
        ("urllib2", "urllib.request"),
        ("os_ken", "--platform os-ken"),
        ("ryu.topology.nothing", "no such module"),
        ("helper", "helper.py beside app.py"),
    ],
)
def test_a_missing_module_is_told_with_the_way_to_have_it(module: str, hint: str) -> None:
    end = {"kind": "missing", "file": "/x/app.py", "line": 3, "module": module, "platform": "Ryu"}
    assert "/x/app.py:3" in endings.reason(1, end) and module in endings.reason(1, end)
    assert hint in endings.next_step(end)


def test_refused_versions_are_told_as_versions() -> None:
    error = endings.refusal("old.py", [5])
    assert "OpenFlow 1.4 alone" in error.message and "protocols='OpenFlow14'" in error.hint


def test_what_was_raised_is_one_sentence() -> None:
    raised = log.Raised("KeyError", "'eth_dst'", "/x/exc.py", 6, event="EventOFPPacketIn", dpid=1)
    text = faults.sentence(raised, 3, {1: "s1"})
    assert text == (
        "the controller raised KeyError: 'eth_dst' (exc.py:6), 3 times, last at a packet-in of s1"
    )
    unnamed = log.Raised("E", file="x", dpid=16, event="EventOFPPacketIn")
    assert "at a packet-in of 10" in faults.sentence(unnamed, 1, {})
    assert faults.sentence(log.Raised("E", file="/x/a.py", line=2), 1, {}).endswith("(a.py:2)")


class Conf:
    """Options as oslo.config lists them."""

    def __init__(self, **kinds: bool) -> None:
        """name: whether it takes a value."""
        self.options = [
            SimpleNamespace(name=name.replace("_", "-"))
            if value
            else SimpleNamespace(name=name.replace("_", "-"), _add_inverse_to_argparse=None)
            for name, value in kinds.items()
        ]

    def _all_cli_opts(self) -> Any:
        return [(option, None) for option in self.options]


@pytest.mark.parametrize(
    ("words", "registered", "unknown"),
    [
        ("--port 1 a.py", "--port 1 a.py", ""),
        ("--fan 3 --port 1 a.py", "--port 1 a.py", "--fan"),
        ("--fan=3 a.py", "a.py", "--fan"),
        ("--fan a.py", "a.py", "--fan"),
        ("--fan --port 1", "--port 1", "--fan"),
        ("--nolinks --links a.py", "--nolinks --links a.py", ""),
        ("--por 1 a.py", "--por 1 a.py", ""),
        ("--help a.py", "--help a.py", ""),
    ],
)
def test_options_that_are_not_registered_yet_wait(
    words: str, registered: str, unknown: str
) -> None:
    conf = Conf(port=True, links=False, app=True)
    assert known_words(conf, words.split(), ["a.py"]) == (registered.split(), unknown.split())


OWN = """
from ryu import cfg
from ryu.base import app_manager
cfg.CONF.register_cli_opts([cfg.IntOpt('fanout', default=7), cfg.BoolOpt('fast', default=False)])
class App(app_manager.RyuApp):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        raise SystemExit(f"{self.CONF.fanout} {self.CONF.fast} {self.CONF.limit}")
"""
FLAGS = "from ryu import cfg\ncfg.CONF.register_cli_opts([cfg.IntOpt('limit', default=1)])\n"


@pytest.mark.parametrize(
    ("options", "last", "end"),
    [
        ("--fanout 3 --fast --limit 9", "3 True 9", {}),
        ("--nofast", "7 False 1", {}),
        ("--fanot 3", "--fanot is no option; did you mean --fanout?",
         {"kind": "option", "option": "--fanot", "close": "--fanout"}),
    ],
)  # fmt: skip
def test_an_apps_own_options_are_taken(
    options: str, last: str, end: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "app.py").write_text(OWN)
    (tmp_path / "flags.py").write_text(FLAGS)
    words = [*options.split(), "--user-flags", "flags.py", "--ofp-tcp-listen-port", "1"]
    result = subprocess.run(
        [sys.executable, "-m", "hoplab.control.ryu_main", *words, str(tmp_path / "app.py")],
        cwd=ROOT, capture_output=True, text=True, timeout=60,
        env={**os.environ, "HOPLAB_FOLDER": str(tmp_path), "HOPLAB_WORKPLACE": str(tmp_path)},
    )  # fmt: skip
    assert result.stderr.splitlines()[-1] == last
    assert log.understood(result.stderr.encode()).end == end


def test_of_two_apps_in_a_file_the_one_that_does_not_run_is_named(tmp_path: Path) -> None:
    path = tmp_path / "two.py"
    path.write_text(
        "from ryu.base import app_manager\n"
        "class Base(app_manager.RyuApp):\n    pass\n"
        "class Zebra(app_manager.RyuApp):\n    pass\n"
        "class Ape(Base):\n"
        "    def __init__(self, *args, **kwargs):\n        raise SystemExit\n"
    )
    result = subprocess.run(
        [sys.executable, "-m", "hoplab.control.ryu_main", "--ofp-tcp-listen-port", "1", str(path)],
        cwd=ROOT, capture_output=True, text=True, timeout=60,
        env={**os.environ, "HOPLAB_FOLDER": str(tmp_path)},
    )  # fmt: skip
    assert log.understood(result.stderr.encode()).left_out == {str(path): ["Ape", "Zebra"]}


def test_an_app_that_hears_of_nothing_may_be_the_wrong_one_of_two() -> None:
    text = endings.reason(NO_EVENTS, {}, {"/x/two.py": ["Base", "Switch"]})
    assert "Ryu runs the first by name, Base, and not Switch" in text
    assert "@set_ev_cls" in endings.reason(NO_EVENTS, {})


def test_what_the_launcher_says_is_json() -> None:
    json.dumps(ending(ModuleNotFoundError("No module named 'x'", name="x"), ["a.py"]))
