# SPDX-License-Identifier: Apache-2.0
"""A fault that is in a lab, kept in the lab's folder until it is mended; and what the lab was like
before, held against what it is like after.

What lives here: that file, and the comparison. What must not: how a fault is made or chosen.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from hoplab.client import labs
from hoplab.client.inventory import facts_of
from hoplab.errors import Exit, LabError, cannot_write
from hoplab.faults.kinds import Fault
from hoplab.sentences import from_plain, say, term, to_plain

FILE = "broken.json"
# What changes by itself: counts, what was learned, and who runs a service now.
_PASSING = ("counters", "pid", "connected", "flows", "carrier", "dead")


def state_of(handle: labs.Handle) -> dict[str, Any]:
    """What somebody has set in a lab, without what changes by itself. Raises LabError."""
    facts = facts_of(handle).get("now", {})
    cables = sorted((
        sorted(({key: value for key, value in end.items()
                 if key not in ("sent", "sent_bytes", "dropped", "carrier")}
                for end in cable["ends"]), key=lambda end: str(end["interface"]))
        for cable in handle.ask({"op": "links"})
    ), key=lambda ends: str(ends[0]["interface"]))  # fmt: skip
    state = {"hosts": facts.get("hosts", {}), "switches": facts.get("switches", {})}
    for host in state["hosts"].values():
        host["neighbours"] = [each for each in host["neighbours"] if each.get("permanent")]
        rules = {tool: _rules(text) for tool, text in host.pop("filters", {}).items()}
        host["filters"] = {tool: lines for tool, lines in rules.items() if lines}
        for listing in ("routes", "neighbours", "listeners"):
            host[listing] = sorted(
                (_lasting(each) for each in host[listing]), key=lambda each: json.dumps(each)
            )
    lasting: dict[str, Any] = _lasting({**state, "cables": cables})
    return lasting


def _rules(text: str) -> list[str]:
    """The rules of a filter and what is not its default, as its tool prints them, without counts;
    [] for an empty one."""
    lines = [re.sub(r"\[\d+:\d+\]|counter packets \d+ bytes \d+", "", line).strip()
             for line in text.splitlines() if not line.startswith("#")]  # fmt: skip
    return [line for line in lines if re.match(r"-A |:\S+ DROP|.*\b(drop|reject|accept)\b", line)
            and not re.search(r"\btype filter hook\b.*\bpolicy accept\b", line)]  # fmt: skip


def _lasting(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _lasting(value) for key, value in sorted(data.items()) if key not in _PASSING}
    return [_lasting(each) for each in data] if isinstance(data, list) else data


def differences(before: Any, after: Any, where: str = "") -> Iterator[tuple[str, Any, Any]]:
    """(where, before, after) for everything that is not the same."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted({*before, *after}):
            yield from differences(before.get(key), after.get(key), f"{where}/{key}")
    elif before != after:
        yield where.lstrip("/"), before, after


def keep(handle: labs.Handle, fault: Fault, seed: int, before: dict[str, Any]) -> None:
    """Write down what was broken. Raises LabError."""
    data = {"seed": seed, "fault": to_plain(asdict(fault)), "before": before}
    try:
        (handle.folder / FILE).write_text(json.dumps(data))
    except OSError as error:
        raise cannot_write(error, handle.folder) from error


def forget(handle: labs.Handle) -> None:
    """It is mended."""
    with contextlib.suppress(OSError):
        (handle.folder / FILE).unlink()


def kept(handle: labs.Handle) -> tuple[Fault, int, dict[str, Any]]:
    """What was broken, by which seed, and what the lab was like before. Raises LabError if nothing
    is."""
    try:
        data = json.loads((handle.folder / FILE).read_text(), object_hook=from_plain)
    except (OSError, ValueError):
        raise LabError(
            say("nothing was broken in the lab {lab}", lab=handle.name),
            term("`hoplab break` breaks something"),
            Exit.NO_SUCH,
        ) from None
    fault = data["fault"]
    lines = {name: tuple(map(tuple, fault[name])) for name in ("do", "undo")}
    return Fault(**{**fault, **lines, "command": tuple(fault["command"])}), data["seed"], data[
        "before"
    ]


def is_broken(handle: labs.Handle) -> bool:
    """Whether a fault is in it."""
    return (handle.folder / FILE).exists()
