# SPDX-License-Identifier: Apache-2.0
"""Switches in a loop: the controller finds the links and closes those that would make a circle.

Run it:   hoplab up loop --controller spanning_tree   or   ryu-manager controllers/spanning_tree.py

In a loop every broadcast goes round for ever, both ways, and where there are more loops its copies
multiply: a storm. So the links that carry frames must form a tree. IEEE 802.1D lets the switches
find one by talking to each other; here the controller, which sees all of them, does: it probes,
draws the map, and computes.

The pipeline, two tables:

                 table 0: may it come in?                      table 1: where it goes
              +----------------------------------+          +-------------------------------+
              | 4  a probe (LLDP)    controller  |          | 1  to a learned MAC  its port |
    frame in  | 3  to 01:80:c2:00:00:0x    drop  |          | 0  anything else   every open |
    --------> | 2  from a group address    drop  |          |                    port, one  |
              | 1  by an open port:  learn(      |          |                    by one     |
              |    source, port), table 1  ----- | -------> |                               |
              | 0  anything else           drop  |          +-------------------------------+
              +----------------------------------+          v
                                                     never back by the port it came in by

Learning is done by the switch, as in datapath_learning.py. "Flood" is not used at all: table 1
names the open ports, so that a closed one never sends.

What lives here: one Ryu app for OpenFlow 1.3 with the Nicira extensions that Open vSwitch has. It
imports Ryu alone and no other file, so that it can be copied and changed. It does not see what
stands between two ports of ours: switches of others in a loop need their own 802.1D.
"""

from __future__ import annotations

import struct
import time
from dataclasses import dataclass, field
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
from ryu.ofproto import ofproto_v1_3

# A port:
#                      LISTEN_S pass, and it has no link or one in the tree
#    +------+  up   +-----------+ --------------------------------> +------+
#    | DOWN | ----> | LISTENING |                                   | OPEN |
#    +------+       +-----------+ --------.                         +------+
#       ^                                 | its link is not          |    ^ its link is in
#       |  down (from every state)        v in the tree              v    | the tree (again)
#       '--------------------------  +--------+ <--------------------'    |
#                                    | CLOSED | --------------------------'
#                                    +--------+
# LISTENING and CLOSED are the same for frames: none in, none out, but for probes.
NEEDS_EVERY_SWITCH = True  # for hoplab: not to be divided among several processes
PROBE_S = 0.2  # a probe out of every port, this often
LISTEN_S = 3 * PROBE_S  # a port's link must have been seen by then, if it has one
# A link unseen for so long is gone. Generous: whoever takes a busy link for a dead one opens a
# loop, and a link that really fails mostly takes its port down, which is noticed at once.
LINK_S = 5.0
SETTLE_S = 0.05  # between closing and opening, for switches to do it and frames to pass
AGE_S = 300  # of a learned address; IEEE 802.1Q-2018, table 8-6

TABLE_IN = 0
TABLE_DESTINATION = 1
PRIORITY_PROBE = 4
PRIORITY_RESERVED = 3
PRIORITY_GROUP_SOURCE = 2
PRIORITY_OPEN = 1
PRIORITY_LEARNED = 1  # in table 1
PRIORITY_ANY = 0
COOKIE_LEARNED = 1

# IEEE 802.1D-2004, 7.12.6: 01-80-C2-00-00-00 to -0F are for the bridge itself, and stay there.
RESERVED = ("01:80:c2:00:00:00", "ff:ff:ff:ff:ff:f0")
GROUP = ("01:00:00:00:00:00", "01:00:00:00:00:00")  # IEEE 802.3, 3.2.3
# A probe is LLDP (IEEE 802.1AB-2016, 8.5): chassis and port "locally assigned" (7), time to live.
LLDP_TO = bytes.fromhex("0180c200000e")
LLDP_TYPE = 0x88CC
PROBE = struct.Struct("!6s6sH HBQ HBI HH H")
CHASSIS, PORT, TTL = (1 << 9) + 9, (2 << 9) + 5, (3 << 9) + 2  # type in 7 bits, length in 9
LOCALLY = 7
BUNDLE = 1

