# SPDX-License-Identifier: Apache-2.0
"""Greets whoever connects, as a mail server does, and closes: PORT."""

import socket
import sys

with socket.create_server(("", int(sys.argv[1]))) as server:
    while True:
        connection, _ = server.accept()
        with connection:
            connection.sendall(b"220 mail.example ESMTP ready\r\n")
