# SPDX-License-Identifier: Apache-2.0
"""An IP router made of flows: longest prefix first, new MAC addresses, TTL one less.

Run it:   hoplab visit --topology web_openflow       or      ryu-manager controllers/router.py

The pipeline, three tables. They are what every router has: "is it for me to route", the routing
table, and the table of neighbours that ARP fills.

       table 0: what is it              table 1: routes             table 2: neighbours
    +-----------------------------+  +-----------------------+  +----------------------------+
    | 4  ARP           controller |  | 32                    |  | 1  (port, next hop) known  |
 -> | 3  to me, IP     controller |  |  :  to NETWORK/LENGTH |  |      new MACs, TTL - 1,    |
    | 2  TTL 0 or 1    controller |  |  :    note port and   |  |      out by the port       |
    | 1  to my MAC, IP    table 1 |->|  0    next hop     ---|->| 0  anything else           |
    | 0  anything else       drop |  +-----------------------+  |      controller            |
    +-----------------------------+                             +----------------------------+

A route's priority is the length of its prefix, so the longest that fits wins: that is all there is
to longest prefix match. "Note" means two registers of the packet's own (reg1: port, reg0: next
hop). What comes to the controller: ARP, packets for the router itself, packets whose TTL ends,
packets without a route, and the first packet to each neighbour.

Which switches are routers stands in $ROUTER_CONFIG, or router.json beside this file. All others
are left to Open vSwitch's own learning switch (NORMAL).

What lives here: one Ryu app for OpenFlow 1.3 with the Nicira registers that Open vSwitch has. It
imports Ryu alone and no other file, so that it can be copied and changed. IPv4 only; it forwards
fragments as any packet, but does not reassemble those for itself, nor does it make any.
"""

from __future__ import annotations

import ipaddress
import json
import os
import struct
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ryu.base import app_manager
from ryu.controller import ofp_event
from ryu.controller.handler import (
    CONFIG_DISPATCHER,
    DEAD_DISPATCHER,
    MAIN_DISPATCHER,
    set_ev_cls,
)
from ryu.lib import hub
from ryu.ofproto import nicira_ext, ofproto_v1_3

# A neighbour, by port and IP address (RFC 826; RFC 1122, 2.3.2):
#
#                a packet for it                    it answers (or asks us)
#    +---------+ --------------> +----------------+ ----------------------> +-------+
#    | UNKNOWN |   ask by ARP    | ASKED, packets |   send what waits       | KNOWN |--. it says
#    +---------+ <-------------- |      wait      |                         +-------+<-' a new MAC
#        ^  TRIES questions, a   +----------------+                             |
#        |  TRY_S apart, no answer: tell the senders                 KNOWN_S    |
#        '----------------------------------------------------------------------'
TRIES, TRY_S = 3, 1.0
KNOWN_S = 300
WAITING = 32  # packets that may wait for one neighbour
ERRORS, ERRORS_S = 50, 1.0  # ICMP errors of one router (RFC 1812, 4.3.2.8)
TTL = 64
QUOTE = 548  # bytes of a bad packet that an ICMP error shows (RFC 1812, 4.3.2.3: 576 in all)

TABLE_WHAT, TABLE_ROUTES, TABLE_NEIGHBOURS = 0, 1, 2
PRIORITY_ARP, PRIORITY_OWN, PRIORITY_TTL, PRIORITY_ROUTE, PRIORITY_REST = 4, 3, 2, 1, 0
BUNDLE = 1

ARP, IPV4 = 0x0806, 0x0800
ICMP, UDP = 1, 17
MORE_FRAGMENTS, OFFSET = 0x2000, 0x1FFF  # RFC 791, 3.1
ECHO_REPLY, UNREACHABLE, ECHO, TIME_EXCEEDED = 0, 3, 8, 11  # RFC 792
NET, HOST, PROTOCOL, PORT = 0, 1, 2, 3  # codes of UNREACHABLE
EVERYBODY = b"\xff" * 6

ETHERNET = struct.Struct("!6s6sH")
ARP_BODY = struct.Struct("!HHBBH6s4s6s4s")  # RFC 826
IP_HEADER = struct.Struct("!BBHHHBBH4s4s")  # RFC 791, 3.1, without options

