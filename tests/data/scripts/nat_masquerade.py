# SPDX-License-Identifier: Apache-2.0
# kind: NAT by iptables in a router
# expect: seen by the server: 203.0.113.1
from mininet.net import Mininet
net = Mininet(controller=None)
inside = net.addHost('inside', ip='192.168.0.2/24', defaultRoute='via 192.168.0.1')
gw = net.addHost('gw', ip=None)
outside = net.addHost('outside', ip='203.0.113.2/24')
net.addLink(inside, gw, params2={'ip': '192.168.0.1/24'})
net.addLink(gw, outside, params1={'ip': '203.0.113.1/24'})
net.start()
gw.cmd('sysctl -w net.ipv4.ip_forward=1; iptables -t nat -A POSTROUTING -o gw-eth1 -j MASQUERADE')
outside.cmd('python3 -u -m http.server 80 > log.txt 2>&1 &')
while 'LISTEN' not in outside.cmd('ss -ltn sport = :80'):
    pass
inside.cmd('curl -s --noproxy "*" http://203.0.113.2/ -o /dev/null')
print('seen by the server:', outside.cmd('grep -o "^[0-9.]*" log.txt').strip())
net.stop()
