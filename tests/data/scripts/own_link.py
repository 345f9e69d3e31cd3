# SPDX-License-Identifier: Apache-2.0
# kind: own Link class with default parameters
# expect: rate 8Mbit
from mininet.link import TCLink
from mininet.net import Mininet
from mininet.topo import SingleSwitchTopo
class SlowLink(TCLink):
    def __init__(self, *args, **kwargs):
        kwargs.setdefault('bw', 8)
        TCLink.__init__(self, *args, **kwargs)
net = Mininet(SingleSwitchTopo(2), link=SlowLink)
net.start()
print(net['h1'].cmd('tc class show dev h1-eth0'))
net.pingAll()
net.stop()
