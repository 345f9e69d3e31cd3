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

What lives here: one Ryu app for OpenFlow 1.3 with the Nicira extensions that Open vSwitch has.
What it shares with others is in kit.py, beside it.
"""

from __future__ import annotations

from typing import Any

import kit
from kit import AGE_S
from ryu.base import app_manager
from ryu.ofproto import ofproto_v1_3 as ofp
from ryu.ofproto import ofproto_v1_3_parser as parser

# An address in the switch's table 1:
#
#                 frame from it             frame from it by another port
#    +---------+  -----------> +-----------+ -------------------------.
#    | UNKNOWN |               | AT A PORT |  the flow is written anew |
#    +---------+ <-----------  +-----------+ <------------------------'
#                 AGE_S without a frame from it (every frame counts the age anew);
#                 its port went down or away; the switch reconnected
TABLE_LEARN = 0
TABLE_DESTINATION = 1
PRIORITY_RESERVED = 2
PRIORITY_GROUP_SOURCE = 1
PRIORITY_LEARNED = 1  # in table 1
PRIORITY_ANY = 0


class DatapathLearning(kit.Switches, app_manager.RyuApp):
    """The algorithm:

    1. A switch connects: take away every flow it has and put in the pipeline, at one instant.
    2. For each frame the switch writes a flow into table 1: destination = the frame's source,
       output = the port it came in by. The flow's age counts anew.
    3. A port went down or away: take away the flows that send there. This is all that is left
       for the controller.
    """

    def pipeline(self, datapath: Any) -> list[Any]:
        """Steps 1 and 2: the fixed flows, as drawn above."""
        learn, destination = TABLE_LEARN, TABLE_DESTINATION
        return [
            kit.flow(datapath, learn, PRIORITY_RESERVED, {"eth_dst": kit.RESERVED}),
            kit.flow(datapath, learn, PRIORITY_GROUP_SOURCE, {"eth_src": kit.GROUP}),
            kit.flow(datapath, learn, PRIORITY_ANY, {}, actions=[LEARN], goto=destination),
            kit.flow(datapath, destination, PRIORITY_ANY, {}, out=ofp.OFPP_FLOOD),
        ]

    def port_is_gone(self, switch: kit.Switch, port: int) -> None:
        """Step 3."""
        switch.datapath.send_msg(kit.delete(switch.datapath, TABLE_DESTINATION, out=port))


# "A flow whose eth_dst is this frame's eth_src, and that sends where this frame came from."
# Open vSwitch keeps the port in 16 bits (nicira-ext.h, NXM_OF_IN_PORT), and 48 make a MAC.
LEARN = parser.NXActionLearn(
    table_id=TABLE_DESTINATION,
    priority=PRIORITY_LEARNED,
    # Hard, because a learned flow's idle time would count frames *to* the address; writing the
    # same flow again starts its hard time anew, so it counts frames from it.
    hard_timeout=AGE_S,
    specs=[
        parser.NXFlowSpecMatch(src=("eth_src_nxm", 0), dst=("eth_dst_nxm", 0), n_bits=48),
        parser.NXFlowSpecOutput(src=("in_port_nxm", 0), dst="", n_bits=16),
    ],
)
