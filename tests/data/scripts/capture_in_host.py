# SPDX-License-Identifier: Apache-2.0
# kind: tcpdump in a host
# expect: ICMP echo request
# says: tcpdump wants to become another user[^$]*hoplab capture h2
import os
from mininet.net import Mininet
from mininet.topo import SingleSwitchTopo
net = Mininet(SingleSwitchTopo(2))
net.start()
h1, h2 = net.hosts
dump = h2.popen('tcpdump -n -l -c 1 -i h2-eth0 icmp', shell=False)
for _ in range(20):
    h1.cmd('ping -c 1 -W 1 10.0.0.2')
    if dump.poll() is not None:
        break
print(*[part.decode() for part in dump.communicate()])
net.stop()
