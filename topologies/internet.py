# SPDX-License-Identifier: Apache-2.0
"""A small internet: client LANs, a ring of routers, a tree of name servers, web sites.

    pc1  pc2                            pc3  pc4
     |    |                              |    |
    -+----+--- s1                       -+----+--- s2        LAN n     10.n.0.0/24
               |                                   |
      root --- r1 ----------------------- r2 -----+          cables    10.255.k.0/30
       ns2 ----+ +-----------+            +--- com, resolver, site2
     site1 ----+             |            |
               |             |            |                  each server has a cable to its router
               r4 ---------- r3 ----------+                  and a subnet of its own:
               |             |                               root 10.50.0.2  com 10.51.0.2
              ns1            +--- org, site3                 org  10.52.0.2  ns1 10.53.0.2
                                                             ns2  10.54.0.2  resolver 10.55.0.2
    This is what it looks like without parameters.           site k 10.(60+k).0.2

What to see: a name is found by asking root, com or org, and ns1 or ns2 in turn; a packet takes the
shortest way from router to router, and traceroute knows each by name. Cut a cable (hoplab exec r1
-- ip link set r1-eth1 down) and it does not find another way: these routes are static.

    hoplab visit --topology internet
    hoplab up internet,lans=3,routers=6 ; hoplab exec pc1 -- traceroute www.red.com
    hoplab visit --topology internet,nat=1 --from home1
    hoplab visit --topology internet,ipv6=1 http://www6.blue.com/
    hoplab run -- sh -c 'ryu-manager controllers/learning_switch.py &
        python3 topologies/internet.py'
    sudo mn --custom topologies/internet.py --topo internet,lans=3 --controller remote
    sudo python3 topologies/internet.py     (with `ryu-manager controllers/learning_switch.py`)

Parameters: routers (3 to 8), lans (1 to 8), clients (in each LAN, 1 to 20), sites (1 to 8),
nat (1: a home behind one address, with home1 and home2), dhcp (1: the home's computers ask for
their addresses; implies nat), ipv6 (1: fd00:... beside 10....), rate (what a cable carries, as in
rate=10M: 10k to 1G bits a second; without it, as much as the machine can).
"""

import os
import sys
from collections import deque
from functools import partial

sys.path.insert(0, os.path.dirname(os.path.abspath(sys._getframe().f_code.co_filename)))

from cables import cable
from mininet.topo import Topo
from nodes import Computer, DhcpComputer, HomeRouter, Router, Server, require

SITES = "blue.com red.com green.org gold.org pink.com teal.org lime.com navy.org".split()
SERVERS = {"root": 50, "com": 51, "org": 52, "ns1": 53, "ns2": 54, "resolver": 55}
HEAD = "$ORIGIN {0}\n$TTL 3600\n@ IN SOA {1} hostmaster.isp.com. 1 1800 900 604800 60\n"


class Subnet:
    """One network: its number, and which routers have which address in it."""

    def __init__(self, prefix, prefix6, length=24):
        self.prefix, self.prefix6, self.length = prefix, prefix6, length
        self.routers = {}  # router -> last number of its address

    def ip(self, last):
        return f"{self.prefix}.{last}"

    def ip6(self, last):
        return f"{self.prefix6}::{last}"


