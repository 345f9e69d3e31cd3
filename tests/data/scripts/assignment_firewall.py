# SPDX-License-Identifier: Apache-2.0
# kind: CS assignment, firewall by ovs-ofctl
# expect: h1-h2 0% h1-h3 100%
from mininet.net import Mininet
from mininet.topo import SingleSwitchTopo
net = Mininet(SingleSwitchTopo(3))
net.start()
s1 = net['s1']
s1.cmd('ovs-ofctl add-flow s1 "priority=60000,icmp,nw_src=10.0.0.1,nw_dst=10.0.0.3,actions=drop"')
def loss(peer):
    return net['h1'].cmd('ping -c 2 -i 0.2 -W 1 %s | grep -o "[0-9]*%%"' % peer).strip()
print('h1-h2', loss('10.0.0.2'), 'h1-h3', loss('10.0.0.3'))
net.stop()
