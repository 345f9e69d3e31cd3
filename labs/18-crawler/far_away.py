# SPDX-License-Identifier: Apache-2.0
"""A web server far away: a small site, behind a cable on which a packet takes its time.

    client ------- r1 =============== r2 ------- www
      10.1.0.0/24      10.12.0.0/30      10.80.0.0/24
     .10         .1   .1   100 ms   .2   .1       .80

What to see: the time that a program takes, if most of it is waiting. www has a page with twelve
links, /p01.html to /p12.html, and on each of those pages stands how many minutes a chapter takes.

    hoplab up labs/18-crawler/far_away.py
    hoplab link r1 r2 --delay 100ms
    hoplab visit http://10.80.0.80/p01.html
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(
    sys._getframe().f_code.co_filename)), "..", "..", "topologies"))  # fmt: skip

from mininet.topo import Topo
from nodes import Computer, Router, Server

MINUTES = (12, 7, 31, 18, 25, 9, 40, 14, 22, 5, 17, 28)
LINE = "<p>What stands here is not what this is about; it takes room, as pages do.</p>\n"


def site():
    """The files of the site: a page with links, and the pages that they lead to."""
    links = "".join(f'<a href="/p{n:02}.html">Chapter {n}</a>\n' for n in range(1, 13))
    pages = {"index.html": f"<h1>Chapters</h1>\n{links}"}
    for n, minutes in enumerate(MINUTES, 1):
        pages[f"p{n:02}.html"] = f"<h1>Chapter {n}</h1>\n<b>{minutes} minutes</b>\n{LINE * 100}"
    return pages


class FarAwayTopo(Topo):
    """client and www, and two routers with a long cable between them."""

    url = "http://10.80.0.80/"
    client = "client"

    def build(self):
        near = {"cls": Computer, "ip": "10.1.0.10/24", "defaultRoute": "via 10.1.0.1"}
        far = {"cls": Server, "ip": "10.80.0.80/24", "defaultRoute": "via 10.80.0.1"}
        self.addHost("client", **near)
        self.addHost("r1", cls=Router, ip="10.1.0.1/24", routes=[("10.80.0.0/24", "10.12.0.2")])
        self.addHost("r2", cls=Router, ip="10.12.0.2/30", routes=[("10.1.0.0/24", "10.12.0.1")])
        self.addHost("www", files=site(), serves=[["web_server.py", "--site", "/mnt"]], **far)
        self.addLink("client", "r1", params2={"ip": "10.1.0.1/24"})
        self.addLink("r1", "r2", params1={"ip": "10.12.0.1/30"}, params2={"ip": "10.12.0.2/30"})
        self.addLink("r2", "www", params1={"ip": "10.80.0.1/24"})


topos = {"far_away": FarAwayTopo}
