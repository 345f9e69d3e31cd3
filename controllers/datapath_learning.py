# SPDX-License-Identifier: Apache-2.0
"""A learning switch that teaches itself: Open vSwitch's learn action makes the flows.

Run it:   hoplab swap datapath_learning   or   ryu-manager controllers/datapath_learning.py

The pipeline, two tables. A frame that passes the first writes a flow into the second:

                 table 0: learn                                table 1: where it goes
              +----------------------------------+          +-------------------------------+
              | 2  to 01:80:c2:00:00:0x   drop   |          | 1  to a learned MAC  its port |
    frame in  | 1  from a group address   drop   |          | 0  anything else     FLOOD    |
    --------> | 0  anything else   learn(source, |          +-------------------------------+
              |         port), then table 1 ---- | -------> |
              +----------------------------------+          v
                                                     never back by the port it came in by

What this teaches: the control plane is whoever decides, the data plane is whoever carries. In
learning_switch.py the decision "this address is behind that port" is made by the controller, one
message there and back for each. Here the controller says once *how* to decide, and the switch
does. Not one frame comes to the controller, and when it is gone the switch goes on learning. The
price: the controller no longer knows who is where, it can only ask (`hoplab table s1`), and the
rule is as simple as the action allows: nothing here can count moves or refuse an address.

What lives here: one Ryu app for OpenFlow 1.3 with the Nicira extensions that Open vSwitch has. It
imports Ryu alone and no other file, so that it can be copied and changed.
"""

from __future__ import annotations

from typing import Any

from ryu.base import app_manager
from ryu.controller import ofp_event
from ryu.controller.handler import CONFIG_DISPATCHER, MAIN_DISPATCHER, set_ev_cls
from ryu.ofproto import ofproto_v1_3

# An address in the switch's table 1:
#
#                 frame from it             frame from it by another port
#    +---------+  -----------> +-----------+ -------------------------.
#    | UNKNOWN |               | AT A PORT |  the flow is written anew |
#    +---------+ <-----------  +-----------+ <------------------------'
#                 AGE_S without a frame from it (every frame counts the age anew);
#                 its port went down or away; the switch reconnected
AGE_S = 300  # as IEEE 802.1Q-2018, table 8-6, recommends

TABLE_LEARN = 0
TABLE_DESTINATION = 1
PRIORITY_RESERVED = 2
PRIORITY_GROUP_SOURCE = 1
PRIORITY_LEARNED = 1  # in table 1
PRIORITY_ANY = 0

# IEEE 802.1D-2004, 7.12.6: 01-80-C2-00-00-00 to -0F are for the bridge itself, and stay there.
RESERVED = ("01:80:c2:00:00:00", "ff:ff:ff:ff:ff:f0")
# IEEE 802.3, 3.2.3: the first bit on the wire marks a group, and a group sends nothing.
GROUP = ("01:00:00:00:00:00", "01:00:00:00:00:00")
BUNDLE = 1  # number of the one bundle sent on each connection


class DatapathLearning(app_manager.RyuApp):
    """The algorithm:

    1. A switch connects: take away every flow it has and put in the pipeline, at one instant.
    2. For each frame the switch writes a flow into table 1: destination = the frame's source,
       output = the port it came in by. The flow's age counts anew.
    3. A port went down or away: take away the flows that send there. This is all that is left
       for the controller.
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
        self.logger.info("switch %d learns by itself", ev.msg.datapath_id)

    @set_ev_cls(ofp_event.EventOFPErrorMsg, [CONFIG_DISPATCHER, MAIN_DISPATCHER])
    def switch_refuses(self, ev: Any) -> None:
        """A switch without bundles gets the same flows one after the other; one that does not
        know the learn action cannot be helped, and that is said."""
        msg, ofp = ev.msg, ev.msg.datapath.ofproto
        if msg.xid in self.bundles.get(msg.datapath.id, ()):
            del self.bundles[msg.datapath.id]
            for flow_mod in pipeline(msg.datapath):
                msg.datapath.send_msg(flow_mod)
            return
        what = f"{ofp.ofp_error_type_to_str(msg.type)}, "
        what += ofp.ofp_error_code_to_str(msg.type, msg.code)
        sent = bytes(msg.data).hex()
        self.logger.error("switch %d refused: %s; sent: %s", msg.datapath.id, what, sent)

    @set_ev_cls(ofp_event.EventOFPPortStatus, [CONFIG_DISPATCHER, MAIN_DISPATCHER])
    def port_changes(self, ev: Any) -> None:
        """Step 3."""
        msg, ofp = ev.msg, ev.msg.datapath.ofproto
        down = msg.desc.state & ofp.OFPPS_LINK_DOWN or msg.desc.config & ofp.OFPPC_PORT_DOWN
        if down or msg.reason == ofp.OFPPR_DELETE:
            msg.datapath.send_msg(delete(msg.datapath, TABLE_DESTINATION, msg.desc.port_no))


def pipeline(datapath: Any) -> list[Any]:
    """The messages that make any switch an untaught one: no flow of before, and the fixed ones."""
    ofp, parser = datapath.ofproto, datapath.ofproto_parser
    # "A flow whose eth_dst is this frame's eth_src, and that sends where this frame came from."
    # Open vSwitch keeps the port in 16 bits (nicira-ext.h, NXM_OF_IN_PORT), and 48 make a MAC.
    learn = parser.NXActionLearn(
        table_id=TABLE_DESTINATION,
        priority=PRIORITY_LEARNED,
        # Hard, because a learned flow's idle time would count frames *to* the address; writing
        # the same flow again starts its hard time anew, so it counts frames from it.
        hard_timeout=AGE_S,
        specs=[
            parser.NXFlowSpecMatch(src=("eth_src_nxm", 0), dst=("eth_dst_nxm", 0), n_bits=48),
            parser.NXFlowSpecOutput(src=("in_port_nxm", 0), dst="", n_bits=16),
        ],
    )
    apply = parser.OFPInstructionActions

    def fixed(table: int, priority: int, match: dict[str, Any], instructions: list[Any]) -> Any:
        return parser.OFPFlowMod(
            datapath, table_id=table, priority=priority, match=parser.OFPMatch(**match),
            instructions=instructions,
        )  # fmt: skip

    flood = [parser.OFPActionOutput(ofp.OFPP_FLOOD)]
    return [
        delete(datapath, ofp.OFPTT_ALL, ofp.OFPP_ANY),
        fixed(TABLE_LEARN, PRIORITY_RESERVED, {"eth_dst": RESERVED}, []),
        fixed(TABLE_LEARN, PRIORITY_GROUP_SOURCE, {"eth_src": GROUP}, []),
        fixed(
            TABLE_LEARN,
            PRIORITY_ANY,
            {},
            [
                apply(ofp.OFPIT_APPLY_ACTIONS, [learn]),
                parser.OFPInstructionGotoTable(TABLE_DESTINATION),
            ],
        ),
        fixed(TABLE_DESTINATION, PRIORITY_ANY, {}, [apply(ofp.OFPIT_APPLY_ACTIONS, flood)]),
    ]


def delete(datapath: Any, table: int, out_port: int) -> Any:
    """The message that takes away a table's flows that send to a port."""
    ofp, parser = datapath.ofproto, datapath.ofproto_parser
    return parser.OFPFlowMod(
        datapath, table_id=table, command=ofp.OFPFC_DELETE, out_port=out_port,
        out_group=ofp.OFPG_ANY,
    )  # fmt: skip


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
