# SPDX-License-Identifier: Apache-2.0
"""Labs in the formats of Kathará and containerlab, in the manner of their introductory ones.

`LABS` has each as the files of its folder; `checks` are commands on devices that must succeed once
the lab is up (and routes have been learned, where `wait_s` says so), `needs` programs without which
it cannot be tried.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Lab:
    files: Mapping[str, str]
    checks: tuple[tuple[str, str], ...]
    needs: tuple[str, ...] = ()
    wait_s: int = 0
    up: str = ""  # the file that `up` is given, where it is not the folder


def address(number: str, card: int = 0) -> str:
    return f"ip address add {number} dev eth{card}\n"


def _frr(*daemons: str) -> str:
    return "zebra=yes\n" + "".join(f"{name}=yes\n" for name in daemons) + "vtysh_enable=yes\n"


FRR = ("/usr/lib/frr/zebra",)
START = "systemctl start frr\n"
_TRIANGLE = {
    "r1": ("100.0.0.1/30", "100.0.1.1/30", "10.1.0.1/24"),
    "r2": ("100.0.0.2/30", "100.0.2.1/30", "10.2.0.1/24"),
    "r3": ("100.0.1.2/30", "100.0.2.2/30", "10.3.0.1/24"),
}
_TRIANGLE_CONF = (
    'r1[0]="A"\nr1[1]="B"\nr1[2]="L1"\nr2[0]="A"\nr2[1]="C"\nr2[2]="L2"\n'
    'r3[0]="B"\nr3[1]="C"\nr3[2]="L3"\npc1[0]="L1"\npc2[0]="L2"\npc3[0]="L3"\n'
    'r1[image]="kathara/frr"\nr2[image]="kathara/frr"\nr3[image]="kathara/frr"\n'
)


def _triangle(daemon: str, config: Mapping[str, str], wait_s: int) -> Lab:
    files = {"lab.conf": _TRIANGLE_CONF}
    for name, addresses in _TRIANGLE.items():
        lines = [address(each, card) for card, each in enumerate(addresses)]
        files[f"{name}.startup"] = "".join(lines) + "\n" + START
        files[f"{name}/etc/frr/daemons"] = _frr(daemon)
        files[f"{name}/etc/frr/frr.conf"] = config[name]
        files[f"{name}/etc/frr/vtysh.conf"] = f"service integrated-vtysh-config\nhostname {name}\n"
    for number in "123":
        files[f"pc{number}.startup"] = address(f"10.{number}.0.10/24") + (
            f"ip route add default via 10.{number}.0.1 dev eth0\n"
        )
    return Lab(
        files, (("pc1", "ping -c 1 -W 2 10.3.0.10"), ("pc2", "ping -c 1 -W 2 10.1.0.10")), FRR,
        wait_s,
    )  # fmt: skip


_OSPF = """\
interface eth0
 ip ospf hello-interval 1
 ip ospf dead-interval 4
interface eth1
 ip ospf hello-interval 1
 ip ospf dead-interval 4
router ospf
 network 100.0.0.0/8 area 0.0.0.0
 redistribute connected
log file /var/log/frr/frr.log
"""
_RIP = """\
router rip
 timers basic 5 15 10
 redistribute connected
 network 100.0.0.0/8
