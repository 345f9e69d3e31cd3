# SPDX-License-Identifier: Apache-2.0
"""Networks joined by a router.

    h1  h2                              h3  h4
     |   |                               |   |
    -+---+-- s1 --- r1 (Linux) --- s2 ---+---+-
    10.0.1.0/24   .1       .1      10.0.2.0/24          and so on for more subnets: s3 …

What to see: a packet for another subnet goes to the default gateway, so its destination MAC is
the router's. The router gives it new MAC addresses and takes one from its TTL; the IP addresses
stay. On each side somebody has to ask for a MAC by ARP first.

    hoplab trace --topology routed h1 -- ping -c 1 10.0.2.11
    hoplab run -- sh -c 'ryu-manager controllers/learning_switch.py & python3 topologies/routed.py'
    sudo mn --custom topologies/routed.py --topo routed,subnets=3 --controller remote
    sudo python3 topologies/routed.py       (with `ryu-manager controllers/learning_switch.py`)

Parameters: subnets (2 to 20), hosts (in each subnet, 1 to 200); rate, what a cable carries, as in
rate=10M (10k to 1G bits a second; without it, as much as the machine can).
"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(sys._getframe().f_code.co_filename)))

from cables import cable
from mininet.topo import Topo
from nodes import Computer, Router


class RoutedTopo(Topo):
    """`subnets` subnets 10.0.S.0/24 with a switch each; r1 is 10.0.S.1 in all of them."""

    controller = "learning_switch"

    def build(self, subnets=2, hosts=2, rate=""):
        if not 2 <= subnets <= 20 or not 1 <= hosts <= 200:
            raise ValueError("give 2 to 20 subnets with 1 to 200 hosts each")
        r1 = self.addHost("r1", cls=Router, ip="10.0.1.1/24")
        number = 0
        for s in range(1, subnets + 1):
            switch = self.addSwitch(f"s{s}")
            self.addLink(r1, switch, params1={"ip": f"10.0.{s}.1/24"}, **cable(rate))
            for i in range(hosts):
                number += 1
                host = self.addHost(
                    f"h{number}",
                    cls=Computer,
                    ip=f"10.0.{s}.{10 + i}/24",
                    defaultRoute=f"via 10.0.{s}.1",
                )
                self.addLink(host, switch, **cable(rate))


topos = {"routed": RoutedTopo}

if __name__ == "__main__":
    from mininet.cli import CLI
    from mininet.net import Mininet
    from mininet.node import RemoteController

    net = Mininet(topo=RoutedTopo(), controller=RemoteController)
    net.start()
    CLI(net)
    net.stop()
