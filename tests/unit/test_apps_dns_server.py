# SPDX-License-Identifier: Apache-2.0
"""The authoritative server, judged by dig; and its parts, by themselves."""

from __future__ import annotations

import re
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dns.message
import dns.name
import dns.rcode
import dns.rrset
import dns.zone
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "apps"))

import dns_server
import dns_service

from tests.unit.test_apps_all import ZONES, Running, need, run_app, running

BIG_ZONE = """\
$ORIGIN big.lab.
$TTL 60
@ IN SOA ns hostmaster 1 2 3 4 5
@ IN NS ns
ns IN A 10.0.0.1
@ IN MX 10 mail
mail IN A 10.0.0.2
mail IN AAAA fd00::2
*.wild IN A 10.0.0.3
real.wild IN TXT "here"
a.b.deep IN A 10.0.0.4
loop1 IN CNAME loop2
loop2 IN CNAME loop1
gone IN CNAME nobody
out IN CNAME www.elsewhere.lab.
over IN CNAME www.itheima.com.
child IN NS ns.child
ns.child IN A 10.0.0.5
into IN CNAME host.child
"""
BIG_ZONE += "".join(f'medium IN TXT "{n:03}{"x" * 97}"\n' for n in range(8))
BIG_ZONE += "".join(f'large IN TXT "{n:03}{"x" * 197}"\n' for n in range(20))


@pytest.fixture(scope="module")
def big_zone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("zones") / "big.lab.zone"
    path.write_text(BIG_ZONE, encoding="ascii")
    return path


