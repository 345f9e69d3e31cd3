# SPDX-License-Identifier: Apache-2.0
"""The authoritative server, judged by dig; and its parts, by themselves."""

from __future__ import annotations

import os
import re
import resource
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import dns.message
import dns.rcode
import dns.tsigkeyring
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "apps"))

import dns_server
from protocols import dns_service, dns_wire, dns_zone, service
from protocols.dns_records import record
from protocols.dns_wire import Message

from tests.conftest import need
from tests.unit.test_apps_all import ZONES, Running, eventually, run_app, running

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
TOP = "$ORIGIN x.\n$TTL 1\n@ IN SOA a b 1 1 1 1 1\n@ IN NS a\n"
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
    with running("dns_server.py", tmp_path_factory.mktemp("log") / "log", *options) as dns_server:
        yield dns_server


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


def test_cname_is_not_chased_into_another_zone_even_if_we_serve_it(server: Running) -> None:
    assert dig(server, "over.big.lab").data() == ["www.itheima.com."]


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
    records = dig(server, "any.thing.wild.big.lab").records()
    assert records == [("any.thing.wild.big.lab.", "A", "10.0.0.3")]
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


def test_any_gets_one_set_over_udp_and_all_over_tcp(server: Running) -> None:
    kinds = [record[1] for record in dig(server, "+notcp", "itheima.com", "ANY").records()]
    assert len(kinds) == 1  # RFC 8482 section 4.1
    kinds = [record[1] for record in dig(server, "+tcp", "itheima.com", "ANY").records()]
    assert sorted(kinds) == ["A", "NS", "SOA"]


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
    with running("dns_server.py", tmp_path / "log", *options, address="0.0.0.0") as dns_server:
        dns_server.address = "127.9.8.7"
        assert dig(dns_server, "ns.big.lab").data() == ["10.0.0.1"]


def test_ready_answers_have_their_lines_in_the_log(big_zone: Path, tmp_path: Path) -> None:
    with running("dns_server.py", tmp_path / "log", "--zone", str(big_zone)) as dns_server:
        for _ in range(3):  # the second answer and the third are ready
            assert dig(dns_server, "ns.big.lab").data() == ["10.0.0.1"]
        dig(dns_server, "ns.big.lab", "+tcp")
        line = re.compile(r"[\d:.]{12} ns\.big\.lab\. A -> ns\.big\.lab\. \d+ IN A 10\.0\.0\.1")
        eventually(lambda: sum(line.fullmatch(text) is not None for text in dns_server.lines) == 4)


def test_capital_letters_come_back_as_they_were(server: Running) -> None:
    """Some resolvers hide random bits in them (draft-vixie-dnsext-dns0x20)."""
    answer = dig(server, "wWw.iTHEima.CoM", "+norec")
    assert answer.records() == [("wWw.iTHEima.CoM.", "A", "10.80.0.80")]
    assert ";wWw.iTHEima.CoM." in answer.text


def test_service_and_other_types(tmp_path: Path) -> None:
    zone = tmp_path / "x.zone"
    zone.write_text(
        TOP + 'a A 10.0.0.1\n_http._tcp SRV 0 5 80 a\n@ CAA 0 issue "ca.lab"\n'
        't TXT one "two words"\nnew TYPE65280 \\# 2 0a0b\np PTR a\nc CNAME far.y.\n*.w CNAME a\n'
    )
    with running("dns_server.py", tmp_path / "log", "--zone", str(zone)) as dns_server:
        answer = dig(dns_server, "_http._tcp.x", "SRV")
        assert answer.data() == ["0 5 80 a.x."] and answer.data("ADDITIONAL") == ["10.0.0.1"]
        assert dig(dns_server, "x", "CAA").data() == ['0 issue "ca.lab"']
        assert dig(dns_server, "t.x", "TXT").data() == ['"one" "two words"']
        assert dig(dns_server, "new.x", "TYPE65280").data() == ["\\# 2 0A0B"]
        assert dig(dns_server, "p.x", "PTR").data() == ["a.x."]
        assert dig(dns_server, "q.w.x").records() == [
            ("q.w.x.", "CNAME", "a.x."),
            ("a.x.", "A", "10.0.0.1"),
        ]


