# SPDX-License-Identifier: Apache-2.0
# kind: own Controller class that starts POX
# says: wants pox.py, [^$]*noxrepo
from mininet.net import Mininet
from mininet.node import Controller
from mininet.topo import SingleSwitchTopo
class POXBridge(Controller):
    def __init__(self, name, **kwargs):
        Controller.__init__(self, name, command='pox.py', cargs='openflow.of_01 --port=%s forwarding.l2_learning', **kwargs)
controllers = {'poxbridge': POXBridge}
if __name__ == '__main__':
    net = Mininet(SingleSwitchTopo(2), controller=POXBridge)
    net.start()
    net.pingAll()
    net.stop()
