# SPDX-License-Identifier: Apache-2.0
"""From observations to journeys: which frame caused which.

What lives here: the linking of frames, and nothing else. What must not: words for people, files,
and any guess from addresses where a packet "ought" to go. A path comes from the wiring, from the
kernel's direction mark, and from the bytes.

Cast. A hop is one frame on one cable. Its tail is the port that sent it (an OUT), its head the
port that received it (an IN). A hop that enters a node may cause hops that leave it.

The method, for observations in time order:

1. LINK. An IN at B belongs to the oldest OUT at B's peer with identical bytes (Ethernet padding
   aside) that no IN has taken yet. A cable delivers in order: an OUT is passed over if a frame that
   was sent clearly later has arrived and an identical OUT is left to take.
2. SWITCH. An OUT of a switch is a copy of the oldest hop into that switch, by another port, with
   identical bytes (802.1Q tags aside). A hop is copied to each port once; several ports: a flood.
3. ROUTER. An OUT of any other node is what became of a hop into it with the same layer 3 and 4
   (IPv4 identification, fragment, addresses, all that follows) and a TTL exactly one higher. Each
   hop is taken once. Whether a node calls itself a router does not matter: any host may forward.
4. FRAGMENTS. As 3, but the OUT is a part of the packet that came in: same identification, its
   bytes are found at its offset. Any number of OUTs take the same hop.
5. NAT. As 3 without addresses, ports and checksums, if the new source (or the old destination)
   is nobody else's address.
6. Otherwise the node made the frame: BORN.

Clock jitter. Times of different ports may disagree by `slack_ns`, so an effect can come before
its cause. What found no cause waits that long; a cause that turns up takes it then.

Capture loss. An IN without OUT proves an OUT that was not captured: its hop has no `sent` and is
`healed`, and its cause is looked for as if the OUT had been seen. A hop counts as having entered
its node as soon as it was sent; if it has effects there without an IN, it is `healed` too.
Where identical frames make this ambiguous nothing is linked.

Ageing. A hop is forgotten as a candidate 100 ms (cables), 900 ms (switches: a frame may wait for
the controller) or 4 s (routers: a packet waits for ARP, three tries a second apart) after it was
seen. So memory is bounded by the rate, not by the length of the capture, and ARP retries, which
are identical and come once a second, are kept apart. Under loss, identical frames that follow each
other faster than these ages can be taken for one another; nothing in them tells them apart.

Storms. Where switches stand in a loop, one frame leaves the same port again and again. Its tree
keeps the first copies of each port; the later ones are followed as all are (or they would look like
new frames), but only counted, in the `Tally` of their frame. So memory is bounded there too.

Every step is a look-up in a dict by bytes; no step depends on the length of the capture.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from struct import Struct

from hoplab.trace.model import Hop, Journey, Origin, Tally
from hoplab.trace.wiring import Wiring
from hoplab.wire.observation import Observation, Reception
from hoplab.wire.packet import strip_padding
from hoplab.wire.pcapng import gc_paused

MILLISECOND = 1_000_000
SECOND = 1_000_000_000

LINK_AGE_NS = 100 * MILLISECOND
SWITCH_AGE_NS = 900 * MILLISECOND
ROUTER_AGE_NS = 4 * SECOND
SLACK_NS = 2 * MILLISECOND
# A journey still growing after this time is handed out by `Follower.ready` all the same: behind it
# all later journeys wait, because journeys are numbered in time order.
JOURNEY_AGE_NS = 30 * SECOND

_SWEEP_NS = SECOND
# Identical frames kept apart per switch or link. Only a storm has more; its oldest are forgotten.
_MOST_ALIKE = 256

KEPT_COPIES = 3  # of one frame, by one port: enough to see how a loop closes, and that it goes on

_PADDED = 64  # no longer frame is padded: 60 bytes, and 4 of a tag put in afterwards
_OUTGOING = Reception.OUTGOING
_OTHERHOST = Reception.OTHERHOST
_HOST = Reception.HOST

_Layer3 = tuple[int, int, int]  # where the IP header and its payload begin; the IP version
_unpack_u16 = Struct("!H").unpack_from
_BYTE = [bytes((value,)) for value in range(256)]
_BYTE.append(b"none")  # TTL 255 raised by one: no packet comes in with that

_SWITCHED = Origin.SWITCHED
_ROUTED = Origin.ROUTED
_TRANSLATED = Origin.TRANSLATED


class _Node:
    """What the follower keeps for one node.

    causes: hops into the node that may still have effects, by `_untagged` bytes at a switch (each
        as [hop, mask of ports used]) and by `_route_key` elsewhere.
    late: hops out of the node without cause, waiting for one whose clock is behind.
    whole: hops into the node that a router may cut into fragments, by `_fragment_key`.
    """

    __slots__ = ("addresses", "all_ports", "causes", "copies", "late", "routes", "switch", "whole")

    def __init__(self, switch: bool, routes: bool, addresses: frozenset[bytes]) -> None:
        self.switch = switch
        self.routes = routes
        self.addresses = addresses
        self.all_ports = 0
        self.copies: dict[bytes, list[_Copies]] = {}
        self.causes: dict[bytes, list[Hop]] = {}
        self.late: dict[bytes, list[Hop]] = {}
        self.whole: dict[bytes, list[Hop]] = {}


class _Copies:
    """A hop into a switch and the ports that it has been copied to (its own counts as one)."""

    __slots__ = ("hop", "used")

    def __init__(self, hop: Hop, used: int) -> None:
        self.hop = hop
        self.used = used


class Follower:
    """Follows frames as they come.

    `feed` takes observations in time order, at most `slack_ns` out of it. `ready` gives the
    journeys that can grow no more, `finish` all the rest. Hops name ports of the wiring; `ports`
    translates those of the observations (see `Wiring.port_map`) and None stands for "the same".
    """

    def __init__(
        self,
        wiring: Wiring,
        *,
        ports: Sequence[int | None] | None = None,
        link_age_ns: int = LINK_AGE_NS,
        switch_age_ns: int = SWITCH_AGE_NS,
        router_age_ns: int = ROUTER_AGE_NS,
        slack_ns: int = SLACK_NS,
        journey_age_ns: int = JOURNEY_AGE_NS,
    ) -> None:
        self.wiring = wiring
        self.link_age_ns = link_age_ns
        self.switch_age_ns = switch_age_ns
        self.router_age_ns = router_age_ns
        self.slack_ns = slack_ns
        self.journey_age_ns = journey_age_ns
        self.ignored = 0  # observations at interfaces that the wiring does not know
        count = len(wiring.interfaces)
        self._ports: Sequence[int | None] = range(count) if ports is None else ports
        self._peers = wiring.peers
        self._flights: list[dict[bytes, list[Hop]]] = [{} for _ in range(count)]
        self._orphans: list[dict[bytes, list[Hop]]] = [{} for _ in range(count)]
        self._delivered = [0] * count  # by head: when the latest frame that arrived was sent
        self._macs = [bytes.fromhex(i.mac.replace(":", "")) for i in wiring.interfaces]
        nodes = {name: self._make_node(name) for name in wiring.nodes}
        self._nodes = list(nodes.values())
        self._node_of = [nodes[i.node] for i in wiring.interfaces]
        self._bits: list[int] = []
        for node in self._node_of:
            bit = node.all_ports + 1
            node.all_ports |= bit
            self._bits.append(bit)
        self._owners: dict[bytes, _Node] = {}
        for node in self._nodes:
            for address in node.addresses:
                self._owners.setdefault(address, node)
        self._roots: list[Hop] = []
        self._given = 0  # journeys handed out
        self._now = 0
        self._next_sweep = 0

    def _make_node(self, name: str) -> _Node:
        wiring = self.wiring
        ports = wiring.ports(name)
        kind = wiring.kind(name)
        addresses = frozenset(
            _address_bytes(text) for port in ports for text in wiring.interfaces[port].addresses
        )
        # A node with one port can still send a packet back by it (a wrong gateway does), but its
        # own traffic is most of what it sees and need not be remembered.
        return _Node(kind == "switch", kind == "router" or len(ports) > 1, addresses)

    def feed(self, observation: Observation) -> None:
        """Takes the next observation."""
        number = observation.port
        port = self._ports[number] if number < len(self._ports) else None
        if port is None:
            self.ignored += 1
            return
        t = observation.t_ns
        if t > self._now:
            self._now = t
            if t >= self._next_sweep:
                self._sweep(t)
        data = observation.data
        if len(data) <= _PADDED:
            if len(data) < 14:
                self.ignored += 1  # not even an Ethernet header: nothing to follow it by
                return
            data = strip_padding(data)
        if observation.reception == _OUTGOING:
            self._sent(port, data, observation, t)
        else:
            self._received(port, data, observation, t)

    def _sent(self, port: int, data: bytes, observation: Observation, t: int) -> None:
        head = self._peers[port]
        if head is not None:
            early = self._orphans[head]
            if early and data in early:
                hop = self._early_arrival(early, data, t)
                if hop is not None:
                    hop.sent = observation
                    hop.healed = False
                    if hop.parent is None:
                        self._find_cause(hop, port, data, t)
                    return
        hop = Hop(port, head, observation, None)
        self._find_cause(hop, port, data, t)
        if head is None:
            return
        flight = self._flights[head]
        alike = flight.get(data)
        if alike is None:
            flight[data] = [hop]
        else:
            alike.append(hop)
            if len(alike) > _MOST_ALIKE:
                del alike[0]
        node = self._node_of[head]
        if node.switch:
            self._enter_switch(hop, node, self._bits[head], data)
        elif not data[0] & 1 and data[:6] == self._macs[head]:
            self._enter_router(hop, node, data)

    def _early_arrival(self, early: dict[bytes, list[Hop]], data: bytes, t: int) -> Hop | None:
        """The hop whose IN was stamped before its OUT at time t."""
        alike = early[data]
        for place, hop in enumerate(alike):
            if -self.slack_ns <= hop.t_ns - t <= self.link_age_ns:
                del alike[place]
                if not alike:
                    del early[data]
                return hop
        return None

    def _received(self, port: int, data: bytes, observation: Observation, t: int) -> None:
        flight = self._flights[port]
        alike = flight.get(data)
        hop = None
        if alike is not None:
            hop = alike[0]
            if len(alike) > 1 or t - hop.t_ns > self.link_age_ns:
                hop = self._choose_flight(alike, port, t)
            if hop is alike[0] and len(alike) == 1:
                del flight[data]
            elif hop is not None:
                alike.remove(hop)
        node = self._node_of[port]
        if hop is not None:
            hop.received = observation
            hop.healed = False
            if hop.counted:
                _count_arrival(hop, t)
            sent = hop.t_ns
            if sent > self._delivered[port]:
                self._delivered[port] = sent
            if not node.switch and observation.reception == _HOST and data[:6] != self._macs[port]:
                # The kernel took it for its own although the wiring names another MAC address
                # (or none): the address was changed after the lab was built.
                self._enter_router(hop, node, data)
            return
        tail = self._peers[port]
        hop = Hop(tail, port, None, observation, healed=tail is not None)
        if tail is None:
            self._roots.append(hop)
        else:
            self._find_cause(hop, tail, data, t)
            self._orphans[port].setdefault(data, []).append(hop)
        if node.switch:
            self._enter_switch(hop, node, self._bits[port], data)
        elif observation.reception == _HOST:
            self._enter_router(hop, node, data)

    def _choose_flight(self, alike: list[Hop], port: int, t: int) -> Hop | None:
        """The OUT, of several identical ones or of an old one, that an IN at time t belongs to."""
        oldest = t - self.link_age_ns
        lost = self._delivered[port] - self.slack_ns
        while alike and alike[0].t_ns < oldest:
            if len(alike) == 1:
                return None
            del alike[0]
        while len(alike) > 1 and alike[0].t_ns < lost and alike[1].t_ns <= t + self.slack_ns:
            del alike[0]
        return alike[0]

    # --- causes ----------------------------------------------------------------------------------

    def _find_cause(self, hop: Hop, port: int, data: bytes, t: int) -> None:
        """Looks for what made the node send `hop` by `port`; without it, `hop` is a root."""
        node = self._node_of[port]
        if node.switch:
            key = _untagged(data)
            copies = node.copies.get(key)
            if copies is not None and self._copy_of(hop, node, copies, key, self._bits[port], t):
                return
            _push(node.late, key, hop)
        elif node.causes or node.routes:
            route = _route_key(data, 1)
            if route is not None:
                if self._routed_from(hop, node, route, data, t):
                    return
                if node.routes:
                    _push(node.late, _fragment_key(data, 1) or route, hop)
        if hop.parent is None and (hop.sent is None or hop.received is None):
            self._roots.append(hop)

    def _copy_of(
        self, hop: Hop, node: _Node, copies: list[_Copies], key: bytes, bit: int, t: int
    ) -> bool:
        """Rule 2."""
        chosen: _Copies | None = None
        first = 0  # when the chosen one arrived
        guess: _Copies | None = None
        old = doubt = False
        for entry in copies:
            if entry.used & bit:
                continue
            cause = entry.hop
            seen = cause.received or cause.sent
            assert seen is not None
            came = seen.t_ns
            age = t - came
            if age > self.switch_age_ns or age < -self.slack_ns:
                continue
            if cause.received is not None:
                # By arrival, not by the list's order, which is that of sending: of two frames on
                # two cables the one sent first may arrive second.
                if chosen is None or came < first:
                    chosen, first = entry, came
            elif guess is None:
                # It was sent here but not (yet) seen to arrive. It is the cause only if no other
                # can be, unless all are so recent that their arrival may just be stamped late.
                guess = entry
                old = age > self.slack_ns
            else:
                doubt = doubt or old or age > self.slack_ns
        if chosen is None and not doubt:
            chosen = guess
        if chosen is None or not self._link(chosen.hop, hop, _SWITCHED):
            return False
        chosen.used |= bit
        if chosen.used == node.all_ports:
            copies.remove(chosen)
            if not copies:
                del node.copies[key]
        return True

    def _routed_from(self, hop: Hop, node: _Node, route: bytes, data: bytes, t: int) -> bool:
        """Rules 3, 4 and 5."""
        causes = node.causes.get(route)
        if causes is not None:
            found = self._choose_cause(causes, node, data, t)
            if found is not None:
                cause, origin = found
                if self._link(cause, hop, origin):
                    causes.remove(cause)
                    if not causes:
                        del node.causes[route]
                    return True
        if node.whole:
            piece = _fragment_key(data, 1)
            for cause in node.whole.get(piece, ()) if piece is not None else ():
                how = self._part_of(cause, data, node) if self._may_cause(cause, t) else None
                if how is not None and self._link(cause, hop, how):
                    return True
        return False

    def _may_cause(self, cause: Hop, t: int) -> bool:
        seen = cause.received or cause.sent
        assert seen is not None
        if cause.received is not None and cause.received.reception == _OTHERHOST:
            return False
        return -self.slack_ns <= t - seen.t_ns <= self.router_age_ns

    def _choose_cause(
        self, causes: list[Hop], node: _Node, data: bytes, t: int
    ) -> tuple[Hop, Origin] | None:
        """Of the hops with the right TTL, the oldest with the same layer 3, else the oldest that
        differs as NAT makes it. One seen to arrive comes before one that was only sent."""
        best: Hop | None = None
        origin = _ROUTED
        rank = 0
        doubt = False
        for cause in causes:
            if not self._may_cause(cause, t):
                continue
            before = cause.data
            if _same_layer3(before, data):
                score, kind = 3, _ROUTED
            elif self._translated(before, data, node):
                score, kind = 1, _TRANSLATED
            else:
                continue
            sure = cause.received is not None or t - cause.t_ns <= self.slack_ns
            score += sure
            if score == 4:
                return cause, kind
            if score > rank:
                best, origin, rank, doubt = cause, kind, score, False
            elif score == rank and not sure:
                doubt = True
        return None if best is None or doubt else (best, origin)

    def _translated(self, before: bytes, after: bytes, node: _Node) -> bool:
        """Whether `after` is `before` with other addresses or ports, as NAT at this node makes."""
        old, new = _layer3(before), _layer3(after)
        if old is None or new is None or old[2] != new[2]:
            return False
        change = self._address_change(before, old, after, new, node)
        if change is None or (not change and not _has_ident(before, old)):
            return False  # ports alone, and no identification: too little to tell packets apart
        return _same_behind_ports(
            _behind(before, old, 0), _behind(after, new, 0), before, old, _has_ident(before, old)
        )

    def _address_change(
        self, before: bytes, old: _Layer3, after: bytes, new: _Layer3, node: _Node
    ) -> bool | None:
        """Whether NAT at this node changed an address; None if it cannot have made the change.

        An address that another node owns is not one that this node writes in or takes off: then it
        is another packet that happens to look alike.
        """
        width, at = (4, 12) if old[2] == 4 else (16, 8)
        a, b = old[0] + at, new[0] + at
        old_src, new_src = before[a : a + width], after[b : b + width]
        old_dst, new_dst = before[a + width : a + 2 * width], after[b + width : b + 2 * width]
        if new_src != old_src and self._owners.get(new_src, node) is not node:
            return None
        if new_dst != old_dst and self._owners.get(old_dst, node) is not node:
            return None
        return new_src != old_src or new_dst != old_dst

    def _part_of(self, cause: Hop, part: bytes, node: _Node) -> Origin | None:
        """How the IPv4 fragment `part` was cut from `cause`, whose children lack it yet, or None.

        `cause` may be a fragment itself. NAT may have changed addresses and ports.
        """
        whole = cause.data
        old, new = _layer3(whole), _layer3(part)
        if old is None or new is None:
            return None
        offset = _fragment_offset(part)
        distance = (offset - _fragment_offset(whole)) * 8
        size = new[0] + _unpack_u16(part, new[0] + 2)[0] - new[1]
        one, two = _behind(whole, old, 0), part[new[1] : new[1] + size]
        if distance < 0 or size <= 0 or distance + size > len(one):
            return None
        change = self._address_change(whole, old, part, new, node)
        one = one[distance : distance + size]
        if change is None or not (
            one == two
            or (change and offset == 0 and _same_behind_ports(one, two, whole, old, True))
        ):
            return None
        if any(_fragment_offset(child.data) == offset for child in cause.children):
            return None
        return _TRANSLATED if change else _ROUTED

    def _link(self, cause: Hop, hop: Hop, origin: Origin) -> bool:
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
        hop.parent = cause
        cause.children.append(hop)
        return True

    # --- hops that enter a node ------------------------------------------------------------------

    def _enter_switch(self, hop: Hop, node: _Node, bit: int, data: bytes) -> None:
        key = _untagged(data)
        entry = _Copies(hop, bit)
        if node.late and key in node.late:
            self._late_copies(entry, node, key)
        copies = node.copies.get(key)
        if copies is None:
            node.copies[key] = [entry]
        else:
            copies.append(entry)
            if len(copies) > _MOST_ALIKE:
                del copies[0]

    def _late_copies(self, entry: _Copies, node: _Node, key: bytes) -> None:
        """Gives a hop into a switch the copies that were stamped before it."""
        t = entry.hop.t_ns
        waiting = node.late[key]
        for hop in list(waiting):
            if hop.parent is not None or abs(t - hop.t_ns) > self.slack_ns:
                continue
            assert hop.tail is not None
            bit = self._bits[hop.tail]
            if not entry.used & bit and self._link(entry.hop, hop, _SWITCHED):
                entry.used |= bit
                waiting.remove(hop)
        if not waiting:
            del node.late[key]

    def _enter_router(self, hop: Hop, node: _Node, data: bytes) -> None:
        if data[0] & 1:
            return  # hosts forward unicast only
        layer3 = _layer3(data)
        if layer3 is None:
            return
        start, _body, version = layer3
        if not node.routes:
            dst = data[start + 16 : start + 20] if version == 4 else data[start + 24 : start + 40]
            if dst in node.addresses:
                return
        route = _route_key(data, 0)
        if route is None:
            return
        piece = None if version == 6 or data[start + 6] & 0x40 else _fragment_key(data, 0)
        if node.late and self._late_routed(hop, node, route, piece):
            return
        _push(node.causes, route, hop)
        if piece is not None:
            _push(node.whole, piece, hop)

    def _late_routed(self, hop: Hop, node: _Node, route: bytes, piece: bytes | None) -> bool:
        """Gives a hop into a router what was stamped before it; True if it is used up by that."""
        t = hop.t_ns
        for key in (route, piece):
            waiting = node.late.get(key) if key is not None else None
            for later in list(waiting or ()):
                if later.parent is not None or abs(t - later.t_ns) > self.slack_ns:
                    continue
                data = strip_padding(later.data)
                if _route_key(data, 1) == route:
                    found = self._choose_cause([hop], node, data, later.t_ns)
                    if found is not None and self._link(hop, later, found[1]):
                        return True
                    continue
                origin = self._part_of(hop, data, node)
                if origin is not None:
                    self._link(hop, later, origin)
        return False

    # --- ageing ----------------------------------------------------------------------------------

    def _sweep(self, now: int) -> None:
        """Forgets what is too old to be linked. Once a second: each entry is met few times."""
        self._next_sweep = now + _SWEEP_NS
        slack = self.slack_ns
        for table in self._flights:
            _forget(table, now - self.link_age_ns - slack)
        for table in self._orphans:
            _forget(table, now - 2 * slack)
        for node in self._nodes:
            _forget(node.causes, now - self.router_age_ns - slack)
            _forget(node.whole, now - self.router_age_ns - slack)
            _forget(node.late, now - 2 * slack)
            limit = now - self.switch_age_ns - self.link_age_ns - slack
            for key, copies in list(node.copies.items()):
                if copies[-1].hop.t_ns < limit:
                    del node.copies[key]
                elif copies[0].hop.t_ns < limit:
                    node.copies[key] = [entry for entry in copies if entry.hop.t_ns >= limit]

    def ready(self) -> list[Journey]:
        """The journeys that can grow no more, in time order, each handed out once."""
        quiet = self._now - max(self.router_age_ns, self.switch_age_ns) - self.link_age_ns
        quiet -= 2 * self.slack_ns
        limit = self._now - self.journey_age_ns
        roots = self.growing()
        done = 0
        for root in roots:
            if root.t_ns >= limit and last_seen(root) >= quiet:
                break
            done += 1
        self._roots = roots[done:]
        return self._number(roots[:done])

    def finish(self) -> list[Journey]:
        """All journeys not handed out yet. Nothing may be fed afterwards."""
        roots = self.growing()
        self._roots = []
        return self._number(roots)

    def growing(self) -> list[Hop]:
        """The first hops of the journeys not handed out yet, in time order."""
        roots = [hop for hop in self._roots if hop.parent is None]
        roots.sort(key=_order)
        return roots

    def _number(self, roots: list[Hop]) -> list[Journey]:
        first = self._given + 1
        self._given += len(roots)
        return [Journey(number, root) for number, root in enumerate(roots, first)]


def follow(
    wiring: Wiring,
    observations: Iterable[Observation],
    *,
    ports: Sequence[int | None] | None = None,
    link_age_ns: int = LINK_AGE_NS,
    switch_age_ns: int = SWITCH_AGE_NS,
    router_age_ns: int = ROUTER_AGE_NS,
    slack_ns: int = SLACK_NS,
) -> list[Journey]:
    """All journeys in a capture, in time order. The observations may come in any order.

    ports: for each port of the observations that of the wiring; see `Wiring.port_map`.
    """
    follower = Follower(
        wiring,
        ports=ports,
        link_age_ns=link_age_ns,
        switch_age_ns=switch_age_ns,
        router_age_ns=router_age_ns,
        slack_ns=slack_ns,
    )
    feed = follower.feed
    with gc_paused():  # all hops stay, so the collector would look at them in vain
        for observation in sorted(observations, key=_time):
            feed(observation)
        return follower.finish()


def _time(observation: Observation) -> int:
    return observation.t_ns


def _order(hop: Hop) -> tuple[int, int]:
    seen = hop.seen
    return seen.t_ns, seen.number


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
        assert keeper.parent is not None
        keeper = keeper.parent
    keeper.more = True
    stack = [hop]
    while stack:
        one = stack.pop()
        stack.extend(one.children)
        one.children.clear()
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
            _count_arrival(one, one.received.t_ns)
    return False


def _count_arrival(hop: Hop, t: int) -> None:
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


def _push(table: dict[bytes, list[Hop]], key: bytes, hop: Hop) -> None:
    alike = table.get(key)
    if alike is None:
        table[key] = [hop]
    else:
        alike.append(hop)
        if len(alike) > _MOST_ALIKE:
            del alike[0]


def _forget(table: dict[bytes, list[Hop]], limit: int) -> None:
    """Takes out the hops seen before `limit`; lists are in time order but for the slack."""
    if not table:
        return
    for key, alike in list(table.items()):
        if alike[-1].t_ns < limit:
            del table[key]
        elif alike[0].t_ns < limit:
            table[key] = [hop for hop in alike if hop.t_ns >= limit]


def _address_bytes(text: str) -> bytes:
    return ipaddress.ip_interface(text).ip.packed


# --- bytes ---------------------------------------------------------------------------------------


def _untagged(data: bytes) -> bytes:
    """The frame without 802.1Q tags: a switch puts them on and takes them off."""
    while len(data) > 18 and (
        (data[12] == 0x81 and data[13] == 0) or (data[12] == 0x88 and data[13] == 0xA8)
    ):
        data = data[:12] + data[16:]
    return data


def _layer3(data: bytes) -> _Layer3 | None:
    """Where the IP header and what follows it begin, and the IP version; None for other frames."""
    start = 14
    kind = data[12:14]
    while kind in (b"\x81\x00", b"\x88\xa8"):
        kind = data[start + 2 : start + 4]
        start += 4
    if kind == b"\x08\x00":
        if len(data) < start + 20 or data[start] >> 4 != 4:
            return None
        header = (data[start] & 15) * 4
        return (start, start + header, 4) if header >= 20 else None
    if kind == b"\x86\xdd" and len(data) >= start + 40:
        return start, start + 40, 6
    return None


def _route_key(data: bytes, up: int) -> bytes | None:
    """What a router leaves alone, NAT included, in few bytes, with the TTL raised by `up`.

    Total length, identification, fragment field, TTL, protocol, and the first bytes of layer 4
    that are neither port nor checksum. Packets with equal keys are compared in full afterwards.
    """
    layer3 = (14, 34, 4) if data[12:15] == b"\x08\x00\x45" and len(data) >= 34 else _layer3(data)
    if layer3 is None:
        return None
    start, body, version = layer3
    if version == 4:
        protocol = data[start + 9]
        head = data[start + 2 : start + 8] + _BYTE[data[start + 8] + up]
        if data[start + 6] & 0x1F or data[start + 7]:
            protocol = -1  # no layer-4 header in this fragment
    else:
        protocol = data[start + 6]
        head = data[start + 4 : start + 7] + _BYTE[data[start + 7] + up]
    if protocol == 6:
        return head + data[body + 4 : body + 16]
    if protocol == 17:
        return head + data[body + 8 : body + 28]
    if protocol == 1 and version == 4:
        if data[body : body + 1] in (b"\x00", b"\x08"):
            return head + data[body : body + 2] + data[body + 6 : body + 24]
        return head + data[body : body + 2]
    return head + data[body : body + 20]


def _fragment_key(data: bytes, up: int) -> bytes | None:
    """Identification, TTL raised by `up`, and protocol of an IPv4 packet. An OUT (`up` 1) has a
    key only if it is a fragment."""
    layer3 = _layer3(data)
    if layer3 is None or layer3[2] != 4:
        return None
    start = layer3[0]
    if up and not (data[start + 6] & 0x3F or data[start + 7]):
        return None
    ttl = _BYTE[data[start + 8] + up]
    return data[start + 4 : start + 6] + ttl + data[start + 9 : start + 10]


def _fragment_offset(data: bytes) -> int:
    """The fragment offset in units of 8 bytes, -1 if the frame is no IPv4."""
    layer3 = _layer3(data)
    if layer3 is None or layer3[2] != 4:
        return -1
    return int(_unpack_u16(data, layer3[0] + 6)[0]) & 0x1FFF


def _same_layer3(before: bytes, after: bytes) -> bool:
    """Equal addresses and equal bytes behind the IP header (the rest is in the route key).

    The type of service may differ: a queue may mark congestion in it (RFC 3168).
    """
    if before[12:15] == b"\x08\x00\x45" == after[12:15] and before[26:] == after[26:]:
        return True
    old, new = _layer3(before), _layer3(after)
    if old is None or new is None:
        return False
    if old[2] == 4:
        return before[old[0] + 12 : old[0] + 20] == after[new[0] + 12 : new[0] + 20] and _behind(
            before, old, 0
        ) == _behind(after, new, 0)
    return _behind(before, old, -32) == _behind(after, new, -32)


def _behind(data: bytes, layer3: _Layer3, step: int) -> bytes:
    """The bytes from `step` behind the IP header to the end of the packet, padding left out."""
    start, body, version = layer3
    length = _unpack_u16(data, start + 2 if version == 4 else start + 4)[0]
    end = (start if version == 4 else body) + length
    return data[body + step : end] if length else data[body + step :]


def _has_ident(data: bytes, layer3: _Layer3) -> bool:
    start, _body, version = layer3
    return version == 4 and data[start + 4 : start + 6] != b"\0\0"


def _same_behind_ports(one: bytes, two: bytes, packet: bytes, layer3: _Layer3, ident: bool) -> bool:
    """Equal layer 4, `one` and `two`, but for ports, checksums and the identifier of an echo.

    `packet` is the one that `one` is from; `ident` tells that the IP identifications are equal and
    mean something.
    """
    start, _body, version = layer3
    protocol = packet[start + 9] if version == 4 else packet[start + 6]
    if version == 4 and (packet[start + 6] & 0x1F or packet[start + 7]):
        return one == two  # a fragment without layer-4 header
    if protocol == 6:
        return one[4:16] == two[4:16] and one[18:] == two[18:]
    if protocol == 17:
        return one[4:6] == two[4:6] and one[8:] == two[8:]
    if protocol == 1:
        if one[:1] in (b"\x00", b"\x08"):
            return one[:2] == two[:2] and one[6:] == two[6:]
        # An error quotes the packet with its addresses, which NAT rewrites too.
        return ident and one[:2] == two[:2]
    return one == two