def transfer(server: Running, *args: str) -> str:
    command = [need("dig"), f"@{server.address}", "-p", str(server.port), "+onesoa", *args]
    result = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    return result.stdout


def test_zone_is_given_to_those_who_may_have_it(tmp_path: Path) -> None:
    zone = tmp_path / "x.zone"
    lines = [f'n{n}.x. 1 IN TXT "{"x" * 200}"' for n in range(1000)]
    zone.write_text(TOP + "\n".join(lines) + "\n")
    options = ["--zone", str(zone), "--allow-transfer", "127.0.0.0/8"]
    with running("dns_server.py", tmp_path / "log", *options) as dns_server:
        output = transfer(dns_server, "x", "AXFR")
        kept = [" ".join(line.split()) for line in output.splitlines() if line[:1] not in ("", ";")]
        assert sorted(kept[2:]) == sorted(lines) and "SOA" in kept[0]
        assert int(re.findall(r"messages (\d+)", output)[0]) > 10
        assert "Transfer failed" in transfer(dns_server, "y", "AXFR")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(5)
            reply = ask(dns_server, dns.message.make_query("x.", "AXFR").to_wire(), sock)
        assert dns.message.from_wire(reply).rcode() == dns.rcode.REFUSED, "by UDP"
    options[-1] = "10.0.0.0/8"
    with running("dns_server.py", tmp_path / "log2", *options) as dns_server:
        assert "Transfer failed" in transfer(dns_server, "x", "AXFR")


def test_a_record_as_large_as_a_message_is_transferred(tmp_path: Path) -> None:
    """After small ones that nearly fill a message. One that fits in no message ends the transfer
    alone: the server goes on."""
    zone = tmp_path / "x.zone"

    def write(size: int) -> None:
        small = [f'a{n} TXT "{"x" * 200}"' for n in range(70)]
        zone.write_text(TOP + "\n".join(small) + f"\nlarge TYPE65280 \\# {size} {'ab' * size}\n")

    options = ["--zone", str(zone), "--allow-transfer", "127.0.0.0/8"]
    for size, complete in ((60_000, True), (65_530, False)):
        write(size)
        with running("dns_server.py", tmp_path / f"log{size}", *options) as dns_server:
            output = transfer(dns_server, "x", "AXFR")
            assert ("TYPE65280" in output) == complete and ("messages" in output) == complete
            assert dig(dns_server, "a1.x", "TXT").records(), "it still answers"
            assert (
                any("error in transfer(): TooLong" in line for line in dns_server.lines) != complete
            )


@pytest.mark.parametrize("threaded", [False, True])
def test_a_fault_in_any_method_does_not_end_the_server(tmp_path: Path, threaded: bool) -> None:
    app = tmp_path / "faulty.py"
    app.write_text(
        f"""\
import argparse, sys
sys.path.insert(0, {str(Path(dns_server.__file__).parent)!r})
from protocols import dns_service, service
from protocols.dns_records import record
class Faulty(dns_service.Source):
    def resolve(self, query):
        return query.reply(record(query.name, "A", "10.0.0.1"))
    def at_once(self, query):
        if query.name == "bad.":
            raise ValueError("at once")
        return self.resolve(query)
    def transfer(self, query, peer):
        if query.name == "bad.":
            raise ValueError("at the start")
        return self.half(query)
    def half(self, query):
        yield query.reply(record(query.name, "A", "10.0.0.1"))
        raise BlockingIOError("in the middle")
parser = argparse.ArgumentParser()
service.add_options(parser, port=53)
args = parser.parse_args()
udp, tcp = service.listen_udp_and_tcp(args.listen, args.port)
def serve(log):
    dns_service.serve(udp, tcp, Faulty(), log, threaded={threaded})
service.run("faulty", serve, udp, args)
"""
    )
    with running(str(app), tmp_path / "log") as faulty:
        if threaded:  # else it is not asked what it has at once
            assert (
                dig(faulty, "bad", "A").status
                == dig(faulty, "+tcp", "bad", "A").status
                == "SERVFAIL"
            )
        assert "Transfer failed" in transfer(faulty, "bad", "AXFR")
        assert "end of file" in transfer(faulty, "half", "AXFR")
        assert (
            dig(faulty, "good", "A").data()
            == dig(faulty, "+tcp", "good", "A").data()
            == ["10.0.0.1"]
        )
        log = "\n".join(faulty.lines)
        assert "error in transfer(): ValueError: at the start" in log
        assert "error in transfer(): BlockingIOError: in the middle" in log


