# SPDX-License-Identifier: Apache-2.0
"""A folder of Kathará: lab.conf, a startup file and a folder of files for each device.

r1[0]="A"                    an interface on collision domain A; "A/02:00:00:00:00:01" with MAC
r1[image]="kathara/frr"      passed over: devices have this machine's programs
r1[sysctl]="net.ipv4.x=1"    set
r1[ipv6]="true"              set
r1[env]="NAME=value"         set for the startup file
r1[exec]="command"           run first
r1[bridged]="true"           refused: a lab has no way out
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from hoplab.errors import Exit, LabError, reason_of
from hoplab.imports import shell_lines
from hoplab.imports.records import Card, Device, OtherLab, Startup
from hoplab.sentences import listed, say

_LINE = re.compile(r"(?P<name>[\w.-]+)\[(?P<key>\w+)\]\s*=\s*(?P<value>.*)")
_ABOUT = re.compile(r"LAB_[A-Z]+\s*=")
_MAC = re.compile(r"[0-9a-fA-F]{1,2}(:[0-9a-fA-F]{1,2}){5}")
_YES = ("true", "yes", "on", "1", "y")
_IPV6 = ("net.ipv6.conf.all.disable_ipv6=0", "net.ipv6.conf.default.disable_ipv6=0",
         "net.ipv6.conf.all.forwarding=1", "net.ipv6.conf.all.accept_ra=0")  # fmt: skip
_NO_IPV6 = ("net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1")
# What says how a container is made: nothing of it shows in the network.
_PASSED_OVER = frozenset(("image", "mem", "cpus", "num_terms", "shell", "ulimit", "privileged",
                          "entrypoint", "args"))  # fmt: skip
_WITHOUT_BRIDGED = "bridged"


@dataclass
class _Draft:
    """A device while its lines are read."""

    cards: dict[int, Card] = field(default_factory=dict)
    sysctls: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    ipv6: bool = False
    ports: list[str] = field(default_factory=list)
    bridged: int = 0  # the line that says so


def read(path: Path, without: frozenset[str] = frozenset()) -> OtherLab:
    """The lab of a lab.conf. without: what is to be passed over though it would be refused. Raises
    LabError."""
    try:
        lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    except OSError as error:
        raise LabError(
            say("{file} cannot be read: {reason}", file=path, reason=reason_of(error)),
            "", Exit.NO_SUCH,
        ) from error  # fmt: skip
    drafts: dict[str, _Draft] = {}
    remarks: list[str] = []
    for number, line in enumerate(lines, 1):
        _read_line(path, number, line, drafts, remarks)
    if not drafts:
        raise LabError(
            say("{file} has no device", file=path),
            say("write one as in {line}", line='pc1[0]="A"'),
            Exit.BAD_INPUT,
        )
    _check_outside(path, drafts, without)
    devices = {name: _device(path.parent, name, draft, remarks) for name, draft in drafts.items()}
    for name in ("lab.dep", "lab.ext"):
        if (path.parent / name).is_file():
            remarks.append(
                say("{file} is passed over: all devices come up at the same time", file=name)
                if name == "lab.dep"
                else say("{file} is passed over: a lab has no way out", file=name)
            )
    return OtherLab(path, devices, tuple(remarks))


def _read_line(
    path: Path, number: int, line: str, drafts: dict[str, _Draft], remarks: list[str]
) -> None:
    line = line.strip()
    if not line or line.startswith("#") or _ABOUT.match(line):
        return
    parts = _LINE.fullmatch(line)
    if parts is None:
        raise _wrong(path, number, say("{line} is not understood", line=line))
    name, key, value = parts["name"], parts["key"], _plain(parts["value"])
    draft = drafts.setdefault(name, _Draft())
    if key.isdigit():
        draft.cards[int(key)] = _card(path, number, int(key), value)
        return
    reader = _OPTIONS.get(key)
    if reader is not None:
        reader(draft, value)
        if key == "bridged" and draft.bridged:
            draft.bridged = number
    elif key not in _PASSED_OVER:
        remarks.append(
            say("{device}: its option {option} (line {line}) is not known, and passed over",
                device=name, option=key, line=number)
        )  # fmt: skip


def _plain(value: str) -> str:
    """A value without its quotes and what is said behind it."""
    value = value.strip()
    if value[:1] in ("'", '"'):
        return value[1:].partition(value[0])[0].strip()
    return value.partition("#")[0].strip()


def _card(path: Path, number: int, card: int, value: str) -> Card:
    domain, _, mac = value.partition("/")
    if not re.fullmatch(r"[\w.-]+", domain):
        raise _wrong(path, number, say("{name} is no name of a collision domain", name=repr(value)))
    if mac and not _MAC.fullmatch(mac):
        raise _wrong(path, number, say("{mac} is no MAC address", mac=mac))
    return Card(card, f"eth{card}", domain, mac or None)


def _set_ipv6(draft: _Draft, value: str) -> None:
    draft.ipv6 = value.lower() in _YES


def _set_bridged(draft: _Draft, value: str) -> None:
    draft.bridged = int(value.lower() in _YES)


def _set_variable(draft: _Draft, value: str) -> None:
    name, _, text = value.partition("=")
    draft.environment[name.strip()] = text.strip().strip("'\"")


_OPTIONS: dict[str, Callable[[_Draft, str], None]] = {
    "sysctl": lambda draft, value: draft.sysctls.append(re.sub(r"\s*=\s*", "=", value)),
    "exec": lambda draft, value: draft.commands.append(value),
    "port": lambda draft, value: draft.ports.append(value),
    "env": _set_variable,
    "ipv6": _set_ipv6,
    "bridged": _set_bridged,
}


def _wrong(path: Path, number: int, reason: str) -> LabError:
    return LabError(
        say("{file}, line {line}: {reason}", file=path, line=number, reason=reason),
        say("write it as in {line}", line='pc1[0]="A"'),
        Exit.BAD_INPUT,
    )


def _check_outside(path: Path, drafts: dict[str, _Draft], without: frozenset[str]) -> None:
    """Raises LabError for a device that is to reach the network of this machine."""
    bridged = {name: draft.bridged for name, draft in drafts.items() if draft.bridged}
    if not bridged or _WITHOUT_BRIDGED in without:
        return
    name, line = next(iter(bridged.items()))
    raise LabError(
        say("{file}, line {line}: {device} is to be bridged to the network outside, and a lab has "
            "no way out", file=path, line=line, device=name),
        say("take the option away, or go on without it: {command}",
            command=f"hoplab up {path.parent},without={_WITHOUT_BRIDGED}"),
        Exit.BAD_INPUT,
    )  # fmt: skip


def _device(folder: Path, name: str, draft: _Draft, remarks: list[str]) -> Device:
    startups = [Startup(f"{name}[exec]", "\n".join(draft.commands))] if draft.commands else []
    shapes: dict[str, dict[str, object]] = {}
    for file in (folder / "shared.startup", folder / f"{name}.startup"):
        if file.is_file():
            text = file.read_text(encoding="utf-8", errors="replace").replace("\r\n", "\n")
            text, asked, partly = shell_lines.taken_shapes(text)
            startups.append(Startup(file.name, text))
            for card, shape in asked.items():
                shapes.setdefault(card, {}).update(shape)
            remarks += [
                say("{file}: of {line} only rate, delay, jitter and loss are done", file=file.name,
                    line=repr(line))
                for line in partly
            ]  # fmt: skip
    if draft.ports:
        remarks.append(
            say("{device}: its port {ports} is not at this machine; {command} shows its pages",
                device=name, ports=listed(draft.ports), command=f"hoplab open {name}")
        )  # fmt: skip
    cards = [
        replace(card, shape=shapes.get(card.name, {})) for _, card in sorted(draft.cards.items())
    ]
    places = (folder / "shared", folder / name)
    files = [(str(place), "/") for place in places[1:] if place.is_dir()]
    if places[0].is_dir():
        remarks.append(say("{folder} is not seen by the devices", folder=f"{places[0].name}/"))
    return Device(
        name, tuple(cards), tuple(startups), tuple(files),
        (*(_IPV6 if draft.ipv6 else _NO_IPV6), *draft.sysctls), draft.environment,
    )  # fmt: skip
