# SPDX-License-Identifier: Apache-2.0
"""The lab that a command is about, if one is up: whether it is what is asked for, and what its
topology says of whom to ask for what.

What lives here: the choice. What must not: bringing one up (`verbs_lab.py`), recording
(`lab_recorder.py`).
"""

from __future__ import annotations

import argparse
from typing import Any

from hoplab import ryu_apps
from hoplab.cli import output, verbs_lab
from hoplab.client import interrupts, labs
from hoplab.client.topologies import find_topology
from hoplab.errors import Exit, LabError
from hoplab.sentences import say, term


def find_lab(arguments: argparse.Namespace, quiet: bool) -> labs.Handle | None:
    """The lab that is up and is meant, with the controller that is asked for in charge; None if
    there is none. Raises LabError if it is another than is asked for."""
    try:
        handle = labs.find(arguments.name)
    except LabError as error:
        if labs.live() and arguments.name is None:
            raise error
        return None
    state = handle.state()
    if arguments.topology:
        file, *wanted = find_topology(arguments.topology)
        there = [state.get("chosen", ""), state["arguments"], tuple(state.get("words", ()))]
        if (str(file), wanted) != (state["topology_file"], there):
            raise LabError(
                say(
                    "the lab {lab} is up with another topology, {topology}",
                    lab=handle.name,
                    topology=state["topology"],
                ),
                say(
                    "end it ({command}), or bring up a second one with --name",
                    command=f"hoplab down --name {handle.name}",
                ),
                Exit.TAKEN,
            )
    _check_options(arguments, handle, state)
    if arguments.controller:
        apps = ryu_apps.find(arguments.controller)
        if apps.as_data() != state["controller_apps"]:
            with output.Progress(quiet) as progress:
                progress(say("putting {controller} in charge", controller=apps.name))
                _, too_late = verbs_lab.swap_to(handle, apps)
                interrupts.release_interrupts()
                if too_late:
                    raise LabError(
                        say(
                            "interrupted; {controller} is in charge of {lab} already",
                            controller=arguments.controller,
                            lab=handle.name,
                        ),
                        say(
                            "{command} puts another one in charge",
                            command="hoplab swap",
                        ),
                        Exit.INTERRUPTED,
                    )
    return handle


def _check_options(
    arguments: argparse.Namespace, handle: labs.Handle, state: dict[str, Any]
) -> None:
    """Raises LabError if the lab was brought up otherwise than is asked for now."""
    otherwise = [
        text
        for text, differs in (
            (
                f"--datapath {arguments.datapath}",
                arguments.datapath in ("kernel", "user", "afxdp")
                and state["datapath"] not in ("none", arguments.datapath),
            ),
            (
                f"--platform {arguments.platform}",
                arguments.platform != "ryu" and state.get("platform") != arguments.platform,
            ),
            ("--ipv6", arguments.ipv6 and not state.get("ipv6")),
            ("--static-arp", arguments.static_arp and not state.get("static_arp")),
        )
        if differs
    ]
    if otherwise:
        raise LabError(
            say(
                "the lab {lab} is up without {options}",
                lab=handle.name,
                options=" ".join(otherwise),
            ),
            say("end it first: {command}", command=f"hoplab down --name {handle.name}"),
            Exit.TAKEN,
        )


def client_and_url(
    arguments: argparse.Namespace, state: dict[str, Any], url: str
) -> tuple[str, str]:
    """What is fetched and by which host: as asked for, else what the topology names. Raises
    LabError."""
    host = arguments.host or state["client"] or _first_host(state)
    return url or state["url"] or _first_server(state), host


def _first_host(state: dict[str, Any]) -> str:
    hosts = [node["name"] for node in state["nodes"] if node["kind"] == "host"]
    if not hosts:
        raise LabError(
            say("the lab {lab} has no host", lab=state["name"]),
            term("bring up a topology that has one; hoplab ls shows what is up"),
            Exit.NO_SUCH,
        )
    return str(hosts[0])


def _first_server(state: dict[str, Any]) -> str:
    raise LabError(
        say("the topology {topology} names no URL to visit", topology=state["topology"]),
        say("give one: {command}", command="hoplab visit http://ADDRESS/"),
        Exit.USAGE,
    )
