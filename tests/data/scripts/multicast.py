# SPDX-License-Identifier: Apache-2.0
# kind: multicast with Python's sockets
# expect: got b'to all'
from mininet.net import Mininet
from mininet.topo import SingleSwitchTopo
RECEIVE = '''
import socket, struct
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", 5007))
s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, struct.pack("4s4s", socket.inet_aton("224.1.1.1"), socket.inet_aton("10.0.0.2")))
print("ready", flush=True)
print("got", s.recv(100), flush=True)
'''
net = Mininet(SingleSwitchTopo(2))
net.start()
open('receive.py', 'w').write(RECEIVE)
receiver = net['h2'].popen('python3 receive.py')
receiver.stdout.readline()
net['h1'].cmd('ip route add 224.0.0.0/4 dev h1-eth0')
net['h1'].cmd('''python3 -c "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'to all', ('224.1.1.1', 5007))"''')
print(receiver.stdout.readline().decode())
net.stop()