def ask(server: Running, wire: bytes, sock: socket.socket) -> bytes:
    sock.sendto(wire, (server.address, server.port))
    return sock.recv(65535)


def test_zone_is_read_again_when_its_file_changes_and_no_query_is_lost(tmp_path: Path) -> None:
    part = tmp_path / "part.inc"
    zone = tmp_path / "x.zone"
    zone.write_text(TOP + "$INCLUDE part.inc\n")

    def write(text: str) -> None:
        new = tmp_path / "new"
        new.write_text(text)
        new.rename(part)

    write("a A 10.0.0.1\n")
    log = tmp_path / "log"
    query = dns.message.make_query("a.x.", "A").to_wire()
    with (
        running("dns_server.py", log, "--zone", str(zone)) as dns_server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock,
    ):
        sock.settimeout(10)
        for text, expected in (
            ("a A 10.0.0.2\n", "10.0.0.2"),
            ("a A 10.0.0.333\n", "10.0.0.2"),  # a mistake changes nothing
            ("a A 10.0.0.4\n", "10.0.0.4"),
        ):
            reloads = len([line for line in dns_server.lines if " zones" in line])
            write(text)
            deadline = time.monotonic() + 30
            while len([line for line in dns_server.lines if " zones" in line]) == reloads:
                # Each question has its answer, an old one or a new one, all the time.
                assert dns.message.from_wire(ask(dns_server, query, sock)).answer
                assert time.monotonic() < deadline, "the change is not noticed within 30 s"
            address = dns.message.from_wire(ask(dns_server, query, sock)).answer[0][0].address
            assert address == expected
        assert any(
            "still serving the old zones" in line and "10.0.0.333" in line
            for line in dns_server.lines
        )


def test_answers_kept_ready_are_dropped_with_the_old_zones(tmp_path: Path) -> None:
    path = tmp_path / "x.zone"
    path.write_text(TOP + "a A 10.0.0.1\n")
    files = dns_server.Files([str(path)])
    source = dns_server.Authority(files.load())
    assert source.ready_answers is not None
    source.ready_answers[b"q"] = b"r"
    path.write_text(TOP + "a A 10.0.0.22\n")
    assert files.changed() and not files.changed()
    source.replace(files.load())
    assert source.ready_answers == {}


class Datagrams:
    """A socket to which queries come, without a pause between them: (what happens first, query)."""

    def __init__(self, *queries: tuple[Callable[[], object], bytes]) -> None:
        self.queries = list(queries)
        self.answers: list[bytes] = []

    def recvfrom(self, size: int) -> tuple[bytes, tuple[str, int]]:
        if not self.queries:
            raise BlockingIOError
        before, query = self.queries.pop(0)
        before()
        return query, ("127.0.0.1", 5353)

    def sendto(self, answer: bytes, peer: object) -> None:
        self.answers.append(answer)


def test_query_behind_another_is_answered_from_zones_read_between_them(tmp_path: Path) -> None:
    path = tmp_path / "x.zone"
    path.write_text(TOP + "a A 10.0.0.1\n")
    files = dns_server.Files([str(path)])
    source = dns_server.Authority(files.load())

    def change() -> None:
        path.write_text(TOP + "a A 10.0.0.22\n")
        source.replace(files.load())

    query = dns.message.make_query("a.x.", "A").to_wire()
    udp = Datagrams((lambda: None, query), (lambda: None, query), (change, query))
    server = dns_service.Server.__new__(dns_service.Server)  # without sockets of its own
    server.udp, server.source, server.pool, server.log = udp, source, None, print
    server.anywhere, server.max_udp = False, 1232
    server.datagrams()
    addresses = [dns.message.from_wire(wire).answer[0][0].address for wire in udp.answers]
    assert addresses == ["10.0.0.1", "10.0.0.1", "10.0.0.22"]


