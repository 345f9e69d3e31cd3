# SPDX-License-Identifier: Apache-2.0
# kind: flows by ovs-ofctl, no controller
# expect: empty 100.* filled 0
from mininet.net import Mininet
from mininet.node import OVSSwitch
from mininet.topo import SingleSwitchTopo
net = Mininet(SingleSwitchTopo(2), switch=lambda *a, **k: OVSSwitch(*a, failMode='secure', **k), controller=None)
net.start()
empty = net.ping(timeout='1')
for way in 'in_port=1,actions=output:2', 'in_port=2,actions=output:1':
    net['s1'].dpctl('add-flow', way)
for host in net.hosts:
    host.cmd('ip neigh flush all')
print('empty', empty, 'filled', net.ping())
net.stop()
