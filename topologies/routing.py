# SPDX-License-Identifier: Apache-2.0
"""Routers that run FRR, and the ring of them that `ospf`, `rip` and `bgp` share.

    self.addHost("r1", cls=FrrRouter, ip="10.1.0.1/24", daemons=["ospfd"], frr=TEXT,
                 learns=["10.2.0.0/24"])

Each router has its own /etc/frr and /run/frr, so that daemons of many routers run beside each
other, as root and as an ordinary user. The lab is up once a router has a route to every network
that it `learns`.
"""

import contextlib
import os
import signal
import subprocess
import time

from cables import cable
from mininet.topo import Topo
from nodes import Computer, Router, require

ZEBRA = "/usr/lib/frr/zebra"
CONVERGENCE_S = 60  # after that the lab is up without what is still to be learned

# $1: frr.conf; then the daemons beside zebra. FRR wants to be in the group frrvty, and root is.
START = """
set -e
for folder in /etc/frr /run/frr /var/tmp; do mkdir -p $folder; mount -t tmpfs tmpfs $folder; done
{ grep -v '^frrvty:' /etc/group; echo frrvty:x:0:root; } > /run/frr/group
mount --bind /run/frr/group /etc/group
printf %s "$1" > /etc/frr/frr.conf
: > /etc/frr/vtysh.conf
shift
for daemon in zebra "$@"; do /usr/lib/frr/$daemon -d -u root -g root; done
vtysh -b
"""


class FrrRouter(Router):
    """A router that learns its routes from others, by FRR.

    daemons: 'ospfd', 'ripd', 'bgpd'. frr: the text of frr.conf. learns: the networks to which it
    is to have a route when the lab is up.
    """

    def config(self, daemons=(), frr="", learns=(), **params):
        results = super().config(**params)
        self.learns = list(learns)
        self.starting = self.popen(
            ["sh", "-c", START, "sh", frr, *daemons],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        if not getattr(self, "private_etc", False):  # hoplab calls it later
            self.ready()
        return results

    def ready(self):
        """Wait until FRR has its configuration. Raises RuntimeError with its own words."""
        output = self.starting.communicate()[0].decode(errors="replace")
        if self.starting.returncode:
            raise RuntimeError(f"FRR: {output.strip()[-500:]}")

    def settled(self):
        """Wait until it has learned its routes. Raises RuntimeError that names those it has not."""
        deadline = time.monotonic() + CONVERGENCE_S
        while missing := self.missing():
            if time.monotonic() > deadline:
                raise RuntimeError(
                    f"it has learned no route to {', '.join(missing)} within {CONVERGENCE_S} s"
                )
            time.sleep(0.05)

    def missing(self):
        """The networks to which it has no route."""
        lines = self.cmd("ip -4 route").splitlines()
        routes = {words[0] for words in map(str.split, lines) if words}
        return [network for network in self.learns if network not in routes]

    def terminate(self):
        if not getattr(self, "private_etc", False):  # hoplab ends all that runs in a lab
            for pid in self.cmd("cat /run/frr/*.pid").split():
                with contextlib.suppress(ProcessLookupError, ValueError):
                    os.kill(int(pid), signal.SIGTERM)
        super().terminate()


class RingTopo(Topo):
    """`routers` routers in a ring, a computer at each: h1 10.1.0.10/24 at r1 10.1.0.1, and so on.
    The cable from r1 to r2 is 10.0.1.0/30, that from r2 to r3 10.0.2.0/30."""

    daemon = ""

    def frr(self, number, cards, peers, **options):
        """frr.conf of router NUMBER. cards: its interfaces on the ring; peers: (address, number) of
        the routers behind them."""
        raise NotImplementedError

    def build(self, routers=3, rate="", **options):
        if not 3 <= routers <= 20:
            raise ValueError(f"routers is {routers}: give 3 to 20")
        require(ZEBRA, package="frr   (or scripts/install.sh --with-frr)")
        numbers = range(1, routers + 1)
        for n in numbers:
            before = (n - 2) % routers + 1
            after = n % routers + 1
            cards = [f"r{n}-eth1", f"r{n}-eth2"]
            # Cable K joins router K, which is .1 there, and the next one, which is .2.
            peers = [(f"10.0.{n}.2", after), (f"10.0.{before}.1", before)]
            if n > 1:  # only of r1 the cable to the next one is added before that to the last one
                peers.reverse()
            self.addHost(
                f"r{n}", cls=FrrRouter, ip=f"10.{n}.0.1/24", daemons=[self.daemon],
                frr=self.frr(n, cards, peers, **options),
                learns=[f"10.{far}.0.0/24" for far in numbers if far != n],
            )  # fmt: skip
            self.addHost(
                f"h{n}", cls=Computer, ip=f"10.{n}.0.10/24", defaultRoute=f"via 10.{n}.0.1"
            )
            self.addLink(f"r{n}", f"h{n}", params1={"ip": f"10.{n}.0.1/24"}, **cable(rate))
        for n in numbers:
            self.addLink(
                f"r{n}", f"r{n % routers + 1}", params1={"ip": f"10.0.{n}.1/30"},
                params2={"ip": f"10.0.{n}.2/30"}, **cable(rate),
            )  # fmt: skip
