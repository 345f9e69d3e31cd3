# SPDX-License-Identifier: Apache-2.0
# kind: links down and up by configLinkStatus
# expect: up 0.* down 100.* up 0
from mininet.net import Mininet
from mininet.topo import LinearTopo
net = Mininet(LinearTopo(2))
net.start()
net.waitConnected()
result = ['up', net.ping(timeout='1')]
net.configLinkStatus('s1', 's2', 'down')
result += ['down', net.ping(timeout='1')]
net.configLinkStatus('s1', 's2', 'up')
result += ['up', net.ping()]
print(*result)
net.stop()
