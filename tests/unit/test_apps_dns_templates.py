# SPDX-License-Identifier: Apache-2.0
"""Answers from templates are, octet for octet, those that are worked out."""

from __future__ import annotations

import sys
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "apps"))

import dns_server
from protocols import dns_records, dns_service, dns_wire, dns_zone

ZONE = """$ORIGIN x.lab.
$TTL 300
@ IN SOA ns a.b 1 3600 600 86400 60
@ IN NS ns
ns IN A 10.0.0.1
long-name IN A 10.0.0.7
www IN CNAME long-name
*.many IN A 10.0.0.2
*.many IN TXT "for everybody"
*.alias IN CNAME b.a
*.mail IN MX 10 ns
*.loop IN CNAME a.loop
sub IN NS ns.sub
ns.sub IN A 10.0.0.3
deep.er.down IN AAAA fd00::1
"""
LAB = """$ORIGIN lab.
$TTL 60
@ IN SOA a.root b.root 1 1 1 1 1
@ IN NS a.root
a.root IN A 10.9.9.9
"""
ENDS = [
    "x.lab.", "many.x.lab.", "alias.x.lab.", "mail.x.lab.", "loop.x.lab.", "sub.x.lab.", "lab.",
    "b.x.lab.", "a.x.lab.", "c.x.lab.", "down.x.lab.", "er.down.x.lab.", "com.",
    "www.x.lab.", "ns.x.lab.", "a.root.lab.", ".",
]  # fmt: skip


@pytest.fixture(scope="module")
def zones(tmp_path_factory: pytest.TempPathFactory) -> list[dns_zone.Zone]:
    folder = tmp_path_factory.mktemp("zones")
    for name, text in (("x", ZONE), ("lab", LAB)):
        (folder / name).write_text(text, encoding="ascii")
    return [dns_zone.load_zone(folder / name) for name in ("x", "lab")]


def asked(name: str, rtype: int, flags: int, edns: dns_wire.Edns | None, number: int = 7) -> bytes:
    query = dns_wire.Message(number, 0, flags, 0, dns_records.name(name), rtype, 1, edns=edns)
    return dns_wire.encode(query)


LABELS = ("a", "b", "A")
STARTS = ["", *LABELS, *(f"{first}.{second}" for first in LABELS for second in LABELS)]
TYPES = (1, 16, 15, 43, 255, 252)
WITH = (
    (0, None),
    (dns_wire.RD, dns_wire.Edns(512)),
    (dns_wire.CD, dns_wire.Edns(1232, 0, True)),
    (0, dns_wire.Edns(0, 1)),
)


def test_a_template_gives_the_octets_of_the_answer_worked_out(zones: list[dns_zone.Zone]) -> None:
    source = dns_server.Authority(zones)
    templates = source.templates
    assert templates is not None
    names = [f"{start}.{end}".strip(".") + "." for start in STARTS for end in ENDS]
    composed_answers = 0
    for number, (name, rtype, (flags, edns)) in enumerate(product(names, TYPES, WITH)):
        wire = asked(name, rtype, flags, edns, number & 0xFFFF)
        worked_out = dns_service.answer(wire, source.resolve, 1232)
        assert worked_out is not None
        composed = templates.answer(wire, noted=False)
        if composed is not None:
            composed_answers += 1
            assert wire[:2] + composed[0] == worked_out, (name, rtype)
        templates.learn(wire, worked_out, "")
    assert composed_answers > len(names)


def test_one_answer_serves_all_names_of_a_length_that_do_not_exist(
    zones: list[dns_zone.Zone],
) -> None:
    source = dns_server.Authority(zones)
    assert source.templates is not None
    first, second = (asked(f"{word}.x.lab.", 1, 0, None) for word in ("aaa", "bbb"))
    assert source.templates.answer(first, noted=False) is None
    answer = dns_service.answer(first, source.resolve, 1232)
    assert answer is not None and source.templates.learn(first, answer, "aaa.x.lab. A -> NXDOMAIN")
    composed = source.templates.answer(second, noted=True)
    assert composed is not None and composed[1] == "bbb.x.lab. A -> NXDOMAIN"
    decoded = dns_wire.decode(second[:2] + composed[0])
    assert decoded.name == "bbb.x.lab." and decoded.rcode == dns_wire.NXDOMAIN
    for other_kind in (
        asked("bb.x.lab.", 1, 0, None),  # another length
        asked("bbb.x.lab.", 28, 0, None),  # another type
        asked("bbb.x.lab.", 1, dns_wire.RD, None),
        asked("bbb.x.lab.", 1, 0, dns_wire.Edns()),
        asked("a.many.x.lab.", 1, 0, None),
        asked("ns.x.lab.", 1, 0, None),  # a name that exists
    ):
        assert source.templates.answer(other_kind, noted=False) is None


def test_a_line_of_the_log_that_names_the_name_twice_is_no_template(
    zones: list[dns_zone.Zone],
) -> None:
    source = dns_server.Authority(zones)
    assert source.templates is not None
    wire = asked("aaa.many.x.lab.", 1, 0, None)
    answer = dns_service.answer(wire, source.resolve, 1232)
    assert answer is not None
    assert not source.templates.learn(
        wire, answer, "aaa.many.x.lab. A -> aaa.many.x.lab. 300 A 10.0.0.2"
    )
    assert source.templates.learn(wire, answer, "")
    assert source.templates.answer(asked("bbb.many.x.lab.", 1, 0, None), noted=True) is None


def test_zones_that_are_replaced_take_their_templates_with_them(
    zones: list[dns_zone.Zone],
) -> None:
    source = dns_server.Authority(zones)
    before = source.templates
    source.replace(zones[1:])
    assert source.templates is not before and source.templates is not None

    class OfAStudent(dns_server.Authority):
        pass

    assert OfAStudent(zones).templates is None, "what it says may depend on anything"


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=80))
def test_no_octets_trouble_it(zones: list[dns_zone.Zone], wire: bytes) -> None:
    source = dns_server.Authority(zones)
    assert source.templates is not None
    for octets in (wire, b"\0\1\0\0\0\1\0\0\0\0\0\0" + wire):
        if len(octets) >= 12:
            assert source.templates.answer(octets, noted=False) is None
            answer = dns_service.answer(octets, source.resolve, 1232)
            if answer is not None:
                source.templates.learn(octets, answer, "")
