# SPDX-License-Identifier: Apache-2.0
# kind: optparse in main
# words: -n 3
# up: "./optparse_main.py -n 3"
# expect: 6/6 received
from optparse import OptionParser
from mininet.net import Mininet
from mininet.topo import Topo
class Star(Topo):
    def build(self, n=2):
        s1 = self.addSwitch('s1')
        for i in range(n):
            self.addLink(self.addHost('h%d' % (i + 1)), s1)
topos = {'star': Star}
def main():
    parser = OptionParser()
    parser.add_option('-n', type='int', dest='n', default=2)
    options, _ = parser.parse_args()
    net = Mininet(Star(n=options.n))
    net.start()
    net.pingAll()
    net.stop()
if __name__ == '__main__':
    main()
