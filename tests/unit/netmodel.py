# SPDX-License-Identifier: Apache-2.0
"""Networks that never were, with traffic whose truth is known: the judge of `hoplab.follow.follow`.

What lives here: a simulation of cables, switches, hubs and routers that writes down, for
every observation, the hop it belongs to, and for every hop the hop that caused it. What must not:
anything imported from the follower, or its notion of a key: the truth comes from the simulation.

Rules:
1. A cable delivers in order. A node treats frames in order; a frame can wait in a switch (for its
   controller) or in a router (for ARP).
2. `loss` loses frames on cables: the OUT is seen, nothing after it. `drop` loses observations
   alone: the frame goes on. `skew_ns` shifts the clock of a port, `jitter_ns` each time stamp.
   `reorder_ns` shifts the place of an observation in the list and not its time. Repeats of a frame
   are duplicates on the wire, byte for byte.
3. Randomness comes from one `random.Random`, so a seed is the whole case.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from hoplab.capture.observation import Observation, Reception
from hoplab.follow.model import Doubt, Journey
from hoplab.follow.wiring import Interface, Node, Wiring
from tests.unit import frames
from tests.unit.frames import checksum, eth, ip, tcp, udp
from tests.unit.toynet import Toy

__all__ = ["checksum", "eth", "ip", "tcp", "udp"]  # for those who take all frames from here

US = 1_000
MS = 1_000_000
S = 1_000_000_000
START = 1_700_000_000 * S
BROADCAST = b"\xff" * 6


@dataclass
class Truth:
    """By observation number its hop, by hop the hop that caused it (None: born) and how."""

    hop_of: dict[int, int] = field(default_factory=dict)
    parent: dict[int, int | None] = field(default_factory=dict)
    origin: dict[int, str] = field(default_factory=dict)


@dataclass
class Case:
    """What a follower gets and what it should find."""

    wiring: Wiring
    observations: list[Observation]
    truth: Truth


def mac(number: int) -> bytes:
    """A locally administered address."""
    return b"\x02\x00" + number.to_bytes(4, "big")


def ipv4(
    src: bytes,
    dst: bytes,
    payload: bytes,
    *,
    proto: int = 17,
    ttl: int = 64,
    ident: int = 0,
    frag: int = 0,
    tos: int = 0,
) -> bytes:
    """An IPv4 packet that may be fragmented."""
    return frames.ipv4(src, dst, proto, payload, ttl, ident, frag=frag, tos=tos)


def arp(op: int, smac: bytes, sip: bytes, tmac: bytes, tip: bytes, dst: bytes) -> bytes:
    """An ARP frame."""
    return eth(dst, smac, 0x0806, frames.arp(op, smac, sip, tmac, tip))


@dataclass
class Port:
    """A port under construction."""

    name: str
    node: str
    mac: bytes
    address: str = ""
    peer: str | None = None


class Net(Toy[str]):
    """A network that can be built, run, and turned into a `Case`."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__(0)
        self.rng = rng
        self.kinds: dict[str, str] = {}
        self.ports: dict[str, Port] = {}
        self.hub: dict[str, bool] = {}
        self.gateway: dict[str, bytes] = {}  # by host: MAC of its gateway
        self.nat: dict[str, str] = {}  # by router: the outer port's name
        self.mtu: dict[str, int] = {}  # by port
        self.routes: dict[str, Callable[[bytes], tuple[str, bytes] | None]] = {}
        self.delay: dict[str, int] = {}
        self.busy: dict[str, int] = {}  # by sender port: when the cable's last frame arrives
        self.node_busy: dict[str, int] = {}
        self.wait = 0  # longest wait of a frame in a node, and how likely
        self.wait_chance = 0.0
        self.loss = 0.0
        # By switch: a port that gets one copy more of all that it sends on, its own way in or not.
        self.mirror: dict[str, str] = {}
        self.translations: dict[tuple[str, int], tuple[bytes, int]] = {}
        self._hops = 0
        self.seen: list[tuple[int, int, str, Reception, bytes]] = []  # t, hop, port, how, frame
        self.truth = Truth()

    # building

    def node(self, name: str, kind: str, hub: bool = False) -> str:
        """Adds a node."""
        self.kinds[name] = kind
        self.hub[name] = hub
        return name

    def join(self, a: str, b: str) -> tuple[Port, Port]:
        """Adds a cable between two nodes."""
        ends = []
        for node in (a, b):
            index = sum(p.node == node for p in self.ports.values())
            port = Port(f"{node}-eth{index}", node, mac(len(self.ports) + 1))
            self.ports[port.name] = port
            ends.append(port)
        ends[0].peer, ends[1].peer = ends[1].name, ends[0].name
        delay = self.rng.randrange(1 * US, 60 * US)
        for port in ends:
            self.delay[port.name] = delay
        return ends[0], ends[1]

    def wiring(self) -> Wiring:
        """What the engine would write."""
        return Wiring(
            [Node(name, kind) for name, kind in self.kinds.items()],
            [
                Interface(p.name, p.node, p.mac.hex(":"), (p.address,) if p.address else (), p.peer)
                for p in self.ports.values()
            ],
            name="model",
        )

    # running

    def bear(self, t: int, port: str, frame: bytes) -> None:
        """Plans that a frame is born."""
        self.plan(t, lambda: self.send(port, frame, None))

    def send(self, port: str, frame: bytes, parent: int | None, origin: str = "born") -> None:
        """Puts a frame on the cable now."""
        self._hops += 1
        hop = self._hops
        self.truth.parent[hop] = parent
        self.truth.origin[hop] = origin
        self.seen.append((self.now_ns, hop, port, Reception.OUTGOING, frame))
        peer = self.ports[port].peer
        if peer is None or self.rng.random() < self.loss:
            return
        there = max(self.now_ns + self.delay[port], self.busy.get(port, 0) + 1)
        self.busy[port] = there
        self.plan(there, lambda: self._arrive(peer, frame, hop))

    def _arrive(self, name: str, frame: bytes, hop: int) -> None:
        port = self.ports[name]
        how = self.reception(frame, port.mac)
        self.seen.append((self.now_ns, hop, name, how, frame))
        ready = self.now_ns + self.rng.randrange(1 * US, 30 * US)
        if self.rng.random() < self.wait_chance:
            ready += self.rng.randrange(self.wait)
        if self.kinds[port.node] == "switch":
            ready = max(ready, self.node_busy.get(port.node, 0) + 1)
            self.node_busy[port.node] = ready
            self.plan(ready, lambda: self._switch(port, frame, hop))
        elif how == Reception.HOST and frame[12:14] == b"\x08\0" and port.node in self.routes:
            ready = max(ready, self.node_busy.get(port.node, 0) + 1)
            self.node_busy[port.node] = ready
            self.plan(ready, lambda: self._route(port, frame, hop))

    def _switch(self, port: Port, frame: bytes, hop: int) -> None:
        node = port.node
        ports = [value.name for value in self.ports.values() if value.node == node]
        for copy in self.copies(node, port.name, frame, ports, hub=self.hub[node]):
            self.send(copy, frame, hop, "switched")
        if node in self.mirror:
            self.send(self.mirror[node], frame, hop, "switched")

    def _route(self, port: Port, frame: bytes, hop: int) -> None:
        node = port.node
        packet = frame[14:]
        src, dst = packet[12:16], packet[16:20]
        sport, dport = packet[20:22], packet[22:24]
        outer = self.nat.get(node)
        origin = "routed"
        if outer == port.name and dst == ip(self.ports[outer].address.partition("/")[0]):
            back = self.translations.get((node, int.from_bytes(dport, "big")))
            if back is None:
                return
            dst, dport = back[0], back[1].to_bytes(2, "big")
            origin = "translated"
        chosen = self.routes[node](dst)
        ttl = packet[8] - 1
        if chosen is None or ttl == 0:
            return
        out, next_mac = chosen
        if outer == out and origin == "routed":
            public = 20000 + len(self.translations)
            self.translations[(node, public)] = (src, int.from_bytes(sport, "big"))
            src = ip(self.ports[out].address.partition("/")[0])
            sport = public.to_bytes(2, "big")
            origin = "translated"
        payload = sport + dport + packet[24:] if origin == "translated" else packet[20:]
        ident, frag = int.from_bytes(packet[4:6], "big"), int.from_bytes(packet[6:8], "big")
        room = (self.mtu.get(out, 1500) - 20) & ~7
        pieces = [(0, payload)]
        if len(payload) > room and not frag & 0x4000:
            pieces = [(i, payload[i : i + room]) for i in range(0, len(payload), room)]
        for offset, piece in pieces:
            last = offset + len(piece) == len(payload)
            field_ = (frag & 0xE000) | ((frag & 0x1FFF) + offset // 8) | (0 if last else 0x2000)
            new = ipv4(src, dst, piece, proto=packet[9], ttl=ttl, ident=ident, frag=field_)
            self.send(out, eth(next_mac, self.ports[out].mac, 0x0800, new), hop, origin)

    # handing over

    def case(
        self, drop: float = 0.0, jitter_ns: int = 0, reorder_ns: int = 0, skew_ns: int = 0
    ) -> Case:
        """The observations with the given faults, and the truth by observation number."""
        rng = self.rng
        skews = {name: rng.randrange(-skew_ns, skew_ns + 1) for name in self.ports if skew_ns}
        wiring = self.wiring()
        index = {interface.name: i for i, interface in enumerate(wiring.interfaces)}
        kept = []
        for place, (t, hop, port, how, frame) in enumerate(self.seen):
            if rng.random() < drop:
                continue
            t += skews.get(port, 0)
            t += START + (rng.randrange(-jitter_ns, jitter_ns + 1) if jitter_ns else 0)
            pad = len(frame) < 60 and rng.random() < 0.3  # some cards pad, some ends see it
            shown = frame + bytes(60 - len(frame)) if pad else frame
            order = t + (rng.randrange(reorder_ns + 1) if reorder_ns else 0)
            kept.append((order, place, t, hop, index[port], how, shown))
        kept.sort(key=lambda item: item[:2])
        observations = []
        for number, (_order, _place, t, hop, port_index, how, frame) in enumerate(kept, 1):
            observations.append(Observation(number, t, port_index, how, frame, len(frame)))
            self.truth.hop_of[number] = hop
        return Case(wiring, observations, self.truth)


def random_net(rng: random.Random, *, nat: bool = False, small_mtu: bool = False) -> Net:
    """Subnets in a row, joined by routers; each subnet a tree of switches or hubs, or one cable."""
    net = Net(rng)
    subnets = rng.randrange(1, 5)
    members: list[list[Port]] = []  # by subnet: ports with an IP address
    for s in range(subnets):
        here = [f"r{i}" for i in (s, s + 1) if 1 <= i < subnets]
        hosts = [f"h{s}x{i}" for i in range(rng.randrange(1, 4))]
        for host in hosts:
            net.node(host, "host")
        for router in here:
            if router not in net.kinds:
                net.node(router, rng.choice(("router", "host")))
        everyone = here + hosts
        ports: list[Port] = []
        if len(everyone) == 2 and rng.random() < 0.5:
            ports = list(net.join(*everyone))
        else:
            switches: list[str] = []
            for i in range(rng.randrange(1, 4)):
                switch = net.node(f"s{s}x{i}", "switch", hub=rng.random() < 0.5)
                if switches:
                    net.join(rng.choice(switches), switch)
                switches.append(switch)
            ports = [net.join(node_name, rng.choice(switches))[0] for node_name in everyone]
        for i, port in enumerate(ports):
            port.address = f"10.{s}.0.{i + 1}/24"
        members.append(ports)
    by_address = {
        ip(port.address[:-3]): (s, port) for s, ports in enumerate(members) for port in ports
    }

    def router_port(router: str, s: int) -> Port:
        return next(port for port in members[s] if port.node == router)

    for r in range(1, subnets):

        def route(dst: bytes, r: int = r) -> tuple[str, bytes] | None:
            by_dst = by_address.get(dst)
            if by_dst is None:
                return None
            s, target = by_dst
            if target.node == f"r{r}":
                return None
            side = r - 1 if s < r else r
            out = router_port(f"r{r}", side)
            if s == side:
                return out.name, target.mac
            return out.name, router_port(f"r{r - 1}" if s < r else f"r{r + 1}", side).mac

        net.routes[f"r{r}"] = route
    if nat and subnets > 1:
        net.nat["r1"] = router_port("r1", 1).name
    if small_mtu and subnets > 1:
        net.mtu[router_port("r1", 1).name] = rng.randrange(68, 400)
    net.members = members  # type: ignore[attr-defined]
    return net


def random_traffic(
    net: Net, count: int, *, spread_ns: int, repeat_gap_ns: int, repeats: float = 0.3
) -> None:
    """Plans ARP requests with retries, UDP and TCP between any hosts. A frame is repeated byte for
    byte with the chance `repeats`, `repeat_gap_ns` apart."""
    rng = net.rng
    members: list[list[Port]] = net.members  # type: ignore[attr-defined]
    hosts = [(s, p) for s, ports in enumerate(members) for p in ports if p.node[0] == "h"]
    idents: dict[str, int] = {}
    for number in range(count):
        s, src = rng.choice(hosts)
        t, dst = rng.choice(hosts)
        start = rng.randrange(spread_ns)
        sip = ip(src.address[:-3])
        dip = ip(dst.address[:-3])
        times = 1 + (rng.randrange(1, 4) if rng.random() < repeats else 0)
        if rng.random() < 0.25 or dst is src:
            # Retries a second apart, and each question once per host: otherwise two series of
            # identical frames could meet.
            tip = bytes((10, s)) + (number + 300).to_bytes(2, "big")
            frame = arp(1, src.mac, sip, bytes(6), tip, BROADCAST)
            gap = S
        else:
            idents[src.node] = ident = idents.get(src.node, rng.randrange(60000)) + 1
            ident = rng.choice((ident & 0xFFFF, 0))
            body = number.to_bytes(4, "big") + rng.randbytes(rng.choice((0, 8, 100, 700)))
            if rng.random() < 0.5:
                upper, proto = udp(rng.randrange(1024, 2000), 53, body), 17
            else:
                flags = rng.choice((0x10, 0x18))
                upper = tcp(rng.randrange(1024, 2000), 80, number, 7, flags, body, number)
                proto = 6
            frag = 0x4000 if ident == 0 or rng.random() < 0.5 else 0
            packet = ipv4(sip, dip, upper, proto=proto, ident=ident, frag=frag)
            if s == t:
                next_mac = dst.mac
            else:
                router = f"r{s + 1}" if t > s else f"r{s}"
                next_mac = next(p.mac for p in members[s] if p.node == router)
            frame = eth(next_mac, src.mac, 0x0800, packet)
            gap = repeat_gap_ns
        for i in range(times):
            net.bear(start + i * gap, src.name, frame)


def judge(
    case: Case,
    journeys: list[Journey],
    complete: bool,
    counted: int = 0,
    strict: bool = True,
) -> dict[str, int]:
    """Asserts that nothing said for certain about a hop is wrong; with `complete`, that all of it
    is said. `counted` observations are those of a storm that no hop tells.

    Returns how many causes there were and how many were found, how many hops are in doubt, how many
    of those are wrong indeed, and, unless `strict`, how many are wrong and not in doubt.
    """
    truth = case.truth
    paired = linked = caused = doubtful = wrong = false = 0
    seen: set[int] = set()
    for journey in journeys:
        for hop in journey.hops():
            numbers = [o.number for o in (hop.sent, hop.received) if o is not None]
            hops = {truth.hop_of[n] for n in numbers}
            ends = len(hops) == 1
            if strict:
                assert ends or hop.doubt & Doubt.ENDS, f"an OUT and an IN of two hops: {numbers}"
            assert not seen.intersection(numbers), f"told twice: {numbers}"
            seen.update(numbers)
            hop_id = truth.hop_of[numbers[0]]
            wired = hop.head is not None and hop.tail is not None
            paired += len(numbers) == 2
            cause = True
            if hop.parent is not None:
                above = [o.number for o in (hop.parent.sent, hop.parent.received) if o is not None]
                # Of a hop whose two ends are not one frame the effects are those of either.
                possible = {truth.hop_of[number] for number in above}
                cause = bool({truth.parent[passed] for passed in hops} & possible)
                if strict:
                    assert cause or hop.doubt, f"{numbers} is said to come from {above}"
                    assert not cause or hop.origin.value == truth.origin[hop_id]
                linked += 1
            doubtful += hop.doubt != 0
            wrong += not (ends and cause) and hop.doubt != 0
            false += not (ends and cause) and hop.doubt == 0
            caused += truth.parent[hop_id] is not None
            if complete:
                assert (hop.parent is None) == (truth.parent[hop_id] is None), (
                    f"{numbers} has no parent"
                )
                assert not wired or hop.sent is not None, f"{numbers} has no OUT"
    assert len(seen) + counted == len(case.observations), "an observation is missing"
    if complete:
        total = len({truth.hop_of[o.number] for o in case.observations})
        assert sum(1 for j in journeys for _ in j.hops()) == total
    return {
        "both_ends": paired,
        "linked": linked,
        "caused": caused,
        "doubtful": doubtful,
        "wrong": wrong,
        "false": false,
        "hops": sum(1 for journey in journeys for _ in journey.hops()),
    }
