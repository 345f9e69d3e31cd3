# SPDX-License-Identifier: Apache-2.0
"""The half that the DNS server and the DNS resolver share: a message in, a message out.

The cast
    `answer`      bytes of a query -> bytes of the response; no sockets, so tests can call it
    `TcpFrames`   cuts a TCP stream into messages (two bytes of length before each)
    `serve`       the loop: UDP and TCP on one port, calls `answer`

What an answer says is decided elsewhere, in a function `resolve(query) -> response`; here is
only what every DNS server owes its clients:

    RFC 1035 section 4.1    FORMERR for what cannot be read, NOTIMP for other opcodes
    RFC 1035 section 4.2    UDP up to 512 bytes, TC=1 when it does not fit; TCP with a length prefix
    RFC 6891                EDNS(0): the client names a larger UDP size; BADVERS for other versions
    RFC 7766                TCP: several queries a connection, length and message in one send
    RFC 9619                exactly one question in a query

Example (every name has the address 10.0.0.1):

    import dns.message, dns.rrset, dns_service
    def resolve(query):
        response = dns.message.make_response(query)
        name = query.question[0].name
        response.answer.append(dns.rrset.from_text(name, 60, "IN", "A", "10.0.0.1"))
        return response
    wire = dns_service.answer(dns.message.make_query("a.lab.", "A").to_wire(), resolve, 512)
    print(dns.message.from_wire(wire))
"""

from __future__ import annotations

import selectors
import socket
import struct
import threading
from collections.abc import Callable
from typing import Any

import dns.exception
import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype

Resolve = Callable[[dns.message.Message], dns.message.Message]

HEADER = 12  # bytes, RFC 1035 section 4.1.1
CLASSIC_UDP = 512  # bytes, RFC 1035 section 4.2.1
# What fits the smallest IPv6 link (1280) without fragments; a fragment lost is an answer lost.
DEFAULT_MAX_UDP = 1232
TCP_IDLE_S = 10.0  # RFC 7766 section 6.2.3: "on the order of a few seconds"
MAX_TCP = 64  # connections at a time
MAX_AT_WORK = 128  # queries at a time when each has a thread
IP_PKTINFO = 8  # linux/in.h; the socket module has the name since Python 3.14
PKTINFO_BYTES = 64  # room for one control message of either family


def answer(
    wire: bytes,
    resolve: Resolve,
    max_udp: int | None,
    log: Callable[[str], None] = lambda text: None,
) -> bytes | None:
    """The response to one query, or None where silence is right. Never raises.

    MAX_UDP is the largest UDP answer that we send; None: the query came by TCP.
    """
    # Too short for an id, or itself a response: an answer could start an endless ping-pong.
    if len(wire) < HEADER or wire[2] & 0x80:
        return None
    opcode = wire[2] >> 3 & 0xF
    if opcode != dns.opcode.QUERY:
        return bare(wire, dns.rcode.NOTIMP)
    try:
        query = dns.message.from_wire(wire)
    except dns.message.UnknownTSIGKey:
        return bare(wire, dns.rcode.NOTAUTH)  # RFC 8945 section 5.2.1
    except Exception:
        # The parser has many ways to say "malformed", and the network sends anything.
        return bare(wire, dns.rcode.FORMERR)
    try:
        early = refuse(query)
        response = resolve(query) if early is None else reply_with(query, early)
        return encode(query, response, max_udp)
    except Exception as error:
        # A bug in resolve() is the server's failure (RFC 1035: SERVFAIL), not the end of it.
        log(f"error in resolve(): {type(error).__name__}: {error}")
        return bare(wire, dns.rcode.SERVFAIL)


def bare(wire: bytes, rcode: int) -> bytes:
    """A header alone, made from the query's own: same id, opcode and RD; QR set; RCODE."""
    return wire[:2] + bytes((0x80 | (wire[2] & 0x79), rcode)) + bytes(8)


def refuse(query: dns.message.Message) -> dns.rcode.Rcode | None:
    """The error that QUERY deserves before anybody looks at its name, or None."""
    if len(query.question) != 1:
        return dns.rcode.FORMERR
    if query.edns > 0:
        return dns.rcode.BADVERS
    question = query.question[0]
    rdtype = int(question.rdtype)
    if rdtype in (dns.rdatatype.NONE, dns.rdatatype.OPT):
        return dns.rcode.FORMERR
    if rdtype in (dns.rdatatype.AXFR, dns.rdatatype.IXFR):
        return dns.rcode.REFUSED
    if 128 <= rdtype <= 254:
        return dns.rcode.NOTIMP  # meta types, RFC 6895 section 3.1
    if question.rdclass != dns.rdataclass.IN:
        return dns.rcode.REFUSED
    return None


