# SPDX-License-Identifier: Apache-2.0
"""The kinds of runs that an independent oracle judges, as data.

What lives here: which lab, what is broken in it, what goes on beside, and the commands that are
told. What must not: how a run is made (`campaign.py`), what is true of it (`oracle.py`).

Words in braces are chosen by the seed, from `CHOICES` or from those of the kind. `HERE` is this
folder. A line of `before` and `beside` begins with a host; one that begins with '!' is a verb of
hoplab. Lines of `beside` run while the commands do and may begin with '+SECONDS' to wait first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

CHOICES: dict[str, tuple[str, ...]] = {
    "n": ("1", "2", "3", "4"),
    "size": ("56", "10", "900", "1472"),
    "from": ("h1", "h3"),
    "to": ("10.0.0.2", "10.0.0.4"),
    "gap": ("0.2", "0.3"),
}


@dataclass(frozen=True)
class Kind:
    """up: arguments of `hoplab up`. runs: arguments of `hoplab trace`, or with 'visit' in front
    those of `visit`; each makes a run."""

    name: str
    up: str
    runs: tuple[str, ...]
    before: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


PING = "{from} -- ping -c {n} -i {gap} -s {size} -W 1 {to}"
ONE = "h1 -- ping -c 1 -W 1 10.0.0.2"
FAR = "h1 -- ping -c {n} -i {gap} -W 1 10.0.2.{far}"
FAR_ENDS: Mapping[str, tuple[str, ...]] = {"far": ("10", "11")}
WEB = "http://www.itheima.com/"
SERVE = "python3 -m http.server 8000 --directory /usr/share/doc/bash"
LISTEN = "until ss -Hltn | grep -q ':{0} '; do sleep 0.1; done"
DNSMASQ = (
    "dnsmasq --port=0 --no-ping --bind-interfaces --interface=h1-eth0 --pid-file= "
    "--user=root --dhcp-range=10.0.0.50,10.0.0.60,600 --no-hosts -C /dev/null "
    "--dhcp-leasefile=/tmp/leases"
)
UDHCPC = "h3 -- udhcpc -f -n -q -t 2 -T 1 -i h3-eth0 -s /bin/true"


def ours(name: str) -> str:
    return f"--controller {name}"


def foreign(name: str) -> str:
    return f"--controller HERE/controllers/{name}.py"


KINDS: tuple[Kind, ...] = (
    # One cable, hubs, switches.
    Kind("cable", "cable", ("h1 -- ping -c {n} -i 0.2 -s {size} 192.168.1.2",
                            "h2 -- ping -c {n} -i 0.2 192.168.1.1")),
    Kind("hub", "hub", (PING, PING)),
    Kind("switch", "switch", (PING, PING)),
    Kind("switch-large", "switch,n=8", ("h1 -- ping -c {n} -i 0.2 10.0.0.7",),
         beside=("h5 ping -c {n} -i 0.2 10.0.0.2",)),
    Kind("two-table", f"switch {ours('two_table_switch')}", (PING, PING)),
    Kind("linear", "linear,4", (PING, "h1 -- ping -c {n} -i 0.2 10.0.0.4")),
    Kind("tree", "tree", (PING, ONE)),
    Kind("simple-switch-10", "switch --controller ryu.app.simple_switch", (PING, PING)),
    Kind("simple-switch-12", "switch --controller ryu.app.simple_switch_12", (PING, PING)),
    Kind("simple-switch-13", "switch --controller ryu.app.simple_switch_13", (PING, PING)),
    Kind("simple-switch-15", "switch --controller ryu.app.simple_switch_15", (PING, PING)),
    Kind("firewall", f"switch {ours('firewall')}", (PING, "h1 -- curl -s -m 1 10.0.0.2")),
    Kind("vlan-controller", f"switch {foreign('vlan_path')}",
         ("h1 -- ping -c {n} -i 0.2 -W 1 10.0.0.2",), before=(
             "h1 ip neigh replace 10.0.0.2 lladdr 02:00:00:00:02:00 dev h1-eth0",
             "h2 ip neigh replace 10.0.0.1 lladdr 02:00:00:00:01:00 dev h2-eth0")),
    Kind("rewriting-controller", f"switch {foreign('rewriting')}",
         ("h1 -- ping -c {n} -i 0.2 -W 1 10.0.0.2", "h1 -- ping -c 1 -W 1 10.0.0.3")),
    Kind("mirror-controller", f"switch {foreign('mirror')}",
         ("h1 -- ping -c {n} -i 0.2 -W 1 10.0.0.2",)),
    Kind("balancer-controller", f"switch {foreign('balancer')}",
         ("h1 -- curl -s -m 5 http://10.0.0.100/", "h4 -- curl -s -m 5 http://10.0.0.100/"),
         before=("&h2 python3 -m http.server 80", "&h3 python3 -m http.server 80",
                 "h1 sleep 2")),
    Kind("silent-controller", f"switch {foreign('silent')}", (ONE,)),
    # Routers.
    Kind("routed", "routed", (FAR, FAR), choices=FAR_ENDS),
    Kind("routed-three", "routed,subnets=3", (FAR, "h1 -- ping -c {n} -i 0.2 10.0.3.10"),
         choices=FAR_ENDS),
    Kind("router-controller", "web_openflow", ("visit", "visit http://nosuch.itheima.com/")),
    Kind("traceroute", "web", ("client -- traceroute -n -q 1 -w 1 10.80.0.80",
                               "client -- traceroute -n -I -q 1 -w 1 10.80.0.80",
                               "client -- traceroute -n -T -q 1 -w 1 10.80.0.80")),
    Kind("ttl-expiry", "web", ("client -- ping -c 1 -t {n} -W 1 10.80.0.80",)),
    Kind("must-not-fragment", "routed", (
        "h1 -- ping -c 1 -W 1 -M do -s 1400 10.0.2.11",
        "h1 -- ping -c 2 -i 0.3 -W 1 -M dont -s 1400 10.0.2.10"),
         before=("r1 ip link set r1-eth1 mtu 1000",)),
    Kind("fragments", "switch", ("h1 -- ping -c {n} -i 0.2 -s {large} 10.0.0.2",),
         choices={"large": ("2000", "4000", "9000")}),
    Kind("nat", "internet,nat=1", ("home1 -- ping -c {n} -i 0.2 -W 1 10.60.0.2",
                                   "visit --from home1 http://www.blue.com/")),
    # Fetches and names.
    Kind("visit", "web", ("visit", "visit", "visit http://10.80.0.80/")),
    Kind("visit-closed", "web", ("visit http://closed.itheima.com/",
                                 "visit http://www.itheima.com:81/")),
    Kind("visit-missing-page", "web", (f"visit {WEB}nosuch.html",)),
    Kind("visit-variants", "web,variant={variant}", ("visit",),
         choices={"variant": ("http1.0", "no-keep-alive", "reset")}),
    Kind("visit-tls", "web,tls=1", ("visit https://www.itheima.com/",)),
    Kind("curl", "web", (f"client -- curl -s -m 5 -o /dev/null {WEB}",
                         f"client -- curl -s -I -m 5 {WEB}",
                         "client -- curl -s -m 2 http://10.80.0.81/")),
    Kind("parallel-clients", "web,clients=3", (
        f"client -- sh -c 'curl -s -o /dev/null {WEB} & curl -s -o /dev/null {WEB}; wait'",
        f"client -- curl -s -o /dev/null {WEB}"), beside=(f"pc curl -s -o /dev/null {WEB}",)),
    Kind("internet", "internet", ("visit http://www.red.com/",
                                  "pc1 -- ping -c {n} -i 0.2 -W 1 10.61.0.2")),
    Kind("nxdomain", "web", ("client -- dig +tries=1 +time=2 nosuch.itheima.com",
                             "visit http://nosuch.itheima.com/")),
    Kind("dns-kinds", "web", ("client -- dig +tries=1 +time=2 {type} www.itheima.com",
                              "client -- dig +tcp +tries=1 +time=2 www.itheima.com",
                              "client -- dig +tries=1 +time=2 -x 10.80.0.80"),
         choices={"type": ("AAAA", "A", "TXT", "NS", "MX")}),
    Kind("dns-cname", "internet", ("pc1 -- dig +tries=1 +time=2 blue.com",
                                   "pc1 -- dig +tries=1 +time=2 www.green.org AAAA")),
    Kind("dns-dead-server", "web", (
        "client -- dig +tries=1 +time=1 @10.53.0.99 www.itheima.com",
        "client -- dig +tries=1 +time=1 @10.80.0.81 www.itheima.com")),
    # Hosts that are set wrong.
    Kind("no-such-host", "switch", ("h1 -- ping -c 1 -W 1 10.0.0.99",)),
    Kind("missing-gateway", "routed", (FAR,), before=("h1 ip route del default",),
         choices=FAR_ENDS),
    Kind("missing-way-back", "routed", ("h1 -- ping -c 1 -W 1 10.0.2.10",),
         before=("h3 ip route del default",)),
    Kind("wrong-mask", "routed", ("h1 -- ping -c 1 -W 1 10.0.2.10",),
         before=("h1 ip addr flush dev h1-eth0", "h1 ip addr add 10.0.1.10/8 dev h1-eth0")),
    Kind("link-down", "switch", (ONE,), before=("h2 ip link set h2-eth0 down",)),
    Kind("link-down-up", "switch", ("h1 -- ping -c 8 -i 0.3 -W 1 10.0.0.2",),
         beside=("+0.8 h2 ip link set h2-eth0 down", "+1.6 h2 ip link set h2-eth0 up")),
    Kind("filter-drop", "switch", ("h1 -- ping -c {n} -i 0.2 -W 1 10.0.0.2",),
         before=("h2 iptables -A INPUT -p icmp -j DROP",)),
    Kind("filter-drop-router", "routed", ("h1 -- ping -c 1 -W 1 10.0.2.10",),
         before=("r1 iptables -A FORWARD -p icmp -j DROP",)),
    Kind("duplicate-address", "switch", (
        "h1 -- ping -c 1 -W 1 10.0.0.2",
        "h1 -- sh -c 'ip neigh flush dev h1-eth0; ping -c 1 -W 1 10.0.0.2'"),
         before=("h3 ip addr add 10.0.0.2/24 dev h3-eth0",)),
    Kind("moved-host", "switch", (
        ONE,
        "h3 -- sh -c 'ip addr add 10.0.0.2/24 dev h3-eth0; arping -c 1 -U -I h3-eth0 10.0.0.2; "
        "ping -c 1 -W 1 10.0.0.1'", ONE)),
    # TCP and UDP between hosts.
    Kind("iperf-switch", "switch,rate=10M", ("h1 -- iperf -c 10.0.0.2 -t {t} -y C",),
         before=("h2 iperf -s -D",), choices={"t": ("0.3", "0.5")}),
    Kind("iperf-hub-full", "hub,rate=5M", ("h1 -- iperf -c 10.0.0.2 -t 0.4 -y C",),
         before=("h2 iperf -s -D", "h4 iperf -s -D"),
         beside=("h3 iperf -c 10.0.0.4 -t 0.4 -y C",)),
    Kind("udp-full-queue", "switch,rate=2M", ("h1 -- iperf -u -c 10.0.0.2 -b {b} -t 0.4 -y C",),
         before=("h2 iperf -s -u -D",), choices={"b": ("1M", "4M", "8M")}),
    Kind("iperf-other-way", "switch,rate=10M", ("h1 -- iperf -c 10.0.0.2 -n {bytes} -R",),
         before=("h2 iperf -s -D",), choices={"bytes": ("100K", "300K")}),
    Kind("file-server", "switch", ("h1 -- curl -s -m 5 -o /dev/null http://10.0.0.2:8000/{file}",
                                   "h1 -- curl -s -m 5 http://10.0.0.2:8000/nosuch"),
         before=(f"&h2 {SERVE}", f"h2 sh -c \"{LISTEN.format(8000)}\""),
         choices={"file": ("", "copyright", "changelog.Debian.gz")}),
    Kind("tcp-refused", "switch", ("h1 -- curl -s -m 2 http://10.0.0.2:81/",
                                   "h1 -- busybox nc -w 1 10.0.0.4 9 -e true")),
    Kind("udp-closed-port", "switch", (
        "h1 -- python3 HERE/programs/datagram.py 10.0.0.2 {port} hello",
        "h1 -- dig +tries=1 +time=1 @10.0.0.2 www.itheima.com"),
         choices={"port": ("9", "7777", "40000")}),
    Kind("udp-echo", "switch", ("h1 -- python3 HERE/programs/datagram.py 10.0.0.2 7 {word}",),
         before=("&h2 python3 HERE/programs/echo.py 7", "h2 sleep 0.5"),
         choices={"word": ("a", "hello", "hellohellohello")}),
    Kind("reader-that-stops", "switch", (
        "h1 -- python3 HERE/programs/pour.py 10.0.0.2 9000 3000000",),
         before=("&h2 python3 HERE/programs/stops_reading.py 9000",
                 f"h2 sh -c \"{LISTEN.format(9000)}\"")),
    Kind("greeting-server", "switch", ("h1 -- busybox nc -w 1 10.0.0.2 2525",),
         before=("&h2 python3 HERE/programs/greets.py 2525",
                 f"h2 sh -c \"{LISTEN.format(2525)}\"")),
    # DHCP, IPv6.
    Kind("dhcp", "switch", (UDHCPC, UDHCPC), before=(f"&h1 {DNSMASQ} -d", "h1 sleep 0.7")),
    Kind("dhcp-no-server", "switch", (UDHCPC,)),
    Kind("ipv6", "switch --ipv6", ("h1 -- ping -6 -c {n} -i 0.2 -W 1 fd00::2",
                                   "h1 -- ping -6 -c 1 -W 1 fd00::99"),
         before=("h1 ip addr add fd00::1/64 dev h1-eth0 nodad",
                 "h2 ip addr add fd00::2/64 dev h2-eth0 nodad")),
    Kind("ipv6-internet", "internet,ipv6=1", ("visit http://www6.blue.com/",)),
    # Loops, storms, swaps, several at once, a capture with gaps.
    Kind("loop-spanning-tree", "loop", ("h1 -- ping -c {n} -i 0.2 -W 1 10.0.0.2",
                                        "h3 -- ping -c {n} -i 0.2 -W 1 10.0.0.1")),
    Kind("loop-storm", f"loop {ours('hub')}", ("h1 -- ping -c 1 -W 1 10.0.0.2",)),
    Kind("swap-in-traffic", "switch", ("h1 -- ping -c 12 -i 0.15 -W 1 10.0.0.2",),
         beside=("+0.5 !swap {new}",), choices={"new": ("hub", "two_table_switch")}),
    Kind("swap-hub-first", f"switch {ours('hub')}", ("h1 -- ping -c 8 -i 0.2 10.0.0.4", PING),
         beside=("+0.4 !swap learning_switch",)),
    Kind("busy-beside", "switch", ("h3 -- ping -c {n} -i 0.2 10.0.0.4",),
         beside=("h1 ping -q -i 0.01 -w 3 10.0.0.2",)),
    Kind("several-at-once", "", (
        "--compare hub,{with} --topology switch -- h1: ping -c {n} -i 0.2 10.0.0.2 + "
        "h2: ping -c 2 -i 0.2 10.0.0.3 + h4: ping -c 1 -W 1 10.0.0.77",),
         choices={"with": ("learning_switch", "two_table_switch")}),
    Kind("compared-transfers", "", ("--compare hub,learning_switch --topology switch,rate=4M",)),
    Kind("missed-frames", "switch", ("h1 -- ping -q -i 0.0002 -c {flood} -s 1400 10.0.0.2",),
         choices={"flood": ("1500", "2500")}),
    Kind("static-arp", "switch --static-arp", (PING,)),
)  # fmt: skip

# What plain `make test` tries: quick, and as unlike each other as three can be.
FEW = ("cable", "rewriting-controller", "visit")
