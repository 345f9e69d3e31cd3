# SPDX-License-Identifier: Apache-2.0
# kind: switches and controller in namespaces, over a control network
# expect: 0% dropped
from mininet.net import MininetWithControlNet
from mininet.node import UserSwitch
from mininet.topo import SingleSwitchTopo
net = MininetWithControlNet(SingleSwitchTopo(2), switch=UserSwitch, inNamespace=True)
net.start()
for _ in range(30):
    if net.ping(timeout='1') == 0:
        break
net.pingAll()
net.stop()