End = tuple[int, int]  # a switch's number and a port's


@dataclass
class Switch:
    """A switch: its ports that are up, since when, and what its flows say is open."""

    datapath: Any
    up_since_s: dict[int, float] = field(default_factory=dict)
    macs: dict[int, bytes] = field(default_factory=dict)
    open: frozenset[int] = frozenset()
    connected: bool = True
    bundles: dict[int, list[Any]] = field(default_factory=dict)  # number sent -> what was in it


class SpanningTree(app_manager.RyuApp):
    """The algorithm:

    1. A switch connects: nothing of before stays, all its ports are closed.
    2. Every PROBE_S a probe goes out of every port, with the switch and the port in it. One that
       comes in at another switch shows a link. A link unseen for LINK_S, or with a port down, is
       gone. (But links of a switch that lost its controller stay: it goes on forwarding.)
    3. After every change: the tree. From the switch with the lowest number go along the links,
       nearest switches first; a link that reaches a switch not reached before is in the tree.
    4. A port is open if it has listened for LISTEN_S and its link, if any, is in the tree.
       Ports close first and open only when none is left to close, so that no circle stands even
       for a moment.
    5. When the tree changes, addresses are elsewhere now: forget them all, and again when all
       switches have made the change.
    """

    OFP_VERSIONS = (ofproto_v1_3.OFP_VERSION,)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.switches: dict[int, Switch] = {}
        self.links: dict[frozenset[End], float] = {}  # the two ends -> when seen last
        self.tree: frozenset[frozenset[End]] = frozenset()
        self.settling = False  # the update before this one changed the tree or closed ports
        self.updating = self.again = False  # an update is under way; another one is wanted
        self.now_s = time.monotonic

    def start(self) -> None:
        """Called once by the framework."""
        super().start()
        self.threads.append(hub.spawn(self.probe_for_ever))

    # ---- 1. connect, ports ----------------------------------------------------------------------

    @set_ev_cls(ofp_event.EventOFPSwitchFeatures, CONFIG_DISPATCHER)
    def switch_connects(self, ev: Any) -> None:
        """Step 1."""
        datapath = ev.msg.datapath
        switch = self.switches[ev.msg.datapath_id] = Switch(datapath)
        send_at_once(switch, pipeline(datapath))

    @set_ev_cls(ofp_event.EventOFPStateChange, DEAD_DISPATCHER)
    def switch_is_gone(self, ev: Any) -> None:
        """It forwards as it was told last, so it keeps its place on the map."""
        switch = self.switches.get(ev.datapath.id)
        if switch is not None and switch.datapath is ev.datapath:
            switch.connected = False

    @set_ev_cls(ofp_event.EventOFPErrorMsg, [CONFIG_DISPATCHER, MAIN_DISPATCHER])
    def switch_refuses(self, ev: Any) -> None:
        """A switch without bundles gets the same messages one after the other."""
        msg = ev.msg
        switch = self.switches.get(msg.datapath.id)
        if switch is not None and msg.xid in switch.bundles:
            messages = switch.bundles[msg.xid]
            switch.bundles = {}
            for message in messages:
                message.xid = None
            send(msg.datapath, messages)
            return
        sent = bytes(msg.data).hex()
        template = "switch %d refused: %s; sent: %s"
        self.logger.error(template, msg.datapath.id, refusal(msg), sent)

    @set_ev_cls(ofp_event.EventOFPPortDescStatsReply, [CONFIG_DISPATCHER, MAIN_DISPATCHER])
    def ports_are_listed(self, ev: Any) -> None:
        """Ryu asks every switch for its ports when it connects."""
        for port in ev.msg.body:
            self.port_is(ev.msg.datapath, port, deleted=False)
        self.update()
        self.probe()

    @set_ev_cls(ofp_event.EventOFPPortStatus, [CONFIG_DISPATCHER, MAIN_DISPATCHER])
    def port_changes(self, ev: Any) -> None:
        """A failed link is noticed here, before a probe is missed."""
        ofp = ev.msg.datapath.ofproto
        self.port_is(ev.msg.datapath, ev.msg.desc, deleted=ev.msg.reason == ofp.OFPPR_DELETE)
        self.update()
        self.probe()

    def port_is(self, datapath: Any, port: Any, deleted: bool) -> None:
        """Takes down what a switch says of a port."""
        ofp = datapath.ofproto
        switch = self.switches.get(datapath.id)
        if switch is None or port.port_no > ofp.OFPP_MAX:
            return
        if deleted or port.state & ofp.OFPPS_LINK_DOWN or port.config & ofp.OFPPC_PORT_DOWN:
            switch.up_since_s.pop(port.port_no, None)
            end = (datapath.id, port.port_no)
            self.links = {link: seen for link, seen in self.links.items() if end not in link}
        else:
            switch.up_since_s.setdefault(port.port_no, self.now_s())
            switch.macs[port.port_no] = mac_of(port.hw_addr)

    # ---- 2. probes ------------------------------------------------------------------------------

    def probe_for_ever(self) -> None:
        """Step 2."""
        while True:
            self.probe()
            hub.sleep(PROBE_S)
            self.update()

    def probe(self) -> None:
        """One probe out of every port."""
        for number, switch in list(self.switches.items()):  # as sending lets others go on
            if not switch.connected:
                continue
            parser, ofp = switch.datapath.ofproto_parser, switch.datapath.ofproto
            for port in list(switch.up_since_s):
                switch.datapath.send_msg(
                    parser.OFPPacketOut(
                        switch.datapath,
                        buffer_id=ofp.OFP_NO_BUFFER,
                        in_port=ofp.OFPP_CONTROLLER,
                        actions=[parser.OFPActionOutput(port)],
                        data=probe(switch.macs[port], number, port),
                    )
                )

    @set_ev_cls(ofp_event.EventOFPPacketIn, [CONFIG_DISPATCHER, MAIN_DISPATCHER])
    def probe_arrives(self, ev: Any) -> None:
        """Step 2: a link is seen."""
        msg = ev.msg
        sender = read_probe(bytes(msg.data))
        in_port = msg.match.get("in_port")
        if sender is None or in_port is None or sender[0] not in self.switches:
            return
        link = frozenset((sender, (msg.datapath.id, in_port)))
        new = link not in self.links
        self.links[link] = self.now_s()
        if new:
            self.update()

    # ---- 3. to 5. the tree, and what follows ----------------------------------------------------

    def update(self) -> None:
        """Steps 3 to 5. Sending may have to wait, and others go on meanwhile: who comes here then
        leaves it to the one before, who does it once more."""
        self.again = True
        if self.updating:
            return
        self.updating = True
        try:
            while self.again:
                self.again = False
                self.update_once()
        finally:
            self.updating = False

    def update_once(self) -> None:
        """Steps 3 to 5, as things are now."""
        now_s = self.now_s()
        for link, seen_s in list(self.links.items()):
            if all(self.switches[n].connected for n, _ in link) and now_s - seen_s > LINK_S:
                del self.links[link]
        ready = {
            (number, port)
            for number, switch in self.switches.items()
            for port, since_s in switch.up_since_s.items()
            if now_s - since_s >= LISTEN_S
        }
        # A link that still listens carries nothing, so it must not replace one that does.
        tree = spanning_tree(list(self.switches), [link for link in self.links if link <= ready])
        off = {end for link in self.links if link not in tree for end in link}
        to_be_open = {
            number: frozenset(port for port in switch.up_since_s if (number, port) in ready - off)
            for number, switch in self.switches.items()
        }
        closing = any(switch.open - to_be_open[n] for n, switch in self.switches.items())
        moved = tree != self.tree
        # A frame still under way by the old tree teaches what is no longer so: forget once more.
        forget = moved or self.settling
        self.tree, self.settling = tree, moved or closing
        if moved:
            for link in set(self.links) - tree:
                self.logger.info("out of the tree: %s", " - ".join(map(end_text, sorted(link))))
        for number, switch in list(self.switches.items()):
            now_open = switch.open & to_be_open[number] if closing else to_be_open[number]
            if not switch.connected or (now_open == switch.open and not forget):
                continue
            opened, closed = now_open - switch.open, switch.open - now_open
            switch.open = now_open
            if opened or closed:
                template = "open ports of switch %d: %s"
                self.logger.info(template, number, ", ".join(map(str, sorted(now_open))) or "none")
            send_at_once(switch, change(switch.datapath, opened, closed, now_open, forget))
        if self.settling:
            hub.spawn_after(SETTLE_S, self.update)  # then what is to open


