# SPDX-License-Identifier: Apache-2.0
# kind: no Topo, all by calls
# expect: 0% dropped
from mininet.net import Mininet
net = Mininet()
net.addController('c0')
s1, s2 = net.addSwitch('s1'), net.addSwitch('s2')
for n in 1, 2:
    net.addLink(net.addHost('h%d' % n), s1)
net.addLink(net.addHost('h3'), s2)
net.addLink(s1, s2)
net.start()
net.pingAll()
net.stop()
