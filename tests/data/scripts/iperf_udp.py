# SPDX-License-Identifier: Apache-2.0
# kind: iperf by hand, UDP, server's report
# expect: \d+ *Mbits/sec[^$]*\d+/ *\d+
from mininet.net import Mininet
from mininet.topo import SingleSwitchTopo
net = Mininet(SingleSwitchTopo(2))
net.start()
h1, h2 = net.hosts
net.pingAll()
h2.cmd('iperf -s -u -i 1 > server.txt &')
print(h1.cmd('iperf -c 10.0.0.2 -u -b 5M -t 1'))
h2.cmd('kill %iperf; wait')
print(open('server.txt').read())
net.stop()
