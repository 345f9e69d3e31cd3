# SPDX-License-Identifier: Apache-2.0
# kind: dumpNodeConnections, dumpNetConnections
# expect: h1 h1-eth0:s1-eth1
from mininet.log import setLogLevel
from mininet.net import Mininet
from mininet.topolib import TreeTopo
from mininet.util import dumpNodeConnections, dumpNetConnections, dumpPorts
setLogLevel('info')
net = Mininet(TreeTopo(depth=1, fanout=3))
net.start()
dumpNodeConnections(net.hosts)
dumpNetConnections(net)
dumpPorts(net.switches)
net.pingAll()
net.stop()
