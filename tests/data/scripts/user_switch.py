# SPDX-License-Identifier: Apache-2.0
# kind: UserSwitch, the reference switch
# expect: 0% dropped
from mininet.net import Mininet
from mininet.node import UserSwitch
from mininet.topo import LinearTopo
net = Mininet(LinearTopo(2), switch=UserSwitch, waitConnected=True)
net.start()
net.pingAll()
net.stop()
