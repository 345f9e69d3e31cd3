# SPDX-License-Identifier: Apache-2.0
"""How a connection ended that is no HTTP request with its response: one from before the capture,
another protocol, bytes that are none.

What lives here: what one connection's own frames tell. What must not: where an unanswered packet
died (`outcome.py`).

`Outcome.ok` is None where the frames show no fault, and no success either: whether those bytes
were what the command wanted is for its exit status to say.
"""

from __future__ import annotations

from hoplab.decode.greeting import of_client, of_server, shown
from hoplab.story.records import Outcome
from hoplab.story.steps import Facts
from hoplab.story.tcp import Connection, Side
from hoplab.story.titles import clean, plural


def first_bytes(facts: Facts, side: Side) -> bytes:
    """What a side said first, as far as one segment has it."""
    if not side.data_trips:
        return b""
    return facts.by_number[side.data_trips[0]].packet.payload


def traffic(connection: Connection) -> str:
    """'5 bytes to www, 6 bytes back': what came."""
    client, server = connection.sides
    there, back = plural(client.arrived_bytes, "byte"), plural(server.arrived_bytes, "byte")
    return f"{there} to {server.node}, {back} back"


def before(facts: Facts, connections: list[Connection]) -> Outcome:
    """Connections that were open when the capture began: nothing can be told of how."""
    last = connections[-1]
    evidence = [number for one in connections for number in (one.trips[0], one.trips[-1])]
    if len(connections) > 1:
        closed = sum(_closed(one) for one in connections)
        text = f"{plural(len(connections), 'connection')} from before the capture, "
        text += f"{closed} of them closed while it ran."
        return Outcome(None, "before", text, [], "", sorted(set(evidence)))
    ends = f"{last.client.node} and {last.server.node}, port {last.port}"
    text = f"A connection from before the capture, between {ends}, "
    moved = ""
    if last.data_seen:
        moved = f"carried {traffic(last)}"
    if last.resets:
        text += f"{moved} and " if moved else ""
        text += f"was broken off by {facts.by_number[last.resets[0]].sender} (RST)."
    elif _closed(last):
        text += f"{moved} and was closed." if moved else "was closed."
    elif last.first_fin is not None:
        text += f"{moved} and " if moved else ""
        text += f"was closed by {last.sides[last.first_fin].node} alone."
    else:
        text += f"{moved}." if moved else "was not closed; no data went over it."
    return Outcome(None, "before", text, [], last.server.node, sorted(set(evidence)))


def _closed(connection: Connection) -> bool:
    return bool(connection.resets or (connection.client.fin and connection.server.fin))


def no_http(facts: Facts, connection: Connection, fetch: bool) -> Outcome | None:
    """The server's bytes, where it said some that are no response of HTTP/1 to the client's
    request; None if not one came. `fetch`: nothing else than HTTP was wanted."""
    client, server = connection.client.node, connection.server.node
    size = connection.server.arrived_bytes
    asked = bool(connection.exchanges)
    name = of_client(first_bytes(facts, connection.client))
    if not size and name == "HTTP/2":
        text = f"{client} began with HTTP/2, and not one byte of an answer came from {server}."
        evidence = [connection.client.data_trips[0]]
        return Outcome(False, "request-silent", text, [], server, evidence)
    if connection.tls is not None or not size or (asked and connection.exchanges[0].status):
        return None
    answer = connection.server.data_trips[0]
    ok = False if fetch else None
    if name == "HTTP/2":
        text = f"{client} and {server} spoke HTTP/2: {traffic(connection)}. "
        text += "It is binary, and what was said is not read here."
        if facts.by_number[answer].kind == "http-response":
            text = f"{client} began with HTTP/2, and {server} answered by HTTP/1."
        evidence = [connection.client.data_trips[0], answer]
        return Outcome(ok, "http-2", text, _beginning(facts, connection), server, evidence)
    if name == "HTTP/0.9":
        text = f"{client} asked by HTTP/0.9, and {server} answered {plural(size, 'byte')}."
        evidence = [connection.client.data_trips[0], answer]
        return Outcome(ok, "http-0.9", text, _beginning(facts, connection), server, evidence)
    if not (asked or fetch):
        return None
    what = f"{plural(size, 'byte')} that {'is' if size == 1 else 'are'} no HTTP"
    first = not asked or answer < connection.exchanges[0].request
    text = f"{server} spoke first: {what}" if first else f"{server} answered by {what}"
    text += f": {shown(first_bytes(facts, connection.server))}"
    name = of_server(first_bytes(facts, connection.server))
    why = [f"So begins {name}."] if name else []
    evidence = [one.request for one in connection.exchanges[:1]] + [answer]
    return Outcome(ok, "no-http", text + ".", why, server, sorted(evidence))


