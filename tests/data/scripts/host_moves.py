# SPDX-License-Identifier: Apache-2.0
# kind: a host moves to another switch, flows cleared by dpctl
# expect: 0% dropped[^$]*0% dropped
from mininet.net import Mininet
from mininet.topo import LinearTopo
net = Mininet(LinearTopo(3))
net.start()
net.pingAll()
h1, s3 = net['h1'], net['s3']
old = h1.connectionsTo(net['s1'])[0]
net['s1'].detach(old[1])
net['s1'].cmd('ip link set', old[1], 'down')
link = net.addLink(h1, s3)
s3.attach(link.intf2)
h1.cmd('ip addr flush dev', old[0])
h1.setIP('10.0.0.1/8', intf=link.intf1)
for s in net.switches:
    s.dpctl('del-flows')
net.pingAll()
net.stop()
