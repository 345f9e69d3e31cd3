# SPDX-License-Identifier: Apache-2.0
"""A load balancer: TCP to 10.0.0.100 goes to h2 or h3 by turns, with its addresses changed both
ways; questions for that address are answered here. All else is flooded."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from app import App
from ryu.controller import ofp_event
from ryu.controller.handler import CONFIG_DISPATCHER, MAIN_DISPATCHER, set_ev_cls
from ryu.lib.packet import arp, ethernet, ipv4, packet, tcp

SERVICE, CARD = "10.0.0.100", "02:00:00:00:aa:00"
SERVERS = [("10.0.0.2", "02:00:00:00:02:00", 2), ("10.0.0.3", "02:00:00:00:03:00", 3)]


class Balancer(App):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.chosen = {}  # by client and its port

    @set_ev_cls(ofp_event.EventOFPSwitchFeatures, CONFIG_DISPATCHER)
    def begin(self, event):
        datapath = event.msg.datapath
        parser, proto = datapath.ofproto_parser, datapath.ofproto
        ask = [parser.OFPActionOutput(proto.OFPP_CONTROLLER, proto.OFPCML_NO_BUFFER)]
        self.install(datapath, 0, [parser.OFPActionOutput(proto.OFPP_FLOOD)])
        self.install(datapath, 5, ask, eth_type=0x0806, arp_tpa=SERVICE)
        self.install(datapath, 5, ask, eth_type=0x0800, ip_proto=6, ipv4_dst=SERVICE)

    @set_ev_cls(ofp_event.EventOFPPacketIn, MAIN_DISPATCHER)
    def asked(self, event):
        message = event.msg
        datapath, in_port = message.datapath, message.match["in_port"]
        frame = packet.Packet(message.data)
        question = frame.get_protocol(arp.arp)
        if question is not None:
            self.answer(datapath, in_port, question)
        elif frame.get_protocol(tcp.tcp) is not None:
            self.balance(datapath, in_port, frame, message)

    def answer(self, datapath, in_port, question):
        reply = packet.Packet()
        reply.add_protocol(ethernet.ethernet(question.src_mac, CARD, 0x0806))
        reply.add_protocol(
            arp.arp(opcode=2, src_mac=CARD, src_ip=SERVICE, dst_mac=question.src_mac,
                    dst_ip=question.src_ip)
        )  # fmt: skip
        reply.serialize()
        parser, proto = datapath.ofproto_parser, datapath.ofproto
        datapath.send_msg(
            parser.OFPPacketOut(
                datapath=datapath, buffer_id=proto.OFP_NO_BUFFER, in_port=proto.OFPP_CONTROLLER,
                actions=[parser.OFPActionOutput(in_port)], data=reply.data,
            )
        )  # fmt: skip

    def balance(self, datapath, in_port, frame, message):
        parser, proto = datapath.ofproto_parser, datapath.ofproto
        client, segment = frame.get_protocol(ipv4.ipv4), frame.get_protocol(tcp.tcp)
        turn = self.chosen.setdefault((client.src, segment.src_port), len(self.chosen))
        address, card, port = SERVERS[turn % len(SERVERS)]
        card_there = frame.get_protocol(ethernet.ethernet).src
        there = [
            parser.OFPActionSetField(eth_dst=card), parser.OFPActionSetField(ipv4_dst=address),
            parser.OFPActionOutput(port),
        ]  # fmt: skip
        back = [
            parser.OFPActionSetField(eth_src=CARD), parser.OFPActionSetField(ipv4_src=SERVICE),
            parser.OFPActionSetField(eth_dst=card_there), parser.OFPActionOutput(in_port),
        ]  # fmt: skip
        self.install(
            datapath, 10, back, eth_type=0x0800, ip_proto=6, ipv4_src=address,
            ipv4_dst=client.src, tcp_dst=segment.src_port,
        )  # fmt: skip
        self.install(
            datapath, 10, there, eth_type=0x0800, ip_proto=6, ipv4_src=client.src,
            ipv4_dst=SERVICE, tcp_src=segment.src_port,
        )  # fmt: skip
        datapath.send_msg(
            parser.OFPPacketOut(
                datapath=datapath, buffer_id=proto.OFP_NO_BUFFER, in_port=in_port, actions=there,
                data=message.data,
            )
        )  # fmt: skip
