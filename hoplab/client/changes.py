# SPDX-License-Identifier: Apache-2.0
"""Changes of a running lab as somebody writes them, and as requests to the lab.

The words are those of the command line, so that a schedule, a fault and a shell say the same:
`link r1 r2 down`, `link h1 s1 --delay 20ms`. Beside them, `controller hang` and `controller resume`
stop all controllers of the lab (SIGSTOP) and have them go on.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hoplab import quantities
from hoplab.errors import Exit, LabError
from hoplab.sentences import say, sentence_of, term

Request = dict[str, Any]

# Options of a cable: the name in lab.json, and how its value is read.
LIMITS: Mapping[str, tuple[str, Callable[[str], float]]] = {
    "--rate": ("rate", quantities.bits_per_second),
    "--delay": ("delay_ms", quantities.milliseconds),
    "--jitter": ("jitter_ms", quantities.milliseconds),
    "--loss": ("loss", quantities.percent),
    "--queue": ("queue", quantities.frames),
}
STATES = {"up": True, "down": False}


def link_request(
    first: str, second: str, state: str | None, limits: Mapping[str, float], *, clear: bool = False
) -> Request:
    """The request that changes a cable."""
    return {
        "op": "link",
        "ends": [first, second],
        "up": STATES[state] if state else None,
        "clear": clear,
        "limits": dict(limits),
    }


def add_host_request(
    name: str,
    to: str | None = None,
    *,
    ip: str | None = None,
    gateway: str | None = None,
    dns: str | None = None,
    serve: Sequence[Sequence[str]] = (),
    force: bool = False,
) -> Request:
    """The request that adds a host. gateway, dns: None for those that its neighbours have, "none"
    for none."""
    options: dict[str, Any] = {"to": to, "ip": ip, "serve": [list(words) for words in serve],
                               "force": force}  # fmt: skip
    for key, value in (("gateway", gateway), ("dns", dns)):
        if value is not None:
            options[key] = None if value == "none" else value
    return {"op": "add", "what": "host", "names": [name], "options": options}


def add_switch_request(name: str, *, dpid: int | None = None) -> Request:
    """The request that adds a switch."""
    return {"op": "add", "what": "switch", "names": [name], "options": {"dpid": dpid}}


def add_cable_request(
    first: str,
    second: str,
    limits: Mapping[str, float] | None = None,
    *,
    ips: tuple[str | None, str | None] = (None, None),
    force: bool = False,
) -> Request:
    """The request that adds a cable. ips: addresses of its ends."""
    options = {"limits": dict(limits or {}), "ips": list(ips), "force": force}
    return {"op": "add", "what": "cable", "names": [first, second], "options": options}


def remove_request(*names: str, force: bool = False) -> Request:
    """The request that takes away a node, or the cable of two."""
    return {"op": "remove", "names": list(names), "force": force}


def set_request(host: str, *, force: bool = False, **settings: str | None) -> Request:
    """The request that sets a host's ip, gateway or dns; those that are None stay."""
    options = {key: value for key, value in settings.items() if value is not None}
    return {"op": "set", "host": host, "options": {**options, "force": force}}


def service_request(host: str, services: Mapping[str, str]) -> Request:
    """The request that stops, starts or restarts services, by their names."""
    return {"op": "set", "host": host, "services": dict(services)}


