# SPDX-License-Identifier: Apache-2.0
"""netem for scripts on kernels without it: delays, losses and queues that a script asks tc(8) for.

Mininet's TCLink and many a script call `tc qdisc add dev h1-eth0 … netem delay 10ms loss 1%`. In a
kernel without netem the `tc` that stands before the machine's own (`tc_client.py`) sends such a
line here. What it asks for is made in the same place of the same tree, under the same handle, by
what every kernel has (`shaping.in_place_of_netem`) and by a process that holds frames back
(`Wires`), so what the script puts above it and below it stays as the script has it.

A line is carried out in the network namespace of the process that sends it, and nowhere else.
"""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from hoplab import quantities
from hoplab.errors import Exit, LabError
from hoplab.kernel import shaping
from hoplab.kernel.batch import Place
from hoplab.kernel.shaping import Limits
from hoplab.kernel.wires import Wires
from hoplab.sentences import say, term

_OWN_HANDLE = 0xFE00  # where the script gives none
_NEW, _OTHER, _GONE = ("add",), ("change", "replace", "link"), ("del", "delete")
_TIME = re.compile(r"[0-9.]+ *[a-z]*")

Where = tuple[Place, str]


@dataclass(frozen=True)
class Line:
    """A line of tc's about a queue. at: where it stands, 'root' or 'parent 5:1'; "" if it is not
    said. handle: its own, 0 if none is given. options: netem's words; None: it is no netem."""

    verb: str
    interface: str
    at: str
    handle: int
    options: tuple[str, ...] | None = None


def read(words: Sequence[str]) -> Line | None:
    """A line as `tc` is given it; None if it is not about the queue of an interface."""
    rest = [word for word in words if not (word.startswith("-") and len(word) > 1)]
    if len(rest) < 2 or not rest[0] or not "qdisc".startswith(rest[0]):
        return None
    verb, rest = rest[1], rest[2:]
    fields = {"dev": "", "parent": "", "handle": ""}
    at = ""
    while rest and (rest[0] == "root" or rest[0] in fields):
        word = rest.pop(0)
        if word == "root":
            at = "root"
        else:
            fields[word] = _next(rest)
    at = f"parent {fields['parent']}" if fields["parent"] else at
    options = tuple(rest[1:]) if rest[:1] == ["netem"] else None
    return Line(verb, fields["dev"], at, _handle(fields["handle"]), options)


def _handle(text: str) -> int:
    """'10:' as tc(8) reads it, hexadecimal; 0 if it is none."""
    try:
        return int(text.partition(":")[0], 16) & 0xFFFF
    except ValueError:
        return 0


def limits_of(options: Sequence[str]) -> Limits:
    """What netem's words ask for (tc-netem(8)). Raises ValueError with a sentence for what only the
    kernel's own netem does."""
    limits = Limits()
    words = list(options)
    while words:
        word = words.pop(0)
        if word == "distribution":
            del words[:1]  # the jitter is drawn evenly
            continue
        if word not in _OPTIONS:
            raise ValueError(
                say(
                    "this kernel has no netem, and hoplab in its place no {word}: it does delay, "
                    "jitter, loss, limit and rate",
                    word=word,
                )
            )
        limits = replace(limits, **_OPTIONS[word](words))
        if words and words[0].endswith("%"):
            del words[0]  # how much a draw depends on the one before is not followed
    return limits


def _delay(words: list[str]) -> dict[str, float]:
    delay = _time(words)
    return {"delay_ms": delay, "jitter_ms": _time(words) if _begins_with_time(words) else 0.0}


def _loss(words: list[str]) -> dict[str, float]:
    if words[:1] == ["random"]:
        del words[0]
    return {"loss": quantities.percent(_next(words))}


_OPTIONS: dict[str, Callable[[list[str]], dict[str, Any]]] = {
    "delay": _delay,
    "latency": _delay,
    "loss": _loss,
    "drop": _loss,
    "limit": lambda words: {"queue": quantities.frames(_next(words))},
    "rate": lambda words: {"rate": quantities.bits_per_second(_next(words))},
}


def _next(words: list[str]) -> str:
    return words.pop(0) if words else ""


def _begins_with_time(words: Sequence[str]) -> bool:
    return bool(words and _TIME.fullmatch(words[0]))


def _time(words: list[str]) -> float:
    return shaping.milliseconds(_next(words))


@dataclass
class _Made:
    """What stands in the place of a netem. at: as in `Line`."""

    at: str
    handle: int
    limits: Limits
    pid: int  # of who wanted it, which lives as long as its namespace does


@dataclass
class Answer:
    """For `tc`: whether it is to go on itself, what it says, its exit code."""

    go_on: bool = False
    printed: str = ""
    code: int = 0

    def as_data(self) -> dict[str, Any]:
        return {"go_on": self.go_on, "printed": self.printed, "code": self.code}


@dataclass
class Hooks:
    """Who wants to know: before the queue of an interface changes, and when it has."""

    before: Callable[[Place, str], None] = lambda place, interface: None
    after: Callable[[Place, str], None] = lambda place, interface: None


