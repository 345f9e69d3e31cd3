# SPDX-License-Identifier: Apache-2.0
# kind: a group that copies, OpenFlow 1.3
# expect: 0% packet loss
from mininet.net import Mininet
from mininet.node import OVSSwitch
from mininet.topo import SingleSwitchTopo
class Switch(OVSSwitch):
    def __init__(self, *args, **params):
        OVSSwitch.__init__(self, *args, protocols='OpenFlow13', failMode='secure', **params)
net = Mininet(SingleSwitchTopo(3), switch=Switch, controller=None)
net.start()
s1 = net['s1']
s1.cmd('ovs-ofctl -O OpenFlow13 add-group s1 group_id=1,type=all,bucket=output:1,bucket=output:2,bucket=output:3')
s1.cmd('ovs-ofctl -O OpenFlow13 add-flow s1 actions=group:1')
print(net['h1'].cmd('ping -c 1 10.0.0.3'))
net.stop()
