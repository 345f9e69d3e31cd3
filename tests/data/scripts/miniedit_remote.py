# SPDX-License-Identifier: Apache-2.0
# kind: MiniEdit export, RemoteController
# type: h1 ping -c 3 h2
# says: no controller answers|no controller listens|nobody (answers|listens)
from mininet.net import Mininet
from mininet.node import RemoteController, OVSKernelSwitch, Host
from mininet.cli import CLI
from mininet.link import TCLink

def myNetwork():
    net = Mininet(topo=None, build=False, ipBase='10.0.0.0/8')
    c0 = net.addController(name='c0', controller=RemoteController, ip='127.0.0.1', protocol='tcp', port=6633)
    s1 = net.addSwitch('s1', cls=OVSKernelSwitch)
    h1 = net.addHost('h1', cls=Host, ip='10.0.0.1', defaultRoute=None)
    h2 = net.addHost('h2', cls=Host, ip='10.0.0.2', defaultRoute=None)
    net.addLink(h1, s1, cls=TCLink, bw=10)
    net.addLink(h2, s1)
    net.build()
    for controller in net.controllers:
        controller.start()
    net.get('s1').start([c0])
    CLI(net)
    net.stop()

myNetwork()
