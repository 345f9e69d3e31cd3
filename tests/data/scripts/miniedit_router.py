# SPDX-License-Identifier: Apache-2.0
# kind: MiniEdit export, legacy router
# type: h1 ping -c 1 h2
# expect: 1 received
from mininet.net import Mininet
from mininet.node import Node, Host
from mininet.cli import CLI

def myNetwork():
    net = Mininet(topo=None, build=False)
    r3 = net.addHost('r3', cls=Node, ip='0.0.0.0')
    r3.cmd('sysctl -w net.ipv4.ip_forward=1')
    h1 = net.addHost('h1', cls=Host, ip='10.1.0.2/24', defaultRoute='via 10.1.0.1')
    h2 = net.addHost('h2', cls=Host, ip='10.2.0.2/24', defaultRoute='via 10.2.0.1')
    net.addLink(h1, r3)
    net.addLink(h2, r3)
    net.build()
    for controller in net.controllers:
        controller.start()
    r3.cmd('ifconfig r3-eth0 10.1.0.1 netmask 255.255.255.0')
    r3.cmd('ifconfig r3-eth1 10.2.0.1 netmask 255.255.255.0')
    CLI(net)
    net.stop()

myNetwork()