def understood(text: str) -> Request:
    """The request that a line asks for. Raises LabError (USAGE)."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise _nonsense(text, str(error)) from error
    if words[:1] == ["hoplab"]:
        words = words[1:]
    if words[:1] == ["controller"] and words[1:] in (["hang"], ["resume"]):
        return {"op": "hang", "hung": words[1] == "hang"}
    read = _READERS.get(words[0]) if words else None
    if read is None:
        raise _nonsense(text, term("it is no change of a cable or a node"))
    return read(text, words[1:])


@dataclass
class _Line:
    """The words of a line: names, and what stands behind options."""

    names: list[str]
    values: dict[str, list[str]]
    flags: set[str]

    def last(self, option: str) -> str | None:
        return self.values[option][-1] if option in self.values else None


def _split(
    text: str, words: Sequence[str], valued: Collection[str] = (), flags: Collection[str] = ()
) -> _Line:
    """valued: options that a value follows; flags: others. Raises LabError (USAGE)."""
    line, rest = _Line([], {}, set()), list(words)
    while rest:
        word = rest.pop(0)
        option, equals, value = word.partition("=")
        if word in flags:
            line.flags.add(word)
        elif option in valued:
            if not equals:
                if not rest:
                    raise _nonsense(text, say("{option} wants a value", option=option))
                value = rest.pop(0)
            line.values.setdefault(option, []).append(value)
        elif word.startswith("-"):
            raise _nonsense(text, say("there is no option {option}", option=word))
        else:
            line.names.append(word)
    return line


def _limits(text: str, line: _Line) -> dict[str, float]:
    limits: dict[str, float] = {}
    for option, (key, read) in LIMITS.items():
        value = line.last(option)
        if value is not None:
            try:
                limits[key] = read(value)
            except ValueError as error:
                raise _nonsense(text, sentence_of(error)) from error
    return limits


def _link(text: str, words: Sequence[str]) -> Request:
    line = _split(text, words, LIMITS, ["--clear"])
    names, limits, clear = line.names, _limits(text, line), "--clear" in line.flags
    state = names.pop() if len(names) == 3 and names[2] in STATES else None
    if len(names) != 2 or not (state or limits or clear):
        raise _nonsense(text, term("it names two ends, and what is to become of their cable"))
    return link_request(names[0], names[1], state, limits, clear=clear)


def _add(text: str, words: Sequence[str]) -> Request:
    what, *rest = words or [""]
    if what == "cable":
        line = _split(text, rest, LIMITS, ["--force"])
        if len(line.names) == 2:
            first, second = line.names
            limits, force = _limits(text, line), "--force" in line.flags
            return add_cable_request(first, second, limits, force=force)
    elif what in ("host", "switch"):
        options = ("--to", "--ip", "--gateway", "--dns", "--serve") if what == "host" else ()
        line = _split(text, rest, options, ["--force"])
        if len(line.names) == 1 and what == "switch":
            return add_switch_request(line.names[0])
        if len(line.names) == 1:
            return add_host_request(
                line.names[0], line.last("--to"), ip=line.last("--ip"),
                gateway=line.last("--gateway"), dns=line.last("--dns"),
                serve=[shlex.split(each) for each in line.values.get("--serve", ())],
                force="--force" in line.flags,
            )  # fmt: skip
    raise _nonsense(text, term("it adds a host NAME, a switch NAME or a cable A B"))


def _remove(text: str, words: Sequence[str]) -> Request:
    line = _split(text, words, (), ["--force"])
    if len(line.names) not in (1, 2):
        raise _nonsense(text, term("it takes away a node, or the cable of two"))
    return remove_request(*line.names, force="--force" in line.flags)


def _set(text: str, words: Sequence[str]) -> Request:
    line = _split(text, words, ("--ip", "--gateway", "--dns", "--service"), ["--force"])
    if len(line.names) == 1 and list(line.values) == ["--service"]:
        wishes = [each.partition("=") for each in line.values["--service"]]
        return service_request(line.names[0], {name: action for name, _, action in wishes})
    if len(line.names) == 1 and line.values and "--service" not in line.values:
        return set_request(
            line.names[0], ip=line.last("--ip"), gateway=line.last("--gateway"),
            dns=line.last("--dns"), force="--force" in line.flags,
        )  # fmt: skip
    raise _nonsense(text, term("it sets the addresses of one host, or what it serves"))


_READERS: dict[str, Callable[[str, Sequence[str]], Request]] = {
    "link": _link, "add": _add, "remove": _remove, "set": _set,
}  # fmt: skip


def _nonsense(text: str, reason: str) -> LabError:
    return LabError(
        say("{change!r} is no change of a lab: {reason}", change=text, reason=reason),
        say("write it as in {command}", command="'link h1 s1 --delay 20ms'"),
        Exit.USAGE,
    )
