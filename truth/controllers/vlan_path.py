# SPDX-License-Identifier: Apache-2.0
"""Frames from port 1 get VLAN 100 on their way to port 2, and lose it on their way back."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from app import App
from ryu.controller import ofp_event
from ryu.controller.handler import CONFIG_DISPATCHER, set_ev_cls


class VlanPath(App):
    @set_ev_cls(ofp_event.EventOFPSwitchFeatures, CONFIG_DISPATCHER)
    def begin(self, event):
        datapath = event.msg.datapath
        parser = datapath.ofproto_parser
        tag = [parser.OFPActionPushVlan(0x8100), parser.OFPActionSetField(vlan_vid=0x1000 | 100)]
        self.install(datapath, 10, [*tag, parser.OFPActionOutput(2)], in_port=1)
        untag = [parser.OFPActionPopVlan(), parser.OFPActionOutput(1)]
        self.install(datapath, 10, untag, in_port=2, vlan_vid=0x1000 | 100)
        self.install(datapath, 9, [parser.OFPActionOutput(1)], in_port=2)
