# SPDX-License-Identifier: Apache-2.0
"""What a controller's log says: which exceptions nobody caught, which switches came and which could
not.

Ryu writes a traceback for an exception in a handler and goes on, without a time and without the
switch. So the launcher puts a line of its own in front of it (`Marks`), which `read` finds again:

    hoplab: {"raised": {"at_s": 1764350401.25, "exception": "KeyError", "line": 7, "dpid": 1, ...}}

Tracebacks without such a line are found as well: those of threads, and those of a controller that
was started by other hands. What they do not tell is None.

What lives here: both ends of these lines. It runs in the controller's process and in the lab's, so
it imports the standard library alone. What to say of it is for those who read.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import sysconfig
import time
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

MARK = "hoplab: "
LONGEST = 64 << 20  # octets of a log that are read: its end
FRAME = 128  # octets of a frame that a handler was given: enough to know it again
_BEGIN = re.compile(rb"^hoplab: (\{.*\})$|Traceback \(most recent call last\):$", re.MULTILINE)
_PLACE = re.compile(rb'  File "(.+)", line (\d+)(?:, in (.+))?')
_AGAIN = re.compile(
    rb"\n(?:During handling of the above exception, another exception occurred|"
    rb"The above exception was the direct cause of the following exception):\n\n"
    rb"Traceback \(most recent call last\):\n"
)
_VERSIONS = re.compile(
    rb"^(?:no compatible version found|unsupported version).*"
    rb"(?:one of the versions|one of OF version|OF version) (\[[\d, ]+\]|0x[0-9a-f]+)",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Raised:
    """An exception that nobody caught. exception: its class; text: what it says. file, line,
    function: the deepest place in the app's own code, else in any. handler: the app's method that
    was called with an event, and the event's class. in_port, frame: of a packet-in, the frame's
    first octets. None and "" for what is not known."""

    exception: str
    text: str = ""
    file: str = ""
    line: int = 0
    function: str = ""
    at_s: float | None = None
    handler: str = ""
    event: str = ""
    dpid: int | None = None
    in_port: int | None = None
    frame: bytes = b""


@dataclass
class Log:
    """What is to be read of one log. joined: datapath id -> the OpenFlow version that it speaks
    with the controller, in its wire form (4 is 1.3). refused: the versions that the controller
    would have taken, when it refused a switch. left_out: file -> apps in it that do not run.
    end: why the process could not go on, as the launcher says it."""

    raised: list[Raised] = field(default_factory=list)
    joined: dict[int, int] = field(default_factory=dict)
    refused: list[int] = field(default_factory=list)
    left_out: dict[str, list[str]] = field(default_factory=dict)
    end: dict[str, Any] = field(default_factory=dict)


# ---- reading ------------------------------------------------------------------------------------


def read(path: Path, begin: int = 0) -> Log:
    """What a log says from the octet `begin` on; nothing where it cannot be read."""
    try:
        with open(path, "rb") as file:
            size = file.seek(0, 2)
            file.seek(max(begin, size - LONGEST))
            return understood(file.read(LONGEST))
    except OSError:
        return Log()


def raised(folder: Path, begin_s: float = 0, end_s: float = float("inf")) -> list[Raised]:
    """What was raised by the controllers of the lab with this folder, in the order of time, between
    two instants (seconds since 1970). What has no time is left out, if any is asked for."""
    every = [each for log in logs_of(folder) for each in read(log).raised]
    if begin_s <= 0 and end_s == float("inf"):
        return sorted(every, key=lambda each: each.at_s or 0)
    timed = [each for each in every if each.at_s is not None and begin_s <= each.at_s <= end_s]
    return sorted(timed, key=lambda each: each.at_s or 0)


def logs_of(folder: Path) -> list[Path]:
    """The logs of all controllers of a lab."""
    return sorted((folder / "logs").glob("controller-*.log"))


def understood(data: bytes) -> Log:
    """What these lines of a log say."""
    log = Log()
    marked: Raised | None = None  # whose traceback is still to come
    at = 0
    while match := _BEGIN.search(data, at):
        at = match.end()
        if match[1] is not None:
            marked = _take(log, match[1]) or marked
            continue
        seen, at = _traceback(data, match.end())
        if seen is None:
            continue
        if marked is not None and marked.exception == seen.exception:
            marked = None
        else:
            log.raised.append(seen)
    for match in _VERSIONS.finditer(data):
        log.refused = [int(number, 0) for number in match[1].decode().strip("[]").split(",")]
    return log


def _take(log: Log, text: bytes) -> Raised | None:
    """Take a line of the launcher's down; the exception that it announces."""
    try:
        line = json.loads(text)
        if "raised" in line:
            values = {**line["raised"], "frame": bytes.fromhex(line["raised"].get("frame", ""))}
            log.raised.append(Raised(**values))
            return log.raised[-1]
        if "joined" in line:
            log.joined[int(line["joined"]["dpid"])] = int(line["joined"]["version"])
        elif "left_out" in line:
            log.left_out[str(line["left_out"]["file"])] = list(line["left_out"]["apps"])
        elif "end" in line:
            log.end = dict(line["end"])
    except (ValueError, TypeError, KeyError):  # half a line, or an app that writes like us
        pass
    return None


