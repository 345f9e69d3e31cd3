# SPDX-License-Identifier: Apache-2.0
"""What the controllers of the campaign share: flows, and answers to packet-ins."""

from ryu.base import app_manager
from ryu.ofproto import ofproto_v1_3


class App(app_manager.RyuApp):
    OFP_VERSIONS = (ofproto_v1_3.OFP_VERSION,)

    def install(self, datapath, priority, actions, **match):
        parser, proto = datapath.ofproto_parser, datapath.ofproto
        apply = [parser.OFPInstructionActions(proto.OFPIT_APPLY_ACTIONS, actions)]
        datapath.send_msg(
            parser.OFPFlowMod(
                datapath,
                priority=priority,
                match=parser.OFPMatch(**match),
                instructions=apply,
            )
        )

    def ask(self, datapath):
        """What no other flow takes comes to the controller, whole."""
        parser, proto = datapath.ofproto_parser, datapath.ofproto
        output = parser.OFPActionOutput(proto.OFPP_CONTROLLER, proto.OFPCML_NO_BUFFER)
        self.install(datapath, 0, [output])

    def answer(self, message, actions):
        datapath = message.datapath
        datapath.send_msg(
            datapath.ofproto_parser.OFPPacketOut(
                datapath,
                buffer_id=datapath.ofproto.OFP_NO_BUFFER,
                in_port=message.match["in_port"],
                actions=actions,
                data=message.data,
            )
        )
