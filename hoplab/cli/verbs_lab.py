# SPDX-License-Identifier: Apache-2.0
"""The verbs that make, show, change and end labs."""

from __future__ import annotations

import argparse
import contextlib
import difflib
import sys
from collections.abc import Sequence
from pathlib import Path
from textwrap import indent
from typing import Any

from hoplab import content
from hoplab.cli.output import Progress, listed, print_json, table, terminal_width
from hoplab.client import labs as client
from hoplab.errors import Exit, LabError
from hoplab.service import loops
from hoplab.service.spec import Spec


def find_topology(text: str) -> tuple[Path, str, str]:
    """'web,routers=3' or './mine.py:star,n=4' as the file, the name of one of its Topos ("" for
    none), and the parameters. Raises LabError."""
    name, _, parameters = text.partition(",")
    chosen = ""
    if ".py:" in name and not Path(name).is_file():
        name, _, chosen = name.rpartition(":")
    return content.find("topologies", name), chosen, parameters


def bring_up(
    arguments: argparse.Namespace, topology: str, name: str, *, capture: bool, quiet: bool = False
) -> client.Handle:
    """A new lab as the options say. Returns with interrupts held (`client.up`)."""
    file, chosen, parameters = find_topology(topology)
    controller = arguments.controller
    spec = Spec(
        name=name,
        folder=Path(),
        topology=file,
        arguments=parameters,
        chosen=chosen,
        controller=content.find_all("controllers", controller) if controller else (),
        platform=arguments.platform,
        standby=getattr(arguments, "controllers", 1) > 1,
        shards=getattr(arguments, "shards", 1),
        datapath=arguments.datapath,
        vswitchd=getattr(arguments, "vswitchd", 0),
        capture=capture,
        ipv6=arguments.ipv6,
        static_arp=arguments.static_arp,
        debug=arguments.debug,
        workplace=Path(client.here()),
    )
    with Progress(quiet) as progress:
        if getattr(arguments, "replace", False):
            _end_former(name, progress)
        return client.up(spec, progress)


def _end_former(name: str, progress: Progress) -> None:
    """End the lab of this name, if one is up: another is to be brought up in its place."""
    client.check_name(name)
    former = client.Handle(name)
    if former.alive():
        progress(f"ending the lab {name} that was up")
        client.down(former)


def summary(state: dict[str, Any]) -> dict[str, Any]:
    """What `up` and `ls` say of a lab."""
    loop = loops.remark(state)
    kinds = [node["kind"] for node in state["nodes"]]
    return {
        "name": state["name"],
        "topology": state["topology"] + (f",{state['arguments']}" if state["arguments"] else ""),
        "controller": state["controller"],
        "shards": state["shards"],
        "datapath": state["datapath"],
        "hosts": kinds.count("host"),
        "routers": kinds.count("router"),
        "switches": kinds.count("switch"),
        "events": [*state["events"], *([loop] if loop else [])],
        "loops": state.get("loops", []),
    }


def divided(shards: list[dict[str, Any]]) -> str:
    """How the switches are divided among controllers, if they are: ' (s1 s2 | s3 s4, each with a
    second one)'."""

    def some(names: list[str]) -> str:
        return " ".join(names if len(names) < 4 else [names[0], "…", names[-1]])

    parts = [" | ".join(some(shard["switches"]) for shard in shards)] if len(shards) > 1 else []
    if any(shard["standby"] for shard in shards):
        parts.append("each with a second one" if parts else "a second one stands by")
    return f" ({', '.join(parts)})" if parts else ""


DATAPATHS = {
    "kernel": "the kernel's datapath",
    "user": "Open vSwitch's userspace datapath",
    "afxdp": "Open vSwitch's userspace datapath with AF_XDP ports",
    "none": "no switch",
}


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


def describe(data: dict[str, Any]) -> str:
    """One sentence on a lab."""
    parts = [_count(data["hosts"], "host")]
    if data["routers"]:
        parts.append(_count(data["routers"], "router"))
    if data["switches"]:
        parts.append(_count(data["switches"], "switch", "switches"))
    text = f"lab {data['name']} is up: {data['topology']}, {', '.join(parts)}"
    if data["controller"]:
        text += f", controller {data['controller']}{divided(data['shards'])}"
    return f"{text}, {DATAPATHS[data['datapath']]}"


def up(arguments: argparse.Namespace) -> int:
    handle = bring_up(arguments, arguments.topology, arguments.name, capture=False)
    state = handle.state()
    data = summary(state)
    if arguments.json:
        print_json(data)
        return Exit.OK
    print(describe(data))
    for event in data["events"]:
        print(f"  note: {event}")
    option = "" if data["name"] == client.DEFAULT_NAME else f" --name {data['name']}"
    print(listed("  try:", next_steps(state, option)))
    return Exit.OK


