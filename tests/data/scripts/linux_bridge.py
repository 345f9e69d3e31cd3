# SPDX-License-Identifier: Apache-2.0
# kind: LinuxBridge, with a spanning tree in a triangle
# expect: 0% dropped
import time
from mininet.net import Mininet
from mininet.nodelib import LinuxBridge
net = Mininet(switch=LinuxBridge, controller=None)
s = [net.addSwitch('s%d' % n, stp=True) for n in (1, 2, 3)]
for n in range(3):
    net.addLink(net.addHost('h%d' % (n + 1)), s[n])
    net.addLink(s[n], s[(n + 1) % 3])
net.start()
print(s[0].cmd('brctl show s1'))
deadline = time.time() + 60
while net.ping(timeout='1') and time.time() < deadline:
    time.sleep(2)
net.pingAll()
net.stop()
