# SPDX-License-Identifier: Apache-2.0
# kind: Linux router, own Node class
# up: ./linux_router.py
# expect: 0% dropped
from mininet.net import Mininet
from mininet.node import Node
from mininet.topo import Topo

class LinuxRouter(Node):
    def config(self, **params):
        super(LinuxRouter, self).config(**params)
        self.cmd('sysctl net.ipv4.ip_forward=1')
    def terminate(self):
        self.cmd('sysctl net.ipv4.ip_forward=0')
        super(LinuxRouter, self).terminate()

class NetworkTopo(Topo):
    def build(self, **_opts):
        router = self.addNode('r0', cls=LinuxRouter, ip='192.168.1.1/24')
        for n, (gate, ip) in enumerate((('192.168.1.1/24', '192.168.1.100/24'), ('172.16.0.1/12', '172.16.0.100/12')), 1):
            switch = self.addSwitch('s%d' % n)
            self.addLink(switch, router, intfName2='r0-eth%d' % n, params2={'ip': gate})
            self.addLink(self.addHost('h%d' % n, ip=ip, defaultRoute='via ' + gate.split('/')[0]), switch)

if __name__ == '__main__':
    net = Mininet(topo=NetworkTopo(), waitConnected=True)
    net.start()
    print(net['r0'].cmd('route'))
    net.pingAll()
    net.stop()
