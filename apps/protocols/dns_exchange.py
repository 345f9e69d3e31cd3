# SPDX-License-Identifier: Apache-2.0
"""One question to one server, and the reply that fits it.

The cast
    `exchange`  over UDP, over TCP if the reply was truncated (RFC 1035 section 4.2)
    `fits`      whether a datagram is the reply: id and question (RFC 5452 section 9)
"""

from __future__ import annotations

import select
import socket
import time

from protocols import dns_service
from protocols.dns_wire import (
    FORMERR,
    NOTIMP,
    QR,
    SERVFAIL,
    TC,
    Malformed,
    Message,
    decode,
    encode,
    question,
)


def exchange(address: str, name: bytes, rtype: int, timeout_s: float, port: int = 53) -> Message:
    """Ask the server at ADDRESS. Raises OSError; TimeoutError when nothing that fits came."""
    deadline = time.monotonic() + timeout_s
    query = question(name, rtype)  # without RD: whoever calls walks down the tree itself
    reply = _by_udp(query, address, port, deadline)
    if reply.rcode in (FORMERR, NOTIMP) and reply.edns is None:
        # RFC 6891 section 7: a server that does not know EDNS gets the question without it.
        query = question(name, rtype, edns=False)
        reply = _by_udp(query, address, port, deadline)
    if reply.flags & TC:
        query.id = question(name, rtype).id
        reply = _by_tcp(query, address, port, deadline)
    return reply


def fits(query: Message, wire: bytes) -> Message | None:
    """WIRE as a message if it is a response to QUERY: same id, same question; else None."""
    try:
        reply = decode(wire)
    except Malformed:
        return None  # anything may come by UDP; this is no reply
    if not reply.flags & QR or reply.id != query.id or reply.opcode != query.opcode:
        return None
    if reply.qname is None:
        # Servers that cannot parse may leave the question out (RFC 1035 section 4.1.1).
        return reply if reply.rcode in (FORMERR, SERVFAIL, NOTIMP) else None
    assert query.qname is not None
    same_type = (reply.qtype, reply.qclass) == (query.qtype, query.qclass)
    return reply if same_type and reply.qname.lower() == query.qname.lower() else None


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    return left


def _by_udp(query: Message, address: str, port: int, deadline: float) -> Message:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    # Each question has a socket of its own, for the kernel gives each a source port at random. It
    # is connected, so that the kernel drops datagrams of others and reports "port unreachable".
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.connect((address, port))
        sock.send(encode(query))
        poll = select.poll()
        poll.register(sock, select.POLLIN)
        while True:
            if not poll.poll(_left(deadline) * 1000):
                continue
            try:
                reply = fits(query, sock.recv(65535))
            except BlockingIOError:
                continue  # the checksum of the datagram was wrong, so there is nothing to read
            if reply is not None:
                return reply


def _by_tcp(query: Message, address: str, port: int, deadline: float) -> Message:
    frames = dns_service.TcpFrames()
    with socket.create_connection((address, port), timeout=_left(deadline)) as sock:
        sock.sendall(frames.frame(encode(query)))
        while True:
            sock.settimeout(_left(deadline))
            data = sock.recv(65536)
            if not data:
                raise ConnectionError("the server closed the TCP connection without a reply")
            for wire in frames.feed(data):
                reply = fits(query, wire)
                if reply is not None:
                    return reply
