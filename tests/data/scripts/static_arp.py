# SPDX-License-Identifier: Apache-2.0
# kind: autoStaticArp and autoSetMacs
# up: ./static_arp.py
# expect: PERMANENT[^$]*0% dropped
from mininet.net import Mininet
from mininet.topo import SingleSwitchTopo, Topo
class Small(Topo):
    def build(self):
        self.addLink(self.addHost('h1'), self.addHost('h2'))
if __name__ == '__main__':
    net = Mininet(SingleSwitchTopo(3), autoStaticArp=True, autoSetMacs=True)
    net.start()
    print(net['h1'].cmd('ip neigh'))
    net.pingAll()
    net.stop()
