# SPDX-License-Identifier: Apache-2.0
"""How a fetch of one page ended, by its frames.

What lives here: which of the client's packets tell it. What must not: what these packets tell
(`end_of_connection.py`, `end_of_lookup.py`), and the client's own word (`outcome.py`).

The first that holds:
1. A response came: its status tells; or bytes that are no HTTP.
2. The server answered the SYN by RST, or not at all, or took the request and was silent.
3. The name has no address, or the DNS question was never answered.
4. Only ARP left the client, or nothing at all.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from hoplab.sentences import say
from hoplab.story.end_of_connection import (
    answered_requests,
    begun_in_capture,
    no_response,
    response,
)
from hoplab.story.end_of_lookup import no_connection
from hoplab.story.end_of_packet import arp_in_vain, unanswered_arp
from hoplab.story.records import Outcome, Request
from hoplab.story.steps import Facts
from hoplab.story.talks import no_http

# What a machine sends by itself while it fetches nothing.
_NOISE = ("nd-", "mld", "lldp", "other")


def end_of_fetch(facts: Facts, request: Request) -> Outcome:
    """What the wire shows of the fetch."""
    mine = [
        connection
        for connection in facts.connections
        if connection.client.node == request.client
        and (not connection.dns or _wants_port_53(request))
        and begun_in_capture(connection)  # a fetch opens its own
    ]
    answered = answered_requests(mine)
    if answered:
        path = _path(request.url)
        page = [
            (connection, exchange)
            for connection, exchange in answered
            if exchange.target == path and (exchange.status or 0) < 300
        ]
        return response(facts, request.client, *(page or answered)[-1])
    if mine:
        return no_http(facts, mine[-1], fetch=True) or no_response(facts, mine[-1])
    lookups = [lookup for lookup in facts.lookups if lookup.asker == request.client]
    if lookups:
        return no_connection(facts, lookups)
    return _nothing_left(facts, request)


def _path(address: str) -> str:
    """What a request for this URL names."""
    url = urlsplit(address)
    return (url.path or "/") + (f"?{url.query}" if url.query else "")


def _nothing_left(facts: Facts, request: Request) -> Outcome:
    """Neither a connection nor a question about a name: ARP in vain, or nothing."""
    client = request.client
    questions = unanswered_arp(facts, client, 0)
    if questions:
        return arp_in_vain(facts, questions)
    sent = [trip for trip in facts.trips if trip.sender == client]
    if any(not trip.kind.startswith(_NOISE) for trip in sent):
        sentence = say("{client} sent frames, but none of them for this fetch.", client=client)
    else:
        sentence = say("Not one frame of the fetch left {client}.", client=client)
    if _at_home(facts, request):
        reason = say(
            "The URL names {client} itself: what a machine says to itself goes over its loopback "
            "and crosses no wire.",
            client=client,
        )
    else:
        reason = say(
            "{client} gave up before its card was asked to send: it has no route to the address "
            "it wants (`ip route` there shows what it has; a link that is down takes its routes "
            "along), it knows no resolver, or the URL names nothing that it could ask for.",
            client=client,
        )
    why: list[str] = [] if facts.explained else [reason]
    return Outcome(False, "no-frame", sentence, why, client, [])


def _wants_port_53(request: Request) -> bool:
    try:
        return urlsplit(request.url).port == 53
    except ValueError:
        return False


def _at_home(facts: Facts, request: Request) -> bool:
    """Whether the URL names the client's own machine."""
    host = (urlsplit(request.url).hostname or "").rstrip(".")
    try:
        if ipaddress.ip_address(host).is_loopback:
            return True
    except ValueError:
        return host in ("localhost", request.client)
    ports = facts.wiring.ports(request.client) if request.client in facts.wiring.nodes else []
    own = [address for port in ports for address in facts.wiring.interfaces[port].addresses]
    return host in [address.partition("/")[0] for address in own]
