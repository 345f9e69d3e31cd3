# SPDX-License-Identifier: Apache-2.0
"""Capturing: packet sockets opened here, frames written by a process of its own (`recorder.py`).

One AF_PACKET socket an interface, opened by whoever can enter its namespace (`open_socket`). Time
is the kernel's, taken when the frame passes the interface, on one clock for all namespaces;
direction is the kernel's too (packet(7), `sll_pkttype`). Frames lost for want of room are counted
by the kernel and end up in the file. Nothing here knows what the interfaces are for.

Rings or plain sockets? A ring takes load, and it does not need a socket's buffer, which is small
for an ordinary user; but its memory is taken whether frames come or not. So every interface has a
ring as long as all of them together fit into `RING_MEMORY`, and a plain socket beyond that
(`ring_size`).
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hoplab import __version__
from hoplab.capture import (
    bpf,
    load_sampler,
    pcapng_format,
    pcapng_reader,
    pcapng_writer,
    recorder,
    ring,
)
from hoplab.sentences import from_plain, term

ETH_P_ALL = 3
RING_MEMORY = 64 << 20
RING_LARGEST, RING_SMALLEST = 4 << 20, 1 << 20
BUFFER_BYTES = 8 << 20  # a plain socket's queue, so that a burst waits instead of being lost
ANSWER_S = 10.0
PIPE_BYTES = 1 << 20
LONGEST_NOTE = 1 << 15
LOOKS = 8  # counters are read so often at most, until two readings are the same


def ring_size(interfaces: int) -> int:
    """Bytes of ring for each of so many interfaces; 0: plain sockets."""
    size = RING_LARGEST
    while size * interfaces > RING_MEMORY and size > RING_SMALLEST:
        size //= 2
    return size if size * interfaces <= RING_MEMORY else 0


def open_socket(
    interface: str, ring_bytes: int = 0, program: bpf.Program | None = None
) -> socket.socket:
    """A socket that hears every frame (that `program` takes) of one interface of the calling
    thread's network namespace, from now on. Raises OSError."""
    # Protocol 0 hears nothing; bind then sets interface and protocol together, so no frame of
    # another interface is ever in the queue (packet(7)).
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    try:
        if program is not None:
            bpf.attach(sock, program)
        if ring_bytes:
            ring.attach(sock, ring_bytes)
        else:
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, 33, BUFFER_BYTES)  # SO_RCVBUFFORCE, for root
            sock.setsockopt(socket.SOL_SOCKET, recorder.SO_TIMESTAMPNS, 1)
            sock.setsockopt(ring.SOL_PACKET, recorder.PACKET_AUXDATA, 1)
        sock.setblocking(False)
        sock.bind((interface, ETH_P_ALL))
    except BaseException:
        sock.close()
        raise
    return sock


@dataclass(frozen=True)
class Tap:
    """An interface and the socket that listens to it, with a ring of that size (0: none).

    wire: its frames are the lab's traffic; without, they do not count for `quiet_for_s`.
    """

    info: pcapng_format.InterfaceInfo
    socket: socket.socket
    ring_bytes: int = 0
    wire: bool = True


@dataclass(frozen=True)
class Totals:
    """How a capture ended. ended: 'stop', 'count', 'pipe' (nobody reads it any more) or 'killed'.

    dropped: frames that the kernel had to drop, out of received. late: frames out of order.
    problem: why frames are missing at the end (a full disk), or "".
    """

    ended: str
    frames: int = 0
    dropped: int = 0
    received: int = 0
    late: int = 0
    problem: str = ""
    interfaces: int = 0


