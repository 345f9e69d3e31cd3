# SPDX-License-Identifier: Apache-2.0
# kind: MiniEdit export
# type: pingall
# expect: 0% dropped
from mininet.net import Mininet
from mininet.node import Controller, OVSKernelSwitch, Host
from mininet.cli import CLI
from mininet.log import setLogLevel, info

def myNetwork():
    net = Mininet(topo=None, build=False, ipBase='10.0.0.0/8')
    info('*** Adding controller\n')
    c0 = net.addController(name='c0', controller=Controller, protocol='tcp', port=6633)
    info('*** Add switches\n')
    s1 = net.addSwitch('s1', cls=OVSKernelSwitch, dpid='1')
    s2 = net.addSwitch('s2', cls=OVSKernelSwitch)
    info('*** Add hosts\n')
    h1 = net.addHost('h1', cls=Host, ip='10.0.0.1', defaultRoute=None)
    h2 = net.addHost('h2', cls=Host, ip='10.0.0.2', defaultRoute=None)
    info('*** Add links\n')
    net.addLink(h1, s1)
    net.addLink(s1, s2)
    net.addLink(s2, h2)
    info('*** Starting network\n')
    net.build()
    for controller in net.controllers:
        controller.start()
    net.get('s1').start([c0])
    net.get('s2').start([c0])
    info('*** Post configure switches and hosts\n')
    CLI(net)
    net.stop()

if __name__ == '__main__':
    setLogLevel('info')
    myNetwork()
