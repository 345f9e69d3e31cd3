# SPDX-License-Identifier: Apache-2.0
# kind: iperf3 with JSON
# expect: Mbit/s: [1-9]
# says: wants iperf3, [^$]*apt-get install iperf3
import json
from mininet.net import Mininet
from mininet.link import TCLink
from mininet.topo import SingleSwitchTopo
net = Mininet(SingleSwitchTopo(2, lopts={'bw': 20}), link=TCLink)
net.start()
h1, h2 = net.hosts
h2.cmd('iperf3 -s -D')
out = h1.cmd('sleep 0.5; iperf3 -c 10.0.0.2 -t 1 -J')
print(out if 'not found' in out else '')
print('Mbit/s: %.1f' % (json.loads(out)['end']['sum_received']['bits_per_second'] / 1e6))
h2.cmd('pkill -n iperf3')
net.stop()
