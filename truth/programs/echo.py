# SPDX-License-Identifier: Apache-2.0
"""Sends every datagram back: PORT."""

import socket
import sys

with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
    server.bind(("", int(sys.argv[1])))
    while True:
        data, peer = server.recvfrom(2048)
        server.sendto(data, peer)
