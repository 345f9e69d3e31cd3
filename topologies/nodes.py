# SPDX-License-Identifier: Apache-2.0
"""The machines that the topologies put on the network: computers, routers, servers.

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
import select
import shlex
import shutil
import signal
import subprocess
import sys

from mininet.node import Host

HERE = os.path.dirname(os.path.abspath(__file__))
APPS = os.path.join(os.path.dirname(HERE), "apps")
START_S = 100  # for an app to listen: one that ends is told at once, one that hangs not before


class NotInstalled(RuntimeError):
    """A program is missing. hint: the line that installs it; hoplab says that as the next step."""

    def __init__(self, programs, hint):
        super().__init__(f"{programs} is not installed: {hint}")
        self.hint = hint


def require(*programs, package):
    """Raise NotInstalled, with the line that helps, if none of PROGRAMS is installed. For the
    topology to ask before anything is built."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"  # users' paths leave these out
    if not any(shutil.which(program, path=path) for program in programs):
        raise NotInstalled(" or ".join(programs), f"apt install {package}")


class Computer(Host):
    """A host with offloads off and /etc files of its own.

    nameserver: address of the DNS server that it asks; without one it knows only itself.
    routes: pairs (network, next hop), for networks that its default gateway does not lead to.
    ip6, routes6: IPv6 addresses with prefix length, one for each interface in order, and pairs
    (network, next hop).
    """

    def config(self, nameserver=None, routes=(), ip6=(), routes6=(), **params):
        results = super().config(nameserver=nameserver, **params)
        if not getattr(self, "private_etc", False):  # hoplab has done both already
            self._offloads_off()
            self._own_etc(nameserver)
        if routes:
            self.cmd(" ; ".join(f"ip route add {network} via {hop}" for network, hop in routes))
        if ip6:
            self._ipv6(ip6, routes6)
        return results

    def _ipv6(self, addresses, routes):
        """IPv6 as quiet as it can be: fixed addresses, in use at once (accept_dad), and no router
        advertisements (RFC 4861) sent or believed."""
        lines = [f"sysctl -q -w net.ipv6.conf.{interface}.{name}=0"
                 for name in ("accept_dad", "accept_ra", "disable_ipv6")
                 for interface in ("default", *self.intfNames(), "all")]  # fmt: skip
        for intf, address in zip(self.intfNames(), addresses):  # noqa: B905 the last may have none
            lines.append(f"ip -6 addr add {address} dev {intf} nodad")
        lines += [f"ip -6 route add {network} via {hop}" for network, hop in routes]
        self.cmd(" ; ".join(lines))

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


