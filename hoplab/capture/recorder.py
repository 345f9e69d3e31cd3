# SPDX-License-Identifier: Apache-2.0
"""The process that records: frames from many packet sockets to one pcapng, in order of time.

It is a process of its own, so that neither its work nor the lab's holds up the other (Python runs
one thread at a time), and so that a slow disk or pipe holds up nobody else. `capture.py` starts it
and talks to it over a unix socket, in messages of JSON (SOCK_SEQPACKET):

    {"add": {...}, "ring": BYTES or 0, "wire": BOOL, "since": NS} with the socket
                                     one more interface; frames before that time do not count
    {"drop": NAME}                                                    one interface less
    {"names": {ADDRESS: NAME}}                                        a name resolution block
    {"stream": TOPIC, "source": NAME, "since": NS} with the socket
                                     keep the messages of OpenFlow that come there, since that time
    {"note": TOPIC, "source": NAME, "text": TEXT}        keep this as well
    {"watch": [[NAME, ROLE, PID], ...], "first": {...}}  read how busy these processes are, too;
                                     first: how busy they were at the beginning
    {"ask": true}                 -> {"quiet_s", "frames"}
    {"stop": NS, "queue_drops": {INTERFACE: N}, "cable_drops": {INTERFACE: N}}
                                  -> the totals, and the end; also unasked after `count` frames,
                                     or when nobody reads the pipe any more. Frames after that time
                                     do not count; the other keys, which may be missing, are what
                                     switches, and the queues in front of cables, dropped
                                     meanwhile, for the file

A capture is a photograph with one exposure for all interfaces. Sockets are opened one after the
other, so until the last one hears, a frame can be seen where it left and not where it arrived, as
if it had been lost. So frames count from the moment when all that are added together hear, to the
one when the order to stop is given, by the kernel's time stamps, while all sockets are open.

How the order of time is kept: each pass begins by looking at the clock, then empties every socket
and every ring. Whatever was seen `LAG_NS` before that is in hand by then, however late the pass
came (a ring keeps a frame back for at most `ring.RETIRE_MS`), so that much is sorted and written.
Should a frame come later than that all the same, it is written late and counted in `late`. If the
machine's clock is set, what is in hand is written at once, and time begins anew.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import json
import os
import select
import socket
import struct
import sys
import time
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from hoplab.capture import pcapng_format, pcapng_writer, ring
from hoplab.capture.clock import Clock
from hoplab.capture.load_sampler import Sampler
from hoplab.capture.observation import Reception
from hoplab.capture.streams import Streams
from hoplab.sentences import term, to_plain

LAG_NS = 40_000_000
PACE_S = 0.01  # frames that come within it are taken together
STATISTICS_S = 5.0  # a capture that is killed has counts of losses at least this fresh
LONGEST = 1 << 18
AT_A_TIME = 4096  # frames read from one plain socket before the others have their turn
PACKET_AUXDATA, SO_TIMESTAMPNS = 8, 35
_ANCILLARY = socket.CMSG_SPACE(16) + socket.CMSG_SPACE(20)
_time_of = itemgetter(0)
_timespec, _auxiliary = struct.Struct("=qq"), struct.Struct("=IIIHHHH")


_NOBODY_READS = term("nobody reads it any more")


class _Out:
    """The file or pipe. `problem` says why nothing is written any more, or "" while it is."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.problem = ""
        self.closed = False  # nobody reads the pipe

    def write(self, data: bytes) -> int:
        if self.problem:
            return 0
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self.fd, view) :]
        except BrokenPipeError:
            self.problem, self.closed = _NOBODY_READS, True
        except OSError as error:
            self.problem = error.strerror or str(error)
        return len(data)


@dataclass(slots=True)
class _Tap:
    """One interface. wire: its frames count as traffic of the lab, not of its controller.

    since_ns: frames before do not count. gated: there may still come some of them.
    """

    port: int
    sock: socket.socket
    ring: ring.Ring | None
    wire: bool
    since_ns: int = 0
    gated: bool = False
    received: int = 0
    dropped: int = 0


