# SPDX-License-Identifier: Apache-2.0
r"""Routers that learn their routes by OSPF.

              h1 10.1.0.10
               |
              r1 10.1.0.1
        10.0.1.0/30 / \ 10.0.3.0/30
            r2 --- r3            FRR's ospfd on each; 10.0.2.0/30 between these two
             |      |
            h2      h3           10.2.0.10, 10.3.0.10

What to see: each router says hello to its neighbours four times a second and tells all others which
networks it has (link state advertisements); each works out the shortest ways from that. Where a
cable is cut, the two routers at it tell the others at once, and the packets go round the other way.

    hoplab up ospf
    hoplab exec r1 -- vtysh -c 'show ip route'
    hoplab trace --at 1s 'link r1 r2 down' h1 -- ping -i 0.2 -c 20 10.2.0.10
    sudo mn --custom topologies/ospf.py --topo ospf

It needs FRR: `scripts/install.sh --with-frr`, or `apt install frr`.

Parameters: routers, in a ring (3 to 20); hello, seconds between two hellos (0 for four a second,
with a neighbour given up after 1 s; else it is after 4 hellos); rate, what a cable carries, as in
rate=10M (10k to 1G bits a second; without it, as much as the machine can).
"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(sys._getframe().f_code.co_filename)))

from routing import RingTopo

INTERFACE = """\
interface {card}
 ip ospf network point-to-point
 ip ospf retransmit-interval 3
{timers}
"""
FAST = " ip ospf dead-interval minimal hello-multiplier 4"
# The interfaces stand first: else their first hello would wait for the usual 10 s.
ROUTER = """\
router ospf
 ospf router-id {number}.{number}.{number}.{number}
 network 10.0.0.0/8 area 0
 passive-interface r{number}-eth0
 timers throttle spf 10 50 500
 timers throttle lsa all 0
 timers lsa min-arrival 0
"""


class OspfTopo(RingTopo):
    """A ring of routers in one area."""

    daemon = "ospfd"

    def frr(self, number, cards, peers, hello=0):
        if hello and not (isinstance(hello, int) and 1 <= hello <= 30):
            raise ValueError(f"hello is {hello}: give 0 or 1 to 30 seconds")
        timers = FAST
        if hello:
            timers = f" ip ospf hello-interval {hello}\n ip ospf dead-interval {4 * hello}"
        interfaces = [INTERFACE.format(card=card, timers=timers) for card in cards]
        return "".join(interfaces) + ROUTER.format(number=number)


topos = {"ospf": OspfTopo}

if __name__ == "__main__":
    from mininet.cli import CLI
    from mininet.net import Mininet

    net = Mininet(topo=OspfTopo(), controller=None)
    net.start()
    CLI(net)
    net.stop()
