# SPDX-License-Identifier: Apache-2.0
"""From observations to journeys: which frame caused which.

What lives here: the order of work, and what is handed out when. The rules themselves are in
`cables.py`, `switching.py` and `routing.py`, on top of `identity.py` (bytes) and `tree.py` (parents
and children). What must not: words for people, files, and any guess from addresses where a packet
"ought" to go. A path comes from the wiring, from the kernel's direction mark, and from the bytes.

Cast. A hop is one frame on one cable. Its tail is the port that sent it (an OUT), its head the
port that received it (an IN). A hop that enters a node may cause hops that leave it.

The method, for observations in time order:

1. LINK. An IN at B belongs to the oldest OUT at B's peer with identical bytes (Ethernet padding
   aside) that no IN has taken yet. A cable delivers in order: an OUT is passed over if a frame that
   was sent clearly later has arrived and an identical OUT is left to take.
2. SWITCH. An OUT of a switch is a copy of the oldest hop into that switch, by another port, with
   identical bytes (802.1Q tags aside). A hop is copied to each port once; several ports: a flood.
   What finds no cause that way is one copy more of the newest such hop, back out of its own port or
   out of one that had a copy: a controller may want that.
3. ROUTER. An OUT of any other node is what became of a hop into it with the same layer 3 and 4
   (IPv4 identification, fragment, addresses, all that follows) and a TTL exactly one higher. Each
   hop is taken once. Whether a node calls itself a router does not matter: any host may forward.
4. FRAGMENTS. As 3, but the OUT is a part of the packet that came in: same identification, its
   bytes are found at its offset. Any number of OUTs take the same hop.
5. NAT. As 3 without addresses, ports and checksums, if the new source (or the old destination)
   is nobody else's address.
6. Otherwise the node made the frame: BORN.

Clock jitter. Times of different ports may disagree by `Ages.slack_ns`, so an effect can come
before its cause. What found no cause waits that long; a cause that turns up takes it then.

Capture loss. An IN without OUT proves an OUT that was not captured: its hop has no `sent` and is
`healed`, and its cause is looked for as if the OUT had been seen. A hop counts as having entered
its node as soon as it was sent; if it has effects there without an IN, it is `healed` too.
Where identical frames make this ambiguous nothing is linked.

Ageing. A hop is forgotten as a candidate 100 ms (cables), 900 ms (switches) or 4 s (routers) after
it was seen; see `Ages`. What leaves by a port with a rate may have waited in front of it besides,
for as long as that port has been busy (`switching.py`). So memory is bounded by the rate, not by
the length of the capture, and ARP retries, which are identical and come once a second, are kept
apart.

Doubt. Identical frames that follow each other faster than these ages are matched in their order
(nothing overtakes its own likeness). If as many left as came, that is the only way to match them,
and proved. If one is missing, lost on a cable or dropped by a node, it can be any of them: these
hops have a `doubt`. That holds for a capture that is whole, which the kernel's counts tell. Where
the capture itself has lost frames (`lossy`), all that has an identical neighbour within the ages or
took longer than the slack is in doubt. What is left there are identical frames closer together
than the slack of which the capture has one end each; nothing tells that from one frame.

Storms. Where switches stand in a loop the first copies of each port are kept, the others counted
(`tree.py`). So memory is bounded there too.

Every step is a look-up in a dict by bytes; no step depends on the length of the capture.
"""

from __future__ import annotations

import ipaddress
from collections import deque
from collections.abc import Container, Iterable, Mapping, Sequence

from hoplab.capture.collector import gc_paused
from hoplab.capture.observation import Observation, Reception
from hoplab.decode.packet import strip_padding
from hoplab.follow.ages import SECOND, Ages
from hoplab.follow.cables import Cable
from hoplab.follow.model import Doubt, Hop, Journey, Origin
from hoplab.follow.passages import Made
from hoplab.follow.routing import Router
from hoplab.follow.switching import Switch
from hoplab.follow.tree import STORM_FROM, Storm, count_arrival, join, last_seen
from hoplab.follow.wiring import Wiring