def spanning_tree(switches: list[int], links: list[frozenset[End]]) -> frozenset[frozenset[End]]:
    """Step 3: the links of the tree (of each tree, where the network is in pieces)."""
    reached: set[int] = set()
    tree: set[frozenset[End]] = set()
    for root in sorted(switches):
        if root in reached:
            continue
        reached.add(root)
        nearest = [root]
        while nearest:
            near = nearest.pop(0)
            for link in sorted(links, key=sorted):
                ends = [number for number, _ in link]
                if near not in ends or len(link) < 2:
                    continue
                far = ends[1] if ends[0] == near else ends[0]
                if far not in reached:
                    reached.add(far)
                    tree.add(link)
                    nearest.append(far)
    return frozenset(tree)


# ---- probes as bytes ----------------------------------------------------------------------------


def probe(mac: bytes, number: int, port: int) -> bytes:
    """An LLDP frame that says from which switch and port it comes."""
    fields = (CHASSIS, LOCALLY, number, PORT, LOCALLY, port, TTL, int(LINK_S) + 1, 0)
    return PROBE.pack(LLDP_TO, mac, LLDP_TYPE, *fields)


def read_probe(data: bytes) -> End | None:
    """What a probe of ours says; None for any other frame."""
    if len(data) < PROBE.size:
        return None
    to, _, kind, *tlvs = PROBE.unpack_from(data)
    chassis, chassis_subtype, number, port_tlv, port_subtype, port, *_ = tlvs
    constants = (to, kind, chassis, chassis_subtype, port_tlv, port_subtype)
    if constants != (LLDP_TO, LLDP_TYPE, CHASSIS, LOCALLY, PORT, LOCALLY):
        return None
    return number, port


