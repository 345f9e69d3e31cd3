# SPDX-License-Identifier: Apache-2.0
# kind: sys.argv
# words: 3
# up: "./argv_hosts.py 3"
# expect: 6/6 received
import sys
from mininet.net import Mininet
from mininet.topo import Topo
HOSTS = int(sys.argv[1])
class StarTopo(Topo):
    def build(self):
        s1 = self.addSwitch('s1')
        for n in range(HOSTS):
            self.addLink(self.addHost('h%d' % (n + 1)), s1)
if __name__ == '__main__':
    net = Mininet(StarTopo())
    net.start()
    net.pingAll()
    net.stop()
