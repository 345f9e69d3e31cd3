# SPDX-License-Identifier: Apache-2.0
"""Mutated messages and master files against our parsers: no crash, no hang, no growth.

The corpus grows as it goes: an input that makes something happen that no input has made happen
before (another outcome, another refusal) is kept and mutated further. What once broke something is
kept for ever in tests/data/dns_fuzz (files that end in .wire or .zone) and tried in every run.

    HOPLAB_FUZZ_INPUTS=5000000 python3 -m pytest -m long tests/unit/test_apps_dns_fuzz.py -s
"""

from __future__ import annotations

import os
import random
import re
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "apps"))

import dns_server
from protocols import dns_records, dns_reply, dns_service, dns_wire, dns_zone
from protocols.dns_records import BadText, data_text, name
from protocols.dns_wire import Malformed

from tests.unit.test_apps_all import ZONES
from tests.unit.test_apps_dns_zone import FULL, rich_message

KEPT = Path(__file__).resolve().parents[1] / "data" / "dns_fuzz"
INPUTS = int(os.environ.get("HOPLAB_FUZZ_INPUTS", "150000"))
LONGEST_S = 1.0  # CPU time for one input; each takes some microseconds
LIMIT = 2000  # bytes of an input
CORPUS = 3000

Target = Callable[[bytes], object]


def server_target() -> Target:
    """Bytes to the authoritative server, by UDP and by TCP; and its answer is a message."""
    zones = [dns_zone.load_zone(path) for path in ZONES.glob("*.zone")]
    source = dns_server.Authority(zones)

    def target(raw: bytes) -> object:
        over_udp = dns_service.answer(raw, source.resolve, 1232, fail)
        over_tcp = dns_service.answer(raw, source.resolve, None, fail)
        if over_udp is None:
            assert over_tcp is None
            return None
        assert over_tcp is not None and over_udp[:2] == raw[:2] and len(over_udp) <= 1232
        reply = dns_wire.decode(over_udp)
        return reply.rcode, reply.flags, len(reply.answer), len(reply.authority), reply.edns is None

    return target


def fail(text: str) -> None:
    raise AssertionError(text)


def reply_target() -> Target:
    """Bytes to the resolver as a server's reply; what it takes can be cached and sent on."""
    zone, wanted = name("lab."), name("www.full.lab.")

    def target(raw: bytes) -> object:
        try:
            reply = dns_wire.decode(raw)
        except Malformed as bad:
            return str(bad)
        for section in (reply.answer, reply.authority, reply.additional):
            for rrset in section:
                for each in rrset.datas:
                    data_text(rrset.rtype, each)
        verdict = dns_reply.read_reply(reply, zone, wanted, 1)
        for rrset in verdict.rrsets:
            assert dns_records.is_below(rrset.name.lower(), zone)
        # A message that is read can be written, and reads the same.
        again = dns_wire.decode(dns_wire.encode(reply, 1 << 20))
        assert [s.datas for s in again.answer] == [s.datas for s in reply.answer]
        return verdict.kind, verdict.why, len(verdict.rrsets), len(verdict.servers), reply.rcode

    return target


def zone_target() -> Target:
    """Text to the reader of master files; what it takes it prints and takes again."""

    def target(raw: bytes) -> object:
        text = raw.decode("utf-8", "surrogateescape")
        try:
            words = [line.words for line in dns_zone.read_lines(text)]
            reader = dns_zone.Reader(Path("/nonexistent"))
            reader.ttl = 60
            taken = 0
            refused = ""
            for entry in words:
                if len(entry) < 3 or entry[0].startswith("$"):
                    continue
                try:
                    owner = name(entry[0], name("lab."))
                    rrset = reader._record(owner, entry[1:], name("lab."))
                except BadText as bad:
                    refused = kind_of(bad)
                    continue
                shown = dns_zone.dns_records.split(data_text(rrset.rtype, rrset.datas[0]))
                again = dns_zone.dns_records.data(rrset.rtype, shown)
                assert again == rrset.datas[0], (rrset, again)
                taken += 1
        except BadText as bad:
            return kind_of(bad)
        return min(taken, 3), refused

    return target


def kind_of(bad: BadText) -> str:
    """The refusal without what it quotes."""
    return re.sub(r"'.*'|\".*\"|\S*\d\S*", "", str(bad), flags=re.DOTALL)[:60]


