# SPDX-License-Identifier: Apache-2.0
# kind: net.iperf
# expect: \['[\d.]+ \wbits/sec', '[\d.]+ \wbits/sec'\]
from mininet.net import Mininet
from mininet.topo import LinearTopo
net = Mininet(LinearTopo(2))
net.start()
print(net.iperf((net['h1'], net['h2']), seconds=1))
net.stop()
