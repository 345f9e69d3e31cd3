# SPDX-License-Identifier: Apache-2.0
"""A hub: every frame is repeated out of every other port. Nothing is learned.

Run it:   hoplab swap hub      or      ryu-manager controllers/hub.py

The pipeline, one table with one flow:

    frame in --> [ table 0: any frame -> FLOOD ] --> every port but the one it came in by

The switch does all of that by itself, so after the start no frame comes to the controller.

What lives here: one Ryu app for OpenFlow 1.3. It imports Ryu alone and no other file, so that it
can be copied and changed.
"""

from __future__ import annotations

from typing import Any

from ryu.base import app_manager
from ryu.controller import ofp_event
from ryu.controller.handler import CONFIG_DISPATCHER, MAIN_DISPATCHER, set_ev_cls
from ryu.ofproto import ofproto_v1_3

PRIORITY_ANY = 0  # with no field to match it is the flow for all frames (OpenFlow 1.3.5, 5.4)
BUNDLE = 1  # number of the one bundle sent on each connection


class Hub(app_manager.RyuApp):
    """The algorithm:

    1. A switch connects: take away every flow it has, from whatever controller was there before,
       and put in the one flow above. Both happen at one instant, so that no frame meets an empty
       table and is lost.
    2. That is all.
    """

    OFP_VERSIONS = (ofproto_v1_3.OFP_VERSION,)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.bundles: dict[int, set[int]] = {}  # switch -> message numbers of its bundle

    @set_ev_cls(ofp_event.EventOFPSwitchFeatures, CONFIG_DISPATCHER)
    def switch_connects(self, ev: Any) -> None:
        """Step 1."""
        datapath = ev.msg.datapath
        self.bundles[ev.msg.datapath_id] = at_one_instant(datapath, pipeline(datapath))
        self.logger.info("switch %d is a hub: it floods every frame", ev.msg.datapath_id)

    @set_ev_cls(ofp_event.EventOFPErrorMsg, [CONFIG_DISPATCHER, MAIN_DISPATCHER])
    def switch_refuses(self, ev: Any) -> None:
        """A switch without bundles gets the same flows one after the other."""
        datapath = ev.msg.datapath
        if ev.msg.xid in self.bundles.get(datapath.id, ()):
            del self.bundles[datapath.id]
            for flow_mod in pipeline(datapath):
                datapath.send_msg(flow_mod)


def pipeline(datapath: Any) -> list[Any]:
    """The messages that make any switch a hub: no flow of before, and the one that floods."""
    ofp, parser = datapath.ofproto, datapath.ofproto_parser
    flood = parser.OFPActionOutput(ofp.OFPP_FLOOD)
    return [
        parser.OFPFlowMod(
            datapath,
            table_id=ofp.OFPTT_ALL,
            command=ofp.OFPFC_DELETE,
            out_port=ofp.OFPP_ANY,
            out_group=ofp.OFPG_ANY,
        ),
        parser.OFPFlowMod(
            datapath,
            priority=PRIORITY_ANY,
            instructions=[parser.OFPInstructionActions(ofp.OFPIT_APPLY_ACTIONS, [flood])],
        ),
    ]


def at_one_instant(datapath: Any, messages: list[Any]) -> set[int]:
    """Sends them as one atomic bundle (ONF extension 230); gives the numbers of what was sent."""
    ofp, parser = datapath.ofproto, datapath.ofproto_parser
    whole = ofp.ONF_BF_ATOMIC | ofp.ONF_BF_ORDERED
    bundle = [
        parser.ONFBundleCtrlMsg(datapath, BUNDLE, ofp.ONF_BCT_OPEN_REQUEST, whole, []),
        *(parser.ONFBundleAddMsg(datapath, BUNDLE, whole, each, []) for each in messages),
        parser.ONFBundleCtrlMsg(datapath, BUNDLE, ofp.ONF_BCT_COMMIT_REQUEST, whole, []),
    ]
    for message in bundle:
        datapath.send_msg(message)
    return {message.xid for message in bundle}
