# SPDX-License-Identifier: Apache-2.0
"""What a sheet does with a running lab: commands in plain English, lines of a set-up, recordings,
tables.

What lives here: the hands. What must not: verdicts.
"""

from __future__ import annotations

import contextlib
import json
import shlex
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from hoplab import runs, ryu_apps
from hoplab.client import changes, labs, recording
from hoplab.client.commands import TimedOut, run_on
from hoplab.client.interrupts import release_interrupts
from hoplab.client.inventory import facts_of
from hoplab.errors import Exit, LabError
from hoplab.faults import breaking
from hoplab.faults.kinds import Fault
from hoplab.follow import passages
from hoplab.replay.explain import Explainer
from hoplab.sentences import say, term
from hoplab.sheets.records import FOLDER, LAB, Line
from hoplab.story.faults import Faults
from hoplab.story.host_state import Host, read_facts

COMMAND_S = 60.0  # for a check's command: it ends by itself long before
# A check reads what programs print, and the learner may speak any language.
_PLAIN = ("env", "LC_ALL=C.UTF-8", "LANGUAGE=", "HOPLAB_LANG=en")
# Large labs have several daemons; the one that has the bridge answers.
_TRACE = (
    "for c in /run/openvswitch/*vswitchd*.ctl; do "
    'ovs-appctl --target="$c" ofproto/trace --names {switch} {flow} && exit; done; exit 1'
)


def run_line(
    handle: labs.Handle, node: str, line: str, timeout_s: float = COMMAND_S
) -> tuple[int, str]:
    """A line for a node's shell: its exit code and what it printed. Raises TimedOut, LabError."""
    return run_on(handle, node, [*_PLAIN, "sh", "-c", line], timeout_s=timeout_s)


def apply(handle: labs.Handle, lines: Iterable[Line], folder: Path, *, strict: bool = True) -> None:
    """Do these lines, in order. strict: one that fails ends it. Raises LabError."""
    for node, line in lines:
        line = line.replace(FOLDER, str(folder))
        if node == LAB:
            change(handle, line, folder)
            continue
        code, printed = run_line(handle, node, line)
        if code and strict:
            raise LabError(
                say("{node}: {line}: this failed (exit code {code})", node=node, line=line,
                    code=code),
                term("is the lab as it came up? `hoplab lab reset` makes it so"),
                Exit.FAILED,
                printed,
            )  # fmt: skip


def change(handle: labs.Handle, line: str, folder: Path) -> None:
    """A change of the lab itself: `swap hub`, `link h1 s1 down`, `break --seed 7 KIND`. Raises
    LabError."""
    words = shlex.split(line)
    if words[:1] == ["hoplab"]:
        words = words[1:]
    if words[:1] == ["link"]:
        handle.ask(changes.understood(line))
    elif words[:1] == ["swap"] and len(words) == 2:
        name = str(folder / words[1]) if words[1].startswith("./") else words[1]
        put_in_charge(handle, ryu_apps.find(name).as_data())
    elif words[:1] == ["break"]:
        break_(handle, words[1:])
    else:
        raise LabError(
            say("{line}: a sheet changes a lab by link, swap or break", line=line), "",
            Exit.BAD_INPUT,
        )  # fmt: skip


def put_in_charge(handle: labs.Handle, apps: dict[str, Any]) -> None:
    """Have these apps take over. Raises LabError."""
    labs.swap(handle, {**apps, "workplace": labs.here()})
    release_interrupts()


def break_(handle: labs.Handle, words: Sequence[str]) -> Fault:
    """Put a fault in: `--seed N`, and its kind, or any kind; `at NODE` where it has to be at a node
    that matters. Raises LabError."""
    seed, kinds, node = 0, [], ""
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "--seed" and rest and rest[0].isdigit():
            seed = int(rest.pop(0))
        elif word == "at" and rest:
            node = rest.pop(0)
        else:
            kinds.append(word)
    network = breaking.look_at(handle)
    fault = breaking.choose(network, seed, kinds, breaking.ALL_KINDS, node)
    breaking.put_in(handle, fault)
    return fault


