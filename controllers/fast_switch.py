# SPDX-License-Identifier: Apache-2.0
"""The switch of two tables again, many times as fast: a lesson in what a framework costs.

Run it:   hoplab swap fast_switch      or      ryu-manager controllers/fast_switch.py

The pipeline is that of two_table_switch.py:

                 table 0: who sent it                          table 1: where it goes
              +----------------------------------+          +-------------------------------+
              | 3  to 01:80:c2:00:00:0x   drop   |          | 1  to a known MAC   its port  |
    frame in  | 2  from a group address   drop   |   known  | 0  anything else    FLOOD     |
    --------> | 1  (port, source) known  ------- | -------> |                               | -->
              | 0  anything else     controller  |          +-------------------------------+
              +----------------------------------+

The lesson. A profiler showed where a controller spends its time on a packet-in: a third in making
match objects, a third in turning MAC addresses into text and back, the rest in taking the message
apart, in putting the answer together, and in moving both through queues. None of that is the
algorithm. So here

1. the socket is read in large chunks by a loop of our own, which takes packet-ins apart in place,
2. the answer is made where the question was read, without an event, a queue or an object,
3. the framework makes each kind of message once; later ones are that one with another address and
   port put in (`Template`),
4. all answers to a chunk are sent at once.

Everything that is rare still goes the framework's way. What it costs the reader: this file knows
how messages look on the wire, and it replaces an inner part of the framework. Learn from
two_table_switch.py; come here when a profiler sends you. `python3 bench/controllers.py` compares.

What lives here: one Ryu app for OpenFlow 1.3. It imports Ryu alone and no other file, so that it
can be copied and changed.
"""

from __future__ import annotations

import struct
import time
from dataclasses import dataclass, field
from typing import Any

from ryu.base import app_manager
from ryu.controller import controller, ofp_event
from ryu.controller.handler import (
    CONFIG_DISPATCHER,
    DEAD_DISPATCHER,
    MAIN_DISPATCHER,
    set_ev_cls,
)
from ryu.ofproto import ofproto_parser, ofproto_v1_3

# An address at one switch:
#
#                 first frame from it                frame from it by another port
#    +---------+  --------------------> +-----------+ ------------------------.
#    | UNKNOWN |                        | AT A PORT |  old flow taken away     |
#    +---------+ <--------------------  +-----------+ <-----------------------'
#                 AGE_S without a frame from it or to it; its port went down or away;
#                 the switch reconnected (both flows taken away)
AGE_S = 300  # as IEEE 802.1Q-2018, table 8-6, recommends
MAX_ADDRESSES = 65536  # of one switch; more are flooded and not learned

TABLE_SOURCE = 0
TABLE_DESTINATION = 1
PRIORITY_RESERVED = 3
PRIORITY_GROUP_SOURCE = 2
PRIORITY_KNOWN = 1
PRIORITY_MISS = 0

# IEEE 802.1D-2004, 7.12.6, and IEEE 802.3, 3.2.3: see two_table_switch.py.
RESERVED = ("01:80:c2:00:00:00", "ff:ff:ff:ff:ff:f0")
GROUP = ("01:00:00:00:00:00", "01:00:00:00:00:00")
BUNDLE = 1
CHUNK = 1 << 18  # bytes read at once
QUIET_S = 1.0  # errors may come thousands a second: one in this time is said

# OpenFlow 1.3.5: 7.1 header; 7.4.1 packet-in up to its match, and the match if it begins with the
# port (7.2.3.7); 7.3.7 packet-out with one output action (7.2.5).
HEADER = struct.Struct("!BBHI")
PACKET_IN = struct.Struct("!8xIHBBQHHII")
IN_PORT_FIRST = 0x80000004
PACKET_OUT = struct.Struct("!BBHIIIH6xHHIH6x")
PACKET_OUT_NO_ACTION = struct.Struct("!BBHIIIH6x")
OFPT_PACKET_IN, OFPT_PACKET_OUT = 10, 13
NO_BUFFER = 0xFFFFFFFF
FLOOD = 0xFFFFFFFB
NOT_UNICAST = frozenset(range(1, 256, 2))  # first octets of group addresses


