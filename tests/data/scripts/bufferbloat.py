# SPDX-License-Identifier: Apache-2.0
# kind: bufferbloat, TCLink, popen, argparse
# words: --time 2 --maxq 100
# up: ./bufferbloat.py
# expect: pings answered: [1-9]
from argparse import ArgumentParser
from mininet.link import TCLink
from mininet.net import Mininet
from mininet.topo import Topo

parser = ArgumentParser(description='Bufferbloat tests')
parser.add_argument('--bw-host', '-B', type=float, default=100)
parser.add_argument('--bw-net', '-b', type=float, default=5)
parser.add_argument('--time', '-t', type=int, default=2)
parser.add_argument('--maxq', type=int, default=100)
args = parser.parse_args()

class BBTopo(Topo):
    def build(self, n=2):
        switch = self.addSwitch('s0')
        self.addLink(self.addHost('h1'), switch, bw=args.bw_host, max_queue_size=args.maxq)
        self.addLink(self.addHost('h2'), switch, bw=args.bw_net, max_queue_size=args.maxq)

def bufferbloat():
    net = Mininet(topo=BBTopo(), link=TCLink)
    net.start()
    net.pingAll()
    h1, h2 = net['h1'], net['h2']
    h2.popen('iperf -s -w 16m')
    flow = h1.popen('iperf -c %s -t %d' % (h2.IP(), args.time))
    out = h1.cmd('ping -c %d -i 0.2 %s' % (args.time * 4, h2.IP()))
    flow.wait()
    print('pings answered:', out.count('time='))
    net.stop()

if __name__ == '__main__':
    bufferbloat()
