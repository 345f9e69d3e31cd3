# SPDX-License-Identifier: Apache-2.0
"""Two networks joined by a router, with IPv4 everywhere and IPv6 nowhere yet.

    pc1   pc2                               www   dns
     |     |                                 |     |
    -+-----+--- s1 --- r1 (Linux) --- s2 ----+-----+-
    10.0.1.0/24   .1           .1   10.0.2.0/24        pc1 .10, pc2 .11, www .80, dns .53
    2001:db8:1::/64               2001:db8:2::/64      to be: by the learner's hand

What to see: with IPv6 left on, each card has a link-local address from its MAC address, and no
other. www serves its page over both, and dns has both addresses of www.lab, whether or not anybody
can use them.

    hoplab up --ipv6 labs/19-ipv6/two_families.py
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(
    sys._getframe().f_code.co_filename)), "..", "..", "topologies"))  # fmt: skip

from mininet.topo import Topo
from nodes import Computer, Router, Server, require

ZONE = """\
$ORIGIN lab.
$TTL 300
@    IN SOA  dns admin 1 3600 600 86400 300
@    IN NS   dns
dns  IN A    10.0.2.53
www  IN A    10.0.2.80
www  IN AAAA 2001:db8:2::80
"""


class TwoFamiliesTopo(Topo):
    """r1 forwards IPv4 alone: what it does with IPv6 is the exercise."""

    controller = "learning_switch"

    def build(self):
        require("dnsmasq", package="dnsmasq-base")
        r1 = self.addHost("r1", cls=Router, ip="10.0.1.1/24")
        inner, outer = self.addSwitch("s1"), self.addSwitch("s2")
        self.addLink(r1, inner)
        self.addLink(r1, outer, params1={"ip": "10.0.2.1/24"})
        for number in (1, 2):
            pc = self.addHost(
                f"pc{number}", cls=Computer, ip=f"10.0.1.{9 + number}/24",
                defaultRoute="via 10.0.1.1", nameserver="10.0.2.53",
            )  # fmt: skip
            self.addLink(pc, inner)
        www = self.addHost(
            "www", cls=Server, ip="10.0.2.80/24", defaultRoute="via 10.0.2.1",
            serves=[["web_server.py", "--listen", "::"]],
        )  # fmt: skip
        dns = self.addHost(
            "dns", cls=Server, ip="10.0.2.53/24", defaultRoute="via 10.0.2.1",
            serves=[["dns_server.py", "--zone", "/mnt/lab.zone"]], files={"lab.zone": ZONE},
        )  # fmt: skip
        self.addLink(www, outer)
        self.addLink(dns, outer)


topos = {"two_families": TwoFamiliesTopo}
