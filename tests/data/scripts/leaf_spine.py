# SPDX-License-Identifier: Apache-2.0
# kind: data centre, Topo with parameters
# up: ./leaf_spine.py,leaves=3
# expect: 0% dropped
from mininet.net import Mininet
from mininet.topo import Topo
from mininet.util import dumpNodeConnections

class LeafSpine(Topo):
    "leaves switches below one spine"
    def __init__(self, leaves=2, hosts=2, **opts):
        Topo.__init__(self, **opts)
        spine = self.addSwitch('s100')
        for leaf in range(1, leaves + 1):
            switch = self.addSwitch('s%d' % leaf)
            self.addLink(spine, switch)
            for n in range(1, hosts + 1):
                self.addLink(self.addHost('h%d_%d' % (leaf, n)), switch)

topos = {'leafspine': (lambda leaves=2: LeafSpine(leaves))}

if __name__ == '__main__':
    net = Mininet(LeafSpine(3))
    net.start()
    dumpNodeConnections(net.hosts)
    net.pingAll()
    net.stop()
