# SPDX-License-Identifier: Apache-2.0
# kind: topology in a JSON file beside it
# expect: 0% dropped
import json
import os
from mininet.net import Mininet
from mininet.link import TCLink
here = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(here, 'json_topology.json')) as f:
    config = json.load(f)
net = Mininet(link=TCLink)
net.addController('c0')
for host in config['hosts']:
    net.addHost(host['name'], ip=host['ip'])
for switch in config['switches']:
    net.addSwitch(switch)
for link in config['links']:
    net.addLink(net.get(link['from']), net.get(link['to']), bw=link.get('bw'))
net.start()
net.pingAll()
net.stop()
