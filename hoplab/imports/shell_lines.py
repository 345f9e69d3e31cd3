# SPDX-License-Identifier: Apache-2.0
"""What a startup file calls, and what of it hoplab does itself.

What lives here: the programs and services that a shell script names, and `tc` lines that ask for a
delay, a loss or a rate. A script is read line by line, not run: what it makes up while it runs is
not seen.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Any

_BEFORE = frozenset(("sudo", "nohup", "exec", "time", "command", "env", "setsid", "then", "do",
                     "else", "if", "while", "until", "elif", "!", "{", "("))  # fmt: skip
_SEPARATORS = frozenset((";", "&", "&&", "||", "|", "|&", "(", ")", "{", "}", ";;"))
_SYNTAX = frozenset(
    """. : [ [[ alias bg break builtin case cd continue declare disown do done echo elif else esac
    eval exec exit export false fg fi for function getopts hash if in jobs kill let local popd
    printf pushd pwd read readonly return select set shift shopt source test then times trap true
    type ulimit umask unalias unset until wait while""".split()
)
_HEREDOC = re.compile(r"<<-?\s*(['\"]?)(\w+)\1")
_TIME = re.compile(r"(\d+(?:\.\d+)?)(us|usecs?|ms|msecs?|s|secs?)?")
_RATE = re.compile(r"(\d+(?:\.\d+)?)(bit|[kmg]bit|bps|[kmg]bps)?", re.IGNORECASE)
_UNITS = {"bit": 1, "kbit": 1e3, "mbit": 1e6, "gbit": 1e9, "bps": 8, "kbps": 8e3, "mbps": 8e6,
          "gbps": 8e9}  # fmt: skip


def commands(text: str) -> Iterator[list[str]]:
    """The commands of a script, each as its words."""
    until = ""
    for line in text.replace("\\\n", " ").splitlines():
        if until:
            until = "" if line.strip() == until else until
            continue
        heredoc = _HEREDOC.search(line)
        until = heredoc.group(2) if heredoc else ""
        yield from _of_line(line)


def _of_line(line: str) -> Iterator[list[str]]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    try:
        words = list(lexer)
    except ValueError:  # a quote that goes on in the next line
        return
    command: list[str] = []
    skip = False
    for word in [*words, ";"]:
        if word in _SEPARATORS:
            if command:
                yield command
            command = []
        elif skip:
            skip = False
        elif word and set(word) <= set("<>&|"):  # the name of a file comes
            skip = True
        else:
            command.append(word)


def programs(text: str) -> Iterator[str]:
    """The programs that a script calls, by name or path, without what the shell does itself."""
    own = set(re.findall(r"(?m)^\s*(?:function\s+)?([\w-]+)\s*\(\)", text))
    for words in commands(text):
        name = _called(words)
        if name and name not in _SYNTAX and name not in own and re.fullmatch(r"[\w./+-]+", name):
            yield name


def _called(words: list[str]) -> str:
    for word in words:
        if word in _BEFORE or re.match(r"[A-Za-z_]\w*=", word) or word.startswith("-"):
            continue
        return word
    return ""


def services(text: str) -> Iterator[str]:
    """The services that a script starts, by systemctl, service or /etc/init.d."""
    for words in commands(text):
        words = [word for word in words if word not in _BEFORE and not word.startswith("-")]
        name = words[0].rpartition("/")[2] if words else ""
        if name == "systemctl" and words[1:2] in (["start"], ["restart"], ["reload"]):
            yield from (word.removesuffix(".service") for word in words[2:])
        elif name == "service" and words[2:3] in (["start"], ["restart"], ["reload"]):
            yield words[1]
        elif words and words[0].startswith("/etc/init.d/") and words[1:2] in (
            ["start"], ["restart"], ["reload"],
        ):  # fmt: skip
            yield name


def taken_shapes(text: str) -> tuple[str, dict[str, dict[str, Any]], list[str]]:
    """A script without its lines of `tc` that hoplab carries out itself, what they ask of each
    interface, as parameters of a TCLink, and the lines of which a part is left out."""
    shapes: dict[str, dict[str, Any]] = {}
    lines, partly = [], []
    for line in text.split("\n"):
        found = list(_of_line(line)) if "tc" in line else []
        shape = _shape(found[0]) if len(found) == 1 else None
        if shape is None:
            lines.append(line)
            continue
        device, asked, whole = shape
        shapes.setdefault(device, {}).update(asked)
        lines.append(f": {line.strip()}")
        if not whole:
            partly.append(line.strip())
    return "\n".join(lines), shapes, partly


def _shape(words: list[str]) -> tuple[str, dict[str, Any], bool] | None:
    """(interface, parameters of a TCLink, whether that is all that the command asks for)."""
    words = [word for word in words if word not in _BEFORE]
    if words[:2] != ["tc", "qdisc"] or words[2:3] not in (["add"], ["replace"], ["change"]):
        return None
    rest = words[3:]
    if "dev" not in rest[:-1]:
        return None
    device = rest[rest.index("dev") + 1]
    for kind, reader in (("netem", _netem), ("tbf", _tbf)):
        if kind in rest:
            shape, whole = reader(rest[rest.index(kind) + 1 :])
            return (device, shape, whole) if shape else None
    return None


def _netem(words: list[str]) -> tuple[dict[str, Any], bool]:
    shape: dict[str, Any] = {}
    whole = True
    place = 0
    while place < len(words):
        word = words[place]
        following = words[place + 1] if place + 1 < len(words) else ""
        place += 2
        if word == "delay" and _milliseconds(following):
            shape["delay"] = _milliseconds(following)
            if place < len(words) and _TIME.fullmatch(words[place]):
                shape["jitter"] = _milliseconds(words[place])
                place += 1
        elif word == "loss":
            if following == "random":
                following = words[place] if place < len(words) else ""
                place += 1
            if not re.fullmatch(r"\d+(\.\d+)?%", following):
                whole = False
                continue
            shape["loss"] = float(following[:-1])
        elif word == "rate" and _mbits(following):
            shape["bw"] = _mbits(following)
        elif word == "limit" and following.isdigit():
            shape["max_queue_size"] = int(following)
        else:
            whole = False
            place -= 1
    return shape, whole


def _tbf(words: list[str]) -> tuple[dict[str, Any], bool]:
    for place, word in enumerate(words[:-1]):
        if word == "rate" and _mbits(words[place + 1]):
            return {"bw": _mbits(words[place + 1])}, True
    return {}, False


def _milliseconds(text: str) -> str:
    parts = _TIME.fullmatch(text)
    if parts is None:
        return ""
    unit = (parts[2] or "us")[:1]  # tc takes a bare number for microseconds
    factor = {"u": 0.001, "m": 1.0, "s": 1000.0}[unit]
    return f"{float(parts[1]) * factor:g}ms"


def _mbits(text: str) -> float:
    parts = _RATE.fullmatch(text)
    return float(parts[1]) * _UNITS[(parts[2] or "bit").lower()] / 1e6 if parts else 0.0
