# SPDX-License-Identifier: Apache-2.0
"""Which packet made an entry of a table: where a switch learned an address, by which answer a host
knows a neighbour, what the controller was asked when it put a flow in.

What lives here: what packets and switches have told, by entry, as far as it was seen. What must
not: what the tables hold (`entries.py`), pages.

1. A switch learns where an address is from the first frame of its that comes by that port, after
   it was at another one or at none.
2. A neighbour is known by the ARP packet with that address and MAC that came to a host last.
3. A flow was put in because of the last question before its flow-mod that the controller is told to
   have answered with a flow of this table and match. Others it put in unasked.
4. What DNS answered and DHCP gave counts until its time is over. It is what came to a host, which
   is what a cache that obeys the TTL holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hoplab.capture.pcapng_format import Note
from hoplab.follow.wiring import Wiring
from hoplab.replay.table_changes import table_changes
from hoplab.story.openflow_words import match_fields, named_in
from hoplab.story.trip_records import Leg, Trip

MOST = 20_000  # entries of each kind; the oldest go first
SECOND = 1_000_000_000

Flow = tuple[int, int, str]  # table, priority, match


class _Recent(dict[Any, Any]):
    """The last entries that were put in."""

    def put(self, key: Any, value: Any) -> None:
        self.pop(key, None)
        self[key] = value
        if len(self) > MOST:
            del self[next(iter(self))]


class Origins:
    """What is known of a lab's tables by the packets that were told."""

    def __init__(self, wiring: Wiring) -> None:
        self._wiring = wiring
        self._macs = _Recent()  # switch, MAC -> port, packet
        self._neighbours = _Recent()  # host, address -> MAC, packet
        self._asked: dict[str, _Recent] = {}  # by switch: packet-in -> packet, flows put in
        self._flows: dict[str, dict[Flow, dict[str, Any]]] = {}
        self._answers = _Recent()  # host, name, type, value -> until when, packet
        self._leases = _Recent()  # host, address -> server, until when, packet

    def note(self, kept: Iterable[Note]) -> None:
        """What switches tell of their tables."""
        for change in table_changes(kept):
            if change["what"] != "flow":
                continue
            flows = self._flows.setdefault(change["switch"], {})
            key = change["table"], change["priority"], change["match"]
            if change["change"] == "removed":
                flows.pop(key, None)
            else:
                flows[key] = change

    def tell(self, trips: Iterable[Trip]) -> None:
        """Packets, as far as they have come."""
        for trip in trips:
            for leg in trip.legs:
                if leg.received and leg.head in self._wiring.nodes:
                    self._arrived(trip, leg)
            for made in trip.decisions:
                if made.installed and made.packet_in:
                    asked = self._asked.setdefault(made.node, _Recent())
                    flows = frozenset(map(named_in, made.installed))
                    asked.put(made.packet_in, (trip.number, flows))

    def _arrived(self, trip: Trip, leg: Leg) -> None:
        node = leg.head
        if self._wiring.kind(node) == "switch":
            key, port = (node, leg.src_mac), leg.head_interface
            if self._macs.get(key, ("", 0))[0] != port:
                self._macs.put(key, (port, trip.number))
            return
        arp = trip.packet.arp
        if arp is not None:
            self._neighbours.put((node, arp.sender_ip), (arp.sender_mac, trip.number))
        if node not in trip.delivered:
            return
        message: Any = trip.way.message
        if trip.kind == "dns-answer":
            for name, kind, ttl, value in getattr(message, "answers", ()):
                until_ns = leg.received_ns + ttl * SECOND
                self._answers.put((node, name, kind, value), (until_ns, trip.number))
        elif trip.kind == "dhcp-ack" and getattr(message, "lease_s", None):
            until_ns = leg.received_ns + message.lease_s * SECOND
            self._leases.put((node, message.yiaddr), (message.server_id, until_ns, trip.number))

    def of(self, node: str, now_ns: int, flow_mods: Mapping[Flow, int]) -> dict[str, Any]:
        """What is known of one node. flow_mods: the frames that put a switch's flows in, by
        number."""
        if self._wiring.kind(node) == "switch":
            return {
                "macs": {
                    mac: list(value) for (name, mac), value in self._macs.items() if name == node
                },
                "flows": [
                    {**flow, "packet": self._packet(node, key, flow_mods.get(key, 0))}
                    for key, flow in self._flows.get(node, {}).items()
                ],
            }
        return {
            "neighbours": {
                ip: list(value) for (name, ip), value in self._neighbours.items() if name == node
            },
            "answers": [
                [*key[1:], packet] for key, (until_ns, packet) in self._answers.items()
                if key[0] == node and until_ns > now_ns
            ],
            "leases": [
                [key[1], server, packet] for key, (server, until_ns, packet) in self._leases.items()
                if key[0] == node and until_ns > now_ns
            ],
        }  # fmt: skip

    def _packet(self, switch: str, flow: Flow, flow_mod: int) -> int:
        """The packet that a flow was put in because of, 0 if that is not known."""
        asked = self._asked.get(switch, _Recent())
        wanted = flow[0], match_fields(flow[2])
        packet_in = max(
            (number for number, (_, flows) in asked.items()
             if number < flow_mod and wanted in flows),
            default=0,
        )  # fmt: skip
        return int(asked[packet_in][0]) if packet_in else 0
