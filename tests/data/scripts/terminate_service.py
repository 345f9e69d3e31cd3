#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# kind: Node subclasses that start a service in config() and end it in terminate()
# expect: httpd of web1: hello from web1[^$]*port 80 free: True[^$]*all services ended
import os

from mininet.log import info, setLogLevel
from mininet.net import Mininet
from mininet.node import Host, Node
from mininet.topo import Topo


class LinuxRouter(Node):
    def config(self, **params):
        super(LinuxRouter, self).config(**params)
        self.cmd('sysctl net.ipv4.ip_forward=1')

    def terminate(self):
        self.cmd('sysctl net.ipv4.ip_forward=0')
        super(LinuxRouter, self).terminate()


class WebHost(Host):
    "A host with a web server for as long as it is there"
    running = []

    def config(self, page='hello', **params):
        result = super(WebHost, self).config(**params)
        self.root = '/tmp/www-%s' % self.name
        self.cmd('mkdir -p', self.root, '; echo "%s from %s" > %s/index.html'
                 % (page, self.name, self.root))
        self.server = self.popen('python3 -m http.server 80', cwd=self.root)
        WebHost.running.append(self.name)
        return result

    def terminate(self):
        self.server.terminate()
        self.server.wait()
        self.cmd('rm -r', self.root)
        WebHost.running.remove(self.name)
        super(WebHost, self).terminate()


class TwoNets(Topo):
    def build(self):
        r = self.addNode('r1', cls=LinuxRouter, ip='10.1.0.1/24')
        s1, s2 = self.addSwitch('s1'), self.addSwitch('s2')
        self.addLink(s1, r, intfName2='r1-eth1', params2={'ip': '10.1.0.1/24'})
        self.addLink(s2, r, intfName2='r1-eth2', params2={'ip': '10.2.0.1/24'})
        c = self.addHost('c1', ip='10.1.0.10/24', defaultRoute='via 10.1.0.1')
        web = self.addHost('web1', cls=WebHost, ip='10.2.0.10/24', defaultRoute='via 10.2.0.1')
        self.addLink(c, s1)
        self.addLink(web, s2)


if __name__ == '__main__':
    setLogLevel('info')
    net = Mininet(topo=TwoNets())
    net.start()
    net.waitConnected()
    c1, web1 = net.get('c1', 'web1')
    page = ''
    for attempt in range(60):
        page = c1.cmd('curl -s --noproxy "*" -m 2 http://10.2.0.10/').strip()
        if page:
            break
    info('httpd of web1: %s\n' % page)
    web1.server.terminate()
    web1.server.wait()
    info('port 80 free: %s\n' % (':80 ' not in web1.cmd('ss -ltn')))
    net.stop()
    assert not WebHost.running and not os.path.exists('/tmp/www-web1')
    info('all services ended\n')
