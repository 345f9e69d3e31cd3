# SPDX-License-Identifier: Apache-2.0
# kind: a host and a link added while it runs
# expect: 6/6 received
from mininet.net import Mininet
from mininet.topo import SingleSwitchTopo
net = Mininet(SingleSwitchTopo(2))
net.start()
h3, s1 = net.addHost('h3'), net['s1']
link = net.addLink(h3, s1)
s1.attach(link.intf2)
h3.configDefault(ip='10.0.0.3/8')
net.pingAll()
net.delLink(link)
net.stop()
