# SPDX-License-Identifier: Apache-2.0
# kind: CS assignment, Topo and simple test
# up: ./assignment1.py
# expect: Testing network connectivity[^$]*0% dropped
"""Assignment 1: build a tree with a depth of two. Name: ...... Student ID: ......"""
from mininet.topo import Topo
from mininet.net import Mininet
from mininet.util import dumpNodeConnections
from mininet.log import setLogLevel

class CustomTopo(Topo):
    "Simple Data Center Topology"
    def __init__(self, fanout=2, **opts):
        Topo.__init__(self, **opts)
        core = self.addSwitch('c1')
        host = 1
        for i in range(1, fanout + 1):
            edge = self.addSwitch('e%d' % i, dpid='00000000000000e%d' % i)
            self.addLink(core, edge)
            for _ in range(fanout):
                self.addLink(self.addHost('h%s' % host), edge)
                host += 1

def simpleTest():
    net = Mininet(CustomTopo())
    net.start()
    print("Dumping host connections")
    dumpNodeConnections(net.hosts)
    print("Testing network connectivity")
    net.pingAll()
    net.stop()

if __name__ == '__main__':
    setLogLevel('info')
    simpleTest()
