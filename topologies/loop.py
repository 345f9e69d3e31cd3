# SPDX-License-Identifier: Apache-2.0
"""Switches in a ring: two ways from everywhere to everywhere, and a storm unless one is closed.

       h1               h2                 10.0.0.1 to 10.0.0.n, all /24, one at each switch
        |                |
        s1 ------------ s2
          \\            /
            \\        /                     every cable between switches carries 0.5 Mbit/s at most
              \\    /
                s3
                |
                h3

What to see: with `spanning_tree` all talk, and one cable rests; take another one away and it is
used. With `hub` the first broadcast goes round for ever, both ways, and every host gets copies
without end. The slow cables are there for that: even then the machine has little to do.

    hoplab up loop && hoplab pingall && hoplab table s1
    hoplab swap hub ; hoplab exec h1 -- ping -c 1 10.0.0.2 ; hoplab table s1
    hoplab run -- sh -c 'ryu-manager controllers/spanning_tree.py & python3 topologies/loop.py'
    sudo mn --custom topologies/loop.py --topo loop --controller remote
    sudo python3 topologies/loop.py    (with `ryu-manager controllers/spanning_tree.py`)

Parameters: n, the number of switches in the ring (3 to 20); rate, what every cable carries instead,
as in rate=10M (10k to 1G bits a second), which is what a storm costs the machine, too.
"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(sys._getframe().f_code.co_filename)))

from cables import cable
from mininet.link import TCLink
from mininet.topo import Topo
from nodes import Computer

STORM_LIMIT_MBIT = 0.5


class LoopTopo(Topo):
    """A ring of n switches. `controller` is the one that hoplab runs unless told otherwise."""

    controller = "spanning_tree"

    def build(self, n=3, rate=""):
        if not 3 <= n <= 20:
            raise ValueError(f"n is {n}: give 3 to 20 switches")
        switches = [self.addSwitch(f"s{i}") for i in range(1, n + 1)]
        for i, switch in enumerate(switches, 1):
            host = self.addHost(f"h{i}", cls=Computer, ip=f"10.0.0.{i}/24")
            self.addLink(host, switch, **cable(rate))
        between = cable(rate) or {"cls": TCLink, "bw": STORM_LIMIT_MBIT}
        for i, switch in enumerate(switches):
            following = switches[(i + 1) % n]
            self.addLink(switch, following, **between)


topos = {"loop": LoopTopo}

if __name__ == "__main__":
    from mininet.cli import CLI
    from mininet.net import Mininet
    from mininet.node import RemoteController

    net = Mininet(topo=LoopTopo(), controller=RemoteController)
    net.start()
    CLI(net)
    net.stop()
