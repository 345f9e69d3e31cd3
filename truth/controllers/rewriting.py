# SPDX-License-Identifier: Apache-2.0
"""Floods, but for echo requests to 10.0.0.3, whose destination it makes 10.0.0.2."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from app import App
from ryu.controller import ofp_event
from ryu.controller.handler import CONFIG_DISPATCHER, set_ev_cls


class Rewriting(App):
    @set_ev_cls(ofp_event.EventOFPSwitchFeatures, CONFIG_DISPATCHER)
    def begin(self, event):
        datapath = event.msg.datapath
        parser, proto = datapath.ofproto_parser, datapath.ofproto
        self.install(datapath, 0, [parser.OFPActionOutput(proto.OFPP_FLOOD)])
        other = [
            parser.OFPActionSetField(eth_dst="02:00:00:00:02:00"),
            parser.OFPActionSetField(ipv4_dst="10.0.0.2"),
            parser.OFPActionOutput(2),
        ]
        self.install(datapath, 10, other, eth_type=0x0800, ip_proto=1, ipv4_dst="10.0.0.3")
        back = [
            parser.OFPActionSetField(eth_src="02:00:00:00:03:00"),
            parser.OFPActionSetField(ipv4_src="10.0.0.3"),
            parser.OFPActionOutput(1),
        ]
        self.install(
            datapath, 10, back, in_port=2, eth_type=0x0800, ip_proto=1, ipv4_dst="10.0.0.1"
        )
