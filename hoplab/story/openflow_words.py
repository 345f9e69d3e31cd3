# SPDX-License-Identifier: Apache-2.0
"""Flows, matches and ports of OpenFlow in words.

What lives here: how one of them is written, with the names of the lab's interfaces. What must not:
whole sentences on what happened (`controller_answers.py`, `flow_decisions.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hoplab.decode.openflow import Match, Message
from hoplab.decode.openflow_errors import error_name
from hoplab.follow.wiring import Wiring
from hoplab.sentences import Sentence, say, term
from hoplab.story.flow_tables import Flow


def flow_words(flow: Flow) -> Sentence:
    """'table 0, priority 1, eth_dst=02:…'."""
    return say(
        "table {table}, priority {priority}, {match}",
        table=flow.table, priority=flow.priority, match=match_words(flow.match),
    )  # fmt: skip


def match_words(match: Match) -> str:
    """'eth_dst=02:…', 'any frame'."""
    return str(match) if match.fields else term("any frame")


def installed_words(wiring: Wiring, node: str, message: Message) -> Sentence:
    """'table 1: eth_dst=02:… → port 1 (s1-eth1)'."""
    action: str = verdict_words(wiring, node, message)
    if message.table_next is not None:
        action = say("table {table}", table=message.table_next)
    match = match_words(message.match or Match())
    return say("table {table}: {match} → {action}", table=message.table, match=match, action=action)


def named_in(installed: str) -> tuple[int, frozenset[str]]:
    """Table and match of a flow that a controller put in, as `installed_words` tells it."""
    values: Mapping[str, Any] = getattr(installed, "values", {})
    match = values.get("match", "")
    fields = match_fields("" if match == term("any frame") else str(match))
    return int(values.get("table") or 0), fields


def match_fields(match: str) -> frozenset[str]:
    """The fields of a match, in whatever order somebody wrote them."""
    return frozenset(match.split(", ")) if match else frozenset()


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


def refused_words(wiring: Wiring, node: str, message: Message, error: Message) -> Sentence:
    """'the flow table 0: eth_dst=02:… → port 1: bad match, …'."""
    return say(
        "the flow {flow}: {error}",
        flow=installed_words(wiring, node, message), error=error_words(error),
    )  # fmt: skip


def error_words(message: Message) -> Sentence:
    """What an error of a switch's says, with its numbers (OpenFlow 1.3.5, 7.4.4)."""
    kind, code = message.error or (0, 0)
    if message.version < _SINCE or kind not in _ERROR_TYPES:
        return say("error of type {type}, code {code}", type=kind, code=code)
    words = _ERRORS.get((kind, code), _ERROR_TYPES[kind])
    name = error_name(kind, code)
    if not name:
        return say("{words} (type {type}, code {code})", words=words, type=kind, code=code)
    return say(
        "{words} ({name}: type {type}, code {code})",
        words=words, name=name, type=kind, code=code,
    )  # fmt: skip


_SINCE = 3  # OpenFlow 1.2; the numbers of earlier versions mean something else
_ERROR_TYPES = {
    0: term("no version in common"),
    1: term("bad request"),
    2: term("bad action"),
    3: term("bad instruction"),
    4: term("bad match"),
    5: term("bad flow-mod"),
    6: term("bad group-mod"),
    7: term("bad port-mod"),
    8: term("bad table-mod"),
    12: term("bad meter-mod"),
}
_ERRORS = {
    (1, 8): term("bad request: the switch has no such buffer"),
    (1, 10): term("bad request: this controller is a slave, which may change nothing"),
    (1, 11): term("bad request: the switch has no such port"),
    (2, 4): term("bad action: the switch has no such port"),
    (2, 9): term("bad action: the switch has no such group"),
    (2, 10): term("bad action: it does not fit the match"),
    (2, 15): term("bad action: the value to set cannot be"),
    (3, 2): term("bad instruction: a flow goes on to tables with a higher number only"),
    (4, 6): term("bad match: the switch knows no such field"),
    (4, 7): term("bad match: a value cannot be"),
    (4, 8): term("bad match: a mask cannot be"),
    (4, 9): term("bad match: a field that another one requires is missing, such as eth_type"),
    (4, 10): term("bad match: a field stands in it twice"),
    (5, 1): term("bad flow-mod: the table is full"),
    (5, 2): term("bad flow-mod: the switch has no such table"),
    (5, 3): term("bad flow-mod: it overlaps with a flow of the same priority"),
    (6, 0): term("bad group-mod: there is a group of this number already"),
    (6, 7): term("bad group-mod: groups would send to each other in a circle"),
    (6, 8): term("bad group-mod: the switch has no such group"),
    (12, 1): term("bad meter-mod: there is a meter of this number already"),
    (12, 3): term("bad meter-mod: the switch has no such meter"),
}


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
    if port.startswith("group:"):
        return say("group {group}", group=int(port[6:]))
    if not port.isdigit():
        return port
    for number in wiring.ports(node) if node in wiring.nodes else ():
        if str(wiring.interfaces[number].extra.get("port")) == port:
            interface = wiring.port_name(number)
            return say("port {port} ({interface})", port=port, interface=interface)
    return say("port {port}", port=port)
