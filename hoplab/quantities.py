# SPDX-License-Identifier: Apache-2.0
"""Rates, times, shares and numbers as people write them: 10M, 20ms, 1%, 50; and back.

Everything that is none of these raises ValueError with a sentence that shows one.
"""

from __future__ import annotations

import math
import re

from hoplab.sentences import say

_RATE = re.compile(r"(\d+(?:\.\d+)?) ?([kKmMgG]?)((?i:bit(?:/s)?)|bps|b/s)?")
_RATE_UNITS = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9}
_TIME = re.compile(r"(\d+(?:\.\d+)?) ?(us|µs|ms|s)?")
_TIME_MS = {"us": 1e-3, "µs": 1e-3, "ms": 1.0, "s": 1e3}
SLOWEST, FASTEST = 1_000, 100_000_000_000
LONGEST_MS = 60_000.0
LATEST_S = 86_400.0
MOST_WAITING = 100_000
NONE = ("0", "none", "off")


def bits_per_second(text: str) -> int:
    """'10M' is 10,000,000; 'none' is 0, as fast as the machine. Raises ValueError."""
    word = text.strip()
    if word.lower() in NONE:
        return 0
    parts = _RATE.fullmatch(word)
    # A bare number says nothing of what it counts.
    if parts is None or not (parts[2] or parts[3]):
        raise ValueError(say("{text} is no rate: write it as in 10M (bits a second)", text=text))
    value = round(float(parts[1]) * _RATE_UNITS[parts[2].lower()])
    if not SLOWEST <= value <= FASTEST:
        raise ValueError(say("{text} is no rate: give 1k to 100G bits a second", text=text))
    return value


def milliseconds(text: str) -> float:
    """'20ms' is 20, '1.5s' 1500: for so long a frame may be held back. Raises ValueError."""
    value = _milliseconds(text)
    if value > LONGEST_MS:
        raise ValueError(say("{text} is too long: a minute at most", text=text))
    return value


def moment(text: str) -> float:
    """The same in seconds, of what may last for long. Raises ValueError."""
    value = _milliseconds(text) / 1e3
    if value > LATEST_S:
        raise ValueError(say("{text} is too late: a day at most", text=text))
    return value


def _milliseconds(text: str) -> float:
    word = text.strip()
    if word.lower() in NONE:
        return 0.0
    parts = _TIME.fullmatch(word)
    if parts is None or not parts[2]:
        raise ValueError(say("{text} is no time: write it as in 20ms or 1.5s", text=text))
    return float(parts[1]) * _TIME_MS[parts[2]]


def percent(text: str) -> float:
    """'1%' is 1.0, and so is '1'. Raises ValueError."""
    word = text.strip().removesuffix("%").strip()
    try:
        value = 0.0 if word.lower() in NONE else float(word)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 100:  # NaN is neither
        raise ValueError(say("{text} is no share: write it as in 1% (0 to 100)", text=text))
    return value


def frames(text: str) -> int:
    """'50' is 50, 'none' 0. Raises ValueError."""
    word = text.strip().lower()
    if word in NONE:
        return 0
    if not (word.isascii() and word.isdigit()) or not 1 <= int(word) <= MOST_WAITING:
        raise ValueError(
            say("{text} is no number of frames: give 1 to {most}", text=text, most=MOST_WAITING)
        )
    return int(word)


def rate_text(bits: float) -> str:
    """A rate as one writes it, '10M'."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if bits >= size:
            return f"{_short(bits / size)}{unit}"
    return f"{bits:g}bit" if bits else ""


def time_text(ms: float) -> str:
    """A time as one writes it, '20ms'."""
    return f"{_short(ms / 1e3)}s" if ms >= 1e3 else f"{_short(ms)}ms"


def size_text(octets: float) -> str:
    """A size as one reads it, '1.2 MB'."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if octets >= size:
            return f"{octets / size:,.{1 if octets < 10 * size else 0}f} {unit}"
    return f"{octets:.0f} B"


def percent_text(share: float) -> str:
    """'1%'."""
    return f"{share:g}%"


def _short(value: float) -> str:
    return f"{value:g}" if math.isfinite(value) else "0"
