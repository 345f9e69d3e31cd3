# SPDX-License-Identifier: Apache-2.0
"""Switches in a row, each with its computers: Mininet's `linear`.

     h1        h2        h3        h4           10.0.0.1, 10.0.0.2 and so on, all /8
      |         |         |         |           (k=2: h1s1, h2s1, h1s2 and so on)
     s1 ------ s2 ------ s3 ------ s4           their controller makes them switches

What to see: every switch on the way learns for itself, and on a port of its own. The frame is the
same on every segment: switches, unlike routers, do not change the addresses in it.

    hoplab trace --topology linear h1 -- ping -c 1 10.0.0.4
    hoplab up linear,100 && hoplab pingall
    sudo mn --custom topologies/linear.py --topo linear,4 --controller remote
    sudo python3 topologies/linear.py       (and ryu-manager controllers/learning_switch.py)

Parameters: n, the number of switches (1 to 200); k, the computers on each of them (1 to 50); rate,
what a cable carries, as in rate=10M (10k to 1G bits a second; without it, as much as the machine
can).
"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(sys._getframe().f_code.co_filename)))

from cables import cable
from mininet.topo import LinearTopo
from nodes import Computer


class RowTopo(LinearTopo):
    """n switches in a row. `controller` is the one that hoplab runs unless told otherwise."""

    controller = "learning_switch"

    def build(self, n=4, k=1, rate=""):
        if not 1 <= n <= 200:
            raise ValueError(f"n is {n}: give 1 to 200 switches")
        if not 1 <= k <= 50:
            raise ValueError(f"k is {k}: give 1 to 50 computers for each switch")
        self.hopts.setdefault("cls", Computer)
        self.lopts.update(cable(rate))
        super().build(k=n, n=k)  # Mininet's k are the switches


topos = {"linear": RowTopo}

if __name__ == "__main__":
    from mininet.cli import CLI
    from mininet.net import Mininet
    from mininet.node import RemoteController

    net = Mininet(topo=RowTopo(), controller=RemoteController)
    net.start()
    CLI(net)
    net.stop()
