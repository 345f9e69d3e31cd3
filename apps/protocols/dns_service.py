# SPDX-License-Identifier: Apache-2.0
"""The half that the DNS server and the DNS resolver share: a message in, a message out.

The cast
    `Source`      what answers; `resolve(query) -> response` is the seam, all else may stay
    `answer`      bytes of a query -> bytes of the response; no sockets, so tests can call it
    `TcpFrames`   cuts a TCP stream into messages (two bytes of length before each)
    `serve`       the loop: UDP and TCP on one port, calls `answer`

What an answer says is decided elsewhere, in `resolve`; here is only what every DNS server owes its
clients:

    RFC 1035 section 4.1    FORMERR for what cannot be read, NOTIMP for other opcodes
    RFC 1035 section 4.2    UDP up to 512 bytes, TC=1 when it does not fit; TCP with a length prefix
    RFC 6891                EDNS(0): the client names a larger UDP size; BADVERS for other versions
    RFC 7766                TCP: many queries a connection, sent without waiting, slow ones closed
    RFC 9619                exactly one question in a query

Example, a whole server (every name has the address 10.0.0.1; `python3 FILE --port 5353`):

    import argparse, dns_service, service
    from protocols.dns_records import record
    class Same(dns_service.Source):
        def resolve(self, query):
            return query.reply(record(query.name, "A", "10.0.0.1"))
    parser = argparse.ArgumentParser()
    service.add_options(parser, port=53)
    args = parser.parse_args()
    udp, tcp = service.listen_udp_and_tcp(args.listen, args.port)
    service.run("same", lambda log: dns_service.serve(udp, tcp, Same(), log), udp, args)
"""

from __future__ import annotations

import resource
import selectors
import socket
import struct
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from protocols import service
from protocols.dns_records import ANY, AXFR, IXFR, OPT
from protocols.dns_wire import (
    BADVERS,
    FORMERR,
    IN,
    NOTAUTH,
    NOTIMP,
    REFUSED,
    SERVFAIL,
    TC,
    Edns,
    Malformed,
    Message,
    TooLong,
    decode,
    encode,
)

if TYPE_CHECKING:
    from protocols.dns_templates import Templates

Resolve = Callable[[Message], Message]
Log = Callable[[str], None]

HEADER = 12  # bytes, RFC 1035 section 4.1.1
CLASSIC_UDP = 512  # bytes, RFC 1035 section 4.2.1
# What fits the smallest IPv6 link (1280) without fragments; a fragment lost is an answer lost.
DEFAULT_MAX_UDP = 1232
TCP_IDLE_S = 10.0  # RFC 7766 section 6.2.3: "on the order of a few seconds"
MAX_TCP = 1500  # connections at a time
MAX_OUT = 256 * 1024  # bytes that wait for a slow reader; then nothing more is read from it
MAX_AT_WORK = 128  # queries at a time for a source that waits for others
BATCH = 64  # datagrams in a row before TCP has its turn
MAX_READY = 20_000  # answers kept ready
MAX_READY_QUERY = 300  # bytes
IP_PKTINFO = 8  # linux/in.h; the socket module has the name since Python 3.14
PKTINFO_BYTES = 64  # room for one control message of either family


class Source:
    """What answers. Override `resolve`; the rest is for sources with special gifts."""

    # Answers that are ready: the query's bytes without the id -> the answer's bytes without the id,
    # and its line in the log. A source whose answer depends on the query alone may have a dict
    # here, and puts a new one in its place when its data change.
    ready_answers: dict[bytes, tuple[bytes, str]] | None = None
    # The same for names that nobody has asked yet.
    templates: Templates | None = None
    # Does `resolve` write a line for the log into its query?
    notes: bool = False

    def resolve(self, query: Message) -> Message:
        """The response to QUERY, which has exactly one question, of class IN."""
        return query.reply(rcode="REFUSED")

    def at_once(self, query: Message) -> Message | None:
        """The response if it takes no waiting; None sends the query to a thread of its own."""
        return self.resolve(query)

    def transfer(self, query: Message, peer: str) -> Iterator[Message] | None:
        """The messages of a zone transfer (RFC 5936) to the address PEER; None: REFUSED."""
        return None


