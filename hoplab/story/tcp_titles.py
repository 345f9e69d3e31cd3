# SPDX-License-Identifier: Apache-2.0
"""Titles of TCP segments: what they open, carry, acknowledge or close.

What lives here: the kind and the title of a segment, once its place in a connection is known. What
must not: that place (`tcp.py`), packets of any other protocol (`titles.py`).
"""

from __future__ import annotations

from hoplab.decode import dns as wire_dns
from hoplab.decode import http as wire_http
from hoplab.decode import tls
from hoplab.decode.http import HttpStart
from hoplab.decode.packet import Tcp
from hoplab.sentences import say, term
from hoplab.story.counts import byte_count
from hoplab.story.dns_titles import dns_title
from hoplab.story.secured import Hello
from hoplab.story.tcp_connection import Connection
from hoplab.story.trip_records import Way
from hoplab.story.wire_text import clean


def segment_title(
    connection: Connection, way: Way, tcp: Tcp, phase: str, start_at: int, newly: int
) -> tuple[str, str]:
    """Kind and title of a segment."""
    if tcp.rst or tcp.syn:
        return _opening_title(tcp)
    if tcp.payload_length:
        kind, title = _data_title(connection, way, tcp, start_at)
        return kind, say("{title} + FIN", title=title) if tcp.fin else title
    if tcp.fin:
        return "tcp-fin", term("TCP FIN + ACK") if tcp.ack_flag else term("TCP FIN")
    if way.number == connection.ack:
        title = say(
            "TCP ACK, port {source} to {destination}", source=tcp.sport, destination=tcp.dport
        )
        return "tcp-ack", title
    if phase == "close" and newly:
        return "tcp-ack", say("TCP ACK of the FIN and of {size}", size=byte_count(newly))
    if phase == "close":
        return "tcp-ack", term("TCP ACK of the FIN")
    if newly:
        return "tcp-ack", say("TCP ACK of {size}", size=byte_count(newly))
    return "tcp-ack", term("TCP ACK")


def _opening_title(tcp: Tcp) -> tuple[str, str]:
    """Kind and title of a segment with SYN or RST."""
    ports = {"source": tcp.sport, "destination": tcp.dport}
    if tcp.rst and tcp.ack_flag:
        return "tcp-rst", say("TCP RST + ACK, port {source} to {destination}", **ports)
    if tcp.rst:
        return "tcp-rst", say("TCP RST, port {source} to {destination}", **ports)
    if tcp.ack_flag:
        return "tcp-syn-ack", say("TCP SYN + ACK, port {source} to {destination}", **ports)
    return "tcp-syn", say("TCP SYN, port {source} to {destination}", **ports)


def _data_title(connection: Connection, way: Way, tcp: Tcp, start_at: int) -> tuple[str, str]:
    """Kind and title of a segment with data: HTTP, DNS, or plain bytes."""
    head = wire_http.read(way.packet)
    if head is not None:
        return _http_title(head, tcp)
    dns = wire_dns.read(way.packet)
    if dns is not None and dns.questions:
        kind, title = dns_title(dns)
        return kind, say("{title} (over TCP)", title=title)
    hello = connection.hello
    if hello is not None and hello.trip != way.number == hello.trips[-1]:
        return _rest_of_hello(hello, byte_count(tcp.payload_length))
    records = tls.parse(way.packet.payload)
    if records is not None:
        return _tls_title(records)
    size = byte_count(tcp.payload_length)
    if way.packet.payload.startswith(wire_http.PREFACE_2):
        return "tcp-data", say("HTTP/2 connection preface, {size}", size=size)
    title = say(
        "TCP data, {size} ({first:,} to {last:,})",
        size=size, first=start_at, last=start_at + tcp.payload_length - 1,
    )  # fmt: skip
    return "tcp-data", title


def _http_title(head: HttpStart, tcp: Tcp) -> tuple[str, str]:
    if head.request:
        method, target, host = head.method, clean(head.target, 60), clean(head.host, 40)
        if not host:
            return "http-request", say("HTTP {method} {target}", method=method, target=target)
        title = say(
            "HTTP {method} {target} (Host: {host})", method=method, target=target, host=host
        )
        return "http-request", title
    answer = f"{head.status} {clean(head.reason, 30)}".rstrip()  # as the status line has it
    size, content_type = byte_count(tcp.payload_length), clean(head.content_type, 30)
    if not content_type:
        return "http-response", say("HTTP {answer}, {size}", answer=answer, size=size)
    title = say(
        "HTTP {answer}, {content_type}, {size}",
        answer=answer, content_type=content_type, size=size,
    )  # fmt: skip
    return "http-response", title


def _rest_of_hello(hello: Hello, size: str) -> tuple[str, str]:
    """Kind and title of a segment in which a ClientHello goes on."""
    whole = hello.whole
    if whole is None:
        return "tls-handshake", say("more of the TLS ClientHello, {size}", size=size)
    if not whole.server_name:
        return "tls-handshake", say(
            "the rest of the TLS ClientHello: up to {version}", version=whole.version
        )
    title = say(
        "the rest of the TLS ClientHello: I want {name}, up to {version}",
        name=clean(whole.server_name, 60), version=whole.version,
    )  # fmt: skip
    return "tls-handshake", title


def _tls_title(records: tls.Tls) -> tuple[str, str]:
    version = records.version
    if records.what == "client-hello" and records.cut:
        size = byte_count(records.length)
        return "tls-client-hello", say("TLS ClientHello, its first {size}", size=size)
    if records.what == "client-hello" and records.server_name:
        title = say(
            "TLS ClientHello: I want {name}, up to {version}",
            name=clean(records.server_name, 60), version=version,
        )  # fmt: skip
        return "tls-client-hello", title
    if records.what == "client-hello":
        return "tls-client-hello", say("TLS ClientHello, up to {version}", version=version)
    if records.what == "server-hello":
        title = say("TLS ServerHello: {version}, {cipher}", version=version, cipher=records.cipher)
        return "tls-server-hello", title
    size = byte_count(records.length)
    if records.what == "data":
        return "tls-data", say("TLS sealed records, {size}", size=size)
    if records.alert:
        return "tls-alert", say("TLS alert: {alert}", alert=records.alert)
    if records.what == "alert":
        return "tls-alert", say("TLS alert, {size}", size=size)
    return "tls-handshake", say("TLS handshake, {size}", size=size)
