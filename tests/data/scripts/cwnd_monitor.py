# SPDX-License-Identifier: Apache-2.0
# kind: congestion window watched with ss
# expect: samples with a window: [1-9]
import time
from mininet.link import TCLink
from mininet.net import Mininet
from mininet.topo import SingleSwitchTopo
net = Mininet(SingleSwitchTopo(2, lopts=dict(bw=20)), link=TCLink)
net.start()
h1, h2 = net.get('h1', 'h2')
h2.cmd('iperf -s &')
h1.cmd('iperf -c 10.0.0.2 -t 2 &')
windows = []
for _ in range(8):
    windows += [w for w in h1.cmd('ss -ti dst 10.0.0.2').split() if w.startswith('cwnd:')]
    time.sleep(0.2)
print('samples with a window:', len(windows))
h2.cmd('kill %iperf')
net.stop()
