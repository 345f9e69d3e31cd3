# SPDX-License-Identifier: Apache-2.0
"""Remarks on what a connection carried: requests and responses of HTTP, and frames with an ACK
alone.

What lives here: what is to be said of the step in which data is exchanged. What must not: how the
connection was opened and closed (`tcp_remarks.py`).
"""

from __future__ import annotations

from hoplab.sentences import Sentence, number_of, say, together
from hoplab.story.counts import byte_count, packet_numbers
from hoplab.story.http_messages import Exchange
from hoplab.story.records import Remark, Step
from hoplab.story.steps import Facts
from hoplab.story.tcp_connection import Connection, Side
from hoplab.story.trip_records import Trip


def exchange_remarks(facts: Facts, step: Step, connection: Connection) -> list[Remark]:
    remarks = _frames_of_http(facts, connection) if step.key == "http" else []
    remarks += [
        _no_room(receiver, sender.node)
        for sender, receiver in (connection.sides, connection.sides[::-1])
        if receiver.no_room
    ]
    remarks += _no_response(connection)
    if step.key == "http":
        remarks += _manners(connection)
    pure = [number for number in step.trips if facts.by_number[number].kind == "tcp-ack"]
    if pure:
        text = number_of(
            "{n:,} frame {packets} carries nothing but an ACK; textbook pictures often leave them "
            "out.",
            "{n:,} frames {packets} carry nothing but an ACK; textbook pictures often leave them "
            "out.",
            len(pure),
            packets=packet_numbers(pure),
        )
        remarks.append(Remark("pure-acks", text))
    return remarks


def _no_room(receiver: Side, sender: str) -> Remark:
    """Who held up the bytes: a receiver that says that it takes no more."""
    spans = receiver.no_room
    over = [span for span in spans if span.last]
    ms = sum(span.last_ns - span.first_ns for span in over) / 1e6
    values = {"receiver": receiver.node, "sender": sender, "packet": spans[0].first}
    if len(over) < len(spans):
        waited: Sentence = say(
            "{receiver} said in #{packet} that it had no room for more (window 0), and until the "
            "capture ended it never had.",
            **{**values, "packet": spans[-1].first},
        )
    else:
        waited = number_of(
            "{receiver} said in #{packet} that it had no room for more (window 0); it lasted "
            "{ms:,.0f} ms.",
            "{receiver} said {n:,} times that it had no room for more (window 0), first in "
            "#{packet}; it lasted {ms:,.0f} ms in all.",
            len(spans),
            ms=ms,
            **values,
        )
    fault = say(
        "The program on {receiver} did not read what had come, so {sender} could send no more "
        "meanwhile: the network did not hold it up.",
        **values,
    )
    probes = [number for span in spans for number in span.probes]
    if not probes:
        return Remark("zero-window", together(waited, fault))
    asked = number_of(
        "{sender} asked {n:,} time whether there is room again {packets}.",
        "{sender} asked {n:,} times whether there is room again {packets}.",
        len(probes),
        sender=sender, packets=packet_numbers(probes),
    )  # fmt: skip
    return Remark("zero-window", together(waited, fault, asked))


def _frames_of_http(facts: Facts, connection: Connection) -> list[Remark]:
    """Several requests in one connection, or one response in several frames."""
    if len(connection.exchanges) > 1:
        count = len(connection.exchanges)
        text = say("{n} requests shared one connection (keep-alive).", n=count)
        return [Remark("http-keep-alive", text)]
    parts = connection.server.data_trips
    if not connection.exchanges or len(parts) < 2:
        return []
    largest = max((facts.by_number[number] for number in parts), key=_size)
    if not _full(largest, connection):
        return []  # the server itself wrote it in parts
    text = say(
        "The response took {n} frames {packets}: one frame carries at most {size} of it here.",
        n=len(parts), packets=packet_numbers(parts), size=byte_count(_size(largest)),
    )  # fmt: skip
    return [Remark("http-segments", text)]


def _no_response(connection: Connection) -> list[Remark]:
    """The first request that was not answered by HTTP."""
    silent = [exchange for exchange in connection.exchanges if exchange.status is None]
    if not silent:
        return []
    values = {
        "server": connection.server.node,
        "method": silent[0].method,
        "target": silent[0].target,
        "packet": silent[0].request,
    }
    if connection.server.arrived_bytes and not connection.exchanges[0].status:
        text = say(
            "What {server} sent is no HTTP response to {method} {target} (#{packet}).", **values
        )
        return [Remark("http-foreign", text)]
    text = say("{server} sent no response to {method} {target} (#{packet}).", **values)
    return [Remark("http-silent", text)]


_SLOW_NS = 100_000_000  # from when the server had the request to the first byte of its answer


def _manners(connection: Connection) -> list[Remark]:
    """How this server's way of answering differs from what most do today."""
    server = connection.server.node
    answered = [exchange for exchange in connection.exchanges if exchange.status is not None]
    remarks = []
    if any(exchange.version == "HTTP/1.0" for exchange in answered):
        text = say("{server} answered by HTTP/1.0.", server=server)
        if all(exchange.content_length is None for exchange in answered):
            text = say(
                "{server} answered by HTTP/1.0 and without a length: the end of the connection is "
                "the end of the page.",
                server=server,
            )
        remarks.append(Remark("http-1.0", text))
    elif any(exchange.closes for exchange in answered):
        text = say(
            "{server} said 'Connection: close': another request needs another handshake.",
            server=server,
        )
        remarks.append(Remark("http-close", text))
    slow = next((exchange for exchange in answered if _wait_ns(exchange) > _SLOW_NS), None)
    if slow is not None:
        text = say(
            "{server} took {ms:,.1f} ms before the first byte of its answer "
            "(#{request}, #{response}).",
            server=server, ms=_wait_ns(slow) / 1e6, request=slow.request, response=slow.response,
        )  # fmt: skip
        remarks.append(Remark("http-slow", text))
    return remarks


def _wait_ns(exchange: Exchange) -> int:
    """From when the server had the request until its answer began to leave, 0 if not known."""
    return exchange.answered_ns - exchange.heard_ns if exchange.heard_ns else 0


def sealed_remark(connection: Connection) -> Sentence:
    return say(
        "It is inside the sealed records: which page was asked for, the status, the page itself "
        "and the headers cannot be seen here. Only {client} and {server} have the key.",
        client=connection.client.node, server=connection.server.node,
    )  # fmt: skip


def _size(trip: Trip) -> int:
    return trip.packet.tcp.payload_length if trip.packet.tcp is not None else 0


def _full(trip: Trip, connection: Connection) -> bool:
    """No more data would have fitted into the segment."""
    tcp = trip.packet.tcp
    size = tcp.payload_length + tcp.options_length if tcp is not None else 0
    return 0 < connection.mss <= size