Address = ipaddress.IPv4Address
Network = ipaddress.IPv4Network
Neighbour = tuple[int, Address]  # port, next hop


@dataclass(frozen=True)
class Route:
    """Where packets to a network go: out of a port, to a next hop or (None) straight there."""

    network: Network
    port: int
    hop: Address | None


@dataclass
class Wait:
    """A neighbour that was asked for: the packets for it, each with the port it came in by (None
    if the router made it), and when to ask again."""

    packets: list[tuple[int | None, bytes]] = field(default_factory=list)
    tries: int = 0
    again_s: float = 0.0


@dataclass
class Router:
    """One router. `own` is the address of each port, `macs` the card's, `up` the ports in use."""

    datapath: Any
    name: str
    own: dict[int, ipaddress.IPv4Interface]
    far: list[Route]
    macs: dict[int, bytes] = field(default_factory=dict)
    up: set[int] = field(default_factory=set)
    neighbour_macs: dict[Neighbour, bytes] = field(default_factory=dict)
    waiting: dict[Neighbour, Wait] = field(default_factory=dict)
    errors: int = 0
    errors_since_s: float = 0.0
    number: int = 0  # of the last packet the router made
    bundle: set[int] = field(default_factory=set)

    def routes(self) -> list[Route]:
        """All routes by ports in use, the longest prefix first."""
        near = [Route(address.network, port, None) for port, address in self.own.items()]
        usable = [route for route in near + self.far if route.port in self.up]
        return sorted(usable, key=lambda route: -route.network.prefixlen)

    def next_hop(self, to: Address) -> Neighbour | None:
        """Longest prefix match, as table 1 does it."""
        for route in self.routes():
            if to in route.network:
                return route.port, route.hop or to
        return None


