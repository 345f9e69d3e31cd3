# SPDX-License-Identifier: Apache-2.0
# kind: hosts with private directories
# expect: h1 has h1 h2 has h2
from functools import partial
from mininet.net import Mininet
from mininet.node import Host
from mininet.topo import SingleSwitchTopo
host = partial(Host, privateDirs=['/var/run', ('/var/lib', '/tmp/%(name)s/var/lib')])
net = Mininet(SingleSwitchTopo(2), host=host)
net.start()
for h in net.hosts:
    h.cmd('echo %s > /var/run/who' % h)
print(*['%s has %s' % (h, h.cmd('cat /var/run/who').strip()) for h in net.hosts])
net.stop()