def answer(
    wire: bytes,
    resolve: Resolve,
    max_udp: int | None,
    log: Log = lambda text: None,
) -> bytes | None:
    """The response to one query, or None where silence is right. Never raises.

    MAX_UDP is the largest UDP answer that we send; None: the query came by TCP.
    """
    query = read(wire)
    if not isinstance(query, Message):
        return query
    return respond(query, wire, resolve, max_udp, log)


def read(wire: bytes) -> Message | bytes | None:
    """The query in WIRE; or the answer it deserves as it stands; or None for silence."""
    # What is too short for an id, or is a response itself, gets no answer: two servers could go
    # on answering each other without end.
    if len(wire) < HEADER or wire[2] & 0x80:
        return None
    try:
        query = decode(wire)
    except Malformed:
        return bare(wire, NOTIMP if wire[2] & 0x78 else FORMERR)
    if query.opcode:
        return pack(query, refusal(query, NOTIMP), DEFAULT_MAX_UDP)
    if query.signed:
        return bare(wire, NOTAUTH)  # RFC 8945 section 5.2.1: we know no keys
    return query


def respond(query: Message, wire: bytes, resolve: Resolve, max_udp: int | None, log: Log) -> bytes:
    """The response to QUERY as bytes."""
    try:
        early = refuse(query)
        query.over_tcp = max_udp is None
        response = resolve(query) if early is None else refusal(query, early)
        return pack(query, response, max_udp)
    except Exception as error:
        return failure(wire, "resolve", error, log)


def failure(wire: bytes, method: str, error: Exception, log: Log) -> bytes:
    """A bug in a source's method is the server's failure (RFC 1035: SERVFAIL), not its end."""
    log(f"error in {method}(): {type(error).__name__}: {error}")
    return bare(wire, SERVFAIL)


def bare(wire: bytes, rcode: int) -> bytes:
    """A header alone, made from the query's own: same id, opcode and RD; QR set; RCODE."""
    return wire[:2] + bytes((0x80 | (wire[2] & 0x79), rcode)) + bytes(8)


def refuse(query: Message) -> int | None:
    """The error that QUERY deserves before anybody looks at its name, or None."""
    if query.edns is not None and query.edns.version > 0:
        return BADVERS
    rtype = query.qtype
    if query.qname is None or rtype in (0, OPT):
        return FORMERR
    if rtype in (AXFR, IXFR):
        return REFUSED  # where transfers are allowed, they have been seen to before
    if 128 <= rtype < ANY:
        return NOTIMP  # meta types, RFC 6895 section 3.1
    return None if query.qclass == IN else REFUSED


def refusal(query: Message, rcode: int) -> Message:
    """An empty response to QUERY with RCODE."""
    response = query.reply(authoritative=False)
    response.rcode = rcode
    return response


def pack(query: Message, response: Message, max_udp: int | None) -> bytes:
    """RESPONSE as bytes that QUERY's sender can take: EDNS only if it used EDNS, TC if too big."""
    edns = query.edns
    limit = 65535 if max_udp is None else CLASSIC_UDP
    if edns is not None:
        # RFC 3225 section 3: the DO bit is copied into the response.
        response.edns = Edns(max_udp or DEFAULT_MAX_UDP, 0, edns.do)
        if max_udp is not None:
            # RFC 6891 section 6.2.3: a size below 512 means 512.
            limit = min(max(edns.size, CLASSIC_UDP), max(max_udp, CLASSIC_UDP))
    else:
        response.edns = None
    try:
        return encode(response, limit)
    except TooLong:
        pass
    if response.answer and response.additional:
        # RFC 2181 section 9: what is only helpful may go without TC. The glue of a referral is
        # not of that kind (RFC 9471), hence the look at the answer section.
        response.additional = []
        try:
            return encode(response, limit)
        except TooLong:
            pass
    response.answer, response.authority, response.additional = [], [], []
    response.flags |= TC
    return encode(response, limit)


class TcpFrames:
    """Cuts a byte stream into DNS messages (RFC 1035 section 4.2.2, RFC 7766 section 8)."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Take DATA as it came; returns the messages that are now complete."""
        self._buffer += data
        messages = []
        at = 0
        while len(self._buffer) >= at + 2:
            end = at + 2 + (self._buffer[at] << 8 | self._buffer[at + 1])
            if len(self._buffer) < end:
                break
            messages.append(bytes(self._buffer[at + 2 : end]))
            at = end
        del self._buffer[:at]
        return messages

    @staticmethod
    def frame(message: bytes) -> bytes:
        """MESSAGE with its length in front, to be sent in one piece."""
        return struct.pack("!H", len(message)) + message


