# SPDX-License-Identifier: Apache-2.0
# kind: RemoteController, Ryu started by the script itself
# expect: 0% dropped
import subprocess
import time
from mininet.net import Mininet
from mininet.node import RemoteController
from mininet.topo import SingleSwitchTopo
ryu = subprocess.Popen(['ryu-manager', '--ofp-tcp-listen-port', '6633', 'ryu.app.simple_switch_13'],
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
net = Mininet(topo=SingleSwitchTopo(3), controller=lambda name: RemoteController(name, ip='127.0.0.1', port=6633), autoSetMacs=True)
net.start()
net.waitConnected(timeout=60)
deadline = time.time() + 30
while 'actions=CONTROLLER' not in net['s1'].dpctl('dump-flows', '-O OpenFlow13') and time.time() < deadline:
    time.sleep(0.2)
net.pingAll()
net.stop()
ryu.terminate()
