# SPDX-License-Identifier: Apache-2.0
# kind: CLI commands from a file
# type: source cli_commands.txt
# expect: it is 10.0.0.2
from mininet.cli import CLI
from mininet.net import Mininet
from mininet.topo import SingleSwitchTopo
with open('cli_commands.txt', 'w') as f:
    f.write('h2 echo it is h2\n')
net = Mininet(SingleSwitchTopo(2), controller=None)
net.start()
CLI(net)
net.stop()
