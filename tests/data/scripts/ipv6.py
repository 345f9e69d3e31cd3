# SPDX-License-Identifier: Apache-2.0
# kind: IPv6 beside IPv4
# expect: 0% packet loss
from mininet.net import Mininet
from mininet.topo import SingleSwitchTopo
net = Mininet(SingleSwitchTopo(2))
net.start()
for n, host in enumerate(net.hosts, 1):
    host.cmd('sysctl -w net.ipv6.conf.all.disable_ipv6=0')
    host.cmd('ip -6 addr add fc00::%d/64 dev %s nodad' % (n, host.defaultIntf()))
print(net['h1'].cmd('ping -6 -c 1 fc00::2'))
net.stop()