class DhcpComputer(Computer):
    """A computer that asks for its address, as most do (DHCP, RFC 2131), by udhcpc.

    It asks from the moment it is there, and hoplab waits for the answer before the lab is up. By
    itself it has its address about a second after the switches know their controller.
    `nameserver` stays fixed: what udhcpc hears about it is not needed.
    """

    SCRIPT = """
        [ "$1" = bound ] || [ "$1" = renew ] || exit 0
        ip addr replace "$ip/$mask" dev "$interface"
        ip route replace default via "$router"
        [ "$1" = renew ] || echo bound
    """
    PATIENCE_S = 10

    def config(self, **params):
        results = super().config(**params)
        self.cmd("mountpoint -q /mnt || mount -t tmpfs tmpfs /mnt")
        self.cmd(f"printf '#!/bin/sh\\n%s' {shlex.quote(self.SCRIPT)} > /mnt/udhcpc.sh")
        self.cmd("chmod +x /mnt/udhcpc.sh")
        # It goes on asking until the network is up and somebody answers.
        self.client = self.popen(
            ["udhcpc", "-f", "-i", self.intfNames()[0], "-s", "/mnt/udhcpc.sh",
             "-t", "3", "-T", "1", "-A", "1"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        return results

    def settled(self):
        """Wait for the address; the network is ready. Raises RuntimeError if nobody gives one."""
        self.client.send_signal(signal.SIGUSR1)  # ask again at once
        ready, _, _ = select.select([self.client.stdout], [], [], self.PATIENCE_S)
        if not ready or not os.read(self.client.stdout.fileno(), 100):
            raise RuntimeError(f"no DHCP server gave it an address within {self.PATIENCE_S} s")

    def terminate(self):
        self.client.terminate()
        self.client.wait()
        self.client.stdout.close()
        super().terminate()


class Router(Computer):
    """A computer that passes packets on between its interfaces (RFC 1812).

    Linux sends one host six ICMP errors at once and then one a second; a second `traceroute` would
    show stars. This router answers every time.
    """

    def config(self, **params):
        results = super().config(**params)
        lines = ["sysctl -q -w net.ipv4.ip_forward=1 net.ipv4.icmp_ratelimit=0"]
        if params.get("ip6"):
            lines.append("sysctl -q -w net.ipv6.conf.all.forwarding=1 net.ipv6.icmp.ratelimit=0")
        self.cmd(" ; ".join(lines))
        return results


class HomeRouter(Router):
    """What stands in most homes: a router that hides a network of its own behind one address (NAT,
    RFC 3022), and tells its computers their addresses (DHCP, RFC 2131) if asked to.

    Its first interface is outside, its second inside. inside: its address there, with prefix
    length. dhcp: 1 runs dnsmasq, whose DNS half is off.
    """

    def config(self, inside=None, dhcp=0, **params):
        results = super().config(**params)
        outside, within = self.intfNames()[:2]
        nft = (
            "nft 'add table ip nat;"
            " add chain ip nat out { type nat hook postrouting priority 100; };"
            f" add rule ip nat out oifname {outside} masquerade'"
        )
        iptables = f"iptables -t nat -A POSTROUTING -o {outside} -j MASQUERADE"
        masquerade = f"if command -v nft >/dev/null; then {nft}; else {iptables}; fi"
        output = self.cmd(f"{masquerade}; echo =$?")
        if output.split("=")[-1].strip() != "0":
            raise RuntimeError(f"{self.name} cannot do NAT: {output}")
        self.dhcp_server = None
        if dhcp:
            network = inside.rpartition(".")[0]
            self.dhcp_server = self.popen(
                ["dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--port=0",
                 "--pid-file", "--leasefile-ro", "--no-ping",
                 f"--interface={within}", "--bind-interfaces", "--dhcp-authoritative",
                 "--dhcp-broadcast", f"--dhcp-range={network}.100,{network}.199,1h",
                 f"--dhcp-option=option:router,{inside.split('/')[0]}",
                 f"--dhcp-option=option:dns-server,{params['nameserver']}"],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
        return results

    def terminate(self):
        if self.dhcp_server is not None:
            self.dhcp_server.terminate()
            self.dhcp_server.wait()
        super().terminate()


class Server(Computer):
    """A computer that runs apps.

    serves: command lines, each a list that begins with the name of a file in apps/; the app gets
    `--background`, which lets it return as soon as it listens.
    files: name -> text, put into /mnt in the server's own mount namespace before the apps start;
    nobody else sees them, and nothing is left of them when the host ends.
    """

    # $1 and $2 are a file's name and text, and so on, up to --; then the command.
    WRITE = """
        mountpoint -q /mnt || mount -t tmpfs tmpfs /mnt || exit
        while [ "$1" != -- ]; do printf %s "$2" > "/mnt/$1" || exit; shift 2; done
        shift; exec "$@"
    """

    def config(self, serves=(), files=None, **params):
        results = super().config(**params)
        self.starting = []
        self.serving = []
        write = ["sh", "-c", self.WRITE, "sh"] if files else []
        for name, text in (files or {}).items():
            write += [name, text]
        if files:
            write.append("--")
        for app, *arguments in serves:
            command = [*write, sys.executable, os.path.join(APPS, app), *arguments, "--background"]
            process = self.popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            self.starting.append((app, process))
        return results

    def ready(self):
        """Wait until every app listens. Raises RuntimeError with an app's own words if one
        cannot."""
        failed = []
        while self.starting:
            app, process = self.starting.pop()
            try:
                out, err = process.communicate(timeout=START_S)
            except subprocess.TimeoutExpired:
                failed.append(f"{app}: it has not said within {START_S} s that it listens")
                continue
            # The app says it in its user's language; in each its process number stands last.
            pid = re.search(rb"(\d+)\D*$", out)
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