class OpenFlowRouter(app_manager.RyuApp):
    """The algorithm:

    1. A switch tells its ports. Is it in the file? Then nothing of before stays and the pipeline
       with its routes comes, at one instant. Else it becomes an ordinary switch.
    2. ARP: somebody asks for an address of ours: answer. Somebody asks or answers us: now it is
       a known neighbour; a flow in table 2 sends to it, and packets that waited go.
    3. An IP packet for us: answer a ping; tell others that nobody here wants it.
    4. Its TTL ends here: say so to its sender. There is no route: say so.
    5. There is a route, but the next hop is not known: let it wait, and ask. No answer after
       TRIES questions: tell the sender that the host is unreachable.
    6. A port goes down: its routes and neighbours go. It comes up: its routes come back.
    """

    OFP_VERSIONS = (ofproto_v1_3.OFP_VERSION,)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        file = Path(os.environ.get("ROUTER_CONFIG") or Path(__file__).with_name("router.json"))
        self.config = read_config(file)
        self.routers: dict[int, Router] = {}
        self.switches: dict[int, set[int]] = {}  # no routers: the numbers of their bundles
        self.now_s = time.monotonic

    def start(self) -> None:
        """Called once by the framework."""
        super().start()
        self.threads.append(hub.spawn(self.look_for_ever))

    # ---- 1. and 6. switches and ports -----------------------------------------------------------

    @set_ev_cls(ofp_event.EventOFPPortDescStatsReply, [CONFIG_DISPATCHER, MAIN_DISPATCHER])
    def switch_tells_its_ports(self, ev: Any) -> None:
        """Step 1. (Ryu asks every switch for its ports when it connects.)"""
        datapath = ev.msg.datapath
        if datapath.id not in self.config:
            self.switches[datapath.id] = at_one_instant(datapath, ordinary(datapath))
            return
        name, own, far = self.config[datapath.id]
        router = self.routers[datapath.id] = Router(datapath, name, own, far)
        for port in ev.msg.body:
            self.port_is(router, port, deleted=False)
        self.put_in(router)
        self.logger.info("%s routes %s", name, ", ".join(str(a) for a in own.values()))

    @set_ev_cls(ofp_event.EventOFPStateChange, DEAD_DISPATCHER)
    def switch_is_gone(self, ev: Any) -> None:
        """Forgets the router, unless it has connected again meanwhile."""
        router = self.routers.get(ev.datapath.id)
        if router is not None and router.datapath is ev.datapath:
            del self.routers[ev.datapath.id]

    @set_ev_cls(ofp_event.EventOFPPortStatus, MAIN_DISPATCHER)
    def port_changes(self, ev: Any) -> None:
        """Step 6."""
        router = self.routers.get(ev.msg.datapath.id)
        if router is None:
            return
        before = set(router.up)
        deleted = ev.msg.reason == ev.msg.datapath.ofproto.OFPPR_DELETE
        self.port_is(router, ev.msg.desc, deleted)
        if router.up != before:
            router.neighbour_macs = {
                n: mac for n, mac in router.neighbour_macs.items() if n[0] in router.up
            }
            router.waiting = {n: w for n, w in router.waiting.items() if n[0] in router.up}
            self.put_in(router)

    def port_is(self, router: Router, port: Any, deleted: bool) -> None:
        """Takes down what the switch says of a port."""
        ofp = router.datapath.ofproto
        if port.port_no not in router.own:
            return
        down = port.state & ofp.OFPPS_LINK_DOWN or port.config & ofp.OFPPC_PORT_DOWN
        if deleted or down:
            router.up.discard(port.port_no)
        else:
            router.up.add(port.port_no)
            router.macs[port.port_no] = bytes.fromhex(port.hw_addr.replace(":", ""))

    def put_in(self, router: Router) -> None:
        """The whole pipeline, with what is known of neighbours."""
        messages = pipeline(router)
        for neighbour, mac in router.neighbour_macs.items():
            messages.append(to_neighbour(router, neighbour, mac))
        router.bundle = at_one_instant(router.datapath, messages)

    @set_ev_cls(ofp_event.EventOFPErrorMsg, [CONFIG_DISPATCHER, MAIN_DISPATCHER])
    def switch_refuses(self, ev: Any) -> None:
        """A switch without bundles gets the same flows one after the other."""
        msg = ev.msg
        router = self.routers.get(msg.datapath.id)
        messages = []
        if router is not None and msg.xid in router.bundle:
            router.bundle = set()
            messages = pipeline(router)
        elif msg.xid in self.switches.get(msg.datapath.id, ()):
            self.switches[msg.datapath.id] = set()
            messages = ordinary(msg.datapath)
        send(msg.datapath, messages)
        if not messages:
            sent = bytes(msg.data).hex()
            template = "switch %d refused: %s; sent: %s"
            self.logger.error(template, msg.datapath.id, refusal(msg), sent)

    # ---- 2. ARP ---------------------------------------------------------------------------------

    @set_ev_cls(ofp_event.EventOFPPacketIn, [CONFIG_DISPATCHER, MAIN_DISPATCHER])
    def packet_arrives(self, ev: Any) -> None:
        """Steps 2 to 5."""
        msg = ev.msg
        router = self.routers.get(msg.datapath.id)
        port, data = msg.match.get("in_port"), bytes(msg.data)
        if router is None or port not in router.up or len(data) < ETHERNET.size:
            return
        to, _, kind = ETHERNET.unpack_from(data)
        body = data[ETHERNET.size :]
        if kind == ARP and len(body) >= ARP_BODY.size:
            self.arp_arrives(router, port, body)
        elif kind == IPV4 and to == router.macs[port] and len(data) >= msg.total_len:
            self.ip_arrives(router, port, body)

    def arp_arrives(self, router: Router, port: int, body: bytes) -> None:
        """Step 2, for ARP about IPv4 on Ethernet."""
        *about, code, mac, address, _, target = ARP_BODY.unpack_from(body)
        sender, own = Address(address), router.own[port]
        # No card has the address of a group, or none (RFC 1812, 3.3.2), and nobody else has ours.
        if about != [1, IPV4, 6, 4] or mac[0] & 1 or not any(mac) or sender == own.ip:
            return
        for_us = Address(target) == own.ip
        if sender in own.network and (for_us or (port, sender) in router.neighbour_macs):
            self.neighbour_is(router, (port, sender), mac)
        if for_us and code == 1:
            reply = ARP_BODY.pack(1, IPV4, 6, 4, 2, router.macs[port], target, mac, address)
            self.send(router, port, frame(mac, router.macs[port], ARP, reply))

    def neighbour_is(self, router: Router, neighbour: Neighbour, mac: bytes) -> None:
        """Step 2: known now, or known anew."""
        if router.neighbour_macs.get(neighbour) != mac:
            port, ip = neighbour
            self.logger.info("%s: %s is %s at port %d", router.name, ip, mac.hex(":"), port)
        router.neighbour_macs[neighbour] = mac
        router.datapath.send_msg(to_neighbour(router, neighbour, mac))
        wait = router.waiting.pop(neighbour, None)
        for came_by, packet in wait.packets if wait else ():
            self.pass_on(router, neighbour, came_by, packet)

    @set_ev_cls(ofp_event.EventOFPFlowRemoved, MAIN_DISPATCHER)
    def neighbour_is_old(self, ev: Any) -> None:
        """KNOWN_S have passed: the next packet asks again."""
        msg = ev.msg
        router = self.routers.get(msg.datapath.id)
        port, hop = msg.match.get("reg1"), msg.match.get("reg0")
        if router is not None and msg.reason == msg.datapath.ofproto.OFPRR_HARD_TIMEOUT and hop:
            router.neighbour_macs.pop((port, Address(hop)), None)

    # ---- 3. to 5. IP ----------------------------------------------------------------------------

    def ip_arrives(self, router: Router, port: int, packet: bytes) -> None:
        """Steps 3 to 5."""
        packet = whole(packet)
        if not packet:
            return
        to, ttl = Address(packet[16:20]), packet[8]
        if any(to == address.ip for address in router.own.values()):
            self.for_us(router, port, packet)
        elif ttl <= 1:
            self.complain(router, port, packet, TIME_EXCEEDED, 0)
        else:
            hop = router.next_hop(to)
            if hop is None:
                self.complain(router, port, packet, UNREACHABLE, NET)
            else:
                self.forward(router, hop, port, packet)

    def for_us(self, router: Router, port: int, packet: bytes) -> None:
        """Step 3. The router does not reassemble: what comes in pieces has no answer."""
        start, protocol = (packet[0] & 15) * 4, packet[9]
        if int.from_bytes(packet[6:8], "big") & (MORE_FRAGMENTS | OFFSET):
            return
        if protocol == ICMP:
            if packet[start : start + 2] == bytes([ECHO, 0]):
                rest = packet[start + 4 :]
                self.make(router, packet[16:20], packet[12:16], icmp(ECHO_REPLY, 0, rest))
            return
        self.complain(router, port, packet, UNREACHABLE, PORT if protocol == UDP else PROTOCOL)

    def complain(self, router: Router, port: int, packet: bytes, kind: int, code: int) -> None:
        """An ICMP error to the sender. None about an ICMP error, about a fragment but the first,
        or to a group (RFC 1812, 4.3.2.7), and not too many."""
        start, source = (packet[0] & 15) * 4, Address(packet[12:16])
        about_error = packet[9] == ICMP and packet[start : start + 1] not in (b"\x08", b"\x00")
        if about_error or fragment(packet) or source.is_multicast or not int(source):
            return
        now_s = self.now_s()
        if now_s - router.errors_since_s >= ERRORS_S:
            router.errors, router.errors_since_s = 0, now_s
        router.errors += 1
        if router.errors <= ERRORS:
            quoted = icmp(kind, code, bytes(4) + packet[:QUOTE])
            self.make(router, router.own[port].ip.packed, packet[12:16], quoted)

    def make(self, router: Router, source: bytes, to: bytes, body: bytes) -> None:
        """Sends a packet of the router's own, an ICMP message."""
        router.number = (router.number + 1) & 0xFFFF
        length = IP_HEADER.size + len(body)
        head = IP_HEADER.pack(0x45, 0, length, router.number, 0, TTL + 1, ICMP, 0, source, to)
        hop = router.next_hop(Address(to))
        if hop is not None:
            self.forward(router, hop, None, head + body)  # takes one from the TTL, and sums

    def forward(
        self, router: Router, neighbour: Neighbour, came_by: int | None, packet: bytes
    ) -> None:
        """Step 5."""
        mac = router.neighbour_macs.get(neighbour)
        if mac is not None:
            router.datapath.send_msg(to_neighbour(router, neighbour, mac))
            self.pass_on(router, neighbour, came_by, packet)
            return
        wait = router.waiting.setdefault(neighbour, Wait())
        if len(wait.packets) < WAITING:
            wait.packets.append((came_by, packet))
        if not wait.tries:
            self.ask(router, neighbour, wait)

    def ask(self, router: Router, neighbour: Neighbour, wait: Wait) -> None:
        """One ARP question."""
        port, hop = neighbour
        wait.tries += 1
        wait.again_s = self.now_s() + TRY_S
        mac, own = router.macs[port], router.own[port].ip.packed
        body = ARP_BODY.pack(1, IPV4, 6, 4, 1, mac, own, bytes(6), hop.packed)
        self.send(router, port, frame(EVERYBODY, mac, ARP, body))

    def look_for_ever(self) -> None:
        """Step 5: who does not answer?"""
        while True:
            hub.sleep(TRY_S / 4)
            self.look()

    def look(self) -> None:
        """Asks again, or gives up."""
        now_s = self.now_s()
        for router in list(self.routers.values()):
            for neighbour, wait in list(router.waiting.items()):
                # Sending may have to wait, and the answer comes meanwhile.
                if wait.again_s > now_s or router.waiting.get(neighbour) is not wait:
                    continue
                if wait.tries < TRIES:
                    self.ask(router, neighbour, wait)
                    continue
                del router.waiting[neighbour]
                for came_by, packet in wait.packets:
                    if came_by is not None:
                        self.complain(router, came_by, packet, UNREACHABLE, HOST)

    def pass_on(
        self, router: Router, neighbour: Neighbour, came_by: int | None, packet: bytes
    ) -> None:
        """What table 2 does, for a packet that is here."""
        port = neighbour[0]
        packet = resum(packet[:8] + bytes([packet[8] - 1]) + packet[9:])
        mac = router.neighbour_macs[neighbour]
        self.send(router, port, frame(mac, router.macs[port], IPV4, packet))

    def send(self, router: Router, port: int, data: bytes) -> None:
        """Out of a port."""
        ofp, parser = router.datapath.ofproto, router.datapath.ofproto_parser
        router.datapath.send_msg(
            parser.OFPPacketOut(
                router.datapath,
                buffer_id=ofp.OFP_NO_BUFFER,
                in_port=ofp.OFPP_CONTROLLER,
                actions=[parser.OFPActionOutput(port)],
                data=data,
            )
        )


