# SPDX-License-Identifier: Apache-2.0
"""The link that no frame went over, where it parts somebody from what he asks for.

What lives here: searches in the wiring. What must not: sentences.

A bridge sends nothing into a port whose link is down, so such a link is told by silence alone.
Silence proves it only where every other link on the way was heard: the answer is a link with
somebody that the question reached at its one end, and the owner of the address behind the other.
It is a cause only where a switch meant to send there (`meant_for`): a controller that gave no
answer, or another port, says by itself why nothing came.
"""

from __future__ import annotations

import itertools
from collections.abc import Container, Iterable, Iterator

from hoplab import circles
from hoplab.decode.openflow import FLOODING
from hoplab.follow.wiring import Wiring, natural
from hoplab.story.trip_records import Trip


def silent_link(wiring: Wiring, trips: Iterable[Trip], asker: str, owner: str) -> tuple[str, str]:
    """The two interfaces of the one silent link between `asker` and `owner`, who are on the same
    network, the nearer end first; ("", "") where there is none or more than one."""
    used: set[str] = set()
    for trip in trips:
        for leg in trip.legs:
            used.update((leg.tail_interface, leg.head_interface))
    reached = _reached(wiring, asker, used)
    if owner in reached:
        return "", ""
    links = [
        (wiring.port_name(peer), wiring.port_name(port))
        for port, peer in _ways_back(wiring, owner, reached)
        if wiring.port_name(port) not in used
        and (wiring.node_name(peer) == asker or wiring.is_switch(peer))
    ]
    return links[0] if len(links) == 1 else ("", "")


def _links(wiring: Wiring, node: str) -> Iterator[tuple[int, int]]:
    """The ports of a node that are wired, each with the port at the other end."""
    for port in wiring.ports(node):
        peer = wiring.peer(port)
        if peer is not None:
            yield port, peer


def _reached(wiring: Wiring, asker: str, used: Container[str]) -> set[str]:
    """Whom one can come to over switches and links that frames went over."""
    reached, waiting = {asker}, [asker]
    while waiting:
        for port, peer in _links(wiring, waiting.pop()):
            node = wiring.node_name(peer)
            if wiring.port_name(port) in used and node not in reached:
                reached.add(node)
                if wiring.is_switch(peer):
                    waiting.append(node)
    return reached


def _ways_back(wiring: Wiring, owner: str, reached: Container[str]) -> Iterator[tuple[int, int]]:
    """The links from the owner, and from the switches behind which it is, to whom was reached."""
    behind, waiting = {owner}, [owner]
    while waiting:
        for port, peer in _links(wiring, waiting.pop()):
            node = wiring.node_name(peer)
            if node in reached:
                yield port, peer
            elif wiring.is_switch(peer) and node not in behind:
                behind.add(node)
                waiting.append(node)


def node_at(wiring: Wiring, interface: str) -> str:
    """The node of an interface, "" for none."""
    port = wiring.port(interface)
    return wiring.node_name(port) if port is not None else ""


def meant_for(wiring: Wiring, trip: Trip, interface: str) -> bool | None:
    """Whether the node of this interface would have sent the packet out of it, had the link been
    up: its silence explains nothing where a switch had no such order. None if that is not known.
    """
    node = node_at(wiring, interface)
    port = wiring.port(interface)
    if port is None or not wiring.is_switch(port):
        return True  # a computer sends what it has to send
    decisions = [decision for decision in trip.decisions if decision.node == node]
    if decisions:
        ordered = decisions[-1].ports
        if "TABLE" in ordered:  # what the tables said then is not known
            return None
        meant = {*FLOODING, str(wiring.interfaces[port].extra.get("port"))}
        return not meant.isdisjoint(ordered)
    # A flood that leaves out one port leaves it out because its link is down.
    return True if any(leg.tail == node for leg in trip.legs) else None


def loop_of_switches(wiring: Wiring) -> list[str]:
    """The switches between which there are two ways over switches alone; several loops together."""
    cables = []
    for port in range(len(wiring.interfaces)):
        peer = wiring.peer(port)
        if peer is not None and port <= peer and wiring.is_switch(port) and wiring.is_switch(peer):
            cables.append((wiring.node_name(port), wiring.node_name(peer)))
    switches = sorted({name for ends in cables for name in ends}, key=natural)
    return sorted(itertools.chain.from_iterable(circles.find(switches, cables)), key=natural)
