# SPDX-License-Identifier: Apache-2.0
"""How looking up a name by DNS ended.

What lives here: what the answers say, who kept silent, and what came of the address. What must not:
connections, and where an unanswered packet died (`end_of_packet.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hoplab.sentences import Sentence, say, together
from hoplab.story.end_of_packet import answer_lost, arp_in_vain, no_answer, unanswered_arp
from hoplab.story.lookups import Lookup
from hoplab.story.records import Outcome
from hoplab.story.steps import Facts
from hoplab.story.wire_text import clean

_MOST_NAMES = 3
_LONGEST_NAME = 60
_NXDOMAIN = 3  # RFC 1035, 4.1.1


def end_of_lookup(facts: Facts, lookup: Lookup) -> Outcome:
    """A name was asked for, and nothing done with the answer."""
    if not lookup.answer:
        return _silence(facts, lookup)
    sentence = say(
        "{server} answered {record} {name}: {result}.",
        server=lookup.server, record=lookup.kind, name=_name(lookup), result=lookup.result,
    )  # fmt: skip
    evidence = [lookup.question, lookup.answer]
    return Outcome(lookup.rcode == 0, "resolved", sentence, [], lookup.server, evidence)


def no_connection(facts: Facts, lookups: Sequence[Lookup]) -> Outcome:
    """No connection was tried: what the answers to the client's questions say."""
    resolved = [lookup for lookup in lookups if _has_address(lookup)]
    if resolved:
        return _nothing_sent(facts, resolved[-1])
    missing = [lookup for lookup in lookups if lookup.rcode == _NXDOMAIN]
    if missing:
        return _no_such_name(facts, missing[0])
    silent = [lookup for lookup in lookups if not lookup.answer]
    if silent:
        return _silence(facts, silent[-1])
    last = next((lookup for lookup in lookups if lookup.kind == "A"), lookups[-1])
    evidence = [last.question, last.answer]
    if last.rcode:
        sentence = say(
            "{server} could not resolve {name}: {result}.",
            server=last.server, name=_name(last), result=last.result,
        )  # fmt: skip
        why = _resolver_tried(facts, last)
        return Outcome(False, "dns-failed", sentence, why, last.server, evidence)
    return Outcome(False, "no-address", _answered(last), [], last.server, evidence)


def failed_lookups(lookups: Iterable[Lookup]) -> list[Lookup]:
    """Names that were asked for and have no address, or that nobody answered about. A name is
    tried with the suffixes that the machine has (resolv.conf): one of them is enough."""
    lookups = list(lookups)
    resolved = {_first_label(lookup) for lookup in lookups if _has_address(lookup)}
    failed = {
        _first_label(lookup): lookup
        for lookup in lookups
        if lookup.kind in ("A", "AAAA") and _first_label(lookup) not in resolved
    }
    return list(failed.values())[:_MOST_NAMES]


def _first_label(lookup: Lookup) -> str:
    return lookup.name.lower().partition(".")[0]


def _has_address(lookup: Lookup) -> bool:
    return lookup.rcode == 0 and lookup.has_record and lookup.kind in ("A", "AAAA")


def _name(lookup: Lookup) -> str:
    return clean(lookup.name, _LONGEST_NAME)


def _answered(lookup: Lookup) -> Sentence:
    return say(
        "{server} answered about {name}: {result}.",
        server=lookup.server, name=_name(lookup), result=lookup.result,
    )  # fmt: skip


def _no_such_name(facts: Facts, lookup: Lookup) -> Outcome:
    sentence = say(
        "There is no such name: {name} (NXDOMAIN from {server}).",
        name=_name(lookup), server=lookup.server,
    )  # fmt: skip
    why = _authority(facts, lookup)
    why.append(say("Without an address there is nowhere to send a SYN: none was sent."))
    evidence = [lookup.question, lookup.answer]
    return Outcome(False, "nxdomain", sentence, why, lookup.server, evidence)


def _authority(facts: Facts, lookup: Lookup) -> list[str]:
    """Who knew that the name does not exist."""
    asked_for_it = [
        inner for inner in facts.lookups
        if inner.serves == lookup.question and inner.rcode == _NXDOMAIN
    ]  # fmt: skip
    return [
        say("{server} is the one who knew (#{packet}).", server=inner.server, packet=inner.answer)
        for inner in asked_for_it[-1:]
    ]


def _silence(facts: Facts, lookup: Lookup) -> Outcome:
    """Nobody answered, or no answer came: to the question itself, or to the last of those that the
    resolver asked on its behalf."""
    if lookup.lost:
        sentence: str = say(
            "The DNS question for {name} was answered, but no answer came back.",
            name=_name(lookup),
        )
    else:
        sentence = say("The DNS question for {name} was never answered.", name=_name(lookup))
    last = lookup
    for inner in _unanswered_for(facts, lookup)[-1:]:
        last = inner
        on_behalf = say(
            "{resolver} asked {server} on behalf of {client} and got no answer.",
            resolver=inner.asker, server=inner.server, client=lookup.asker,
        )  # fmt: skip
        sentence = together(sentence, on_behalf)
    if last.lost:
        return answer_lost(facts, last.question, last.lost, sentence)
    return no_answer(facts, facts.by_number[last.tries[-1]], sentence, "dns")


def _unanswered_for(facts: Facts, lookup: Lookup) -> list[Lookup]:
    """What the resolver asked because of this question, and nobody answered."""
    return [
        inner for inner in facts.lookups if inner.serves == lookup.question and not inner.answer
    ]


def _resolver_tried(facts: Facts, lookup: Lookup) -> list[str]:
    """What the resolver tried before it gave up."""
    why: list[str] = []
    for inner in _unanswered_for(facts, lookup)[-1:]:
        asked = say(
            "{resolver} asked {server} and got no answer.",
            resolver=lookup.server, server=inner.server,
        )  # fmt: skip
        end = no_answer(facts, facts.by_number[inner.tries[-1]], asked, "dns")
        why += [asked, *end.why]
    return why


def _nothing_sent(facts: Facts, lookup: Lookup) -> Outcome:
    """The name was resolved and no SYN left: ARP for the next hop, or no route."""
    questions = unanswered_arp(facts, lookup.asker, facts.by_number[lookup.answer].number)
    if questions:
        return arp_in_vain(facts, questions, _answered(lookup))
    no_syn = say("But no SYN left {client}.", client=lookup.asker)
    why: list[str] = []
    if not facts.explained:
        why.append(
            say(
                "The reason is inside the client (no route to that address, perhaps): no frame "
                "shows it."
            )
        )
    sentence = together(_answered(lookup), no_syn)
    return Outcome(False, "no-syn", sentence, why, lookup.asker, [lookup.answer])
