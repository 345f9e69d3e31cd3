# SPDX-License-Identifier: Apache-2.0
# kind: port scan and a firewall with iptables
# expect: before: 80 8080 after: 80
from mininet.net import Mininet
from mininet.topo import SingleSwitchTopo
net = Mininet(SingleSwitchTopo(2))
net.start()
h1, h2 = net.hosts
for port in 80, 8080:
    h2.cmd('python3 -m http.server %d > /dev/null 2>&1 &' % port)
    while 'LISTEN' not in h2.cmd('ss -ltn sport = :%d' % port):
        pass
SCAN = 'for p in 79 80 8080; do timeout 1 bash -c "exec 3<>/dev/tcp/10.0.0.2/$p" 2>/dev/null && echo $p; done'
before = h1.cmd(SCAN).split()
h2.cmd('iptables -A INPUT -p tcp --dport 8080 -j DROP')
print('before:', *before, 'after:', *h1.cmd(SCAN).split())
net.stop()
