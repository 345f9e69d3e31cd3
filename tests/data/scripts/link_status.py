#!/usr/bin/env python
# SPDX-License-Identifier: Apache-2.0
# kind: net.configLinkStatus, dumpNodeConnections, autoSetMacs and autoStaticArp, popen and pmonitor
# expect: h1 h1-eth0:s1-eth1[^$]*00:00:00:00:00:01[^$]*before: 0.0[^$]*cut: 100.0[^$]*mended: 0.0[^$]*h1: \d+ lines[^$]*h2: \d+ lines
from time import time

from mininet.log import setLogLevel
from mininet.net import Mininet
from mininet.topo import LinearTopo
from mininet.util import dumpNodeConnections, pmonitor


def monitored(net):
    "Ping from everybody at once and count what each prints"
    lines = {h.name: 0 for h in net.hosts}
    popens = {}
    for src, dst in zip(net.hosts, net.hosts[1:] + net.hosts[:1]):
        popens[src] = src.popen('ping -c 4 -i 0.3 %s' % dst.IP())
    end = time() + 60
    for host, line in pmonitor(popens, timeoutms=500):
        if host:
            lines[host.name] += bool(line.strip())
        if time() >= end:
            for p in popens.values():
                p.terminate()
    return lines


def main():
    setLogLevel('output')
    net = Mininet(LinearTopo(k=3, n=1), autoSetMacs=True, autoStaticArp=True, waitConnected=True)
    net.start()
    dumpNodeConnections(net.hosts)
    for host in net.hosts:
        print(host.name, '%s-eth0:%s' % (host.name, host.intf().link.intf2.name), host.MAC())
        print(host.cmd('arp -n') if host.name == 'h1' else '')
    ends = [net.get('h1'), net.get('h2')]
    net.ping(ends)
    print('before: %.1f' % net.ping(ends))
    net.configLinkStatus('s1', 's2', 'down')
    print('cut: %.1f' % net.ping(ends, timeout='1'))
    net.configLinkStatus('s1', 's2', 'up')
    print('mended: %.1f' % net.ping(ends))
    for name, count in sorted(monitored(net).items()):
        print('%s: %d lines' % (name, count))
    net.stop()


main()
