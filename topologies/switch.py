# SPDX-License-Identifier: Apache-2.0
"""Several computers on a switch.

     h1        h2        h3        h4           10.0.0.1 to 10.0.0.n, all /24
      |         |         |         |
    --+---------+---------+---------+--
                   s1                           one Open vSwitch; its controller makes it a switch

What to see: the switch learns which address is behind which port. A broadcast (the ARP request)
still goes everywhere; a frame from h1 to h2 goes to h2 alone, and h3 and h4 see nothing of it.

    hoplab trace --topology switch h1 -- ping -c 1 10.0.0.2
    hoplab up switch,n=8 && hoplab swap hub
    hoplab run -- sh -c 'ryu-manager controllers/learning_switch.py & python3 topologies/switch.py'
    sudo mn --custom topologies/switch.py --topo switch,n=8 --controller remote
    sudo python3 topologies/switch.py       (and ryu-manager controllers/learning_switch.py)

Parameters: n, the number of computers (2 to 250); rate, what a cable carries, as in rate=10M
(10k to 1G bits a second; without it, as much as the machine can).
"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(sys._getframe().f_code.co_filename)))

from cables import cable
from mininet.topo import Topo
from nodes import Computer


class SwitchTopo(Topo):
    """n computers on one switch. `controller` is the one that hoplab runs unless told otherwise."""

    controller = "learning_switch"

    def build(self, n=4, rate=""):
        if not 2 <= n <= 250:
            raise ValueError(f"n is {n}: give 2 to 250 computers")
        s1 = self.addSwitch("s1")
        for i in range(1, n + 1):
            host = self.addHost(f"h{i}", cls=Computer, ip=f"10.0.0.{i}/24")
            self.addLink(host, s1, **cable(rate))


topos = {"switch": SwitchTopo}

if __name__ == "__main__":
    from mininet.cli import CLI
    from mininet.net import Mininet
    from mininet.node import RemoteController

    net = Mininet(topo=SwitchTopo(), controller=RemoteController)
    net.start()
    CLI(net)
    net.stop()