def reply_with(query: dns.message.Message, rcode: dns.rcode.Rcode) -> dns.message.Message:
    """An empty response to QUERY with RCODE."""
    response = dns.message.make_response(query)
    if query.edns >= 0:
        response.use_edns(0)
    response.set_rcode(rcode)
    return response


def encode(query: dns.message.Message, response: dns.message.Message, max_udp: int | None) -> bytes:
    """RESPONSE as bytes that QUERY's sender can take: EDNS only if it used EDNS, TC if too big."""
    rcode = response.rcode()
    if query.edns >= 0:
        # RFC 3225 section 3: the DO bit is copied into the response.
        response.use_edns(0, query.ednsflags & dns.flags.DO, payload=max_udp or DEFAULT_MAX_UDP)
        response.set_rcode(rcode)
    else:
        response.use_edns(False)
    if max_udp is None:
        limit = 65535
    elif query.edns >= 0:
        # RFC 6891 section 6.2.3: a size below 512 means 512.
        limit = min(max(query.payload, CLASSIC_UDP), max(max_udp, CLASSIC_UDP))
    else:
        limit = CLASSIC_UDP
    try:
        return response.to_wire(max_size=limit)
    except dns.exception.TooBig:
        pass
    if response.answer and response.additional:
        # RFC 2181 section 9: what is only helpful may go without TC. The glue of a referral is
        # not of that kind (RFC 9471), hence the look at the answer section.
        response.additional = []
        try:
            return response.to_wire(max_size=limit)
        except dns.exception.TooBig:
            pass
    response.answer, response.authority, response.additional = [], [], []
    response.flags |= dns.flags.TC
    return response.to_wire(max_size=limit)


class TcpFrames:
    """Cuts a byte stream into DNS messages (RFC 1035 section 4.2.2, RFC 7766 section 8)."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Take DATA as it came; returns the messages that are now complete."""
        self._buffer += data
        messages = []
        while len(self._buffer) >= 2:
            end = 2 + (self._buffer[0] << 8 | self._buffer[1])
            if len(self._buffer) < end:
                break
            messages.append(bytes(self._buffer[2:end]))
            del self._buffer[:end]
        return messages

    @staticmethod
    def frame(message: bytes) -> bytes:
        """MESSAGE with its length in front, to be sent in one piece."""
        return struct.pack("!H", len(message)) + message


def serve(
    udp: socket.socket,
    tcp: socket.socket,
    resolve: Resolve,
    log: Callable[[str], None],
    *,
    max_udp: int = DEFAULT_MAX_UDP,
    threaded: bool = False,
) -> None:
    """Answer for ever. THREADED: resolve() waits for others, so give each query a thread."""
    at_work = threading.BoundedSemaphore(MAX_AT_WORK)
    connections = threading.BoundedSemaphore(MAX_TCP)
    _ask_for_destination(udp)
    udp.setblocking(False)
    tcp.setblocking(False)
    selector = selectors.DefaultSelector()
    selector.register(udp, selectors.EVENT_READ)
    selector.register(tcp, selectors.EVENT_READ)

    def reply(wire: bytes, control: list[tuple[int, int, bytes]], peer: Any) -> None:
        response = answer(wire, resolve, max_udp, log)
        if response is not None:
            try:
                udp.sendmsg([response], control, 0, peer)
            except OSError as error:
                log(f"cannot answer {peer}: {error}")

    def reply_and_release(*args: Any) -> None:
        try:
            reply(*args)
        finally:
            at_work.release()

    while True:
        for key, _ in selector.select():
            try:
                if key.fileobj is tcp:
                    conn, peer = tcp.accept()
                    if connections.acquire(blocking=False):
                        args = (conn, resolve, log, connections)
                        threading.Thread(target=_converse, args=args, daemon=True).start()
                    else:
                        conn.close()
                    continue
                wire, ancillary, _, peer = udp.recvmsg(65535, PKTINFO_BYTES)
            except OSError:
                # The datagram had a bad checksum, the caller hung up: nothing to do for anyone.
                continue
            control = [_same_address(item) for item in ancillary]
            if not threaded:
                reply(wire, control, peer)
            elif at_work.acquire(blocking=False):
                threading.Thread(
                    target=reply_and_release, args=(wire, control, peer), daemon=True
                ).start()
            # else: more than we can do; the client asks again.


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
    return level, kind, data


def _converse(
    conn: socket.socket,
    resolve: Resolve,
    log: Callable[[str], None],
    connections: threading.BoundedSemaphore,
) -> None:
    """One TCP connection: answer query after query until the client closes or goes quiet."""
    frames = TcpFrames()
    try:
        with conn:
            conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            conn.settimeout(TCP_IDLE_S)
            while data := conn.recv(65536):
                for wire in frames.feed(data):
                    response = answer(wire, resolve, None, log)
                    if response is None:
                        return
                    conn.sendall(frames.frame(response))
    except OSError:
        pass  # idle for too long, or reset by the client
    finally:
        connections.release()