class Capture:
    """A process that writes what the taps hear, in order of time, until `stop`.

    The file can be read at any moment, and after a kill. `channel` becomes readable when the
    capture has ended by itself (`count` frames, a pipe that nobody reads). `queue_drops` and
    `cable_drops`, if set, are asked at the end, by interface, for what switches dropped meanwhile
    and for what the queues in front of cables did.
    """

    def __init__(self, out: Path | int, comment: str = "", *, count: int = 0) -> None:
        """out: a path, or the descriptor of a file or pipe, which stays the caller's.
        Raises OSError when it cannot be written."""
        self.path = out if isinstance(out, Path) else None
        self.move_to: Path | None = None  # where the file is to be at the end
        self.queue_drops: Callable[[], Mapping[str, int]] | None = None
        self.cable_drops: Callable[[], Mapping[str, int]] | None = None
        self.cables: Any = None  # whoever counts for `cable_drops`, for whoever changes cables
        self.last_words: list[Callable[[], None]] = []
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        fd = os.dup(out) if isinstance(out, int) else os.open(out, flags, 0o644)
        self._lock = threading.Lock()
        try:
            with contextlib.suppress(OSError):
                import fcntl

                fcntl.fcntl(fd, 1031, PIPE_BYTES)  # F_SETPIPE_SZ: room for a reader that pauses
            with open(fd, "wb", buffering=0, closefd=False) as file:
                pcapng_writer.Writer(
                    file,
                    comment=comment,
                    hardware=platform.machine(),
                    os=f"{platform.system()} {platform.release()}",
                    userappl=f"hoplab {__version__}",
                )
            self.channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self.channel.settimeout(ANSWER_S)
            with theirs:
                self._process = _start(theirs.fileno(), fd, count)
        finally:
            os.close(fd)
        # Closing its sockets at the end takes the kernel a while: nobody waits for that but this.
        threading.Thread(target=self._process.wait, daemon=True).start()

    def add(self, *taps: Tap, since_ns: int = 0) -> None:
        """Listen to more interfaces, from now on, or since that time; their sockets are the
        capture's from here on.

        What one of them heard before does not count: another one of them was not open yet."""
        since_ns = since_ns or time.time_ns()
        for tap in taps:
            order = {
                "add": asdict(tap.info),
                "ring": tap.ring_bytes,
                "wire": tap.wire,
                "since": since_ns,
            }
            with self._lock, tap.socket, contextlib.suppress(OSError):
                socket.send_fds(self.channel, [json.dumps(order).encode()], [tap.socket.fileno()])

    def drop(self, name: str) -> None:
        """Listen no more to the interface of this name (a plain socket): it is about to go."""
        with self._lock, contextlib.suppress(OSError):
            self.channel.send(json.dumps({"drop": name}).encode())

    def add_names(self, names: Mapping[str, str]) -> None:
        """IP address -> host name, for whoever reads the file."""
        with self._lock, contextlib.suppress(OSError):
            self.channel.send(json.dumps({"names": dict(names)}).encode())

    def add_stream(self, sock: socket.socket, topic: str, source: str, since_ns: int) -> None:
        """Keep the messages of OpenFlow that come on this connection, since that time; it is the
        capture's from here on."""
        order = {"stream": topic, "source": source, "since": since_ns}
        with self._lock, sock, contextlib.suppress(OSError):
            socket.send_fds(self.channel, [json.dumps(order).encode()], [sock.fileno()])

    def add_note(self, topic: str, source: str, text: str) -> None:
        """Keep a text beside the frames, cut if it is very long."""
        order = {"note": topic, "source": source, "text": text[:LONGEST_NOTE]}
        with self._lock, contextlib.suppress(OSError):
            self.channel.send(json.dumps(order).encode())

    def watch(self, processes: Iterable[tuple[str, str, int]]) -> None:
        """Keep how busy these are beside the frames: name, role (`load.py`), process id."""
        watched = list(processes)
        first = load_sampler.look_first([pid for _, _, pid in watched])
        with self._lock, contextlib.suppress(OSError):
            self.channel.send(json.dumps({"watch": watched, "first": first}).encode())

    def quiet(self) -> tuple[float, int]:
        """(seconds since the last frame of the lab's traffic, frames written so far)."""
        with self._lock, contextlib.suppress(OSError, KeyError, ValueError):
            self.channel.send(b'{"ask": true}')
            answer = json.loads(self.channel.recv(1 << 16))
            return answer["quiet_s"], answer["frames"]
        return float("inf"), 0

    def _count(self) -> tuple[int, dict[str, dict[str, int]]]:
        """A moment to end at, and what had been dropped by then. Counts are read a little later, so
        they hold for that moment if nothing had been dropped at all, or nothing since they were
        read before; while frames are dropped without a pause it is nearly so."""
        before: dict[str, dict[str, int]] | None = None
        for _ in range(LOOKS):
            now_ns = time.time_ns()
            counts: dict[str, dict[str, int]] = {}
            for name, counted in (
                ("queue_drops", self.queue_drops),
                ("cable_drops", self.cable_drops),
            ):
                if counted is not None:
                    with contextlib.suppress(OSError):  # then the file says nothing about them
                        counts[name] = dict(counted())
            if counts == before or not any(any(each.values()) for each in counts.values()):
                break
            before = counts
        return now_ns, counts

    def stop(self) -> Totals:
        """End it, unless it has ended by itself. A recorder that does not answer (a pipe that is
        full and not read) is killed. Raises OSError if the file cannot be moved."""
        answer: dict[str, Any] = {}
        stopped_ns, counts = self._count()
        order: dict[str, Any] = {"stop": stopped_ns, **counts}
        for speak in self.last_words:
            with contextlib.suppress(OSError):
                speak()
        with self._lock:
            with contextlib.suppress(OSError):
                self.channel.send(json.dumps(order).encode())
            with contextlib.suppress(OSError, ValueError):
                while "ended" not in answer:
                    answer = json.loads(self.channel.recv(1 << 16), object_hook=from_plain)
            self.channel.close()
            if "ended" not in answer:
                self._process.kill()
                return Totals("killed", problem=term("the process that records was ended"))
        totals = Totals(**answer)
        if self.path is not None:
            if totals.late:
                _sort(self.path)
            if self.move_to is not None:
                shutil.move(self.path, self.move_to)
        return totals


def _start(channel: int, out: int, count: int) -> subprocess.Popen[bytes]:
    """The recorder as a process: with none of our threads, and without what `site` would load."""
    ours = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    begin = "from hoplab.capture.recorder import main; main()"
    script = f"import sys; sys.path.insert(0, {ours!r}); {begin}"
    return subprocess.Popen(
        [sys.executable, "-S", "-c", script, str(channel), str(out), str(count)],
        stdin=subprocess.DEVNULL,
        pass_fds=(channel, out),
        start_new_session=True,  # Ctrl-C is for whoever asked for the capture
    )


def _sort(path: Path) -> None:
    """Put a file in order that the recorder could not. On a full disk it stays as it is."""
    capture = pcapng_reader.read(path)
    whole = path.with_suffix(".sorted")
    try:
        with open(whole, "wb") as file:
            pcapng_writer.write_all(file, capture)
        os.replace(whole, path)
    except OSError:
        whole.unlink(missing_ok=True)
