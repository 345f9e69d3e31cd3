# SPDX-License-Identifier: Apache-2.0
"""The verbs that make, show, change and end labs."""

from __future__ import annotations

import argparse
import contextlib
import difflib
import sys
from pathlib import Path
from textwrap import indent
from typing import TYPE_CHECKING, Any

from hoplab import content, ryu_apps
from hoplab.cli import output
from hoplab.cli.output import Progress, print_json, table, terminal_width, tr
from hoplab.client import labs as client
from hoplab.client import up_down
from hoplab.client.topologies import find_topology
from hoplab.errors import Exit, LabError
from hoplab.ryu_apps import Apps
from hoplab.sentences import listed, number_of, say, term, together
from hoplab.service import alone, loops
from hoplab.service.spec import Spec

if TYPE_CHECKING:
    from hoplab.doctor.checks import Check


def bring_up(
    arguments: argparse.Namespace, topology: str, name: str, *, capture: bool, quiet: bool = False
) -> client.Handle:
    """A new lab as the options say. Returns with interrupts held (`up_down.up`)."""
    wanted = find_topology(topology, getattr(arguments, "topo", None) or "")
    controller = apps_wished(arguments)
    ryu_apps.check_platform(controller.apps, arguments.platform)
    spec = Spec(
        name=name,
        folder=Path(),
        topology=wanted.file,
        arguments=wanted.parameters,
        chosen=wanted.chosen,
        words=wanted.words,
        simple_macs=getattr(arguments, "mac", False),
        controller=controller,
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
        outside=not getattr(arguments, "no_outside_controller", False),
        far=tuple(getattr(arguments, "outside_controller", None) or ()),
    )
    with Progress(quiet) as progress:
        if getattr(arguments, "replace", False):
            _end_former(spec, progress)
        return up_down.up(spec, progress)


def apps_wished(arguments: argparse.Namespace) -> Apps:
    """The controller that the command line asks for, with what stands behind `--` as its options;
    without apps, options for the topology's own. Raises LabError."""
    options = [word for word in getattr(arguments, "options", None) or () if word != "--"]
    if arguments.controller:
        return ryu_apps.find(arguments.controller, options)
    return Apps().plus(options)


def _end_former(spec: Spec, progress: Progress) -> None:
    """End the lab of this name, if one is up: this one is to be brought up in its place. Where it
    could not be, the former stays. Raises LabError."""
    client.check_name(spec.name)
    former = client.Handle(spec.name)
    if not former.alive():
        return
    progress(term("reading the topology"))
    try:
        up_down.check(spec)
    except LabError as error:
        stays = say("the lab {lab} that was up stays", lab=spec.name)
        hint = say("{hint}; {kept}", hint=error.hint, kept=stays) if error.hint else stays
        raise LabError(error.message, hint, error.code, error.detail) from error
    progress(say("ending the lab {lab} that was up", lab=spec.name))
    up_down.down(former)


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
        "events": [*state["events"], *([loop] if loop else []), *state.get("remarks", [])],
        "loops": state.get("loops", []),
    }


def divided(controller: str, shards: list[dict[str, Any]]) -> str:
    """A controller, and how the switches are divided among its processes, if they are: 'hub (s1 s2
    | s3 s4, each with a second one)'."""

    def some(names: list[str]) -> str:
        return " ".join(names if len(names) < 4 else [names[0], "…", names[-1]])

    parts = [" | ".join(some(shard["switches"]) for shard in shards)] if len(shards) > 1 else []
    if any(shard["standby"] for shard in shards):
        parts.append(term("each with a second one") if parts else term("a second one stands by"))
    if not parts:
        return controller
    return say("{controller} ({division})", controller=controller, division=listed(parts))


DATAPATHS = {
    "kernel": term("the kernel's datapath"),
    "user": term("Open vSwitch's userspace datapath"),
    "afxdp": term("Open vSwitch's userspace datapath with AF_XDP ports"),
    "none": term("no switch"),
}


def describe(data: dict[str, Any]) -> str:
    """One sentence on a lab."""
    parts: list[str] = [data["topology"], number_of("{n} host", "{n} hosts", data["hosts"])]
    if data["routers"]:
        parts.append(number_of("{n} router", "{n} routers", data["routers"]))
    if data["switches"]:
        parts.append(number_of("{n} switch", "{n} switches", data["switches"]))
    if data["controller"]:
        controller = divided(data["controller"], data["shards"])
        parts.append(say("controller {controller}", controller=controller))
    parts.append(DATAPATHS[data["datapath"]])
    return say("lab {lab} is up: {parts}", lab=data["name"], parts=listed(parts))


