# SPDX-License-Identifier: Apache-2.0
# kind: VLANs by tags of Open vSwitch's ports
# expect: h1-h2 0% h1-h3 100%
from mininet.net import Mininet
from mininet.node import OVSBridge
from mininet.topo import SingleSwitchTopo
net = Mininet(SingleSwitchTopo(3), switch=OVSBridge, controller=None)
net.start()
for port, tag in (('s1-eth1', 10), ('s1-eth2', 10), ('s1-eth3', 20)):
    net['s1'].cmd('ovs-vsctl set port', port, 'tag=%d' % tag)
def loss(peer):
    return net['h1'].cmd('ping -c 1 -W 1 %s | grep -o "[0-9]*%%"' % peer).strip()
print('h1-h2', loss('10.0.0.2'), 'h1-h3', loss('10.0.0.3'))
net.stop()
