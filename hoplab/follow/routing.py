# SPDX-License-Identifier: Apache-2.0
"""Rules 3, 4 and 5 of the follower: which hop into a host or router became an OUT of it.

What lives here: forwarding, fragments, NAT. What must not: switches, and whether a node calls
itself a router: any host may forward.

Identical packets, of which the router may have dropped one: as on a cable (`cables.py`). As many
that left as came in are matched in one way only; as long as fewer left, they are in doubt.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from struct import Struct

from hoplab.capture.observation import Reception
from hoplab.decode.packet import strip_padding
from hoplab.follow.ages import MOST_ALIKE, Ages
from hoplab.follow.alike import doubt, forget, keep, past, prove, push
from hoplab.follow.identity import (
    Layer3,
    behind,
    find_layer3,
    fragment_key,
    fragment_offset,
    has_ident,
    route_key,
    same_behind_ports,
    same_layer3,
)
from hoplab.follow.model import Doubt, Hop, Origin
from hoplab.follow.tree import join

_CAUSE, _UNSEEN = int(Doubt.CAUSE), int(Doubt.UNSEEN)
_BORN = Origin.BORN
_ROUTED = Origin.ROUTED
_TRANSLATED = Origin.TRANSLATED
_IPV4 = b"\x08\x00\x45"  # the type of the frame, and the first byte of a header without options
_OTHERHOST = Reception.OTHERHOST
_unpack_u16 = Struct("!H").unpack_from


class _Alike:
    """Hops into a node with the same route key. waiting: those that nothing became of yet. unsure:
    packets that left and are proved only once no other hop can be meant; the newest last."""

    __slots__ = ("unsure", "waiting")

    def __init__(self) -> None:
        self.waiting: list[Hop] = []
        self.unsure: list[Hop] = []


class Router:
    """What the follower keeps for one host or router.

    routes: it has more than one port. A node with one port can still send a packet back by it (a
    wrong gateway does), but its own traffic is most of what it sees and need not be remembered.
    owners: by IP address, the node that has it. late: hops out of the node without cause, waiting
    for one whose clock is behind. whole: hops that may be cut into fragments, by `fragment_key`.
    """

    switch = False
    extra = ()  # nothing that it sends is a copy

    def __init__(
        self,
        ages: Ages,
        routes: bool,
        addresses: frozenset[bytes],
        owners: dict[bytes, Router],
        ports: Iterable[int] = (),
    ) -> None:
        self._ages = ages
        self.routes = routes
        self.addresses = addresses
        self.lossy = False
        self._owners = owners
        self._ports = set(ports)
        self._came: dict[bytes, Hop | _Alike] = {}
        self._whole: dict[bytes, list[Hop]] = {}
        self._late: dict[bytes, list[Hop]] = {}

    def grow(self, port: int, addresses: Sequence[bytes]) -> None:
        """It has one more port, with these addresses."""
        self._ports.add(port)
        self.routes = self.routes or len(self._ports) > 1
        self.addresses = self.addresses.union(addresses)
        for address in addresses:
            self._owners.setdefault(address, self)

    def __len__(self) -> int:
        return len(self._came) + len(self._whole) + len(self._late)

    def find_cause(self, hop: Hop, port: int, data: bytes, t: int) -> None:
        """Joins the hop, which left at time t, to its cause."""
        if not (self._came or self.routes):
            return
        route = route_key(data, 1)
        if route is None:
            return
        came = self._came.get(route)
        if came is not None and (
            self._made_of(came, hop, data, t)
            if type(came) is Hop
            else type(came) is _Alike and self._made_of_alike(came, hop, data, t)
        ):
            return
        if self._whole and self._cut_from(hop, data, t):
            return
        if self.routes:
            push(self._late, fragment_key(data, 1) or route, hop)

    def _made_of(self, cause: Hop, hop: Hop, data: bytes, t: int) -> bool:
        """Rules 3 and 5, where one hop alone can be the cause; True if it is."""
        if cause.children or cause.more or not self._may_cause(cause, t):
            return False
        how = self._becomes(cause, data)
        if how is None or not join(cause, hop, how):
            return False
        self._look_back(cause, hop, t)
        return True

    def _made_of_alike(self, alike: _Alike, hop: Hop, data: bytes, t: int) -> bool:
        """Rules 3 and 5, where several can be the cause; True if one of them is."""
        cause, how, fitting = self._choose(alike, data, t)
        if cause is None or not join(cause, hop, how):
            return False
        alike.waiting.remove(cause)
        self._look_back(cause, hop, t)
        if fitting > 1 or self.lossy:
            hop.doubt |= _CAUSE
        else:
            prove((left for left in alike.unsure if strip_padding(left.data) == data), _CAUSE)
        keep(alike.unsure, hop, MOST_ALIKE)
        return True

    def _choose(self, alike: _Alike, data: bytes, t: int) -> tuple[Hop | None, Origin, int]:
        """What became this packet at time t, how, and how many there are that may have. The oldest
        with the same layer 3, else the oldest that differs as NAT makes it. One that was seen to
        arrive comes before one that was only sent; among several of these nothing tells which."""
        chosen: Hop | None = None
        origin = _ROUTED
        rank = fitting = 0
        tied = False
        limit = t - self._ages.router_ns
        for cause in alike.waiting:
            if not self._may_cause(cause, t):
                if cause.came_ns < limit:
                    alike.unsure.clear()  # nothing became of it: it can be any of these
                continue
            how = self._becomes(cause, data)
            if how is None:
                continue
            fitting += 1
            sure = cause.received is not None or t - cause.t_ns <= self._ages.slack_ns
            score = (3 if how is _ROUTED else 1) + sure
            if score > rank:
                chosen, origin, rank, tied = cause, how, score, False
            elif score == rank and not sure:
                tied = True
        return None if tied else chosen, origin, fitting

    def _cut_from(self, hop: Hop, data: bytes, t: int) -> bool:
        """Rule 4: joins the hop to the packet that it is a fragment of; False if there is none."""
        piece = fragment_key(data, 1)
        if piece is None:
            return False
        fitting: list[tuple[Hop, Origin]] = []
        for cause in self._whole.get(piece, ()):
            how = self._part_of(cause, data) if self._may_cause(cause, t) else None
            if how is not None:
                fitting.append((cause, how))
        if not fitting or not join(fitting[0][0], hop, fitting[0][1]):
            return False
        if len(fitting) > 1:
            hop.doubt |= _CAUSE
        self._look_back(fitting[0][0], hop, t)
        return True

    def _look_back(self, cause: Hop, hop: Hop, t: int) -> None:
        """Whether the cause is proved as far as it alone can tell."""
        if not self.lossy:
            if cause.received is None:
                hop.doubt |= _UNSEEN
        elif t - cause.came_ns > self._ages.slack_ns:
            hop.doubt |= _CAUSE

    def _may_cause(self, cause: Hop, t: int) -> bool:
        arrival, ages = cause.received, self._ages
        if arrival is None:
            assert cause.sent is not None
            age = t - cause.sent.t_ns
            if age > ages.link_ns and not self.lossy:
                return False  # it would have been seen to arrive
        else:
            if arrival.reception == _OTHERHOST:
                return False
            age = t - arrival.t_ns
        return -ages.slack_ns <= age <= ages.router_ns

    def _becomes(self, cause: Hop, data: bytes) -> Origin | None:
        """How a packet with the right TTL became this one, None if it did not."""
        before = cause.data
        if same_layer3(before, data):
            return _ROUTED
        return _TRANSLATED if self._translated(before, data) else None

    def _translated(self, before: bytes, after: bytes) -> bool:
        """Whether `after` is `before` with other addresses or ports, as NAT at this node makes."""
        old, new = find_layer3(before), find_layer3(after)
        if old is None or new is None or old[2] != new[2]:
            return False
        change = self._address_change(before, old, after, new)
        if change is None or (not change and not has_ident(before, old)):
            return False  # ports alone, and no identification: too little to tell packets apart
        return same_behind_ports(
            behind(before, old, 0), behind(after, new, 0), before, old, has_ident(before, old)
        )

    def _address_change(self, before: bytes, old: Layer3, after: bytes, new: Layer3) -> bool | None:
        """Whether NAT at this node changed an address; None if it cannot have made the change.

        An address that another node owns is not one that this node writes in or takes off: then it
        is another packet that happens to look alike.
        """
        width, at = (4, 12) if old[2] == 4 else (16, 8)
        a, b = old[0] + at, new[0] + at
        old_src, new_src = before[a : a + width], after[b : b + width]
        old_dst, new_dst = before[a + width : a + 2 * width], after[b + width : b + 2 * width]
        if new_src != old_src and self._owners.get(new_src, self) is not self:
            return None
        if new_dst != old_dst and self._owners.get(old_dst, self) is not self:
            return None
        return new_src != old_src or new_dst != old_dst

    def _part_of(self, cause: Hop, part: bytes) -> Origin | None:
        """How the IPv4 fragment `part` was cut from `cause`, whose children lack it yet, or None.

        `cause` may be a fragment itself. NAT may have changed addresses and ports.
        """
        whole = cause.data
        old, new = find_layer3(whole), find_layer3(part)
        if old is None or new is None:
            return None
        offset = fragment_offset(part)
        distance = (offset - fragment_offset(whole)) * 8
        size = new[0] + _unpack_u16(part, new[0] + 2)[0] - new[1]
        body, piece = behind(whole, old, 0), part[new[1] : new[1] + size]
        if distance < 0 or size <= 0 or distance + size > len(body):
            return None
        change = self._address_change(whole, old, part, new)
        body = body[distance : distance + size]
        if change is None or not (
            body == piece
            or (change and offset == 0 and same_behind_ports(body, piece, whole, old, True))
        ):
            return None
        if any(fragment_offset(child.data) == offset for child in cause.children):
            return None
        return _TRANSLATED if change else _ROUTED

    # --- hops that enter the node ----------------------------------------------------------------

    def enter(self, hop: Hop, port: int, data: bytes, t: int) -> None:
        """A hop is on its way into the node since time t."""
        if data[0] & 1:
            return  # hosts forward unicast only
        if not self.routes and self._is_own(data):
            return
        layer3 = find_layer3(data)
        if layer3 is None:
            return
        start, _body, version = layer3
        route = route_key(data, 0)
        if route is None:
            return
        piece = None if version == 6 or data[start + 6] & 0x40 else fragment_key(data, 0)
        if self._late and self._late_routed(hop, route, piece):
            return
        before = self._came.get(route)
        if before is None or (type(before) is Hop and self._over(before, t)):
            self._came[route] = hop
        else:
            self._join_alike(before, route, hop, t)
        if piece is not None:
            push(self._whole, piece, hop)

    def _is_own(self, data: bytes) -> bool:
        """Whether a packet is for an address of the node itself."""
        if data[12:15] == _IPV4:
            return data[30:34] in self.addresses
        layer3 = find_layer3(data)
        if layer3 is None:
            return False
        start, _body, version = layer3
        dst = data[start + 16 : start + 20] if version == 4 else data[start + 24 : start + 40]
        return dst in self.addresses

    def _join_alike(self, before: Hop | _Alike, route: bytes, hop: Hop, t: int) -> None:
        """Adds the hop to those before it that it cannot be told from by its route key."""
        if isinstance(before, Hop):
            self._came[route] = alike = _Alike()
            (alike.unsure if before.children or before.more else alike.waiting).append(before)
            if before.children:
                alike.unsure[:] = before.children[-1:]
        else:
            alike = before
        if keep(alike.waiting, hop, MOST_ALIKE):
            alike.unsure.clear()
        # A packet that left just now may be this one, if the clocks disagree.
        limit = t - self._ages.slack_ns
        if alike.unsure and (alike.unsure[-1].t_ns >= limit or self.lossy):
            doubt(alike.unsure, _CAUSE)

    def _over(self, hop: Hop, t: int) -> bool:
        """Whether the hop is so old at time t that no frame from then on can be made of it."""
        ages = self._ages
        if hop.children and not self.lossy:
            return hop.children[-1].t_ns < t - ages.slack_ns
        return hop.t_ns < t - ages.router_ns - ages.link_ns - ages.slack_ns

    def _late_routed(self, hop: Hop, route: bytes, piece: bytes | None) -> bool:
        """Gives a hop into a router what was stamped before it; True if it is used up by that."""
        t = hop.t_ns
        for key in (route, piece):
            waiting = self._late.get(key) if key is not None else None
            for later in list(waiting or ()):
                if later.origin is not _BORN or abs(t - later.t_ns) > self._ages.slack_ns:
                    continue
                data = strip_padding(later.data)
                if route_key(data, 1) == route:
                    how = self._becomes(hop, data) if self._may_cause(hop, later.t_ns) else None
                    if how is not None and join(hop, later, how):
                        # Kept, as one that is used up: another of its kind may be meant.
                        self._came.setdefault(route, hop)
                        return True
                    continue
                how = self._part_of(hop, data)
                if how is not None:
                    join(hop, later, how)
        return False

    def forget(self, now: int) -> None:
        """Drops packets that came so long ago that none which leaves can be made of them."""
        ages = self._ages
        limit = now - ages.router_ns - ages.slack_ns
        came = self._came
        for route, entry in list(came.items()):
            if type(entry) is Hop:
                if self._over(entry, now):
                    del came[route]
            elif type(entry) is _Alike and past(limit, entry.waiting, entry.unsure):
                del came[route]
        forget(self._whole, limit)
        forget(self._late, now - 2 * ages.slack_ns)