class Connection:
    """One TCP client: what it has asked, what waits to be sent, when it last did something."""

    def __init__(self, sock: socket.socket, peer: str) -> None:
        self.sock = sock
        self.peer = peer
        self.frames = TcpFrames()
        self.todo: deque[bytes] = deque()
        self.out = bytearray()
        self.stream: Iterator[bytes] | None = None  # a zone transfer under way
        self.at_work = 0
        self.ended = False  # the client will send no more, but may wait for answers
        # Bytes that trickle in do not count: only a whole query, or an answer taken, does.
        self.last_s = time.monotonic()

    @property
    def busy(self) -> bool:
        """Is something under way that the client waits for?"""
        return bool(self.todo or self.out or self.at_work or self.stream is not None)


class Server:
    """The loop's state. One thread owns all sockets; threads at work hand their answers back."""

    def __init__(
        self,
        udp: socket.socket,
        tcp: socket.socket,
        source: Source,
        log: service.Log,
        max_udp: int,
        threaded: bool,
    ) -> None:
        self.udp, self.tcp, self.source, self.log = udp, tcp, source, log
        self.max_udp = max_udp
        self.pool = ThreadPoolExecutor(MAX_AT_WORK) if threaded else None
        self.at_work = 0
        self.done: deque[tuple[Any, bytes]] = deque()
        self.wake_read, self.wake_write = socket.socketpair()
        self.connections: dict[socket.socket, Connection] = {}
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = hard if hard != resource.RLIM_INFINITY else 65536
        if soft != resource.RLIM_INFINITY and soft < most:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
            soft = most
        self.max_tcp = max(1, min(MAX_TCP, soft - 200 if soft > 0 else MAX_TCP))
        self.selector = selectors.DefaultSelector()
        # Only a socket on a wildcard address must choose from which of our addresses it answers.
        self.anywhere = udp.getsockname()[0] in ("0.0.0.0", "::")
        if self.anywhere:
            _ask_for_destination(udp)
        for sock in (udp, tcp, self.wake_read, self.wake_write):
            sock.setblocking(False)
        for sock in (udp, tcp, self.wake_read):
            self.selector.register(sock, selectors.EVENT_READ)

    def run(self) -> None:
        """Answer for ever."""
        swept = time.monotonic()
        while True:
            for key, events in self.selector.select(1.0 if self.connections else None):
                if key.fileobj is self.udp:
                    self.datagrams()
                elif key.fileobj is self.tcp:
                    self.accept()
                elif key.fileobj is self.wake_read:
                    self.hand_back()
                else:
                    # One that an earlier event of this round closed is in the dict no more.
                    connection = self.connections.get(key.fileobj)  # type: ignore[call-overload]
                    if connection is not None:
                        self.converse(connection, events)
            self.log.write()
            now = time.monotonic()
            if self.connections and now - swept >= 1.0:
                swept = now
                for connection in list(self.connections.values()):
                    if now - connection.last_s > TCP_IDLE_S:
                        self.close(connection)

    # ---- UDP

    def datagrams(self) -> None:
        """Answer the datagrams that have come, up to BATCH of them."""
        recvfrom, sendto, anywhere = self.udp.recvfrom, self.udp.sendto, self.anywhere
        source = self.source
        notes = source.notes
        for _ in range(BATCH):
            control: list[Any] = []
            try:
                if anywhere:
                    wire, control, _, peer = self.udp.recvmsg(65535, PKTINFO_BYTES)
                else:
                    wire, peer = recvfrom(65535)
            except OSError:
                return  # no more datagrams, or one whose checksum was wrong
            # Of each datagram anew: the data may have changed since the one before it.
            ready_answers, templates = source.ready_answers, source.templates
            if ready_answers is not None:
                ready = ready_answers.get(wire[2:])
                if ready is None and templates is not None:
                    ready = templates.answer(wire, notes)
                if ready is not None:
                    response, note = ready
                    try:
                        if anywhere:
                            self.send(wire[:2] + response, control, peer)
                        else:
                            sendto(wire[:2] + response, peer)
                    except OSError as error:
                        self.log(f"cannot answer {peer}: {error}")
                    if note:
                        self.log.gather(note)
                    continue
            self.datagram(wire, control, peer)

    def datagram(self, wire: bytes, control: list[Any], peer: Any) -> None:
        """Work out the answer to one datagram, here or in a thread."""
        # Before resolve(): if the data change meanwhile, this dict is dropped.
        ready_answers, templates = self.source.ready_answers, self.source.templates
        query = read(wire)
        note = ""
        if isinstance(query, Message):
            response = self.work(query, wire, self.max_udp, (control, peer))
            note = query.note
        else:
            response = query
        if response is None:
            return
        self.send(response, control, peer)
        if note:
            self.log.gather(note)
        if templates is not None and templates.learn(wire, response, note):
            return
        failed = response[3] & 0xF == SERVFAIL
        if ready_answers is not None and len(wire) <= MAX_READY_QUERY and not failed:
            if len(ready_answers) >= MAX_READY:
                ready_answers.clear()
            ready_answers[wire[2:]] = response[2:], note

    def send(self, response: bytes, control: list[Any], peer: Any) -> None:
        """Send one datagram, from the address that was asked."""
        try:
            if control:
                self.udp.sendmsg([response], [_same_address(item) for item in control], 0, peer)
            else:
                self.udp.sendto(response, peer)
        except OSError as error:
            self.log(f"cannot answer {peer}: {error}")

    # ---- work that may wait

    def work(self, query: Message, wire: bytes, max_udp: int | None, back: Any) -> bytes | None:
        """The answer; None if a thread works on it (or nobody: the client asks again)."""
        if self.pool is None:
            return respond(query, wire, self.source.resolve, max_udp, self.log)
        if refuse(query) is not None:
            return respond(query, wire, self.source.resolve, max_udp, self.log)
        query.over_tcp = max_udp is None
        try:
            ready = self.source.at_once(query)
        except Exception as error:
            return failure(wire, "at_once", error, self.log)
        if ready is not None:
            return respond(query, wire, lambda query: ready, max_udp, self.log)
        if self.at_work >= MAX_AT_WORK:
            # Over UDP the client asks again by itself.
            return bare(wire, SERVFAIL) if max_udp is None else None
        self.at_work += 1
        self.pool.submit(self.in_thread, query, wire, max_udp, back)
        return None

    def in_thread(self, query: Message, wire: bytes, max_udp: int | None, back: Any) -> None:
        """Wait for the source; then wake the loop."""
        response = respond(query, wire, self.source.resolve, max_udp, self.log)
        self.done.append((back, response))
        try:
            self.wake_write.send(b"\0")
        except BlockingIOError:
            pass  # so many wake-up calls wait there already that the loop will wake

    def hand_back(self) -> None:
        """Send what threads have finished."""
        self.wake_read.recv(4096)
        while self.done:
            back, response = self.done.popleft()
            self.at_work -= 1
            if isinstance(back, Connection):
                back.at_work -= 1
                if back.sock in self.connections:
                    back.out += TcpFrames.frame(response)
                    self.converse(back, selectors.EVENT_WRITE)
            else:
                control, peer = back
                self.send(response, control, peer)

    # ---- TCP

    def accept(self) -> None:
        """Take new connections; when there are too many, the one that did nothing for longest
        has to go (RFC 7766 section 6.2.3)."""
        for _ in range(BATCH):
            try:
                sock, peer = self.tcp.accept()
            except OSError:
                return  # no more callers, or this one has hung up
            if len(self.connections) >= self.max_tcp:
                self.close(min(self.connections.values(), key=lambda connection: connection.last_s))
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections[sock] = Connection(sock, peer[0].removeprefix("::ffff:"))
            self.selector.register(sock, selectors.EVENT_READ)

    def close(self, connection: Connection) -> None:
        """Forget a connection."""
        self.watch(connection.sock, 0)
        del self.connections[connection.sock]
        connection.sock.close()

    def converse(self, connection: Connection, events: int) -> None:
        """Read, answer query after query, and send, as far as the client keeps pace."""
        try:
            if events & selectors.EVENT_READ:
                self.receive(connection)
            self.answer_all(connection)
            if connection.out:
                sent = connection.sock.send(connection.out)
                del connection.out[:sent]
                connection.last_s = time.monotonic()
                self.answer_all(connection)
        except BlockingIOError:
            pass
        except OSError:
            return self.close(connection)
        if connection.ended and not connection.busy:
            return self.close(connection)
        interest = selectors.EVENT_WRITE if connection.out else 0
        if not connection.ended and not connection.todo and len(connection.out) < MAX_OUT:
            interest |= selectors.EVENT_READ
        self.watch(connection.sock, interest)

    def watch(self, sock: socket.socket, interest: int) -> None:
        """Wait for the events of INTEREST. For 0 wait for nothing: a thread at work will bring it
        back here."""
        watched = self.selector.get_map().get(sock)
        if watched is None and interest:
            self.selector.register(sock, interest)
        elif watched is not None and not interest:
            self.selector.unregister(sock)
        elif watched is not None and watched.events != interest:
            self.selector.modify(sock, interest)

    def receive(self, connection: Connection) -> None:
        """Cut what has come into queries."""
        data = connection.sock.recv(65536)
        if not data:
            connection.ended = True
            return
        messages = connection.frames.feed(data)
        if messages:
            connection.last_s = time.monotonic()
            connection.todo += messages

    def answer_all(self, connection: Connection) -> None:
        """Answer what was asked, in order as far as answers are ready, until enough waits. Raises
        OSError when the connection is of no more use."""
        while len(connection.out) < MAX_OUT:
            if connection.stream is not None:
                try:
                    message = next(connection.stream, None)
                except Exception as error:
                    # Half of the answer is sent: only closing can say now that there is no more.
                    self.log(f"error in transfer(): {type(error).__name__}: {error}")
                    raise ConnectionAbortedError from error
                if message is None:
                    connection.stream = None
                else:
                    connection.out += TcpFrames.frame(message)
                continue
            if not connection.todo or connection.at_work >= MAX_AT_WORK:
                return
            wire = connection.todo.popleft()
            query = read(wire)
            if query is None:
                connection.todo.clear()
                connection.ended = True  # whoever sends that does not speak DNS
                return
            if isinstance(query, bytes):
                connection.out += TcpFrames.frame(query)
                continue
            if query.qtype in (AXFR, IXFR) and query.qname is not None and query.qclass == IN:
                try:
                    messages = self.source.transfer(query, connection.peer)
                except Exception as error:
                    response = failure(wire, "transfer", error, self.log)
                    connection.out += TcpFrames.frame(response)
                    continue
                if messages is not None:
                    connection.stream = (encode(message) for message in messages)
                    continue
            connection.at_work += 1
            before = self.at_work
            done = self.work(query, wire, None, connection)
            if self.at_work == before:
                connection.at_work -= 1
                if query.note:
                    self.log.gather(query.note)
            if done is not None:
                connection.out += TcpFrames.frame(done)


