# SPDX-License-Identifier: Apache-2.0
r"""Routers that learn their routes by BGP.

              h1 10.1.0.10
               |
              r1 10.1.0.1
        10.0.1.0/30 / \ 10.0.3.0/30
            r2 --- r3            FRR's bgpd on each; 10.0.2.0/30 between these two
             |      |
            h2      h3           10.2.0.10, 10.3.0.10

What to see: each router is an autonomous system of its own, r1 AS 65001. It opens a TCP connection
to each neighbour (port 179), tells its network, and hands on what it hears with its own number in
the path. A neighbour that it hears nothing of for 3 s is given up (RFC 4271).

    hoplab up bgp
    hoplab exec r1 -- vtysh -c 'show ip route'
    hoplab trace --at 1s 'link r1 r2 down' h1 -- ping -i 0.2 -c 20 10.2.0.10
    sudo mn --custom topologies/bgp.py --topo bgp

It needs FRR: `scripts/install.sh --with-frr`, or `apt install frr`.

Parameters: routers, in a ring (3 to 20); rate, what a cable carries, as in rate=10M (10k to 1G
bits a second; without it, as much as the machine can).
"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(sys._getframe().f_code.co_filename)))

from routing import RingTopo

ROUTER = """\
router bgp {number}
 bgp router-id {digit}.{digit}.{digit}.{digit}
 no bgp ebgp-requires-policy
 no bgp network import-check
 timers bgp 1 3
{neighbours}
 address-family ipv4 unicast
  network 10.{digit}.0.0/24
 exit-address-family
"""
NEIGHBOUR = """\
 neighbor {address} remote-as {number}
 neighbor {address} timers connect 1
 neighbor {address} advertisement-interval 0
"""
FIRST = 65000  # the number of router 1 is one more; these are for private use (RFC 6996)


class BgpTopo(RingTopo):
    """A ring of routers, each an autonomous system with one network."""

    daemon = "bgpd"

    def frr(self, number, cards, peers):
        neighbours = [
            NEIGHBOUR.format(address=address, number=FIRST + peer) for address, peer in peers
        ]
        return ROUTER.format(
            number=FIRST + number, digit=number, neighbours="".join(neighbours).rstrip()
        )


topos = {"bgp": BgpTopo}

if __name__ == "__main__":
    from mininet.cli import CLI
    from mininet.net import Mininet

    net = Mininet(topo=BgpTopo(), controller=None)
    net.start()
    CLI(net)
    net.stop()