def note(text: str) -> None:
    """Something beside what was asked for."""
    line = say("note: {text}", text=text)
    print(f"  {tr(line)}")


def up(arguments: argparse.Namespace) -> int:
    from hoplab.cli import verbs_inventory as inventory

    handle = bring_up(arguments, arguments.topology, arguments.name, capture=False)
    state = handle.state()
    # Only over the socket events come with their templates.
    status = handle.ask({"op": "status"})
    data = summary({**state, "events": status["events"], "remarks": status["remarks"]})
    if arguments.json:
        print_json(data)
        return Exit.OK
    print(tr(describe(data)))
    for event in data["events"]:
        note(event)
    if inventory.is_small(state):
        print(indent("\n".join(inventory.picture(state)), "  "))
    option = "" if data["name"] == client.DEFAULT_NAME else f" --name {data['name']}"
    print(output.listed(f"  {tr(term('try:'))}", next_steps(state, option)))
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
        peer = addresses.get(hosts[-1]) or ["ADDRESS"]
        steps.append(f"hoplab trace{option} {hosts[0]} -- ping -c 1 {peer[0].split('/')[0]}")
    if state["controller"]:
        steps.append(
            f"hoplab swap{option} {'hub' if state['controller'] != 'hub' else 'learning_switch'}"
        )
    if hosts:
        steps.append(f"hoplab shell{option} {state['client'] or hosts[0]}")
    return [*steps, f"hoplab down{option}"]


LIST_HEAD: list[str] = [
    term("NAME"),
    term("TOPOLOGY"),
    term("CONTROLLER"),
    term("DATAPATH"),
    term("HOSTS+ROUTERS+SWITCHES"),
    term("EVENTS"),
]


def ls(arguments: argparse.Namespace) -> int:
    if arguments.runs or arguments.remove is not None:
        from hoplab.cli import verbs_kept

        return verbs_kept.show(arguments)
    if arguments.lab or arguments.svg:
        from hoplab.cli import verbs_inventory

        return verbs_inventory.show(arguments)
    up_down.sweep()
    labs = []
    for handle in client.live():
        try:
            labs.append(summary(handle.ask({"op": "status"}, within_s=3)))
        except LabError:
            if handle.alive():
                labs.append({"name": handle.name, "state": term("coming up, or not answering")})
    if arguments.json:
        print_json(labs)
        return Exit.OK
    if not labs:
        print(tr(say("no lab is up; bring one up: {command}", command="hoplab up web")))
        return Exit.OK
    rows = []
    for lab in labs:
        if "state" in lab:
            rows.append([lab["name"], lab["state"], "", "", "", ""])
            continue
        nodes = f"{lab['hosts']}+{lab['routers']}+{lab['switches']}"
        controller = divided(lab["controller"] or "-", lab["shards"])
        row = [lab["name"], lab["topology"], controller, lab["datapath"], nodes]
        rows.append([*row, tr(term("; ")).join(map(tr, lab["events"]))])
    print(table(rows, LIST_HEAD))
    return Exit.OK


def swap(arguments: argparse.Namespace) -> int:
    apps, handle = _apps_for(arguments)
    with Progress() as progress:
        progress(say("starting {controller}, then changing over", controller=apps.name))
        change, too_late = swap_to(handle, apps)
    loop = loops.remark(handle.state())
    if loop:
        change["notes"] = [*change["notes"], loop]
    code = Exit.INTERRUPTED if too_late else Exit.OK
    if arguments.json:
        print_json(change)
        return code
    in_charge = say(
        "{controller} is in charge of {switches} (was {former})",
        controller=change["controller"],
        switches=listed(change["switches"]),
        former=change["was"],
    )
    print(tr(in_charge))
    for remark in change["notes"]:
        note(remark)
    if too_late:
        back = f"hoplab swap {change['was_words']}"
        note(say("the interrupt came too late; back again: {command}", command=back))
    return code


def _apps_for(arguments: argparse.Namespace) -> tuple[Apps, client.Handle]:
    """What is to be put in charge, and of which lab: apps, or by its name the controller that a
    script brought along itself. Raises LabError."""
    try:
        apps = apps_wished(arguments)
    except LabError:
        with contextlib.suppress(LabError):
            handle = client.find(arguments.name)
            if arguments.controller == handle.state().get("own_controller"):
                return Apps((ryu_apps.App(arguments.controller, None),)), handle
        raise
    return apps, client.find(arguments.name)


