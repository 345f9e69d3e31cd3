# SPDX-License-Identifier: Apache-2.0
# kind: terminals in windows
# says: wants a display|wants xterm, 
# expect: 0% dropped
from mininet.net import Mininet
from mininet.term import makeTerm
from mininet.topo import SingleSwitchTopo
net = Mininet(SingleSwitchTopo(2), xterms=True)
net.start()
makeTerm(net['h1'])
net.pingAll()
net.stop()