class Template:
    """A message made once by the framework, cut at the places of a MAC address and a port."""

    MAC = bytes.fromhex("5a5b5c5d5e5f")
    PORT = 0x6A6B6C6D

    def __init__(self, message: Any) -> None:
        message.xid = 0
        message.serialize()
        whole = bytes(message.buf)
        marks = sorted((self.MAC, self.PORT.to_bytes(4, "big")), key=whole.index)
        self.mac_first = marks[0] == self.MAC
        self.head, rest = whole.split(marks[0])
        self.middle, self.tail = rest.split(marks[1])

    def of(self, mac: bytes, port: bytes) -> bytes:
        """The message for this address and port."""
        first, second = (mac, port) if self.mac_first else (port, mac)
        return self.head + first + self.middle + second + self.tail


@dataclass
class Switch:
    """What is known of one connected switch, and what its messages look like."""

    datapath: Any
    source: Template
    destination: Template
    ports: dict[bytes, int] = field(default_factory=dict)  # the MAC table: address -> port
    bundle: set[int] = field(default_factory=set)
    told_s: float = -1.0  # when an error was logged last


class FastSwitch(app_manager.RyuApp):
    """The algorithm is that of two_table_switch.py:

    1. A switch connects: nothing of before stays, the fixed flows come, at one instant.
    2. A frame from an unknown (port, source) comes: learn it by a flow in each table.
    3. Send the frame on: to its destination's port, else to all, never back.
    4. A flow expired: forget the address; both its flows go.
    5. A port went down or away: forget every address behind it.
    """

    OFP_VERSIONS = (ofproto_v1_3.OFP_VERSION,)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.switches: dict[int, Switch] = {}

    # ---- 1. connect, disconnect -----------------------------------------------------------------

    @set_ev_cls(ofp_event.EventOFPSwitchFeatures, CONFIG_DISPATCHER)
    def switch_connects(self, ev: Any) -> None:
        """Step 1."""
        datapath = ev.msg.datapath
        marks = Template.MAC.hex(":"), Template.PORT
        source, destination = (Template(flow) for flow in learned(datapath, *marks))
        switch = self.switches[ev.msg.datapath_id] = Switch(datapath, source, destination)
        switch.bundle = at_one_instant(datapath, pipeline(datapath))
        datapath.fast_switch = switch  # where the receive loop finds it

    @set_ev_cls(ofp_event.EventOFPErrorMsg, [CONFIG_DISPATCHER, MAIN_DISPATCHER])
    def switch_refuses(self, ev: Any) -> None:
        """A switch without bundles gets the same flows one after the other."""
        msg, ofp = ev.msg, ev.msg.datapath.ofproto
        switch = self.switches.get(msg.datapath.id)
        if switch is not None and msg.xid in switch.bundle:
            switch.bundle = set()
            for flow_mod in pipeline(switch.datapath):
                switch.datapath.send_msg(flow_mod)
            return
        now_s = time.monotonic()
        if switch is None or now_s - switch.told_s < QUIET_S:
            return
        switch.told_s = now_s
        what = f"{ofp.ofp_error_type_to_str(msg.type)}, "
        what += ofp.ofp_error_code_to_str(msg.type, msg.code)
        sent = bytes(msg.data).hex()
        self.logger.error("switch %d refused: %s; sent: %s", msg.datapath.id, what, sent)

    @set_ev_cls(ofp_event.EventOFPStateChange, DEAD_DISPATCHER)
    def switch_is_gone(self, ev: Any) -> None:
        """Forgets the switch, unless it has connected again meanwhile."""
        switch = self.switches.get(ev.datapath.id)
        if switch is not None and switch.datapath is ev.datapath:
            del self.switches[ev.datapath.id]

    # ---- 2. and 3. learn, forward ---------------------------------------------------------------

    @set_ev_cls(ofp_event.EventOFPPacketIn, [CONFIG_DISPATCHER, MAIN_DISPATCHER])
    def frame_arrives(self, ev: Any) -> None:
        """A packet-in that the receive loop left to the framework."""
        msg = ev.msg
        switch = self.switches.get(msg.datapath.id)
        in_port = msg.match.get("in_port")
        if switch is not None and in_port is not None:
            reply = answer(switch, in_port, msg.buffer_id, msg.total_len, bytes(msg.data))
            if reply:
                msg.datapath.send(reply)

    # ---- 4. and 5. forget -----------------------------------------------------------------------

    @set_ev_cls(ofp_event.EventOFPFlowRemoved, MAIN_DISPATCHER)
    def flow_is_gone(self, ev: Any) -> None:
        """Step 4. Flows that this controller took away itself are no news."""
        msg = ev.msg
        switch = self.switches.get(msg.datapath.id)
        if switch is None or msg.reason != msg.datapath.ofproto.OFPRR_IDLE_TIMEOUT:
            return
        address = msg.match.get("eth_src") or msg.match.get("eth_dst")
        mac = bytes.fromhex((address or "").replace(":", ""))
        port = switch.ports.get(mac)
        if port is None or msg.match.get("in_port", port) != port:
            return  # it lives on behind another port
        del switch.ports[mac]
        delete(msg.datapath, TABLE_SOURCE, in_port=port, eth_src=address)
        delete(msg.datapath, TABLE_DESTINATION, eth_dst=address)

    @set_ev_cls(ofp_event.EventOFPPortStatus, [CONFIG_DISPATCHER, MAIN_DISPATCHER])
    def port_changes(self, ev: Any) -> None:
        """Step 5."""
        msg, ofp, port = ev.msg, ev.msg.datapath.ofproto, ev.msg.desc.port_no
        switch = self.switches.get(msg.datapath.id)
        down = msg.desc.state & ofp.OFPPS_LINK_DOWN or msg.desc.config & ofp.OFPPC_PORT_DOWN
        if switch is None or not (down or msg.reason == ofp.OFPPR_DELETE):
            return
        switch.ports = {mac: at for mac, at in switch.ports.items() if at != port}
        delete(msg.datapath, TABLE_SOURCE, in_port=port)
        delete(msg.datapath, TABLE_DESTINATION, out_port=port)


