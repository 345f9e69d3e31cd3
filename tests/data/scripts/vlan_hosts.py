# SPDX-License-Identifier: Apache-2.0
# kind: hosts in VLANs by 802.1q interfaces
# says: no interfaces for VLANs[^$]*modprobe 8021q
# expect: 0% packet loss
from mininet.net import Mininet
from mininet.node import Host, OVSBridge
class VLANHost(Host):
    def config(self, vlan=100, **params):
        r = super(VLANHost, self).config(**params)
        intf = self.defaultIntf()
        print(self.cmd('ip link add link %s name %s.%d type vlan id %d' % (intf, intf, vlan, vlan)))
        self.cmd('ip addr flush dev %s; ip addr add %s/8 dev %s.%d; ip link set %s.%d up' % (intf, params['ip'].split('/')[0], intf, vlan, intf, vlan))
        return r
net = Mininet(switch=OVSBridge, controller=None)
s1 = net.addSwitch('s1')
for n, vlan in enumerate((100, 100, 200), 1):
    net.addLink(net.addHost('h%d' % n, cls=VLANHost, vlan=vlan, ip='10.0.0.%d' % n), s1)
net.start()
print(net['h1'].cmd('ping -c 1 -W 1 10.0.0.2; ping -c 1 -W 1 10.0.0.3'))
net.stop()
