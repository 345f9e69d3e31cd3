# SPDX-License-Identifier: Apache-2.0
# kind: client and server of an assignment
# expect: server says HELLO
from mininet.net import Mininet
from mininet.topo import SingleSwitchTopo
SERVER = '''
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("0.0.0.0", 9999))
print("ready", flush=True)
data, peer = s.recvfrom(2048)
s.sendto(data.upper(), peer)
'''
CLIENT = '''
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.sendto(b"hello", (sys.argv[1], 9999))
print("server says", s.recv(2048).decode())
'''
net = Mininet(SingleSwitchTopo(2))
net.start()
for name, text in ('server', SERVER), ('client', CLIENT):
    with open('chat_%s.py' % name, 'w') as f:
        f.write(text)
server = net['h2'].popen(['python3', 'chat_server.py'])
server.stdout.readline()
print(net['h1'].cmd('python3 chat_client.py', net['h2'].IP()))
net.stop()
