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
where a switch with one table asks once for every pair that talks (see learning_switch.py). What is
not the algorithm is in kit.py, beside this file. VLANs are not told apart.
"""

from __future__ import annotations

from typing import Any

import kit
from kit import AGE_S, MAX_ADDRESSES, MOVES, PAUSE_S, Template
from ryu.base import app_manager
from ryu.controller import ofp_event
from ryu.controller.handler import CONFIG_DISPATCHER, MAIN_DISPATCHER, set_ev_cls
from ryu.ofproto import ofproto_v1_3 as ofp

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
TABLE_SOURCE, TABLE_DESTINATION = 0, 1
PRIORITY_RESERVED, PRIORITY_GROUP_SOURCE, PRIORITY_KNOWN, PRIORITY_PAUSED = 4, 3, 2, 1
PRIORITY_MISS = 0  # OpenFlow 1.3.5, 5.4: the flow with no match and priority 0


class Switch(kit.Switch):
    """What is known of one connected switch."""

    def __init__(self, datapath: Any) -> None:
        super().__init__(datapath)
        self.ports: dict[bytes, int] = {}  # the MAC table: address -> port
        self.moves = kit.Moves()
        self.paused: dict[bytes, float] = {}  # address -> until when
        marks = Template.MAC, Template.PORT
        self.flows = [Template(message, *marks) for message in learned(datapath, *marks)]


class TwoTableSwitch(kit.Switches, app_manager.RyuApp):
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

    # Frames may come before Ryu has finished its own greetings, hence CONFIG as well.
    @set_ev_cls(ofp_event.EventOFPPacketIn, [CONFIG_DISPATCHER, MAIN_DISPATCHER])
    def frame_arrives(self, ev: Any) -> None:
        """Steps 2 and 3, in one send."""
        arrival = kit.arrived(self.switches, ev.msg)
        if arrival is None:
            return
        switch, in_port, destination, source = arrival
        out_port, reply = None, b""
        if not (kit.is_group(source) or kit.is_reserved(destination)):
            reply = self.learn(switch, source, in_port)
            out_port = switch.ports.get(destination, ofp.OFPP_FLOOD)
        reply += kit.send_on(ev.msg, in_port, None if out_port == in_port else out_port)
        kit.send(switch, reply)

    def learn(self, switch: Switch, mac: bytes, port: int) -> bytes:
        """Step 2: `mac` is behind `port`, and nowhere else. Gives the flows to be sent."""
        before = switch.ports.get(mac)
        if (before != port or switch.paused) and self.on_pause(switch, mac, before, port):
            return b""
        if before is None:
            self.say(switch, f"learned {kit.text(mac)} at {switch.port(port)}")
        elif before != port:
            name, dp = kit.text(mac), switch.datapath
            dp.send_msg(kit.delete(dp, TABLE_SOURCE, in_port=before, eth_src=name))
            if switch.moves.counted[mac][1] == 1:
                way = f"from {switch.port(before)} to {switch.port(port)}"
                self.say(switch, f"{name} moved {way}")
        switch.ports[mac] = port
        # Where it goes first, who sent it second: a frame that passes table 0 finds table 1 ready.
        # A flow with the same match is there after a move; adding replaces it.
        number = port.to_bytes(4, "big")
        return switch.flows[0].of(mac, number) + switch.flows[1].of(mac, number)

    def on_pause(self, switch: Switch, mac: bytes, before: int | None, port: int) -> bool:
        """Whether nothing is to be learned of `mac` now; begins a pause where one is due."""
        now_s, why = self.now_s(), ""
        if switch.paused.get(mac, now_s) > now_s:
            return True
        switch.paused.pop(mac, None)
        if before is None and len(switch.ports) >= MAX_ADDRESSES:
            why = "there is no room for more"
        elif before not in (None, port) and switch.moves.count(mac, now_s) > MOVES:
            why = "it moves too often: is there a loop?"
        if not why:
            return False
        if len(switch.paused) >= MAX_ADDRESSES:
            switch.paused.clear()
        switch.paused[mac] = now_s + PAUSE_S
        switch.datapath.send_msg(
            kit.flow(switch.datapath, TABLE_SOURCE, PRIORITY_PAUSED, {"eth_src": kit.text(mac)},
                     goto=TABLE_DESTINATION, hard_timeout=PAUSE_S)
        )  # fmt: skip
        self.warn(switch, f"{kit.text(mac)} on pause, {why}")
        return True

    # ---- 4. and 5. forget -----------------------------------------------------------------------

    def forget(self, switch: Switch, mac: bytes) -> None:
        """Both flows go."""
        switch.ports.pop(mac, None)
        switch.moves.counted.pop(mac, None)
        switch.datapath.send_msg(kit.delete(switch.datapath, cookie=kit.cookie_of(mac)))

    @set_ev_cls(ofp_event.EventOFPFlowRemoved, MAIN_DISPATCHER)
    def flow_is_gone(self, ev: Any) -> None:
        """Step 4. Flows that this controller took away itself are no news, nor is the end of one
        from where the address was before it moved."""
        msg, mac = ev.msg, ev.msg.cookie.to_bytes(8, "big")[2:]
        switch = self.switches.get(msg.datapath.id)
        if switch is None or msg.reason != ofp.OFPRR_IDLE_TIMEOUT:
            return
        port = switch.ports.get(mac)
        if port is not None and msg.match.get("in_port", port) == port:
            self.forget(switch, mac)
            where = switch.port(port)
            self.say(switch, f"forgot {kit.text(mac)} at {where}, unused for {AGE_S} s")

    def flow_is_refused(self, switch: Switch, sent: bytes) -> None:
        """No room for one of its flows: keep neither, so that its frames come here as before."""
        if sent[10:16] in switch.ports:  # the flow-mod's cookie (OpenFlow 1.3.5, 7.3.4.1)
            self.forget(switch, sent[10:16])

    def port_is_gone(self, switch: Switch, port: int) -> None:
        """Step 5."""
        behind = [mac for mac, at in switch.ports.items() if at == port]
        for mac in behind:
            del switch.ports[mac]
            switch.moves.counted.pop(mac, None)
        # By port and not by address: also right for a flow that the controller has forgotten.
        switch.datapath.send_msg(kit.delete(switch.datapath, TABLE_SOURCE, in_port=port))
        switch.datapath.send_msg(kit.delete(switch.datapath, TABLE_DESTINATION, out=port))
        self.say(switch, f"{switch.port(port)} is down, forgot {len(behind)} address(es) behind it")


def learned(datapath: Any, mac: bytes, port: int) -> list[Any]:
    """The two flows of an address: in table 1, and in table 0. Both bear it as their cookie."""
    to, by = {"eth_dst": kit.text(mac)}, {"in_port": port, "eth_src": kit.text(mac)}
    common = {"idle_timeout": AGE_S, "flags": ofp.OFPFF_SEND_FLOW_REM, "cookie": kit.cookie_of(mac)}
    return [
        kit.flow(datapath, TABLE_DESTINATION, PRIORITY_KNOWN, to, out=port, **common),
        kit.flow(datapath, TABLE_SOURCE, PRIORITY_KNOWN, by, goto=TABLE_DESTINATION, **common),
    ]
