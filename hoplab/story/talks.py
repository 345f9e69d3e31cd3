# SPDX-License-Identifier: Apache-2.0
"""How a connection ended that is no HTTP request with its response: one from before the capture,
another protocol, bytes that are none.

What lives here: what one connection's own frames tell. What must not: where an unanswered packet
died (`end_of_packet.py`).

`Outcome.ok` is None where the frames show no fault, and no success either: whether those bytes
were what the command wanted is for its exit status to say.
"""

from __future__ import annotations

from collections.abc import Sequence

from hoplab.decode.greeting import SMTP_OR_FTP, of_client, of_server, shown
from hoplab.sentences import Sentence, listed, number_of, say, term, together
from hoplab.story.counts import byte_count
from hoplab.story.records import Outcome
from hoplab.story.steps import Facts
from hoplab.story.tcp_connection import Connection, Side
from hoplab.story.wire_text import clean

# Names of protocols that are words.
_PROTOCOLS = {SMTP_OR_FTP: term("SMTP or FTP")}

_MOST_PORTS = 8
_MOST_PROOFS = 5


def first_bytes(facts: Facts, side: Side) -> bytes:
    """What a side sent first, as far as one segment has it."""
    if not side.data_trips:
        return b""
    return facts.by_number[side.data_trips[0]].packet.payload


def traffic(connection: Connection) -> Sentence:
    """'5 bytes to www, 6 bytes back': what came."""
    client, server = connection.sides
    return say(
        "{there} to {server}, {back} back",
        there=byte_count(client.arrived_bytes), server=server.node,
        back=byte_count(server.arrived_bytes),
    )  # fmt: skip


def before(facts: Facts, connections: Sequence[Connection]) -> Outcome:
    """Connections that were open when the capture began: nothing can be told of how."""
    last = connections[-1]
    evidence = sorted(
        {number for each in connections for number in (each.trips[0], each.trips[-1])}
    )
    if len(connections) == 1:
        return Outcome(None, "before", _from_before(facts, last), [], last.server.node, evidence)
    sentence = number_of(
        "{n:,} connection from before the capture, {closed} of them closed while it ran.",
        "{n:,} connections from before the capture, {closed} of them closed while it ran.",
        len(connections), closed=sum(_closed(connection) for connection in connections),
    )  # fmt: skip
    return Outcome(None, "before", sentence, [], "", evidence)


def _from_before(facts: Facts, connection: Connection) -> Sentence:
    """What one of them carried, and how it ended if it did."""
    values = {
        "client": connection.client.node,
        "server": connection.server.node,
        "port": connection.port,
    }
    if connection.data_seen:
        return _carried(facts, connection, {**values, "traffic": traffic(connection)})
    if connection.resets:
        return say(
            "A connection from before the capture, between {client} and {server}, port {port}, "
            "was broken off by {node} (RST).",
            node=facts.by_number[connection.resets[0]].sender, **values,
        )  # fmt: skip
    if _closed(connection):
        return say(
            "A connection from before the capture, between {client} and {server}, port {port}, "
            "was closed.",
            **values,
        )
    if connection.first_fin is not None:
        return say(
            "A connection from before the capture, between {client} and {server}, port {port}, "
            "was closed by {node} alone.",
            node=connection.sides[connection.first_fin].node, **values,
        )  # fmt: skip
    return say(
        "A connection from before the capture, between {client} and {server}, port {port}, "
        "was not closed; no data went over it.",
        **values,
    )


def _carried(facts: Facts, connection: Connection, values: dict[str, object]) -> Sentence:
    if connection.resets:
        return say(
            "A connection from before the capture, between {client} and {server}, port {port}, "
            "carried {traffic} and was broken off by {node} (RST).",
            node=facts.by_number[connection.resets[0]].sender, **values,
        )  # fmt: skip
    if _closed(connection):
        return say(
            "A connection from before the capture, between {client} and {server}, port {port}, "
            "carried {traffic} and was closed.",
            **values,
        )
    if connection.first_fin is not None:
        return say(
            "A connection from before the capture, between {client} and {server}, port {port}, "
            "carried {traffic} and was closed by {node} alone.",
            node=connection.sides[connection.first_fin].node, **values,
        )  # fmt: skip
    return say(
        "A connection from before the capture, between {client} and {server}, port {port}, "
        "carried {traffic}.",
        **values,
    )


