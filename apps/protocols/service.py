# SPDX-License-Identifier: Apache-2.0
"""What every server here does before it serves: listen, go to the background, end quietly.

The cast
    `add_options`     gives a command line --listen, --port, --log and --background
    `listen_tcp`, `listen_udp_and_tcp`   open the sockets, or say in a sentence why not
    `Log`             writes one line at a time, from any thread
    `run`             serves; with --background the command returns as soon as the port is open
    `seconds`, `number`   kinds of options, for argparse
    `ServiceError`    a sentence and a next step, in the user's language when it is printed

The rule: the parent returns 0 only after the sockets listen. A client that starts right after the
command finds the port open; its first packet waits in the kernel until the child reads it. So
nobody has to sleep and hope.

Example, a server in eight lines:

    import argparse, service
    parser = argparse.ArgumentParser()
    service.add_options(parser, port=7)
    args = parser.parse_args()
    listener = service.listen_tcp(args.listen, args.port)
    def serve(log):
        while True:
            conn, peer = listener.accept()
            conn.close()
    service.run("daytime", serve, listener, args)
"""

from __future__ import annotations

import argparse
import errno
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable

from protocols.command_line import bad_value
from protocols.language import in_words, say, spoken

EXIT_CANNOT_LISTEN = 1
EXIT_USAGE = 2
EXIT_DIED = 3


class ServiceError(Exception):
    """Why the server cannot start, what to do next, and the exit code of the command."""

    def __init__(self, message: str, hint: str, code: int = EXIT_USAGE) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code