def test_background_server_keeps_answers_ready_and_each_has_its_own_id(tmp_path: Path) -> None:
    """Without a log, the second answer to a question is made from the first."""
    result = run_app(
        "dns_server.py", "--zone", str(ZONES / "itheima.com.zone"), "--listen", "127.0.0.1",
        "--port", "0", "--background",
    )  # fmt: skip
    port, pid = map(int, re.findall(r"port (\d+) \(pid (\d+)\)", result.stdout)[0])
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(5)
            sock.connect(("127.0.0.1", port))
            for name, edns in (("www.itheima.com.", -1), ("WWW.itheima.com.", 0)) * 3:
                query = dns.message.make_query(name, "A", use_edns=edns)
                sock.send(query.to_wire())
                wire = sock.recv(4096)
                reply = dns.message.from_wire(wire)
                assert query.is_response(reply) and reply.edns == edns
                assert name.encode().split(b".")[0] in wire  # the capitals of this very query
    finally:
        os.kill(pid, signal.SIGTERM)


def test_a_thousand_slow_connections_do_not_stop_it(server: Running) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 2000:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(2000, hard), hard))
    with ExitStack() as stack:
        for _ in range(1000):
            sock = stack.enter_context(socket.create_connection((server.address, server.port)))
            sock.sendall(b"\0\x40half")
        assert dig(server, "+tcp", "www.itheima.com").data() == ["10.80.0.80"]
        assert dig(server, "+notcp", "www.itheima.com").data() == ["10.80.0.80"]


def test_client_that_asks_and_does_not_read_costs_little(server: Running) -> None:
    """It is read from no more when enough waits for it; the others are served meanwhile."""
    query = dns.message.make_query("large.big.lab.", "TXT").to_wire()
    frame = dns_service.TcpFrames.frame(query)
    with socket.create_connection((server.address, server.port)) as sock:
        sock.setblocking(False)
        sent = 0
        try:
            while sent < 64 * 1024 * 1024:
                sent += sock.send(frame * 1000)
        except BlockingIOError:
            pass
        assert sent < 64 * 1024 * 1024
        assert dig(server, "+tcp", "www.itheima.com").data() == ["10.80.0.80"]
        status = Path(f"/proc/{server.process.pid}/status").read_text(encoding="ascii")
        assert int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) < 100_000  # kB
        # What it does want to read, it gets: all of it, in order.
        frames = dns_service.TcpFrames()
        sock.settimeout(10)
        answers = 0
        while answers < 2000:
            answers += len(frames.feed(sock.recv(1 << 20)))


def test_half_closed_connection_still_gets_its_answers(server: Running) -> None:
    queries = [dns.message.make_query(f"{n}.itheima.com.", "A") for n in ("www", "down", "ns1")]
    with socket.create_connection((server.address, server.port), timeout=5) as sock:
        sock.sendall(b"".join(dns_service.TcpFrames.frame(q.to_wire()) for q in queries))
        sock.shutdown(socket.SHUT_WR)
        data = b"".join(iter(lambda: sock.recv(65536), b""))
    replies = [dns.message.from_wire(wire) for wire in dns_service.TcpFrames().feed(data)]
    assert all(q.is_response(r) for q, r in zip(queries, replies, strict=True))


