# SPDX-License-Identifier: Apache-2.0
"""`import hoplab`, without a network: what is promised, kept runs, packets, errors."""

from __future__ import annotations

import html
import re
import subprocess
import sys
from enum import EnumMeta
from pathlib import Path

import pytest
import yaml

import hoplab
from hoplab import errors

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "api.md"
RUNS = ROOT / "tests" / "data" / "runs"


def public(thing: type) -> set[str]:
    """What somebody finds in a class and its objects who looks for no underscore."""
    if isinstance(thing, EnumMeta):
        return set(thing.__members__)
    own = {name for each in thing.__mro__[:-1] if each.__module__.startswith("hoplab")
           for name in [*vars(each), *vars(each).get("__annotations__", ())]}  # fmt: skip
    for line in re.findall(r"^        self\.([a-z]\w*)(?:: [^=]+)? = ", source(thing), re.M):
        own.add(line)
    return {name for name in own if not name.startswith("_")}


def source(thing: type) -> str:
    import inspect

    return inspect.getsource(thing)


def sections() -> dict[str, str]:
    parts = re.split(r"^## `(\w+)`\n", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {name: text.partition("\n## ")[0] for name, text in zip(parts[1::2], parts[2::2])}  # noqa: B905


def test_the_page_and_the_package_promise_the_same() -> None:
    assert sorted(sections()) == sorted(hoplab.__all__) == sorted(hoplab._WHERE)
    assert set(dir(hoplab)) == {*hoplab.__all__, "__version__"}


@pytest.mark.parametrize("name", [n for n in hoplab.__all__ if not n.startswith("open_")])
def test_every_public_name_of_a_class_is_described(name: str) -> None:
    thing, text = getattr(hoplab, name), sections()[name]
    if name == "Exit":
        described = set(re.findall(r"`([A-Z_]+)`", text))
    else:
        cells = re.findall(r"^\| (`[^|]*) \|", text, re.MULTILINE)
        named = [re.findall(r"`([^`]+)`", cell) for cell in cells]
        described = {
            word for some in named for each in some for word in re.findall(r"^([a-z_]+)", each)
        } - {"lab"} | ({"lab"} if "lab" in public(thing) else set())
    assert described == public(thing)


def test_importing_it_loads_nothing_else() -> None:
    code = "import sys, hoplab; print([m for m in sys.modules if m.startswith('hoplab.')])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert shown.stdout.strip() == "[]"
    with pytest.raises(AttributeError, match="no_such"):
        _ = hoplab.no_such


def test_a_capture_is_opened_and_kept(tmp_path: Path) -> None:
    file = RUNS / "web-cold" / "capture.pcapng"
    capture = hoplab.open_capture(file, interface="www-eth0")
    assert (capture.host, capture.command, capture.code) == ("", "", None)
    assert capture.packets.one("http.request").sender == "10.1.0.10"
    again = hoplab.open_run(capture.save(tmp_path / "kept"))
    assert again.outcome.sentence == capture.outcome.sentence
    whole = hoplab.open_capture(file, wiring=RUNS / "web-cold")
    assert whole.packets.one("http.request").path[-1] == "www"
    with pytest.raises(hoplab.LabError, match="no-such-eth0"):
        hoplab.open_capture(file, interface="no-such-eth0")


def test_a_kept_run_is_opened_and_kept_again(tmp_path: Path) -> None:
    run = hoplab.open_run(RUNS / "web-cold")
    assert (run.host, run.command) == ("client", "http://www.itheima.com/")
    assert run.outcome.ok and not run.untold
    place = run.save(tmp_path / "again")
    again = hoplab.open_run(place)
    assert [p.title for p in again.packets] == [p.title for p in run.packets]
    with pytest.raises(hoplab.LabError, match="not empty"):
        run.save(place)


def test_packets_are_found() -> None:
    run = hoplab.open_run(RUNS / "web-cold")
    syn = run.packets.one("tcp.syn from client to www not ended")
    assert syn.path == ["client", "s1", "r1", "r2", "s3", "www"]
    assert (syn.kind, syn.sender, syn.target) == ("tcp-syn", "client", "www")
    assert syn.arrived and not syn.ended and syn.delivered == ["www"]
    assert syn.seen_at("www-eth0") and syn.seen_at("r1") and not syn.seen_at("pc-eth0")
    assert syn.bytes_at("client-eth0")[12:14] == b"\x08\x00" and syn.bytes_at("pc-eth0") == b""
    assert syn.frames and "TTL 64 → 63" in syn.text()
    assert [packet.number for packet in run.asked] == [syn.number]
    assert run.packets.where("dns")[0] == run.packets.find("dns")
    assert len(run.packets.where("dns")[1:]) == len(run.packets.where("dns")) - 1


@pytest.mark.parametrize(
    ("ask", "code", "text"),
    [
        (lambda run: run.packets.find("lost"), errors.Exit.NO_SUCH, "no packet is meant by lost"),
        (lambda run: run.packets.one("dns"), errors.Exit.FAILED, "packets are meant by dns"),
        (lambda run: run.packets.find("via ("), errors.Exit.BAD_INPUT, ""),
        (lambda run: run.packets[0].seen_at("x1"), errors.Exit.NO_SUCH, "no interface x1"),
        (lambda run: hoplab.open_run("nowhere"), errors.Exit.NO_SUCH, "no folder"),
        (lambda run: hoplab.Lab("nowhere"), errors.Exit.NO_SUCH, "nowhere"),
        (lambda run: hoplab.Lab("web", "nowhere"), errors.Exit.NO_SUCH, "nowhere"),
        (lambda run: hoplab.Lab("web").name, errors.Exit.NO_SUCH, "is up"),
        (lambda run: hoplab.Lab.attach("nobody"), errors.Exit.NO_SUCH, "nobody"),
    ],
)
def test_what_goes_wrong_says_what_to_do(
    ask: object, code: int, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert callable(ask)
    with pytest.raises(hoplab.LabError) as raised:
        ask(hoplab.open_run(RUNS / "web-cold"))
    assert raised.value.code == code and text in str(raised.value) and raised.value.hint


def test_a_notebook_shows_story_and_player() -> None:
    run = hoplab.open_run(RUNS / "switch")
    shown = run._repr_html_()
    assert html.escape(str(run.outcome.sentence)) in shown
    page = html.unescape(re.findall(r'srcdoc="([^"]*)"', shown)[0])
    assert page == run.player() and 'id="player"' in page


def test_the_plugin_loads_nothing_for_who_does_not_ask() -> None:
    code = (
        "import sys, hoplab.api.pytest_plugin\n"
        "print(sorted(m for m in sys.modules if m.startswith('hoplab.')))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert shown.stdout.strip() == "['hoplab.api', 'hoplab.api.pytest_plugin']"


def test_the_workflow_of_the_page_is_one() -> None:
    """Each step of it is known to GitHub, and installs what it runs."""
    text = (ROOT / "docs" / "pytest.md").read_text(encoding="utf-8")
    workflow = yaml.safe_load(text.partition("```yaml\n")[2].partition("```")[0])
    steps = workflow["jobs"]["labs"]["steps"]
    assert all({"run", "uses"} & set(step) for step in steps)
    lines = "\n".join(step.get("run", "") for step in steps)
    assert '"hoplab[os-ken]" pytest' in lines and "mininet openvswitch-switch" in lines
    assert steps[-1]["with"]["path"] in text.partition("--hoplab-keep")[2]
    for option in ("--hoplab-keep", "hoplab_topology", "hoplab_controller", "hoplab_ahead"):
        assert option in text and option in (
            ROOT / "hoplab" / "api" / "pytest_plugin.py"
        ).read_text(encoding="utf-8")
