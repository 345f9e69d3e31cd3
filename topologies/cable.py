# SPDX-License-Identifier: Apache-2.0
"""Two computers on one cable.

       h1  ------------------  h2
    192.168.1.1            192.168.1.2          both /24: one subnet

What to see: they talk directly, because address and netmask put both into one subnet. With
addresses in two subnets and no route between them not one frame of a ping leaves h1: it says
"Network is unreachable" by itself.

    hoplab trace --topology cable h1 -- ping -c 1 192.168.1.2
    hoplab trace --topology cable,ip2=192.168.2.2/24 h1 -- ping -c 1 192.168.2.2
    hoplab run -- python3 topologies/cable.py
    sudo mn --custom topologies/cable.py --topo cable,ip2=192.168.2.2/24
    sudo python3 topologies/cable.py

Parameters: ip1, ip2, each an address with its prefix length; rate, what the cable carries, as in
rate=10M (10k to 1G bits a second; without it, as much as the machine can).
"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(sys._getframe().f_code.co_filename)))

from cables import cable
from mininet.topo import Topo
from nodes import Computer


class CableTopo(Topo):
    """h1 and h2 back to back, no switch, hence no controller."""

    def build(self, ip1="192.168.1.1/24", ip2="192.168.1.2/24", rate=""):
        h1 = self.addHost("h1", cls=Computer, ip=ip1)
        h2 = self.addHost("h2", cls=Computer, ip=ip2)
        self.addLink(h1, h2, **cable(rate))


topos = {"cable": CableTopo}

if __name__ == "__main__":
    from mininet.cli import CLI
    from mininet.net import Mininet

    net = Mininet(topo=CableTopo(), controller=None)
    net.start()
    CLI(net)
    net.stop()
