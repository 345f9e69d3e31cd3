# SPDX-License-Identifier: Apache-2.0
"""How a command ended that is no fetch, by its frames.

What lives here: which of its host's packets are the command's, and of which kinds: each kind is a
finding of its own, for a command may have done several things. What must not: what those packets
tell (the other modules named `end_of_...`), and the command's own word (`outcome.py`).

Of a connection from before the capture is told only what was seen of it, and only where the command
did nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence

from hoplab.sentences import listed, number_of, say, together
from hoplab.story.counts import times
from hoplab.story.end_of_connection import begun_in_capture
from hoplab.story.end_of_connections import end_of_connections
from hoplab.story.end_of_datagrams import ends_of_datagrams
from hoplab.story.end_of_dhcp import ends_of_dhcp
from hoplab.story.end_of_lookup import end_of_lookup, failed_lookups
from hoplab.story.end_of_packet import arp_in_vain, unanswered_arp
from hoplab.story.end_of_pings import end_of_pings, end_of_search
from hoplab.story.end_of_tunnels import ends_of_tunnels
from hoplab.story.exit_status import ExitStatus
from hoplab.story.lookups import Lookup
from hoplab.story.neighbour_causes import ASKS_MAC, claims
from hoplab.story.records import Outcome
from hoplab.story.routes import find_routes
from hoplab.story.steps import Facts
from hoplab.story.talks import before
from hoplab.story.trip_records import Trip

# What a machine sends by itself, whatever command runs on it.
_BACKGROUND = ("mld", "nd-router", "lldp", "other")
# Words of many programs about an address to which there is no way.
_NO_ROUTE = ("nreachable", "o route")


def ends_of_command(facts: Facts, host: str, ended: ExitStatus) -> list[Outcome]:
    """What the command did, each kind of it by itself: at least one. host: where it ran, "" for
    anywhere."""
    own = [trip for trip in facts.trips if not host or trip.sender == host]
    if not own:
        return _old_connections(facts, host) or [_no_frame(facts, host, ended)]
    questions = unanswered_arp(facts, own[0].sender, 0)
    asked = _only_asked(facts, own, questions)
    if asked is not None:
        return [asked]
    findings = _sent_on_purpose(facts, host, own)
    lookups = _own_lookups(facts, host)
    if findings:
        findings += [end_of_lookup(facts, lookup) for lookup in failed_lookups(lookups)]
        if questions and host:
            findings.append(arp_in_vain(facts, questions))
        return findings
    if lookups:
        return [end_of_lookup(facts, lookups[-1])]
    return _old_connections(facts, host) or [_only_seen(facts, host, own)]


def _only_asked(facts: Facts, own: Sequence[Trip], unanswered: Sequence[Trip]) -> Outcome | None:
    """The end of a command that sent nothing but questions for MAC addresses; None for others."""
    if unanswered and all(trip.kind in (*ASKS_MAC, *_BACKGROUND) for trip in own):
        return arp_in_vain(facts, unanswered)
    if any(trip.kind not in ASKS_MAC for trip in own):
        return None
    if all(claims(trip) for trip in own):
        return _address_probed(facts, own)
    return _arping(facts, own)


def _own_lookups(facts: Facts, host: str) -> list[Lookup]:
    """The questions about names that were not asked on somebody else's behalf."""
    return [
        lookup for lookup in facts.lookups
        if not lookup.serves and (not host or lookup.asker == host)
    ]  # fmt: skip


def _old_connections(facts: Facts, host: str) -> list[Outcome]:
    """What was seen of connections from before the capture, if there are any."""
    old = [
        connection
        for connection in facts.connections
        if not begun_in_capture(connection)
        and (not host or host in (connection.client.node, connection.server.node))
    ]
    return [before(facts, old)] if old else []


