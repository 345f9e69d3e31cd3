# SPDX-License-Identifier: Apache-2.0
"""A switch that lets one computer talk on each port: the first one that sends there.

A student's exercise: a learning switch with port security. The first MAC address that sends a frame
by a port is bound to that port. From then on

    1. frames from another address by that port are dropped, by a flow, for BLOCKED_S seconds;
    2. frames with a bound address that come by another port are dropped in the same way: somebody
       pretends to be who is bound;
    3. frames from whom they are allowed go to their destination's port, or everywhere.

Where the port goes down, what was bound to it is free again.

    hoplab up switch --controller examples/port_guard/guard.py
    python -m pytest examples/port_guard
"""

from ryu.base import app_manager
from ryu.controller import ofp_event
from ryu.controller.handler import CONFIG_DISPATCHER, MAIN_DISPATCHER, set_ev_cls
from ryu.lib.packet import ethernet, packet
from ryu.ofproto import ofproto_v1_3

MISS, FORWARD, BLOCK = 0, 1, 2  # priorities
BLOCKED_S = 30
IDLE_S = 60


class PortGuard(app_manager.RyuApp):
    """Bindings are kept for each switch: {port: address}."""

    OFP_VERSIONS = (ofproto_v1_3.OFP_VERSION,)

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.bound = {}

    @set_ev_cls(ofp_event.EventOFPSwitchFeatures, CONFIG_DISPATCHER)
    def switch_connects(self, event):
        """Begin with a clean table; whatever no flow takes comes here."""
        datapath = event.msg.datapath
        ofp, parser = datapath.ofproto, datapath.ofproto_parser
        self.bound[datapath.id] = {}
        datapath.send_msg(
            parser.OFPFlowMod(
                datapath=datapath, command=ofp.OFPFC_DELETE, out_port=ofp.OFPP_ANY,
                out_group=ofp.OFPG_ANY, match=parser.OFPMatch(),
            )
        )  # fmt: skip
        to_us = parser.OFPActionOutput(ofp.OFPP_CONTROLLER, ofp.OFPCML_NO_BUFFER)
        self.add_flow(datapath, MISS, parser.OFPMatch(), [to_us])

    @set_ev_cls(ofp_event.EventOFPPacketIn, MAIN_DISPATCHER)
    def frame_arrives(self, event):
        """Bind, drop or forward."""
        message = event.msg
        datapath = message.datapath
        ofp, parser = datapath.ofproto, datapath.ofproto_parser
        port = message.match["in_port"]
        frame = packet.Packet(message.data).get_protocol(ethernet.ethernet)
        if frame is None:
            return
        bound = self.bound[datapath.id]
        if not self.allowed(bound, port, frame.src):
            self.logger.warning("port %d: %s is not allowed", port, frame.src)
            match = parser.OFPMatch(in_port=port, eth_src=frame.src)
            self.add_flow(datapath, BLOCK, match, [], hard_timeout=BLOCKED_S)
            return
        bound[port] = frame.src
        out_port = next((p for p, mac in bound.items() if mac == frame.dst), ofp.OFPP_FLOOD)
        actions = [parser.OFPActionOutput(out_port)]
        if out_port != ofp.OFPP_FLOOD:
            match = parser.OFPMatch(in_port=port, eth_src=frame.src, eth_dst=frame.dst)
            self.add_flow(datapath, FORWARD, match, actions, idle_timeout=IDLE_S)
        datapath.send_msg(
            parser.OFPPacketOut(
                datapath=datapath, buffer_id=ofp.OFP_NO_BUFFER, in_port=port, actions=actions,
                data=message.data,
            )
        )  # fmt: skip

    @staticmethod
    def allowed(bound, port, address):
        """Whether a frame from this address may come by this port."""
        if port in bound:
            return bound[port] == address
        return address not in bound.values()

    @set_ev_cls(ofp_event.EventOFPPortStatus, MAIN_DISPATCHER)
    def port_changes(self, event):
        """A port that is down binds nobody, and its flows go."""
        message = event.msg
        datapath, port = message.datapath, message.desc
        ofp, parser = datapath.ofproto, datapath.ofproto_parser
        gone = message.reason == ofp.OFPPR_DELETE
        if not (gone or port.state & ofp.OFPPS_LINK_DOWN):
            return
        address = self.bound[datapath.id].pop(port.port_no, None)
        matches = [parser.OFPMatch(in_port=port.port_no)]
        if address is not None:
            matches.append(parser.OFPMatch(eth_dst=address))
        for match in matches:
            datapath.send_msg(
                parser.OFPFlowMod(
                    datapath=datapath, command=ofp.OFPFC_DELETE, out_port=ofp.OFPP_ANY,
                    out_group=ofp.OFPG_ANY, match=match,
                )
            )  # fmt: skip

    def add_flow(self, datapath, priority, match, actions, **timeouts):
        """One flow; without actions it drops."""
        ofp, parser = datapath.ofproto, datapath.ofproto_parser
        apply = [parser.OFPInstructionActions(ofp.OFPIT_APPLY_ACTIONS, actions)] if actions else []
        datapath.send_msg(
            parser.OFPFlowMod(
                datapath=datapath, priority=priority, match=match, instructions=apply, **timeouts
            )
        )
