# SPDX-License-Identifier: Apache-2.0
"""Sends one datagram and waits a second for an answer: HOST PORT TEXT."""

import socket
import sys

with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
    sender.settimeout(1)
    sender.connect((sys.argv[1], int(sys.argv[2])))
    sender.send(sys.argv[3].encode())
    try:
        print(sender.recv(2048).decode())
    except OSError as error:
        sys.exit(str(error))
