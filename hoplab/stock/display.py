# SPDX-License-Identifier: Apache-2.0
"""A display that is reached over TCP, as `ssh -X` makes one (DISPLAY=localhost:10.0), carried into
the machine of a command, whose 127.0.0.1 is another one.

In there somebody listens where DISPLAY says, and hands each connection out by a descriptor
(unix(7), SCM_RIGHTS); out here it is led to the display. Nothing of it has a name in the file
system, so nothing is left whoever is killed. A display with a socket in /tmp/.X11-unix needs none
of this: that folder stays visible.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import threading
from collections.abc import Mapping

FIRST_PORT = 6000  # display 0's (X11, appendix B)
_OVER_TCP = re.compile(r"(?:localhost|127\.0\.0\.1):(\d{1,5})(?:\.\d+)?")


def port_of(environment: Mapping[str, str]) -> int:
    """The port of this machine's that DISPLAY names, 0 if it names none."""
    over_tcp = _OVER_TCP.fullmatch(environment.get("DISPLAY", ""))
    return FIRST_PORT + int(over_tcp[1]) if over_tcp is not None else 0


class Display:
    """Both ends. `start` comes after the machine has been started, for it makes a thread."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._outside, self._inside = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    def fds(self) -> list[int]:
        """What the machine is to have."""
        return [self._inside.fileno()]

    def start(self) -> None:
        """The end out here."""
        self._inside.close()
        threading.Thread(target=_lead, args=(self._outside, self.port), daemon=True).start()

    def listen_inside(self) -> None:
        """The end in the machine. Without it there is no display, which is no failure."""
        self._outside.detach()  # at the fork it was closed, and its number may be another's by now
        os.set_inheritable(self._inside.fileno(), False)
        with contextlib.suppress(OSError):
            listener = socket.create_server(("127.0.0.1", self.port))
            threading.Thread(target=_hand_out, args=(listener, self._inside), daemon=True).start()

    def close(self) -> None:
        for end in (self._outside, self._inside):
            end.close()


def _hand_out(listener: socket.socket, channel: socket.socket) -> None:
    with contextlib.suppress(OSError):  # nobody is outside any more
        while True:
            connection, _ = listener.accept()
            with connection:
                socket.send_fds(channel, [b"x"], [connection.fileno()])


def _lead(channel: socket.socket, port: int) -> None:
    """Lead each connection that is handed out to the display, until the machine has ended."""
    with contextlib.suppress(OSError):
        while True:
            data, fds, _, _ = socket.recv_fds(channel, 1, 1)
            if not data:
                return
            near = socket.socket(fileno=fds[0])
            try:
                far = socket.create_connection(("127.0.0.1", port), timeout=10)
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            for ends in ((near, far), (far, near)):
                threading.Thread(target=_copy, args=ends, daemon=True).start()


def _copy(source: socket.socket, target: socket.socket) -> None:
    """Until its end, which is passed on, too."""
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