_SWEEP_NS = SECOND
_NEVER_NS = 1 << 62
_PADDED = 64  # no longer frame is padded: 60 bytes, and 4 of a tag put in afterwards
# By the length of a frame, the length of the packet that it carries, as IPv4 writes it, if there is
# no padding.
_WHOLE = [max(0, size - 14).to_bytes(2, "big") for size in range(_PADDED + 1)]
_OUTGOING = Reception.OUTGOING
_HOST = Reception.HOST
_BORN = Origin.BORN
_UNSEEN = int(Doubt.UNSEEN)


class Follower:
    """Follows frames as they come.

    `feed` takes observations in time order, at most `Ages.slack_ns` out of it. `ready` gives the
    journeys that can grow no more, `finish` all the rest. Hops name ports of the wiring; `ports`
    translates those of the observations (see `Wiring.port_map`) and None stands for "the same".
    lossy: the capture is known to lack frames. causes: frames of which it is known from elsewhere
    what a switch made them from, which their bytes do not show: number of the frame that left the
    switch -> the one that came to it. deaf: ports that pass nothing on of what comes to them.

    >>> follower = Follower(wiring)
    >>> for chunk in chunks:
    ...     follower.feed(chunk)
    ...     tell(follower.ready())
    >>> tell(follower.finish())
    """

    def __init__(
        self,
        wiring: Wiring,
        *,
        ports: Sequence[int | None] | None = None,
        ages: Ages | None = None,
        lossy: bool = False,
        causes: Mapping[int, Made] | None = None,
        deaf: frozenset[int] = frozenset(),
    ) -> None:
        self.wiring = wiring
        self._deaf = deaf
        self._causes = dict(causes or {})
        # The hops whose arrival is a cause, by the number of the frame that arrived.
        self._awaited: dict[int, Hop | None] = dict.fromkeys(
            made.number for made in self._causes.values()
        )
        self.ages = ages or Ages.of(wiring.longest_delay_ns(), wiring.longest_queue_ns())
        # Observations that no hop can be made of: at interfaces that the wiring does not know, or
        # too short for an Ethernet header.
        self.ignored = 0
        self.now_ns = 0  # the latest time seen
        count = len(wiring.interfaces)
        self._ports: Sequence[int | None] = range(count) if ports is None else ports
        self._peers = wiring.peers
        self._cables = [Cable(self.ages) for _ in range(count)]  # by head
        self._macs = [bytes.fromhex(i.mac.replace(":", "")) for i in wiring.interfaces]
        owners: dict[bytes, Router] = {}
        self._owners = owners
        self._by_name = {name: self._make_node(name, owners) for name in wiring.nodes}
        self._nodes = list(self._by_name.values())
        self._switches = [node for node in self._nodes if isinstance(node, Switch)]
        self._node_of = [self._by_name[i.node] for i in wiring.interfaces]
        self._fresh: deque[Hop] = deque()  # hops without cause, in the order in which they came
        self._old: list[Hop] = []  # those that wait for their turn to be handed out, sorted
        self._given = 0  # journeys handed out
        self._storms: dict[bytes, Storm] = {}
        self._next_sweep = 0  # when there is something to do beside following
        self._next_forgetting = 0
        self.lossy = lossy

    def _make_node(self, name: str, owners: dict[bytes, Router]) -> Switch | Router:
        wiring = self.wiring
        ports = wiring.ports(name)
        kind = wiring.kind(name)
        if kind == "switch":
            rates = {port: wiring.interfaces[port].rate for port in ports}
            return Switch(self.ages, ports, {port: rate for port, rate in rates.items() if rate})
        addresses = frozenset(
            ipaddress.ip_interface(text).ip.packed
            for port in ports
            for text in wiring.interfaces[port].addresses
        )
        node = Router(self.ages, kind == "router" or len(ports) > 1, addresses, owners, ports)
        for address in addresses:
            owners.setdefault(address, node)
        return node

    def grow(self) -> None:
        """Takes up the nodes and interfaces that the wiring has gained."""
        wiring = self.wiring
        for name in wiring.nodes:
            if name not in self._by_name:
                node = self._by_name[name] = self._make_node(name, self._owners)
                node.lossy = self._lossy
                self._nodes.append(node)
                if isinstance(node, Switch):
                    self._switches.append(node)
        for port in range(len(self._cables), len(wiring.interfaces)):
            interface = wiring.interfaces[port]
            cable, node = Cable(self.ages), self._by_name[interface.node]
            cable.lossy = self._lossy
            self._cables.append(cable)
            self._macs.append(bytes.fromhex(interface.mac.replace(":", "")))
            self._node_of.append(node)
            node.grow(port, [
                ipaddress.ip_interface(text).ip.packed for text in interface.addresses
            ])  # fmt: skip

    @property
    def lossy(self) -> bool:
        """The capture lacks frames; may be set as soon as that is known."""
        return self._lossy

    @lossy.setter
    def lossy(self, lossy: bool) -> None:
        self._lossy = lossy
        for part in (*self._cables, *self._nodes):
            part.lossy = lossy

    def explain(self, causes: Mapping[int, Made]) -> None:
        """More of what is known of frames that are yet to be fed."""
        self._causes |= causes
        for made in causes.values():
            self._awaited.setdefault(made.number)

    def feed(self, observations: Iterable[Observation]) -> None:
        """Takes the next observations."""
        with gc_paused():  # what is made here stays a while, and nothing of it is a circle
            ports, count, storms = self._ports, len(self._ports), self._storms
            now_ns = self.now_ns
            for observation in observations:
                number, data, t = observation.port, observation.data, observation.t_ns
                port = ports[number] if number < count else None
                size = len(data)
                if port is None or size < 14:
                    self.ignored += 1
                    continue
                if t > now_ns:
                    now_ns = t
                    if t >= self._next_sweep:
                        self._sweep(t)
                if size <= _PADDED and not (  # the usual short one, not padded: IPv4, no options
                    data[16:18] == _WHOLE[size] and data[12:15] == b"\x08\x00\x45"
                ):
                    data = strip_padding(data)
                if storms:
                    storm = storms.get(data)
                    if storm is not None:
                        if t - storm.last_ns <= self.ages.switch_ns:
                            self._in_storm(storm, port, data, observation, t)
                            continue
                        del storms[data]  # it has ended; this is another one
                if observation.reception == _OUTGOING:
                    self._sent(port, data, observation, t)
                else:
                    self._received(port, data, observation, t)
            self.now_ns = now_ns

    def _sent(self, port: int, data: bytes, observation: Observation, t: int) -> None:
        head = self._peers[port]
        if head is None:
            hop = Hop(port, head, observation, None)
            self._node_of[port].find_cause(hop, port, data, t)
            if hop.origin is _BORN:
                self._born(hop, port, t)
            return
        cable = self._cables[head]
        if cable.orphans:
            early = cable.orphan(data, t)
            if early is not None:
                early.sent, early.t_ns = observation, t
                early.healed = False
                if early.origin is _BORN:
                    self._node_of[port].find_cause(early, port, data, t)
                cable.put(early, data, t)
                return
        hop = Hop(port, head, observation, None)
        if self._causes:
            self._explain(hop, port, data, observation, t)
        else:
            self._node_of[port].find_cause(hop, port, data, t)
        if hop.origin is _BORN:
            self._born(hop, port, t)
        elif hop.counted and hop.tally is not None and hop.tally.top.left[port] > STORM_FROM:
            self._begin_storm(hop, port, data, t)
            return
        cable.put(hop, data, t)
        node = self._node_of[head]
        mine = node.switch or (data[:6] == self._macs[head] and not data[0] & 1)
        if mine and head not in self._deaf:
            node.enter(hop, head, data, t)

    def _explain(self, hop: Hop, port: int, data: bytes, seen: Observation, t: int) -> None:
        """Finds what a frame was made from, by what the switch's tables say where that is known."""
        made = self._causes.get(seen.number)
        cause = self._awaited.get(made.number) if made is not None else None
        here = self._node_of[port]
        if cause is not None and made is not None and made.plain:
            # The rules of a switch know it by its bytes, for as long as they wait for a controller.
            cause = cause if t - cause.came_ns > self.ages.switch_ns else None
        if cause is not None and here.switch and join(cause, hop, Origin.SWITCHED):
            return
        here.find_cause(hop, port, data, t)
        # A router that speaks OpenFlow follows a router's rules first, and its tables then.
        if cause is not None and hop.origin is _BORN:
            join(cause, hop, Origin.ROUTED)

    def _received(self, port: int, data: bytes, observation: Observation, t: int) -> None:
        hop = self._cables[port].take(data, t)
        if hop is not None:
            hop.received = observation
            hop.healed = False
            if self._awaited and observation.number in self._awaited:
                self._awaited[observation.number] = hop
            if hop.counted:
                count_arrival(hop, t)
            if hop.children:
                self._prove_effects(hop, t)
            if observation.reception == _HOST and data[:6] != self._macs[port]:
                # The kernel took it for its own although the wiring names another MAC address
                # (or none): the address was changed after the lab was built.
                node = self._node_of[port]
                if not node.switch:
                    node.enter(hop, port, data, t)
            return
        node = self._node_of[port]
        tail = self._peers[port]
        hop = Hop(tail, port, None, observation, healed=tail is not None)
        if tail is not None:
            self._node_of[tail].find_cause(hop, tail, data, t)
            self._cables[port].keep_orphan(hop, data)
        if hop.origin is _BORN:
            self._born(hop, tail, t)
        if port not in self._deaf and (node.switch or observation.reception == _HOST):
            node.enter(hop, port, data, t)

    def _prove_effects(self, hop: Hop, t: int) -> None:
        """What was stamped a moment before its cause arrived is no longer in doubt for that."""
        for effect in hop.children:
            if effect.doubt & _UNSEEN and effect.t_ns >= t - self.ages.slack_ns:
                effect.doubt &= ~_UNSEEN

    def _begin_storm(self, hop: Hop, port: int, data: bytes, t: int) -> None:
        """Counts the frames with these bytes, which go round, instead of following each."""
        if not self._node_of[port].switch:
            return
        self._storms[data] = Storm(hop, t)
        for node in self._nodes:
            if isinstance(node, Switch):
                node.storm(data)

    def _in_storm(
        self, storm: Storm, port: int, data: bytes, observation: Observation, t: int
    ) -> None:
        """A frame with the bytes of one that goes round: counted, unless a host has sent it anew
        or a router will pass it on."""
        if observation.reception != _OUTGOING:
            self._received_in_storm(storm, port, data, observation, t)
            return
        node, head = self._node_of[port], self._peers[port]
        early = self._cables[head].orphan(data, t) if head is not None else None
        if early is not None:
            early.sent, early.t_ns = observation, t
            early.healed = False
            alone = early.origin is _BORN and not early.children and early.tally is None
            if alone and node.switch:
                storm.adopt(early)
                storm.count_sent(port, t)
                storm.count_came(early.head, t)
        elif not node.switch and storm.news(port, t):
            self._sent_into_storm(port, data, observation, t)
        else:
            storm.count_sent(port, t)
            if head is not None:
                self._out_of_storm(storm, port, head, data, observation, t)

    def _received_in_storm(
        self, storm: Storm, port: int, data: bytes, observation: Observation, t: int
    ) -> None:
        """Counts an arrival, of a hop that is followed if there is one."""
        hop = self._cables[port].take(data, t)
        if hop is None:
            storm.count_came(port, t)
            return
        hop.received = observation
        hop.healed = False
        if hop.counted:
            count_arrival(hop, t)

    def _sent_into_storm(self, port: int, data: bytes, observation: Observation, t: int) -> None:
        """A host has sent such a frame anew."""
        head = self._peers[port]
        hop = Hop(port, head, observation, None)
        self._node_of[port].find_cause(hop, port, data, t)
        if hop.origin is _BORN:
            self._fresh.append(hop)
        hop.more = True  # the switch sends it on, beside the copies that go round
        if head is not None:
            self._cables[head].put(hop, data, t)

    def _out_of_storm(
        self, storm: Storm, port: int, head: int, data: bytes, observation: Observation, t: int
    ) -> None:
        """Follows a copy on its way to a router that may pass it on; all others are counted."""
        node = self._node_of[head]
        if isinstance(node, Router) and node.routes and data[:6] == self._macs[head]:
            hop = Hop(port, head, observation, None)
            storm.adopt(hop)
            self._cables[head].put(hop, data, t)
            node.enter(hop, head, data, t)

    def _born(self, hop: Hop, tail: int | None, t: int) -> None:
        """Keeps a hop of which no cause is known yet."""
        self._fresh.append(hop)
        if tail is not None and self._node_of[tail].extra:
            self._next_sweep = min(self._next_sweep, t + 2 * self.ages.slack_ns)

    def _sweep(self, now: int) -> None:
        """Settles what has no cause, and forgets what is too old to be linked. That once a second:
        each entry is met few times."""
        self.settle(now - 2 * self.ages.slack_ns)
        if now >= self._next_forgetting:
            self._next_forgetting = now + _SWEEP_NS
            for part in (*self._cables, *self._nodes):
                part.forget(now)
            over = now - self.ages.switch_ns
            for data in [data for data, storm in self._storms.items() if storm.last_ns < over]:
                del self._storms[data]
        waiting = [switch.extra[0][0].t_ns for switch in self._switches if switch.extra]
        later = [t + 2 * self.ages.slack_ns for t in waiting]
        self._next_sweep = min([self._next_forgetting, *later])

    def follow(self, observations: Iterable[Observation]) -> list[Journey]:
        """All journeys in a capture, in time order. The observations may come in any order."""
        with gc_paused():
            self.feed(sorted(observations, key=_time))
            return self.finish()

    # --- what is handed out ----------------------------------------------------------------------

    def ready(self) -> list[Journey]:
        """The journeys that can grow no more, in time order, each handed out once."""
        ages = self.ages
        quiet = self.now_ns - ages.node_ns - ages.link_ns
        quiet -= 2 * ages.slack_ns
        limit = self.now_ns - ages.journey_ns
        fresh = self._fresh
        settled = []
        while fresh and fresh[0].t_ns < quiet:
            settled.append(fresh.popleft())
        self._old = _roots([*self._old, *settled])
        # One that came later can have been stamped earlier.
        quiet -= 4 * ages.slack_ns
        ready: list[Journey] = []
        for root in self._old:
            if root.t_ns >= quiet:
                break
            last = last_seen(root)
            if last >= quiet and root.t_ns >= limit:
                break
            ready.append(Journey(self._given + len(ready) + 1, root, last))
        del self._old[: len(ready)]
        self._given += len(ready)
        return ready

    def finish(self) -> list[Journey]:
        """All journeys not handed out yet. Nothing may be fed afterwards."""
        self.settle()
        roots = self.growing()
        self._old.clear()
        self._fresh.clear()
        return [Journey(number, root) for number, root in enumerate(roots, self._given + 1)]

    def settle(self, until_ns: int = _NEVER_NS) -> None:
        """What was sent until then and has no cause yet is one copy more, perhaps (rule 2): for
        those who look at what still grows. All observations up to then must have been fed."""
        for switch in self._switches:
            switch.settle(until_ns)

    def growing(self, since_ns: int = 0, but: Container[int] = ()) -> list[Hop]:
        """The first hops of the journeys not handed out yet, in time order. since_ns: those that
        began before may be left out, where it costs time to look for them. but: those that are
        not asked for, by `id`."""
        hops: list[Hop] = []
        if not since_ns:
            hops = [hop for hop in (*self._old, *self._fresh) if id(hop) not in but]
        else:
            # One that came later can have been stamped earlier, and must not hide those before it.
            since_ns -= 100 * self.ages.slack_ns
            for hop in reversed(self._fresh):
                if hop.t_ns < since_ns:
                    break
                if id(hop) not in but:
                    hops.append(hop)
        return _roots(hops)


def follow(
    wiring: Wiring,
    observations: Iterable[Observation],
    *,
    ports: Sequence[int | None] | None = None,
    lossy: bool = False,
) -> list[Journey]:
    """All journeys in a capture, in time order. The observations may come in any order.

    ports: for each port of the observations that of the wiring; see `Wiring.port_map`.
    lossy: the capture is known to lack frames.
    """
    return Follower(wiring, ports=ports, lossy=lossy).follow(observations)


def _roots(hops: Iterable[Hop]) -> list[Hop]:
    """Those of the hops that found no cause since, in time order."""
    return sorted((hop for hop in hops if hop.origin is _BORN), key=_order)


def _time(observation: Observation) -> int:
    return observation.t_ns


def _order(hop: Hop) -> tuple[int, int]:
    return hop.t_ns, hop.seen.number
