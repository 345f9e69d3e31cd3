# SPDX-License-Identifier: Apache-2.0
"""A learning switch in two tables: the controller hears of each address once, and not again.

Run it:   hoplab swap two_table_switch      or      ryu-manager controllers/two_table_switch.py

The pipeline, two tables. The first asks "do I know who sent this, and from this port?", the
second "do I know where it goes?". The second is the MAC table that textbooks draw.

                 table 0: who sent it                          table 1: where it goes
              +----------------------------------+          +-------------------------------+
              | 4  to 01:80:c2:00:00:0x   drop   |          | 2  to a known MAC   its port  |
    frame in  | 3  from a group address   drop   |   known  | 0  anything else    FLOOD     |
    --------> | 2  (port, source) known  ------- | -------> |                               | -->
              | 1  source on pause  ------------ | -------> |                               |
              | 0  anything else     controller  |          +-------------------------------+
              +----------------------------------+
                      |                                      FLOOD and a port never send a frame
                      v                                      back by the port it came in by
              learn, install both flows,
              send the frame on its way

So the controller sees a host's first frame and then no more of it: one packet-in per address,
where a switch with one table asks once for every pair that talks (see learning_switch.py).

What lives here: one Ryu app for OpenFlow 1.3. It imports Ryu alone and no other file, so that it
can be copied and changed. VLANs are not told apart: one MAC table serves them all.
"""

from __future__ import annotations

import struct
import time
from collections import deque
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
from ryu.ofproto import ofproto_v1_3

# What the controller knows of one MAC address at one switch:
#
#                 first frame from it                frame from it by another port
#    +---------+  --------------------> +-----------+ ------------------------.
#    | UNKNOWN |                        | AT A PORT |                          |
#    +---------+ <--------------------  +-----------+ <------ both flows ------'
#                 AGE_S without a frame                       changed
#                 from it or to it; its port went down or away; the switch reconnected
#                 or has no room for its flows (both flows taken away)
#
# An address is on pause for PAUSE_S when it moves more than MOVES times in MOVES_S, or when
# MAX_ADDRESSES are known already: its frames pass without a word to the controller, and nothing
# new is learned of it.
AGE_S = 300  # as IEEE 802.1Q-2018, table 8-6, recommends
MAX_ADDRESSES = 4096  # of one switch; a host that invents addresses must not fill every table
MOVES, MOVES_S = 5, 1.0  # a loop moves an address thousands of times a second
PAUSE_S = 10

TABLE_SOURCE = 0
TABLE_DESTINATION = 1

PRIORITY_RESERVED = 4
PRIORITY_GROUP_SOURCE = 3
PRIORITY_KNOWN = 2
PRIORITY_PAUSED = 1
PRIORITY_MISS = 0  # OpenFlow 1.3.5, 5.4: the flow with no match and priority 0

# IEEE 802.1D-2004, 7.12.6: 01-80-C2-00-00-00 to -0F are for the bridge itself (spanning tree,
# pause frames, ...) and no bridge forwards them.
RESERVED = ("01:80:c2:00:00:00", "ff:ff:ff:ff:ff:f0")
# IEEE 802.3, 3.2.3: the first bit on the wire marks a group (multicast, broadcast), and a group
# sends nothing.
GROUP = ("01:00:00:00:00:00", "01:00:00:00:00:00")

ETHERNET = struct.Struct("!6s6sH")  # destination, source, type: all that a switch reads
# What stands in a message where a Template puts something else: nothing else looks like that.
MARK_XID, MARK_OUT = b"\x5a\x5b\x5c\x50", b"\x5a\x5b\x5c\x52"
MARK_SOURCE = b"\x5a\x5b\x5c\x53\x54\x55"
# OpenFlow 1.3.5, 7.3.7 and 7.2.5: a packet-out with one output action, before its frame.
PACKET_OUT = struct.Struct("!BBHIIIH6xHHIH6x")
BUNDLE = 1  # number of the one bundle sent on each connection
QUIET_S = 1.0  # what may happen thousands of times a second is said once in this time
REMEMBERED = 512  # messages that can still be named when the switch refuses them


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
    flows: tuple[Template, Template]  # of an address: in table 1, in table 0
    number: int = 1 << 31  # of the last message made from a template; Ryu counts from elsewhere
    ports: dict[bytes, int] = field(default_factory=dict)  # the MAC table: address -> port
    port_names: dict[int, str] = field(default_factory=dict)
    bundle: set[int] = field(default_factory=set)  # message numbers of the bundle at the start
    moves: dict[bytes, tuple[float, int]] = field(default_factory=dict)  # since when, how many
    paused: dict[bytes, float] = field(default_factory=dict)  # address -> until when
    sent: deque[tuple[int, bytes]] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    told_s: float = -QUIET_S  # when an error was logged last

    @property
    def name(self) -> str:
        """In words: the local port is named as the switch is."""
        return self.port_names.get(self.datapath.ofproto.OFPP_LOCAL, f"switch {self.datapath.id}")

    def port(self, number: int) -> str:
        """In words: port 2 (s1-eth2)."""
        if number == self.datapath.ofproto.OFPP_LOCAL:
            return "its own local port"
        name = self.port_names.get(number)
        return f"port {number} ({name})" if name else f"port {number}"


