# SPDX-License-Identifier: Apache-2.0
# kind: CLI with everything that people type
# type: nodes|net|dump|links|intfs|h1 ifconfig h1-eth0|py h1.IP()|sh echo from the shell|pingpair|dpctl dump-flows|link s1 h2 down|h1 ping -c 1 -W 1 h2|link s1 h2 up
# expect: from the shell[^$]*100% packet loss
from mininet.cli import CLI
from mininet.net import Mininet
from mininet.topo import SingleSwitchTopo
net = Mininet(SingleSwitchTopo(2))
net.start()
CLI(net)
net.stop()
