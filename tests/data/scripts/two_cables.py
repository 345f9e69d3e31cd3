# SPDX-License-Identifier: Apache-2.0
# kind: two cables between two nodes, each with an address
# up: ./two_cables.py
# expect: 10.0.1.2 0% 10.0.2.2 0%
from mininet.net import Mininet
from mininet.topo import Topo
class T(Topo):
    def build(self):
        self.addHost('h1', ip='10.0.1.1/24'), self.addHost('h2', ip='10.0.1.2/24')
        for n in 1, 2:
            self.addLink('h1', 'h2', params1={'ip': '10.0.%d.1/24' % n}, params2={'ip': '10.0.%d.2/24' % n})
if __name__ == '__main__':
    net = Mininet(T(), controller=None)
    net.start()
    for ip in '10.0.1.2', '10.0.2.2':
        print(ip, net['h1'].cmd('ping -c 1 %s | grep -o "[0-9]*%%"' % ip).strip(), end=' ')
    net.stop()