# ------------------------------------------------------------------------ begun afresh


def freshen(handle: labs.Handle, kinds: Iterable[str]) -> None:
    """Have the lab forget what it learned: ARP caches, the controller and its switches, the caches
    of resolvers. Raises LabError."""
    state = handle.state()
    for kind in kinds:
        if kind == "arp":
            for node in state["nodes"]:
                if node["kind"] != "switch":
                    # What somebody entered by hand is no cache: it stays.
                    run_line(handle, node["name"], "ip neigh flush all 2>/dev/null; true")
        elif kind == "switches" and state.get("controller_apps"):
            put_in_charge(handle, state["controller_apps"])
        elif kind == "names":
            _restart_resolvers(handle)


def _restart_resolvers(handle: labs.Handle) -> None:
    for host in hosts_of(handle).values():
        for listener in host.listeners:
            if listener.protocol == "udp" and any("resolver" in word for word in listener.argv):
                line = shlex.join(listener.argv)
                if "--background" not in listener.argv:
                    line += " >/dev/null 2>&1 &"
                run_line(handle, host.name, f"kill {listener.pid}; sleep 0.3; {line}")


# ------------------------------------------------------------------------ what is there


def hosts_of(handle: labs.Handle) -> dict[str, Host]:
    """What hosts and routers are set to now. Raises LabError."""
    facts = read_facts({"format": 1, **facts_of(handle)})
    return dict(facts.now.hosts) if facts is not None else {}


def table_of(handle: labs.Handle, switch: str) -> dict[str, Any]:
    """What a switch has learned, and its flows. Raises LabError."""
    table: dict[str, Any] = handle.ask({"op": "table", "switches": [switch]})["switches"][0]
    return table


def trace_flow(handle: labs.Handle, switch: str, fields: str) -> tuple[int, str]:
    """What the switch would do with such a packet, in Open vSwitch's words; nothing is sent.
    Raises LabError."""
    line = _TRACE.format(switch=shlex.quote(switch), flow=shlex.quote(fields))
    return run_line(handle, switch, line)


# ------------------------------------------------------------------------ runs


def record(handle: labs.Handle, host: str, command: str, folder: Path) -> runs.Run:
    """A command on a host with all of the lab captured, kept in the folder, and read. `visit [URL]`
    fetches the lab's page. Raises LabError, KeyboardInterrupt."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    state = handle.state()
    url, argv = "", [*_PLAIN, "sh", "-c", command]
    words = shlex.split(command)
    if words[:1] == ["visit"]:
        url = words[1] if len(words) > 1 else str(state["url"])
        argv = [*_PLAIN, *recording.fetch_command(url)]
    explain = Explainer(state) if state.get("controller") else None
    try:
        recorded = recording.record(handle, host, argv, folder, timeout_s=COMMAND_S)
        if recorded.interrupted:
            raise KeyboardInterrupt
        run = runs.read(
            folder, url=url, host=host, command="" if url else command,
            client_report=runs.complaint(recorded.output, recorded.code),
            exit_code=recorded.code, late=recorded.late is not None, faults=Faults(),
            explain=explain,
        )  # fmt: skip
    finally:
        if explain is not None:
            explain.close()
    head: dict[str, Any] = {
        "format": 1, "host": host, "command": command, "exit_code": recorded.code,
        "output": recorded.output, "timed_out": recorded.late is not None, "interrupted": False,
    }  # fmt: skip
    if url:
        head["request"] = {"url": url, "client": host}
    if run.passages:
        head["switches"] = passages.to_plain(run.passages)
    with contextlib.suppress(OSError):
        (folder / runs.TRACE).write_text(json.dumps(head))
    return run


def has_gaps(run: runs.Run) -> bool:
    """Whether the capture missed frames, so that what is not in it may have been there."""
    health = run.story.summary.health
    return bool(health.dropped or health.unseen or health.cut)


__all__ = [
    "TimedOut", "apply", "break_", "change", "freshen", "has_gaps", "hosts_of", "record",
    "run_line", "table_of", "trace_flow",
]  # fmt: skip
