# SPDX-License-Identifier: Apache-2.0
"""What is read from a controller's log: exceptions that nobody caught, switches, refusals."""

from __future__ import annotations

import io
import json
import logging
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hoplab.control import log

SITE = "/opt/venv/lib/python3.11/site-packages"
HANDLER = f'''\
(2411) accepted ('127.0.0.1', 41230)
A: Exception occurred during handler processing. Backtrace from offending handler [pi] servicing \
event [EventOFPPacketIn] follows.
Traceback (most recent call last):
  File "{SITE}/ryu/base/app_manager.py", line 290, in _event_loop
    handler(ev)
  File "/home/me/exc.py", line 7, in pi
    port = self.ports[ev.msg.match['eth_dst']]
           ~~~~~~~~~~^^^^^^^^^^^^^^^^^^^^^^^^^
  File "{SITE}/ryu/ofproto/ofproto_v1_3_parser.py", line 902, in __getitem__
    return dict(self._fields2)[key]
KeyError: 'eth_dst'
packet in 1 00:00:00:00:00:01
'''
THREAD = '''\
hub: uncaught exception: Traceback (most recent call last):
  File "/opt/venv/lib/python3.11/site-packages/ryu/lib/hub.py", line 69, in _launch
    return func(*args, **kwargs)
  File "/home/me/monitor.py", line 31, in _poll
    rate = n / 0
ZeroDivisionError: division by zero

'''
CHAINED = '''\
Traceback (most recent call last):
  File "/home/me/a.py", line 3, in read
    return table[mac]
KeyError: '00:00:00:00:00:01'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/home/me/a.py", line 9, in pi
    raise Unknown("no such host") from None
a.hosts.Unknown: no such host
and a line of its own
'''


def test_the_place_is_the_deepest_one_in_the_apps_own_code() -> None:
    (raised,) = log.understood(HANDLER.encode()).raised
    assert (raised.exception, raised.text) == ("KeyError", "'eth_dst'")
    assert (raised.file, raised.line, raised.function) == ("/home/me/exc.py", 7, "pi")
    assert raised.at_s is None and raised.dpid is None


def test_an_app_that_comes_with_ryu_is_an_app() -> None:
    text = HANDLER.replace("/home/me/exc.py", f"{SITE}/ryu/app/simple_switch_13.py")
    assert log.understood(text.encode()).raised[0].file.endswith("app/simple_switch_13.py")


def test_exceptions_of_threads_and_chains_are_found_each_once() -> None:
    text = "\n".join([HANDLER, THREAD, CHAINED, HANDLER])
    raised = log.understood(text.encode()).raised
    assert [(each.exception, each.line) for each in raised] == [
        ("KeyError", 7), ("ZeroDivisionError", 31), ("Unknown", 9), ("KeyError", 7),
    ]  # fmt: skip
    assert [(each.line, n) for each, n in log.same(raised)] == [(7, 2), (31, 1), (9, 1)]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Traceback (most recent call last):",
        "Traceback (most recent call last):\nnothing of the kind\n",
        HANDLER.partition("KeyError")[0],
        "hoplab: {broken\n",
        'hoplab: {"raised": {"nonsense": 1}}\n',
        'hoplab: {"joined": []}\n',
    ],
)
def test_half_a_log_is_read_without_fault(text: str) -> None:
    assert log.understood(text.encode()) == log.Log()


def test_what_the_launcher_marks_is_one_with_its_traceback() -> None:
    mark = {"exception": "KeyError", "text": "'eth_dst'", "file": "/home/me/exc.py", "line": 7,
            "at_s": 12.5, "dpid": 3, "frame": "ffff", "in_port": 2}  # fmt: skip
    text = f"hoplab: {json.dumps({'raised': mark})}\n{HANDLER}{THREAD}"
    first, second = log.understood(text.encode()).raised
    assert (first.at_s, first.dpid, first.in_port, first.frame) == (12.5, 3, 2, b"\xff\xff")
    assert second.exception == "ZeroDivisionError"


