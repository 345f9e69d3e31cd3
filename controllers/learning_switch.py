# SPDX-License-Identifier: Apache-2.0
"""The textbook's learning switch: one table, and the controller is asked about every new pair.

Run it:   hoplab swap learning_switch      or      ryu-manager controllers/learning_switch.py

The pipeline, one table:

              +-------------------------------------------------+
              | 3  to 01:80:c2:00:00:0x                    drop |
    frame in  | 2  from a group address                    drop |
    --------> | 1  (port, source, destination) known   its port | --> never back by the port it
              | 0  anything else                     controller |     came in by
              +-------------------------------------------------+
                      |
                      v
              learn where the source is; send the frame to its destination, and install a flow
              for the pair, if that is known too; else flood it and install nothing

So every broadcast, and the first frame of every pair in each direction, comes to the controller.
two_table_switch.py does the same with one packet-in per address; compare their counters.

What lives here: one Ryu app for OpenFlow 1.3. It imports Ryu alone and no other file, so that it
can be copied and changed. VLANs are not told apart: one MAC table serves them all.
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

# What the controller knows of one MAC address at one switch:
#
#                 first frame from it                frame from it by another port
#    +---------+  --------------------> +-----------+ ------------------------.
#    | UNKNOWN |                        | AT A PORT |                          |
#    +---------+ <--------------------  +-----------+ <---- all flows from it --'
#                 nothing from it for AGE_S           and to it taken away
#                 its port went down or away; the switch reconnected or has no room for flows
#
# More than MOVES moves in MOVES_S are not followed: the address stays where it is for PAUSE_S.
AGE_S = 300  # as IEEE 802.1Q-2018, table 8-6, recommends
SWEEP_S = 10  # how often to look for what is too old
MAX_ADDRESSES = 4096  # of one switch; a host that invents addresses must not fill every table
MOVES, MOVES_S, PAUSE_S = 5, 1.0, 10.0

PRIORITY_RESERVED = 3
PRIORITY_GROUP_SOURCE = 2
PRIORITY_KNOWN = 1
PRIORITY_MISS = 0  # OpenFlow 1.3.5, 5.4: the flow with no match and priority 0

# IEEE 802.1D-2004, 7.12.6: 01-80-C2-00-00-00 to -0F are for the bridge itself, and stay there.
RESERVED = ("01:80:c2:00:00:00", "ff:ff:ff:ff:ff:f0")
# IEEE 802.3, 3.2.3: the first bit on the wire marks a group, and a group sends nothing.
GROUP = ("01:00:00:00:00:00", "01:00:00:00:00:00")

ETHERNET = struct.Struct("!6s6sH")  # destination, source, type: all that a switch reads
# What stands in a message where a Template puts something else: nothing else looks like that.
MARK_XID, MARK_IN, MARK_OUT = b"\x5a\x5b\x5c\x50", b"\x5a\x5b\x5c\x51", b"\x5a\x5b\x5c\x52"
MARK_SOURCE, MARK_TO = b"\x5a\x5b\x5c\x53\x54\x55", b"\x5a\x5b\x5c\x56\x57\x58"
# OpenFlow 1.3.5, 7.3.7 and 7.2.5: a packet-out with one output action, before its frame.
PACKET_OUT = struct.Struct("!BBHIIIH6xHHIH6x")
BUNDLE = 1  # number of the one bundle sent on each connection
QUIET_S = 1.0  # what may happen thousands of times a second is said once in this time


@dataclass
class Entry:
    """An address: where it is, when a frame from it last came here, to whom it has flows."""

    port: int
    seen_s: float
    talks_to: set[bytes] = field(default_factory=set)
    moves: int = 0
    moves_since_s: float = 0.0
    paused_until_s: float = 0.0


class Template:
    """A message that the framework made once, cut where numbers and addresses go. Putting it
    together again with others costs a tenth of making another one."""

    def __init__(self, message: Any, *marks: bytes) -> None:
        message.xid = int.from_bytes(marks[0], "big")
        message.serialize()
        rest = bytes(message.buf)
        self.order = sorted(range(len(marks)), key=lambda n: rest.index(marks[n]))
        self.pieces = []
        for number in self.order:
            piece, rest = rest.split(marks[number])
            self.pieces.append(piece)
        self.tail = rest

    def of(self, *values: bytes) -> bytes:
        """The message with these values, in the order of the marks; the first is its number."""
        filled = [p + values[n] for p, n in zip(self.pieces, self.order, strict=True)]
        return b"".join(filled) + self.tail


@dataclass
class Switch:
    """What is known of one connected switch. Nothing is shared between switches."""

    datapath: Any
    flow: Template  # of a pair
    table: dict[bytes, Entry] = field(default_factory=dict)  # the MAC table
    bundle: set[int] = field(default_factory=set)  # message numbers of the bundle at the start
    told_s: float = -QUIET_S  # when trouble was logged last


class LearningSwitch(app_manager.RyuApp):
    """The algorithm:

    1. A switch connects: start from a clean table. All flows of before go and the fixed flows of
       the pipeline come at one instant, so that no frame meets an empty table and is lost.
    2. A frame comes to the controller. Its source is behind the port it came in by: learn that.
       If it was behind another port it has moved: every flow from it and to it goes.
    3. Its destination is known: install a flow for this port, source and destination, and send
       the frame there. It is unknown or a group: flood the frame. Never back to where it came
       from.
    4. An address that sent nothing for AGE_S is forgotten, and every flow to it goes. A flow
       that expired because nobody used it tells that its source was silent all that time.
    5. A port went down or away: forget every address behind it.
    """

    OFP_VERSIONS = (ofproto_v1_3.OFP_VERSION,)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.switches: dict[int, Switch] = {}
        self.now_s = time.monotonic

    def start(self) -> None:
        """Called once by the framework."""
        super().start()
        self.threads.append(hub.spawn(self.sweep_for_ever))

    # ---- 1. connect, disconnect, refuse ---------------------------------------------------------

    @set_ev_cls(ofp_event.EventOFPSwitchFeatures, CONFIG_DISPATCHER)
    def switch_connects(self, ev: Any) -> None:
        """Step 1. A reconnected switch is a new one: what it was taught before is gone."""
        datapath = ev.msg.datapath
        switch = self.switches[ev.msg.datapath_id] = Switch(datapath, template(datapath))
        switch.bundle = at_one_instant(datapath, pipeline(datapath))

    @set_ev_cls(ofp_event.EventOFPStateChange, DEAD_DISPATCHER)
    def switch_is_gone(self, ev: Any) -> None:
        """Forgets the switch, unless it has connected again meanwhile."""
        switch = self.switches.get(ev.datapath.id)
        if switch is not None and switch.datapath is ev.datapath:
            del self.switches[ev.datapath.id]

    @set_ev_cls(ofp_event.EventOFPErrorMsg, [CONFIG_DISPATCHER, MAIN_DISPATCHER])
    def switch_refuses(self, ev: Any) -> None:
        """A switch without bundles gets the same flows one after the other. Whatever else it
        refuses is said; a full table needs nothing more, for frames then come here as before."""
        msg, ofp = ev.msg, ev.msg.datapath.ofproto
        switch = self.switches.get(msg.datapath.id)
        if switch is None:
            return
        if msg.xid in switch.bundle:
            switch.bundle = set()
            for flow_mod in pipeline(switch.datapath):
                switch.datapath.send_msg(flow_mod)
        elif self.may_speak(switch):
            what = f"{ofp.ofp_error_type_to_str(msg.type)}, "
            what += ofp.ofp_error_code_to_str(msg.type, msg.code)
            sent = bytes(msg.data).hex()
            self.logger.error("switch %d refused: %s; sent: %s", msg.datapath.id, what, sent)

    # ---- 2. and 3. learn, forward ---------------------------------------------------------------

    # Frames may come before Ryu has finished its own greetings, hence CONFIG as well.
    @set_ev_cls(ofp_event.EventOFPPacketIn, [CONFIG_DISPATCHER, MAIN_DISPATCHER])
    def frame_arrives(self, ev: Any) -> None:
        """Steps 2 and 3."""
        msg = ev.msg
        switch = self.switches.get(msg.datapath.id)
        in_port = msg.match.get("in_port")
        if switch is None or in_port is None or len(msg.data) < ETHERNET.size:
            return  # nothing to learn and nobody to send it to
        destination, source, _ = ETHERNET.unpack_from(msg.data)
        out_port, reply = None, b""
        if not (is_group(source) or is_reserved(destination)):
            known = self.learn(switch, source, in_port)
            to = switch.table.get(destination)
            out_port = to.port if to is not None else msg.datapath.ofproto.OFPP_FLOOD
            if to is not None and known is not None and known.port == in_port:
                known.talks_to.add(destination)
                # Output to the port that a frame came in by drops it (OpenFlow 1.3.5, 4.5).
                ports = in_port.to_bytes(4, "big"), to.port.to_bytes(4, "big")
                reply = switch.flow.of(bytes(4), source, destination, *ports)
        # One send for all that follows from a frame, the flow first.
        reply += send_on(msg, in_port, None if out_port == in_port else out_port)
        if reply:
            msg.datapath.send(reply)

    def learn(self, switch: Switch, mac: bytes, port: int) -> Entry | None:
        """Step 2. None when there is no room for one more."""
        now_s, number = self.now_s(), switch.datapath.id
        entry = switch.table.get(mac)
        if entry is None:
            if len(switch.table) >= MAX_ADDRESSES:
                if self.may_speak(switch):
                    self.logger.warning("switch %d: no room to learn %s", number, text(mac))
                return None
            self.logger.info("switch %d: learned %s at port %d", number, text(mac), port)
            entry = switch.table[mac] = Entry(port, now_s)
        entry.seen_s = now_s
        if entry.port == port or now_s < entry.paused_until_s:
            return entry
        if now_s - entry.moves_since_s >= MOVES_S:
            entry.moves, entry.moves_since_s = 0, now_s
        entry.moves += 1
        if entry.moves > MOVES:
            entry.paused_until_s = now_s + PAUSE_S
            self.logger.warning(
                "switch %d: %s moves too often (is there a loop?), it stays at port %d for %d s",
                number, text(mac), entry.port, PAUSE_S,
            )  # fmt: skip
            return entry
        if entry.moves == 1:
            where = entry.port, port
            self.logger.info("switch %d: %s moved from port %d to %d", number, text(mac), *where)
        entry.port = port
        entry.talks_to.clear()
        delete(switch.datapath, eth_src=text(mac))
        delete(switch.datapath, eth_dst=text(mac))
        return entry

    # ---- 4. and 5. forget -----------------------------------------------------------------------

    @set_ev_cls(ofp_event.EventOFPFlowRemoved, MAIN_DISPATCHER)
    def flow_is_gone(self, ev: Any) -> None:
        """Step 4: one flow fewer that speaks for its source."""
        switch = self.switches.get(ev.msg.datapath.id)
        source, destination = ev.msg.match.get("eth_src"), ev.msg.match.get("eth_dst")
        entry = switch.table.get(mac_of(source)) if switch and source else None
        if entry is None or destination is None or ev.msg.match.get("in_port") != entry.port:
            return  # it lives on behind another port
        entry.talks_to.discard(mac_of(destination))
        if ev.msg.reason == ev.msg.datapath.ofproto.OFPRR_IDLE_TIMEOUT:
            self.sweep()

    def sweep_for_ever(self) -> None:
        """Step 4, for addresses of which no flow tells."""
        while True:
            hub.sleep(SWEEP_S)
            self.sweep()

    def sweep(self) -> None:
        """Forgets every address that has no flow in use and sent nothing for AGE_S."""
        old_s = self.now_s() - AGE_S
        for switch in list(self.switches.values()):
            table = switch.table
            for mac in [m for m, e in table.items() if not e.talks_to and e.seen_s <= old_s]:
                del table[mac]
                delete(switch.datapath, eth_dst=text(mac))
                number = switch.datapath.id
                self.logger.info("switch %d: forgot %s, silent for %d s", number, text(mac), AGE_S)

    @set_ev_cls(ofp_event.EventOFPPortStatus, [CONFIG_DISPATCHER, MAIN_DISPATCHER])
    def port_changes(self, ev: Any) -> None:
        """Step 5."""
        msg, ofp, port = ev.msg, ev.msg.datapath.ofproto, ev.msg.desc.port_no
        switch = self.switches.get(msg.datapath.id)
        down = msg.desc.state & ofp.OFPPS_LINK_DOWN or msg.desc.config & ofp.OFPPC_PORT_DOWN
        if switch is None or not (down or msg.reason == ofp.OFPPR_DELETE):
            return
        for mac in [mac for mac, entry in switch.table.items() if entry.port == port]:
            del switch.table[mac]
            self.logger.info("switch %d: forgot %s, port down", msg.datapath.id, text(mac))
        # By port and not by address: also right for a flow that the controller has forgotten.
        delete(msg.datapath, in_port=port)
        delete(msg.datapath, out_port=port)

    def may_speak(self, switch: Switch) -> bool:
        """Whether it is QUIET_S since this was asked last; so that trouble cannot fill the log."""
        now_s = self.now_s()
        quiet = now_s - switch.told_s >= QUIET_S
        switch.told_s = now_s if quiet else switch.told_s
        return quiet


# ---- OpenFlow messages --------------------------------------------------------------------------


def pipeline(datapath: Any) -> list[Any]:
    """The messages that make any switch an untaught one: no flow of before, and the fixed ones."""
    ofp, parser = datapath.ofproto, datapath.ofproto_parser

    def fixed(priority: int, match: dict[str, Any], actions: list[Any]) -> Any:
        # No instruction at all is how OpenFlow says "drop".
        apply = parser.OFPInstructionActions(ofp.OFPIT_APPLY_ACTIONS, actions)
        return parser.OFPFlowMod(
            datapath, priority=priority, match=parser.OFPMatch(**match),
            instructions=[apply] if actions else [],
        )  # fmt: skip

    # The whole frame comes to the controller, since a switch need not keep a copy.
    ask = parser.OFPActionOutput(ofp.OFPP_CONTROLLER, ofp.OFPCML_NO_BUFFER)
    nothing = parser.OFPFlowMod(
        datapath, table_id=ofp.OFPTT_ALL, command=ofp.OFPFC_DELETE,
        out_port=ofp.OFPP_ANY, out_group=ofp.OFPG_ANY,
    )  # fmt: skip
    return [
        nothing,
        fixed(PRIORITY_RESERVED, {"eth_dst": RESERVED}, []),
        fixed(PRIORITY_GROUP_SOURCE, {"eth_src": GROUP}, []),
        fixed(PRIORITY_MISS, {}, [ask]),
    ]


def at_one_instant(datapath: Any, messages: list[Any]) -> set[int]:
    """Sends them as one atomic bundle (ONF extension 230); gives the numbers of what was sent."""
    ofp, parser = datapath.ofproto, datapath.ofproto_parser
    whole = ofp.ONF_BF_ATOMIC | ofp.ONF_BF_ORDERED
    bundle = [
        parser.ONFBundleCtrlMsg(datapath, BUNDLE, ofp.ONF_BCT_OPEN_REQUEST, whole, []),
        *(parser.ONFBundleAddMsg(datapath, BUNDLE, whole, each, []) for each in messages),
        parser.ONFBundleCtrlMsg(datapath, BUNDLE, ofp.ONF_BCT_COMMIT_REQUEST, whole, []),
    ]
    for message in bundle:
        datapath.send_msg(message)
    return {message.xid for message in bundle}


def template(datapath: Any) -> Template:
    """The flow for frames of one host to another, for any two."""
    ofp, parser = datapath.ofproto, datapath.ofproto_parser
    in_port, out_port = (int.from_bytes(mark, "big") for mark in (MARK_IN, MARK_OUT))
    output = parser.OFPActionOutput(out_port)
    match = parser.OFPMatch(in_port=in_port, eth_src=text(MARK_SOURCE), eth_dst=text(MARK_TO))
    flow_mod = parser.OFPFlowMod(
        datapath,
        priority=PRIORITY_KNOWN,
        idle_timeout=AGE_S,
        flags=ofp.OFPFF_SEND_FLOW_REM,
        match=match,
        instructions=[parser.OFPInstructionActions(ofp.OFPIT_APPLY_ACTIONS, [output])],
    )
    return Template(flow_mod, MARK_XID, MARK_SOURCE, MARK_TO, MARK_IN, MARK_OUT)


def delete(datapath: Any, out_port: int | None = None, **match: Any) -> None:
    """Takes away the flows that match, and that send to `out_port` if given. The fixed ones are
    wider than any match used here, and send to no single port: they stay."""
    ofp, parser = datapath.ofproto, datapath.ofproto_parser
    datapath.send_msg(
        parser.OFPFlowMod(
            datapath,
            command=ofp.OFPFC_DELETE,
            out_port=ofp.OFPP_ANY if out_port is None else out_port,
            out_group=ofp.OFPG_ANY,
            match=parser.OFPMatch(**match),
        )
    )


def send_on(msg: Any, in_port: int, out_port: int | None) -> bytes:
    """The message that sends the frame of a packet-in out of a port; for None nothing, or, where
    the switch keeps a copy, the one that frees it."""
    datapath = msg.datapath
    ofp, parser = datapath.ofproto, datapath.ofproto_parser
    kept = msg.buffer_id != ofp.OFP_NO_BUFFER  # 0 is a buffer like any other
    if not kept and (out_port is None or len(msg.data) < msg.total_len):
        return b""  # nothing to free; half a frame is never sent
    if out_port is None:
        drop = parser.OFPPacketOut(
            datapath, buffer_id=msg.buffer_id, in_port=in_port, actions=[], data=None
        )
        drop.xid = 0
        drop.serialize()
        return bytes(drop.buf)
    data = b"" if kept else bytes(msg.data)
    length = PACKET_OUT.size + len(data)
    head = (ofp.OFP_VERSION, ofp.OFPT_PACKET_OUT, length, 0, msg.buffer_id, in_port)
    return PACKET_OUT.pack(*head, 16, ofp.OFPAT_OUTPUT, 16, out_port, 0) + data


# ---- addresses ----------------------------------------------------------------------------------


def text(mac: bytes) -> str:
    """As people write it."""
    return mac.hex(":")


def mac_of(address: str) -> bytes:
    """The opposite."""
    return bytes.fromhex(address.replace(":", ""))


def is_group(mac: bytes) -> bool:
    """Multicast or broadcast."""
    return bool(mac[0] & 1)


def is_reserved(mac: bytes) -> bool:
    """One of the sixteen that no bridge forwards."""
    return mac[:5] == b"\x01\x80\xc2\x00\x00" and mac[5] < 0x10
