# SPDX-License-Identifier: Apache-2.0
"""pytest's plugin: a lab for each test that asks for one, and the story of what failed.

    @pytest.mark.topology("routed")
    def test_the_router_forwards(lab):
        run = lab.trace("h1", ["ping", "-c", "1", lab["h3"].ip])
        assert run.packets.one("icmp echo from h1 to h3").seen_at("s2-eth2")

What lives here: fixtures, markers, what a failed test prints and keeps. What must not: labs
(`lab.py`). For a test that asks for neither fixture it does nothing, and loads nothing of hoplab's.

A lab is fresh for each test, and equal to any other of its kind since all come up in the same way.
While one test runs, the lab of the next one comes up, for pytest says which that is.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from hoplab.api.lab import Host, Lab
    from hoplab.api.recorded import Recorded
    from hoplab.client.launcher import Order
    from hoplab.service.spec import Spec

_MOST_LINES = 60
_MARKERS = (
    "topology(name, **options): the network of the fixture `lab`, as for hoplab.Lab",
    "controller(name): the controller of the fixture `lab`, as for hoplab.Lab",
)


@dataclass
class _Session:
    """What this process of pytest's has of labs. following: the test behind the one that runs.
    ahead: the lab that comes up for it, as what it was asked for, and with which variables. runs:
    those of the test that runs."""

    following: pytest.Item | None = None
    ahead: tuple[Spec, dict[str, str], Order] | None = None
    runs: list[Recorded] = field(default_factory=list)

    def give_up(self) -> None:
        """Nobody wants the lab that comes up."""
        if self.ahead is not None:
            self.ahead[2].give_up()
            self.ahead = None


_SESSION = pytest.StashKey[_Session]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("hoplab", "labs of hoplab (docs/pytest.md)")
    group.addoption(
        "--hoplab-keep",
        metavar="DIR",
        default="hoplab-failed",
        help="where the runs of failed tests are kept: captures and pages (default: %(default)s)",
    )
    parser.addini("hoplab_topology", "the topology where no marker names one", default="switch")
    parser.addini("hoplab_controller", "the controller where no marker names one", default="")
    parser.addini(
        "hoplab_ahead",
        "bring up the next test's lab while a test runs",
        type="bool",
        default=True,
    )


def pytest_configure(config: pytest.Config) -> None:
    for line in _MARKERS:
        config.addinivalue_line("markers", line)
    config.stash[_SESSION] = _Session()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    session = item.config.stash[_SESSION]
    session.following = nextitem
    session.runs = []
    yield


def pytest_sessionfinish(session: pytest.Session) -> None:
    session.config.stash[_SESSION].give_up()


@pytest.fixture
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """A fresh lab, up: hoplab.Lab. The markers topology and controller say which."""
    from hoplab.api.lab import fresh_name
    from hoplab.client import launcher

    session = request.config.stash[_SESSION]
    spec = _spec_of(request.node)
    if session.ahead is not None and session.ahead[:2] == (spec, _variables()):
        order, session.ahead = session.ahead[2], None
    else:
        session.give_up()
        order = launcher.order(replace(spec, name=fresh_name()))
    try:
        lab = _recording_lab(order, session.runs)
        _bring_up_next(session, request.config)
        yield lab
    finally:
        order.end()


@pytest.fixture
def hosts(lab: Lab) -> dict[str, Host]:
    """The hosts and routers of the lab by name: hoplab.Host."""
    return lab.hosts


def _bring_up_next(session: _Session, config: pytest.Config) -> None:
    """The lab of the test behind this one. What is wrong with it, that test will say."""
    from hoplab.api.lab import fresh_name
    from hoplab.client import launcher
    from hoplab.errors import LabError

    following = session.following
    if following is None or not config.getini("hoplab_ahead"):
        return
    if "lab" not in getattr(following, "fixturenames", ()):
        return
    try:
        spec = _spec_of(following)
        order = launcher.order(replace(spec, name=fresh_name()))
        session.ahead = spec, _variables(), order
    except (LabError, pytest.UsageError):
        pass


def _variables() -> dict[str, str]:
    """The environment, without what pytest writes there for each test."""
    return {key: text for key, text in os.environ.items() if key != "PYTEST_CURRENT_TEST"}


def _argument(marker: pytest.Mark) -> str:
    if len(marker.args) != 1:
        raise pytest.UsageError(f"@pytest.mark.{marker.name} takes one name")
    return str(marker.args[0])


def _spec_of(item: pytest.Item) -> Spec:
    """The lab that a test asks for, without a name. Raises LabError."""
    from hoplab.api.lab import make_spec

    topology, options = str(item.config.getini("hoplab_topology")), dict[str, Any]()
    controller = str(item.config.getini("hoplab_controller"))
    marker = item.get_closest_marker("topology")
    if marker is not None:
        topology, options = _argument(marker), dict(marker.kwargs)
    marker = item.get_closest_marker("controller")
    if marker is not None:
        controller = _argument(marker)
    return make_spec(
        _beside(item, topology), _beside(item, controller) if controller else "", **options
    )


def _beside(item: pytest.Item, words: str) -> str:
    """A file that is named as it lies beside the test; all else as it is."""
    parts = re.match(r"(.+?\.py)(?![^:,\s])", words)
    if parts is None or Path(parts[1]).is_absolute():
        return words
    file = item.path.parent / parts[1]
    return f"{file}{words[parts.end() :]}" if file.is_file() else words


def _recording_lab(order: Order, runs: list[Recorded]) -> Lab:
    """The lab, once it is up; what is recorded in it is added to `runs`. Raises LabError."""
    from hoplab.api.lab import Lab

    class RecordingLab(Lab):
        """A lab of a test."""

        def _record(self, *arguments: Any, **told: Any) -> Recorded:
            run = super()._record(*arguments, **told)
            runs.append(run)
            return run

    return RecordingLab.ordered(order)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Iterator[None]:
    outcome: Any = yield
    report: pytest.TestReport = outcome.get_result()
    if not report.failed or call.excinfo is None:
        return
    hint = getattr(call.excinfo.value, "hint", "")
    if hint and type(call.excinfo.value).__module__.startswith("hoplab."):
        report.sections.append(("hoplab", f"Next: {hint}"))
    if call.when == "call":
        for number, run in enumerate(item.config.stash[_SESSION].runs, 1):
            report.sections.append(_section(item, number, run))


def _section(item: pytest.Item, number: int, run: Recorded) -> tuple[str, str]:
    """What a failed test prints of a run: the packets that it asked for, as far as they came, then
    the story; and where capture and player are kept."""
    from hoplab.errors import LabError

    title = f"hoplab: {run.host}: {run.command}"
    try:
        lines = [line for packet in run.asked[-3:] for line in packet.text().splitlines()]
        lines += ["", *_shortened(run.text().splitlines())]
        folder = _kept(item, number, run)
    except (LabError, OSError) as error:
        return title, str(error)
    item.user_properties += [
        ("hoplab_capture", str(folder / "capture.pcapng")),
        ("hoplab_player", str(folder / "report.html")),
    ]
    lines += ["", f"capture: {folder / 'capture.pcapng'}", f"player:  {folder / 'report.html'}"]
    return title, "\n".join(lines)


def _shortened(lines: Sequence[str]) -> list[str]:
    """Without the middle of a long story: how it ended stands at its end."""
    if len(lines) <= _MOST_LINES:
        return list(lines)
    half = _MOST_LINES // 2
    return [*lines[:half], f"[… {len(lines) - 2 * half} …]", *lines[-half:]]


def _kept(item: pytest.Item, number: int, run: Recorded) -> Path:
    """Keep the run in a folder that is named for the test. Raises LabError, OSError."""
    base = item.config.rootpath / item.config.getoption("--hoplab-keep")
    name = re.sub(r"[^\w.=,-]+", "-", item.nodeid).strip("-")[-100:]
    folder = base / name / f"run-{number}"
    if folder.is_dir():
        shutil.rmtree(folder)
    run.save(folder)
    (folder / "report.html").write_text(run.player(), encoding="utf-8")
    return folder
