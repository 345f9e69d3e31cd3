# SPDX-License-Identifier: Apache-2.0
# kind: round-trip times read from pingFull
# expect: sent 1 received 1
from mininet.net import Mininet
from mininet.topo import SingleSwitchTopo
net = Mininet(SingleSwitchTopo(2))
net.start()
for node, peer, (sent, received, least, average, most, deviation) in net.pingFull():
    print(node, peer, 'sent', sent, 'received', received)
net.stop()
