# SPDX-License-Identifier: Apache-2.0
# kind: own CLI commands
# type: greet h1|exit
# expect: hello from 10.0.0.1
from mininet.cli import CLI
from mininet.net import Mininet
from mininet.topo import SingleSwitchTopo
class MyCLI(CLI):
    prompt = 'my> '
    def do_greet(self, line):
        "greet HOST"
        print('hello from', self.mn[line].IP())
net = Mininet(SingleSwitchTopo(2), controller=None)
net.start()
MyCLI(net)
net.stop()
