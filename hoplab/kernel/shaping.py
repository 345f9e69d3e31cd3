# SPDX-License-Identifier: Apache-2.0
"""What an interface does to the frames that it sends: a rate, a queue, a loss, a delay.

All of it is done in front of the cable (tc(8)), so a capture sees a frame leave when it has passed.
Loss is a filter that draws a number for each frame (`ld rand` of classic BPF) and puts those that
it hits where nothing comes out; a rate is HTB with a queue of so many frames. A delay is netem's
where the kernel has it. Elsewhere each frame is redirected to an interface of ours, whose other end
a process listens to (`wires.py`), which sends it on later past these queues. The rate is kept there
then, before the delay, as on a real cable.

What lives here: limits as data, and the lines for `tc -batch` that make them. What must not: labs,
and what a network's own file asked for.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from hoplab.errors import Exit, LabError
from hoplab.kernel import netlink
from hoplab.sentences import say, term

PAST = 1 << 16  # the priority (socket(7)) of a frame that HTB, handle 1:, lets pass as it is
FRAMES = 1000  # that wait where nobody said how many, as in a new interface
MOST_FRAMES = 100_000
LARGEST_RATE = 100_000_000_000
_TC_S = 20
_CHANCES = 1 << 32


@dataclass(frozen=True)
class Limits:
    """What becomes of the frames that an interface sends; 0: nothing. rate: bit/s; loss: percent;
    queue: frames that wait for the rate at most, what comes then is dropped."""

    rate: int = 0
    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    loss: float = 0.0
    queue: int = 0

    def __bool__(self) -> bool:
        return any(asdict(self).values())

    @property
    def delays(self) -> bool:
        """A frame is held back, rate or not."""
        return bool(self.delay_ms or self.jitter_ms)

    def as_data(self) -> dict[str, float]:
        """For lab.json: what there is."""
        return {name: value for name, value in asdict(self).items() if value}

    def put_into(self, data: dict[str, Any]) -> dict[str, Any]:
        """An interface as lab.json has it, with these limits instead of others."""
        others = {key: item for key, item in data.items() if key not in self.__dataclass_fields__}
        return {**others, **self.as_data()}

    def changed(self, wish: dict[str, Any]) -> Limits:
        """These, with what is wished in the place of what was."""
        names = self.__dataclass_fields__
        return replace(self, **{name: value for name, value in wish.items() if name in names})


_UNITS_MS = {"s": 1e3, "sec": 1e3, "secs": 1e3, "ms": 1.0, "msec": 1.0, "msecs": 1.0,
             "us": 1e-3, "usec": 1e-3, "usecs": 1e-3, "": 1e-3}  # fmt: skip
_TIME = re.compile(r" *([0-9.]+) *([a-z]*) *")


def milliseconds(time: object) -> float:
    """A time as tc(8) reads it, '5ms' or '1s', a bare number in microseconds; 0 if it is none."""
    parts = _TIME.fullmatch(str(time or 0).lower())
    try:
        return float(parts[1]) * _UNITS_MS[parts[2]] if parts is not None else 0.0
    except (ValueError, KeyError):
        return 0.0


def of_parameters(wanted: Mapping[str, Any]) -> Limits:
    """What the parameters of Mininet's TCIntf ask for."""
    bandwidth, loss, queue = (wanted.get(name) for name in ("bw", "loss", "max_queue_size"))
    return Limits(
        round(bandwidth * 1e6) if isinstance(bandwidth, int | float) else 0,  # Mbit/s there
        milliseconds(wanted.get("delay")),
        milliseconds(wanted.get("jitter")),
        float(loss) if isinstance(loss, int | float) else 0.0,
        int(queue) if isinstance(queue, int | float) else 0,
    )


def lines(interface: str, limits: Limits, *, wire: str = "", netem: bool = False) -> list[str]:
    """The lines that shape an interface that has no queue yet. wire: our interface beside it, for
    delays where there is no netem."""
    if not limits:
        return []
    held = limits.delays and netem
    made = []
    if wire:
        made += _rate(wire, limits) if limits.rate else []
    direct = wire or not (limits.rate or held)
    made.append(f"qdisc add dev {interface} root handle 1: htb default {0 if direct else 1}")
    if not direct:
        made += _class(interface, limits.rate)
        made.append(f"qdisc add dev {interface} parent 1:1 handle 11: {_leaf(limits, held)}")
    if limits.loss:
        made += _loss(interface, limits.loss)
    if wire:
        made.append(_onto(wire, interface))
    return made


