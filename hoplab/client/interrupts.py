# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C and a polite end: when they may come, and who has asked not to hear of them.

What lives here: this process's own signals. What must not: labs.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterable, Iterator

INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def hold_interrupts() -> None:
    """Let Ctrl-C and a polite end wait until `release_interrupts`, or the end of the process."""
    signal.pthread_sigmask(signal.SIG_BLOCK, INTERRUPTS)


def release_interrupts() -> None:
    """Let them come again; one that has waited comes now, as a KeyboardInterrupt from here."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, INTERRUPTS)


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Let them wait until the block has ended."""
    hold_interrupts()
    try:
        yield
    finally:
        release_interrupts()


def heeded(numbers: Iterable[int]) -> list[int]:
    """Those of these signals that nobody has asked us to ignore, as nohup(1) does. None in a thread
    beside the main one: Python hears of signals there alone."""
    if threading.current_thread() is not threading.main_thread():
        return []
    return [number for number in numbers if signal.getsignal(number) != signal.SIG_IGN]