def mutate(chance: random.Random, raw: bytes, donor: bytes) -> bytes:
    """RAW with a few changes; OTHER lends pieces."""
    out = bytearray(raw)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 6))):
        at = chance.randrange(len(out) + 1)
        kind = chance.randrange(8)
        if kind == 0 and out:
            out[at % len(out)] = chance.randrange(256)
        elif kind == 1 and out:
            out[at % len(out)] ^= 1 << chance.randrange(8)
        elif kind == 2 and out:
            out[at % len(out)] = chance.choice((0, 1, 12, 0x3F, 0x40, 0x80, 0xC0, 0xFF))
        elif kind == 3:
            del out[at : at + chance.randrange(1, 9)]
        elif kind == 4:
            out[at:at] = chance.randbytes(chance.randrange(1, 5))
        elif kind == 5 and donor:
            start = chance.randrange(len(donor))
            out[at : at + chance.randrange(20)] = donor[start : start + chance.randrange(40)]
        elif kind == 6:
            out[at:at] = out[at : at + chance.randrange(1, 60)]
        elif len(out) > 2:
            # A pointer to anywhere, which is what compression breaks on.
            at %= len(out) - 1
            out[at : at + 2] = (0xC000 | chance.randrange(len(out))).to_bytes(2, "big")
    return bytes(out[:LIMIT])


def memory_kb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def campaign(target: Target, seeds: list[bytes], inputs: int, seed: int) -> dict[str, float]:
    """Try INPUTS mutations; raises what TARGET raises, with the input kept as a file."""
    chance = random.Random(seed)
    corpus = list(seeds)
    outcomes: set[object] = set()
    slowest = 0.0
    before = 0
    began = time.process_time()
    for number in range(inputs):
        if number == inputs // 4:
            before = memory_kb()  # what is cached by then is all that may be
        raw = chance.choice(corpus) if number >= len(seeds) else seeds[number]
        if number >= len(seeds):
            raw = mutate(chance, raw, chance.choice(corpus))
        start = time.process_time()
        try:
            outcome = target(raw)
        except BaseException:
            print(f"input {number} of seed {seed}: {raw!r}")
            raise
        took = time.process_time() - start
        if took > slowest:
            slowest = took
            assert took < LONGEST_S, f"{took} s of CPU for {raw!r}"
        if outcome not in outcomes:
            outcomes.add(outcome)
            if len(corpus) < CORPUS:
                corpus.append(raw)
    return {
        "inputs": inputs,
        "outcomes": len(outcomes),
        "slowest_ms": slowest * 1000,
        "grown_kb": memory_kb() - before,
        "us_each": (time.process_time() - began) / inputs * 1e6,
    }


def message_seeds() -> list[bytes]:
    seeds = [dns_wire.encode(rich_message())]
    for wanted in (
        "www.itheima.com.",
        "itheima.com.",
        ".",
        "x.y.itheima.com.",
        "blog.itheima.com.",
    ):
        for kind in ("A", "ANY", "SOA", "AXFR"):
            seeds.append(dns_wire.encode(dns_wire.question(wanted, kind)))
    query = dns_wire.question("www.full.lab.", "A", edns=False)
    for count in (0, 3, 7):
        reply = rich_message()
        reply.answer = reply.answer[:count]
        reply.qname, reply.qtype = query.qname, 1
        seeds.append(dns_wire.encode(reply))
    # Ids are random: the same ones every time.
    return [bytes((0, n)) + seed[2:] for n, seed in enumerate(seeds)]


CASES = {
    "server": (server_target, message_seeds, ".wire", 2),
    "reply": (reply_target, message_seeds, ".wire", 2),
    "zone": (
        zone_target,
        lambda: [FULL.encode(), *(line.encode() for line in FULL.splitlines() if line.strip())],
        ".zone",
        1,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_was_found_once(case: str) -> None:
    make, seeds, suffix, _ = CASES[case]
    target = make()
    for raw in [*seeds(), *(path.read_bytes() for path in sorted(KEPT.glob("*" + suffix)))]:
        target(raw)


@pytest.mark.parametrize("case", CASES)
def test_a_few_mutations(case: str) -> None:
    make, seeds, _, _ = CASES[case]
    figures = campaign(make(), seeds(), 3000, 1)
    assert figures["outcomes"] > 5


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("case", CASES)
def test_many_mutations(case: str) -> None:
    make, seeds, suffix, share = CASES[case]
    kept = [path.read_bytes() for path in sorted(KEPT.glob("*" + suffix))]
    figures = campaign(make(), [*seeds(), *kept], INPUTS * share // 5, 2)
    print(f"\n{case}: " + ", ".join(f"{key} {value:,.1f}" for key, value in figures.items()))
    assert figures["grown_kb"] < 30_000
