# SPDX-License-Identifier: Apache-2.0
# kind: an own switch class with protocols=OpenFlow13 and flows by dpctl, after net.build()
# expect: OpenFlow13\W[^$]*cookie=0x2a[^$]*0% dropped
import functools

from mininet.net import Mininet
from mininet.node import OVSSwitch
from mininet.topo import SingleSwitchTopo

OpenFlow13Switch = functools.partial(OVSSwitch, protocols='OpenFlow13')


class FlowSwitch(OVSSwitch):
    "Forwards by port number, without any controller"

    def __init__(self, name, **params):
        # Mininet starts the switches of a Topo together, after their start(), unless told otherwise
        params.update(failMode='secure', protocols='OpenFlow13', batch=False)
        super().__init__(name, **params)

    def start(self, controllers):
        super().start([])
        for number, intf in sorted(self.intfs.items()):
            if number:
                out = 3 - number
                print(self.dpctl('add-flow', '-O OpenFlow13',
                           '"cookie=42,in_port=%d,actions=output:%d"' % (number, out)))


net = Mininet(topo=SingleSwitchTopo(2), switch=FlowSwitch, controller=None, build=False)
net.build()
net.start()
s1 = net['s1']
print(s1.cmd('ovs-vsctl get bridge s1 protocols'))
print(s1.dpctl('dump-flows', '-O OpenFlow13'))
net.pingAll()
net.stop()
