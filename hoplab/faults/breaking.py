# SPDX-License-Identifier: Apache-2.0
"""A fault chosen by a seed, put into a running lab and taken out of it, from outside.

What lives here: the choice and the hands. What must not: what can be wrong (`kinds.py`).

    network = look_at(handle)
    fault = choose(network, seed=7)
    put_in(handle, fault)                   # now `fault.command` on `fault.try_on` fails
    take_out(handle, fault)

The same seed chooses the same fault in the same lab: first a kind, each as likely as the others,
then its place.
"""

from __future__ import annotations

import random
from collections.abc import Collection

from hoplab.client import changes, labs
from hoplab.client.commands import run_on
from hoplab.client.inventory import facts_of
from hoplab.errors import Exit, LabError
from hoplab.faults.cables import CABLE_KINDS
from hoplab.faults.kinds import KINDS, LAB, Fault, Kind, Lines
from hoplab.faults.network import Network
from hoplab.sentences import say, term

ALL_KINDS: tuple[Kind, ...] = (*KINDS, *CABLE_KINDS)
_WITHIN_S = 30.0  # for a line on a node: some start a server


def look_at(handle: labs.Handle) -> Network:
    """The lab as it is now. Raises LabError."""
    return Network(handle.state(), facts_of(handle))


def faults_of(
    network: Network, kinds: Collection[str] = (), among: Collection[Kind] = KINDS
) -> dict[str, list[Fault]]:
    """All faults that fit a lab, by kind: of all kinds that there are, or of those named."""
    fitting = {
        kind.name: list(kind.places(network)) for kind in among if not kinds or kind.name in kinds
    }
    return {name: faults for name, faults in fitting.items() if faults}


def choose(
    network: Network, seed: int, kinds: Collection[str] = (), among: Collection[Kind] = KINDS,
    node: str = "",
) -> Fault:  # fmt: skip
    """A fault that fits the lab, at a node if one is named. Raises LabError if none does."""
    fitting = faults_of(network, kinds, among)
    if node:
        there = {
            name: [fault for fault in faults if fault.node == node]
            for name, faults in fitting.items()
        }
        fitting = {name: faults for name, faults in there.items() if faults}
    if not fitting:
        raise LabError(
            term("nothing in this lab can be broken so that somebody would notice"),
            term("take a lab with two hosts that reach each other"),
            Exit.BAD_INPUT,
        )
    dice = random.Random(seed)
    return dice.choice(fitting[dice.choice(sorted(fitting))])


def put_in(handle: labs.Handle, fault: Fault) -> None:
    """Break the lab. Raises LabError."""
    _run(handle, fault.do)


def take_out(handle: labs.Handle, fault: Fault) -> None:
    """Undo it; what has been mended already does not hinder. Raises LabError."""
    _run(handle, fault.undo, strict=False)


def _run(handle: labs.Handle, lines: Lines, *, strict: bool = True) -> None:
    for node, line in lines:
        if node == LAB:
            handle.ask(changes.understood(line))
            continue
        code, output = run_on(handle, node, ["sh", "-c", line], timeout_s=_WITHIN_S)
        if code and strict:
            raise LabError(
                say("{node}: {line}: this failed (exit code {code})", node=node, line=line,
                    code=code),
                term("is the lab as it came up? `hoplab down` and `hoplab up` make it so"),
                Exit.FAILED,
                output,
            )  # fmt: skip
