# SPDX-License-Identifier: Apache-2.0
# kind: results written to /tmp
# says: /tmp/results/ping.txt went
# expect: 1 received
import os
from mininet.net import Mininet
from mininet.topo import SingleSwitchTopo
if not os.path.isdir('/tmp/results'):
    os.makedirs('/tmp/results')
net = Mininet(SingleSwitchTopo(2))
net.start()
net['h1'].cmd('ping -c 1 10.0.0.2 > /tmp/results/ping.txt')
print(open('/tmp/results/ping.txt').read())
net.stop()
