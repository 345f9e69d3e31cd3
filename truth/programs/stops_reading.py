# SPDX-License-Identifier: Apache-2.0
"""Takes a connection, reads a little and no more for a while: PORT."""

import socket
import sys
import time

with socket.create_server(("", int(sys.argv[1]))) as server:
    server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 50_000)
    while True:
        connection, _ = server.accept()
        with connection:
            connection.recv(1000)
            time.sleep(1)
            while connection.recv(100_000):
                pass