def swap_to(handle: client.Handle, apps: Apps) -> tuple[dict[str, Any], bool]:
    """Have the lab put these in charge, working in the folder that we are in; whether an interrupt
    came too late to stop it. Raises LabError. Returns with interrupts held (`client.swap`)."""
    workplace = ""  # where the one before works
    with contextlib.suppress(LabError):
        workplace = client.here()
    return client.swap(handle, {**apps.as_data(), "workplace": workplace})


def show_table(arguments: argparse.Namespace) -> int:
    from hoplab.openvswitch import tables

    data = client.find(arguments.name).ask({"op": "table", "switches": arguments.switches})
    if arguments.json:
        print_json(data)
        return Exit.OK
    for number, switch in enumerate(data["switches"]):
        heading: str = term("no controller")
        if data["controller"]:
            heading = say("controller {controller}", controller=data["controller"])
        print("" if number else tr(heading))
        addresses, flows, rates = tables.as_rows(switch, every_flow=arguments.flows)
        values = {
            "switch": switch["name"],
            "addresses": number_of("{n} address", "{n} addresses", len(addresses)),
            "shard": switch["shard"],
        }
        learned = (
            say("{switch} knows {addresses} (shard {shard})", **values)
            if data["shards"] > 1
            else say("{switch} knows {addresses}", **values)
        )
        if switch.get("kind") == "bridge":
            learned = say("{switch}, a Linux bridge, knows {addresses}", **values)
        print(tr(learned))
        if addresses:
            print(indent(table(addresses, tables.ADDRESS_HEAD), "  "))
        if switch.get("kind") == "bridge":
            continue
        _show_flows(switch, flows)
        if switch["groups"]:
            count = number_of("{n} group", "{n} groups", len(switch["groups"]))
            print(tr(say("{switch} has {groups}", switch=switch["name"], groups=count)))
            print(indent(table(tables.group_rows(switch), tables.GROUP_HEAD), "  "))
        if switch["meters"]:
            count = number_of("{n} meter", "{n} meters", len(switch["meters"]))
            print(tr(say("{switch} has {meters}", switch=switch["name"], meters=count)))
            print(indent(table(tables.meter_rows(switch), tables.METER_HEAD), "  "))
        if rates:
            print(tr(say("{switch} carries, a second", switch=switch["name"])))
            print(indent(table(rates, tables.RATE_HEAD), "  "))
    return Exit.OK


def _show_flows(switch: dict[str, Any], flows: list[list[str]]) -> None:
    """The flows, and how many are left out, as what the addresses stand for."""
    from hoplab.openvswitch import tables

    values = {
        "switch": switch["name"],
        "flows": number_of("{n} flow", "{n} flows", len(switch["flows"])),
        "n": len(switch["flows"]) - len(flows),
    }
    heading = (
        say("{switch} has {flows}, {n} of them for the addresses above (--flows)", **values)
        if values["n"]
        else say("{switch} has {flows}", **values)
    )
    if switch["flows"]:
        print(tr(heading))
    if not flows:
        return
    text = indent(table(flows, tables.FLOW_HEAD), "  ")
    if max(map(output.width_in_cells(), text.splitlines())) > terminal_width():
        # Counters first, and below them what is matched and done.
        head = [*tables.FLOW_HEAD[:-2], ""]
        rows = [[*row[:-2], f"\n      {tr(row[-2])}  {row[-1]}"] for row in flows]
        text = "\n".join(map(str.rstrip, indent(table(rows, head), "  ").splitlines()))
    print(text)


def pingall(arguments: argparse.Namespace) -> int:
    handle = client.find(arguments.name)
    with Progress() as progress:
        progress(term("pinging every pair"))
        request = {"op": "pingall", "hosts": arguments.hosts or None}
        # A switch that wants a flow for each pair needs ten minutes for 500 hosts.
        result = handle.ask(request, within_s=7200)
    state = handle.state()
    lost = result["reached"] < result["pairs"]
    likely = [loops.remark(state)] if lost else []
    apart = "" if arguments.hosts else alone.remark(state)
    result["likely"] = [why for why in [*likely, apart] if why]
    if arguments.json:
        print_json(result)
    else:
        print(matrix(result))
        for why in result["likely"]:
            reason = say("likely why: {why}", why=why)
            print(f"  {tr(reason)}")
    return Exit.FAILED if lost or apart else Exit.OK


