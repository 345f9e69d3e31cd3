# SPDX-License-Identifier: Apache-2.0
"""Joins ports 1 and 2, and sends a copy of all that goes over them to port 3."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from app import App
from ryu.controller import ofp_event
from ryu.controller.handler import CONFIG_DISPATCHER, set_ev_cls


class Mirror(App):
    @set_ev_cls(ofp_event.EventOFPSwitchFeatures, CONFIG_DISPATCHER)
    def begin(self, event):
        datapath = event.msg.datapath
        output = datapath.ofproto_parser.OFPActionOutput
        self.install(datapath, 10, [output(2), output(3)], in_port=1)
        self.install(datapath, 10, [output(1), output(3)], in_port=2)