def serve(
    udp: socket.socket,
    tcp: socket.socket,
    source: Source,
    log: service.Log,
    *,
    max_udp: int = DEFAULT_MAX_UDP,
    threaded: bool = False,
) -> None:
    """Answer for ever. THREADED: resolve() waits for others, so it is called in threads.

    The `note` of a query that resolve() sets is its line in the log, if there are no threads; the
    lines of all queries that came together are written in one go.
    """
    Server(udp, tcp, source, log, max_udp, threaded).run()


def _ask_for_destination(udp: socket.socket) -> None:
    """Have the kernel tell which of our addresses each datagram was sent to.

    On a machine with several addresses (a router!) a reply from another one than the client
    asked would be thrown away by the client (RFC 1035 section 7.3, RFC 5452 section 9.1).
    """
    if udp.family == socket.AF_INET6:
        udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    else:
        udp.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)


def _same_address(item: tuple[int, int, bytes]) -> tuple[int, int, bytes]:
    level, kind, data = item
    if level == socket.IPPROTO_IP:
        # struct in_pktinfo: index, our address, destination in the header. Index 0 leaves the
        # way back to the routing table.
        data = bytes(4) + data[4:8] + bytes(4)
    else:
        data = data[:16] + (data[16:] if data[:2] == b"\xfe\x80" else bytes(4))
    return level, kind, data
