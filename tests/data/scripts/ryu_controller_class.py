# SPDX-License-Identifier: Apache-2.0
# kind: own Controller class that starts Ryu
# expect: 0% dropped
from mininet.net import Mininet
from mininet.node import Controller, OVSSwitch
from mininet.topo import LinearTopo
class Ryu(Controller):
    def __init__(self, name, app='ryu.app.simple_switch_13', **kwargs):
        Controller.__init__(self, name, command='ryu-manager', cargs='--ofp-tcp-listen-port %s ' + app, **kwargs)
net = Mininet(LinearTopo(2), controller=Ryu, switch=OVSSwitch, waitConnected=True)
net.start()
net.pingAll()
net.stop()
