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
import os
import re
import socket
import sys
import time
from collections.abc import Sequence

# With -I or -P Python does not look beside the program for modules; this one's are there.
sys.path.append(os.path.dirname(os.path.realpath(__file__)))
try:
    from protocols import service
    from protocols.command_line import Formatter, Parser, bad_value
    from protocols.language import in_words, say, spoken
except ImportError as missing:
    import shlex  # imported here, since only this sentence needs it

    folder, program = os.path.split(os.path.abspath(__file__))
    print(
        f"{program} needs the folder protocols beside it ({missing}).\n"
        f'  Next: cp -r "$(dirname "$(hoplab path transfer)")"/protocols {shlex.quote(folder)}',
        file=sys.stderr,
    )
    raise SystemExit(2) from None

PORT = 5001  # as iperf uses it
CHUNK = 1 << 16
UNITS = {"": 1, "k": 1_000, "m": 1_000_000, "g": 1_000_000_000}
PATIENCE_S = 20  # for the connection to come about
RECEIVE_FIRST = say("Begin the receiver first, on the other host: python3 apps/transfer.py receive")


def octets(text: str) -> int:
    """'1M' as a number of bytes. Raises ArgumentTypeError."""
    parts = re.fullmatch(r"(\d+)([kKmMgG]?)", text)
    count = int(parts[1]) * UNITS[parts[2].lower()] if parts else 0
    if count < 1:
        raise bad_value(say("{text} is no amount: give bytes, as in 500k or 1M", text=text))
    return count


def receive(port: int) -> None:
    """Take one connection and read it to the end. Raises OSError."""
    with socket.create_server(("", port)) as server:
        port = server.getsockname()[1]
        print(spoken(say("listening on port {port}", port=port)), flush=True)
        connection, _ = server.accept()
    with connection:
        began = time.monotonic()
        count = 0
        while data := connection.recv(CHUNK):
            count += len(data)
        seconds = time.monotonic() - began
        # What goes over the wire is the same in every language: the sender may have another one.
        connection.sendall(f"received {count} bytes in {seconds:.3f} s\n".encode())
    print(spoken(say("received {n} bytes in {s:.3f} s", n=count, s=seconds)), flush=True)


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
    report = re.fullmatch(r"received (\d+) bytes in ([\d.]+) s", summary)
    if report is None or int(report[1]) != count:
        if not summary:
            raise service.ServiceError(say("the receiver closed without a word"), RECEIVE_FIRST)
        raise service.ServiceError(
            say("the receiver says: {summary}", summary=summary), RECEIVE_FIRST
        )
    text = say(
        "sent {n} bytes; {address} received {n} bytes in {s} s",
        n=count,
        address=address,
        s=report[2],
    )
    print(spoken(text))


def main(argv: Sequence[str] | None = None) -> int:
    """Send or receive, and return the exit code."""
    parser = Parser(
        "transfer.py",
        say("Send bytes over one TCP connection, or receive them."),
        """  python3 apps/transfer.py receive
  python3 apps/transfer.py send 10.0.0.2
  python3 apps/transfer.py --port 7000 send 10.0.0.2 --bytes 500k""",
        say("exit codes: 0 all of it arrived; 1 it did not; 2 bad options"),
    )
    parser.add_argument(
        "--port", type=service.number(0, 65535), default=PORT, help=say("default: %(default)s")
    )
    actions = parser.add_subparsers(
        dest="action",
        metavar="receive|send",
        required=True,
        parser_class=argparse.ArgumentParser,
    )
    taking = spoken(say("take one connection, and say what came"))
    actions.add_parser("receive", help=taking, description=taking, formatter_class=Formatter)
    sending = spoken(say("connect, and send"))
    sender = actions.add_parser(
        "send", help=sending, description=sending, formatter_class=Formatter
    )
    sender.add_argument("address", metavar="ADDRESS", help=spoken(say("the receiver's")))
    amount = spoken(say("as 500k; default: 1M"))
    sender.add_argument("--bytes", type=octets, default=octets("1M"), help=amount)
    arguments = parser.parse_args(argv)
    try:
        if arguments.action == "receive":
            receive(arguments.port)
        else:
            send(arguments.address, arguments.port, arguments.bytes)
    except service.ServiceError as error:
        service.complain("transfer", error.message, error.hint)
        return 1
    except OSError as error:
        hint = RECEIVE_FIRST if arguments.action == "send" else say("Give another --port.")
        service.complain("transfer", say("no transfer: {reason}", reason=in_words(error)), hint)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
