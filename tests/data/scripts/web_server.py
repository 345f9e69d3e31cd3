# SPDX-License-Identifier: Apache-2.0
# kind: web server and wget
# expect: Directory listing
from mininet.net import Mininet
from mininet.topo import SingleSwitchTopo
net = Mininet(SingleSwitchTopo(2))
net.start()
h1, h2 = net.hosts
h2.cmd('python3 -m http.server 80 &')
for _ in range(100):
    page = h1.cmd('wget --no-proxy -q -O - 10.0.0.2 || sleep 0.1')
    if 'Directory' in page:
        break
print(page)
h2.cmd('kill %python3')
net.stop()
