# SPDX-License-Identifier: Apache-2.0
"""What --controller means: files, modules, several, options; and files that are no Ryu app."""

from __future__ import annotations

from pathlib import Path

import pytest

from hoplab import content, ryu_apps
from hoplab.errors import Exit, LabError

APP = "from ryu.base import app_manager\nclass A(app_manager.RyuApp):\n    pass\n"
HUB = content.folder("controllers") / "hub.py"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with some apps."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.py", "b.py", "my app.py", "a,b.py"):
        (tmp_path / name).write_text(APP)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "app.py").write_text(APP)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "names", "options"),
    [
        ("hub", ["hub"], []),
        ("a.py", ["a"], []),
        ("./a.py", ["a"], []),
        ("my app.py", ["my app"], []),
        ("'my app.py' b.py", ["my app", "b"], []),
        ("a,b.py", ["a,b"], []),
        ("a.py,b.py", ["a", "b"], []),
        ("a.py, b.py", ["a", "b"], []),
        ("a.py b.py", ["a", "b"], []),
        ("two_table_switch,monitor", ["two_table_switch", "monitor"], []),
        ("a.py --observe-links", ["a"], ["--observe-links"]),
        ("--observe-links a.py", ["a"], ["--observe-links"]),
        ("--noobserve-links --verbose a.py b.py", ["a", "b"], ["--noobserve-links", "--verbose"]),
        ("a.py --config-file b.py", ["a"], ["--config-file", "b.py"]),
        ("--config-file=x.conf a.py", ["a"], ["--config-file=x.conf"]),
        ("--user-flags b.py a.py", ["a"], ["--user-flags", "b.py"]),
        ("a.py --fanout 3 --weight 'a b'", ["a"], ["--fanout", "3", "--weight", "a b"]),
        ("--fast a.py", ["a"], ["--fast"]),
        ("--depth 3 --fast a.py", ["a"], ["--depth", "3", "--fast"]),
        ("ryu.app.ofctl_rest,a.py", ["ryu.app.ofctl_rest", "a"], []),
        ("mine.app", ["mine.app"], []),
    ],
)
def test_words_are_apps_and_options(
    here: Path, text: str, names: list[str], options: list[str]
) -> None:
    apps = ryu_apps.find(text)
    assert ([app.short for app in apps.apps], list(apps.options)) == (names, options)
    assert all(app.file is not None and app.file.is_absolute() for app in apps.apps)
    assert ryu_apps.from_data(apps.as_data()) == apps


def test_options_may_stand_apart_and_what_is_typed_again_means_the_same(here: Path) -> None:
    apps = ryu_apps.find("hub,a.py --fanout 3", ["--weight", "two words"])
    assert apps.options == ("--fanout", "3", "--weight", "two words")
    (word,) = __import__("shlex").split(apps.words)
    assert ryu_apps.find(word) == apps
    assert apps.plus(["--x=1"]).options[-1] == "--x=1"


def test_what_the_lab_decides_is_left_out_and_named(here: Path) -> None:
    words = "a.py --ofp-tcp-listen-port 6633 --wsapi-host=0.0.0.0 --wsapi-port 9090"
    apps = ryu_apps.find(words)
    assert apps.options == ("--wsapi-port", "9090")
    assert apps.not_used == ("--ofp-tcp-listen-port", "--wsapi-host")


def test_a_file_beside_the_topology_comes_first(here: Path) -> None:
    (here / "topology").mkdir()
    (here / "topology" / "a.py").write_text(APP)
    (app,) = ryu_apps.find("a.py --observe-links", beside=here / "topology").apps
    assert app.file == here / "topology" / "a.py"


def test_folders_of_files_that_options_name(here: Path) -> None:
    (here / "x.conf").touch()
    apps = ryu_apps.find(f"hub --config-file {here}/x.conf --log-file={here}/none --other b.py")
    assert set(apps.folders) == {str(here)}


def test_ryus_own_apps_are_known() -> None:
    every = ryu_apps.modules()
    assert {"ryu.app.simple_switch", "ryu.app.simple_switch_13", "ryu.app.ofctl_rest",
            "ryu.app.gui_topology.gui_topology", "ryu.app.rest_firewall"} <= set(every)  # fmt: skip
    assert not {"ryu.app.wsgi", "ryu.app.ofctl.service"} & set(every)


@pytest.mark.parametrize(
    ("text", "code", "hint"),
    [
        ("ryu.app.simple_swich_13", Exit.NO_SUCH, "did you mean ryu.app.simple_switch_13?"),
        ("nobody.has.this", Exit.NO_SUCH, "./this.py"),
        ("simple_switch_13", Exit.NO_SUCH, "did you mean ryu.app.simple_switch_13?"),
        ("learning_swich", Exit.NO_SUCH, "did you mean learning_switch?"),
        ("c.py", Exit.NO_SUCH, "a file of your own"),
        ("--observe-links", Exit.USAGE, "app.py"),
        ("", Exit.USAGE, "app.py"),
        ("a.py --x 'y", Exit.USAGE, "one pair of quotes"),
    ],
)
def test_what_is_not_there_is_told_with_the_likeliest(
    here: Path, text: str, code: Exit, hint: str
) -> None:
    with pytest.raises(LabError) as caught:
        ryu_apps.find(text)
    assert caught.value.code == code and hint in caught.value.hint


@pytest.mark.parametrize(
    ("name", "data", "message", "hint"),
    [
        ("t.py", b"from mininet.topo import Topo\nclass T(Topo):\n    pass\n", "a topology",
         "hoplab up"),
        ("l2.py", b"from pox.core import core\nprint 'x'\n", "POX", "learning_switch"),
        ("onos.jar", b"PK\x03\x04rest", "not written in Python", "hoplab run"),
        ("Main.java", b"package net.floodlight;\n", "not written in Python", "hoplab run"),
    ],
)  # fmt: skip
def test_what_is_no_ryu_app_is_called_by_its_name(
    here: Path, name: str, data: bytes, message: str, hint: str
) -> None:
    (here / name).write_bytes(data)
    with pytest.raises(LabError) as caught:
        ryu_apps.find(f"./{name}")
    assert caught.value.code == Exit.BAD_INPUT
    assert message in caught.value.message and hint in caught.value.hint


def test_an_app_for_os_ken_wants_its_platform(here: Path) -> None:
    (here / "k.py").write_text("from os_ken.base import app_manager\n")
    for text in ("k.py", "os_ken.app.ofctl"):
        app = ryu_apps.App(text, here / "k.py")
        with pytest.raises(LabError) as caught:
            ryu_apps.check_platform([app], "ryu")
        assert "--platform os-ken" in caught.value.hint
        ryu_apps.check_platform([app], "os-ken")
    ryu_apps.check_platform(ryu_apps.find("a.py").apps, "os-ken")


def test_a_controller_is_no_topology_but_a_file_may_be_both(here: Path) -> None:
    with pytest.raises(LabError) as caught:
        ryu_apps.refuse_controller(here / "a.py")
    assert f"hoplab up switch --controller {here}/a.py" in caught.value.hint
    (here / "both.py").write_text(APP + "from mininet.topo import Topo\nclass T(Topo):\n    pass\n")
    ryu_apps.refuse_controller(here / "both.py")
    assert ryu_apps.find("both.py").files == (here / "both.py",)
