# SPDX-License-Identifier: Apache-2.0
# A switch without a mind: every frame comes here, and none goes on.
from ryu.base import app_manager
from ryu.controller import ofp_event
from ryu.controller.handler import CONFIG_DISPATCHER, MAIN_DISPATCHER, set_ev_cls
from ryu.lib.packet.ethernet import ethernet
from ryu.ofproto import ofproto_v1_3 as ofp
from ryu.ofproto import ofproto_v1_3_parser as parser

FLOOD = ofp.OFPP_FLOOD  # out of every port but the one by which the frame came in


class Skeleton(app_manager.RyuApp):
    OFP_VERSIONS = (ofp.OFP_VERSION,)

    # A switch is there. Its one flow, the weakest: give every frame to the controller.
    @set_ev_cls(ofp_event.EventOFPSwitchFeatures, CONFIG_DISPATCHER)
    def connected(self, event):
        self.flow(event.msg.datapath, 0, ofp.OFPP_CONTROLLER)

    # A packet-in: a frame for which the switch has no other flow. Decide, and send it on.
    @set_ev_cls(ofp_event.EventOFPPacketIn, MAIN_DISPATCHER)
    def frame_comes(self, event):
        switch, port, frame = event.msg.datapath, event.msg.match["in_port"], event.msg.data
        head, _, _ = ethernet.parser(frame)
        out = self.decide(switch, port, head.src, head.dst)
        if out is not None:
            self.send(switch, port, out, frame)

    # YOUR WORK. A frame came in by this port. By which one is it to go out?
    def decide(self, switch, port, source, destination):
        return None  # by none

    # A packet-out: this frame, out of that port, once.
    def send(self, switch, port, out, frame):
        actions = [parser.OFPActionOutput(out)]
        switch.send_msg(parser.OFPPacketOut(switch, ofp.OFP_NO_BUFFER, port, actions, frame))

    # A flow-mod: from now on such frames go out of that port, without a word to the controller.
    def flow(self, switch, priority, out, **match):
        actions = [parser.OFPActionOutput(out, ofp.OFPCML_NO_BUFFER)]
        apply = [parser.OFPInstructionActions(ofp.OFPIT_APPLY_ACTIONS, actions)]
        fields = parser.OFPMatch(**match)
        switch.send_msg(
            parser.OFPFlowMod(switch, priority=priority, match=fields, instructions=apply)
        )

    # The opposite: all flows for such frames go.
    def forget(self, switch, **match):
        nobody = {"out_port": ofp.OFPP_ANY, "out_group": ofp.OFPG_ANY}
        fields = parser.OFPMatch(**match)
        switch.send_msg(parser.OFPFlowMod(switch, command=ofp.OFPFC_DELETE, match=fields, **nobody))
