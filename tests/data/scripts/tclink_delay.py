# SPDX-License-Identifier: Apache-2.0
# kind: TCLink with delay and loss
# expect: 10 ms and more: True
from mininet.link import TCLink
from mininet.log import setLogLevel
from mininet.net import Mininet
from mininet.topo import Topo
class T(Topo):
    def build(self):
        s1 = self.addSwitch('s1')
        self.addLink(self.addHost('h1'), s1, bw=10, delay='5ms', loss=0)
        self.addLink(self.addHost('h2'), s1, bw=10, delay='5ms')
setLogLevel('info')
net = Mininet(T(), link=TCLink)
net.start()
net.pingAll()
times = net.pingFull()
print('10 ms and more: %s' % (times[0][2][3] >= 10))
net.stop()
