# SPDX-License-Identifier: Apache-2.0
# kind: Python 2
# up: ./python2.py
# says: for Python 2
from mininet.net import Mininet
from mininet.topo import SingleSwitchTopo
net = Mininet(SingleSwitchTopo(2))
net.start()
print "Testing", net.pingAll()
net.stop()
