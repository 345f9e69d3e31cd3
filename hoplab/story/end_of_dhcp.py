# SPDX-License-Identifier: Apache-2.0
"""How asking for an address by DHCP ended.

What lives here: who got which address from whom and for how long, or how far it came. What must
not: which messages belong together (`leases.py`), and where an unanswered packet died
(`end_of_packet.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

from hoplab.decode import dhcp as wire_dhcp
from hoplab.decode.dhcp import Dhcp
from hoplab.decode.packet import ipv4_text
from hoplab.sentences import Sentence, listed, say, together
from hoplab.story.counts import times
from hoplab.story.dhcp_titles import lease_text
from hoplab.story.end_of_packet import no_answer
from hoplab.story.leases import Exchange
from hoplab.story.records import Outcome
from hoplab.story.steps import Facts
from hoplab.story.trip_records import Trip
from hoplab.story.wire_text import clean

Message = tuple[Trip, Dhcp]


def ends_of_dhcp(facts: Facts, host: str) -> list[Outcome]:
    """How each client's asking ended, by the last of its exchanges. host: where the command ran;
    only what that node asked, or answered. "" for anywhere."""
    last: dict[str, Exchange] = {}
    for exchange in facts.leases:
        answered_by = {trip.sender for trip, _ in exchange.all(*wire_dhcp.OF_SERVERS)}
        if not host or host == exchange.client or host in answered_by:
            last[exchange.mac] = exchange
    return [_end(facts, exchange) for exchange in last.values()]


def _end(facts: Facts, exchange: Exchange) -> Outcome:
    returned = exchange.last(wire_dhcp.RELEASE)
    if returned is not None:
        return _returned(*returned)
    declined = exchange.last(wire_dhcp.DECLINE)
    if declined is not None:
        return _declined(exchange, *declined)
    answer = _arrived(exchange, exchange.last(wire_dhcp.ACK, wire_dhcp.NAK))
    if answer is not None and answer[1].type == wire_dhcp.ACK:
        return _confirmed(exchange, *answer)
    if answer is not None:
        return _refused(exchange, *answer)
    return _unanswered(facts, exchange)


def _client(exchange: Exchange) -> str:
    """The node that asked; where the capture does not show it, its card."""
    return exchange.client or exchange.mac


def _arrived(exchange: Exchange, message: Message | None) -> Message | None:
    """A server's message, if it came to the client as far as is known."""
    if message is None or (exchange.client and not message[0].reached(exchange.client)):
        return None
    return message


def _confirmed(exchange: Exchange, trip: Trip, dhcp: Dhcp) -> Outcome:
    values = {"client": _client(exchange), "server": _server(trip, dhcp)}
    evidence = exchange.trips
    if not dhcp.yiaddr:
        sentence = say("{client} got settings from {server}, and no address.", **values)
        return Outcome(True, "dhcp-settings", sentence, [], trip.sender, evidence)
    asked = exchange.last(wire_dhcp.REQUEST)
    lease = lease_text(dhcp.lease_s)
    values["ip"] = dhcp.yiaddr
    if asked is not None and asked[1].ciaddr == dhcp.yiaddr:
        if lease:
            sentence = say("{client} keeps {ip} from {server} {lease}.", lease=lease, **values)
        else:
            sentence = say("{client} keeps {ip} from {server}.", **values)
    elif lease:
        sentence = say("{client} got {ip} from {server} {lease}.", lease=lease, **values)
    else:
        sentence = say("{client} got {ip} from {server}.", **values)
    return Outcome(True, "dhcp-got", sentence, _settings(dhcp), trip.sender, evidence)


def _settings(dhcp: Dhcp) -> list[str]:
    """What else the client was given: how to get out of its network, and whom to ask for names."""
    options = dict(dhcp.options)
    settings: list[str] = []
    mask = options.get(wire_dhcp.MASK, b"")
    if len(mask) == 4:
        settings.append(say("netmask {mask}", mask=ipv4_text(mask)))
    routers = wire_dhcp.addresses(options.get(wire_dhcp.ROUTERS, b""))
    if routers:
        settings.append(say("default gateway {ips}", ips=listed(routers)))
    resolvers = wire_dhcp.addresses(options.get(wire_dhcp.DNS_SERVERS, b""))
    if resolvers:
        settings.append(say("resolver {ips}", ips=listed(resolvers)))
    if not settings:
        return []
    return [say("With the address came: {settings}.", settings=listed(settings))]


def _server(trip: Trip, dhcp: Dhcp) -> str:
    return dhcp.server_id or trip.sender


