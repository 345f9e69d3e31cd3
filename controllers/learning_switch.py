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
two_table_switch.py does the same with one packet-in per address; compare their counters. What is
not the algorithm is in kit.py, beside this file. VLANs are not told apart.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import kit
from kit import AGE_S, MAX_ADDRESSES, MOVES, PAUSE_S, Template
from ryu.base import app_manager
from ryu.controller import ofp_event
from ryu.controller.handler import CONFIG_DISPATCHER, MAIN_DISPATCHER, set_ev_cls
from ryu.lib import hub
from ryu.ofproto import ofproto_v1_3 as ofp

# What the controller knows of one MAC address at one switch:
#                 first frame from it                frame from it by another port
#    +---------+  --------------------> +-----------+ ------------------------.
#    | UNKNOWN |                        | AT A PORT |                          |
#    +---------+ <--------------------  +-----------+ <---- all flows from it --'
#                 nothing from it for AGE_S           and to it taken away
#                 its port went down or away; the switch reconnected
# More than MOVES moves in MOVES_S are not followed: the address stays where it is for PAUSE_S.
SWEEP_S, TABLE = min(10, AGE_S), 0  # how often to look for what is too old; the only table
PRIORITY_RESERVED, PRIORITY_GROUP_SOURCE, PRIORITY_KNOWN, PRIORITY_MISS = 3, 2, 1, 0


@dataclass
class Entry:
    """An address: where it is, when a frame from it last came here, to whom it has flows."""

    port: int
    seen_s: float
    talks_to: set[bytes] = field(default_factory=set)
    paused_until_s: float = 0.0


class Switch(kit.Switch):
    """What is known of one connected switch."""

    def __init__(self, datapath: Any) -> None:
        super().__init__(datapath)
        self.table: dict[bytes, Entry] = {}  # the MAC table
        self.moves = kit.Moves()
        marks = Template.MAC, Template.MAC_2, Template.PORT, Template.PORT_2
        self.pair = Template(pair(datapath, *marks), *marks)


