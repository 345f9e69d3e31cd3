#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# kind: net.addNAT().configDefault(), and addresses that are set afterwards
# expect: default via 10.0.0.3[^$]*gateway: 0% packet loss[^$]*moved: 192.168.7.1/24[^$]*moved: 0% packet loss
import re

from mininet.net import Mininet
from mininet.topolib import TreeNet


def loss(text):
    return re.search(r'\d+% packet loss', text).group(0)


if __name__ == '__main__':
    net = TreeNet(depth=1, fanout=2, waitConnected=True)
    nat = net.addNAT()
    nat.configDefault()
    net.start()
    h1, h2 = net.get('h1'), net.get('h2')
    print(h1.cmd('ip route'))
    print('gateway: ' + loss(h1.cmd('ping -c 2 -w 20', nat.IP())))
    # Another subnet for the two of them, as the second half of the exercise wants it
    for number, host in enumerate(net.hosts[:2], 1):
        host.setIP('192.168.7.%d' % number, 24)
        host.setMAC('00:00:00:00:07:%02d' % number)
    print('moved: %s/%s' % (net.get('h1').IP(), h1.intf().prefixLen))
    assert h2.intf().updateMAC() == '00:00:00:00:07:02', h2.intf().MAC()
    print('moved: ' + loss(h1.cmd('ping -c 2 -w 20 192.168.7.2')))
    net.stop()