# ---- the file -----------------------------------------------------------------------------------

Config = tuple[str, dict[int, ipaddress.IPv4Interface], list[Route]]


def read_config(file: Path) -> dict[int, Config]:
    """Routers by datapath id. Raises ValueError for a next hop that no port of its router
    reaches."""
    configs = {}
    for number, entry in json.loads(file.read_text()).items():
        if number == "comment":
            continue
        own = {int(port): ipaddress.IPv4Interface(ip) for port, ip in entry["ports"].items()}
        far = []
        for network, hop in entry.get("routes", {}).items():
            ports = [port for port, address in own.items() if Address(hop) in address.network]
            if not ports:
                raise ValueError(f"{file}: {entry['name']} has no port towards {hop}")
            far.append(Route(Network(network), ports[0], Address(hop)))
        configs[int(number, 16)] = entry["name"], own, far
    return configs


# ---- OpenFlow messages --------------------------------------------------------------------------


def pipeline(router: Router) -> list[Any]:
    """The messages that make a switch this router: nothing of before stays."""
    datapath = router.datapath
    ofp, parser = datapath.ofproto, datapath.ofproto_parser
    ask = [parser.OFPActionOutput(ofp.OFPP_CONTROLLER, ofp.OFPCML_NO_BUFFER)]
    messages = [
        delete_all(datapath),
        flow(datapath, TABLE_WHAT, PRIORITY_ARP, {"eth_type": ARP}, ask),
        flow(datapath, TABLE_WHAT, PRIORITY_REST, {}, []),
        flow(datapath, TABLE_ROUTES, PRIORITY_REST, {}, ask),
        flow(datapath, TABLE_NEIGHBOURS, PRIORITY_REST, {}, ask),
    ]
    for address in router.own.values():
        own = {"eth_type": IPV4, "ipv4_dst": str(address.ip)}
        messages.append(flow(datapath, TABLE_WHAT, PRIORITY_OWN, own, ask))
    for ttl in (0, 1):
        # Open vSwitch wants to read that it is IP before it reads of a TTL, and Ryu sorts fields
        # by number; the Nicira name of the same field comes first.
        ends = {"eth_type_nxm": IPV4, "nw_ttl": ttl}
        messages.append(flow(datapath, TABLE_WHAT, PRIORITY_TTL, ends, ask))
    for port in sorted(router.up):
        mine = {"eth_type": IPV4, "in_port": port, "eth_dst": router.macs[port].hex(":")}
        messages.append(flow(datapath, TABLE_WHAT, PRIORITY_ROUTE, mine, [], TABLE_ROUTES))
    for route in router.routes():
        every_bit = nicira_ext.ofs_nbits(0, 31)
        notes = [parser.NXActionRegLoad(ofs_nbits=every_bit, dst="reg1", value=route.port)]
        if route.hop is None:  # straight there: the next hop is the destination
            notes.append(
                parser.NXActionRegMove(src_field="ipv4_dst", dst_field="reg0", n_bits=32)
            )
        else:
            notes.append(
                parser.NXActionRegLoad(ofs_nbits=every_bit, dst="reg0", value=int(route.hop))
            )
        network = (str(route.network.network_address), str(route.network.netmask))
        fits = {"eth_type": IPV4, "ipv4_dst": network} if route.network.prefixlen else {
            "eth_type": IPV4
        }  # fmt: skip
        # One more than the length, so that even a default route is above "no route".
        length = route.network.prefixlen + 1
        messages.append(flow(datapath, TABLE_ROUTES, length, fits, notes, TABLE_NEIGHBOURS))
    return messages


