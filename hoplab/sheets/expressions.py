# SPDX-License-Identifier: Apache-2.0
"""Expressions of a sheet's author, evaluated where they can do nothing but compute.

What lives here: the process that does it (`expression_process.py`), started and heard. What must
not: any evaluation in our own process.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hoplab import wait
from hoplab.errors import Exit, LabError
from hoplab.sentences import say, term

_PROGRAM = Path(__file__).with_name("expression_process.py")
# The process ends by itself when it has had its share of a processor. This is for a machine that
# does not give it any.
_WITHIN_S = 120.0
_LONGEST = 1 << 18


@dataclass(frozen=True)
class Value:
    """What an expression is: its text, and whether that counts as true. error: why it has none, in
    Python's words, "" if it has one."""

    text: str = ""
    true: bool = False
    error: str = ""


def evaluate(
    expression: str, variables: Mapping[str, Any] | None = None, source: str = ""
) -> Value:
    """The value of an expression. source: functions that it may call. Raises LabError where this
    machine cannot keep it from anything else."""
    task = {"expression": expression, "variables": dict(variables or {}), "source": source}
    try:
        process = subprocess.run(
            [sys.executable, "-I", "-S", str(_PROGRAM)],
            input=json.dumps(task).encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"PYTHONHASHSEED": "0"},
            cwd="/",
            timeout=_WITHIN_S * wait.patience(),
        )
    except subprocess.TimeoutExpired:
        return Value(error="it did not end")
    except OSError as error:
        raise _refused(error.strerror or "") from error
    try:
        answer = json.loads(process.stdout[:_LONGEST])
    except ValueError:
        # Its share of a processor or of memory is used up, or it tried to be another machine.
        return Value(error=f"it was ended ({process.returncode})")
    if not isinstance(answer, dict):
        return Value(error="it wrote something else")
    if "refused" in answer:
        raise _refused(str(answer["refused"]))
    if "error" in answer:
        return Value(error=str(answer["error"]))
    return Value(str(answer.get("value", "")), answer.get("true") is True)


def _refused(reason: str) -> LabError:
    return LabError(
        say("this machine cannot evaluate a sheet's expressions safely: {reason}", reason=reason),
        term("they need Linux with seccomp(2) on x86_64 or arm64"),
        Exit.REFUSED,
    )
