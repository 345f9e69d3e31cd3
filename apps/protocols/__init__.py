# SPDX-License-Identifier: Apache-2.0
"""What the programs beside this folder are made of: DNS and HTTP piece by piece, and no program.

The cast
    `dns_...`        names, messages, zones and replies of DNS; of dns_server.py and dns_resolver.py
    `http1`          the messages of HTTP/1.1, for both ends of a connection
    `web_...`        the parts of web_server.py
    `fetch_...`      the parts of fetch.py
    `certificates`   the lab's certificate authority; of lab_ca.py and web_server.py
    `service`        what every server does before it serves

It needs Python's standard library alone. Whoever copies a program copies this folder with it.
"""
