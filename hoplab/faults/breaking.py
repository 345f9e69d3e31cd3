# SPDX-License-Identifier: Apache-2.0
"""A fault chosen by a seed, put into a running lab and taken out of it, from outside.

What lives here: the choice and the hands. What must not: what can be wrong (`kinds.py`).

    network = look_at(handle)
    fault = choose(network, seed=7)
    put_in(handle, fault)
    wait_until_felt(handle, fault)          # now `fault.command` on `fault.try_on` fails
    take_out(handle, fault)

The same seed chooses the same fault in the same lab: first a kind, each as likely as the others,
then its place.
"""

from __future__ import annotations

import random
import shlex
import time
from collections.abc import Collection

from hoplab import wait
from hoplab.client import changes, labs
from hoplab.client.commands import TimedOut, run_on
from hoplab.client.inventory import facts_of
from hoplab.errors import Exit, LabError
from hoplab.faults.cables import CABLE_KINDS
from hoplab.faults.kinds import KINDS, LAB, Fault, Kind, Lines
from hoplab.faults.network import Network
from hoplab.faults.plugs import PLUG_KINDS
from hoplab.sentences import listed, say, term

JUDGED_KINDS: tuple[Kind, ...] = (*KINDS, *PLUG_KINDS)  # the story's diagnosis, by these
ALL_KINDS: tuple[Kind, ...] = (*JUDGED_KINDS, *CABLE_KINDS)
_MENDED = (Exit.NO_SUCH, Exit.TAKEN)  # what is to go has gone, what is to come is there
_WITHIN_S = 30.0  # for a line on a node: some start a server
_FELT_WITHIN_S = 20.0  # switches forward by what they remember of old flows, hosts by old ARP
# A switch that stood in a loop may go on by what it learned there until ARP is asked again.
_WHOLE_WITHIN_S = 60.0
_PAUSE_S = 0.2


def look_at(handle: labs.Handle) -> Network:
    """The lab as it is now. Raises LabError."""
    return Network(handle.state(), facts_of(handle))


def faults_of(
    network: Network, kinds: Collection[str] = (), among: Collection[Kind] = JUDGED_KINDS
) -> dict[str, list[Fault]]:
    """All faults that fit a lab, by kind: of all kinds that there are, or of those named."""
    fitting = {
        kind.name: list(kind.places(network)) for kind in among if not kinds or kind.name in kinds
    }
    return {name: faults for name, faults in fitting.items() if faults}


def choose(
    network: Network, seed: int, kinds: Collection[str] = (),
    among: Collection[Kind] = JUDGED_KINDS, node: str = "",
) -> Fault:  # fmt: skip
    """A fault that fits the lab, at a node if one is named. Raises LabError if none does."""
    fitting = faults_of(network, kinds, among)
    if node:
        there = {
            name: [fault for fault in faults if fault.node == node]
            for name, faults in fitting.items()
        }
        fitting = {name: faults for name, faults in there.items() if faults}
    others = sorted(faults_of(network, (), among)) if not fitting and kinds and not node else []
    if others:
        raise LabError(
            say("a fault of the kind {kinds} does not fit this lab", kinds=listed(kinds)),
            say("these do: {kinds}", kinds=listed(others, most=40)),
            Exit.BAD_INPUT,
        )
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


def wait_until_felt(handle: labs.Handle, fault: Fault) -> None:
    """Until the fault's command fails on its host. Raises LabError if it goes on working."""
    if not _comes(handle, fault, working=False, within_s=_FELT_WITHIN_S):
        raise LabError(
            say("the fault {kind} was not felt: on {host} {command} went on working for "
                "{n:g} seconds",
                kind=fault.kind, host=fault.try_on, command=shlex.join(fault.command),
                n=_FELT_WITHIN_S * wait.patience()),
            term("the lab is as it was; another seed breaks something else"),
            Exit.FAILED,
        )  # fmt: skip


def wait_until_it_works(handle: labs.Handle, fault: Fault) -> bool:
    """Until the fault's command succeeds again, whether it does. Raises LabError."""
    return _comes(handle, fault, working=True, within_s=_WHOLE_WITHIN_S)


def _comes(handle: labs.Handle, fault: Fault, *, working: bool, within_s: float) -> bool:
    """Whether it comes in time that the fault's command works, or that it does not. Raises
    LabError."""
    deadline = time.monotonic() + within_s * wait.patience()
    while works(handle, fault) is not working:
        if time.monotonic() > deadline:
            return False
        time.sleep(_PAUSE_S)
    return True


def works(handle: labs.Handle, fault: Fault) -> bool:
    """Whether the fault's command succeeds at this moment. Raises LabError."""
    try:
        code, _ = run_on(handle, fault.try_on, list(fault.command), timeout_s=_WITHIN_S)
    except TimedOut:
        return False
    return code == 0


def _run(handle: labs.Handle, lines: Lines, *, strict: bool = True) -> None:
    for node, line in lines:
        if node == LAB:
            try:
                handle.ask(changes.understood(line))
            except LabError as error:
                if strict or error.code not in _MENDED:
                    raise
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
