# SPDX-License-Identifier: Apache-2.0
"""How hops are joined to trees, and how the tree of a storm stays small.

What lives here: parents, children, tallies. What must not: who is whose cause (`cables.py`,
`switching.py`, `routing.py`).

Where switches stand in a loop, one frame leaves the same port again and again. Its tree keeps the
first copies of each port; the later ones are followed as all are (or they would look like new
frames), but only counted, in the `Tally` of their frame.
"""

from __future__ import annotations

from weakref import ref

from hoplab.trace.model import Hop, Origin, Tally

KEPT_COPIES = 3  # of one frame, by one port: enough to see how a loop closes, and that it goes on

_SWITCHED = Origin.SWITCHED


def join(cause: Hop, hop: Hop, origin: Origin) -> bool:
    """Makes `cause` the parent of `hop`, unless it descends from it (a loop, seen late)."""
    if hop.children or hop.more:
        above: Hop | None = cause
        while above is not None:
            if above is hop:
                return False
            above = above.parent
    hop.origin = origin
    if cause.received is None:
        cause.healed = True
    if (origin is _SWITCHED or cause.counted) and not _keep(cause, hop):
        return True
    hop._parent = ref(cause)
    children = cause.children
    if type(children) is list:
        children.append(hop)
    else:
        cause.children = [hop]
    return True


def _keep(cause: Hop, hop: Hop) -> bool:
    """Counts a copy of `cause`; False if that is all, because the tree has enough of its kind."""
    tally = cause.tally
    if tally is None:
        tally = cause.tally = Tally({cause.tail: 1})
    elif tally.into is not None:
        tally = tally.top
    left = tally.left
    count = left.get(hop.tail, 0) + 1
    if hop.tally is None:
        left[hop.tail] = count
    else:
        tally.merge(hop.tally.top)  # a late one, which has copies already
    hop.tally = tally
    if count <= KEPT_COPIES and not cause.counted:
        return True
    keeper = cause
    while keeper.counted:
        above = keeper.parent
        if above is None:
            break  # the tree was handed out, and nobody keeps it
        keeper = above
    keeper.more = True
    stack = [hop]
    while stack:
        one = stack.pop()
        stack.extend(one.children)
        one.children = ()
        one.parent, one.counted = keeper, True
        if one.tally is None:
            one.tally = tally
            left[one.tail] = left.get(one.tail, 0) + 1
        elif one.tally.top is not tally:
            tally.merge(one.tally.top)  # what a router made of a copy
        tally.counted[one.tail] = tally.counted.get(one.tail, 0) + 1
        if one.t_ns > tally.last_ns:
            tally.last_ns = one.t_ns
        if one.received is not None:
            count_arrival(one, one.received.t_ns)
    return False


def count_arrival(hop: Hop, t: int) -> None:
    """A hop that is only counted was received."""
    assert hop.tally is not None
    tally = hop.tally.top
    tally.came[hop.head] = tally.came.get(hop.head, 0) + 1
    if t > tally.last_ns:
        tally.last_ns = t


def last_seen(root: Hop) -> int:
    """When the journey from `root` was last seen to move."""
    last = 0
    stack = [root]
    while stack:
        hop = stack.pop()
        if hop.more and hop.tally is not None:
            last = max(last, hop.tally.top.last_ns)
        seen = hop.received or hop.sent
        assert seen is not None
        if seen.t_ns > last:
            last = seen.t_ns
        stack.extend(hop.children)
    return last
