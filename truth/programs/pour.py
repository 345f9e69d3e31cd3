# SPDX-License-Identifier: Apache-2.0
"""Sends bytes over TCP until all are sent or the other end has not read for long: HOST PORT N."""

import socket
import sys

with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as sender:
    sender.settimeout(2)
    try:
        sender.sendall(bytes(int(sys.argv[3])))
    except OSError as error:
        sys.exit(str(error))