class Recorder:
    """`run` until told to stop; then `totals` says what there was."""

    def __init__(self, channel: socket.socket, out: int, count: int = 0) -> None:
        self.channel = channel
        self.out = _Out(out)
        self.writer = pcapng_writer.Writer(self.out, begun=True)  # type: ignore[arg-type]
        self.count = count
        self.frames = 0
        self.late = 0
        self.taps: dict[int, _Tap] = {}  # by descriptor
        self.names: dict[str, int] = {}  # interface -> descriptor
        self.gone: list[_Tap] = []  # taps that hear no more, kept for what they have counted
        self.pending: list[tuple[int, bytes]] = []
        self.ending = ""
        self.queue_drops: dict[int, int] = {}  # by port, while the capture ran
        self.cable_drops: dict[int, int] = {}
        self._stopped_ns = 0
        self._written_ns = 0
        self._clock = Clock()
        self._last = self._counted = time.monotonic()
        self._epoll = select.epoll()
        self._epoll.register(channel.fileno(), select.EPOLLIN)
        self.sampler = Sampler()
        self.streams = Streams()
        self._epoll.register(self.streams.fileno(), select.EPOLLIN)
        with contextlib.suppress(OSError):  # a regular file has no such events
            self._epoll.register(out, select.EPOLLERR)

    def run(self) -> None:
        while not self.ending:
            if not self.pending:
                self._epoll.poll(self.sampler.wait_s())
            began_ns = time.time_ns()
            ready = self._epoll.poll(LAG_NS / 2e9 if self.pending else 0)
            if self._pass([fd for fd, _ in ready], began_ns):
                time.sleep(PACE_S)
        if self.ending != "gone":
            # What a ring still holds back is handed over within its time.
            waits_ns = time.monotonic_ns()
            while time.monotonic_ns() < waits_ns + LAG_NS and not self.out.problem:
                time.sleep(PACE_S)
                self._pass(list(self.taps), time.time_ns())
        for tap in self.taps.values():
            self._take(tap)
        self.sampler.read(whole=True)
        self.out.write(self.streams.take())
        self.out.write(self.sampler.take(everything=True))
        self._flush(None)
        self._statistics(self._stopped_ns)

    def totals(self) -> dict[str, Any]:
        """The last message."""
        taps = [*self.taps.values(), *self.gone]
        return {
            "ended": self.ending,
            "frames": self.frames,
            "late": self.late,
            "problem": self.out.problem,
            "interfaces": len(taps),
            "received": sum(tap.received for tap in taps),
            "dropped": sum(tap.dropped for tap in taps),
        }

    def _pass(self, ready: list[int], began_ns: int) -> int:
        """Takes what has come, and writes what is old enough; gives how many frames came."""
        taken, whole_ns = self._attend(ready, began_ns)
        self.sampler.look(taken)
        self.out.write(self.sampler.take())
        if self.pending:
            whole_ns = min([whole_ns, *self._held_back_ns()])
        if self._clock.jumped():
            for tap in self.taps.values():
                tap.gated = False  # it was held back by the time before the jump
            self._flush(None)
            self._written_ns = 0
        else:
            self._flush(whole_ns - LAG_NS)
        if time.monotonic() - self._counted > STATISTICS_S and taken:
            self._statistics()
        if self.out.closed:
            self.ending = self.ending or "pipe"
        return taken

    def _attend(self, ready: list[int], began_ns: int) -> tuple[int, int]:
        """Sees to the descriptors that have something: how many frames came, and up to which time
        all of these sockets' frames have been taken."""
        taken = 0
        whole_ns = began_ns
        for fd in ready:
            tap = self.taps.get(fd)
            if tap is not None:
                more = self._take(tap)
                taken += more
                if more and tap.wire:
                    self._last = time.monotonic()
                if more >= AT_A_TIME and tap.ring is None:  # more as old as these wait there
                    age_ns = tap.since_ns if tap.gated else self.pending[-1][0]
                    whole_ns = min(whole_ns, age_ns)
            elif fd == self.channel.fileno():
                self._listen()
            elif fd == self.streams.fileno():
                self.out.write(self.streams.take())
            elif fd == self.out.fd:
                self.out.problem, self.out.closed = _NOBODY_READS, True
        return taken, whole_ns

    def _held_back_ns(self) -> Iterator[int]:
        """By each ring that still holds frames back, up to which time it may: its timer may be
        late, where the machine is busy."""
        for tap in self.taps.values():
            opened_ns = tap.ring.open_since_ns() if tap.ring is not None else None
            if opened_ns is not None:
                yield opened_ns + LAG_NS

    # ------------------------------------------------------------------ what comes in

    def _listen(self) -> None:
        data, fds, _, _ = socket.recv_fds(self.channel, 1 << 18, 1)
        if not data:
            self.ending = "gone"
            return
        order = json.loads(data)
        if "add" in order:
            self._add(order, socket.socket(fileno=fds[0]))
        elif "drop" in order:
            self._drop(order["drop"])
        elif "names" in order:
            self.writer.add_names(order["names"])
        elif "stream" in order:
            self.streams.add(
                socket.socket(fileno=fds[0]), order["stream"], order["source"], order["since"]
            )
        elif "note" in order:
            text = order["text"].encode("utf-8", "surrogateescape")
            note = pcapng_format.Note(time.time_ns(), order["note"], order["source"], text)
            self.out.write(pcapng_writer.pack_note(note))
        elif "watch" in order:
            first = order["first"]
            for (name, role, pid), times in zip(order["watch"], first["times"], strict=True):
                self.sampler.watch(name, role, pid, times)
            if first["pressed_us"] is not None:
                self.sampler.begun(first["t_ns"], first["pressed_us"])
        elif "ask" in order:
            quiet_s = time.monotonic() - self._last
            self.channel.send(json.dumps({"quiet_s": quiet_s, "frames": self.frames}).encode())
        elif "stop" in order:
            self._stop(
                order["stop"], order.get("queue_drops") or {}, order.get("cable_drops") or {}
            )

    def _stop(
        self, stopped_ns: int, queue_drops: dict[str, int], cable_drops: dict[str, int]
    ) -> None:
        self._stopped_ns = stopped_ns
        self.ending = self.ending or "stop"
        for counts, by_port in (
            (queue_drops, self.queue_drops),
            (cable_drops, self.cable_drops),
        ):
            for name, count in counts.items():
                tap = self.taps.get(self.names.get(name, -1))
                if tap is not None:
                    by_port[tap.port] = count

    def _add(self, order: dict[str, Any], sock: socket.socket) -> None:
        info = order["add"]
        info["addresses"] = tuple(info["addresses"])
        port = self.writer.add_interface(pcapng_format.InterfaceInfo(**info))
        size = order["ring"]
        made = ring.Ring(sock, size, port) if size else None
        since_ns = order["since"]
        self.writer.write_start(port, since_ns)
        self.taps[sock.fileno()] = _Tap(port, sock, made, order["wire"], since_ns, gated=True)
        self._epoll.register(sock.fileno(), select.EPOLLIN)
        self.names[info["name"]] = sock.fileno()

    def _drop(self, name: str) -> None:
        """Let go of an interface whose network namespace is to end: our socket would hold it. A
        ring hands its last frames over in its own time, and stays."""
        tap = self.taps.get(self.names.get(name, -1))
        if tap is not None and tap.ring is None:
            del self.names[name]
            self._take(tap)
            self._count(tap, time.time_ns())
            self._epoll.unregister(tap.sock.fileno())
            self.gone.append(self.taps.pop(tap.sock.fileno()))
            tap.sock.close()

    def _take(self, tap: _Tap) -> int:
        if not tap.gated:
            return self._take_all(tap)
        pending = self.pending
        before = len(pending)
        taken = self._take_all(tap)
        # Frames of one interface come in order of time, but for what two processors do at once.
        tap.gated = len(pending) == before or pending[-1][0] < tap.since_ns + LAG_NS
        pending[before:] = [frame for frame in pending[before:] if frame[0] >= tap.since_ns]
        return taken

    def _take_all(self, tap: _Tap) -> int:
        if tap.ring is not None:
            taken = tap.ring.take(self.pending)
            if not taken:
                # An interface that goes down, or away, says so once; the socket lives on.
                tap.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            return taken
        taken = 0
        while taken < AT_A_TIME:
            try:
                data, ancillary, _, address = tap.sock.recvmsg(LONGEST, _ANCILLARY)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno in (errno.ENETDOWN, errno.ENXIO, errno.ENODEV):
                    continue
                break
            taken += 1
            if address[2] <= Reception.OUTGOING:  # above are copies the kernel made for itself
                self._keep(tap.port, data, ancillary, address[2])
        return taken

    def _keep(
        self, port: int, data: bytes, ancillary: list[tuple[int, int, bytes]], kind: int
    ) -> None:
        t_ns = 0
        for level, number, value in ancillary:
            if level == socket.SOL_SOCKET and number == SO_TIMESTAMPNS:
                seconds, nanoseconds = _timespec.unpack_from(value)
                t_ns = seconds * 1_000_000_000 + nanoseconds
            elif level == ring.SOL_PACKET and number == PACKET_AUXDATA:
                status, _, _, _, _, tag, kind_of_tag = _auxiliary.unpack_from(value)
                if status & ring.TP_STATUS_VLAN_VALID:
                    data = ring.with_vlan(data, status, tag, kind_of_tag)
        t_ns = t_ns or time.time_ns()
        self.pending.append((t_ns, pcapng_writer.pack_frame(port, t_ns, kind, data, len(data))))

    # ------------------------------------------------------------------ what goes out

    def _flush(self, until_ns: int | None) -> None:
        """Write what is older than `until_ns`, or all there is."""
        pending = self.pending
        if not pending:
            return
        pending.sort(key=_time_of)
        if self._stopped_ns:
            del pending[bisect_right(pending, self._stopped_ns, key=_time_of) :]
            if not pending:
                return
        ready = len(pending)
        if until_ns is not None:
            ready = bisect_right(pending, until_ns, key=_time_of)
        if self.count:
            ready = min(ready, self.count - self.frames)
        if not ready:
            return
        if pending[0][0] < self._written_ns:
            self.late += bisect_right(pending, self._written_ns - 1, 0, ready, key=_time_of)
        self._written_ns = max(self._written_ns, pending[ready - 1][0])
        self.out.write(b"".join([block for _, block in pending[:ready]]))
        del pending[:ready]
        self.frames += ready
        if self.frames == self.count:
            self.ending = self.ending or "count"
            pending.clear()

    def _statistics(self, now_ns: int = 0) -> None:
        """The kernel's own counts (packet(7), PACKET_STATISTICS: since the last time asked)."""
        self._counted = time.monotonic()
        now_ns = now_ns or time.time_ns()
        for tap in self.taps.values():
            self._count(tap, now_ns)

    def _count(self, tap: _Tap, now_ns: int) -> None:
        with contextlib.suppress(OSError):
            raw = tap.sock.getsockopt(ring.SOL_PACKET, ring.PACKET_STATISTICS, 12)
            received, dropped = struct.unpack_from("=II", raw)
            if not received and tap.received:
                return
            tap.received += received
            tap.dropped += dropped
            self.writer.write_statistics(
                tap.port,
                now_ns,
                tap.received,
                tap.dropped,
                tap.since_ns,
                self.queue_drops.get(tap.port),
                self.cable_drops.get(tap.port),
            )


def main() -> None:
    """recorder CHANNEL OUT COUNT: two descriptors, and the number of frames to end after."""
    channel, out, count = (int(word) for word in sys.argv[1:4])
    gc.disable()  # nothing here makes cycles, and there may be very many frames in hand
    recorder = Recorder(socket.socket(fileno=channel), out, count)
    with contextlib.suppress(KeyboardInterrupt):
        recorder.run()
    with contextlib.suppress(OSError):
        recorder.channel.send(json.dumps(to_plain(recorder.totals())).encode())
    # At once: closing a packet socket takes the kernel a while, and nobody needs to wait for it.
    os._exit(0)


if __name__ == "__main__":
    main()
