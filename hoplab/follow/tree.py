# SPDX-License-Identifier: Apache-2.0
"""How hops are joined to trees, and how the tree of a storm stays small.

What lives here: parents, children, tallies. What must not: who is whose cause (`cables.py`,
`switching.py`, `routing.py`).

Where switches stand in a loop, one frame leaves the same port again and again. Its tree keeps the
first copies of each port; the later ones are followed as all are (or they would look like new
frames), but only counted, in the `Tally` of their frame. Once a port has sent so many that it is a
`Storm` for certain, further frames with its bytes are not even followed: a storm makes hundreds of
thousands of them a second, and each is as all the others.
"""

from __future__ import annotations

from weakref import ref

from hoplab.follow.ages import MILLISECOND
from hoplab.follow.model import Hop, Origin, Tally

KEPT_COPIES = 3  # of one frame, by one port: enough to see how a loop closes, and that it goes on
STORM_FROM = 16  # copies of one frame by one port: from here on frames with its bytes are counted
_NEW_NS = 500 * MILLISECOND  # a host that was silent so long and sends it again means it

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


class Storm:
    """Frames with the bytes of one that goes round, which are only counted.

    keeper: a hop that the tree has, whose effects they are. sent: by port of a node that makes
    such frames itself (a host answers each copy of a question), how many and when the last.
    last_ns: when the last one was seen.
    """

    __slots__ = ("_keeper", "_sent", "last_ns", "tally")

    def __init__(self, hop: Hop, t: int) -> None:
        assert hop.tally is not None
        self.last_ns = t
        self.tally = hop.tally.top
        keeper: Hop | None = hop
        while keeper is not None and keeper.counted:
            keeper = keeper.parent
        self._keeper = ref(keeper) if keeper is not None else None
        self._sent: dict[int, tuple[int, int]] = {}

    def count_sent(self, port: int, t: int) -> None:
        """Counts one more of these frames, which left by this port."""
        tally = self.tally = self.tally.top
        tally.left[port] = tally.left.get(port, 0) + 1
        tally.counted[port] = tally.counted.get(port, 0) + 1
        self._seen(t)

    def count_came(self, port: int | None, t: int) -> None:
        """Counts one more of these frames, which arrived at this port."""
        tally = self.tally = self.tally.top
        tally.came[port] = tally.came.get(port, 0) + 1
        self._seen(t)

    def _seen(self, t: int) -> None:
        self.last_ns = t
        if t > self.tally.last_ns:
            self.tally.last_ns = t

    def adopt(self, hop: Hop) -> None:
        """A copy that is counted, and that may yet have effects which are not of its bytes: a
        router passes it on."""
        hop.origin, hop.tally, hop.counted = _SWITCHED, self.tally, True
        keeper = self._keeper() if self._keeper is not None else None
        if keeper is not None:
            hop.parent = keeper

    def news(self, port: int, t: int) -> bool:
        """Whether a node that makes such a frame itself starts something that is worth telling,
        and does not just answer the next copy."""
        count, last_ns = self._sent.get(port, (0, 0))
        self._sent[port] = count + 1, t
        return count < KEPT_COPIES or t - last_ns > _NEW_NS


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
    for hop in stack:  # which grows
        if hop.more and hop.tally is not None:
            last = max(last, hop.tally.top.last_ns)
        came_ns = hop.came_ns if hop.received is None else hop.received.t_ns
        if came_ns > last:
            last = came_ns
        stack += hop.children
    return last