class TwoTableSwitch(app_manager.RyuApp):
    """The algorithm:

    1. A switch connects: start from a clean table. All flows of before go and the fixed flows of
       the pipeline come at one instant, so that no frame meets an empty table and is lost.
    2. A frame from an unknown (port, source) comes to the controller. Learn that the source is
       behind that port: a flow in table 0 lets its next frames pass, a flow in table 1 sends
       frames for it there. If it was behind another port it has moved: that flow of table 0 goes.
       What moves too often, and what is one too many, is not learned for a while.
    3. Then send the frame on: to the port of its destination if that is known, else to all ports,
       in no case back to where it came from. The flows went first, so the answer finds them.
    4. A flow expired because nobody used it for AGE_S: forget the address. Both its flows go, so
       that its next frame, if one comes, teaches it anew.
    5. A port went down or away: forget every address behind it.
    """

    OFP_VERSIONS = (ofproto_v1_3.OFP_VERSION,)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.switches: dict[int, Switch] = {}
        self.now_s = time.monotonic

    # ---- 1. connect, disconnect -----------------------------------------------------------------

    @set_ev_cls(ofp_event.EventOFPSwitchFeatures, CONFIG_DISPATCHER)
    def switch_connects(self, ev: Any) -> None:
        """Step 1. A reconnected switch is a new one: what it was taught before is gone."""
        datapath = ev.msg.datapath
        switch = Switch(datapath, templates(datapath))
        self.switches[ev.msg.datapath_id] = switch
        switch.bundle = at_one_instant(datapath, pipeline(datapath))

    @set_ev_cls(ofp_event.EventOFPErrorMsg, [CONFIG_DISPATCHER, MAIN_DISPATCHER])
    def switch_refuses(self, ev: Any) -> None:
        """A switch without bundles gets the same flows one after the other. One without room for
        an address's flows keeps neither of them: its frames come to the controller as before."""
        msg = ev.msg
        ofp = msg.datapath.ofproto
        switch = self.switches.get(msg.datapath.id)
        if switch is None:
            return
        if msg.xid in switch.bundle:
            switch.bundle = set()
            for flow_mod in pipeline(switch.datapath):
                switch.datapath.send_msg(flow_mod)
            return
        mac = next((mac for xid, mac in switch.sent if xid == msg.xid), None)
        if mac is not None and switch.ports.pop(mac, None) is not None:
            delete(msg.datapath, TABLE_SOURCE, eth_src=text(mac))
            delete(msg.datapath, TABLE_DESTINATION, eth_dst=text(mac))
        if self.now_s() - switch.told_s >= QUIET_S:
            switch.told_s = self.now_s()
            what = f"the flows of {text(mac)}" if mac else bytes(msg.data).hex()
            kind = ofp.ofp_error_type_to_str(msg.type)
            code = ofp.ofp_error_code_to_str(msg.type, msg.code)
            self.logger.error("%s refused %s: %s, %s", switch.name, what, kind, code)

    @set_ev_cls(ofp_event.EventOFPStateChange, DEAD_DISPATCHER)
    def switch_is_gone(self, ev: Any) -> None:
        """Forgets the switch, unless it has connected again meanwhile."""
        switch = self.switches.get(ev.datapath.id)
        if switch is not None and switch.datapath is ev.datapath:
            del self.switches[ev.datapath.id]

    @set_ev_cls(ofp_event.EventOFPPortDescStatsReply, [CONFIG_DISPATCHER, MAIN_DISPATCHER])
    def ports_are_named(self, ev: Any) -> None:
        """Ryu asks every switch for its ports; the names are for the log alone."""
        switch = self.switches.get(ev.msg.datapath.id)
        if switch is not None:
            for port in ev.msg.body:
                switch.port_names[port.port_no] = port.name.decode(errors="replace")

    # ---- 2. and 3. learn, forward ---------------------------------------------------------------

    # Frames may come before Ryu has finished its own greetings, hence CONFIG as well.
    @set_ev_cls(ofp_event.EventOFPPacketIn, [CONFIG_DISPATCHER, MAIN_DISPATCHER])
    def frame_arrives(self, ev: Any) -> None:
        """Steps 2 and 3."""
        msg = ev.msg
        switch = self.switches.get(msg.datapath.id)
        in_port = msg.match.get("in_port")
        if switch is None or in_port is None:
            return
        if len(msg.data) < ETHERNET.size:
            return  # no Ethernet header: nothing to learn and nobody to send it to
        destination, source, _ = ETHERNET.unpack_from(msg.data)
        out_port, reply = None, b""
        if not (is_group(source) or is_reserved(destination)):
            reply = self.learn(switch, source, in_port)
            out_port = switch.ports.get(destination, msg.datapath.ofproto.OFPP_FLOOD)
        # One send for all that follows from a frame.
        reply += send_on(msg, in_port, None if out_port == in_port else out_port)
        if reply:
            msg.datapath.send(reply)

    def learn(self, switch: Switch, mac: bytes, port: int) -> bytes:
        """Step 2: `mac` is behind `port`, and nowhere else. Gives the flows to be sent."""
        before = switch.ports.get(mac)
        if self.on_pause(switch, mac, before, port):
            return b""
        switch.ports[mac] = port
        if before is None:
            self.logger.info("%s: learned %s at %s", switch.name, text(mac), switch.port(port))
        elif before != port:
            delete(switch.datapath, TABLE_SOURCE, in_port=before, eth_src=text(mac))
            if switch.moves[mac][1] == 1:
                where = switch.port(before), switch.port(port)
                self.logger.info("%s: %s moved from %s to %s", switch.name, text(mac), *where)
        # Where it goes first, who sent it second: a frame that passes table 0 finds table 1 ready.
        # A flow with the same match is there after a move; adding replaces it.
        switch.number = (switch.number + 1) & 0xFFFFFFFF
        switch.sent.append((switch.number, mac))
        values = switch.number.to_bytes(4, "big"), mac, port.to_bytes(4, "big")
        return b"".join(flow.of(*values) for flow in switch.flows)

    def on_pause(self, switch: Switch, mac: bytes, before: int | None, port: int) -> bool:
        """Whether nothing is to be learned of `mac` now; begins a pause where one is due."""
        now_s = self.now_s()
        if switch.paused.get(mac, now_s) > now_s:
            return True
        switch.paused.pop(mac, None)
        if before is None:
            why = "there is no room for more" if len(switch.ports) >= MAX_ADDRESSES else ""
        elif before == port:
            why = ""
        else:
            since_s, count = switch.moves.get(mac, (now_s, 0))
            since_s, count = (since_s, count) if now_s - since_s < MOVES_S else (now_s, 0)
            switch.moves[mac] = since_s, count + 1
            why = "it moves too often: is there a loop?" if count == MOVES else ""
        if not why:
            return False
        if len(switch.paused) >= MAX_ADDRESSES:
            switch.paused.clear()
        switch.paused[mac] = now_s + PAUSE_S
        datapath = switch.datapath
        parser = datapath.ofproto_parser
        datapath.send_msg(
            parser.OFPFlowMod(
                datapath,
                table_id=TABLE_SOURCE,
                priority=PRIORITY_PAUSED,
                hard_timeout=PAUSE_S,
                match=parser.OFPMatch(eth_src=text(mac)),
                instructions=[parser.OFPInstructionGotoTable(TABLE_DESTINATION)],
            )
        )
        if now_s - switch.told_s >= QUIET_S:
            switch.told_s = now_s
            self.logger.warning("%s: %s on pause, %s", switch.name, text(mac), why)
        return True

    # ---- 4. and 5. forget -----------------------------------------------------------------------

    @set_ev_cls(ofp_event.EventOFPFlowRemoved, MAIN_DISPATCHER)
    def flow_is_gone(self, ev: Any) -> None:
        """Step 4. Flows that this controller took away itself are no news."""
        msg = ev.msg
        switch = self.switches.get(msg.datapath.id)
        if switch is None or msg.reason != msg.datapath.ofproto.OFPRR_IDLE_TIMEOUT:
            return
        address = msg.match.get("eth_src") or msg.match.get("eth_dst")
        if address is None:
            return
        mac = bytes.fromhex(address.replace(":", ""))
        port = switch.ports.get(mac)
        if port is None or msg.match.get("in_port", port) != port:
            return  # it lives on behind another port
        del switch.ports[mac]
        switch.moves.pop(mac, None)
        delete(msg.datapath, TABLE_SOURCE, in_port=port, eth_src=address)
        delete(msg.datapath, TABLE_DESTINATION, eth_dst=address)
        self.logger.info(
            "%s: forgot %s at %s, unused for %d s", switch.name, address, switch.port(port), AGE_S
        )

    @set_ev_cls(ofp_event.EventOFPPortStatus, [CONFIG_DISPATCHER, MAIN_DISPATCHER])
    def port_changes(self, ev: Any) -> None:
        """Step 5."""
        msg = ev.msg
        ofp = msg.datapath.ofproto
        switch = self.switches.get(msg.datapath.id)
        if switch is None:
            return
        number = msg.desc.port_no
        switch.port_names[number] = msg.desc.name.decode(errors="replace")
        gone = msg.reason == ofp.OFPPR_DELETE
        down = msg.desc.state & ofp.OFPPS_LINK_DOWN or msg.desc.config & ofp.OFPPC_PORT_DOWN
        if not (gone or down):
            return
        behind = [mac for mac, port in switch.ports.items() if port == number]
        for mac in behind:
            del switch.ports[mac]
            switch.moves.pop(mac, None)
        # By port and not by address: also right for a flow that the controller has forgotten.
        delete(msg.datapath, TABLE_SOURCE, in_port=number)
        delete(msg.datapath, TABLE_DESTINATION, out_port=number)
        self.logger.info(
            "%s: %s is down, forgot %d address(es) behind it",
            switch.name,
            switch.port(number),
            len(behind),
        )
        if gone:
            switch.port_names.pop(number, None)