def _beginning(facts: Facts, connection: Connection) -> list[str]:
    server = connection.server
    return [f"{server.node} began with: {shown(first_bytes(facts, server))}"]


def talked(facts: Facts, connection: Connection) -> Outcome:
    """A connection that was opened, whatever it carried."""
    client, server = connection.client.node, connection.server.node
    evidence = [connection.syn or connection.trips[0]]
    if not connection.data_seen:
        text = f"{client} opened a connection to {server}, port {connection.port}; "
        text += "not one byte of data went over it."
        return Outcome(None, "opened", text, [], server, evidence)
    if not connection.server.arrived_bytes:
        size = plural(connection.client.arrived_bytes, "byte")
        text = f"{client} sent {size} to {server}, port {connection.port}; nothing came back."
        evidence += connection.client.data_trips[:1]
        return Outcome(None, "unanswered", text, [], server, evidence)
    text = f"{client} and {server} spoke over TCP, port {connection.port}: {traffic(connection)}."
    why = []
    for side, named in ((connection.client, of_client), (connection.server, of_server)):
        if side.data_trips:
            said = first_bytes(facts, side)
            why.append(f"{side.node} began with: {shown(said)}")
            why += [f"So begins {named(said)}."] if named(said) else []
            evidence.append(side.data_trips[0])
    return Outcome(None, "talked", text, why, server, sorted(set(evidence)))


def tally(opened: list[Connection], refused: list[Connection], dead: list[Connection]) -> Outcome:
    """Several connections without HTTP, as of `nc -z` or a scan of ports."""
    tried = opened + refused + dead
    there = sum(one.client.arrived_bytes for one in opened)
    back = sum(one.server.arrived_bytes for one in opened)
    text = f"{plural(len(tried), 'connection')} tried: {len(opened)} opened"
    if refused:
        text += f", {len(refused)} refused"
    if dead:
        text += f", {len(dead)} not answered"
    text += "."
    why = []
    if there or back:
        why.append(f"They carried {plural(there, 'byte')} there and {plural(back, 'byte')} back.")
    for words, group in (
        ("opened", opened),
        ("refused by RST", refused),
        ("not answered", dead),
    ):
        ports = list(dict.fromkeys(f"{one.server.node} {one.port}" for one in group))
        if group and (refused or dead):
            some = ", ".join(ports[:8]) + (f" and {len(ports) - 8} more" if len(ports) > 8 else "")
            why.append(f"By machine and port, {words}: {some}.")
    failed = refused + dead
    evidence = sorted((one.syns or one.trips)[-1] for one in failed[:5])
    where = failed[0].server.node if failed else opened[0].server.node
    return Outcome(False if failed else None, "several", text, why, where, evidence)


def upgraded(connection: Connection, name: str) -> str:
    """What followed a response 101 (RFC 9110, 15.2.2)."""
    there, back = connection.dialogue.foreign
    what = clean(name, 40) or "another protocol"
    return (
        f"They went over to {what}: {plural(there, 'byte')} to {connection.server.node}, "
        f"{plural(back, 'byte')} back."
    )
