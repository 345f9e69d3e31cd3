# SPDX-License-Identifier: Apache-2.0
# kind: NAT by addNAT
# expect: 0% packet loss
from mininet.net import Mininet
from mininet.topo import SingleSwitchTopo
net = Mininet(SingleSwitchTopo(2))
net.addNAT().configDefault()
net.start()
print(net['h1'].cmd('ip route'))
print(net['h1'].cmd('ping -c 1 10.0.0.3'))
net.stop()