def _refused(exchange: Exchange, trip: Trip, dhcp: Dhcp) -> Outcome:
    asked = exchange.last(wire_dhcp.REQUEST)
    ip = (asked[1].requested or asked[1].ciaddr) if asked is not None else ""
    values = {"client": _client(exchange), "server": _server(trip, dhcp), "ip": ip or "?"}
    sentence = say("{server} refused {ip} to {client} (NAK).", **values)
    why: list[str] = []
    if dhcp.message:
        why = [say("The server said: {message}", message=clean(dhcp.message, 80))]
    return Outcome(False, "dhcp-refused", sentence, why, trip.sender, exchange.trips)


def _declined(exchange: Exchange, trip: Trip, dhcp: Dhcp) -> Outcome:
    sentence = say(
        "{client} was given {ip} and declined it: somebody else uses that address.",
        client=_client(exchange), ip=dhcp.requested or "?",
    )  # fmt: skip
    return Outcome(False, "dhcp-declined", sentence, [], trip.sender, exchange.trips)


def _returned(trip: Trip, dhcp: Dhcp) -> Outcome:
    """The end of a Release, which nobody answers, so that no answer is missing."""
    values = {"client": trip.sender, "ip": dhcp.ciaddr or "?", "server": dhcp.server_id or "?"}
    if trip.ended:
        sentence: Sentence = say(
            "{client} gave {ip} back, but {server} did not hear of it.", **values
        )
        why: list[str] = [say("Its last frame: {end}.", end=trip.ended)]
        return Outcome(False, "dhcp-returned", sentence, why, trip.sender, [trip.number])
    sentence = say("{client} gave {ip} back to {server}.", **values)
    return Outcome(True, "dhcp-returned", sentence, [], trip.sender, [trip.number])


def _unanswered(facts: Facts, exchange: Exchange) -> Outcome:
    """No confirmation came: to a Request, to a Discover, or to the settings that were asked for."""
    client = _client(exchange)
    offers = [message for message in exchange.all(wire_dhcp.OFFER) if _arrived(exchange, message)]
    requests = exchange.all(wire_dhcp.REQUEST)
    if requests:
        trip, dhcp = requests[-1]
        sentence = say(
            "{client} asked {times} for {ip}, and no confirmation came.",
            client=client, times=times(len(requests)), ip=dhcp.requested or dhcp.ciaddr or "?",
        )  # fmt: skip
        return _silence(facts, exchange, requests, sentence)
    if offers:
        trip, dhcp = offers[-1]
        sentence = say(
            "{server} offered {ip} to {client}, which did not ask for it.",
            server=_server(trip, dhcp), ip=dhcp.yiaddr or "?", client=client,
        )  # fmt: skip
        return Outcome(False, "dhcp-not-taken", sentence, [], client, exchange.trips)
    questions = exchange.all(wire_dhcp.DISCOVER)
    if questions:
        sentence = say(
            "{client} asked {times} for an address by DHCP, and no offer came.",
            client=client, times=times(len(questions)),
        )  # fmt: skip
        return _silence(facts, exchange, questions, sentence)
    asked = exchange.all(wire_dhcp.INFORM)
    sentence = say("{client} asked for settings by DHCP, and none came.", client=client)
    if asked:
        return _silence(facts, exchange, asked, sentence)
    sentence = say("Of DHCP only a part was seen, without what {client} asked.", client=client)
    return Outcome(None, "dhcp-part", sentence, [], client, exchange.trips)


def _silence(
    facts: Facts, exchange: Exchange, asked: Sequence[Message], sentence: Sentence
) -> Outcome:
    """Why no answer came: where the last question died, where an answer died, or who kept
    silent."""
    lost = [trip for trip, _ in exchange.all(*wire_dhcp.OF_SERVERS) if trip.ended]
    if lost:
        came_to = say(
            "{server} answered (#{packet}), but that did not come: {end}.",
            server=lost[-1].sender, packet=lost[-1].number, end=lost[-1].ended,
        )  # fmt: skip
        return Outcome(False, "dhcp-lost", sentence, [came_to], lost[-1].path[-1], exchange.trips)
    last = asked[-1][0]
    if last.ended or not last.group:
        return no_answer(facts, last, together(sentence), "dhcp")
    heard = say(
        "It reached {nodes}: none of them answered as a DHCP server.", nodes=listed(last.delivered)
    )
    why: list[str] = [heard] if last.delivered else []
    return Outcome(False, "dhcp-silent", sentence, why, last.sender, exchange.trips)
