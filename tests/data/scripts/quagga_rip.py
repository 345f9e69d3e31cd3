# SPDX-License-Identifier: Apache-2.0
# kind: routers that run quagga
# says: wants zebra, [^$]*apt-get install frr
from mininet.net import Mininet
from mininet.node import Node

class QuaggaRouter(Node):
    def config(self, **params):
        super().config(**params)
        self.cmd('sysctl -w net.ipv4.ip_forward=1')
        conf = '%s.conf' % self.name
        self.cmd('printf "hostname %s\\npassword zebra\\n" > /tmp/%s' % (self.name, conf))
        print(self.cmd('zebra -f /tmp/%s -d -i /tmp/%s.pid -z /tmp/%s.api' % (conf, self.name, self.name)))
        print(self.cmd('ripd -f /tmp/%s -d -i /tmp/%s-ripd.pid -z /tmp/%s.api' % (conf, self.name, self.name)))

net = Mininet(controller=None)
r1, r2 = net.addHost('r1', cls=QuaggaRouter), net.addHost('r2', cls=QuaggaRouter)
net.addLink(r1, r2)
net.start()
net.pingAll()
net.stop()
