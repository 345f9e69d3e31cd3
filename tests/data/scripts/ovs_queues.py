# SPDX-License-Identifier: Apache-2.0
# kind: QoS queues of Open vSwitch
# expect: linux-htb
from mininet.net import Mininet
from mininet.topo import SingleSwitchTopo
net = Mininet(SingleSwitchTopo(2))
net.start()
net['s1'].cmd('ovs-vsctl -- set port s1-eth1 qos=@newqos -- --id=@newqos create qos type=linux-htb '
              'other-config:max-rate=10000000 queues:0=@q0 -- --id=@q0 create queue other-config:max-rate=5000000')
print(net['s1'].cmd('ovs-vsctl list qos'))
net.pingAll()
net['s1'].cmd('ovs-vsctl -- --all destroy qos -- --all destroy queue')
net.stop()
