# SPDX-License-Identifier: Apache-2.0
"""A home behind one address, and two machines of the world outside.

    pc1   pc2                                       www       friend
     |     |                                        .80         .66
    -+-----+--- s1 --- home --- s2 ------------------+-----------+-
      192.168.1.0/24  .1    .7        203.0.113.0/24

What to see: pc1 and pc2 have no address until somebody tells them one (DHCP); nobody outside has a
route to 192.168.1.0/24, so what goes out has to bear the address of the home router (NAT). home
forwards packets, and does nothing else yet.

    hoplab up labs/16-home/home_network.py
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(
    sys._getframe().f_code.co_filename)), "..", "..", "topologies"))  # fmt: skip

from mininet.topo import Topo
from nodes import Computer, Router, Server, require


class HomeTopo(Topo):
    """A home router with one card outside and one inside. www and friend have no gateway: the
    network outside is all that they know."""

    controller = "learning_switch"

    def build(self):
        require("iptables", package="iptables")
        require("dnsmasq", package="dnsmasq-base")
        require("udhcpc", package="udhcpc")
        inside, outside = self.addSwitch("s1"), self.addSwitch("s2")
        home = self.addHost("home", cls=Router, ip="203.0.113.7/24")
        self.addLink(home, outside)
        self.addLink(home, inside, params1={"ip": "192.168.1.1/24"})
        for name in ("pc1", "pc2"):
            self.addLink(self.addHost(name, cls=Computer, ip=None), inside)
        www = self.addHost("www", cls=Server, ip="203.0.113.80/24", serves=[["web_server.py"]])
        friend = self.addHost("friend", cls=Computer, ip="203.0.113.66/24")
        self.addLink(www, outside)
        self.addLink(friend, outside)


topos = {"home": HomeTopo}