def next_steps(state: dict[str, Any], option: str) -> list[str]:
    """What one may do with a fresh lab, ready to paste."""
    joined = {end["node"] for end in state["interfaces"] if end["peer"]}
    every = [node["name"] for node in state["nodes"] if node["kind"] == "host"]
    hosts = [name for name in every if name in joined] or every
    steps = []
    if state["datapath"] == "afxdp":
        steps.append(f"hoplab pingall{option}")  # its switches cannot be captured
    elif state["url"]:
        steps.append(f"hoplab visit{option}")
    elif len(hosts) > 1:
        addresses = {i["node"]: i["addresses"] for i in reversed(state["interfaces"])}
        other = addresses.get(hosts[-1]) or ["ADDRESS"]
        steps.append(f"hoplab trace{option} {hosts[0]} -- ping -c 1 {other[0].split('/')[0]}")
    if state["controller"]:
        steps.append(
            f"hoplab swap{option} {'hub' if state['controller'] != 'hub' else 'learning_switch'}"
        )
    if hosts:
        steps.append(f"hoplab shell{option} {state['client'] or hosts[0]}")
    return [*steps, f"hoplab down{option}"]


def ls(arguments: argparse.Namespace) -> int:
    labs = []
    for handle in client.live():
        try:
            labs.append(summary(handle.ask({"op": "status"}, within_s=3)))
        except LabError:
            if handle.alive():
                labs.append({"name": handle.name, "state": "coming up, or not answering"})
    if arguments.json:
        print_json(labs)
        return Exit.OK
    if not labs:
        print("no lab is up; bring one up: hoplab up web")
        return Exit.OK
    rows = []
    for lab in labs:
        if "state" in lab:
            rows.append([lab["name"], lab["state"], "", "", "", ""])
            continue
        nodes = f"{lab['hosts']}+{lab['routers']}+{lab['switches']}"
        controller = f"{lab['controller'] or '-'}{divided(lab['shards'])}"
        row = [lab["name"], lab["topology"], controller, lab["datapath"], nodes]
        rows.append([*row, "; ".join(lab["events"])])
    head = ["NAME", "TOPOLOGY", "CONTROLLER", "DATAPATH", "HOSTS+ROUTERS+SWITCHES", "EVENTS"]
    print(table(rows, head))
    return Exit.OK


def swap(arguments: argparse.Namespace) -> int:
    files = content.find_all("controllers", arguments.controller)
    handle = client.find(arguments.name)
    with Progress() as progress:
        progress(f"starting {arguments.controller}, then changing over")
        done, too_late = swap_to(handle, files)
    loop = loops.remark(handle.state())
    if loop:
        done["notes"] = [*done["notes"], loop]
    code = Exit.INTERRUPTED if too_late else Exit.OK
    if arguments.json:
        print_json(done)
        return code
    print(f"{done['controller']} is in charge of {', '.join(done['switches'])} (was {done['was']})")
    if done["without_flows"]:
        print(
            f"  note: it has put no flow into {', '.join(done['without_flows'])}: "
            "frames there are dropped until it does (with OpenFlow 1.0 they are handed to it)"
        )
    for note in done["notes"]:
        print(f"  note: {note}")
    if too_late:
        print(f"  note: the interrupt came too late; back again: hoplab swap {done['was']}")
    return code


def swap_to(handle: client.Handle, files: Sequence[Path]) -> tuple[dict[str, Any], bool]:
    """Have the lab put these in charge, working in the folder that we are in; whether an interrupt
    came too late to stop it. Raises LabError. Returns with interrupts held (`client.swap`)."""
    workplace = ""  # where the one before works
    with contextlib.suppress(LabError):
        workplace = client.here()
    request = {"files": [str(file) for file in files], "workplace": workplace}
    return client.swap(handle, request)


def show_table(arguments: argparse.Namespace) -> int:
    from hoplab.openvswitch import tables

    data = client.find(arguments.name).ask({"op": "table", "switches": arguments.switches})
    if arguments.json:
        print_json(data)
        return Exit.OK
    for number, switch in enumerate(data["switches"]):
        print("" if number else f"controller {data['controller']}")
        addresses, flows, rates = tables.as_rows(switch, every_flow=arguments.flows)
        known = f"{switch['name']} knows {_count(len(addresses), 'address', 'addresses')}"
        print(known + (f" (shard {switch['shard']})" if data["shards"] > 1 else ""))
        if addresses:
            print(indent(table(addresses, tables.ADDRESS_HEAD), "  "))
        if flows:
            print(f"{switch['name']} has {_count(len(switch['flows']), 'flow')}")
            text = indent(table(flows, tables.FLOW_HEAD), "  ")
            if max(map(len, text.splitlines())) > terminal_width():
                # Counters first, and below them what is matched and done.
                head = [*tables.FLOW_HEAD[:-2], ""]
                rows = [[*row[:-2], f"\n      {row[-2]}  {row[-1]}"] for row in flows]
                lines = indent(table(rows, head), "  ").splitlines()
                text = "\n".join(map(str.rstrip, lines))
            print(text)
        if rates:
            print(f"{switch['name']} carries, a second")
            print(indent(table(rates, tables.RATE_HEAD), "  "))
    return Exit.OK


