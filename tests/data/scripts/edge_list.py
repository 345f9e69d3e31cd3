# SPDX-License-Identifier: Apache-2.0
# kind: graph as an edge list, spanning tree by hand
# expect: 0% dropped
from mininet.net import Mininet
from mininet.topo import Topo
EDGES = 'a b\nb c\nc d\nd a\na c'
class Graph(Topo):
    def build(self):
        seen, number = {}, 0
        for line in EDGES.split('\n'):
            for name in line.split():
                if name not in seen:
                    number += 1
                    seen[name] = self.addSwitch('s%d' % number)
                    self.addLink(self.addHost('h%s' % name), seen[name])
        joined = {'a'}
        for line in EDGES.split('\n'):
            one, two = line.split()
            if two not in joined:
                self.addLink(seen[one], seen[two])
                joined.add(two)
net = Mininet(Graph())
net.start()
net.pingAll()
net.stop()
