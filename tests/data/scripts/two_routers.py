# SPDX-License-Identifier: Apache-2.0
# kind: static routes both ways, set after start
# up: ./two_routers.py
# expect: ttl=62
from mininet.net import Mininet
from mininet.node import Node
from mininet.topo import Topo

class Router(Node):
    def config(self, **params):
        super().config(**params)
        self.cmd('sysctl -w net.ipv4.ip_forward=1')

class T(Topo):
    def build(self):
        r1, r2 = (self.addHost(n, cls=Router, ip=None) for n in ('r1', 'r2'))
        a = self.addHost('a', ip='10.1.0.2/24', defaultRoute='via 10.1.0.1')
        b = self.addHost('b', ip='10.2.0.2/24', defaultRoute='via 10.2.0.1')
        self.addLink(a, r1, params2={'ip': '10.1.0.1/24'})
        self.addLink(r1, r2, params1={'ip': '10.100.0.1/24'}, params2={'ip': '10.100.0.2/24'})
        self.addLink(b, r2, params2={'ip': '10.2.0.1/24'})

if __name__ == '__main__':
    net = Mininet(T(), controller=None)
    net.start()
    net['r1'].cmd('ip route add 10.2.0.0/24 via 10.100.0.2')
    net['r2'].cmd('ip route add 10.1.0.0/24 via 10.100.0.1')
    print(net['a'].cmd('ping -c 1 10.2.0.2'))
    net.stop()