# ---- OpenFlow messages --------------------------------------------------------------------------


def pipeline(datapath: Any) -> list[Any]:
    """The messages that make any switch one with all ports closed and nothing learned."""
    ofp, parser = datapath.ofproto, datapath.ofproto_parser
    ask = parser.OFPActionOutput(ofp.OFPP_CONTROLLER, ofp.OFPCML_NO_BUFFER)
    probes = {"eth_dst": LLDP_TO.hex(":"), "eth_type": LLDP_TYPE}
    return [
        delete(datapath, ofp.OFPTT_ALL),
        flow(datapath, TABLE_IN, PRIORITY_PROBE, probes, [ask]),
        flow(datapath, TABLE_IN, PRIORITY_RESERVED, {"eth_dst": RESERVED}, []),
        flow(datapath, TABLE_IN, PRIORITY_GROUP_SOURCE, {"eth_src": GROUP}, []),
        flow(datapath, TABLE_IN, PRIORITY_ANY, {}, []),
        flow(datapath, TABLE_DESTINATION, PRIORITY_ANY, {}, []),
    ]


def change(
    datapath: Any,
    opened: frozenset[int],
    closed: frozenset[int],
    now_open: frozenset[int],
    forget: bool,
) -> list[Any]:
    """Steps 4 and 5 as messages."""
    parser = datapath.ofproto_parser
    learn = parser.NXActionLearn(
        table_id=TABLE_DESTINATION,
        priority=PRIORITY_LEARNED,
        hard_timeout=AGE_S,
        cookie=COOKIE_LEARNED,
        specs=[
            parser.NXFlowSpecMatch(src=("eth_src_nxm", 0), dst=("eth_dst_nxm", 0), n_bits=48),
            parser.NXFlowSpecOutput(src=("in_port_nxm", 0), dst="", n_bits=16),
        ],
    )
    outputs = [parser.OFPActionOutput(port) for port in sorted(now_open)]
    messages = [flow(datapath, TABLE_DESTINATION, PRIORITY_ANY, {}, outputs)]
    for port in sorted(closed):
        messages.append(delete(datapath, TABLE_IN, in_port=port))
        messages.append(delete(datapath, TABLE_DESTINATION, out_port=port))
    for port in sorted(opened):
        where = {"in_port": port}
        messages.append(flow(datapath, TABLE_IN, PRIORITY_OPEN, where, [learn], TABLE_DESTINATION))
    if forget:
        every_bit = 0xFFFFFFFFFFFFFFFF
        messages.append(
            delete(datapath, TABLE_DESTINATION, cookie=COOKIE_LEARNED, cookie_mask=every_bit)
        )
    return messages