@pytest.fixture(scope="module")
def server(big_zone: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    zones = [big_zone, ZONES / "com.zone", ZONES / "itheima.com.zone"]
    zones.append(ZONES / "10.in-addr.arpa.zone")
    options = [word for zone in zones for word in ("--zone", str(zone))]
    with running("dns_server.py", tmp_path_factory.mktemp("log") / "log", *options) as it:
        yield it


class Answer:
    """What dig printed: status, flags, and the records of each section."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.status = "".join(re.findall(r"status: (\w+)", text)[-1:])
        flags = re.findall(r"flags: ([a-z ]*);", text)
        self.flags = set(flags[-1].split()) if flags else set()
        self.sections: dict[str, list[list[str]]] = {}
        section = ""
        for line in text.splitlines():
            if match := re.match(r";; (\w+) SECTION:", line):
                section = match[1]
            elif line and not line.startswith(";") and section:
                self.sections.setdefault(section, []).append(line.split())

    def records(self, section: str = "ANSWER") -> list[tuple[str, str, str]]:
        """Name, type and data of the section's records."""
        return [(r[0], r[3], " ".join(r[4:])) for r in self.sections.get(section, [])]

    def data(self, section: str = "ANSWER") -> list[str]:
        return [record[2] for record in self.records(section)]


def dig(server: Running, *args: str) -> Answer:
    """Ask with dig. Unlike the library that we use, it is somebody else's idea of DNS."""
    command = [need("dig"), f"@{server.address}", "-p", str(server.port), "+tries=1", "+time=5"]
    result = subprocess.run(
        [*command, *args], capture_output=True, text=True, timeout=30, check=False
    )
    assert result.returncode == 0, result.stdout
    # It warns of wrong ids, sources, lengths and malformed messages on lines such as these.
    assert "WARNING: recursion" in result.stdout or "WARNING" not in result.stdout
    assert "unexpected source" not in result.stdout and "Got bad" not in result.stdout
    return Answer(result.stdout)


@pytest.mark.parametrize("transport", ["+notcp", "+tcp"])
def test_address(server: Running, transport: str) -> None:
    answer = dig(server, transport, "+norec", "www.itheima.com", "A")
    assert answer.status == "NOERROR" and answer.flags == {"qr", "aa"}
    assert answer.records() == [("www.itheima.com.", "A", "10.80.0.80")]


def test_recursion_is_not_offered_but_rd_is_copied(server: Running) -> None:
    answer = dig(server, "+rec", "itheima.com")
    assert answer.flags == {"qr", "aa", "rd"} and answer.data() == ["10.80.0.80"]


def test_cname_is_chased_within_the_zone(server: Running) -> None:
    assert dig(server, "blog.itheima.com").records() == [
        ("blog.itheima.com.", "CNAME", "www.itheima.com."),
        ("www.itheima.com.", "A", "10.80.0.80"),
    ]
    assert dig(server, "blog.itheima.com", "CNAME").data() == ["www.itheima.com."]


def test_cname_is_chased_into_another_zone_that_we_serve(server: Running) -> None:
    assert dig(server, "over.big.lab").data() == ["www.itheima.com.", "10.80.0.80"]


def test_cname_out_of_our_zones_is_left_to_the_resolver(server: Running) -> None:
    answer = dig(server, "out.big.lab")
    assert answer.status == "NOERROR" and answer.data() == ["www.elsewhere.lab."]


def test_cname_to_a_name_that_does_not_exist(server: Running) -> None:
    answer = dig(server, "gone.big.lab")  # RFC 6604: the rcode is that of the last name
    assert answer.status == "NXDOMAIN" and answer.data() == ["nobody.big.lab."]
    assert [r[1] for r in answer.records("AUTHORITY")] == ["SOA"]


def test_cname_loop_ends(server: Running) -> None:
    assert len(dig(server, "loop1.big.lab").records()) == 2


def test_nodata_has_soa_with_the_negative_ttl(server: Running) -> None:
    answer = dig(server, "www.itheima.com", "AAAA")
    assert answer.status == "NOERROR" and "aa" in answer.flags and answer.records() == []
    [record] = answer.sections["AUTHORITY"]
    assert record[:4] == ["itheima.com.", "60", "IN", "SOA"]


def test_nxdomain(server: Running) -> None:
    answer = dig(server, "nobody.itheima.com")
    assert answer.status == "NXDOMAIN" and "aa" in answer.flags
    assert [r[1] for r in answer.records("AUTHORITY")] == ["SOA"]


def test_name_with_nothing_but_names_below_it_exists(server: Running) -> None:
    answer = dig(server, "b.deep.big.lab")
    assert answer.status == "NOERROR" and answer.records() == []


def test_wildcard(server: Running) -> None:
    found = dig(server, "any.thing.wild.big.lab").records()
    assert found == [("any.thing.wild.big.lab.", "A", "10.0.0.3")]
    assert dig(server, "real.wild.big.lab").records() == []  # it exists: NODATA


def test_referral_with_glue(server: Running) -> None:
    answer = dig(server, "+norec", "some.where.child.big.lab")
    assert answer.status == "NOERROR" and answer.flags == {"qr"} and answer.records() == []
    assert answer.records("AUTHORITY") == [("child.big.lab.", "NS", "ns.child.big.lab.")]
    assert answer.records("ADDITIONAL") == [("ns.child.big.lab.", "A", "10.0.0.5")]


def test_glue_itself_is_behind_the_referral(server: Running) -> None:
    assert dig(server, "ns.child.big.lab").records() == []


def test_chain_into_a_child_zone(server: Running) -> None:
    answer = dig(server, "+norec", "into.big.lab")
    assert answer.data() == ["host.child.big.lab."] and "aa" in answer.flags
    assert [r[1] for r in answer.records("AUTHORITY")] == ["NS"]


def test_ds_is_answered_above_the_cut(server: Running) -> None:
    for name, soa in (("child.big.lab", "big.lab."), ("itheima.com", "com.")):
        answer = dig(server, "+norec", name, "DS")
        assert "aa" in answer.flags
        assert [record[0] for record in answer.records("AUTHORITY")] == [soa]


def test_reverse(server: Running) -> None:
    assert dig(server, "-x", "10.80.0.80").data() == ["www.itheima.com."]


def test_additional_addresses(server: Running) -> None:
    answer = dig(server, "big.lab", "MX")
    assert answer.data("ADDITIONAL") == ["10.0.0.2", "fd00::2"]


def test_any(server: Running) -> None:
    kinds = {record[1] for record in dig(server, "itheima.com", "ANY").records()}
    assert kinds == {"SOA", "NS", "A"}


def test_soa_and_case(server: Running) -> None:
    answer = dig(server, "iTheiMa.cOm", "SOA")
    assert answer.data()[0].lower().startswith("ns1.itheima.com. hostmaster.itheima.com.")


@pytest.mark.parametrize(
    ("args", "status"),
    [
        (["www.elsewhere.lab"], "REFUSED"),
        (["lab"], "REFUSED"),
        (["-c", "CH", "version.bind", "TXT"], "REFUSED"),
        (["+opcode=STATUS", "itheima.com"], "NOTIMP"),
        (["+opcode=NOTIFY", "itheima.com"], "NOTIMP"),
        (["+edns=1", "+noednsneg", "itheima.com"], "BADVERS"),
        (["itheima.com", "TYPE254"], "NOTIMP"),
        (["itheima.com", "TYPE41"], "FORMERR"),
    ],
)
def test_refusals(server: Running, args: list[str], status: str) -> None:
    assert dig(server, *args).status == status


def test_zone_transfer_is_refused(server: Running) -> None:
    command = [need("dig"), f"@{server.address}", "-p", str(server.port), "itheima.com", "AXFR"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert "Transfer failed" in result.stdout


def test_edns_only_for_those_who_use_it(server: Running) -> None:
    assert "udp: 1232" in dig(server, "www.itheima.com").text
    assert "flags: do;" in dig(server, "+dnssec", "www.itheima.com").text
    assert "EDNS" not in dig(server, "+noedns", "www.itheima.com").text


@pytest.mark.parametrize(
    ("args", "truncated"),
    [
        (["+noedns", "medium.big.lab"], True),
        (["+bufsize=600", "medium.big.lab"], True),
        (["+bufsize=1232", "medium.big.lab"], False),
        (["+bufsize=1", "www.itheima.com"], False),  # below 512 means 512
        (["+bufsize=65000", "large.big.lab"], True),  # the server's own limit
        (["+tcp", "large.big.lab"], False),
    ],
)
def test_truncation(server: Running, args: list[str], truncated: bool) -> None:
    answer = dig(server, "+ignore", *args, "A" if "www" in args[1] else "TXT")
    assert ("tc" in answer.flags) == truncated
    assert bool(answer.records()) != truncated


def test_dig_comes_back_by_tcp(server: Running) -> None:
    answer = dig(server, "large.big.lab", "TXT")
    assert "retrying in TCP mode" in answer.text and len(answer.records()) == 20


def test_two_queries_on_one_tcp_connection(server: Running) -> None:
    answer = dig(server, "+tcp", "+keepopen", "www.itheima.com", "+keepopen", "down.itheima.com")
    assert answer.data() == ["10.80.0.80", "10.80.0.99"]
    # And both in one segment, answered in order.
    queries = [dns.message.make_query(f"{name}.itheima.com.", "A") for name in ("www", "down")]
    with socket.create_connection((server.address, server.port), timeout=5) as sock:
        sock.sendall(b"".join(dns_service.TcpFrames.frame(q.to_wire()) for q in queries))
        frames = dns_service.TcpFrames()
        replies: list[bytes] = []
        while len(replies) < 2:
            replies += frames.feed(sock.recv(65536))
    for query, wire in zip(queries, replies, strict=True):
        assert query.is_response(dns.message.from_wire(wire))


def test_reply_comes_from_the_address_that_was_asked(big_zone: Path, tmp_path: Path) -> None:
    options = ["--zone", str(big_zone)]
    with running("dns_server.py", tmp_path / "log", *options, address="0.0.0.0") as it:
        it.address = "127.9.8.7"
        assert dig(it, "ns.big.lab").data() == ["10.0.0.1"]


def test_log_has_a_line_for_each_query(server: Running) -> None:
    dig(server, "nobody-logs-this.itheima.com")
    assert any("nobody-logs-this.itheima.com. A -> NXDOMAIN" in line for line in server.lines)


def test_malformed_datagrams_do_not_kill_it(server: Running) -> None:
    good = dns.message.make_query("www.itheima.com.", "A").to_wire()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect((server.address, server.port))
        sock.settimeout(5)
        for wire in (b"", b"\0", good[:11], good[:-1], good + b"x", b"\xff" * 600, good[:12]):
            sock.send(wire)
        # An answer that loops to itself: compression pointer at its own position.
        sock.send(good[:12] + b"\xc0\x0c" + good[-4:])
        sock.send(good)
        replies: list[bytes] = []
        while not replies or dns.message.from_wire(replies[-1]).rcode() != dns.rcode.NOERROR:
            replies.append(sock.recv(65535))
    formerr = dns.message.from_wire(replies[0])
    assert formerr.rcode() == dns.rcode.FORMERR and formerr.id == struct.unpack("!H", good[:2])[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("@ 60 IN A 10.0.0.1\n", "no $ORIGIN"),
        ("$ORIGIN x.\n$TTL 1\n@ IN NS ns\n", "no SOA"),
        ("$ORIGIN x.\n$TTL 1\n@ IN SOA a b 1 1 1 1 1\n", "no NS"),
        ("$ORIGIN x.\n$TTL 1\n@ IN SOA a b 1 1 1 1 1\n@ IN A 10.0.0.999\n", "just above line"),
        ("$ORIGIN x.\n$TTL 1\n@ IN BOGUS 1\n", "just above line 3"),
        ("\x00\x01", "no $ORIGIN"),
        ("$ORIGIN x.\n\x00\x01", "not a master file"),
        ("", "no record"),
        ("$ORIGIN x.\n", "no record"),
    ],
)
def test_bad_zone_is_a_sentence_with_file_and_line(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.zone"
    path.write_text(text, encoding="ascii")
    result = run_app("dns_server.py", "--zone", str(path), "--listen", "127.0.0.1", "--port", "0")
    assert result.returncode == 2 and said in result.stderr and "Traceback" not in result.stderr
    assert "Next:" in result.stderr


def test_one_zone_twice_is_an_error(big_zone: Path) -> None:
    result = run_app("dns_server.py", "--zone", str(big_zone), "--zone", str(big_zone))
    assert result.returncode == 2 and "both the zone big.lab." in result.stderr


@pytest.mark.parametrize("path", sorted(ZONES.glob("*.zone")), ids=lambda path: path.name)
def test_bundled_zones_are_what_bind_takes(path: Path) -> None:
    origin = "." if path.name == "root.zone" else path.name.removesuffix(".zone")
    command = [need("named-checkzone"), "-i", "none", origin, str(path)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


@pytest.fixture(scope="module")
def authority() -> dns_server.Authority:
    zone = dns.zone.from_text(BIG_ZONE, relativize=False)
    return dns_server.Authority([dns_server.Zone(zone)])


def test_resolve_can_be_overridden() -> None:
    class Clock(dns_server.Authority):
        def resolve(self, query: dns.message.Message) -> dns.message.Message:
            name = query.question[0].name
            if name.to_text() != "clock.lab.":
                return super().resolve(query)
            response = dns.message.make_response(query)
            response.answer.append(dns.rrset.from_text(name, 0, "IN", "TXT", '"noon"'))
            return response

    for name, rcode in (("clock.lab.", dns.rcode.NOERROR), ("x.lab.", dns.rcode.REFUSED)):
        wire = dns_service.answer(
            dns.message.make_query(name, "TXT").to_wire(), Clock([]).resolve, 512
        )
        assert wire is not None and dns.message.from_wire(wire).rcode() == rcode


def test_fault_in_resolve_is_servfail_and_logged() -> None:
    def resolve(query: dns.message.Message) -> dns.message.Message:
        raise ZeroDivisionError("a student's slip")

    lines: list[str] = []
    wire = dns_service.answer(
        dns.message.make_query("a.", "A").to_wire(), resolve, 512, lines.append
    )
    assert wire is not None and dns.message.from_wire(wire).rcode() == dns.rcode.SERVFAIL
    assert lines == ["error in resolve(): ZeroDivisionError: a student's slip"]


def test_responses_are_never_answered(authority: dns_server.Authority) -> None:
    wire = dns.message.make_response(dns.message.make_query("big.lab.", "A")).to_wire()
    assert dns_service.answer(wire, authority.resolve, 512) is None


def test_additional_records_go_before_tc_is_set(authority: dns_server.Authority) -> None:
    query = dns.message.make_query("big.lab.", "MX")
    response = authority.resolve(query)
    for n in range(40):
        response.additional.append(dns.rrset.from_text(f"x{n}.big.lab.", 1, "IN", "A", "10.0.0.9"))
    reply = dns.message.from_wire(dns_service.encode(query, response, 512))
    assert reply.answer and not reply.additional and not reply.flags & dns.flags.TC


@settings(deadline=None)  # the machine may be busy
@given(wire=st.binary(max_size=600))
def test_any_bytes_get_an_answer_or_silence(authority: dns_server.Authority, wire: bytes) -> None:
    for limit in (512, None):
        check_answer(wire, dns_service.answer(wire, authority.resolve, limit))


@settings(deadline=None)  # the machine may be busy
@given(
    name=st.sampled_from(["large.big.lab.", "into.big.lab.", "big.lab.", "x.wild.big.lab.", "."]),
    rdtype=st.sampled_from(["TXT", "A", "ANY", "NS", "CNAME", "SOA"]),
    edits=st.lists(st.tuples(st.integers(0, 80), st.integers(0, 255)), max_size=4),
    cut=st.integers(0, 80),
)
def test_damaged_queries_get_an_answer_or_silence(
    authority: dns_server.Authority,
    name: str,
    rdtype: str,
    edits: list[tuple[int, int]],
    cut: int,
) -> None:
    wire = bytearray(dns.message.make_query(name, rdtype, use_edns=0, payload=700).to_wire())
    for position, value in edits:
        wire[position % len(wire)] = value
    damaged = bytes(wire[: len(wire) - cut // 8])
    check_answer(damaged, dns_service.answer(damaged, authority.resolve, 1232))


def check_answer(query: bytes, response: bytes | None) -> None:
    if response is None:
        assert len(query) < 12 or query[2] & 0x80
        return
    assert response[:2] == query[:2] and response[2] & 0x80
    if response[2] >> 3 & 0xF == 0:  # of the other opcodes the library need not know all
        dns.message.from_wire(response)


@settings(deadline=None)  # the machine may be busy
@given(messages=st.lists(st.binary(max_size=300), max_size=6), sizes=st.lists(st.integers(1, 50)))
def test_tcp_frames_do_not_depend_on_how_bytes_arrive(
    messages: list[bytes], sizes: list[int]
) -> None:
    frames = dns_service.TcpFrames()
    stream = b"".join(frames.frame(message) for message in messages)
    got: list[bytes] = []
    for size in sizes:
        got += frames.feed(stream[:size])
        stream = stream[size:]
    assert got + frames.feed(stream) == messages
