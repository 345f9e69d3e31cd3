# SPDX-License-Identifier: Apache-2.0
# kind: mn --custom FILE --topo NAME,ARGS --link tc,bw=20 with a test of its own
# words: unused
# expect: 4 hosts and 2 switches[^$]*test of our own: 0.0
# up: ./custom_topo_args.py:racks
"""Run by `mn --custom custom_topo_args.py --topo racks,2,hosts=2 --link tc,bw=20 --test reach`; started as
a program it runs that line itself."""
import os
import sys

from mininet.topo import Topo


class Racks(Topo):
    def build(self, racks=2, hosts=2):
        last = None
        for rack in range(1, racks + 1):
            switch = self.addSwitch('s%d' % rack)
            for n in range(1, hosts + 1):
                self.addLink(self.addHost('h%dr%d' % (n, rack)), switch)
            if last:
                self.addLink(last, switch)
            last = switch


def reach(net):
    print('%d hosts and %d switches' % (len(net.hosts), len(net.switches)))
    net.waitConnected()
    net.pingAll()
    print('test of our own: %.1f' % net.pingAll())


topos = {'racks': Racks}
tests = {'reach': reach}

if __name__ == '__main__' and len(sys.argv) > 1:
    os.execvp('mn', ['mn', '--custom', os.path.abspath(__file__), '--topo', 'racks,2,hosts=2',
                     '--link', 'tc,bw=20', '--test', 'reach'])