def pingall(arguments: argparse.Namespace) -> int:
    handle = client.find(arguments.name)
    with Progress() as progress:
        progress("pinging every pair")
        request = {"op": "pingall", "hosts": arguments.hosts or None}
        # A switch that wants a flow for each pair needs ten minutes for 500 hosts.
        result = handle.ask(request, within_s=7200)
    lost = result["reached"] < result["pairs"]
    likely = [loops.remark(handle.state())] if lost else []
    result["likely"] = [why for why in likely if why]
    if arguments.json:
        print_json(result)
    else:
        print(matrix(result))
        for why in result["likely"]:
            print(f"  likely why: {why}")
    return Exit.OK if result["reached"] == result["pairs"] else Exit.FAILED


def matrix(result: dict[str, Any]) -> str:
    """Who reaches whom: a dot for yes, an X for no; one line when all is well and large."""
    hosts, lost = result["hosts"], {tuple(pair) for pair in result["lost"]}
    lines = []
    if len(hosts) <= 24:
        width = max(map(len, hosts), default=0)
        lines.append(
            " " * width + "  " + " ".join(f"{i % 100:2d}" for i in range(1, len(hosts) + 1))
        )
        for row, one in enumerate(hosts, 1):
            cells = [
                " -" if one == other else " X" if (one, other) in lost else " ." for other in hosts
            ]
            lines.append(f"{one.ljust(width)}  {' '.join(cells)}  {row}")
        lines.append("")
    elif lost:
        lines += [f"{one} does not reach {other}" for one, other in sorted(lost)[:40]]
    lines.append(
        f"{result['reached']} of {result['pairs']} pairs reached in {_took(result['seconds'])}"
        + ("" if not lost else f"; {result['pairs'] - result['reached']} not (X)")
        + ("; rows ping columns" if len(hosts) <= 24 else "")
    )
    return "\n".join(lines)


def _took(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 0.1 else f"{seconds * 1000:.0f} ms"


def down(arguments: argparse.Namespace) -> int:
    if arguments.all:
        handles = client.live()
        if not handles:
            print("no lab is up")
    else:
        handles = [client.find(arguments.name)]
    for handle in handles:
        with Progress() as progress:
            progress(f"ending {handle.name}")
            client.down(handle, keep=arguments.keep)
        kept = f"; its folder: {handle.folder}" if arguments.keep else ""
        print(f"lab {handle.name} is gone{kept}")
    return Exit.OK


def path(arguments: argparse.Namespace) -> int:
    kinds: tuple[content.Kind, ...] = ("topologies", "controllers", "apps")
    if arguments.kind:
        kinds = (arguments.kind,)
    if arguments.list or not arguments.what:
        every = {kind: content.names(kind) for kind in kinds}
        if arguments.json:
            print_json(every)
        else:
            for kind, names in every.items():
                print(f"{kind}: {', '.join(names)}")
        return Exit.OK
    for kind in kinds:
        try:
            found = content.find(kind, arguments.what)
        except LabError:
            continue
        if arguments.json:
            print_json({"path": str(found), "kind": kind})
            return Exit.OK
        print(found)
        for other in kinds[kinds.index(kind) + 1 :]:
            if arguments.what in content.names(other):
                note = f"note: there is {arguments.what} in {other}, too: --kind {other}"
                print(note, file=sys.stderr)
        return Exit.OK
    known = [name for kind in kinds for name in content.names(kind)]
    close = difflib.get_close_matches(arguments.what, known, n=1)
    raise LabError(
        f"we have nothing called {arguments.what!r}",
        (f"did you mean {close[0]}? " if close else "") + "hoplab path --list names all there is",
        Exit.NO_SUCH,
    )


def doctor(arguments: argparse.Namespace) -> int:
    if arguments.apparmor_profile:
        from hoplab.doctor import apparmor

        print(apparmor.profile(apparmor.launcher()), end="")
        return Exit.OK
    from hoplab.doctor import checks as checks

    found = checks.examine()
    if arguments.json:
        print_json([check.as_dict() for check in found])
    else:
        print(checks.as_text(found, terminal_width()))
    return Exit.OK if all(check.good for check in found) else Exit.REFUSED
