# SPDX-License-Identifier: Apache-2.0
"""Waiting for a state, never for a time: with a deadline, and a message that names the state."""

from __future__ import annotations

import math
import os
import select
import time
from collections.abc import Callable, Iterable
from typing import TypeVar

from hoplab.errors import Exit, LabError
from hoplab.sentences import say, term

T = TypeVar("T")
_LOOK_UP_S = 0.5


def patience() -> float:
    """How many times longer than usual to wait for anything: HOPLAB_PATIENCE, for machines that
    are emulated or very busy. 1 where it is not set or makes no sense."""
    try:
        factor = float(os.environ.get("HOPLAB_PATIENCE", "1"))
    except ValueError:
        return 1
    return max(factor, 1) if math.isfinite(factor) else 1


def until(
    look: Callable[[], T],
    state: str,
    *,
    within_s: float,
    hint: str = "",
    first_s: float = 0.001,
    longest_s: float = 0.05,
) -> T:
    """Call `look` until it answers something true, and return that.

    The pause between looks grows from `first_s` to `longest_s`. Raises LabError(LAB_DIED) saying
    that `state` ("the lab to end") did not come within `within_s` seconds, times `patience`;
    whatever `look` raises goes through.
    """
    within_s *= patience()
    deadline = time.monotonic() + within_s
    pause = first_s
    while True:
        answer = look()
        if answer:
            return answer
        left = deadline - time.monotonic()
        if left <= 0:
            raise LabError(
                say("waited {s:g} s for {state}", s=within_s, state=state),
                hint or term("see `hoplab doctor`"),
                Exit.LAB_DIED,
            )
        time.sleep(min(pause, left))
        pause = min(pause * 1.5, longest_s)


def readable(descriptors: Iterable[int], within_s: float | None = None) -> set[int]:
    """Those that can be read, or have ended, or were closed; empty when `within_s` seconds have
    passed. By poll(2): select(2) knows no descriptor above 1023, and large labs have more.

    It looks up now and then: a signal that comes between Python's last look for one and the system
    call would else be heard only when the call ends.
    """
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    deadline = math.inf if within_s is None else time.monotonic() + within_s
    while True:
        left = max(0.0, deadline - time.monotonic())
        ready = poll.poll(1000 * min(left, _LOOK_UP_S))
        if ready or left <= _LOOK_UP_S:
            return {fd for fd, _ in ready}
