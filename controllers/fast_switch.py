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
   port put in (`kit.Template`),
4. all answers to a chunk are sent at once.

Everything that is rare still goes the framework's way. What it costs the reader: this file knows
how messages look on the wire, and it replaces an inner part of the framework. Learn from
two_table_switch.py; come here when a profiler sends you. `python3 bench/controllers.py` compares.

What lives here: one Ryu app for OpenFlow 1.3. The flows are two_table_switch.py's, and what both
share with others is in kit.py, beside them. (kit.py does a part of points 1, 2 and 4 for every app,
with the framework's own loop left in its place; how much is left to gain, the benchmark says.)
"""

from __future__ import annotations

import struct
from typing import Any

import kit
from kit import MAX_ADDRESSES, Template
from ryu.base import app_manager
from ryu.controller import controller, ofp_event
from ryu.controller.handler import (
    CONFIG_DISPATCHER,
    DEAD_DISPATCHER,
    MAIN_DISPATCHER,
    set_ev_cls,
)
from ryu.ofproto import ofproto_parser
from ryu.ofproto import ofproto_v1_3 as ofp

# An address at one switch:
#
#                 first frame from it                frame from it by another port
#    +---------+  --------------------> +-----------+ ------------------------.
#    | UNKNOWN |                        | AT A PORT |  old flow taken away     |
#    +---------+ <--------------------  +-----------+ <-----------------------'
#                 AGE_S without a frame from it or to it; its port went down or away;
#                 the switch reconnected (both flows taken away)
TABLE_SOURCE, TABLE_DESTINATION = 0, 1
PRIORITY_RESERVED, PRIORITY_GROUP_SOURCE, PRIORITY_KNOWN, PRIORITY_MISS = 3, 2, 1, 0
CHUNK = 1 << 18  # bytes read at once

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


class Switch(kit.Switch):
    """What is known of one connected switch, and what its messages look like."""

    def __init__(self, datapath: Any) -> None:
        super().__init__(datapath)
        self.ports: dict[bytes, int] = {}  # the MAC table: address -> port
        marks = Template.MAC, Template.PORT
        self.source, self.destination = (Template(f, *marks) for f in learned(datapath, *marks))
        datapath.fast_switch = self  # where the receive loop finds it


class FastSwitch(kit.Switches, app_manager.RyuApp):
    """The algorithm is that of two_table_switch.py:

    1. A switch connects: nothing of before stays, the fixed flows come, at one instant.
    2. A frame from an unknown (port, source) comes: learn it by a flow in each table.
    3. Send the frame on: to its destination's port, else to all, never back.
    4. A flow expired: forget the address; both its flows go.
    5. A port went down or away: forget every address behind it.
    """

    switch_class = Switch

    def pipeline(self, datapath: Any) -> list[Any]:
        """Step 1: the fixed flows, as drawn above."""
        return [
            kit.flow(datapath, TABLE_SOURCE, PRIORITY_RESERVED, {"eth_dst": kit.RESERVED}),
            kit.flow(datapath, TABLE_SOURCE, PRIORITY_GROUP_SOURCE, {"eth_src": kit.GROUP}),
            kit.flow(datapath, TABLE_SOURCE, PRIORITY_MISS, {}, out=ofp.OFPP_CONTROLLER),
            kit.flow(datapath, TABLE_DESTINATION, PRIORITY_MISS, {}, out=ofp.OFPP_FLOOD),
        ]

    # ---- 2. and 3. learn, forward ---------------------------------------------------------------

    @set_ev_cls(ofp_event.EventOFPPacketIn, [CONFIG_DISPATCHER, MAIN_DISPATCHER])
    def frame_arrives(self, ev: Any) -> None:
        """A packet-in that the receive loop left to the framework."""
        msg = ev.msg
        switch = self.switches.get(msg.datapath.id)
        in_port = msg.match.get("in_port")
        if switch is not None and in_port is not None:
            kit.send(switch, answer(switch, in_port, msg.buffer_id, msg.total_len, msg.data))

    # ---- 4. and 5. forget -----------------------------------------------------------------------

    @set_ev_cls(ofp_event.EventOFPFlowRemoved, MAIN_DISPATCHER)
    def flow_is_gone(self, ev: Any) -> None:
        """Step 4. Flows that this controller took away itself are no news."""
        msg, mac = ev.msg, ev.msg.cookie.to_bytes(8, "big")[2:]
        switch = self.switches.get(msg.datapath.id)
        if switch is None or msg.reason != ofp.OFPRR_IDLE_TIMEOUT or mac not in switch.ports:
            return
        if msg.match.get("in_port", switch.ports[mac]) == switch.ports[mac]:
            del switch.ports[mac]  # else it lives on behind another port
            switch.datapath.send_msg(kit.delete(switch.datapath, cookie=kit.cookie_of(mac)))

    def port_is_gone(self, switch: Switch, port: int) -> None:
        """Step 5."""
        switch.ports = {mac: at for mac, at in switch.ports.items() if at != port}
        switch.datapath.send_msg(kit.delete(switch.datapath, TABLE_SOURCE, in_port=port))
        switch.datapath.send_msg(kit.delete(switch.datapath, TABLE_DESTINATION, out=port))


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
                name, datapath = source.hex(":"), switch.datapath
                old = kit.delete(datapath, TABLE_SOURCE, in_port=before, eth_src=name)
                datapath.send_msg(old)
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


def learned(datapath: Any, mac: bytes, port: int) -> list[Any]:
    """The two flows of an address: in table 0, and in table 1."""
    to, by = {"eth_dst": kit.text(mac)}, {"in_port": port, "eth_src": kit.text(mac)}
    common = {
        "idle_timeout": kit.AGE_S, "flags": ofp.OFPFF_SEND_FLOW_REM, "cookie": kit.cookie_of(mac),
    }  # fmt: skip
    return [
        kit.flow(datapath, TABLE_SOURCE, PRIORITY_KNOWN, by, goto=TABLE_DESTINATION, **common),
        kit.flow(datapath, TABLE_DESTINATION, PRIORITY_KNOWN, to, out=port, **common),
    ]
