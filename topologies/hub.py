# SPDX-License-Identifier: Apache-2.0
"""Several computers on a hub.

     h1        h2        h3        h4           10.0.0.1 to 10.0.0.n, all /24
      |         |         |         |
    --+---------+---------+---------+--
                   s1                           one Open vSwitch; its controller makes it a hub

What to see: a hub repeats every frame out of every other port. A frame from h1 to h2 also reaches
h3 and h4, whose cards ignore it, so every cable carries the sum of all traffic.

    hoplab trace --topology hub h1 -- ping -c 1 10.0.0.2
    hoplab up hub,n=8 && hoplab swap learning_switch
    hoplab run -- sh -c 'ryu-manager controllers/hub.py & python3 topologies/hub.py'
    sudo mn --custom topologies/hub.py --topo hub,n=8 --controller remote
    sudo python3 topologies/hub.py       (and ryu-manager controllers/hub.py)

Parameters: n, the number of computers (2 to 250); rate, what a cable carries, as in rate=10M
(10k to 1G bits a second; without it, as much as the machine can).
"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(sys._getframe().f_code.co_filename)))

from cables import cable
from mininet.topo import Topo
from nodes import Computer


class HubTopo(Topo):
    """n computers on one switch. `controller` is the one that hoplab runs unless told otherwise."""

    controller = "hub"

    def build(self, n=4, rate=""):
        if not 2 <= n <= 250:
            raise ValueError(f"n is {n}: give 2 to 250 computers")
        s1 = self.addSwitch("s1")
        for i in range(1, n + 1):
            host = self.addHost(f"h{i}", cls=Computer, ip=f"10.0.0.{i}/24")
            self.addLink(host, s1, **cable(rate))


topos = {"hub": HubTopo}

if __name__ == "__main__":
    from mininet.cli import CLI
    from mininet.net import Mininet
    from mininet.node import RemoteController

    net = Mininet(topo=HubTopo(), controller=RemoteController)
    net.start()
    CLI(net)
    net.stop()
