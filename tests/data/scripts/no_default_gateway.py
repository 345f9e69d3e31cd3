# SPDX-License-Identifier: Apache-2.0
# kind: a mistake: two subnets and no router
# up: ./no_default_gateway.py
# expect: 100% dropped
from mininet.net import Mininet
from mininet.topo import Topo
class T(Topo):
    def build(self):
        s = self.addSwitch('s1')
        self.addLink(self.addHost('h1', ip='192.168.1.10/24'), s)
        self.addLink(self.addHost('h2', ip='192.168.2.10/24'), s)
if __name__ == '__main__':
    net = Mininet(T())
    net.start()
    net.pingAll(timeout='1')
    net.stop()
