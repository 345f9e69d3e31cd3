# SPDX-License-Identifier: Apache-2.0
# kind: own Intf class
# expect: mtu 1400
from mininet.link import Intf
from mininet.net import Mininet
from mininet.topo import SingleSwitchTopo
class SmallIntf(Intf):
    def config(self, mtu=1400, **params):
        result = Intf.config(self, **params)
        self.cmd('ip link set', self, 'mtu', mtu)
        return result
net = Mininet(SingleSwitchTopo(2), intf=SmallIntf)
net.start()
print(net['h1'].cmd('ip link show h1-eth0'))
net.pingAll()
net.stop()