def _closed(connection: Connection) -> bool:
    return bool(connection.resets or (connection.client.fin and connection.server.fin))


def no_http(facts: Facts, connection: Connection, fetch: bool) -> Outcome | None:
    """The server's bytes, where it sent some that are no response of HTTP/1 to the client's
    request; None if not one came. `fetch`: nothing else than HTTP was wanted."""
    client, server = connection.client, connection.server
    protocol = of_client(first_bytes(facts, client))
    if not server.arrived_bytes and protocol == "HTTP/2":
        sentence = say(
            "{client} began with HTTP/2, and not one byte of an answer came from {server}.",
            client=client.node, server=server.node,
        )  # fmt: skip
        evidence = client.data_trips[:1]
        return Outcome(False, "request-silent", sentence, [], server.node, evidence)
    asked = bool(connection.exchanges)
    answered = asked and connection.exchanges[0].status
    if connection.tls is not None or not server.arrived_bytes or answered:
        return None
    ok = False if fetch else None
    if protocol == "HTTP/2":
        return _http_2(facts, connection, ok)
    if protocol == "HTTP/0.9":
        sentence = number_of(
            "{client} asked by HTTP/0.9, and {server} answered {n:,} byte.",
            "{client} asked by HTTP/0.9, and {server} answered {n:,} bytes.",
            server.arrived_bytes, client=client.node, server=server.node,
        )  # fmt: skip
        evidence = [client.data_trips[0], server.data_trips[0]]
        why: list[str] = [_beginning(facts, server)]
        return Outcome(ok, "http-0.9", sentence, why, server.node, evidence)
    return _foreign_bytes(facts, connection, ok) if asked or fetch else None


def _http_2(facts: Facts, connection: Connection, ok: bool | None) -> Outcome:
    client, server = connection.client, connection.server
    evidence = [client.data_trips[0], server.data_trips[0]]
    sentence: str
    if facts.by_number[server.data_trips[0]].kind == "http-response":
        sentence = say(
            "{client} began with HTTP/2, and {server} answered by HTTP/1.",
            client=client.node, server=server.node,
        )  # fmt: skip
    else:
        spoke = say(
            "{client} and {server} spoke HTTP/2: {traffic}.",
            client=client.node, server=server.node, traffic=traffic(connection),
        )  # fmt: skip
        unread = say("It is binary, and what was said is not read here.")
        sentence = together(spoke, unread)
    why: list[str] = [_beginning(facts, server)]
    return Outcome(ok, "http-2", sentence, why, server.node, evidence)


def _foreign_bytes(facts: Facts, connection: Connection, ok: bool | None) -> Outcome:
    """The server sent what is no HTTP, before the request or in answer to it."""
    server, exchanges = connection.server, connection.exchanges
    answer = server.data_trips[0]
    begins = first_bytes(facts, server)
    size, values = server.arrived_bytes, {"server": server.node, "start": shown(begins)}
    if not exchanges or answer < exchanges[0].request:
        sentence = number_of(
            "{server} spoke first: {n:,} byte that is no HTTP: {start}.",
            "{server} spoke first: {n:,} bytes that are no HTTP: {start}.",
            size, **values,
        )  # fmt: skip
    else:
        sentence = number_of(
            "{server} answered by {n:,} byte that is no HTTP: {start}.",
            "{server} answered by {n:,} bytes that are no HTTP: {start}.",
            size, **values,
        )  # fmt: skip
    evidence = sorted([*(exchange.request for exchange in exchanges[:1]), answer])
    why = _protocol(of_server(begins))
    return Outcome(ok, "no-http", sentence, why, server.node, evidence)


def _beginning(facts: Facts, side: Side) -> Sentence:
    return say("{node} began with: {start}", node=side.node, start=shown(first_bytes(facts, side)))


def _protocol(name: str) -> list[str]:
    """The protocol that a side's first bytes belong to; nothing where they do not tell."""
    if not name:
        return []
    return [say("So begins {protocol}.", protocol=_PROTOCOLS.get(name, name))]


