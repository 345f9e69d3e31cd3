# SPDX-License-Identifier: Apache-2.0
# kind: fat tree with argparse, loops opened by RSTP
# words: --k 4
# up: "./fat_tree.py --k 4"
# expect: all pairs talk
import argparse
import time
from mininet.net import Mininet
from mininet.node import OVSBridge
from mininet.topo import Topo

class Rapid(OVSBridge):
    def bridgeOpts(self):
        return OVSBridge.bridgeOpts(self) + ' rstp_enable=true'

parser = argparse.ArgumentParser(description='a fat tree')
parser.add_argument('--k', type=int, default=2)
args = parser.parse_args()

class FatTree(Topo):
    def build(self, k=args.k):
        core = [self.addSwitch('c%d' % n, dpid='%x' % (0x100 + n)) for n in range((k // 2) ** 2)]
        for pod in range(k):
            aggr = [self.addSwitch('a%d%d' % (pod, n), dpid='%x' % (0x200 + pod * k + n)) for n in range(k // 2)]
            for m, a in enumerate(aggr):
                for n in range(k // 2):
                    self.addLink(a, core[m * (k // 2) + n])
            for n in range(k // 2):
                e = self.addSwitch('e%d%d' % (pod, n), dpid='%x' % (0x300 + pod * k + n))
                for a in aggr:
                    self.addLink(e, a)
                self.addLink(self.addHost('h%d%d' % (pod, n)), e)

topos = {'fat_tree': FatTree}

if __name__ == '__main__':
    net = Mininet(FatTree(), switch=Rapid, controller=None)
    net.start()
    deadline = time.time() + 60
    while net.pingPair() and time.time() < deadline:
        time.sleep(1)
    print('all pairs talk' if net.pingAll() == 0 else 'some do not')
    net.stop()