def to_neighbour(router: Router, neighbour: Neighbour, mac: bytes) -> Any:
    """The flow of table 2 that sends to a neighbour."""
    datapath = router.datapath
    ofp, parser = datapath.ofproto, datapath.ofproto_parser
    port, hop = neighbour
    actions = [
        parser.OFPActionSetField(eth_src=router.macs[port].hex(":")),
        parser.OFPActionSetField(eth_dst=mac.hex(":")),
        parser.OFPActionDecNwTtl(),
        # A router may send a packet back by the port it came in by, which a switch never does:
        # without "the port it came in by" Open vSwitch does not know that it is the same.
        parser.NXActionRegLoad(
            ofs_nbits=nicira_ext.ofs_nbits(0, 15), dst="in_port_nxm", value=0xFFFF
        ),
        parser.OFPActionOutput(port),
    ]
    apply = parser.OFPInstructionActions(ofp.OFPIT_APPLY_ACTIONS, actions)
    return parser.OFPFlowMod(
        datapath,
        table_id=TABLE_NEIGHBOURS,
        priority=PRIORITY_ROUTE,
        hard_timeout=KNOWN_S,
        flags=ofp.OFPFF_SEND_FLOW_REM,
        match=parser.OFPMatch(eth_type=IPV4, reg1=port, reg0=int(hop)),
        instructions=[apply],
    )


