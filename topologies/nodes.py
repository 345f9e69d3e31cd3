# SPDX-License-Identifier: Apache-2.0
"""The machines that the topologies put on the network: a computer, a router, a server.

Plain Mininet node classes. A node says in `config()` what it does when it comes up, and in
`terminate()` how it stops, so that `mn`, a script and hoplab all start and stop it alike.

    self.addHost("pc", cls=Computer, ip="10.1.0.10/24", defaultRoute="via 10.1.0.1",
                 nameserver="10.53.0.53")
    self.addHost("r1", cls=Router, ip="10.1.0.1/24", routes=[("10.2.0.0/24", "10.12.0.2")])
    self.addHost("www", cls=Server, ip="10.80.0.80/24", serves=[["web_server.py"]])
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys

from mininet.node import Host

HERE = os.path.dirname(os.path.abspath(__file__))
APPS = os.path.join(os.path.dirname(HERE), "apps")


class Computer(Host):
    """A host with offloads off and /etc files of its own.

    nameserver: address of the DNS server that it asks; without one it knows only itself.
    """

    def config(self, nameserver=None, **params):
        results = super().config(nameserver=nameserver, **params)
        if not getattr(self, "private_etc", False):  # hoplab has done both already
            self._offloads_off()
            self._own_etc(nameserver)
        return results

    def _offloads_off(self):
        """A veth leaves checksums to hardware that is not there; a switch in user space would
        pass the frames on with wrong ones, and TCP would not work."""
        for intf in self.intfNames():
            self.cmd(f"ethtool -K {intf} tx off tso off gso off gro off sg off")

    def _own_etc(self, nameserver):
        """Bind files over /etc/hosts and /etc/resolv.conf in this host's mount namespace. They lie
        on a file system of its own in /mnt, so nothing is left when the host ends."""
        ip = (self.params.get("ip") or "").split("/")[0]
        files = {
            "/etc/hosts": f"127.0.0.1 localhost\n{ip} {self.name}\n",
            "/etc/resolv.conf": f"nameserver {nameserver}\n" if nameserver else "# no DNS server\n",
        }
        self.cmd("mount -t tmpfs tmpfs /mnt")
        for target, text in files.items():
            own = "/mnt/" + os.path.basename(target)
            self.cmd(f"printf %s {shlex.quote(text)} > {own}; mount --bind {own} {target}")


class Router(Computer):
    """A computer that passes packets on between its interfaces (RFC 1812).

    routes: pairs (network, next hop), for networks that it is not itself connected to.

    Linux sends one host six ICMP errors at once and then one a second; a second `traceroute` would
    show stars. This router answers every time.
    """

    def config(self, routes=(), **params):
        results = super().config(**params)
        lines = ["sysctl -q -w net.ipv4.ip_forward=1 net.ipv4.icmp_ratelimit=0"]
        lines += [f"ip route add {network} via {hop}" for network, hop in routes]
        self.cmd(" ; ".join(lines))
        return results


class Server(Computer):
    """A computer that runs apps.

    serves: command lines, each a list that begins with the name of a file in apps/; the app gets
    `--background`, which lets it return as soon as it listens.
    """

    def config(self, serves=(), **params):
        results = super().config(**params)
        self.starting = []
        self.serving = []
        for app, *arguments in serves:
            command = [sys.executable, os.path.join(APPS, app), *arguments, "--background"]
            process = self.popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            self.starting.append((app, process))
        return results

    def ready(self):
        """Wait until every app listens. Raises RuntimeError with an app's own words if one
        cannot."""
        failed = []
        while self.starting:
            app, process = self.starting.pop()
            out, err = process.communicate(timeout=30)
            pid = re.search(rb"\(pid (\d+)\)", out)
            if process.returncode or not pid:
                failed.append(f"{app}: {err.decode(errors='replace').strip()}")
            else:
                self.serving.append(int(pid.group(1)))
        if failed:
            raise RuntimeError("; ".join(failed))

    def terminate(self):
        with contextlib.suppress(RuntimeError):  # what did not start need not be stopped
            self.ready()
        for pid in self.serving:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        super().terminate()
