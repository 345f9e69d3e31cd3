# SPDX-License-Identifier: Apache-2.0
"""A display that is reached over TCP, as `ssh -X` makes one (DISPLAY=localhost:10.0), carried into
the machine of a command, whose 127.0.0.1 is another one.

Out here a socket in a folder of its own, which the machine sees, leads to the display; in there
somebody listens where DISPLAY says, and leads to that socket. A display with a socket in
/tmp/.X11-unix needs none of this: that folder stays visible.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

FIRST_PORT = 6000  # display 0's (X11, appendix B)
_OVER_TCP = re.compile(r"(?:localhost|127\.0\.0\.1):(\d{1,5})(?:\.\d+)?")


def port_of(environment: Mapping[str, str]) -> int:
    """The port of this machine's that DISPLAY names, 0 if it names none."""
    over_tcp = _OVER_TCP.fullmatch(environment.get("DISPLAY", ""))
    return FIRST_PORT + int(over_tcp[1]) if over_tcp is not None else 0


class Display:
    """The end out here. `start` comes after the machine has been started, for it makes a thread."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.folder = Path(tempfile.mkdtemp(prefix="hoplab-display-"))  # nobody else may enter
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(self.path))
        self._listener.listen()

    @property
    def path(self) -> Path:
        return self.folder / "display"

    def start(self) -> None:
        def outward() -> socket.socket:
            return socket.create_connection(("127.0.0.1", self.port), timeout=10)

        threading.Thread(target=_serve, args=(self._listener, outward), daemon=True).start()

    def listen_inside(self) -> None:
        """The end in the machine. Without it there is no display, which is no failure."""
        self._listener.close()

        def outward() -> socket.socket:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            connection.connect(str(self.path))
            return connection

        with contextlib.suppress(OSError):
            listener = socket.create_server(("127.0.0.1", self.port))
            threading.Thread(target=_serve, args=(listener, outward), daemon=True).start()

    def close(self) -> None:
        self._listener.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def _serve(listener: socket.socket, outward: Callable[[], socket.socket]) -> None:
    while True:
        try:
            near, _ = listener.accept()
        except OSError:  # closed
            return
        try:
            far = outward()
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