def ordinary(datapath: Any) -> list[Any]:
    """The messages that make a switch an ordinary one, by Open vSwitch's own means."""
    normal = datapath.ofproto_parser.OFPActionOutput(datapath.ofproto.OFPP_NORMAL)
    return [delete_all(datapath), flow(datapath, 0, PRIORITY_REST, {}, [normal])]


def flow(
    datapath: Any, table: int, priority: int, match: dict[str, Any], actions: list[Any],
    then: int | None = None,
) -> Any:  # fmt: skip
    """A flow; without actions and a next table it drops."""
    ofp, parser = datapath.ofproto, datapath.ofproto_parser
    instructions = []
    if actions:
        instructions.append(parser.OFPInstructionActions(ofp.OFPIT_APPLY_ACTIONS, actions))
    if then is not None:
        instructions.append(parser.OFPInstructionGotoTable(then))
    return parser.OFPFlowMod(
        datapath, table_id=table, priority=priority, match=parser.OFPMatch(**match),
        instructions=instructions,
    )  # fmt: skip


def delete_all(datapath: Any) -> Any:
    """Takes every flow away."""
    ofp, parser = datapath.ofproto, datapath.ofproto_parser
    return parser.OFPFlowMod(
        datapath, table_id=ofp.OFPTT_ALL, command=ofp.OFPFC_DELETE, out_port=ofp.OFPP_ANY,
        out_group=ofp.OFPG_ANY,
    )  # fmt: skip


