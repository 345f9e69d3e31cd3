# SPDX-License-Identifier: Apache-2.0
"""What a spanning tree that a switch runs by itself leaves of what its tables say: the shadow has
none, since its ports would have to listen first.

What lives here: passages through blocked ports. What must not: whether that fits to what was seen
(`player.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from hoplab.capture.spanning_trees import SpanningTrees
from hoplab.follow.passages import PORT_BLOCKED, TREE_BLOCKED, Passage


def pruned(trees: SpanningTrees, passage: Passage, names: Mapping[int, str]) -> Passage | None:
    """What is left; None where that is all. names: the interfaces of the switch by their OpenFlow
    numbers."""
    switch, t_ns = passage.switch, passage.t_ns
    if not trees.runs_at(switch):
        return None

    def blocked(port: int) -> bool:
        return port in names and trees.blocks(switch, names[port], t_ns)

    if blocked(passage.in_port):
        return replace(
            passage, flows=(), sent=(), asked=False, groups=(), meters=(), unsure="",
            reason=PORT_BLOCKED,
        )  # fmt: skip
    copies = tuple(copy for copy in passage.sent if not blocked(copy.port))
    if len(copies) == len(passage.sent):
        return None
    reason = TREE_BLOCKED if not copies and not passage.asked else passage.reason
    return replace(passage, sent=copies, reason=reason)
