# SPDX-License-Identifier: Apache-2.0
# kind: CPULimitedHost
# expect: 0% dropped
# says: without their CPU limit[^$]*(sudo hoplab run|cgroup)|cgcreate
from mininet.net import Mininet
from mininet.node import CPULimitedHost
from mininet.link import TCLink
from mininet.topo import Topo
class SingleSwitchTopo(Topo):
    def build(self, n=2):
        switch = self.addSwitch('s1')
        for h in range(n):
            host = self.addHost('h%s' % (h + 1), cpu=.5 / n)
            self.addLink(host, switch, bw=10, use_htb=True)
net = Mininet(topo=SingleSwitchTopo(2), host=CPULimitedHost, link=TCLink)
net.start()
net.pingAll()
net.stop()