def at_one_instant(datapath: Any, messages: list[Any]) -> set[int]:
    """Sends them as one atomic bundle (ONF extension 230); gives the numbers of what was sent."""
    ofp, parser = datapath.ofproto, datapath.ofproto_parser
    flags = ofp.ONF_BF_ATOMIC | ofp.ONF_BF_ORDERED
    bundle = [
        parser.ONFBundleCtrlMsg(datapath, BUNDLE, ofp.ONF_BCT_OPEN_REQUEST, flags, []),
        *(parser.ONFBundleAddMsg(datapath, BUNDLE, flags, message, []) for message in messages),
        parser.ONFBundleCtrlMsg(datapath, BUNDLE, ofp.ONF_BCT_COMMIT_REQUEST, flags, []),
    ]
    send(datapath, bundle)
    return {message.xid for message in bundle}


def send(datapath: Any, messages: list[Any]) -> None:
    """Sends them as one piece. One by one Ryu would queue sixteen and then let others go on, who
    would send theirs between these."""
    for message in messages:
        datapath.set_xid(message)
        message.serialize()
    datapath.send(b"".join(message.buf for message in messages))


def refusal(msg: Any) -> str:
    """What an error says. Those about bundles are experimenter errors, which have no code
    (OpenFlow 1.3.5, 7.4.4)."""
    ofp = msg.datapath.ofproto
    if msg.code is None:
        return f"experimenter {msg.experimenter:#x}, error {msg.exp_type}"
    code = ofp.ofp_error_code_to_str(msg.type, msg.code)
    return f"{ofp.ofp_error_type_to_str(msg.type)}, {code}"


# ---- packets ------------------------------------------------------------------------------------


def frame(to: bytes, source: bytes, kind: int, body: bytes) -> bytes:
    """An Ethernet frame."""
    return ETHERNET.pack(to, source, kind) + body


def whole(packet: bytes) -> bytes:
    """An IPv4 packet without padding; nothing if it is cut or none (RFC 1812, 5.2.2)."""
    if len(packet) < IP_HEADER.size or packet[0] >> 4 != 4:
        return b""
    start, length = (packet[0] & 15) * 4, int.from_bytes(packet[2:4], "big")
    sound = IP_HEADER.size <= start <= length <= len(packet) and checksum(packet[:start]) == 0
    return packet[:length] if sound else b""


def fragment(packet: bytes) -> bool:
    """A piece of a packet, and not the first one."""
    return bool(int.from_bytes(packet[6:8], "big") & OFFSET)


def resum(packet: bytes) -> bytes:
    """With the header's checksum set right."""
    start = (packet[0] & 15) * 4
    value = checksum(packet[:10] + b"\0\0" + packet[12:start])
    return packet[:10] + value.to_bytes(2, "big") + packet[12:]


def icmp(kind: int, code: int, rest: bytes) -> bytes:
    """An ICMP message with its checksum."""
    sum_of = checksum(bytes([kind, code, 0, 0]) + rest)
    return bytes([kind, code]) + sum_of.to_bytes(2, "big") + rest


def checksum(data: bytes) -> int:
    """RFC 1071."""
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
