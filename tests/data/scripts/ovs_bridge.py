# SPDX-License-Identifier: Apache-2.0
# kind: OVSBridge, no controller
# expect: 0% dropped
from mininet.net import Mininet
from mininet.node import OVSBridge
from mininet.topolib import TreeNet
net = TreeNet(depth=2, fanout=2, switch=OVSBridge, controller=None)
net.start()
net.pingAll()
net.stop()
