# SPDX-License-Identifier: Apache-2.0
"""A tree of switches with the computers at its leaves: Mininet's `tree`.

                s1                              depth 2, fanout 2
          +------+------+
         s2             s3                      their controller makes them switches
       +--+--+        +--+--+
      h1     h2      h3     h4                  10.0.0.1, 10.0.0.2 and so on, all /8

What to see: what a broadcast costs. The ARP request of one computer crosses every segment of the
tree; the frames after it stay in the branches that they need.

    hoplab trace --topology tree h1 -- ping -c 1 10.0.0.4
    hoplab up tree,2,32 && hoplab pingall       (1,024 computers, 33 switches)
    sudo mn --custom topologies/tree.py --topo tree,2,2 --controller remote
    sudo python3 topologies/tree.py       (and ryu-manager controllers/learning_switch.py)

Parameters: depth, the levels of switches (1 to 8); fanout, what hangs below each (1 to 64); rate,
what a cable carries, as in rate=10M (10k to 1G bits a second; without it, as much as the machine
can). No more than 2,048 computers all told.
"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(sys._getframe().f_code.co_filename)))

from cables import cable
from mininet.topolib import TreeTopo
from nodes import Computer


class BranchTopo(TreeTopo):
    """A tree of switches. `controller` is the one that hoplab runs unless told otherwise."""

    controller = "learning_switch"

    def build(self, depth=2, fanout=2, rate=""):
        if not 1 <= depth <= 8:
            raise ValueError(f"depth is {depth}: give 1 to 8 levels of switches")
        if not 1 <= fanout <= 64:
            raise ValueError(f"fanout is {fanout}: give 1 to 64")
        if fanout**depth > 2048:
            raise ValueError(f"that would be {fanout**depth:,} computers: give 2,048 at most")
        self.hopts.setdefault("cls", Computer)
        self.lopts.update(cable(rate))
        super().build(depth=depth, fanout=fanout)


topos = {"tree": BranchTopo}

if __name__ == "__main__":
    from mininet.cli import CLI
    from mininet.net import Mininet
    from mininet.node import RemoteController

    net = Mininet(topo=BranchTopo(), controller=RemoteController)
    net.start()
    CLI(net)
    net.stop()