def in_place_of_netem(
    interface: str, at: str, handle: int, limits: Limits, wire: str
) -> list[str]:
    """The lines that do what netem would in a tree of somebody else's. at: where it is to stand,
    'root' or 'parent 5:1'; handle: the number of its handle, whose only class is 1, as netem's is.
    wire: our interface beside it, for delays; what comes back from there goes into class 1 (by its
    priority, socket(7)), which has the rate and the queue."""
    tree = f"{handle:x}:"
    speed = f"rate {limits.rate or LARGEST_RATE}bit burst 15k cburst 15k quantum 60000"
    made = [
        f"qdisc add dev {interface} {at} handle {tree} htb default 1",
        f"class add dev {interface} parent {tree} classid {tree}1 htb {speed}",
    ]
    if limits.queue:
        made.append(f"qdisc add dev {interface} parent {tree}1 pfifo limit {limits.queue}")
    if limits.loss:
        made += _loss(interface, limits.loss, tree)
    if wire:
        made.append(_onto(wire, interface, tree))
    return made


def away(route: netlink.Socket, index: int, interface: str) -> list[str]:
    """The line that takes away the queue that an interface has, if it has one. Raises OSError."""
    there = any(qdisc.root and qdisc.outgoing for qdisc in route.qdiscs(index))
    return [f"qdisc del dev {interface} root"] if there else []


def _rate(interface: str, limits: Limits) -> list[str]:
    return [
        f"qdisc add dev {interface} root handle 1: htb default 1",
        *_class(interface, limits.rate),
        f"qdisc add dev {interface} parent 1:1 handle 11: {_leaf(limits, False)}",
    ]


def _class(interface: str, rate: int) -> list[str]:
    # A bucket of ten frames: smaller, and HTB's clock could not keep a high rate.
    speed = f"rate {rate or LARGEST_RATE}bit burst 15k cburst 15k quantum 60000"
    return [f"class add dev {interface} parent 1: classid 1:1 htb {speed}"]


def _leaf(limits: Limits, held: bool) -> str:
    waiting = limits.queue or FRAMES
    if not held:
        return f"pfifo limit {waiting}"
    # netem counts those that it holds back, too: small ones are many in a moment.
    under_way = 1e-3 * (limits.delay_ms + limits.jitter_ms) * (limits.rate or 10**9) / (8 * 1514)
    jitter = f" {limits.jitter_ms:g}ms" if limits.jitter_ms else ""
    frames = min(MOST_FRAMES, waiting + round(under_way) + 1)
    return f"netem limit {frames} delay {limits.delay_ms:g}ms{jitter}"


def _onto(wire: str, interface: str, tree: str = "1:") -> str:
    """The line that redirects what comes to a tree and is not lost."""
    return (
        f"filter add dev {interface} parent {tree} prio 2 protocol all u32 match u32 0 0 "
        f"action mirred egress redirect dev {wire}"
    )


def _loss(interface: str, percent: float, tree: str = "1:") -> list[str]:
    hit = min(_CHANCES - 1, round(percent / 100 * _CHANCES))
    # A = rand; from `hit` on it is 0, no match; below it all bits, a match.
    program = f"4,32 0 0 4294963256,53 1 0 {hit},6 0 0 4294967295,6 0 0 0"
    return [
        f"class add dev {interface} parent {tree} classid {tree}2 htb rate 1mbit quantum 1514",
        f"qdisc add dev {interface} parent {tree}2 blackhole",
        f"filter add dev {interface} parent {tree} prio 1 protocol all bpf bytecode "
        f"'{program}' flowid {tree}2",
    ]


def has_netem(popen: Callable[..., subprocess.Popen[Any]]) -> bool:
    """Whether this kernel has netem, by trying it in the namespace where `popen` starts programs,
    and where nobody lives."""
    lo = ["dev", "lo", "root"]
    tried = popen(
        ["tc", "qdisc", "add", *lo, "netem", "delay", "1ms"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/",
    )  # fmt: skip
    if tried.wait() != 0:
        return False
    popen(["tc", "qdisc", "del", *lo], cwd="/").wait()
    return True


Popen = Callable[..., "subprocess.Popen[Any]"]


def carry_out(popen: Popen, batch: Sequence[str]) -> None:
    """Have tc do these in the namespace where `popen` starts programs. Raises LabError."""
    carry_out_all([(popen, batch)])


def carry_out_all(batches: Iterable[tuple[Popen, Sequence[str]]]) -> None:
    """The same in several namespaces, where each tc begins while another is at work. Raises
    LabError when all have ended."""
    begun = [
        (popen(
            ["tc", "-batch", "-"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True, errors="replace", cwd="/",
        ), "".join(f"{line}\n" for line in batch))
        for popen, batch in batches
        if batch
    ]  # fmt: skip
    refused = [printed for process, lines in begun if (printed := _refusal(process, lines))]
    if refused:
        raise LabError(
            term("this kernel does not shape the cable as asked"),
            term("tc's own words are below; a rate alone works on any kernel"),
            Exit.REFUSED,
            "\n".join(refused),
        )


def _refusal(process: subprocess.Popen[str], batch: str) -> str:
    """Hand a tc its lines; what it says if it does not do them."""
    try:
        _, printed = process.communicate(batch, timeout=_TC_S)
    except subprocess.TimeoutExpired:
        process.kill()
        _, printed = process.communicate()
    if not process.returncode:
        return ""
    return printed.strip() or say("tc ended with {code}", code=process.returncode)