class Log:
    """One line a call, each with the time of day; to a file descriptor, or nowhere.

    A line is one write() on a descriptor opened for appending, so that lines of two threads never
    mix and nothing is lost in a buffer when the process is killed. A loop that answers many at a
    time may `gather` lines and `write` them together when its turn ends.
    """

    def __init__(self, fd: int | None) -> None:
        self._fd = fd
        self._ms = -1
        self._clock = ""
        self._gathered: list[str] = []

    @property
    def wanted(self) -> bool:
        """Does anybody read it?"""
        return self._fd is not None

    def __call__(self, text: str) -> None:
        if self._fd is not None:
            self._out(f"{self._time()} {printable(text)}\n")

    def line(self, text: str) -> None:
        """TEXT alone, for logs whose lines have a time in a form of their own."""
        if self._fd is not None:
            self._out(f"{printable(text)}\n")

    def gather(self, text: str, timed: bool = True) -> None:
        """A line that waits for `write`; without a time of day if not TIMED. For one thread."""
        clock = f"{self._time()} " if timed else ""
        self._gathered.append(f"{clock}{printable(text)}\n")

    def write(self) -> None:
        """Write what has been gathered, in one go."""
        if self._gathered:
            lines, self._gathered = self._gathered, []
            self._out("".join(lines))

    def _time(self) -> str:
        ms = int(time.time() * 1000)
        if ms != self._ms:
            clock = time.strftime("%H:%M:%S", time.localtime(ms // 1000))
            self._ms, self._clock = ms, f"{clock}.{ms % 1000:03d}"
        return self._clock

    def _out(self, lines: str) -> None:
        if self._fd is None:
            return
        try:
            os.write(self._fd, lines.encode("utf-8", "backslashreplace"))
        except OSError:
            # A full disk or a closed terminal is no reason to stop answering.
            self._fd = None


def printable(text: str) -> str:
    """TEXT with control characters escaped: what a client sends must not forge log lines."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def add_options(parser: argparse.ArgumentParser, port: int) -> None:
    """Add the options that all servers share; PORT is the default one."""
    parser.add_argument(
        "--listen",
        metavar="ADDR",
        default="0.0.0.0",
        help=say("address (default %(default)s: all)"),
    )
    parser.add_argument(
        "--port",
        metavar="N",
        type=port_number,
        default=port,
        help=say("port (default %(default)s; 0: any free one, printed)"),
    )
    parser.add_argument(
        "--log", metavar="FILE", help=say("append one line for each thing that happens")
    )
    parser.add_argument(
        "--background",
        action="store_true",
        help=say("return as soon as the port is open, serve on in the background; SIGTERM ends it"),
    )


def port_number(text: str) -> int:
    """An argparse type: 0 to 65535."""
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise bad_value(say("{text!r} is no port: give a number from 0 to 65535", text=text))
    return int(text)


def seconds(text: str) -> float:
    """An argparse type: more than 0 seconds."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e9:
        raise bad_value(say("{text!r} is no time: give seconds, such as 2.5", text=text))
    return value


def number(least: int, most: int) -> Callable[[str], int]:
    """An argparse type: a whole number from LEAST to MOST."""

    def parse(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
            raise bad_value(
                say(
                    "{text!r} is no number from {least} to {most}",
                    text=text,
                    least=least,
                    most=most,
                )
            )
        return int(text)

    return parse


def _open(kind: socket.SocketKind, address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        sock = socket.socket(family, kind)
    except OSError as error:
        raise _cannot_listen(address, port, error) from None
    try:
        if kind == socket.SOCK_STREAM:
            # Without it a restart within a minute meets the closed connections of the last run
            # (TIME-WAIT, RFC 9293 section 3.6.1) and fails with "address in use".
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((address, port))
        if kind == socket.SOCK_STREAM:
            sock.listen(128)
    except OSError as error:
        sock.close()
        raise _cannot_listen(address, port, error) from None
    return sock


def _cannot_listen(address: str, port: int, error: OSError) -> ServiceError:
    hints = {
        errno.EADDRINUSE: say(
            "See who has it: ss -lntup 'sport = :{port}'; or choose another --port.", port=port
        ),
        errno.EACCES: say("Ports below 1024 need root (or a lab of your own); try --port 8053."),
        errno.EADDRNOTAVAIL: say(
            "This machine has no such address; see: ip addr. Or --listen 0.0.0.0."
        ),
    }
    # gaierror (a name instead of an address) carries its own numbers, so look at its class.
    if isinstance(error, socket.gaierror):
        hint = say("Give an address such as 127.0.0.1, not a name.")
    else:
        hint = hints.get(error.errno or 0, say("Check --listen and --port."))
    sentence = say(
        "cannot listen on {address} port {port}: {reason}",
        address=address,
        port=port,
        reason=in_words(error),
    )
    return ServiceError(sentence, hint, EXIT_CANNOT_LISTEN)


def listen_tcp(address: str, port: int) -> socket.socket:
    """A listening TCP socket, or ServiceError."""
    return _open(socket.SOCK_STREAM, address, port)


def listen_udp_and_tcp(address: str, port: int) -> tuple[socket.socket, socket.socket]:
    """A UDP and a listening TCP socket with the same port number, or ServiceError."""
    for attempts_left in range(20, -1, -1):
        tcp = _open(socket.SOCK_STREAM, address, port)
        try:
            return _open(socket.SOCK_DGRAM, address, tcp.getsockname()[1]), tcp
        except ServiceError:
            tcp.close()
            # With port 0 the kernel picks a free TCP port; the same UDP port may be taken.
            if port != 0 or not attempts_left:
                raise
    raise AssertionError("unreachable")


def open_log(path: str | None, background: bool) -> Log:
    """The log that --log and --background ask for; in the foreground it is the terminal."""
    if path is not None:
        try:
            return Log(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644))
        except OSError as error:
            raise ServiceError(
                say("cannot write the log {path}: {reason}", path=path, reason=in_words(error)),
                say("Choose another --log file."),
            ) from None
    return Log(None if background else 1)


def run(
    name: str,
    serve: Callable[[Log], object],
    listener: socket.socket,
    args: argparse.Namespace,
    stop: Callable[[], None] | None = None,
) -> int:
    """Serve until SIGTERM or Ctrl-C; with args.background the caller's process returns 0 at once.

    LISTENER is only read for the address that the first line prints. STOP, if given, makes SERVE
    finish what it has begun and return; a second signal does not wait for that.
    """
    log = open_log(args.log, args.background)
    address, port = listener.getsockname()[:2]
    # Both are blocked from here on, also in the threads to come, and wait until sigwait() takes
    # them. A handler would leave gaps. Python runs it between two instructions, so a signal that
    # comes just before accept() blocks is not seen until the next client; and an exception raised
    # there may rise inside a library that takes it for a bad packet.
    ends = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    if args.background:
        sys.stdout.flush()
        detached, done = os.pipe()
        child = os.fork()
        if child:
            os.close(done)
            os.read(detached, 1)  # returns when the child has let go of the pipe, or has died
            ready = say(
                "{name}: listening on {address} port {port} (pid {pid})",
                name=name,
                address=address,
                port=port,
                pid=child,
            )
            print(spoken(ready), flush=True)
            return 0
        _detach(log)
        os.close(done)
        os.close(detached)
    else:
        ready = say(
            "{name}: listening on {address} port {port} (pid {pid}); Ctrl-C ends it",
            name=name,
            address=address,
            port=port,
            pid=os.getpid(),
        )
        print(spoken(ready), flush=True)
    ending = threading.Event()
    worker = threading.Thread(target=_serve_or_die, args=(serve, log, ending), daemon=True)
    worker.start()
    signal.sigwait(ends)
    ending.set()
    if stop is not None:
        stop()
        while worker.is_alive() and signal.sigtimedwait(ends, 0.02) is None:
            pass
    # The process ends at once, whatever its threads are doing, since clients ask again.
    log.write()
    os._exit(0)


def _serve_or_die(serve: Callable[[Log], object], log: Log, ending: threading.Event) -> None:
    try:
        serve(log)
        if ending.is_set():
            return
    except BaseException:
        sys.excepthook(*sys.exc_info())
    # A server that no longer serves must not look as if it did.
    os._exit(EXIT_DIED)


def _detach(log: Log) -> None:
    """Leave the caller's session and let go of its stdin, stdout, stderr and folder.

    A caller that reads our output until its end would otherwise wait for the server's death.
    """
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    out = null if log._fd is None else log._fd
    os.dup2(null, 0)
    os.dup2(out, 1)
    os.dup2(out, 2)
    if null > 2:
        os.close(null)
    os.chdir("/")


def fail(name: str, error: ServiceError) -> int:
    """Print why NAME cannot start and what to do next; returns the exit code."""
    complain(name, error.message, error.hint)
    return error.code


def complain(name: str, message: str, hint: str) -> None:
    """Print what is wrong and what to do next, in the user's language."""
    next_step = spoken(say("Next: {hint}", hint=hint))
    print(f"{name}: {spoken(message)}\n  {next_step}", file=sys.stderr)
