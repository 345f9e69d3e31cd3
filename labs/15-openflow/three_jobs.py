# SPDX-License-Identifier: Apache-2.0
"""One OpenFlow switch that becomes a router, a firewall and a load balancer.

    client   guest                      web1     web2
      .10     .11                        .81      .82
       |       |                          |        |
      -+-------+-- s1 ------ r1 ------ s2 +--------+-
       10.1.0.0/24    .1 (1)    (2) .1    10.2.0.0/24

What to see: r1 is an Open vSwitch. The controller router.py makes a router of it, with three tables
of flows; a few more flows, by hand, forbid and distribute.

    hoplab up labs/15-openflow/three_jobs.py --controller labs/15-openflow/routing.py
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(
    sys._getframe().f_code.co_filename)), "..", "..", "topologies"))  # fmt: skip

from mininet.topo import Topo
from nodes import Computer, Server


class ThreeJobsTopo(Topo):
    """s1 and s2 are ordinary switches; r1 has an address on each side."""

    client = "client"
    url = "http://10.2.0.81/"

    def build(self):
        s1, s2 = self.addSwitch("s1"), self.addSwitch("s2")
        self.addSwitch(
            "r1", dpid="65", role="router", addresses={1: "10.1.0.1/24", 2: "10.2.0.1/24"}
        )
        self.addLink("r1", s1, port1=1)
        self.addLink("r1", s2, port1=2)
        for name, last in (("client", 10), ("guest", 11)):
            host = self.addHost(
                name, cls=Computer, ip=f"10.1.0.{last}/24", defaultRoute="via 10.1.0.1"
            )
            self.addLink(host, s1)
        for name, last in (("web1", 81), ("web2", 82)):
            server = self.addHost(
                name, cls=Server, ip=f"10.2.0.{last}/24", defaultRoute="via 10.2.0.1",
                serves=[["web_server.py"]],
            )  # fmt: skip
            self.addLink(server, s2)


topos = {"three_jobs": ThreeJobsTopo}