def answer(switch: Switch, in_port: int, buffer_id: int, total: int, data: bytes) -> bytes:
    """Steps 2 and 3 as bytes in, bytes out: what the switch is to be told about this frame."""
    destination, source = data[:6], data[6:12]
    out_port, flows = None, b""
    reserved = destination[:5] == b"\x01\x80\xc2\0\0" and destination[5] < 16
    if len(data) >= 14 and source[0] not in NOT_UNICAST and not reserved:
        ports = switch.ports
        before = ports.get(source)
        if before is not None or len(ports) < MAX_ADDRESSES:
            if before is not None and before != in_port:
                delete(switch.datapath, TABLE_SOURCE, in_port=before, eth_src=source.hex(":"))
            ports[source] = in_port
            port = in_port.to_bytes(4, "big")
            # Where it goes first, who sent it second: who passes table 0 finds table 1 ready.
            flows = switch.destination.of(source, port) + switch.source.of(source, port)
        out_port = ports.get(destination, FLOOD)
        if out_port == in_port:
            out_port = None
    kept = buffer_id != NO_BUFFER
    if not kept and (out_port is None or len(data) < total):
        return flows  # nothing to free; half a frame is never sent
    payload = b"" if kept else data
    if out_port is None:
        size = PACKET_OUT_NO_ACTION.size
        return flows + PACKET_OUT_NO_ACTION.pack(
            4, OFPT_PACKET_OUT, size, 0, buffer_id, in_port, 0
        )
    size = PACKET_OUT.size + len(payload)
    fixed = (4, OFPT_PACKET_OUT, size, 0, buffer_id, in_port, 16, 0, 16, out_port, 0)
    return flows + PACKET_OUT.pack(*fixed) + payload


