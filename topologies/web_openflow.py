# SPDX-License-Identifier: Apache-2.0
"""Visiting www.itheima.com through routers that are OpenFlow switches.

The network, its names and its addresses are those of web.py. But r1 and r2, which are Linux
machines there, are Open vSwitches here, and `controllers/router.py` makes routers of them:

    client .10   pc .11
        |          |
       -+----------+--- s1
                        |  1: 10.1.0.1/24
                        r1                 an Open vSwitch, datapath id 65 (hexadecimal)
                        |  2: 10.12.0.1/30
                        |
                        |  1: 10.12.0.2/30
                        r2                 an Open vSwitch, datapath id 66
        2: 10.53.0.1/24 |  | 3: 10.80.0.1/24
             -+-- s2 ---+  +--- s3 --+-
              |                      |
        the name servers          www, idle

What to see: the same law. At each router the MAC addresses change, the TTL falls by one and the
IP addresses stay, whoever does it: a kernel, or a table of flows.

    hoplab visit --topology web_openflow
    hoplab up web_openflow && hoplab table r1
    hoplab trace client -- traceroute -n 10.80.0.80
    hoplab run -- sh -c 'ryu-manager controllers/router.py & python3 topologies/web_openflow.py'
    sudo mn --custom topologies/web_openflow.py --topo web_openflow --controller remote
    sudo python3 topologies/web_openflow.py    (with `ryu-manager controllers/router.py`)

Parameters: clients (1 to 100), rate (what a cable carries, as in rate=10M: 10k to 1G bits a second;
without it, as much as the machine can). The routers' addresses are in controllers/router.json, too.
"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(sys._getframe().f_code.co_filename)))

from cables import cable
from web import WebTopo


class WebOpenFlowTopo(WebTopo):
    """The picture of web.py with two routers that are switches. `role` and `addresses` are for
    whoever reads the topology; what the switches do is their controller's business."""

    controller = "router"

    def build(self, clients=2, rate=""):
        if not 1 <= clients <= 100:
            raise ValueError("give 1 to 100 clients")
        self.cable = cable(rate)
        lan, dns, web = (self.addSwitch(name) for name in ("s1", "s2", "s3"))
        self.clients(lan, clients)
        self.addSwitch(
            "r1", dpid="65", role="router", addresses={1: "10.1.0.1/24", 2: "10.12.0.1/30"}
        )
        self.addSwitch(
            "r2",
            dpid="66",
            role="router",
            addresses={1: "10.12.0.2/30", 2: "10.53.0.1/24", 3: "10.80.0.1/24"},
        )
        self.addLink("r1", lan, port1=1, **self.cable)
        self.addLink("r1", "r2", port1=2, port2=1, **self.cable)
        self.addLink("r2", dns, port1=2, **self.cable)
        self.addLink("r2", web, port1=3, **self.cable)
        self.name_servers(dns)
        self.web_servers(web)


topos = {"web_openflow": WebOpenFlowTopo}

if __name__ == "__main__":
    from mininet.cli import CLI
    from mininet.net import Mininet
    from mininet.node import RemoteController

    net = Mininet(topo=WebOpenFlowTopo(), controller=RemoteController)
    net.start()
    CLI(net)
    net.stop()