def test_those_of_a_lab_are_sorted_and_cut_by_time(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    for port, instants in (6653, (3.0, 9.0)), (6654, (1.0, 5.0)):
        lines = [
            f"hoplab: {json.dumps({'raised': {'exception': 'E', 'at_s': at_s}})}\n"
            for at_s in instants
        ]
        (tmp_path / "logs" / f"controller-{port}.log").write_text("".join(lines) + HANDLER)
    assert [each.at_s for each in log.raised(tmp_path, 2, 6)] == [3.0, 5.0]
    assert len(log.raised(tmp_path)) == 6


def test_only_what_came_after_an_offset_is_read(tmp_path: Path) -> None:
    path = tmp_path / "controller-6653.log"
    path.write_text(HANDLER)
    begin = path.stat().st_size
    with open(path, "a") as file:
        file.write(THREAD)
    assert [each.line for each in log.read(path, begin).raised] == [31]
    assert log.read(tmp_path / "none").raised == []


@pytest.mark.parametrize(
    ("line", "versions"),
    [
        ("unsupported version 0x1. If possible, set the switch to use one of the versions [4] on "
         "datapath ('127.0.0.1', 4)", [4]),
        ("no compatible version found: switch versions {1, 4} controller version 0x5, the "
         "negotiated version is 0x4, but no usable version found. If possible, set the switch to "
         "use one of OF version [5, 6] on datapath", [5, 6]),
        ("no compatible version found: switch 0x4 controller 0x5, but found usable 0x3. If "
         "possible, set the switch to use OF version 0x3 on datapath", [3]),
    ],
)  # fmt: skip
def test_a_refused_version_is_read(line: str, versions: list[int]) -> None:
    assert log.understood(f"x\n{line}\n".encode()).refused == versions


def test_marks_are_written_with_time_switch_and_frame(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As in the framework: a handler is called from `_event_loop`, what it raises is logged."""
    code = compile("def pi(ev):\n    raise KeyError('eth_dst')\n", "/home/me/exc.py", "exec")
    app: dict[str, Any] = {}
    exec(code, app)

    class EventOFPPacketIn(SimpleNamespace):
        pass

    out = io.StringIO()
    monkeypatch.setattr(sys, "stderr", out)
    logger = logging.Logger("alone")
    logger.addHandler(log.Marks())
    logger.addHandler(logging.StreamHandler(out))
    message = SimpleNamespace(
        datapath=SimpleNamespace(id=5), match={"in_port": 2}, data=b"\x01\x02" + bytes(300)
    )

    def _event_loop(ev: Any, handler: Any) -> None:
        try:
            handler(ev)
        except KeyError:
            logger.exception("A: Exception occurred during handler processing.")

    _event_loop(EventOFPPacketIn(msg=message), app["pi"])
    try:
        raise ValueError("a\nb")
    except ValueError:
        logger.error("hub: uncaught exception: %s", "no traceback here")
    logger.error("nothing is raised")

    first, second = log.understood(out.getvalue().encode()).raised
    assert (first.exception, first.text, first.file) == ("KeyError", "'eth_dst'", "/home/me/exc.py")
    assert (first.line, first.handler, first.event) == (2, "pi", "EventOFPPacketIn")
    assert (first.dpid, first.in_port, first.frame) == (5, 2, message.data[: log.FRAME])
    assert first.at_s and second.exception == "ValueError" and second.dpid is None


def test_a_switch_is_marked_when_its_handshake_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    class Datapath:
        id, ofproto, state = 7, SimpleNamespace(OFP_VERSION=4), ""

        def set_state(self, state: str) -> None:
            self.state = state

    out = io.StringIO()
    monkeypatch.setattr(sys, "stderr", out)
    log.mark_switches(Datapath, "main")
    datapath = Datapath()
    datapath.set_state("config")
    datapath.set_state("main")
    assert datapath.state == "main" and log.understood(out.getvalue().encode()).joined == {7: 4}