def _sent_on_purpose(facts: Facts, host: str, own: Sequence[Trip]) -> list[Outcome]:
    """Searches for a way, pings, connections and datagrams: what a command sends to somebody."""
    routes = find_routes(facts, host)
    probes = {trip.number for route in routes for trip in route.probes}
    findings = [end_of_search(facts, route) for route in routes]
    sent = [trip for trip in own if trip.number not in probes]
    pings = [trip for trip in sent if trip.kind == "icmp-echo-request"]
    if pings:
        findings.append(end_of_pings(facts, pings))
    tried = [
        connection
        for connection in facts.connections
        if (not host or connection.client.node == host)
        and not probes.intersection(connection.syns)
        and not (connection.dns and connection.data_seen)
        and begun_in_capture(connection)
    ]
    if tried:
        findings.append(end_of_connections(facts, host, tried))
    findings += ends_of_dhcp(facts, host)
    findings += ends_of_tunnels(facts, sent)
    return findings + ends_of_datagrams(facts, sent)


def _no_frame(facts: Facts, host: str, ended: ExitStatus) -> Outcome:
    if host:
        sentence: str = say("Not one frame left {host}.", host=host)
    else:
        sentence = say("Not one frame was seen.")
    if ended.ok:
        sentence = together(sentence, say("None was needed: the command succeeded."))
    elif ended.ok is False and any(words in ended.complaint for words in _NO_ROUTE):
        reason = say("The reason is inside {host}: no route, perhaps.", host=host)
        why: list[str] = [reason] if host and not facts.explained else []
        return Outcome(False, "no-frame", sentence, why, host)
    ok = False if facts.explained and ended.ok is False else None
    return Outcome(ok, "no-frame", sentence, [], host if ended.ok is False else "")


def _only_seen(facts: Facts, host: str, own: Sequence[Trip]) -> Outcome:
    """Packets of no kind that a command is judged by."""
    if not host:
        sentence = number_of("{n:,} packet in all.", "{n:,} packets in all.", len(facts.trips))
        return Outcome(None, "seen", sentence)
    sentence = number_of(
        "{n:,} packet in all, {own} of them sent by {host}.",
        "{n:,} packets in all, {own} of them sent by {host}.",
        len(facts.trips), own=len(own), host=host,
    )  # fmt: skip
    return Outcome(None, "seen", sentence)


def _arping(facts: Facts, questions: Sequence[Trip]) -> Outcome:
    """Nothing but ARP requests, which were answered: `arping`."""
    tries = [trip for trip in questions if trip.dst == questions[-1].dst]
    first, last = tries[0], tries[-1]
    answers = [
        trip
        for trip in facts.trips
        if trip.kind in ("arp-reply", "nd-advertisement")
        and first.sender in trip.delivered
        and first.number < trip.number
        and trip.src == first.dst
    ]
    answerers = list(dict.fromkeys(trip.sender for trip in answers))
    values = {"asker": first.sender, "times": times(len(tries)), "ip": first.dst}
    evidence = [last.number, *(trip.number for trip in answers[-1:])]
    if not answerers:
        sentence = say("{asker} asked {times} for the MAC of {ip}: it was answered.", **values)
        return Outcome(None, "arp-answered", sentence, [], "", evidence)
    sentence = say(
        "{asker} asked {times} for the MAC of {ip}: {nodes} answered.",
        nodes=listed(answerers), **values,
    )  # fmt: skip
    return Outcome(None, "arp-answered", sentence, [], answerers[0], evidence)


def _address_probed(facts: Facts, questions: Sequence[Trip]) -> Outcome:
    """Nothing but questions whether an address is free (RFC 5227, `arping -D`)."""
    last = questions[-1]
    values = {"asker": last.sender, "times": times(len(questions)), "ip": last.dst}
    packets = [trip.number for trip in questions]
    holders = [facts.by_number[trip.answered_by].sender for trip in questions if trip.answered_by]
    if holders:
        sentence = say(
            "{asker} asked {times} whether anybody has {ip}: {node} has it.",
            node=holders[0], **values,
        )  # fmt: skip
        return Outcome(False, "address-taken", sentence, [], holders[0], packets)
    sentence = say("{asker} asked {times} whether anybody has {ip}: nobody does.", **values)
    return Outcome(True, "address-free", sentence, [], last.sender, packets)
