# SPDX-License-Identifier: Apache-2.0
# kind: router ring, a cable cut, route changed
# expect: before: 0% after: 0%
from mininet.net import Mininet
net = Mininet(controller=None)
r = [net.addHost('r%d' % n, ip=None) for n in range(3)]
for n in range(3):
    net.addLink(r[n], r[(n + 1) % 3], intfName1='r%d-cw' % n, intfName2='r%d-ccw' % ((n + 1) % 3),
                params1={'ip': '10.0.%d.1/30' % n}, params2={'ip': '10.0.%d.2/30' % n})
net.build()
for n, node in enumerate(r):
    node.cmd('sysctl -w net.ipv4.ip_forward=1')
    node.cmd('ip addr add 10.9.0.%d/32 dev lo' % n)
r[0].cmd('ip route add 10.9.0.1 via 10.0.0.2 src 10.9.0.0')
r[1].cmd('ip route add 10.9.0.0 via 10.0.0.1 src 10.9.0.1')
def loss():
    return r[0].cmd('ping -c 2 -i 0.2 -W 1 10.9.0.1 | grep -o "[0-9]*%"').strip()
before = loss()
net.configLinkStatus('r0', 'r1', 'down')
r[0].cmd('ip route replace 10.9.0.1 via 10.0.2.1 src 10.9.0.0')
r[2].cmd('ip route add 10.9.0.1 via 10.0.1.1; ip route add 10.9.0.0 via 10.0.2.2')
r[1].cmd('ip route replace 10.9.0.0 via 10.0.1.2 src 10.9.0.1')
print('before:', before, 'after:', loss())
net.stop()
