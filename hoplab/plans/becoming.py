# SPDX-License-Identifier: Apache-2.0
"""A lab is made what a plan says: change by change, all of them or, as far as can be, none.

What lives here: making the changes. What must not: which they are (`differences.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hoplab.client import labs
from hoplab.client.commands import run_on
from hoplab.errors import Exit, LabError
from hoplab.plans import of_lab
from hoplab.plans.differences import Change, differences
from hoplab.plans.plan import Plan
from hoplab.sentences import say, term, together

_WITHIN_S = 60.0  # for a command on a host: some start a server


def become(
    handle: labs.Handle, before: Plan, made: Sequence[Change],
    progress: Callable[[str], None] = lambda step: None,
) -> None:  # fmt: skip
    """Make the changes. before: what the lab is now; where a change fails, it is made that again.
    Raises LabError."""
    try:
        for change in made:
            progress(" ".join(("hoplab", *change.words[:4])))
            make(handle, change)
    except BaseException as error:
        undone = _back(handle, before)
        if isinstance(error, LabError):
            raise LabError(
                error.message,
                together(
                    term("nothing of it was done") if undone
                    else term("what was done before that stays: compare with --dry-run"),
                    error.hint,
                ),
                error.code, error.detail,
            ) from error  # fmt: skip
        raise


def make(handle: labs.Handle, change: Change) -> None:
    """Make one change. Raises LabError."""
    if change.request is not None:
        handle.ask(dict(change.request))
        return
    code, output = run_on(handle, change.node, list(change.command), timeout_s=_WITHIN_S)
    if code:
        raise LabError(
            say("{node}: {line}: this failed (exit code {code})", node=change.node,
                line=" ".join(change.command), code=code),
            term("its own words are below"),
            Exit.FAILED,
            output,
        )  # fmt: skip


def _back(handle: labs.Handle, before: Plan) -> bool:
    """Make it what it was; whether that was done."""
    try:
        made, left = differences(of_lab.plan_of(handle), before)
        for change in made:
            make(handle, change)
    except LabError:
        return False
    return not left
