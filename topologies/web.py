# SPDX-License-Identifier: Apache-2.0
"""Visiting www.itheima.com: client, DNS and web server in different subnets behind routers.

    client .10   pc .11                       10.1.0.0/24    the client's LAN
        |          |
       -+----------+--- s1
                        |  .1
                        r1
                        |  .1                 10.12.0.0/30   a cable between two routers
                        |
                        |  .2
                        r2 ----------------------------+
                        |  .1                          |  .1
       -+-------+-------+---+-------+-- s2            -+--+----------+-- s3
        |       |           |       |                     |          |
    resolver   root        com      ns                   www        idle
      .53       .2          .3      .4                   .80        .81
    10.53.0.0/24   the DNS subnet                   10.80.0.0/24   the web subnet

What to see: the client asks the resolver (DNS over UDP); the resolver asks root, com and ns, the
lab's own name servers, one after the other; the client shakes hands with www (TCP), asks for the
page (HTTP) and closes. At each router the MAC addresses change and the IP addresses stay.

    hoplab visit
    hoplab visit --topology web,variant=slow ; hoplab visit --topology web,tls=1 https://10.80.0.80/
    hoplab visit http://no.such.name.com/ ; hoplab visit http://closed.itheima.com/
    hoplab run -- sh -c 'ryu-manager controllers/learning_switch.py & python3 topologies/web.py'
    sudo mn --custom topologies/web.py --topo web --controller remote
    sudo python3 topologies/web.py          (with `ryu-manager controllers/learning_switch.py`)

Parameters: routers (a chain of 2 to 8, the web subnet behind the last), clients (1 to 100),
variant (http1.0, no-keep-alive, slow or reset: how www behaves), tls (1: https:// too), rate (what
a cable carries, as in rate=10M: 10k to 1G bits a second; without it, as much as the machine can).
All addresses are private and nothing leaves the lab.
"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(sys._getframe().f_code.co_filename)))

from cables import cable
from mininet.topo import Topo
from nodes import APPS, Computer, Router, Server

RESOLVER = "10.53.0.53"
ROOT_SERVER = "a.root-servers.lab.=10.53.0.2"


def zones(*names):
    """The command line of a name server for these files of apps/zones."""
    command = ["dns_server.py"]
    for name in names:
        command += ["--zone", os.path.join(APPS, "zones", name + ".zone")]
    return command


class WebTopo(Topo):
    """The whole picture. The attributes are what hoplab takes unless told otherwise."""

    controller = "learning_switch"
    url = "http://www.itheima.com/"
    client = "client"

    def build(self, routers=2, clients=2, variant="", tls=0, rate=""):
        if not 2 <= routers <= 8 or not 1 <= clients <= 100:
            raise ValueError("give 2 to 8 routers and 1 to 100 clients")
        self.cable = cable(rate)
        # Which router each network hangs on (two for a cable between routers), and its first .1
        where = {"10.1.0.0/24": [1], "10.53.0.0/24": [2], "10.80.0.0/24": [routers]}
        for i in range(1, routers):
            where[f"10.{i}{i + 1}.0.0/30"] = [i, i + 1]
        lan, dns, web = (self.addSwitch(name) for name in ("s1", "s2", "s3"))
        self.clients(lan, clients)
        for i in range(1, routers + 1):
            first = "10.1.0.1/24" if i == 1 else f"10.{i - 1}{i}.0.2/30"
            self.addHost(f"r{i}", cls=Router, ip=first, routes=self.routes(i, where))
        self.addLink("r1", lan, params1={"ip": "10.1.0.1/24"}, **self.cable)
        for i in range(1, routers):
            prefix = f"10.{i}{i + 1}.0"
            self.addLink(
                f"r{i}",
                f"r{i + 1}",
                params1={"ip": f"{prefix}.1/30"},
                params2={"ip": f"{prefix}.2/30"},
                **self.cable,
            )
        self.addLink("r2", dns, params1={"ip": "10.53.0.1/24"}, **self.cable)
        self.addLink(f"r{routers}", web, params1={"ip": "10.80.0.1/24"}, **self.cable)
        self.name_servers(dns)
        self.web_servers(web, variant, tls)

    @staticmethod
    def routes(router, where):
        """Towards smaller numbers go left, towards larger ones right, along the chain."""
        routes = []
        for network, places in where.items():
            if router in places:
                continue
            if min(places) > router:
                routes.append((network, f"10.{router}{router + 1}.0.2"))
            else:
                routes.append((network, f"10.{router - 1}{router}.0.1"))
        return routes

    def clients(self, lan, count):
        names = ["client", "pc", *(f"pc{i}" for i in range(3, count + 1))][:count]
        for i, name in enumerate(names):
            host = self.addHost(
                name,
                cls=Computer,
                ip=f"10.1.0.{10 + i}/24",
                defaultRoute="via 10.1.0.1",
                nameserver=RESOLVER,
            )
            self.addLink(host, lan, **self.cable)

    def name_servers(self, dns):
        commands = {
            ("resolver", 53): ["dns_resolver.py", "--root", ROOT_SERVER],
            ("root", 2): zones("root"),
            ("com", 3): zones("com"),
            ("ns", 4): zones("itheima.com", "10.in-addr.arpa"),
        }
        for (name, number), command in commands.items():
            host = self.addHost(
                name,
                cls=Server,
                ip=f"10.53.0.{number}/24",
                defaultRoute="via 10.53.0.1",
                nameserver=RESOLVER,
                serves=[command],
            )
            self.addLink(host, dns, **self.cable)

    def web_servers(self, web, variant="", tls=0):
        behave = ["--variant", str(variant)] if variant else []
        serves = [["web_server.py", *behave]]
        if tls:
            names = ["--tls", "www.itheima.com", "--tls", "10.80.0.80"]
            serves.append(["web_server.py", *behave, *names, "--port", "443"])
        common = {"defaultRoute": "via 10.80.0.1", "nameserver": RESOLVER}
        www = self.addHost("www", cls=Server, ip="10.80.0.80/24", serves=serves, **common)
        idle = self.addHost("idle", cls=Computer, ip="10.80.0.81/24", **common)
        self.addLink(www, web, **self.cable)
        self.addLink(idle, web, **self.cable)


topos = {"web": WebTopo}

if __name__ == "__main__":
    from mininet.cli import CLI
    from mininet.net import Mininet
    from mininet.node import RemoteController

    net = Mininet(topo=WebTopo(), controller=RemoteController)
    net.start()
    CLI(net)
    net.stop()