class Plan:
    """The whole internet as data: who is wired to whom, with which addresses and routes."""

    def __init__(self, routers, lans, sites):
        self.routers = [f"r{i}" for i in range(1, routers + 1)]
        self.subnets = {}
        ring = [(i, (i + 1) % routers) for i in range(routers)]
        chord = [(0, routers // 2)] if routers > 3 else []
        self.cables = []  # (router, router, subnet)
        for k, (a, b) in enumerate(ring + chord):
            subnet = Subnet(f"10.255.{k}", f"fd00:255:{k}", 30)
            subnet.routers = {self.routers[a]: 1, self.routers[b]: 2}
            self.cables.append((self.routers[a], self.routers[b], subnet))
            self.subnets[f"cable{k}"] = subnet
        for n in range(1, lans + 1):
            self.attach(f"s{n}", n, n - 1)
        for place, (name, number) in enumerate(SERVERS.items()):
            self.attach(name, number, place)
        for k in range(1, sites + 1):
            self.attach(f"site{k}", 60 + k, k - 1)

    def attach(self, name, number, place):
        """A subnet 10.NUMBER.0.0/24 behind one router, which is .1 in it."""
        subnet = Subnet(f"10.{number}.0", f"fd00:{number}")
        subnet.routers = {self.routers[place % len(self.routers)]: 1}
        self.subnets[name] = subnet

    def neighbours(self, router):
        """(the neighbour, its address there, the same in IPv6), cable by cable."""
        for a, b, subnet in self.cables:
            if router in (a, b):
                neighbour = b if router == a else a
                last = subnet.routers[neighbour]
                yield neighbour, subnet.ip(last), subnet.ip6(last)

    def first_hops(self, router):
        """Router -> the neighbour to go through, on a shortest way: a search in widening rings."""
        hops: dict[str, tuple[str, str] | None] = {router: None}
        queue = deque([router])
        while queue:
            current = queue.popleft()
            for neighbour, ip, ip6 in self.neighbours(current):
                if neighbour not in hops:
                    hops[neighbour] = (ip, ip6) if current == router else hops[current]
                    queue.append(neighbour)
        return hops

    def routes(self, router):
        """((network, next hop), ...) in IPv4 and in IPv6, for all networks that are not its own."""
        first = self.first_hops(router)
        order = list(first)  # nearest first
        routes, routes6 = [], []
        for subnet in self.subnets.values():
            if router in subnet.routers:
                continue
            nearest = min(subnet.routers, key=order.index)
            ip, ip6 = first[nearest]
            routes.append((f"{subnet.prefix}.0/{subnet.length}", ip))
            routes6.append((f"{subnet.prefix6}::/64", ip6))
        return routes, routes6


def backwards(address):
    """The name of an IPv4 address: 10.1.0.2 -> 2.0.1.10.in-addr.arpa."""
    return ".".join(reversed(address.split("."))) + ".in-addr.arpa."


def backwards6(address):
    """The name of an IPv6 address with one :: in it, digit by digit."""
    left, right = (part.split(":") for part in address.split("::"))
    groups = left + ["0"] * (8 - len(left) - len(right)) + right
    digits = "".join(group.zfill(4) for group in groups)
    return ".".join(reversed(digits)) + ".ip6.arpa."


class InternetTopo(Topo):
    """The whole picture. The attributes are what hoplab takes unless told otherwise."""

    controller = "learning_switch"
    url = "http://www.blue.com/"
    client = "pc1"

    def build(self, routers=4, lans=2, clients=2, sites=3, nat=0, dhcp=0, ipv6=0, rate=""):
        limits = [(routers, 3, 8), (lans, 1, 8), (clients, 1, 20), (sites, 1, 8)]
        if any(not low <= number <= high for number, low, high in limits):
            raise ValueError("give 3 to 8 routers, 1 to 8 lans, 1 to 20 clients, 1 to 8 sites")
        self.plan = Plan(routers, lans, sites)
        self.ipv6 = ipv6
        self.options = cable(rate)  # of every cable
        self.names = []  # (name, IPv4 address, IPv6 address): all that the zones speak of
        if nat or dhcp:
            self.plan.attach("home", 90, 0)
        self.collect_names(lans, clients, sites)
        for router in self.plan.routers:
            self.add_router(router)
        for a, b, subnet in self.plan.cables:
            self.cable(a, b, subnet)
        number = 0
        for n in range(1, lans + 1):
            switch = self.addSwitch(f"s{n}")
            subnet = self.plan.subnets[f"s{n}"]
            self.to_router(switch, subnet)
            for i in range(clients):
                number += 1
                host = self.computer(f"pc{number}", subnet, 10 + i)
                self.addLink(host, switch, **self.options)
        for name in SERVERS:
            self.server(name, self.dns_command(name), self.files(name))
        for k in range(1, sites + 1):
            self.server(f"site{k}", ["web_server.py", *self.listen()], {})
        if nat or dhcp:
            self.add_home(f"s{lans + 1}", dhcp)

    # ---- nodes and cables

    def add_router(self, name):
        """A router, with the addresses of all its interfaces in the order of its links, which is
        that of the plan's subnets."""
        routes, routes6 = self.plan.routes(name)
        mine = [s for s in self.plan.subnets.values() if name in s.routers]
        first = mine[0]
        params = {"ip": f"{first.ip(first.routers[name])}/{first.length}", "routes": routes}
        if self.ipv6:
            params["ip6"] = [f"{s.ip6(s.routers[name])}/64" for s in mine]
            params["routes6"] = routes6
        self.addHost(name, cls=Router, **params)

    def cable(self, a, b, subnet):
        self.addLink(
            a,
            b,
            params1={"ip": f"{subnet.ip(subnet.routers[a])}/30"},
            params2={"ip": f"{subnet.ip(subnet.routers[b])}/30"},
            **self.options,
        )

    def to_router(self, node, subnet):
        """Wire a switch or a host to the router of its subnet."""
        [(router, last)] = subnet.routers.items()
        self.addLink(router, node, params1={"ip": f"{subnet.ip(last)}/24"}, **self.options)

    def where(self, subnet, last):
        """What a host in SUBNET needs to know about its network."""
        params = {
            "ip": f"{subnet.ip(last)}/24",
            "defaultRoute": f"via {subnet.ip(1)}",
            "nameserver": self.plan.subnets["resolver"].ip(2),
        }
        if self.ipv6:
            params["ip6"] = [f"{subnet.ip6(last)}/64"]
            params["routes6"] = [("default", subnet.ip6(1))]
        return params

    def computer(self, name, subnet, last):
        return self.addHost(name, cls=Computer, **self.where(subnet, last))

    def server(self, name, command, files):
        subnet = self.plan.subnets[name]
        self.addHost(name, cls=Server, serves=[command], files=files, **self.where(subnet, 2))
        self.to_router(name, subnet)

    def add_home(self, switch, dhcp):
        """A home: one address outside, 192.168.1.0/24 inside, as most homes are."""
        require("nft", "iptables", package="nftables")
        if dhcp:
            require("dnsmasq", package="dnsmasq-base")
            require("udhcpc", package="udhcpc")
        outside = self.plan.subnets["home"]
        params = self.where(outside, 2)
        self.addHost("home", cls=HomeRouter, inside="192.168.1.1/24", dhcp=dhcp, **params)
        self.to_router("home", outside)
        self.addSwitch(switch)
        self.addLink("home", switch, params1={"ip": "192.168.1.1/24"}, **self.options)
        for i in (1, 2):
            params = {"nameserver": self.plan.subnets["resolver"].ip(2)}
            if dhcp:
                host = self.addHost(f"home{i}", cls=DhcpComputer, ip=None, **params)
            else:
                params |= {"ip": f"192.168.1.{9 + i}/24", "defaultRoute": "via 192.168.1.1"}
                host = self.addHost(f"home{i}", cls=Computer, **params)
            self.addLink(host, switch, **self.options)

    # ---- names

    def listen(self):
        return ["--listen", "::"] if self.ipv6 else []

    def dns_command(self, name):
        if name == "resolver":
            root = self.plan.subnets["root"]
            command = ["dns_resolver.py", "--root", f"a.root-servers.lab.={root.ip(2)}"]
            if self.ipv6:
                command += ["--root", f"a.root-servers.lab.={root.ip6(2)}"]
            return command + self.listen()
        command = ["dns_server.py", *self.listen()]
        for file in self.files(name):
            command += ["--zone", f"/mnt/{file}"]
        return command

    def address(self, name, subnet, last):
        """Remember a name for the zones."""
        self.names.append((name, subnet.ip(last), subnet.ip6(last)))

    def collect_names(self, lans, clients, sites):
        """A name for every interface: hosts by what they are, routers by where the cable goes."""
        subnets = self.plan.subnets
        for a, b, subnet in self.plan.cables:
            for near, far in ((a, b), (b, a)):
                self.address(f"to-{far}.{near}.isp.com.", subnet, subnet.routers[near])
        for name, subnet in subnets.items():
            if not name.startswith("cable"):
                [(router, last)] = subnet.routers.items()
                self.address(f"to-{name}.{router}.isp.com.", subnet, last)
        for n in range(1, lans + 1):
            for i in range(clients):
                number = (n - 1) * clients + i + 1
                self.address(f"pc{number}.isp.com.", subnets[f"s{n}"], 10 + i)
        for name, server_name in (
            ("root", "a.root-servers.lab."), ("com", "a.gtld.lab."), ("org", "b.gtld.lab."),
            ("ns1", "ns1.isp.com."), ("ns2", "ns2.isp.com."), ("resolver", "resolver.isp.com."),
        ):  # fmt: skip
            self.address(server_name, subnets[name], 2)
        for k in range(1, sites + 1):
            self.address(f"www.{SITES[k - 1]}.", subnets[f"site{k}"], 2)
        if "home" in subnets:
            self.address("home.isp.com.", subnets["home"], 2)
        self.sites = SITES[:sites]

    def addresses(self, *names):
        """The A and AAAA records of NAMES; with a name's dot at the end they fit any zone."""
        lines = []
        for name, ip, ip6 in self.names:
            if name in names:
                lines.append(f"{name} IN A {ip}")
                if self.ipv6:
                    lines.append(f"{name} IN AAAA {ip6}")
        return lines

    def files(self, server):
        """The master files of a name server: file name -> text."""
        isp = ["ns1.isp.com.", "ns2.isp.com."]
        own = {
            "root": {"root.zone": self.root_zone},
            "com": {"com.zone": lambda: self.tld_zone("com", "a.gtld.lab.", isp)},
            "org": {"org.zone": lambda: self.tld_zone("org", "b.gtld.lab.", isp)},
            "resolver": {},
        }.get(server)
        if own is None:  # ns1 and ns2 serve the same zones
            own = {"isp.com.zone": self.isp_zone, "10.zone": self.reverse_zone}
            if self.ipv6:
                own["fd00.zone"] = self.reverse6_zone
            for site in self.sites:
                own[f"{site}.zone"] = partial(self.site_zone, site)
        return {file: make() for file, make in own.items()}

    def root_zone(self):
        servers = ["a.root-servers.lab.", "a.gtld.lab.", "b.gtld.lab."]
        lines = ["@ IN NS a.root-servers.lab.", "com. IN NS a.gtld.lab.", "org. IN NS b.gtld.lab."]
        for zone in ["10.in-addr.arpa."] + ["0.0.d.f.ip6.arpa."] * bool(self.ipv6):
            lines += [f"{zone} IN NS ns1.isp.com.", f"{zone} IN NS ns2.isp.com."]
        return self.zone(".", servers[0], lines + self.addresses(*servers))

    def tld_zone(self, top, server, isp):
        """All it does is to delegate. In com. the glue of ns1.isp.com. is at home; from org. a
        resolver has to go and ask com. for it."""
        lines = [f"@ IN NS {server}"]
        for domain in [site for site in (*self.sites, "isp.com") if site.endswith("." + top)]:
            lines += [f"{domain}. IN NS {name}" for name in isp]
        return self.zone(top + ".", server, lines + (self.addresses(*isp) if top == "com" else []))

    def isp_zone(self):
        isp_names = [name for name, _, _ in self.names if name.endswith(".isp.com.")]
        lines = ["@ IN NS ns1", "@ IN NS ns2", *self.addresses(*isp_names)]
        return self.zone("isp.com.", "ns1.isp.com.", lines)

    def site_zone(self, site):
        lines = ["@ IN NS ns1.isp.com.", "@ IN NS ns2.isp.com.", "@ IN MX 10 mail.isp.com."]
        lines += ["blog IN CNAME www", *self.addresses(f"www.{site}.")]
        _, ip, ip6 = next(entry for entry in self.names if entry[0] == f"www.{site}.")
        lines.append(f"@ IN A {ip}")
        if self.ipv6:
            lines.append(f"www6 IN AAAA {ip6}  ; an IPv6 address alone")
        return self.zone(site + ".", "ns1.isp.com.", lines)

    def reverse_zone(self):
        lines = ["@ IN NS ns1.isp.com.", "@ IN NS ns2.isp.com."]
        lines += [f"{backwards(ip)} IN PTR {name}" for name, ip, _ in self.names]
        return self.zone("10.in-addr.arpa.", "ns1.isp.com.", lines)

    def reverse6_zone(self):
        lines = ["@ IN NS ns1.isp.com.", "@ IN NS ns2.isp.com."]
        lines += [f"{backwards6(ip6)} IN PTR {name}" for name, _, ip6 in self.names]
        return self.zone("0.0.d.f.ip6.arpa.", "ns1.isp.com.", lines)

    @staticmethod
    def zone(origin, server, lines):
        return HEAD.format(origin, server) + "\n".join(lines) + "\n"


topos = {"internet": InternetTopo}

if __name__ == "__main__":
    from mininet.cli import CLI
    from mininet.net import Mininet
    from mininet.node import RemoteController

    net = Mininet(topo=InternetTopo(), controller=RemoteController)
    net.start()
    CLI(net)
    net.stop()