# ---- OpenFlow messages --------------------------------------------------------------------------


def pipeline(datapath: Any) -> list[Any]:
    """The messages that make any switch an untaught one: no flow of before, and the fixed ones."""
    ofp, parser = datapath.ofproto, datapath.ofproto_parser

    def fixed(table: int, priority: int, match: dict[str, Any], out: int | None) -> Any:
        # max_len: the whole frame comes to the controller, since a switch need not keep a copy.
        actions = [] if out is None else [parser.OFPActionOutput(out, ofp.OFPCML_NO_BUFFER)]
        return parser.OFPFlowMod(
            datapath,
            table_id=table,
            priority=priority,
            match=parser.OFPMatch(**match),
            # No instruction at all is how OpenFlow says "drop".
            instructions=[parser.OFPInstructionActions(ofp.OFPIT_APPLY_ACTIONS, actions)]
            if actions
            else [],
        )

    return [
        parser.OFPFlowMod(
            datapath,
            table_id=ofp.OFPTT_ALL,
            command=ofp.OFPFC_DELETE,
            out_port=ofp.OFPP_ANY,
            out_group=ofp.OFPG_ANY,
        ),
        fixed(TABLE_SOURCE, PRIORITY_RESERVED, {"eth_dst": RESERVED}, None),
        fixed(TABLE_SOURCE, PRIORITY_GROUP_SOURCE, {"eth_src": GROUP}, None),
        fixed(TABLE_SOURCE, PRIORITY_MISS, {}, ofp.OFPP_CONTROLLER),
        fixed(TABLE_DESTINATION, PRIORITY_MISS, {}, ofp.OFPP_FLOOD),
    ]


