# SPDX-License-Identifier: Apache-2.0
# kind: sendCmd and monitor
# expect: h1 ended[^$]*h2 ended
import select
from mininet.net import Mininet
from mininet.topo import SingleSwitchTopo
net = Mininet(SingleSwitchTopo(2))
net.start()
poller = select.poll()
nodes = {}
for h in net.hosts:
    h.sendCmd('for n in 1 2 3; do echo line $n; sleep 0.1; done')
    nodes[h.stdout.fileno()] = h
    poller.register(h.stdout, select.POLLIN)
ended = []
while len(ended) < 2:
    for fd, _ in poller.poll(1000):
        host = nodes[fd]
        print('%s:' % host.name, host.monitor().strip())
        if not host.waiting:
            poller.unregister(fd)
            ended.append(host.name)
for name in sorted(ended):
    print(name, 'ended')
net.stop()
