# SPDX-License-Identifier: Apache-2.0
# kind: several topologies in one file
# up: ./two_topos.py --topo line
# expect: ring without a loop 0
from mininet.net import Mininet
from mininet.topo import Topo
class Line(Topo):
    def build(self, n=3):
        last = None
        for i in range(1, n + 1):
            s = self.addSwitch('s%d' % i)
            self.addLink(self.addHost('h%d' % i), s)
            if last:
                self.addLink(last, s)
            last = s
class Star(Topo):
    def build(self):
        s = self.addSwitch('s1')
        for i in 1, 2:
            self.addLink(self.addHost('h%d' % i), s)
topos = {'star': Star, 'line': Line}
if __name__ == '__main__':
    net = Mininet(Line())
    net.start()
    print('ring without a loop %d' % net.pingAll())
    net.stop()
