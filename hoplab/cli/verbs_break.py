# SPDX-License-Identifier: Apache-2.0
"""The verb that breaks a lab so that somebody finds out what is wrong: `break`."""

from __future__ import annotations

import argparse
import secrets
import shlex

from hoplab.cli.output import Progress, print_json, table, tr
from hoplab.client import interrupts
from hoplab.client import labs as client
from hoplab.errors import Exit, LabError
from hoplab.faults import breaking, kept
from hoplab.faults.kinds import Fault
from hoplab.nearest import did_you_mean
from hoplab.sentences import say, term, together

KIND_HEAD: list[str] = [term("KIND"), term("WHAT IS WRONG")]


def break_(arguments: argparse.Namespace) -> int:
    if arguments.list:
        return _list(as_json=arguments.json)
    handle = client.find(arguments.name)
    if arguments.tell:
        return _tell(handle, as_json=arguments.json)
    if arguments.mend:
        return _mend(handle, as_json=arguments.json)
    if kept.is_broken(handle):
        raise LabError(
            say("something is broken in the lab {lab} already", lab=handle.name),
            term("--tell says what, --mend undoes it"),
            Exit.TAKEN,
        )
    kinds: list[str] = arguments.kind
    _check(kinds)
    seed = secrets.randbelow(1_000_000) if arguments.seed is None else arguments.seed
    with Progress() as progress:
        progress(term("looking at the lab"))
        network = breaking.look_at(handle)
        fault = breaking.choose(network, seed, kinds, breaking.ALL_KINDS)
        before = kept.state_of(handle)
        kept.keep(handle, fault, seed, before)
        try:
            breaking.put_in(handle, fault)
            progress(term("waiting until it is felt"))
            breaking.wait_until_felt(handle, fault)
        except (LabError, KeyboardInterrupt):
            with interrupts.held():  # or half of it would be left
                breaking.take_out(handle, fault)
                kept.forget(handle)
            raise
    if arguments.json:
        print_json({"seed": seed, "on": fault.try_on, "command": list(fault.command)})
        return Exit.OK
    broken = say(
        "Something in the lab {lab} is broken now (seed {seed}). On {host} this worked, and does "
        "not any more:",
        lab=handle.name, seed=seed, host=fault.try_on,
    )  # fmt: skip
    print(tr(broken))
    option = "" if handle.name == client.DEFAULT_NAME else f" --name {handle.name}"
    print(f"  hoplab exec{option} {fault.try_on} -- {shlex.join(fault.command)}")
    again = {"tell": f"hoplab break{option} --tell", "mend": f"hoplab break{option} --mend"}
    print(tr(say("What is it? {tell} says, {mend} undoes it.", **again)))
    return Exit.OK


def _check(kinds: list[str]) -> None:
    names = [kind.name for kind in breaking.ALL_KINDS]
    for name in kinds:
        if name not in names:
            raise LabError(
                say("there is no fault called {name}", name=name),
                together(
                    did_you_mean(name, names),
                    say("{command} lists all there are", command="hoplab break --list"),
                ),
                Exit.NO_SUCH,
            )


def _list(*, as_json: bool) -> int:
    if as_json:
        print_json([{"kind": kind.name, "title": kind.title} for kind in breaking.ALL_KINDS])
    else:
        print(table([[kind.name, kind.title] for kind in breaking.ALL_KINDS], KIND_HEAD))
    return Exit.OK


def _tell(handle: client.Handle, *, as_json: bool) -> int:
    fault, seed, _ = kept.kept(handle)
    if as_json:
        print_json(_data(fault, seed))
        return Exit.OK
    print(tr(say("{fault} (kind {kind}, seed {seed})", fault=fault.says, kind=fault.kind,
                 seed=seed)))  # fmt: skip
    for node, line in fault.do:
        print(f"  {node or 'hoplab'}: {line}")
    return Exit.OK


def _data(fault: Fault, seed: int) -> dict[str, object]:
    return {"kind": fault.kind, "seed": seed, "says": fault.says, "cause": fault.cause,
            "node": fault.node, "done": [list(line) for line in fault.do]}  # fmt: skip


def _mend(handle: client.Handle, *, as_json: bool) -> int:
    fault, seed, before = kept.kept(handle)
    try:
        with Progress() as progress:
            progress(term("mending"))
            breaking.take_out(handle, fault)
            progress(term("waiting until it works again"))
            works = breaking.wait_until_it_works(handle, fault)
            changed = list(kept.differences(before, kept.state_of(handle)))
    except KeyboardInterrupt:
        raise LabError(
            term("interrupted before it was known whether all is mended"),
            say("once more: {command}", command=f"hoplab break --name {handle.name} --mend"),
            Exit.INTERRUPTED,
        ) from None
    kept.forget(handle)
    code = Exit.FAILED if changed or not works else Exit.OK
    if as_json:
        rows = [{"where": where, "before": old, "after": new} for where, old, new in changed]
        print_json({**_data(fault, seed), "differences": rows, "works": works})
        return code
    if not changed:
        print(tr(say("Mended: {fault}. All settings are as they were.", fault=fault.says)))
    else:
        print(tr(say("Undone: {fault}. Other than before it:", fault=fault.says)))
    for where, old, new in changed:
        print(f"  {where}: {old} → {new}")
    if not works:
        print(tr(say("On {host} this does not work yet: {command}", host=fault.try_on,
                     command=shlex.join(fault.command))))  # fmt: skip
    return code