def test_log_has_a_line_for_each_query(server: Running) -> None:
    dig(server, "nobody-logs-this.itheima.com")
    line = "nobody-logs-this.itheima.com. A -> NXDOMAIN"
    eventually(lambda: any(line in text for text in server.lines))


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
    ("text", "sentence"),
    [
        ("@ 60 IN A 10.0.0.1\n", "no $ORIGIN"),
        ("$ORIGIN x.\n$TTL 1\n@ IN NS ns\n", "begins with its SOA"),
        ("$ORIGIN x.\n$TTL 1\n@ IN SOA a b 1 1 1 1 1\n", "no NS"),
        (TOP + "@ IN A 10.0.0.999\n", "line 5: '10.0.0.999' is no IPv4 address"),
        ("$ORIGIN x.\n$TTL 1\n@ IN BOGUS 1\n", "line 3: 'BOGUS' is no type"),
        ("\x00\x01", "no $ORIGIN"),
        ("$ORIGIN x.\n\x00\x01", "line 2: no type"),
        (TOP + "a IN A 10.0.0.1 x\n", "line 5: 'x' is too much for A: IPV4"),
        (TOP + "a IN MX 10\n", "line 5: MX needs more: NUMBER NAME"),
        (TOP + "a IN MX 65536 b\n", "line 5: '65536' is no number from 0 to 65535"),
        (TOP + "a..b IN A 10.0.0.1\n", "line 5: 'a..b' has an empty label"),
        (TOP + f"{'a' * 64} IN A 10.0.0.1\n", "more than 63 bytes"),
        (TOP + f"{'abcde.' * 43} IN A 10.0.0.1\n", "longer than 255 bytes"),
        (TOP + f'a IN TXT "{"x" * 256}"\n', "255 is the most"),
        (TOP + "a IN TXT (\nb\n", "line 5: a bracket ( that nobody closes"),
        (TOP + "a IN TXT )\n", "line 5: a bracket ) too many"),
        (TOP + 'a IN TXT "b\n', "line 5: a quotation mark too few"),
        (TOP + "a IN TXT \\300\n", "three digits up to 255"),
        (TOP + "a IN CNAME b\na IN A 10.0.0.1\n", "line 6: nothing may stand beside a CNAME"),
        (TOP + "a IN A 10.0.0.1\na IN CNAME b\n", "line 6: nothing may stand beside a CNAME"),
        (TOP + "a IN CNAME b\na IN CNAME c\n", "line 6: a second CNAME"),
        (TOP + "a.y. IN A 10.0.0.1\n", "line 5: a.y. is not in the zone x."),
        (TOP + "@ IN SOA a b 1 1 1 1 1\n", "line 5: a second SOA"),
        (TOP + "a CH TXT b\n", "line 5: class CH"),
        (TOP + "a IN OPT b\n", "for questions, not for zones"),
        (TOP + "a IN TYPE65280 b\n", "RFC 3597"),
        (TOP + "a IN TYPE65280 \\# 2 00\n", "promises 2 bytes and gives 1"),
        (TOP + "a IN A \\# 2 0000\n", "these bytes are no A"),
        (TOP + "$GENERATE 1-2 a A 10.0.0.$\n", "line 5: $GENERATE is not known"),
        (TOP + "$INCLUDE gone\n", "line 5: $INCLUDE gone: there is no such file"),
        (TOP + "$INCLUDE /etc/passwd\n", "line 5: $INCLUDE /etc/passwd: it lies outside"),
        (TOP + "$INCLUDE ../x.zone\n", "line 5: $INCLUDE ../x.zone: it lies outside"),
        ("$ORIGIN x.\n$INCLUDE bad.zone\n", "more than 16 files within files"),
        (TOP + "$TTL\n", "line 5: $TTL needs something"),
        (TOP + "$TTL soon\n", "line 5: 'soon' is no time"),
        ("  IN A 10.0.0.1\n", "the first record has no owner"),
        ("x. IN A 10.0.0.1\n", "no TTL"),
        ("", "no record"),
        ("$ORIGIN x.\n", "no record"),
    ],
)
def test_bad_zone_is_a_sentence_with_file_and_line(
    text: str, sentence: str, tmp_path: Path
) -> None:
    path = tmp_path / "bad.zone"
    path.write_text(text, encoding="ascii")
    with pytest.raises(service.ServiceError) as caught:
        dns_server.Files([str(path)]).load()
    assert sentence in str(caught.value) and str(path) in str(caught.value)