def talked(facts: Facts, connection: Connection) -> Outcome:
    """A connection that was opened, whatever it carried."""
    client, server = connection.client, connection.server
    evidence = [connection.syn or connection.trips[0]]
    values = {"client": client.node, "server": server.node, "port": connection.port}
    if not connection.data_seen:
        sentence = say(
            "{client} opened a connection to {server}, port {port}; not one byte of data went over "
            "it.",
            **values,
        )
        return Outcome(None, "opened", sentence, [], server.node, evidence)
    if not server.arrived_bytes:
        sentence = say(
            "{client} sent {size} to {server}, port {port}; nothing came back.",
            size=byte_count(client.arrived_bytes), **values,
        )  # fmt: skip
        evidence += client.data_trips[:1]
        return Outcome(None, "unanswered", sentence, [], server.node, evidence)
    sentence = say(
        "{client} and {server} spoke over TCP, port {port}: {traffic}.",
        traffic=traffic(connection), **values,
    )  # fmt: skip
    why: list[str] = []
    for side, protocol_of in ((client, of_client), (server, of_server)):
        if side.data_trips:
            why += [_beginning(facts, side), *_protocol(protocol_of(first_bytes(facts, side)))]
            evidence.append(side.data_trips[0])
    return Outcome(None, "talked", sentence, why, server.node, sorted(set(evidence)))


def tally(
    opened: Sequence[Connection], refused: Sequence[Connection], dead: Sequence[Connection]
) -> Outcome:
    """Several connections without HTTP, as of `nc -z` or a scan of ports."""
    there = sum(connection.client.arrived_bytes for connection in opened)
    back = sum(connection.server.arrived_bytes for connection in opened)
    why: list[str] = []
    if there or back:
        why.append(
            say(
                "They carried {there} there and {back} back.",
                there=byte_count(there),
                back=byte_count(back),
            )
        )
    failed = [*refused, *dead]
    if failed:
        why += _by_port(opened, refused, dead)
    evidence = sorted(
        (connection.syns or connection.trips)[-1] for connection in failed[:_MOST_PROOFS]
    )
    where = failed[0].server.node if failed else opened[0].server.node
    ok = False if failed else None
    return Outcome(ok, "several", _tallied(opened, refused, dead), why, where, evidence)


def _tallied(
    opened: Sequence[Connection], refused: Sequence[Connection], dead: Sequence[Connection]
) -> Sentence:
    """How many of them there were of each kind."""
    tried = len(opened) + len(refused) + len(dead)
    values = {
        "tried": number_of("{n:,} connection tried", "{n:,} connections tried", tried),
        "opened": len(opened),
    }
    if refused and dead:
        return say(
            "{tried}: {opened} opened, {refused} refused, {dead} not answered.",
            refused=len(refused), dead=len(dead), **values,
        )  # fmt: skip
    if refused:
        return say("{tried}: {opened} opened, {refused} refused.", refused=len(refused), **values)
    if dead:
        return say("{tried}: {opened} opened, {dead} not answered.", dead=len(dead), **values)
    return say("{tried}: {opened} opened.", **values)


def _by_port(
    opened: Sequence[Connection], refused: Sequence[Connection], dead: Sequence[Connection]
) -> list[str]:
    """Which of them were opened, refused or not answered."""
    sentences: list[str] = []
    if opened:
        sentences.append(say("By machine and port, opened: {ports}.", ports=_ports(opened)))
    if refused:
        sentences.append(
            say("By machine and port, refused by RST: {ports}.", ports=_ports(refused))
        )
    if dead:
        sentences.append(say("By machine and port, not answered: {ports}.", ports=_ports(dead)))
    return sentences


def _ports(connections: Sequence[Connection]) -> str:
    """Where they went, each port once; the first of them where there are many."""
    ports = list(
        dict.fromkeys(
            say("{server} {port}", server=connection.server.node, port=connection.port)
            for connection in connections
        )
    )
    shown_ports, more = listed(ports[:_MOST_PORTS]), len(ports) - _MOST_PORTS
    return say("{ports} and {n} more", ports=shown_ports, n=more) if more > 0 else shown_ports


def upgraded(connection: Connection, protocol: str) -> Sentence:
    """What followed a response 101 (RFC 9110, 15.2.2)."""
    there, back = connection.dialogue.foreign
    values = {
        "there": byte_count(there),
        "server": connection.server.node,
        "back": byte_count(back),
    }
    if not protocol:
        return say(
            "They went over to another protocol: {there} to {server}, {back} back.", **values
        )
    return say(
        "They went over to {protocol}: {there} to {server}, {back} back.",
        protocol=clean(protocol, 40), **values,
    )  # fmt: skip
