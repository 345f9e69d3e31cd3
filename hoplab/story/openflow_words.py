# SPDX-License-Identifier: Apache-2.0
"""Flows, matches and ports of OpenFlow in words.

What lives here: how one of them is written, with the names of the lab's interfaces. What must not:
whole sentences on what happened (`controller_answers.py`, `flow_decisions.py`).
"""

from __future__ import annotations

from collections.abc import Iterable

from hoplab.decode.openflow import Match, Message
from hoplab.follow.wiring import Wiring
from hoplab.sentences import Sentence, say, term
from hoplab.story.flow_tables import Flow


def flow_words(flow: Flow) -> Sentence:
    """'table 0, priority 1, eth_dst=02:…'."""
    return say(
        "table {table}, priority {priority}, {match}",
        table=flow.table, priority=flow.priority, match=_match_words(flow.match),
    )  # fmt: skip


def _match_words(match: Match) -> str:
    return str(match) if match.fields else term("any frame")


def installed_words(wiring: Wiring, node: str, message: Message) -> Sentence:
    """'table 1: eth_dst=02:… → port 1 (s1-eth1)'."""
    action: str = verdict_words(wiring, node, message)
    if message.table_next is not None:
        action = say("table {table}", table=message.table_next)
    match = _match_words(message.match or Match())
    return say("table {table}: {match} → {action}", table=message.table, match=match, action=action)


def verdict_words(wiring: Wiring, node: str, message: Message) -> str:
    """What a message says is to be done with a frame: 'flood', 'port 2 (s1-eth2)', 'drop'."""
    return ports_words(wiring, node, message.ports) if message.ports else term("drop")


def ports_words(wiring: Wiring, node: str, ports: Iterable[str]) -> str:
    """'port 1 (s1-eth1) and port 2 (s1-eth2)'."""
    words: str = ""
    for port in ports:
        word = _port(wiring, node, port)
        words = say("{first} and {second}", first=words, second=word) if words else word
    return words


_NAMED_PORTS = {
    "FLOOD": term("flood"),
    "ALL": term("all ports"),
    "TABLE": term("look in the tables again"),
    "IN_PORT": term("back where it came from"),
    "CONTROLLER": term("the controller"),
}


def _port(wiring: Wiring, node: str, port: str) -> str:
    """'flood', 'port 2 (s1-eth2)'."""
    if port in _NAMED_PORTS:
        return _NAMED_PORTS[port]
    if not port.isdigit():
        return port
    for number in wiring.ports(node) if node in wiring.nodes else ():
        if str(wiring.interfaces[number].extra.get("port")) == port:
            interface = wiring.port_name(number)
            return say("port {port} ({interface})", port=port, interface=interface)
    return say("port {port}", port=port)
