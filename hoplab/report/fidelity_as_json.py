# SPDX-License-Identifier: Apache-2.0
"""The verdict of fidelity as plain data: `fidelity` in trace.json.

What lives here: its keys, which stay the same within one `format`. What must not: layout.
"""

from __future__ import annotations

from typing import Any

from hoplab.story.fidelity_records import Cause, Crush, Fidelity, FullQueue, Spell, Spread
from hoplab.story.fidelity_sentences import verdict


def to_dict(fidelity: Fidelity, started_ns: int) -> dict[str, Any]:
    """started_ns: when the first frame was seen; `ms` are since then."""
    return {
        "verdict": fidelity.verdict,
        "sentence": verdict(fidelity, started_ns),
        "from": fidelity.packet or None,
        "ms": _since(fidelity.t_ns, started_ns),
        "delay_ms": _ms(fidelity.most_ns),
        "spells": [_spell(spell, started_ns) for spell in fidelity.spells],
        "queues": [_queue(queue, started_ns) for queue in fidelity.queues],
        "judged": fidelity.judged,
        "unexplained": fidelity.unexplained,
        "unexplained_ms": _ms(fidelity.most_unexplained_ns),
        "took": [_spread(spread) for spread in fidelity.spreads],
        "machine": {
            "readings": fidelity.readings,
            "pressure": _share(fidelity.pressed),
            "stolen": _share(fidelity.stolen),
            "idle": _share(fidelity.idle),
            "crushes": [_crush(crush, started_ns) for crush in fidelity.crushes],
        },
    }


def _crush(crush: Crush, started_ns: int) -> dict[str, Any]:
    return {
        "from": crush.packet or None,
        "ms": _since(crush.began_ns, started_ns),
        "until_ms": _since(crush.ended_ns, started_ns),
        "share": _share(crush.share),
    }


def _spell(spell: Spell, started_ns: int) -> dict[str, Any]:
    return {
        "from": spell.packet,
        "to": spell.last_packet,
        "ms": _since(spell.began_ns, started_ns),
        "until_ms": _since(spell.ended_ns, started_ns),
        "delay_ms": _ms(spell.most_ns),
        "passages": spell.passages,
        "causes": [_cause(cause) for cause in spell.causes],
    }


def _cause(cause: Cause) -> dict[str, Any]:
    share = _share(cause.share) if cause.of_ns else None
    return {"code": cause.code, "process": cause.who, "ms": _ms(cause.ns), "share": share}


def _queue(queue: FullQueue, started_ns: int) -> dict[str, Any]:
    return {
        "queue": queue.queue,
        "node": queue.node,
        "interface": queue.interface,
        "frames": queue.frames,
        "from": queue.packet or None,
        "ms": _since(queue.t_ns, started_ns),
        "delay_ms": _ms(queue.most_ns),
    }


def _spread(spread: Spread) -> dict[str, Any]:
    return {
        "what": spread.what,
        "place": spread.place,
        "passages": spread.passages,
        "median_ms": _ms(spread.median_ns),
        "p99_ms": _ms(spread.p99_ns),
        "max_ms": _ms(spread.most_ns),
    }


def _since(t_ns: int, started_ns: int) -> float | None:
    return _ms(t_ns - started_ns) if t_ns else None


def _ms(ns: int) -> float:
    return round(ns / 1e6, 6)


def _share(share: float | None) -> float | None:
    return None if share is None else round(share, 4)