def test_bad_zone_is_exit_code_2_and_a_next_step(tmp_path: Path) -> None:
    path = tmp_path / "bad.zone"
    path.write_text(TOP + "a IN A here\n", encoding="ascii")
    result = run_app("dns_server.py", "--zone", str(path), "--listen", "127.0.0.1", "--port", "0")
    assert result.returncode == 2 and "Traceback" not in result.stderr
    assert "line 5: 'here' is no IPv4 address" in result.stderr and "Next:" in result.stderr


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
def authority(big_zone: Path) -> dns_server.Authority:
    return dns_server.Authority([dns_zone.load_zone(big_zone)])


def test_resolve_can_be_overridden() -> None:
    class Clock(dns_server.Authority):
        def resolve(self, query: Message) -> Message:
            if query.name != "clock.lab.":
                return super().resolve(query)
            return query.reply(record("clock.lab.", "TXT", '"noon"', ttl=0))

    for name, rcode in (("Clock.lab.", dns.rcode.NOERROR), ("x.lab.", dns.rcode.REFUSED)):
        wire = dns_service.answer(
            dns.message.make_query(name, "TXT").to_wire(), Clock([]).resolve, 512
        )
        assert wire is not None and dns.message.from_wire(wire).rcode() == rcode
    assert Clock([]).ready_answers is None, "what it says may change, so no answer is kept"


def test_fault_in_resolve_is_servfail_and_logged() -> None:
    def resolve(query: Message) -> Message:
        raise ZeroDivisionError("a student's slip")

    lines: list[str] = []
    wire = dns_service.answer(
        dns.message.make_query("a.", "A").to_wire(), resolve, 512, lines.append
    )
    assert wire is not None and dns.message.from_wire(wire).rcode() == dns.rcode.SERVFAIL
    assert lines == ["error in resolve(): ZeroDivisionError: a student's slip"]


def test_a_signed_query_is_told_that_we_know_no_keys(authority: dns_server.Authority) -> None:
    query = dns.message.make_query("big.lab.", "A")
    query.use_tsig(dns.tsigkeyring.from_text({"key.": "c2VjcmV0"}))
    wire = dns_service.answer(query.to_wire(), authority.resolve, 512)
    assert wire is not None and wire[3] & 0xF == dns.rcode.NOTAUTH  # RFC 8945 section 5.2.1


def test_responses_are_never_answered(authority: dns_server.Authority) -> None:
    wire = dns.message.make_response(dns.message.make_query("big.lab.", "A")).to_wire()
    assert dns_service.answer(wire, authority.resolve, 512) is None


def test_additional_records_go_before_tc_is_set(authority: dns_server.Authority) -> None:
    query = dns_wire.question("big.lab.", "MX", edns=False)
    response = authority.resolve(query)
    response.additional += [record(f"x{n}.big.lab.", "A", "10.0.0.9") for n in range(40)]
    reply = dns.message.from_wire(dns_service.pack(query, response, 512))
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


def test_a_chain_of_pointers_has_an_end() -> None:
    """Otherwise 64 KB of names that point at pointers keep a server busy for seconds."""
    chain = b"\0" + b"".join((0xC000 | at).to_bytes(2, "big") for at in [0, *range(1, 255, 2)])
    assert dns_wire.read_name(chain, 1 + 2 * 126) == (b"\0", 1 + 2 * 127)
    with pytest.raises(dns_wire.Malformed, match="too many pointers"):
        dns_wire.read_name(chain, 1 + 2 * 127)


def test_thousands_of_records_of_one_name_are_read_in_one_go() -> None:
    count = 60_000
    wire = struct.pack("!HHHHHH", 1, 0x8000, 0, count, 0, 0)
    numbers = [*range(count - 1), 0]  # the last one is there already
    wire += b"".join(b"\0" + struct.pack("!HHIHH", 65280, 1, 60, 2, n) for n in numbers)
    start_s = time.process_time()
    message = dns_wire.decode(wire)
    assert time.process_time() - start_s < 2
    assert [len(rrset.datas) for rrset in message.answer] == [count - 1]


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
    parsed: list[bytes] = []
    for size in sizes:
        parsed += frames.feed(stream[:size])
        stream = stream[size:]
    assert parsed + frames.feed(stream) == messages
