# SPDX-License-Identifier: Apache-2.0
"""Two routers, three networks, and no router that knows more than its own two.

    h1 ------- r1 ------------- r2 ------- h2
      10.1.0.0/24  10.12.0.0/30   10.2.0.0/24
     .10      .1   .1        .2   .1      .10

What to see: a router knows the networks that it has a card in. What is further away somebody has
to tell it, on each router, for the way there and for the way back.

    hoplab up labs/08-static-routes/two_routers.py
    hoplab exec r1 -- ip route add 10.2.0.0/24 via 10.12.0.2
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(
    sys._getframe().f_code.co_filename)), "..", "..", "topologies"))  # fmt: skip

from mininet.topo import Topo
from nodes import Computer, Router


class TwoRoutersTopo(Topo):
    """h1 and h2 with a gateway each; r1 and r2 without a single route of their own."""

    def build(self):
        h1 = self.addHost("h1", cls=Computer, ip="10.1.0.10/24", defaultRoute="via 10.1.0.1")
        h2 = self.addHost("h2", cls=Computer, ip="10.2.0.10/24", defaultRoute="via 10.2.0.1")
        r1 = self.addHost("r1", cls=Router, ip="10.1.0.1/24")
        r2 = self.addHost("r2", cls=Router, ip="10.12.0.2/30")
        self.addLink(h1, r1, params2={"ip": "10.1.0.1/24"})
        self.addLink(r1, r2, params1={"ip": "10.12.0.1/30"}, params2={"ip": "10.12.0.2/30"})
        self.addLink(r2, h2, params1={"ip": "10.2.0.1/24"})


topos = {"two_routers": TwoRoutersTopo}
