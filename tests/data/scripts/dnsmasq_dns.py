# SPDX-License-Identifier: Apache-2.0
# kind: dnsmasq as a host's DNS server
# expect: answer 10.0.0.9
# says: wants dnsmasq, [^$]*apt-get install dnsmasq
from mininet.net import Mininet
from mininet.topo import SingleSwitchTopo
net = Mininet(SingleSwitchTopo(2))
net.start()
h1, h2 = net.hosts
h1.cmd('dnsmasq --address=/www.example.org/10.0.0.9 --no-resolv')
for _ in range(10):
    answer = h2.cmd('dig +short +tries=1 +time=1 www.example.org @10.0.0.1')
    if '10.0.0.9' in answer:
        break
print('answer', answer)
net.stop()