def _traceback(data: bytes, at: int) -> tuple[Raised | None, int]:
    """The exception of a traceback whose first line ends at `at`, and where it ends itself. Of
    several that came of each other the last one counts, for it is what nobody caught."""
    places: list[tuple[str, int, str]] = []
    at = data.find(b"\n", at) + 1 or len(data)
    while at < len(data):
        end = data.find(b"\n", at)
        end = len(data) if end < 0 else end
        line, begin, at = data[at:end], at, end + 1
        if line.startswith(b"  "):
            if place := _PLACE.match(line):
                file, function = (
                    place[1].decode(errors="replace"),
                    (place[3] or b"").decode(errors="replace"),
                )
                places.append((file, int(place[2]), function))
            continue
        if again := _AGAIN.match(data, end + 1):
            places, at = [], again.end()
            continue
        if not places or not re.match(rb"[A-Za-z_]", line):
            return None, begin
        name, _, text = line.decode(errors="replace").partition(": ")
        file, number, function = _own(places)
        return Raised(name.rpartition(".")[2], text, file, number, function), at
    return None, at


def _own(places: Iterable[tuple[str, int, str]]) -> tuple[str, int, str]:
    """The deepest place in the app's own code; the deepest of all if there is none."""
    places = list(places)
    return next((place for place in reversed(places) if is_own(place[0])), places[-1])


def is_own(file: str) -> bool:
    """Whether a file is an app's own: no part of Python, of a package or of ours. The apps that
    come with Ryu are apps."""
    if re.search(r"/(?:ryu|os_ken)/app/(?!wsgi\.py)", file):
        return True
    if re.search(r"/(?:site|dist)-packages/|/hoplab/control/\w+\.py$|^<", file):
        return False
    return not file.startswith(sysconfig.get_path("stdlib") + "/")


# ---- writing ------------------------------------------------------------------------------------


def mark(**values: Any) -> None:
    """Write a line that `read` finds."""
    # In one piece: other threads write as well.
    sys.stderr.write(f"{MARK}{json.dumps(values)}\n")
    sys.stderr.flush()


class Marks(logging.Handler):
    """Writes a line in front of each traceback that the framework logs, in the controller."""

    def emit(self, record: logging.LogRecord) -> None:
        # The framework logs some with the record, some as text, but all while they are handled.
        kind, error, trace = record.exc_info or sys.exc_info()
        if kind is None or error is None or trace is None or record.levelno < logging.ERROR:
            return
        try:
            values = asdict(_described(error, trace))
            mark(raised={**values, "frame": values["frame"].hex()})
        except Exception:  # an odd event must not cost the traceback itself
            pass


def mark_exceptions() -> None:
    """From now on each exception that the framework logs is marked first."""
    logging.getLogger().handlers.insert(0, Marks())


def mark_switches(datapath: Any, main: str) -> None:
    """From now on each switch that has finished its handshake is marked. datapath: the framework's
    class for a connection, main: its name for the state."""
    set_state = datapath.set_state

    def with_mark(self: Any, state: str) -> None:
        if state == main and self.id is not None:
            mark(joined={"dpid": self.id, "version": self.ofproto.OFP_VERSION})
        set_state(self, state)

    datapath.set_state = with_mark


def _described(error: BaseException, trace: TracebackType) -> Raised:
    frames = [(frame, line) for frame, line in traceback.walk_tb(trace)]
    file, line, function = _own(
        (frame.f_code.co_filename, line, frame.f_code.co_name) for frame, line in frames
    )
    text = traceback.format_exception_only(type(error), error)[-1].strip().partition(": ")[2]
    handler, event = _handled([frame for frame, _ in frames])
    message = getattr(event, "msg", None)
    packet: Any = getattr(message, "data", None)
    is_packet = type(event).__name__ == "EventOFPPacketIn" and isinstance(packet, bytes | bytearray)
    return Raised(
        exception=type(error).__name__,
        text=text[:500],
        file=file,
        line=line,
        function=function,
        at_s=time.time(),
        handler=handler,
        event=type(event).__name__ if event is not None else "",
        dpid=_switch_of(event),
        in_port=_in_port(message) if is_packet else None,
        frame=bytes(packet[:FRAME]) if is_packet else b"",
    )


def _handled(frames: Iterable[FrameType]) -> tuple[str, Any]:
    """The method that an app was called at, and the event that it was called with."""
    for frame in frames:
        if frame.f_code.co_name == "_event_loop" and "ev" in frame.f_locals:
            handler = getattr(frame.f_locals.get("handler"), "__name__", "")
            return handler, frame.f_locals["ev"]
    return "", None


def _switch_of(event: Any) -> int | None:
    for path in ("msg.datapath", "datapath", "dp", "switch.dp", "link.src", "port", "host.port"):
        holder = event
        for name in path.split("."):
            holder = getattr(holder, name, None)
        number = getattr(holder, "id", None) or getattr(holder, "dpid", None)
        if isinstance(number, int):
            return number
    return None


def _in_port(message: Any) -> int | None:
    try:
        number = message.in_port if hasattr(message, "in_port") else message.match["in_port"]
    except (KeyError, TypeError):
        return None
    return number if isinstance(number, int) else None


def same(every: Iterable[Raised]) -> Iterator[tuple[Raised, int]]:
    """Exceptions of one class from one place are one: the newest of them, and how many."""
    counts: dict[tuple[str, str, int], int] = {}
    newest: dict[tuple[str, str, int], Raised] = {}
    for each in every:
        key = each.exception, each.file, each.line
        counts[key] = counts.get(key, 0) + 1
        newest[key] = each
    for key, number in counts.items():
        yield newest[key], number