"""


def _bgp(number: int, *neighbours: tuple[str, int]) -> str:
    lines = [f"router bgp {number}", " no bgp ebgp-requires-policy", " no bgp network import-check",
             " timers bgp 1 3", " bgp default ipv4-unicast"]  # fmt: skip
    for peer, their in neighbours:
        lines += [f" neighbor {peer} remote-as {their}", f" neighbor {peer} timers connect 1",
                  f" neighbor {peer} advertisement-interval 0"]  # fmt: skip
    lines += [" address-family ipv4 unicast", f"  network 10.{number}.0.0/24",
              " exit-address-family"]  # fmt: skip
    return "\n".join(lines) + "\n"


def _zone(name: str, server: str, *records: str) -> str:
    return (
        "$TTL 60000\n"
        f"@ IN SOA {server}. root.{server}. ( 1 28800 14400 3600000 0 )\n"
        f"@ IN NS {server}.\n" + "".join(f"{record}\n" for record in records)
    )


_DNS_CONF = "".join(f'{name}[0]="A"\n' for name in ("pc", "cache", "root", "org", "www"))
_NAMED_LOG = 'options { directory "/var/cache/bind"; dnssec-validation no; '
LABS: dict[str, Lab] = {
    "two-computers": Lab(
        {
            "lab.conf": 'LAB_DESCRIPTION="Two computers"\nLAB_VERSION=1.0\n'
            'pc1[0]="A"  # a comment\npc1[image]="kathara/base"\npc2[0]=A/02:00:00:00:00:99\n',
            "pc1.startup": address("10.0.0.1/24"),
            "pc2.startup": "/sbin/ifconfig eth0 10.0.0.2/24 up 2>/dev/null || \\\n"
            + address("10.0.0.2/24"),
        },
        (("pc1", "ping -c 1 -W 2 10.0.0.2"), ("pc2", "ip link | grep 02:00:00:00:00:99")),
    ),
    "hub": Lab(
        {
            "lab.conf": "".join(f'pc{n}[0]="A"\n' for n in "123"),
            **{f"pc{n}.startup": address(f"10.0.0.{n}/24") for n in "123"},
        },
        (("pc1", "ping -c 1 -W 2 10.0.0.2"), ("pc1", "ping -c 1 -W 2 10.0.0.3")),
    ),
    "bridge": Lab(
        {
            "lab.conf": 'pc1[0]="A"\npc2[0]="B"\npc3[0]="C"\nb1[0]="A"\nb1[1]="B"\nb1[2]="C"\n'
            'b1[ipv6]="false"\n',
            **{f"pc{n}.startup": address(f"10.0.0.{n}/24") for n in "123"},
            "b1.startup": "ip link add mainbridge type bridge\n"
            "for i in 0 1 2; do ip link set dev eth$i master mainbridge; done\n"
            "ip link set up dev mainbridge\n",
        },
        (("pc1", "ping -c 1 -W 2 10.0.0.3"), ("b1", "bridge link | grep eth2")),
    ),
    "static-routing": Lab(
        {
            "lab.conf": 'r1[0]="A"\nr1[1]="B"\nr2[0]="C"\nr2[1]="B"\npc1[0]="A"\npc2[0]="C"\n',
            "pc1.startup": address("195.11.14.5/24") + "ip route add default via 195.11.14.1\n",
            "pc2.startup": address("200.1.1.7/24") + "ip route add default via 200.1.1.1\n",
            "r1.startup": address("195.11.14.1/24") + address("100.0.0.9/30", 1)
            + "ip route add 200.1.1.0/24 via 100.0.0.10 dev eth1\n",
            "r2.startup": address("200.1.1.1/24") + address("100.0.0.10/30", 1)
            + "ip route add 195.11.14.0/24 via 100.0.0.9 dev eth1\n",
        },
        (("pc1", "ping -c 1 -W 2 200.1.1.7"),),
    ),
    "arp": Lab(
        {
            "lab.conf": 'r1[0]="A"\nr1[1]="B"\npc1[0]="A"\npc2[0]="B"\npc3[0]="B"\n',
            "shared.startup": "echo shared > /var/log/shared-was-here\n",
            "pc1.startup": address("195.11.14.5/24") + "ip route add default via 195.11.14.1\n",
            "pc2.startup": address("200.1.1.7/24") + "ip route add default via 200.1.1.1\n",
            "pc3.startup": address("200.1.1.3/24") + "ip route add default via 200.1.1.1\n",
            "r1.startup": address("195.11.14.1/24") + address("200.1.1.1/24", 1),
        },
        (("pc1", "ping -c 1 -W 2 200.1.1.3"), ("pc3", "grep shared /var/log/shared-was-here"),
         ("pc2", "ping -c 1 -W 2 195.11.14.5")),
    ),
    "ipv6": Lab(
        {
            "lab.conf": 'pc1[0]="A"\npc2[0]="B"\nr1[0]="A"\nr1[1]="B"\n'
            + "".join(f'{name}[ipv6]="true"\n' for name in ("pc1", "pc2", "r1")),
            "pc1.startup": "ip addr add 2001:db8:1::2/64 dev eth0 nodad\n"
            "ip -6 route add default via 2001:db8:1::1\n",
            "pc2.startup": "ip addr add 2001:db8:2::2/64 dev eth0 nodad\n"
            "ip -6 route add default via 2001:db8:2::1\n",
            "r1.startup": "ip addr add 2001:db8:1::1/64 dev eth0 nodad\n"
            "ip addr add 2001:db8:2::1/64 dev eth1 nodad\n",
        },
        (("pc1", "ping -c 1 -W 2 2001:db8:2::2"),),
    ),
    "nat": Lab(
        {
            "lab.conf": 'pc1[0]="IN"\npc2[0]="IN"\ngw[0]="IN"\ngw[1]="OUT"\nserver[0]="OUT"\n',
            "pc1.startup": address("192.168.0.2/24") + "ip route add default via 192.168.0.1\n",
            "pc2.startup": address("192.168.0.3/24") + "ip route add default via 192.168.0.1\n",
            "gw.startup": address("192.168.0.1/24") + address("203.0.113.1/24", 1)
            + "iptables -t nat -A POSTROUTING -o eth1 -j MASQUERADE\n",
            "server.startup": address("203.0.113.2/24"),
        },
        (("pc1", "ping -c 1 -W 2 203.0.113.2"), ("pc2", "ping -c 1 -W 2 203.0.113.2"),
         ("server", "! ping -c 1 -W 1 192.168.0.2")),
        ("iptables",),
    ),
    "web-server": Lab(
        {
            "lab.conf": 'client[0]="A"\nserver[0]="A"\nserver[port]="8080:80/tcp"\n',
            "client.startup": address("10.0.0.2/24"),
            "server.startup": address("10.0.0.1/24") + "service apache2 start\n",
            "server/var/www/html/index.html": "<html>it works here</html>\n",
        },
        (("client", "curl -sS http://10.0.0.1/ | grep 'it works here'"),),
        ("apachectl", "curl"),
    ),
    "dns": Lab(
        {
            "lab.conf": _DNS_CONF,
            "pc.startup": address("192.168.0.11/24"),
            "pc/etc/resolv.conf": "nameserver 192.168.0.12\n",
            "cache.startup": address("192.168.0.12/24") + "systemctl start named\n",
            "cache/etc/bind/named.conf": _NAMED_LOG + "recursion yes; allow-recursion { any; };\n"
            "dnssec-enable no;\n};\n"
            'zone "." { type hint; file "/etc/bind/db.root"; };\n',
            "cache/etc/bind/db.root": ". IN NS ROOT-SERVER.\nROOT-SERVER. IN A 192.168.0.5\n",
            "root.startup": address("192.168.0.5/24") + "/etc/init.d/bind9 start\n",
            "root/etc/bind/named.conf": _NAMED_LOG + "};\n"
            'zone "." { type master; file "/etc/bind/db.root"; };\n',
            "root/etc/bind/db.root": _zone(
                ".", "ROOT-SERVER", "ROOT-SERVER. IN A 192.168.0.5", "org. IN NS dnsorg.org.",
                "dnsorg.org. IN A 192.168.0.1",
            ),
            "org.startup": address("192.168.0.1/24") + "service named start\n",
            "org/etc/bind/named.conf": _NAMED_LOG + "};\n"
            'zone "org" { type master; file "/etc/bind/db.org"; };\n',
            "org/etc/bind/db.org": _zone(
                "org", "dnsorg.org", "dnsorg.org. IN A 192.168.0.1", "www.org. IN A 192.168.0.80"
            ),
            "www.startup": address("192.168.0.80/24"),
        },
        (("pc", "ping -c 1 -W 3 www.org"),),
        ("named",), 2,
    ),
    "rip": _triangle("ripd", dict.fromkeys(_TRIANGLE, _RIP), 30),
    "ospf": _triangle("ospfd", dict.fromkeys(_TRIANGLE, _OSPF), 40),
    "bgp": _triangle(
        "bgpd",
        {
            "r1": _bgp(1, ("100.0.0.2", 2), ("100.0.1.2", 3)),
            "r2": _bgp(2, ("100.0.0.1", 1), ("100.0.2.2", 3)),
            "r3": _bgp(3, ("100.0.1.1", 1), ("100.0.2.1", 2)),
        },
        30,
    ),
    "quagga-rip": Lab(
        {
            "lab.conf": 'r1[0]="A"\nr1[1]="B"\nr2[0]="B"\nr2[1]="C"\npc1[0]="A"\npc2[0]="C"\n'
            'r1[image]="kathara/quagga"\nr2[image]="kathara/quagga"\n',
            "pc1.startup": address("10.1.0.2/24") + "ip route add default via 10.1.0.1\n",
            "pc2.startup": address("10.2.0.2/24") + "ip route add default via 10.2.0.1\n",
            "r1.startup": address("10.1.0.1/24") + address("10.9.0.1/30", 1)
            + "/etc/init.d/zebra start\n",
            "r2.startup": address("10.9.0.2/30") + address("10.2.0.1/24", 1)
            + "/etc/init.d/quagga start\n",
            **{
                f"r{n}/etc/{'zebra' if n == '1' else 'quagga'}/{name}": text
                for n in "12"
                for name, text in {
                    "daemons": "zebra=yes\nbgpd=no\nospfd=no\nripd=yes\n",
                    "zebra.conf": "hostname zebra\npassword zebra\nenable password zebra\n",
                    "ripd.conf": "hostname ripd\npassword zebra\n!\n"
                    + _RIP.replace("100.0", "10.0"),
                }.items()
            },
        },
        (("pc1", "ping -c 1 -W 2 10.2.0.2"),), FRR, 30,
    ),
    "slow-cable": Lab(
        {
            "lab.conf": 'pc1[0]="A"\npc2[0]="A"\npc3[0]="B"\npc3[1]="C"\n',
            "pc1.startup": address("10.0.0.1/24")
            + "tc qdisc add dev eth0 root netem delay 40ms loss 0%\n",
            "pc2.startup": address("10.0.0.2/24"),
        },
        (("pc1", "ping -c 2 -W 2 10.0.0.2 | grep -E 'min/avg.* = [4-9][0-9]'"),
         ("pc3", "ip link show eth1 | grep LOWER_UP")),
    ),
    "clab-two-hosts": Lab(
        {
            "two.clab.yml": """\
