# SPDX-License-Identifier: Apache-2.0
"""Master files and messages: dnspython and BIND's tools, which share no code with ours, judge."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import dns.message
import dns.rdatatype
import dns.zone
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "apps"))

from protocols import dns_records, dns_wire, dns_zone
from protocols.dns_records import name, name_text, record

from tests.conftest import need
from tests.unit.test_apps_all import ZONES

# All that RFC 1035 section 5 allows, and all types that we know.
FULL = (
    r"""
$ORIGIN Full.lab.   ; a comment
$TTL 1h30m
@ 1D IN SOA ns1 host\.master.full.lab. ( 2024010101 ; serial
      3h (ignored
""".replace("(ignored", "")
    + r"""      15m 1w
      5m )
      NS ns1
   IN 5400 NS ns2.other.lab.
ns1 A 10.0.0.1
    AAAA fd00::1
MiXed 60 IN A 10.0.0.2
mixed IN 60 A 10.0.0.3
text TXT "two words" one "semi;colon" "quote \" and \\ and \065"
 ( )
empty TXT ""
umlaut TXT "中文"
mail MX 10 mx1
mail MX 20 mx2.other.lab.
_http._tcp SRV 0 5 80 www
www CNAME ns1
odd\.dot A 10.0.0.4
odd\032blank A 10.0.0.5
*.wild A 10.0.0.6
caa CAA 0 issue "ca.lab; account=1"
caa CAA 128 iodef "mailto:a@b.lab"
host HINFO "PC" "Linux 6"
naptr NAPTR 100 10 "u" "E2U+sip" "!^.*$!sip:a@b!" .
ds DS 1 8 2 (
  0123456789ABCDEF 0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF )
fp SSHFP 1 1 0123456789ABCDEF0123456789ABCDEF01234567
_443._tcp TLSA 3 1 1 0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF
new TYPE65280 \# 4 ( 0a00 0001 )
known TYPE1 \# 4 0a000007
numbered TYPE1 10.0.0.8
$ORIGIN sub
deep A 10.0.0.9
@ TXT here
$INCLUDE more.inc inc.full.lab.
after A 10.0.0.12
"""
)
MORE = "@ A 10.0.0.10\nx A 10.0.0.11\n$ORIGIN else.full.lab.\n$TTL 7\ny A 10.0.0.13\n"


@pytest.fixture
def full(tmp_path: Path) -> Path:
    (tmp_path / "full.zone").write_text(FULL, encoding="utf-8")
    (tmp_path / "more.inc").write_text(MORE, encoding="utf-8")
    return tmp_path / "full.zone"


def test_the_library_reads_the_same_from_the_same_file(
    full: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(full.parent)  # where it looks for included files
    zone = dns_zone.load_zone(full)
    theirs = dns.zone.from_file(
        str(full), origin="full.lab.", relativize=False, check_origin=False, allow_include=True
    )
    expected = {
        (owner.to_wire().lower(), int(rdata.rdtype), ttl, rdata.to_wire(origin=theirs.origin))
        for owner, ttl, rdata in theirs.iterate_rdatas()
    }
    read_by_it = {
        (rrset.name.lower(), rrset.rtype, rrset.ttl, raw)
        for rrset in zone.all()
        for raw in rrset.datas
    }
    # The library may write names in data in small letters.
    assert {(a, b, c, d.lower()) for a, b, c, d in read_by_it} == {
        (a, b, c, d.lower()) for a, b, c, d in expected
    }


def test_what_we_print_is_what_we_read(full: Path, tmp_path: Path) -> None:
    zone = dns_zone.load_zone(full)
    again = tmp_path / "again.zone"
    again.write_text(zone.text(), encoding="utf-8")
    assert dns_zone.load_zone(again).records == zone.records


def test_bind_takes_what_we_print(full: Path, tmp_path: Path) -> None:
    printed = tmp_path / "printed.zone"
    printed.write_text(dns_zone.load_zone(full).text(), encoding="utf-8")
    command = [need("named-checkzone"), "-i", "none", "-k", "ignore", "-n", "ignore"]
    result = subprocess.run(
        [*command, "full.lab", str(printed)], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout


def test_included_files_are_watched_too(full: Path) -> None:
    assert [path.name for path in dns_zone.load_zone(full).files] == ["full.zone", "more.inc"]


def test_link_out_of_the_folder_is_not_included(full: Path, tmp_path: Path) -> None:
    secret = tmp_path.parent / f"{tmp_path.name}-secret"
    secret.write_text("x A 10.0.0.1\n")
    (full.parent / "more.inc").unlink()
    (full.parent / "more.inc").symlink_to(secret)
    with pytest.raises(dns_zone.Fault, match="outside the folder"):
        dns_zone.load_zone(full)


@pytest.mark.parametrize("path", sorted(ZONES.glob("*.zone")), ids=lambda path: path.name)
def test_bundled_zones_read_the_same(path: Path) -> None:
    theirs = dns.zone.from_file(str(path), relativize=False, check_origin=False)
    expected = {(o.to_wire(), t, r.to_wire()) for o, t, r in theirs.iterate_rdatas()}
    zone = dns_zone.load_zone(path)
    assert {(s.name, s.ttl, raw) for s in zone.all() for raw in s.datas} == expected


@settings(deadline=None)
@given(
    labels=st.lists(st.binary(min_size=1, max_size=63), max_size=3),
    origin=st.sampled_from([".", "a."]),
)
def test_names_come_back(labels: list[bytes], origin: str) -> None:
    wire = b"".join(bytes((len(label),)) + label for label in labels) + b"\0"
    assert name(name_text(wire), name(origin)) == wire


def test_record_from_text() -> None:
    rrset = record("a.lab.", "MX", "10 mail.lab.", '20 "mail2.lab."', ttl=5)
    assert str(rrset) == "a.lab. 5 IN MX 10 mail.lab., a.lab. 5 IN MX 20 mail2.lab."
    for bad in (("a.lab.", "MX", "10"), ("a.lab.", "XX", "1"), ("a..", "A", "1.1.1.1")):
        with pytest.raises(dns_records.BadText):
            record(*bad)


# ---- messages --------------------------------------------------------------------------------


def rich_message() -> dns_wire.Message:
    """One of everything."""
    message = dns_wire.question("www.Full.lab.", "ANY", flags=dns_wire.RD).reply(
        record("www.full.lab.", "CNAME", "ns1.full.lab."),
        record("full.lab.", "MX", "10 a.full.lab.", "20 b.other.lab."),
        record("full.lab.", "TXT", '"a b" c', '""'),
        record("full.lab.", "SRV", "1 2 3 a.full.lab."),
        record("full.lab.", "CAA", '0 issue "ca.lab"'),
        record("full.lab.", "TYPE65280", "\\# 3 010203"),
        record("full.lab.", "NAPTR", '1 2 "u" "s" "r" a.full.lab.'),
    )
    message.authority.append(record("full.lab.", "SOA", "ns1.full.lab. me.full.lab. 1 2 3 4 5"))
    message.authority.append(record("full.lab.", "NS", "ns1.full.lab.", "ns2.full.lab."))
    message.additional.append(record("ns1.full.lab.", "A", "10.0.0.1", "10.0.0.2"))
    message.additional.append(record("ns1.full.lab.", "AAAA", "fd00::1"))
    message.edns = dns_wire.Edns(1400, 0, True)
    return message


def lines(section: list[dns_records.RRset]) -> list[list[str]]:
    return [sorted(str(rrset).lower().split(", ")) for rrset in section]


def test_the_library_reads_our_messages_and_writes_the_same() -> None:
    ours = rich_message()
    wire = dns_wire.encode(ours)
    theirs = dns.message.from_wire(wire)
    assert theirs.payload == 1400 and theirs.flags & 0x8500 == 0x8500
    assert len(theirs.answer) == 7 and len(theirs.authority) == 2 and len(theirs.additional) == 2
    back = dns_wire.decode(theirs.to_wire())
    for section in ("answer", "authority", "additional"):
        # A name that points back comes out in the capitals of where it points.
        # Of several MX the library writes any first.
        assert lines(getattr(back, section)) == lines(getattr(ours, section))
    assert back.edns == ours.edns and dns_wire.decode(wire).qname == ours.qname
    # As small as the library makes it: compression finds all that it finds.
    assert len(wire) <= len(theirs.to_wire())


def test_pointers_that_do_not_go_backwards_are_refused() -> None:
    head = bytes((0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0))
    for body in (b"\xc0\x0c", b"\xc0\x10", b"\1a\xc0\x0c", b"\1a\xc0\x0e", b"\x40", b"\xc0\xff"):
        with pytest.raises(dns_wire.Malformed):
            dns_wire.decode(head + body + b"\0\1\0\1")


def test_any_change_of_any_byte_is_read_or_refused() -> None:
    """And what is read can be written again, and read to the same."""
    wire = dns_wire.encode(rich_message())
    chance = random.Random(1)
    for position in range(len(wire)):
        for value in (0, 0xC0, 0xFF, chance.randrange(256)):
            damaged = wire[:position] + bytes((value,)) + wire[position + 1 :]
            try:
                message = dns_wire.decode(damaged)
            except dns_wire.Malformed:
                continue
            again = dns_wire.decode(dns_wire.encode(message))
            assert list(map(str, again.answer)) == list(map(str, message.answer))


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(wire: bytes) -> None:
    try:
        dns_wire.encode(dns_wire.decode(wire))
    except dns_wire.Malformed:
        pass
