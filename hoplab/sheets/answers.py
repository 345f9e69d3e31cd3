# SPDX-License-Identifier: Apache-2.0
"""A learner's answer beside the right one, whatever way it is written in.

What lives here: which notations mean the same. What must not: files, labs, sentences.

    accepts(Expected(("255.255.255.192",)), "/26")        True
    accepts(Expected(("1500",), unit="bytes"), "1,500 Bytes")     True
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from dataclasses import dataclass

_YES = frozenset("yes y true right correct 是 对 是的 对的 正确 会 能 可以".split())
_NO = frozenset("no n false wrong incorrect 否 不 不是 不对 错 错误 不会 不能 不可以".split())
_NUMBER_WORDS = {
    word: n
    for n, words in enumerate((
        "zero none nothing 零 没有", "one 一", "two 二 两 两个", "three 三", "four 四",
        "five 五", "six 六", "seven 七", "eight 八", "nine 九", "ten 十", "eleven 十一",
        "twelve 十二",
    ))
    for word in words.split()
}  # fmt: skip
_NUMBER = re.compile(r"[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:e[-+]?\d{1,3})?")
_MAC = re.compile(r"[0-9a-f]{1,2}(?:[:-][0-9a-f]{1,2}){5}|[0-9a-f]{4}(?:\.[0-9a-f]{4}){2}")
_PREFIX_LENGTH = re.compile(r"/ ?(\d{1,2})|(\d{1,2}) ?(?:bits?|位)")
_PARTS = re.compile(r"\s*(?:[,;、，；]|\band\b|和|与|及)\s*")  # noqa: RUF001
_ARTICLES = re.compile(r"^(?:the|an?) ")
# The same quantity in other units, by how many of the first unit of its row it is.
_UNITS: tuple[dict[str, float], ...] = (
    {"s": 1, "sec": 1, "second": 1, "seconds": 1, "秒": 1, "ms": 1e-3, "millisecond": 1e-3,
     "milliseconds": 1e-3, "毫秒": 1e-3, "us": 1e-6, "μs": 1e-6, "微秒": 1e-6,
     "min": 60, "minute": 60, "minutes": 60, "分钟": 60},
    {"byte": 1, "bytes": 1, "b": 1, "octets": 1, "字节": 1, "kb": 1e3, "mb": 1e6},
    {"bit/s": 1, "bps": 1, "kbit/s": 1e3, "kbps": 1e3, "mbit/s": 1e6, "mbps": 1e6, "gbit/s": 1e9,
     "gbps": 1e9},
    {"%": 1, "percent": 1},
    {"frame": 1, "frames": 1, "帧": 1, "个帧": 1},
    {"packet": 1, "packets": 1, "数据包": 1, "个数据包": 1},
    {"time": 1, "times": 1, "次": 1},
    {"host": 1, "hosts": 1, "台": 1, "台主机": 1, "个": 1},
    {"hop": 1, "hops": 1, "跳": 1},
    {"bit": 1, "bits": 1, "位": 1},
)  # fmt: skip


@dataclass(frozen=True)
class Expected:
    """The right answer: any of `accepted`, or all of `together` in any order.

    near: how far a number may be from it, in its own unit; near_share: the same as a part of it.
    unit: that of a number without one, "" for none.
    """

    accepted: tuple[str, ...] = ()
    together: tuple[str, ...] = ()
    unit: str = ""
    near: float = 0.0
    near_share: float = 0.0


def accepts(expected: Expected, given_answer: str) -> bool:
    """Whether the answer is right."""
    if expected.together:
        parts = [part for part in _PARTS.split(_plain(given_answer)) if part]
        if len(parts) == 1:
            parts = parts[0].split()
        left = list(expected.together)
        for part in parts:
            match = next((right for right in left if _same(right, part, expected)), None)
            if match is None:
                return False
            left.remove(match)
        return not left
    return any(_same(right, given_answer, expected) for right in expected.accepted)


def _plain(text: str) -> str:
    """Without what never matters: case, width of letters, spaces, marks at the ends."""
    text = unicodedata.normalize("NFKC", text).casefold()
    text = re.sub(r"\s+", " ", text).strip(" \t.!?。！？\"'`“”‘’")  # noqa: RUF001
    return _ARTICLES.sub("", text)


def _same(right: str, answer: str, expected: Expected) -> bool:
    right, answer = _plain(right), _plain(answer)
    if right == answer:
        return True
    if not answer:
        return False
    for meaning in (_yes_no, _network, _mask, _address, _mac):
        value = meaning(right)
        if value is not None:
            return meaning(answer) == value
    number = _number(right, expected.unit)
    if number is not None:
        if expected.unit in ("", "bits"):
            answer = answer.removeprefix("/")  # who writes a length as a mask means that number
        return _near(number, _number(answer, expected.unit), expected)
    return _words(right) == _words(answer)


def _near(right: float, answer: float | None, expected: Expected) -> bool:
    if answer is None:
        return False
    allowed = max(expected.near, abs(right) * expected.near_share)
    return abs(right - answer) <= allowed + 1e-9 * max(abs(right), abs(answer))


def _words(text: str) -> str:
    """Letters and digits alone; with Chinese, spaces mean nothing."""
    return re.sub(r"[\s\-_,;:，；：、]+", "", text)  # noqa: RUF001


def _yes_no(text: str) -> bool | None:
    return True if text in _YES else False if text in _NO else None


def _network(text: str) -> str | None:
    """'192.168.1.0/24', '192.168.1.0 255.255.255.0' and '192.168.1.0 mask /24' are the same. What
    stands behind the mask stays: 192.168.1.5/24 is another answer."""
    text = re.sub(r"\s*(?:netmask|mask|掩码|子网掩码)\s*", " ", text)
    address, _, mask = text.replace("/", " /", 1).partition(" ")
    mask = mask.strip().removeprefix("/").strip()
    if not address or not mask:
        return None
    try:
        return ipaddress.ip_interface(f"{address}/{mask}").with_prefixlen
    except ValueError:
        return None


def _mask(text: str) -> int | None:
    """The length that a netmask means: '/26', '26 bits', '255.255.255.192', '0xffffffc0'."""
    length = _PREFIX_LENGTH.fullmatch(text)
    if length is not None:
        bits = int(length[1] or length[2])
        return bits if bits <= 128 else None
    value = None
    if re.fullmatch(r"0x[0-9a-f]{8}", text):
        value = int(text, 16)
    elif re.fullmatch(r"[01]{8}(?:[ .]?[01]{8}){3}", text):
        value = int(re.sub(r"[ .]", "", text), 2)
    elif re.fullmatch(r"255\.\d+\.\d+\.\d+", text):
        try:
            value = int(ipaddress.IPv4Address(text))
        except ValueError:
            return None
    if value is None:
        return None
    bits = value.bit_count()
    return bits if value == (0xFFFFFFFF << (32 - bits)) & 0xFFFFFFFF else None


def _address(text: str) -> str | None:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None


def _mac(text: str) -> str | None:
    if _MAC.fullmatch(text) is None:
        return None
    if "." in text:
        return text.replace(".", "")
    return "".join(part.zfill(2) for part in re.split("[:-]", text))


def _factor(unit: str, wanted: str) -> float:
    """By how much a number in `unit` is to be multiplied to be one in `wanted`; 0 for never."""
    if unit == wanted:
        return 1
    for row in _UNITS:
        if unit in row and wanted in row:
            return row[unit] / row[wanted]
    return 0


def _number(text: str, unit: str) -> float | None:
    """A number in this unit; with another one it is reckoned over. One that no unit is expected of
    may bear any that means a count."""
    match = _NUMBER.match(text)
    if match is None:
        word, _, rest = text.partition(" ")
        if word not in _NUMBER_WORDS or (rest and _number(f"1 {rest}", unit) is None):
            return None
        return float(_NUMBER_WORDS[word])
    rest, unit = text[match.end() :].strip(), _plain(unit)
    number = float(match[0].replace(",", ""))
    if not rest:
        return number
    if not unit:
        return number if any(rest in row for row in _UNITS) else None
    factor = _factor(rest, unit)
    return number * factor if factor else None