name: two
mgmt:
  network: custom
topology:
  defaults:
    kind: linux
  nodes:
    pc1:
      image: alpine:3
      exec:
        - ip addr add 10.0.0.1/24 dev eth1
        - sh -c "ip route add default via 10.0.0.254 && test $GREETING = hello"
      env: {GREETING: hello}
    pc2:
      image: alpine:3
      binds:
        - motd:/etc/motd
        - conf/:/etc/my app:ro
      exec: ["ip addr add 10.0.0.2/24 dev eth1"]
  links:
    - endpoints: ["pc1:eth1", "pc2:eth1"]
""",
            "motd": "welcome to pc2\n",
            "conf/a": "a\n",
        },
        (("pc1", "ping -c 1 -W 2 10.0.0.2"), ("pc2", "grep welcome /etc/motd"),
         ("pc2", "cat '/etc/my app/a'"), ("pc1", "ip route | grep 10.0.0.254"),
         ("pc1", "! grep welcome /etc/motd")),
        up="two.clab.yml",
    ),
    "clab-bridge": Lab(
        {
            "lan.clab.yml": """\
name: lan
topology:
  groups:
    pcs: {kind: linux, image: "alpine:3"}
  nodes:
    br1: {kind: bridge}
    pc1: {group: pcs, exec: ["ip addr add 10.0.0.1/24 dev eth1"]}
    pc2: {group: pcs, exec: ["ip addr add 10.0.0.2/24 dev eth1"]}
    pc3: {group: pcs, exec: ["ip addr add 10.0.0.3/24 dev eth1"]}
  links:
    - endpoints: ["pc1:eth1", "br1:eth1"]
    - endpoints: ["pc2:eth1", "br1:eth2"]
    - endpoints: ["br1:eth3", "pc3:eth1"]
