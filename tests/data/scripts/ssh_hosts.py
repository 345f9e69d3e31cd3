# SPDX-License-Identifier: Apache-2.0
# kind: sshd on the hosts
# says: wants /usr/sbin/sshd, [^$]*apt-get install openssh-server
# expect: sshd runs
from mininet.net import Mininet
from mininet.topo import SingleSwitchTopo
net = Mininet(SingleSwitchTopo(2))
net.start()
for host in net.hosts:
    out = host.cmd('/usr/sbin/sshd -D -o UseDNS=no -u0 & sleep 1; jobs')
    print('sshd runs' if 'Running' in out else out)
for host in net.hosts:
    host.cmd('kill %1')
net.stop()
