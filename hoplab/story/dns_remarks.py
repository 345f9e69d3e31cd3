# SPDX-License-Identifier: Apache-2.0
"""Remarks on DNS: who knew the answer, who asked whom, why nobody asked.

What lives here: what is to be said of the step in which a name is looked up. What must not: any
other step (`remarks.py`).
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from hoplab.sentences import Sentence, say, term
from hoplab.story.counts import packet_numbers, times
from hoplab.story.lookups import Lookup
from hoplab.story.records import Remark, Request, Step
from hoplab.story.steps import Facts
from hoplab.story.wire_text import clean


def dns_remarks(facts: Facts, step: Step, request: Request | None) -> list[Remark]:
    if not step.trips:
        return [_no_dns(facts, request)]
    inside = set(step.trips)
    lookups = [lookup for lookup in facts.lookups if lookup.question in inside]
    remarks = _who_knew(facts, lookups)
    remarks += _ipv6_too(lookups)
    remarks += _unanswered(lookups)
    if any(lookup.truncated for lookup in lookups):
        text = term(
            "DNS went over TCP too: an answer that does not fit a datagram is fetched that way."
        )
        remarks.append(Remark("dns-tcp", text))
    elif any(lookup.tcp for lookup in lookups):
        text = term(
            "DNS went over TCP from the start: so it was asked, and no answer over UDP was too "
            "long."
        )
        remarks.append(Remark("dns-tcp", text))
    return list(dict.fromkeys(remarks))


def _who_knew(facts: Facts, lookups: list[Lookup]) -> list[Remark]:
    """Which servers asked others, and which answered by themselves."""
    remarks = []
    helped: dict[int, list[Lookup]] = {}  # question -> what was asked because of it
    for lookup in facts.lookups:
        helped.setdefault(lookup.serves, []).append(lookup)
    alone: dict[str, list[int]] = {}  # server -> questions that it answered by itself
    for lookup in lookups:
        if lookup.serves or not lookup.answer:
            continue
        if lookup.question in helped:
            text = _recursion(lookup, helped[lookup.question])
            remarks.append(Remark("dns-recursion", text))
        elif lookup.rcode == 0 and not lookup.referral and not lookup.truncated:
            alone.setdefault(lookup.server, []).append(lookup.question)
    for server, questions in alone.items():
        text = say(
            "{server} answered {packets} without asking anybody: from its cache or from data of "
            "its own.",
            server=server, packets=packet_numbers(questions),
        )  # fmt: skip
        remarks.append(Remark("dns-cached", text))
    return remarks


def _recursion(lookup: Lookup, asked: list[Lookup]) -> Sentence:
    """What a resolver did to answer: it asked others, one after the other."""
    first, *more = dict.fromkeys(part.server for part in asked)
    chain: str = first
    for server in more:
        chain = say("{servers}, then {server}", servers=chain, server=server)
    resolver, record, name = lookup.server, lookup.kind, clean(lookup.name, 60)
    if not asked[-1].answer:
        return say(
            "{resolver} did not know {record} {name}; it asked {servers}, but {silent} did not "
            "answer it: what it then said is its own.",
            resolver=resolver, record=record, name=name, servers=chain, silent=asked[-1].server,
        )  # fmt: skip
    if more:
        return say(
            "{resolver} did not know {record} {name}; it asked {servers}, and passed the result "
            "on.",
            resolver=resolver, record=record, name=name, servers=chain,
        )  # fmt: skip
    return say(
        "{resolver} did not know {record} {name}; it asked {server}, and passed the result on.",
        resolver=resolver, record=record, name=name, server=first,
    )  # fmt: skip


def _ipv6_too(lookups: list[Lookup]) -> list[Remark]:
    """A client that asks for an address by IPv4 often asks for one by IPv6 as well."""
    of_client = [lookup for lookup in lookups if not lookup.serves]
    if not {"A", "AAAA"} <= {lookup.kind for lookup in of_client}:
        return []
    lookup = next(lookup for lookup in of_client if lookup.kind == "AAAA")
    text = say(
        "{asker} also asked for AAAA, the IPv6 address (#{packet}): {result}.",
        asker=lookup.asker, packet=lookup.question, result=lookup.result or term("no answer"),
    )  # fmt: skip
    return [Remark("dns-aaaa", text)]


def _unanswered(lookups: list[Lookup]) -> list[Remark]:
    tries: dict[tuple[str, str, str, str], int] = {}
    for lookup in lookups:
        if not lookup.answer:
            question = (lookup.asker, lookup.server, lookup.kind, clean(lookup.name, 60))
            tries[question] = tries.get(question, 0) + len(lookup.tries)
    remarks = []
    for (asker, server, record, name), count in tries.items():
        text = say(
            "{asker} asked {server} {times} for {record} {name} and got no answer.",
            asker=asker, server=server, times=times(count), record=record, name=name,
        )  # fmt: skip
        remarks.append(Remark("dns-silent", text))
    return remarks


def _no_dns(facts: Facts, request: Request | None) -> Remark:
    host = (urlsplit(request.url).hostname if request else "") or ""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        if any(connection.syn for connection in facts.connections):
            text = say(
                "No DNS frame: the client knew the address of {name} without asking (its "
                "/etc/hosts, a cache). Frames cannot show which.",
                name=clean(host, 60),
            )
            return Remark("dns-none", text)
        return Remark("dns-none", term("No frame: not one DNS question left the client."))
    text = say("The URL holds the address {ip} itself: nothing to resolve.", ip=host)
    return Remark("dns-address", text)