def flow(
    datapath: Any, table: int, priority: int, match: dict[str, Any], actions: list[Any],
    then: int | None = None,
) -> Any:  # fmt: skip
    """A flow; without actions it drops. `then` is the table to go to."""
    ofp, parser = datapath.ofproto, datapath.ofproto_parser
    instructions = [parser.OFPInstructionActions(ofp.OFPIT_APPLY_ACTIONS, actions)]
    if then is not None:
        instructions.append(parser.OFPInstructionGotoTable(then))
    return parser.OFPFlowMod(
        datapath, table_id=table, priority=priority, match=parser.OFPMatch(**match),
        instructions=instructions if actions else [],
    )  # fmt: skip


def delete(
    datapath: Any, table: int, *, out_port: int | None = None, cookie: int = 0,
    cookie_mask: int = 0, **match: Any,
) -> Any:  # fmt: skip
    """Takes away the flows that match; of table 1 those that send to `out_port` alone, or that
    have the cookie. (The one that names every open port is put in again before: it stays.)"""
    ofp, parser = datapath.ofproto, datapath.ofproto_parser
    return parser.OFPFlowMod(
        datapath,
        table_id=table,
        command=ofp.OFPFC_DELETE,
        cookie=cookie,
        cookie_mask=cookie_mask,
        out_port=ofp.OFPP_ANY if out_port is None else out_port,
        out_group=ofp.OFPG_ANY,
        match=parser.OFPMatch(**match),
    )


def send_at_once(switch: Switch, messages: list[Any]) -> None:
    """Sends them as one atomic bundle (ONF extension 230)."""
    datapath = switch.datapath
    ofp, parser = datapath.ofproto, datapath.ofproto_parser
    whole = ofp.ONF_BF_ATOMIC | ofp.ONF_BF_ORDERED
    bundle = [
        parser.ONFBundleCtrlMsg(datapath, BUNDLE, ofp.ONF_BCT_OPEN_REQUEST, whole, []),
        *(parser.ONFBundleAddMsg(datapath, BUNDLE, whole, message, []) for message in messages),
        parser.ONFBundleCtrlMsg(datapath, BUNDLE, ofp.ONF_BCT_COMMIT_REQUEST, whole, []),
    ]
    for message in bundle:
        datapath.set_xid(message)
    switch.bundles = {message.xid: messages for message in bundle}
    send(datapath, bundle)


def send(datapath: Any, messages: list[Any]) -> None:
    """Sends them as one piece. One by one Ryu would queue sixteen and then let others go on, who
    would send theirs between these: another bundle with the same number, which is refused."""
    for message in messages:
        if message.xid is None:
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


def mac_of(address: str) -> bytes:
    """From text."""
    return bytes.fromhex(address.replace(":", ""))


def end_text(end: End) -> str:
    """In words."""
    return f"switch {end[0]} port {end[1]}"
