#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
# kind: CLI(net, script=FILE), with a command of its own
# expect: available nodes are[^$]*0% packet loss[^$]*10\.0\.0\.1[^$]*0 received|shell of the machine
import os

from mininet.cli import CLI
from mininet.log import setLogLevel
from mininet.net import Mininet
from mininet.topo import MinimalTopo


class GraderCLI(CLI):
    prompt = 'grader> '

    def do_grade(self, line):
        "Say how many hosts there are"
        print('graded: %d hosts' % len(self.mn.hosts))


setLogLevel('info')
net = Mininet(topo=MinimalTopo(), waitConnected=True)
net.start()
CLI(net, script=os.path.join(os.path.dirname(os.path.abspath(__file__)), 'cli_script.txt'))
net.stop()
print('shell of the machine was left')
