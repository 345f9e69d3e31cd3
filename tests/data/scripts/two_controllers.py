# SPDX-License-Identifier: Apache-2.0
# kind: several controllers, each with its own switches
# expect: 0% dropped
from mininet.net import Mininet
from mininet.node import Controller, OVSSwitch
from mininet.topolib import TreeTopo
c0, c1 = Controller('c0', port=6633), Controller('c1', port=6634)
where = {'s1': c0, 's2': c1, 's3': c1}
class MultiSwitch(OVSSwitch):
    def start(self, controllers):
        return OVSSwitch.start(self, [where[self.name]])
net = Mininet(topo=TreeTopo(depth=2, fanout=2), switch=MultiSwitch, build=False, waitConnected=True)
for c in c0, c1:
    net.addController(c)
net.build()
net.start()
net.pingAll()
net.stop()