# ---- the receive loop ---------------------------------------------------------------------------


def receive(datapath: Any) -> None:
    """In place of the framework's own loop, for every switch: chunks in, one send a chunk."""
    rest = b""
    try:
        while datapath.state != DEAD_DISPATCHER:
            try:
                chunk = datapath.socket.recv(CHUNK)
            except TimeoutError:
                continue
            except OSError:
                return
            if not chunk:
                return
            data = rest + chunk
            at, replies = take(datapath, data)
            rest = data[at:]
            if replies:
                datapath.send(replies)
            if at < 0:
                return
    finally:
        datapath.socket.close()


def take(datapath: Any, data: bytes) -> tuple[int, bytes]:
    """All whole messages of a chunk: how far they reach, and the answers. Negative for bytes that
    are no OpenFlow: a length below the header's would have us read the same message for ever."""
    at, end, replies = 0, len(data), []
    switch = getattr(datapath, "fast_switch", None)
    while end - at >= HEADER.size:
        version, kind, length, xid = HEADER.unpack_from(data, at)
        if length < HEADER.size:
            return -1, b""
        if end - at < length:
            break
        if kind == OFPT_PACKET_IN and switch is not None and length >= PACKET_IN.size:
            buffer_id, total, *_, match, oxm, in_port = PACKET_IN.unpack_from(data, at)
            if oxm == IN_PORT_FIRST:
                start = at + 24 + (match + 7) // 8 * 8 + 2
                frame = data[start : at + length]
                replies.append(answer(switch, in_port, buffer_id, total, frame))
                at += length
                continue
        hand_over(datapath, version, kind, length, xid, data[at : at + length])
        switch = getattr(datapath, "fast_switch", None)
        at += length
    return at, b"".join(replies)


def hand_over(
    datapath: Any, version: int, kind: int, length: int, xid: int, data: bytes
) -> None:
    """Any other message, as the framework does it."""
    msg = ofproto_parser.msg(datapath, version, kind, length, xid, data)
    if not msg:
        return
    event = ofp_event.ofp_msg_to_ev(msg)
    datapath.ofp_brick.send_event_to_observers(event, datapath.state)
    for handler in datapath.ofp_brick.get_handlers(event):
        if datapath.state in handler.callers[event.__class__].dispatchers:
            handler(event)


controller.Datapath._recv_loop = receive


# ---- OpenFlow messages --------------------------------------------------------------------------


def learned(datapath: Any, mac: str, port: int) -> list[Any]:
    """The two flows of an address: in table 0, and in table 1."""
    ofp, parser = datapath.ofproto, datapath.ofproto_parser
    output = [parser.OFPActionOutput(port)]
    common = {
        "priority": PRIORITY_KNOWN, "idle_timeout": AGE_S, "flags": ofp.OFPFF_SEND_FLOW_REM,
    }  # fmt: skip
    return [
        parser.OFPFlowMod(
            datapath,
            table_id=TABLE_SOURCE,
            match=parser.OFPMatch(in_port=port, eth_src=mac),
            instructions=[parser.OFPInstructionGotoTable(TABLE_DESTINATION)],
            **common,
        ),
        parser.OFPFlowMod(
            datapath,
            table_id=TABLE_DESTINATION,
            match=parser.OFPMatch(eth_dst=mac),
            instructions=[parser.OFPInstructionActions(ofp.OFPIT_APPLY_ACTIONS, output)],
            **common,
        ),
    ]


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
