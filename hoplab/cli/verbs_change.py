# SPDX-License-Identifier: Apache-2.0
"""The verbs that change what a running lab is: `add`, `remove`, `set`."""

from __future__ import annotations

import argparse
import shlex
from typing import Any

from hoplab.cli.output import Progress, print_json, tr
from hoplab.cli.verbs_lab import note
from hoplab.client import changes
from hoplab.client import labs as client
from hoplab.errors import Exit, LabError
from hoplab.sentences import listed, say, term
from hoplab.service.services import ACTIONS

_OF_HOSTS = ("to", "ip", "gateway", "dns", "serve")
_NAMES = {"host": 1, "switch": 1, "cable": 2}


def add(arguments: argparse.Namespace) -> int:
    request = add_request(arguments)
    return _change(arguments, request, term("adding"))


def remove(arguments: argparse.Namespace) -> int:
    if len(arguments.names) > 2:
        raise LabError(
            say("a node has one name, a cable has two ends: {names}",
                names=listed(arguments.names)),
            say("one at a time: {command}", command=f"hoplab remove {arguments.names[0]}"),
            Exit.USAGE,
        )  # fmt: skip
    request = changes.remove_request(*arguments.names, force=arguments.force)
    return _change(arguments, request, term("taking away"))


def set_(arguments: argparse.Namespace) -> int:
    settings = {key: getattr(arguments, key) for key in ("ip", "gateway", "dns")}
    wanted = any(value is not None for value in settings.values())
    if not wanted and not arguments.service:
        raise LabError(
            say("what is to be set on {host}?", host=arguments.host),
            say("as in {command}", command=f"hoplab set {arguments.host} --gateway 10.0.0.1"),
            Exit.USAGE,
        )
    if wanted and arguments.service:
        raise LabError(
            term("addresses and services are set one after the other"),
            term("take --service into a second command"),
            Exit.USAGE,
        )
    if arguments.service:
        request = changes.service_request(arguments.host, services(arguments.service))
    else:
        request = changes.set_request(arguments.host, force=arguments.force, **settings)
    return _change(arguments, request, term("setting"))


def services(wishes: list[str]) -> dict[str, str]:
    """What `--service web=stop` asks for, by service. Raises LabError."""
    read: dict[str, str] = {}
    for wish in wishes:
        name, _, action = wish.partition("=")
        if not name or action not in ACTIONS:
            raise LabError(
                say("{wish} is nothing that is done to a service", wish=wish),
                say("write {name}=stop, {name}=start or {name}=restart", name=name or "web"),
                Exit.USAGE,
            )
        read[name] = action
    return read


def add_request(arguments: argparse.Namespace) -> changes.Request:
    """What `add` asks for. Raises LabError (USAGE)."""
    what, names = arguments.what, arguments.names
    examples = {
        "host": "hoplab add host h5 --to s1", "switch": "hoplab add switch s4",
        "cable": "hoplab add cable h5 s1",
    }  # fmt: skip
    as_in = say("as in {command}", command=examples[what])
    if len(names) != _NAMES[what]:
        raise LabError(
            term("a cable has two ends") if what == "cable"
            else say("one name at a time, and not {names}", names=listed(names)),
            as_in,
            Exit.USAGE,
        )  # fmt: skip
    limits = {
        key: getattr(arguments, option[2:])
        for option, (key, _) in changes.LIMITS.items()
        if getattr(arguments, option[2:]) is not None
    }
    given = [key for key in _OF_HOSTS if getattr(arguments, key)]
    given += [option[2:] for option, (key, _) in changes.LIMITS.items() if key in limits]
    fitting = {"host": _OF_HOSTS, "switch": (), "cable": [o[2:] for o in changes.LIMITS]}[what]
    misplaced = [f"--{key}" for key in given if key not in fitting]
    if misplaced:
        raise LabError(
            say("{options} says nothing of a {what}", options=listed(misplaced), what=what),
            as_in,
            Exit.USAGE,
        )
    if what == "switch":
        return changes.add_switch_request(names[0], dpid=arguments.dpid)
    if what == "cable":
        return changes.add_cable_request(names[0], names[1], limits, force=arguments.force)
    return changes.add_host_request(
        names[0], arguments.to, ip=arguments.ip, gateway=arguments.gateway, dns=arguments.dns,
        serve=[shlex.split(line) for line in arguments.serve or ()], force=arguments.force,
    )  # fmt: skip


def _change(arguments: argparse.Namespace, request: changes.Request, step: str) -> int:
    """Have it done, and say what was."""
    handle = client.find(arguments.name)
    with Progress(arguments.json) as progress:
        progress(step)
        answer, late = client.change(handle, request)
    _say(answer, as_json=arguments.json)
    if late:
        note(term("the interrupt came too late: it was done already"))
        return Exit.INTERRUPTED
    return Exit.OK


def _say(answer: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(answer)
        return
    for sentence in answer["sentences"]:
        print(tr(sentence))