def templates(datapath: Any) -> tuple[Template, Template]:
    """The two flows of an address, for any address and port: in table 1, and in table 0."""
    ofp, parser = datapath.ofproto, datapath.ofproto_parser
    mac, port = text(MARK_SOURCE), int.from_bytes(MARK_OUT, "big")
    output = [parser.OFPActionOutput(port)]

    def learned(table: int, match: dict[str, Any], instruction: Any) -> Template:
        flow_mod = parser.OFPFlowMod(
            datapath,
            table_id=table,
            priority=PRIORITY_KNOWN,
            idle_timeout=AGE_S,
            flags=ofp.OFPFF_SEND_FLOW_REM,
            match=parser.OFPMatch(**match),
            instructions=[instruction],
        )
        return Template(flow_mod, MARK_XID, MARK_SOURCE, MARK_OUT)

    apply = parser.OFPInstructionActions(ofp.OFPIT_APPLY_ACTIONS, output)
    goto = parser.OFPInstructionGotoTable(TABLE_DESTINATION)
    return (
        learned(TABLE_DESTINATION, {"eth_dst": mac}, apply),
        learned(TABLE_SOURCE, {"in_port": port, "eth_src": mac}, goto),
    )


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


def delete(datapath: Any, table: int, out_port: int | None = None, **match: Any) -> None:
    """Takes the learned flows of one table away that match, and that send to `out_port` if given.

    The fixed flows stay: those of table 0 are wider than any match used here, and the one of
    table 1 sends to no single port.
    """
    ofp, parser = datapath.ofproto, datapath.ofproto_parser
    datapath.send_msg(
        parser.OFPFlowMod(
            datapath,
            table_id=table,
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


def is_group(mac: bytes) -> bool:
    """Multicast or broadcast."""
    return bool(mac[0] & 1)


def is_reserved(mac: bytes) -> bool:
    """One of the sixteen that no bridge forwards."""
    return mac[:5] == b"\x01\x80\xc2\x00\x00" and mac[5] < 0x10