class LearningSwitch(kit.Switches, app_manager.RyuApp):
    """The algorithm:

    1. A switch connects: start from a clean table. All flows of before go and the fixed flows of
       the pipeline come at one instant, so that no frame meets an empty table and is lost.
    2. A frame comes to the controller. Its source is behind the port it came in by: learn that.
       If it was behind another port it has moved: every flow from it and to it goes.
    3. Its destination is known: install a flow for this port and pair, and send the frame there.
       It is unknown or a group: flood the frame. Never back to where it came from.
    4. An address that sent nothing for AGE_S is forgotten, and every flow to it goes. A flow
       that expired because nobody used it tells that its source was silent all that time.
    5. A port went down or away: forget every address behind it.
    """

    switch_class = Switch

    def start(self) -> None:
        """Called once by the framework."""
        super().start()
        self.threads.append(hub.spawn(self.sweep_for_ever))

    def pipeline(self, datapath: Any) -> list[Any]:
        """Step 1: the fixed flows, as drawn above."""
        return [
            kit.flow(datapath, TABLE, PRIORITY_RESERVED, {"eth_dst": kit.RESERVED}),
            kit.flow(datapath, TABLE, PRIORITY_GROUP_SOURCE, {"eth_src": kit.GROUP}),
            kit.flow(datapath, TABLE, PRIORITY_MISS, {}, out=ofp.OFPP_CONTROLLER),
        ]

    # ---- 2. and 3. learn, forward ---------------------------------------------------------------

    # Frames may come before Ryu has finished its own greetings, hence CONFIG as well.
    @set_ev_cls(ofp_event.EventOFPPacketIn, [CONFIG_DISPATCHER, MAIN_DISPATCHER])
    def frame_arrives(self, ev: Any) -> None:
        """Steps 2 and 3, in one send, the flow first."""
        if (arrival := kit.arrived(self.switches, ev.msg)) is None:
            return
        switch, in_port, destination, source = arrival
        out_port, reply = None, b""
        if not (kit.is_group(source) or kit.is_reserved(destination)):
            entry, to = self.learn(switch, source, in_port), switch.table.get(destination)
            out_port = to.port if to is not None else ofp.OFPP_FLOOD
            if to is not None and entry is not None and entry.port == in_port:
                entry.talks_to.add(destination)
                # Output to the port that a frame came in by drops it (OpenFlow 1.3.5, 4.5).
                ports = in_port.to_bytes(4, "big"), to.port.to_bytes(4, "big")
                reply = switch.pair.of(source, destination, *ports)
        reply += kit.send_on(ev.msg, in_port, None if out_port == in_port else out_port)
        kit.send(switch, reply)

    def learn(self, switch: Switch, mac: bytes, port: int) -> Entry | None:
        """Step 2. None when there is no room for one more."""
        now_s, entry = self.now_s(), switch.table.get(mac)
        if entry is None:
            if len(switch.table) >= MAX_ADDRESSES:
                self.warn(switch, f"no room to learn {kit.text(mac)}")
                return None
            self.say(switch, f"learned {kit.text(mac)} at {switch.port(port)}")
            entry = switch.table[mac] = Entry(port, now_s)
        entry.seen_s = now_s
        if entry.port != port and now_s >= entry.paused_until_s:
            self.move(switch, mac, entry, port)
        return entry

    def move(self, switch: Switch, mac: bytes, entry: Entry, port: int) -> None:
        """Step 2: it was elsewhere before."""
        name, old = kit.text(mac), switch.port(entry.port)
        moves = switch.moves.count(mac, entry.seen_s)
        if moves > MOVES:
            entry.paused_until_s = entry.seen_s + PAUSE_S
            self.warn(switch, f"{name} moves too often (a loop?): stays at {old} for {PAUSE_S} s")
            return
        if moves == 1:
            self.say(switch, f"{name} moved from {old} to {switch.port(port)}")
        entry.port, entry.talks_to = port, set()
        switch.datapath.send_msg(kit.delete(switch.datapath, eth_src=name))
        switch.datapath.send_msg(kit.delete(switch.datapath, eth_dst=name))

    # ---- 4. and 5. forget -----------------------------------------------------------------------

    @set_ev_cls(ofp_event.EventOFPFlowRemoved, MAIN_DISPATCHER)
    def flow_is_gone(self, ev: Any) -> None:
        """Step 4: one flow fewer that speaks for its source."""
        msg, match = ev.msg, ev.msg.match
        switch = self.switches.get(msg.datapath.id)
        entry = switch.table.get(kit.mac_of(match.get("eth_src", ""))) if switch else None
        if entry is None or match.get("in_port") != entry.port:
            return  # it lives on behind another port
        entry.talks_to.discard(kit.mac_of(match.get("eth_dst", "")))
        if msg.reason == ofp.OFPRR_IDLE_TIMEOUT:
            self.sweep()

    def flow_is_refused(self, switch: Switch, sent: bytes) -> None:
        """No room: its source (the cookie; 7.3.4.1) keeps no flow: its frames come here."""
        if sent[10:16] in switch.table:
            switch.table[sent[10:16]].talks_to.clear()
            switch.datapath.send_msg(kit.delete(switch.datapath, cookie=kit.cookie_of(sent[10:16])))

    def sweep_for_ever(self) -> None:
        """Step 4, for addresses of which no flow tells."""
        while True:
            hub.sleep(SWEEP_S)
            self.sweep()

    def sweep(self) -> None:
        """Forgets every address that has no flow in use and sent nothing for AGE_S."""
        old_s = self.now_s() - AGE_S
        for switch in list(self.switches.values()):
            for mac in [m for m, e in switch.table.items() if not e.talks_to and e.seen_s <= old_s]:
                switch.table.pop(mac, None)  # sending may have to wait, and it goes meanwhile
                switch.moves.counted.pop(mac, None)
                switch.datapath.send_msg(kit.delete(switch.datapath, eth_dst=kit.text(mac)))
                self.say(switch, f"forgot {kit.text(mac)}, silent for {AGE_S} s")

    def port_is_gone(self, switch: Switch, port: int) -> None:
        """Step 5."""
        for mac in [mac for mac, entry in switch.table.items() if entry.port == port]:
            del switch.table[mac]
            switch.moves.counted.pop(mac, None)
            self.say(switch, f"forgot {kit.text(mac)}, {switch.port(port)} is down")
        # By port and not by address: also right for a flow that the controller has forgotten.
        switch.datapath.send_msg(kit.delete(switch.datapath, in_port=port))
        switch.datapath.send_msg(kit.delete(switch.datapath, out=port))


def pair(datapath: Any, source: bytes, to: bytes, in_port: int, out_port: int) -> Any:
    """The flow for frames of one host to another."""
    match = {"in_port": in_port, "eth_src": kit.text(source), "eth_dst": kit.text(to)}
    how = {"idle_timeout": AGE_S, "flags": ofp.OFPFF_SEND_FLOW_REM, "cookie": kit.cookie_of(source)}
    return kit.flow(datapath, TABLE, PRIORITY_KNOWN, match, out=out_port, **how)
