# SPDX-License-Identifier: Apache-2.0
# kind: partial and custom defaults
# up: ./partial_defaults.py
# expect: rate 15Mbit
from functools import partial
from mininet.link import TCLink, TCIntf
from mininet.net import Mininet
from mininet.node import OVSSwitch
from mininet.topo import Topo
from mininet.util import custom
class Pair(Topo):
    def build(self):
        s1 = self.addSwitch('s1')
        for n in 1, 2:
            self.addLink(self.addHost('h%d' % n), s1)
if __name__ == '__main__':
    net = Mininet(topo=Pair(), link=partial(TCLink, bw=15), switch=partial(OVSSwitch, failMode='standalone'), controller=None)
    net.start()
    print(net['h1'].cmd('tc class show dev h1-eth0'))
    net.pingAll()
    net.stop()
