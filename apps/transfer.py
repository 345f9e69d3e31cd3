# SPDX-License-Identifier: Apache-2.0
"""Send bytes over one TCP connection, as fast as the network takes them, or receive them.

The cast
    `receive`  takes one connection, reads it to the end, and says how much came in which time
    `send`     sends so many bytes, and waits until the receiver has said so to it as well

Run it on two hosts of the lab:

    hoplab exec h2 -- python3 apps/transfer.py receive
    hoplab exec h1 -- python3 apps/transfer.py send 10.0.0.2 --bytes 1M

`hoplab trace --compare` does so when it is told no commands.
"""

from __future__ import annotations

import argparse
import re
import socket
import sys
import time

PORT = 5001  # as iperf uses it
CHUNK = 1 << 16
UNITS = {"": 1, "k": 1_000, "m": 1_000_000, "g": 1_000_000_000}
PATIENCE_S = 20  # for the connection to come about


def octets(text: str) -> int:
    """'1M' as a number of bytes. Raises ArgumentTypeError."""
    parts = re.fullmatch(r"(\d+)([kKmMgG]?)", text)
    count = int(parts[1]) * UNITS[parts[2].lower()] if parts else 0
    if count < 1:
        raise argparse.ArgumentTypeError(f"{text} is no amount: give bytes, as in 500k or 1M")
    return count


def receive(port: int) -> None:
    """Take one connection and read it to the end. Raises OSError."""
    with socket.create_server(("", port)) as server:
        print(f"listening on port {server.getsockname()[1]}", flush=True)
        connection, _ = server.accept()
    with connection:
        began = time.monotonic()
        count = 0
        while data := connection.recv(CHUNK):
            count += len(data)
        seconds = time.monotonic() - began
        summary = f"received {count} bytes in {seconds:.3f} s"
        connection.sendall(f"{summary}\n".encode())
    print(summary, flush=True)


def send(address: str, port: int, count: int) -> None:
    """Send so many bytes and wait for the receiver's word. Raises OSError."""
    with socket.create_connection((address, port), PATIENCE_S) as connection:
        connection.settimeout(None)
        left, chunk = count, bytes(range(256)) * (CHUNK // 256)
        while left:
            left -= connection.send(chunk[:left])
        connection.shutdown(socket.SHUT_WR)
        with connection.makefile(encoding="ascii", errors="replace") as lines:
            summary = lines.readline().strip()
    if not summary.startswith(f"received {count} bytes"):
        raise ConnectionError(f"the receiver says: {summary or 'nothing'}")
    print(f"sent {count} bytes; {address} {summary}")


def main() -> int:
    """Send or receive, and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="transfer.py",
        description="Send bytes over one TCP connection, or receive them.",
        epilog="""examples:
  python3 apps/transfer.py receive
  python3 apps/transfer.py send 10.0.0.2
  python3 apps/transfer.py --port 7000 send 10.0.0.2 --bytes 500k

exit codes: 0 all of it arrived; 1 it did not; 2 bad options""",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--port", type=int, default=PORT, help=f"default: {PORT}")
    actions = parser.add_subparsers(dest="action", metavar="receive|send", required=True)
    actions.add_parser("receive", help="take one connection, and say what came")
    sender = actions.add_parser("send", help="connect, and send")
    sender.add_argument("address", metavar="ADDRESS", help="the receiver's")
    sender.add_argument("--bytes", type=octets, default=octets("1M"), help="as 500k; default: 1M")
    arguments = parser.parse_args()
    try:
        if arguments.action == "receive":
            receive(arguments.port)
        else:
            send(arguments.address, arguments.port, arguments.bytes)
    except (OSError, OverflowError) as error:
        print(f"transfer: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
