# SPDX-License-Identifier: Apache-2.0
# kind: threads that ping at the same time
# expect: answered: 6
import threading
from mininet.net import Mininet
from mininet.topo import SingleSwitchTopo
net = Mininet(SingleSwitchTopo(3))
net.start()
answers = []
def ping(host, peer):
    out, _ = host.popen('ping -c 1 %s' % peer.IP()).communicate()
    answers.append(b'1 received' in out)
threads = [threading.Thread(target=ping, args=(a, b)) for a in net.hosts for b in net.hosts if a != b]
for t in threads:
    t.start()
for t in threads:
    t.join()
print('answered:', sum(answers))
net.stop()
