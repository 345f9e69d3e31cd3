# SPDX-License-Identifier: Apache-2.0
# kind: mn -c, root check, sudo, service
# expect: 0% dropped
import os
import sys
from mininet.clean import cleanup
from mininet.net import Mininet
from mininet.topo import SingleSwitchTopo
if os.geteuid() != 0:
    sys.exit('run me as root')
os.system('sudo mn -c > /dev/null 2>&1; sudo service openvswitch-switch start')
cleanup()
net = Mininet(SingleSwitchTopo(2))
try:
    net.start()
    net.pingAll()
finally:
    net.stop()
    cleanup()
