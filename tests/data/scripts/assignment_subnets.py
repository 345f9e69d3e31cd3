# SPDX-License-Identifier: Apache-2.0
# kind: CS assignment, hosts in different subnets, router in a script
# type: pingall
# expect: 0% dropped
from mininet.cli import CLI
from mininet.net import Mininet
from mininet.topo import Topo
class Part4(Topo):
    def build(self):
        s = [self.addSwitch('s%d' % (n + 1)) for n in range(3)]
        r = self.addHost('r', ip='10.0.1.1/24')
        for n in range(3):
            h = self.addHost('h%d0' % (n + 1), ip='10.0.%d.10/24' % (n + 1), defaultRoute='via 10.0.%d.1' % (n + 1))
            self.addLink(h, s[n])
            self.addLink(s[n], r)
net = Mininet(topo=Part4(), autoSetMacs=True)
net.start()
for n in 1, 2:
    net['r'].cmd('ifconfig r-eth%d 10.0.%d.1/24' % (n, n + 1))
net['r'].cmd('sysctl -w net.ipv4.ip_forward=1')
CLI(net)
net.stop()