@dataclass(eq=False)
class Netem:
    """All that stands in the place of a netem in a script's machine. place_of: the namespace that a
    process lives in. wires: what holds frames back."""

    place_of: Callable[[int], Place]
    wires: Wires
    has_netem: Callable[[], bool]
    hooks: Hooks = field(default_factory=Hooks)

    def __post_init__(self) -> None:
        self._made: dict[Where, list[_Made]] = {}
        self._turn = threading.RLock()

    # ------------------------------------------------------------------ what there is

    def limits(self, place: Place, interface: str, handles: Collection[int] | None) -> Limits:
        """What an interface does to its frames by what was made here. handles: of the queues that
        it has now, for others may take them away, as Open vSwitch does; None: whatever it has."""
        limits = Limits()
        for made in self._made.get((place, interface), ()):
            if handles is None or made.handle in handles:
                limits = limits.changed(made.limits.as_data())
        return limits

    def places(self) -> Iterator[tuple[Place, int]]:
        """The namespaces that have something of ours, and a process that lives there."""
        for (place, _), some in list(self._made.items()):
            for made in some:
                yield place, made.pid

    def forget(self, place: Place) -> None:
        """It is gone."""
        for where in [each for each in self._made if each[0] is place]:
            del self._made[where]
            self.wires.let_go(where)

    # ------------------------------------------------------------------ what a script asks

    def ask(self, pid: int, parent: int, words: Sequence[str], tc: str) -> Answer:
        """Do what a `tc` with these words is to do, which is the process `pid`. tc: the machine's
        own."""
        line = read(words)
        if line is None or self.has_netem():
            return Answer(go_on=True)
        place = self.place_of(pid)
        with self._turn:
            where = place, line.interface
            if line.options is None and where not in self._made:
                return Answer(go_on=True)
            try:
                if line.verb in _GONE:
                    return self._delete(where, line, words, tc)
                if line.options is None:
                    return Answer(go_on=True)
                return self._make(where, line, parent)
            except (ValueError, OSError) as error:
                return Answer(printed=f"{error}\n", code=2)
            except LabError as error:
                return Answer(printed=f"{error.detail or error.message}\n", code=2)

    def _make(self, where: Where, line: Line, pid: int) -> Answer:
        place, interface = where
        limits = limits_of(line.options or ())
        index = {link["name"]: link["index"] for link in place.namespace.route.links()}
        if interface not in index:
            return Answer(printed=f'Cannot find device "{interface}"\n', code=1)
        place.index.setdefault(interface, index[interface])
        self._look_again(where, index[interface])
        there = self._standing(where, line)
        if line.verb not in (*_NEW, *_OTHER) or (line.verb == "change" and there is None):
            return Answer(go_on=True)
        self.hooks.before(place, interface)
        made = _Made(line.at, line.handle or _OWN_HANDLE, limits, pid)
        batch = []
        if there is not None and line.verb in _OTHER:
            made.at, made.handle = there.at, there.handle
            batch.append(f"qdisc del dev {interface} {there.at}")
            self._made[where].remove(there)
        self._carry_out(where, made, batch)
        self._made.setdefault(where, []).append(made)
        self._let_go_of_unused(where)
        self.hooks.after(place, interface)
        return Answer()

    def _carry_out(self, where: Where, made: _Made, batch: list[str]) -> None:
        """Make it, after what is in the batch. Raises LabError and OSError."""
        place, interface = where
        wire = ""
        if made.limits.delays:
            if any(each.limits.delays for each in self._made.get(where, ())):
                raise LabError(
                    say("{interface} delays its frames already, and hoplab does so once",
                        interface=interface),
                    term("give the delay to one queue of the interface"),
                    Exit.REFUSED,
                )  # fmt: skip
            wire = self.wires.name_beside(where)
            self.wires.hold(where, made.limits, made.handle << 16 | 1)
        tree = shaping.in_place_of_netem(interface, made.at, made.handle, made.limits, wire)
        try:
            shaping.carry_out(place.namespace.popen, [*batch, *tree])
        except LabError:
            self._let_go_of_unused(where)
            raise

    def _standing(self, where: Where, line: Line) -> _Made | None:
        """What stands where a line speaks of."""
        for made in self._made.get(where, ()):
            if made.at == line.at or (not line.at and made.handle == line.handle):
                return made
        return None

    def _delete(self, where: Where, line: Line, words: Sequence[str], tc: str) -> Answer:
        """Have the kernel do it, by another name of its kind, and see what is left."""
        place, interface = where
        plain = list(words)
        if line.options is not None:
            plain = plain[: plain.index("netem")]
        self.hooks.before(place, interface)
        done = place.namespace.popen(
            [tc, *plain], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors="replace", cwd="/",
        )  # fmt: skip
        printed, _ = done.communicate()
        self._look_again(where, place.index.get(interface, -1))
        self.hooks.after(place, interface)
        return Answer(printed=printed, code=done.returncode)

    def _look_again(self, where: Where, index: int) -> None:
        """Forget what is not there any more: Open vSwitch takes queues away, too."""
        queues = where[0].namespace.route.qdiscs()
        handles = {queue.handle >> 16 for queue in queues if queue.index == index}
        left = [made for made in self._made.pop(where, []) if made.handle in handles]
        if left:
            self._made[where] = left
        self._let_go_of_unused(where)

    def _let_go_of_unused(self, where: Where) -> None:
        """Hold nothing back where nothing of ours does so any more, unless somebody has that cable
        delayed from outside."""
        used = any(made.limits.delays for made in self._made.get(where, ()))
        if not used and self.wires.priority(where) != shaping.PAST:
            self.wires.let_go(where)
