# SPDX-License-Identifier: Apache-2.0
# kind: own Switch class, OpenFlow 1.3
# expect: OpenFlow13[^$]*0% dropped
from mininet.net import Mininet
from mininet.node import OVSSwitch
from mininet.topo import LinearTopo
class Switch13(OVSSwitch):
    def __init__(self, name, **params):
        params['protocols'] = 'OpenFlow13'
        OVSSwitch.__init__(self, name, **params)
    def start(self, controllers):
        result = OVSSwitch.start(self, controllers)
        self.cmd('ovs-vsctl set bridge', self, 'other-config:mac-aging-time=30')
        return result
net = Mininet(LinearTopo(2), switch=Switch13)
net.start()
print(net['s1'].vsctl('get bridge s1 protocols'))
net.pingAll()
net.stop()