def matrix(result: dict[str, Any]) -> str:
    """Who reaches whom: a dot for yes, an X for no; one line when all is well and large."""
    hosts, lost = result["hosts"], {tuple(pair) for pair in result["lost"]}
    lines = []
    if len(hosts) <= 24:
        width = max(map(len, hosts), default=0)
        lines.append(
            " " * width + "  " + " ".join(f"{i % 100:2d}" for i in range(1, len(hosts) + 1))
        )
        for row, host in enumerate(hosts, 1):
            cells = [
                " -" if host == peer else " X" if (host, peer) in lost else " ." for peer in hosts
            ]
            lines.append(f"{host.ljust(width)}  {' '.join(cells)}  {row}")
        lines.append("")
    elif lost:
        lines += [
            tr(say("{host} does not reach {peer}", host=host, peer=peer))
            for host, peer in sorted(lost)[:40]
        ]
    parts = [
        say(
            "{reached} of {pairs} pairs reached in {time}",
            reached=result["reached"],
            pairs=result["pairs"],
            time=_took(result["seconds"]),
        )
    ]
    if lost:
        parts.append(say("{n} not (X)", n=result["pairs"] - result["reached"]))
    if len(hosts) <= 24:
        parts.append(term("rows ping columns"))
    lines.append(tr(term("; ")).join(map(tr, parts)))
    return "\n".join(lines)


def _took(seconds: float) -> str:
    if seconds >= 0.1:
        return say("{s:.2f} s", s=seconds)
    return say("{ms:.0f} ms", ms=seconds * 1000)


def down(arguments: argparse.Namespace) -> int:
    if arguments.all:
        handles = client.live()
        if not handles:
            print(tr(term("no lab is up")))
    else:
        handles = [client.find(arguments.name)]
    for handle in handles:
        with Progress() as progress:
            progress(say("ending {lab}", lab=handle.name))
            up_down.down(handle, keep=arguments.keep)
        gone = (
            say("lab {lab} is gone; its folder: {folder}", lab=handle.name, folder=handle.folder)
            if arguments.keep
            else say("lab {lab} is gone", lab=handle.name)
        )
        print(tr(gone))
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
            file = content.find(kind, arguments.what)
        except LabError:
            continue
        if arguments.json:
            print_json({"path": str(file), "kind": kind})
            return Exit.OK
        print(file)
        for further in kinds[kinds.index(kind) + 1 :]:
            if arguments.what in content.names(further):
                line = say(
                    "note: there is {name} in {folder}, too: --kind {folder}",
                    name=arguments.what,
                    folder=further,
                )
                print(tr(line), file=sys.stderr)
        return Exit.OK
    every_name = [name for kind in kinds for name in content.names(kind)]
    close = difflib.get_close_matches(arguments.what, every_name, n=1)
    raise LabError(
        say("we have nothing called {name!r}", name=arguments.what),
        together(
            say("did you mean {name}?", name=close[0]) if close else "",
            term("hoplab path --list names all there is"),
        ),
        Exit.NO_SUCH,
    )


def doctor(arguments: argparse.Namespace) -> int:
    if arguments.apparmor_profile:
        from hoplab.doctor import apparmor

        print(apparmor.profile(apparmor.launcher()), end="")
        return Exit.OK
    from hoplab.doctor import checks as checks

    results = checks.examine()
    if arguments.json:
        print_json([check.as_dict() for check in results])
    else:
        print(checks_as_text(results, terminal_width()))
    return Exit.OK if all(check.good for check in results) else Exit.REFUSED


def _mark(check: Check) -> str:
    if not check.good:
        return tr(term("NO "))
    return tr(term("(!)")) if check.fix else tr(term("ok "))


def checks_as_text(checks: list[Check], columns: int = 100) -> str:
    """What `doctor` found as a table, then what to run: first what a lab needs, then what stands
    in nobody's way here."""
    cells = output.width_in_cells()
    width = max(cells(tr(check.subject)) for check in checks)
    lines = []
    for check in checks:
        name = tr(check.subject)
        head = f"{_mark(check)} {name}{' ' * (width - cells(name))}  "
        lines += output.wrapped(head, tr(check.finding), columns)
    fixes = list(dict.fromkeys(check.fix for check in checks if not check.good and check.fix))
    if fixes:
        lines += ["", tr(term("To mend it, run:")), *(f"    {tr(fix)}" for fix in fixes)]
    else:
        lines += ["", tr(term("Everything a lab needs is here. Try: hoplab visit"))]
    notes = list(dict.fromkeys(check.fix for check in checks if check.good and check.fix))
    if notes:
        heading = term("What is marked (!) keeps no lab from coming up. To mend it:")
        lines += ["", tr(heading), *(f"    {tr(fix)}" for fix in notes)]
    return "\n".join(lines)