""",
        },
        (("pc1", "ping -c 1 -W 2 10.0.0.2"), ("pc3", "ping -c 1 -W 2 10.0.0.1")),
        up="lan.clab.yml",
    ),
    "clab-frr": Lab(
        {
            "frr01.clab.yml": """\
name: frr01
topology:
  nodes:
    router1:
      kind: linux
      image: frrouting/frr:v7.5.1
      binds: ["router1/daemons:/etc/frr/daemons", "router1/frr.conf:/etc/frr/frr.conf"]
    router2:
      kind: linux
      image: frrouting/frr:v7.5.1
      binds: ["router2/daemons:/etc/frr/daemons", "router2/frr.conf:/etc/frr/frr.conf"]
    PC1:
      kind: linux
      image: praqma/network-multitool:latest
      exec: ["ip addr add 192.168.11.2/24 dev eth1", "ip route add 192.168.0.0/16 via 192.168.11.1"]
    PC2:
      kind: linux
      image: praqma/network-multitool:latest
      exec: ["ip addr add 192.168.12.2/24 dev eth1", "ip route add 192.168.0.0/16 via 192.168.12.1"]
  links:
    - endpoints: ["router1:eth1", "router2:eth1"]
    - endpoints: ["PC1:eth1", "router1:eth3"]
    - endpoints: ["PC2:eth1", "router2:eth3"]
""",
            **{
                f"router{n}/{name}": text
                for n in "12"
                for name, text in {
                    "daemons": _frr("ospfd"),
                    "frr.conf": f"hostname router{n}\ninterface eth1\n"
                    f" ip address 192.168.1.{n}/24\n"
                    " ip ospf network point-to-point\n ip ospf hello-interval 1\n"
                    " ip ospf dead-interval 4\n"
                    f"interface eth3\n ip address 192.168.1{n}.1/24\n"
                    "router ospf\n network 192.168.0.0/16 area 0.0.0.0\n",
                }.items()
            },
        },
        (("PC1", "ping -c 1 -W 2 192.168.12.2"),), FRR, 30, up="frr01.clab.yml",
    ),
}  # fmt: skip


def written(name: str, folder: Path) -> Path:
    """Write a lab; returns what `up` is to be given."""
    for path, text in LABS[name].files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return folder / LABS[name].up if LABS[name].up else folder
