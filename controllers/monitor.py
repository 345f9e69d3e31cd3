# SPDX-License-Identifier: Apache-2.0
"""How much goes through every port and every flow: rates, asked of the switches each second.

Run it:   hoplab up switch --controller two_table_switch,monitor      then   hoplab table s1
          ryu-manager controllers/two_table_switch.py controllers/monitor.py

    switch --- counters of its ports ---> +---------+      monitor.json
       ^  ---- counters of its flows ---> | monitor | ---> what is going on now, for `hoplab table`
       |                                  +---------+      and for you
       '-- "how far have you counted?" -------'

It puts no flow into any switch, so it goes along with every other controller, and alone it leaves
a network dead. A rate is the difference of two readings divided by the time between them as the
switch counts it (OpenFlow 1.3.5, 7.3.5.2 and 7.3.5.6), so a late answer gives no wrong rate.

What lives here: one Ryu app for OpenFlow 1.3. It imports Ryu alone and no other file, so that it
can be copied and changed. The file goes into $HOPLAB_FOLDER, or where it was started.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from ryu.base import app_manager
from ryu.controller import ofp_event
from ryu.controller.handler import DEAD_DISPATCHER, MAIN_DISPATCHER, set_ev_cls
from ryu.lib import hub
from ryu.ofproto import ofproto_v1_3

# A counter, of a port or a flow:
#
#    +---------+  read  +------+  read again: a rate   +------+
#    | UNKNOWN | -----> | ONCE | --------------------> | RATE | --. read again: a new rate
#    +---------+        +------+                       +------+ <-'
#         ^  not in the answer any more; the count fell (a new flow with an old one's match)
#         '------------------------------------------------'
EVERY_S = 1.0

Reading = tuple[float, int, int]  # the switch's own clock in s, packets, bytes


class Monitor(app_manager.RyuApp):
    """The algorithm:

    1. Every EVERY_S ask each connected switch for the counters of its ports and of its flows.
    2. An answer: for each counter the difference to the answer before, divided by the time
       between. What was not there before has no rate yet.
    3. Write the newest rates of all switches into the file, whole or not at all.
    """

    OFP_VERSIONS = (ofproto_v1_3.OFP_VERSION,)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.file = Path(os.environ.get("HOPLAB_FOLDER", ".")) / "monitor.json"
        self.datapaths: dict[int, Any] = {}
        self.before: dict[tuple[int, str], dict[str, Reading]] = {}
        self.partial: dict[tuple[int, str], dict[str, Reading]] = {}
        self.rates: dict[int, dict[str, Any]] = {}

    def start(self) -> None:
        """Called once by the framework."""
        super().start()
        self.threads.append(hub.spawn(self.ask_for_ever))

    @set_ev_cls(ofp_event.EventOFPStateChange, [MAIN_DISPATCHER, DEAD_DISPATCHER])
    def switch_comes_or_goes(self, ev: Any) -> None:
        """Who is to be asked."""
        number = ev.datapath.id
        if ev.state == MAIN_DISPATCHER:
            self.datapaths[number] = ev.datapath
        elif self.datapaths.get(number) is ev.datapath:
            del self.datapaths[number]
            self.rates.pop(number, None)
            for kind in ("ports", "flows"):
                self.before.pop((number, kind), None)
                self.partial.pop((number, kind), None)

    # ---- 1. ask ---------------------------------------------------------------------------------

    def ask_for_ever(self) -> None:
        """Step 1."""
        while True:
            for datapath in list(self.datapaths.values()):
                ask(datapath)
            hub.sleep(EVERY_S)

    # ---- 2. answers -----------------------------------------------------------------------------

    @set_ev_cls(ofp_event.EventOFPPortStatsReply, MAIN_DISPATCHER)
    def ports_answer(self, ev: Any) -> None:
        """Step 2 for ports: what came in and what went out, separately."""
        readings: dict[str, Reading] = {}
        for port in ev.msg.body:
            if port.port_no <= ev.msg.datapath.ofproto.OFPP_MAX:
                at_s = port.duration_sec + port.duration_nsec / 1e9
                readings[f"{port.port_no} in"] = at_s, port.rx_packets, port.rx_bytes
                readings[f"{port.port_no} out"] = at_s, port.tx_packets, port.tx_bytes
        self.answered(ev.msg, "ports", readings)

    @set_ev_cls(ofp_event.EventOFPFlowStatsReply, MAIN_DISPATCHER)
    def flows_answer(self, ev: Any) -> None:
        """Step 2 for flows."""
        readings: dict[str, Reading] = {}
        for flow in ev.msg.body:
            at_s = flow.duration_sec + flow.duration_nsec / 1e9
            readings[name_of(flow)] = at_s, flow.packet_count, flow.byte_count
        self.answered(ev.msg, "flows", readings)

    def answered(self, msg: Any, kind: str, readings: dict[str, Reading]) -> None:
        """An answer may come in several messages; the last one has no "more" mark."""
        key = msg.datapath.id, kind
        self.partial.setdefault(key, {}).update(readings)
        if msg.flags & msg.datapath.ofproto.OFPMPF_REPLY_MORE:
            return
        now = self.partial.pop(key)
        new_rates = rates(self.before.get(key, {}), now)
        self.before[key] = now
        self.rates.setdefault(msg.datapath.id, {})[kind] = new_rates
        self.write()

    # ---- 3. tell --------------------------------------------------------------------------------

    def write(self) -> None:
        """Step 3."""
        switches = {f"{number:016x}": kinds for number, kinds in self.rates.items()}
        data = {"every_s": EVERY_S, "at_s": time.time(), "switches": switches}
        temporary = self.file.with_suffix(".new")
        try:
            temporary.write_text(json.dumps(data))
            os.replace(temporary, self.file)
        except OSError as error:
            self.logger.error("%s cannot be written: %s", self.file, error.strerror)


def ask(datapath: Any) -> None:
    """The two questions."""
    parser, ofp = datapath.ofproto_parser, datapath.ofproto
    datapath.send_msg(parser.OFPPortStatsRequest(datapath, 0, ofp.OFPP_ANY))
    datapath.send_msg(parser.OFPFlowStatsRequest(datapath))


def rates(before: dict[str, Reading], now: dict[str, Reading]) -> dict[str, dict[str, float]]:
    """Packets and bits a second of every counter that was read before as well."""
    result = {}
    for name, (at_s, packets, count) in now.items():
        was_s, was_packets, was_count = before.get(name, (at_s, 0, 0))
        if at_s <= was_s or packets < was_packets or count < was_count:
            continue
        passed_s = at_s - was_s
        result[name] = {
            "packets_s": round((packets - was_packets) / passed_s, 1),
            "bit_s": round(8 * (count - was_count) / passed_s, 1),
            "packets": packets,
            "bytes": count,
        }
    return result


def name_of(flow: Any) -> str:
    """A flow is named by table, priority and match."""
    match = ",".join(f"{field}={value}" for field, value in sorted(flow.match.items()))
    return f"table={flow.table_id},priority={flow.priority}" + (f",{match}" if match else "")
