# SPDX-License-Identifier: Apache-2.0
r"""Routers that learn their routes by RIP.

              h1 10.1.0.10
               |
              r1 10.1.0.1
        10.0.1.0/30 / \ 10.0.3.0/30
            r2 --- r3            FRR's ripd on each; 10.0.2.0/30 between these two
             |      |
            h2      h3           10.2.0.10, 10.3.0.10

What to see: every few seconds each router tells its neighbours how far it is to each network that
it knows. A network is one farther than the neighbour says; 16 means that there is no way (RFC
2453).

    hoplab up rip
    hoplab exec r1 -- vtysh -c 'show ip route'
    hoplab trace --at 1s 'link r1 r2 down' h1 -- ping -i 0.2 -c 20 10.2.0.10
    sudo mn --custom topologies/rip.py --topo rip

It needs FRR: `scripts/install.sh --with-frr`, or `apt install frr`.

Parameters: routers, in a ring (3 to 20); update, seconds between two updates (5, FRR's least, to
30); rate, what a cable carries, as in rate=10M (10k to 1G bits a second; without it, as much as
the machine can).
"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(sys._getframe().f_code.co_filename)))

from routing import RingTopo

ROUTER = """\
router rip
 version 2
 timers basic {update} {timeout} {garbage}
 network 10.0.0.0/8
 passive-interface r{number}-eth0
"""


class RipTopo(RingTopo):
    """A ring of routers; a route that nobody confirms is given up after three updates."""

    daemon = "ripd"

    def frr(self, number, cards, peers, update=5):
        if not (isinstance(update, int) and 5 <= update <= 30):
            raise ValueError(f"update is {update}: give 5 to 30 seconds")
        timers = {"update": update, "timeout": 3 * update, "garbage": 2 * update}
        return ROUTER.format(number=number, **timers)


topos = {"rip": RipTopo}

if __name__ == "__main__":
    from mininet.cli import CLI
    from mininet.net import Mininet

    net = Mininet(topo=RipTopo(), controller=None)
    net.start()
    CLI(net)
    net.stop()
