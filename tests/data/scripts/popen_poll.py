# SPDX-License-Identifier: Apache-2.0
# kind: popen and pmonitor
# expect: <h3>: [^$]*0% packet loss
from mininet.net import Mininet
from mininet.topo import SingleSwitchTopo
from mininet.util import pmonitor
net = Mininet(SingleSwitchTopo(3), waitConnected=True)
net.start()
popens = {h: h.popen('ping -c 2 -i 0.2 10.0.0.1') for h in net.hosts}
for host, line in pmonitor(popens):
    if host:
        print('<%s>: %s' % (host.name, line.strip()))
net.stop()
