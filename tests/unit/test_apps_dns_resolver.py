# SPDX-License-Identifier: Apache-2.0
"""The resolver: a whole tree of servers on loopback, asked with dig; its parts by themselves."""

from __future__ import annotations

import os
import random
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "apps"))

import dns_resolver
from protocols import (
    dns_cache,
    dns_exchange,
    dns_records,
    dns_reply,
    dns_reputation,
    dns_service,
    dns_wire,
)
from protocols.dns_records import A, name_text, record

from tests.unit.test_apps_all import ZONES, Running, eventually, running
from tests.unit.test_apps_dns_server import dig

wire_name = dns_records.name
LAME_ZONE = """
; Names with servers that fail, below itheima.com.
deadfirst IN NS dead.deadfirst
deadfirst IN NS alive.deadfirst
dead.deadfirst IN A {net}.9
alive.deadfirst IN A {net}.5
alldead IN NS dead.alldead
dead.alldead IN A {net}.9
lame IN NS ns.lame
ns.lame IN A {net}.3
noglue IN NS outside.deadfirst
selfish IN NS ns.selfish
"""
CHILD_ZONES = {
    "deadfirst": "dead IN A {net}.9\nalive IN A {net}.5\noutside IN A {net}.5\nx IN A 10.0.0.7\n",
    "noglue": "x IN A 10.0.0.8\n"
    + "".join(f'large IN TXT "{n:03}{"x" * 197}"\n' for n in range(20)),
}


class Tree:
    """The bundled zones, moved to 127.x.y.z, each with a server; and a resolver above them."""

    def __init__(self, net: str, resolver: Running, servers: dict[str, Running]) -> None:
        self.net = net
        self.resolver = resolver
        self.servers = servers

    def asked(self) -> int:
        """How many questions the resolver has sent so far."""
        return sum(" ask " in line for line in self.resolver.lines)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tree]:
    folder = tmp_path_factory.mktemp("tree")
    # All servers share one port on addresses of this test process alone.
    pid = os.getpid()
    net = f"127.{64 + pid % 128}.{pid // 128 % 254 + 1}"
    texts = {path.name: path.read_text(encoding="utf-8") for path in ZONES.glob("*.zone")}
    texts["itheima.com.zone"] += LAME_ZONE.format(net=net)
    for child, text in CHILD_ZONES.items():
        head = f"$ORIGIN {child}.itheima.com.\n$TTL 60\n@ IN SOA x x 1 1 1 1 1\n@ IN NS alive\n"
        texts[f"{child}.zone"] = head + text.format(net=net)
    for name, text in texts.items():
        (folder / name).write_text(text.replace("10.53.0.", f"{net}."), encoding="utf-8")
    places = {
        "root": ("2", ["root.zone"]),
        "com": ("3", ["com.zone"]),
        "ns1": ("4", ["itheima.com.zone", "10.in-addr.arpa.zone"]),
        "alive": ("5", ["deadfirst.zone", "noglue.zone"]),
    }
    with ExitStack() as stack:
        servers: dict[str, Running] = {}
        port = random.randrange(20000, 30000)
        for name, (last, zones) in places.items():
            options = [word for zone in zones for word in ("--zone", str(folder / zone))]
            start = running(
                "dns_server.py", folder / name, *options, address=f"{net}.{last}", port=port
            )
            servers[name] = stack.enter_context(start)
        # .9 takes questions and says nothing: a socket that nobody reads.
        silent = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        silent.bind((f"{net}.9", port))
        options = ["--root", f"a.root-servers.lab={net}.2", "--upstream-port", str(port)]
        options += ["--timeout", "0.3"]
        start = running("dns_resolver.py", folder / "resolver", *options, address=f"{net}.53")
        yield Tree(net, stack.enter_context(start), servers)


def test_walks_from_the_root_and_remembers(tree: Tree) -> None:
    before = len(tree.resolver.lines)
    answer = dig(tree.resolver, "blog.itheima.com")
    assert answer.status == "NOERROR" and answer.flags == {"qr", "rd", "ra"}
    assert answer.data() == ["www.itheima.com.", "10.80.0.80"]
    asked = tree.asked()
    assert dig(tree.resolver, "www.itheima.com").data() == ["10.80.0.80"]
    assert dig(tree.resolver, "blog.itheima.com").data()[-1] == "10.80.0.80"
    assert tree.asked() == asked, "the second answer comes from the cache"
    walk = [line for line in tree.resolver.lines[before:] if " ask " in line]
    assert all("blog.itheima.com. A?" in line for line in walk), "no side questions"


def test_log_tells_each_step(tree: Tree) -> None:
    dig(tree.resolver, "client.itheima.com")
    text = "\n".join(tree.resolver.lines)
    for step in (
        f"ask a.root-servers.lab. ({tree.net}.2), which serves .:",
        f"referral to com.: a.gtld.lab. {tree.net}.3",
        f"ask a.gtld.lab. ({tree.net}.3), which serves com.:",
        f"referral to itheima.com.: ns1.itheima.com. {tree.net}.4",
        f"{tree.net}.4: client.itheima.com. 3600 IN A 10.1.0.10",
        "told the client: client.itheima.com. 3600 IN A 10.1.0.10",
    ):
        assert step in text


@pytest.mark.parametrize("transport", ["+notcp", "+tcp"])
def test_both_transports(tree: Tree, transport: str) -> None:
    assert dig(tree.resolver, transport, "v6.itheima.com", "AAAA").data() == ["fd00:80::80"]


def test_denials_are_remembered_with_their_soa(tree: Tree) -> None:
    for name, rdtype, status in (
        ("nobody.itheima.com", "A", "NXDOMAIN"),
        ("down.itheima.com", "AAAA", "NOERROR"),
        ("nobody.lab", "A", "NXDOMAIN"),
    ):
        asked = 0
        for _ in range(2):
            answer = dig(tree.resolver, name, rdtype)
            assert answer.status == status and answer.records() == []
            assert [r[1] for r in answer.records("AUTHORITY")] == ["SOA"]
            asked, before = tree.asked(), asked
        assert asked == before
    # NXDOMAIN is about the name, whatever the type.
    asked = tree.asked()
    assert dig(tree.resolver, "nobody.itheima.com", "TXT").status == "NXDOMAIN"
    assert tree.asked() == asked


def test_reverse(tree: Tree) -> None:
    for address, name in (
        ("10.53.0.2", "a.root-servers.lab."),
        ("10.53.0.3", "a.gtld.lab."),
        ("10.53.0.4", "ns1.itheima.com."),
        ("10.53.0.53", "resolver.itheima.com."),
        ("10.80.0.80", "www.itheima.com."),
        ("10.80.0.81", "closed.itheima.com."),
        ("10.1.0.10", "client.itheima.com."),
    ):
        # The zone's own addresses were moved, its names were not.
        assert dig(tree.resolver, "-x", address).data() == [name]


def test_every_name_of_the_servers_resolves(tree: Tree) -> None:
    for name, last in (("a.root-servers.lab", 2), ("a.gtld.lab", 3), ("ns1.itheima.com", 4)):
        assert dig(tree.resolver, name).data() == [f"{tree.net}.{last}"]


def test_any(tree: Tree) -> None:
    kinds = [record[1] for record in dig(tree.resolver, "itheima.com", "ANY").records()]
    assert kinds == ["SOA"]  # one set will do, RFC 8482


def test_next_server_when_one_is_silent(tree: Tree) -> None:
    assert dig(tree.resolver, "x.deadfirst.itheima.com").data() == ["10.0.0.7"]


def test_server_without_glue_is_looked_up(tree: Tree) -> None:
    assert dig(tree.resolver, "x.noglue.itheima.com").data() == ["10.0.0.8"]
    assert any("need the address of outside.deadfirst" in line for line in tree.resolver.lines)


def test_truncated_answer_is_fetched_by_tcp(tree: Tree) -> None:
    answer = dig(tree.resolver, "+tcp", "large.noglue.itheima.com", "TXT")
    assert len(answer.records()) == 20


@pytest.mark.parametrize("name", ["alldead", "lame", "selfish"])
def test_servfail_when_nobody_is_of_use(tree: Tree, name: str) -> None:
    start = time.monotonic()
    answer = dig(tree.resolver, f"x.{name}.itheima.com")
    assert answer.status == "SERVFAIL" and time.monotonic() - start < 4.9


def test_without_recursion_the_cache_alone_is_asked(tree: Tree) -> None:
    dig(tree.resolver, "www.itheima.com")
    asked = tree.asked()
    answer = dig(tree.resolver, "+norec", "www.itheima.com")
    assert answer.data() == ["10.80.0.80"] and "ra" in answer.flags
    answer = dig(tree.resolver, "+norec", "never-asked.itheima.com")
    assert answer.records() == []
    assert answer.records("AUTHORITY") == [("itheima.com.", "NS", "ns1.itheima.com.")]
    assert tree.asked() == asked


def test_many_clients_at_once(tree: Tree) -> None:
    answers: list[bytes] = []

    def ask() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(10)
            sock.connect((tree.resolver.address, tree.resolver.port))
            sock.send(dns.message.make_query("closed.itheima.com.", "A").to_wire())
            answers.append(sock.recv(4096))

    threads = [threading.Thread(target=ask) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(15)
    assert len(answers) == 40
    assert {dns.message.from_wire(wire).answer[0][0].address for wire in answers} == {"10.80.0.81"}


def test_many_queries_on_one_tcp_connection(tree: Tree) -> None:
    """Answers come as they are ready (RFC 7766 section 7), all of them."""
    names = [f"n{n}.itheima.com." for n in range(30)] + ["www.itheima.com."] * 30
    queries = {}
    for number, each in enumerate(names):
        asked = dns.message.make_query(each, "A")
        asked.id = number
        queries[number] = asked
    frames = dns_service.TcpFrames()
    with socket.create_connection((tree.resolver.address, tree.resolver.port), timeout=10) as sock:
        sock.sendall(b"".join(frames.frame(each.to_wire()) for each in queries.values()))
        sock.shutdown(socket.SHUT_WR)
        while data := sock.recv(65536):
            for wire in frames.feed(data):
                reply = dns.message.from_wire(wire)
                assert queries.pop(reply.id).is_response(reply)
                expected = dns.rcode.NXDOMAIN if reply.id < 30 else dns.rcode.NOERROR
                assert reply.rcode() == expected
    assert not queries


# ---- by itself -------------------------------------------------------------------------------


def message(
    question: str = "www.x.lab. A",
    answer: str = "",
    authority: str = "",
    additional: str = "",
    flags: str = "QR AA",
    rcode: str = "NOERROR",
) -> dns.message.Message:
    """A reply, from the text of its sections (records separated by ;)."""
    name, rdtype = question.split()
    lines = ["id 1", "opcode QUERY", f"rcode {rcode}", f"flags {flags}", ";QUESTION"]
    lines.append(f"{name} IN {rdtype}")
    for title, text in (("ANSWER", answer), ("AUTHORITY", authority), ("ADDITIONAL", additional)):
        lines += [f";{title}", *(record.strip() for record in text.split(";") if text)]
    reply = dns.message.from_text("\n".join(lines) + "\n")
    # The text format ends without complaint at what it does not expect.
    records = sum(len(rrset) for section in reply.sections[1:] for rrset in section)
    assert records == sum(text.count(" IN ") for text in (answer, authority, additional))
    return reply


def ours(reply: dns.message.Message) -> dns_wire.Message:
    """The library's message as ours, over the wire."""
    return dns_wire.decode(reply.to_wire())


def verdict(reply: dns.message.Message, zone: str = "x.lab.") -> dns_reply.Verdict:
    taken = ours(reply)
    assert taken.qname is not None
    return dns_reply.read_reply(taken, wire_name(zone), taken.qname, taken.qtype)


def test_answer_is_taken_and_what_is_out_of_bailiwick_is_dropped() -> None:
    judged = verdict(
        message(answer="www.x.lab. 9 IN CNAME www.bank.lab.; www.bank.lab. 9 IN A 6.6.6.6")
    )
    assert judged.kind == "answer"
    assert [rrset.rtype for rrset in judged.rrsets] == [dns_records.CNAME]


def test_records_nobody_asked_for_are_dropped() -> None:
    judged = verdict(message(answer="www.x.lab. 9 IN A 1.1.1.1; mail.x.lab. 9 IN A 6.6.6.6"))
    assert [name_text(rrset.name) for rrset in judged.rrsets] == ["www.x.lab."]


def test_answer_at_second_hand_is_of_no_use() -> None:
    assert verdict(message(answer="www.x.lab. 9 IN A 1.1.1.1", flags="QR")).kind == "useless"


@pytest.mark.parametrize("owner", [".", "lab.", "x.lab.", "y.lab.", "other.x.lab."])
def test_referral_must_lead_down_towards_the_name(owner: str) -> None:
    assert verdict(message(authority=f"{owner} 9 IN NS ns.evil.", flags="QR")).kind == "useless"


def test_glue_outside_the_zone_is_dropped() -> None:
    judged = verdict(
        message(
            question="a.www.x.lab. A",
            authority="www.x.lab. 60 IN NS ns.www.x.lab.; www.x.lab. 60 IN NS ns.bank.lab.",
            additional="ns.www.x.lab. 30 IN A 1.1.1.1; ns.bank.lab. 9 IN A 6.6.6.6",
            flags="QR",
        )
    )
    servers = {name_text(server): addresses for server, addresses in judged.servers.items()}
    assert judged.kind == "referral" and judged.ttl == 30
    assert servers == {"ns.www.x.lab.": ["1.1.1.1"], "ns.bank.lab.": []}


def test_denial_with_a_foreign_soa_is_not_for_the_cache() -> None:
    judged = verdict(message(authority="lab. 9 IN SOA . . 1 1 1 1 1", rcode="NXDOMAIN"))
    assert (judged.kind, judged.rcode, judged.soa) == ("denial", dns_wire.NXDOMAIN, None)


def test_cname_loop_in_one_reply_ends() -> None:
    judged = verdict(
        message(answer="www.x.lab. 9 IN CNAME b.x.lab.; b.x.lab. 9 IN CNAME www.x.lab.")
    )
    assert len(judged.rrsets) == 2


class World:
    """Stands in for the network: replies by address, from text; counts the questions."""

    def __init__(self, replies: dict[str, Callable[[str], dns.message.Message]]) -> None:
        self.replies = replies
        self.asked: list[tuple[str, str]] = []
        self.lock = threading.Lock()

    def exchange(
        self, address: str, wanted: bytes, rtype: int, timeout_s: float
    ) -> dns_wire.Message:
        question = f"{name_text(wanted)} {dns_records.type_text(rtype)}"
        with self.lock:
            self.asked.append((address, question))
        if address not in self.replies:
            raise TimeoutError
        return ours(self.replies[address](question))


def recursor(world: World, cache: dns_cache.Cache | None = None) -> dns_resolver.Recursor:
    return dns_resolver.Recursor({wire_name("root."): ["10.0.0.1"]}, world.exchange, cache=cache)


def query(wanted: str, rtype: str = "A", flags: int = dns_wire.RD) -> dns_wire.Message:
    return dns_wire.question(wanted, rtype, flags=flags)


def ask(world: World, wanted: str, cache: dns_cache.Cache | None = None) -> dns_wire.Message:
    return recursor(world, cache).resolve(query(wanted))


def test_cname_loop_across_replies_is_servfail() -> None:
    def reply(question: str) -> dns.message.Message:
        name = question.split()[0]
        target = "b.lab." if name == "a.lab." else "a.lab."
        return message(question, answer=f"{name} 9 IN CNAME {target}")

    world = World({"10.0.0.1": reply})
    assert ask(world, "a.lab.").rcode == dns_wire.SERVFAIL
    assert len(world.asked) == 2


def test_endless_chain_of_cnames_is_servfail() -> None:
    def reply(question: str) -> dns.message.Message:
        name = question.split()[0]
        return message(question, answer=f"{name} 0 IN CNAME x{len(name)}.{name[-40:]}")

    world = World({"10.0.0.1": reply})
    assert ask(world, "a.lab.").rcode == dns_wire.SERVFAIL
    assert len(world.asked) <= dns_reply.MAX_CHAIN + 1


def test_referrals_that_multiply_are_bounded() -> None:
    count = iter(range(10**6))

    def reply(question: str) -> dns.message.Message:
        # Each referral names three more servers without addresses, each in a zone of its own.
        name = question.split()[0]
        top = name.rstrip(".").rpartition(".")[2]
        servers = "; ".join(f"{top}. 60 IN NS ns.t{next(count)}." for _ in range(3))
        return message(question, authority=servers, flags="QR")

    world = World({"10.0.0.1": reply})
    assert ask(world, "www.lab.").rcode == dns_wire.SERVFAIL
    assert len(world.asked) <= dns_resolver.MAX_QUESTIONS


def test_server_is_asked_twice_before_giving_up() -> None:
    world = World({})
    assert ask(world, "a.lab.").rcode == dns_wire.SERVFAIL
    assert len(world.asked) == dns_resolver.ROUNDS


def test_silent_server_comes_last_the_next_time() -> None:
    world = World({"10.0.0.1": lambda q: message(q, answer=f"{q.split()[0]} 9 IN A 1.2.3.4")})
    roots = {wire_name("dead."): ["10.0.0.9"], wire_name("root."): ["10.0.0.1"]}
    lines: list[str] = []
    resolver = dns_resolver.Recursor(roots, world.exchange, lines.append)
    for wanted in ("a.lab.", "b.lab."):
        assert resolver.resolve(query(wanted)).answer[0].datas == [bytes((1, 2, 3, 4))]
    assert [address for address, _ in world.asked] == ["10.0.0.9", "10.0.0.1", "10.0.0.1"]
    assert any("10.0.0.9: no reply in time" in line for line in lines)


def test_the_quicker_server_is_preferred_and_the_other_is_not_forgotten() -> None:
    reputation = dns_reputation.Reputation()
    pairs = [(b"a", "10.0.0.1"), (b"b", "10.0.0.2"), (b"c", "10.0.0.3")]

    def first() -> str:
        return reputation.order(b"", pairs)[0][1]

    reputation.answered("10.0.0.1", 0.040, [])
    assert first() == "10.0.0.2", "an unknown one is tried"
    reputation.answered("10.0.0.2", 0.010, [])
    reputation.silent("10.0.0.3", 1.0)
    assert [address[-1] for _, address in reputation.order(b"", pairs)] == ["2", "1", "3"]
    reputation.silent("10.0.0.2", 1.0)
    assert first() == "10.0.0.1", "one that fell silent"
    everybody = [address for _, address in pairs]
    chosen = []
    for _ in range(400):
        chosen.append(first())
        reputation.answered(chosen[-1], 0.040, everybody)
    assert set(chosen) == set(everybody) and chosen.count("10.0.0.1") > 100


def test_lame_server_comes_last_for_that_zone_alone() -> None:
    now = 0.0
    reputation = dns_reputation.Reputation(lambda: now)
    pairs = [(b"a", "10.0.0.1"), (b"b", "10.0.0.2")]
    reputation.lame(wire_name("x."), "10.0.0.1")
    assert reputation.order(wire_name("x."), pairs)[0][1] == "10.0.0.2"
    assert reputation.order(wire_name("y."), pairs)[0][1] == "10.0.0.1"
    now = dns_reputation.LAME_S + 1
    assert reputation.order(wire_name("x."), pairs)[0][1] == "10.0.0.1"


def test_the_same_question_of_many_at_once_is_asked_once() -> None:
    go = threading.Event()
    waiting: list[str] = []

    def reply(question: str) -> dns.message.Message:
        assert go.wait(10)
        return message(question, answer="a.lab. 60 IN A 1.2.3.4")

    world = World({"10.0.0.1": reply})
    resolver = recursor(world)
    resolver.log = lambda text: waiting.append(text) if "under way" in text else None
    replies: list[dns_wire.Message] = []
    threads = [
        threading.Thread(target=lambda: replies.append(resolver.resolve(query("A.lab."))))
        for _ in range(20)
    ]
    for thread in threads:
        thread.start()
    eventually(lambda: len(waiting) == 19)
    go.set()
    for thread in threads:
        thread.join(10)
    assert len(world.asked) == 1
    assert [each.answer[0].datas for each in replies] == [[bytes((1, 2, 3, 4))]] * 20


def test_those_who_wait_for_a_failure_fail_too() -> None:
    go = threading.Event()

    def reply(question: str) -> dns.message.Message:
        assert go.wait(10)
        raise OSError("no way there")

    resolver = recursor(World({"10.0.0.1": reply}))
    rcodes: list[int] = []
    threads = [
        threading.Thread(target=lambda: rcodes.append(resolver.resolve(query("a.lab.")).rcode))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    go.set()
    for thread in threads:
        thread.join(10)
    assert rcodes == [dns_wire.SERVFAIL] * 3


def test_an_old_answer_rather_than_none_where_that_is_allowed() -> None:
    now = 0.0
    world = World({"10.0.0.1": lambda question: message(question, answer="a.lab. 10 IN A 1.2.3.4")})
    cache = dns_cache.Cache(clock=lambda: now, stale_s=100)
    resolver = recursor(world, cache)
    assert resolver.resolve(query("a.lab.")).answer[0].ttl == 10
    working = world.replies.pop("10.0.0.1")
    now = 50.0
    stale = resolver.resolve(query("a.lab."))
    assert stale.rcode == dns_wire.NOERROR and stale.answer[0].ttl == dns_cache.STALE_TTL_S
    asked = len(world.asked)
    assert resolver.resolve(query("a.lab.")).answer and len(world.asked) == asked, "at once"
    assert resolver.resolve(query("b.lab.")).rcode == dns_wire.SERVFAIL
    now = 111.0
    assert resolver.resolve(query("a.lab.")).rcode == dns_wire.SERVFAIL, "too old"
    world.replies["10.0.0.1"] = working
    assert resolver.resolve(query("a.lab.")).answer[0].ttl == 10
    # And without the option never.
    resolver = recursor(world, dns_cache.Cache(clock=lambda: now))
    resolver.resolve(query("a.lab."))
    world.replies.clear()
    now += 50
    assert resolver.resolve(query("a.lab.")).rcode == dns_wire.SERVFAIL


def test_what_is_in_the_cache_takes_no_thread() -> None:
    world = World({"10.0.0.1": lambda q: message(q, answer=f"{q.split()[0]} 60 IN A 1.2.3.4")})
    resolver = recursor(world)
    assert resolver.at_once(query("a.lab.")) is None
    resolver.resolve(query("a.lab."))
    ready = resolver.at_once(query("A.lab."))
    assert ready is not None and ready.answer[0].datas == [bytes((1, 2, 3, 4))]
    assert resolver.at_once(query("b.lab.")) is None and len(world.asked) == 1


@pytest.mark.parametrize("wanted", ["b.lab.", "a.lab."], ids=["itself", "behind a CNAME"])
def test_that_a_name_has_no_cname_says_nothing_of_its_addresses(wanted: str) -> None:
    soa = "lab. 60 IN SOA a.lab. a.lab. 1 2 3 4 60"
    replies = {
        "a.lab. A": message("a.lab. A", answer="a.lab. 60 IN CNAME b.lab."),
        "b.lab. CNAME": message("b.lab. CNAME", authority=soa),
        "b.lab. A": message("b.lab. A", answer="b.lab. 60 IN A 1.2.3.4"),
    }
    resolver = recursor(World({"10.0.0.1": replies.__getitem__}))
    resolver.cache.put(record("a.lab.", "CNAME", "b.lab."))
    assert resolver.resolve(query("b.lab.", "CNAME")).answer == []
    assert resolver.at_once(query(wanted)) is None
    without = resolver.resolve(query("b.lab.", flags=0))
    assert [rrset.rtype for rrset in without.authority] == [dns_records.NS], "not denied"
    assert resolver.resolve(query(wanted)).answer[-1].datas == [bytes((1, 2, 3, 4))]
    assert resolver.at_once(query("b.lab.", "CNAME")) is not None, "this is denied"


def test_the_ds_of_a_zone_is_asked_of_the_zone_above() -> None:
    """RFC 4035, 3.1.4.1. The child's servers do not have it, and deny it."""
    ns = message("x.lab. A", "", "x.lab. 60 IN NS ns.x.lab.", "ns.x.lab. 60 IN A 10.0.0.2", "QR")
    ds = "x.lab. 60 IN DS 1 8 2 " + "ab" * 32
    above = {"x.lab. A": ns, "x.lab. DS": message("x.lab. DS", answer=ds)}
    here = {
        "x.lab. A": message("x.lab. A", answer="x.lab. 60 IN A 1.2.3.4"),
        "x.lab. DS": message("x.lab. DS", authority="x.lab. 60 IN SOA a. a. 1 2 3 4 60"),
    }
    world = World({"10.0.0.1": above.__getitem__, "10.0.0.2": here.__getitem__})
    resolver = recursor(world)
    assert resolver.resolve(query("x.lab.")).answer
    assert resolver.resolve(query("x.lab.", "DS")).answer
    assert world.asked[-1] == ("10.0.0.1", "x.lab. DS")


def test_student_s_resolver_in_ten_lines(tree: Tree, tmp_path: Path) -> None:
    """The example of docs/apps.md, as it stands there."""
    text = (Path(__file__).resolve().parents[2] / "docs" / "apps.md").read_text(encoding="utf-8")
    code = text.partition("```python title=my_resolver.py\n")[2].partition("```")[0]
    assert 5 <= len(code.strip().splitlines()) <= 10
    script = tmp_path / "my_resolver.py"
    script.write_text(code, encoding="utf-8")
    options = ["--root", f"a.root-servers.lab={tree.net}.2"]
    options += ["--upstream-port", str(tree.servers["root"].port)]
    with extended_path(), running(str(script), tmp_path / "log", *options) as mine:
        assert dig(mine, "six-times-seven.math").data() == ['"42"']
        assert dig(mine, "www.itheima.com").data() == ["10.80.0.80"]


@contextmanager
def extended_path() -> Iterator[None]:
    """Children find apps/ on their path, as students do who follow the docs."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = str(ZONES.parent)
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


def test_ttl_counts_down_and_runs_out() -> None:
    now = 1000.0
    cache = dns_cache.Cache(clock=lambda: now)
    replies = {"10.0.0.1": lambda question: message(question, answer="a.lab. 10 IN A 1.2.3.4")}
    world = World(replies)
    for after, ttl, asked in ((0, 10, 1), (4.2, 5, 1), (9.9, 10, 2), (15.0, 4, 2)):
        now = 1000.0 + after
        response = ask(world, "a.lab.", cache)
        assert (response.answer[0].ttl, len(world.asked)) == (ttl, asked), after


def test_denial_counts_down_by_the_smaller_number() -> None:
    now = 0.0
    cache = dns_cache.Cache(clock=lambda: now)
    soa = "lab. 500 IN SOA . . 1 1 1 1 20"
    world = World({"10.0.0.1": lambda question: message(question, authority=soa, rcode="NXDOMAIN")})
    for after, ttl, asked in ((0, 20, 1), (15, 5, 1), (21, 20, 2)):
        now = float(after)
        response = ask(world, "a.lab.", cache)
        assert response.rcode == dns_wire.NXDOMAIN
        assert (response.authority[0].ttl, len(world.asked)) == (ttl, asked)


def test_ttl_zero_is_not_kept() -> None:
    world = World({"10.0.0.1": lambda question: message(question, answer="a.lab. 0 IN A 1.2.3.4")})
    cache = dns_cache.Cache()
    for asked in (1, 2):
        assert ask(world, "a.lab.", cache).answer[0].ttl == 0
        assert len(world.asked) == asked


def test_cache_does_not_grow_without_end() -> None:
    cache = dns_cache.Cache(limit=10)
    for n in range(50):
        cache.put(record(f"n{n}.lab.", "A", "1.2.3.4"))
    kept = [n for n in range(50) if cache.get(wire_name(f"n{n}.lab."), A)]
    assert kept == list(range(40, 50))


def test_root_options() -> None:
    servers = dns_resolver.collect_roots(
        [dns_resolver.parse_root("b.lab=10.0.0.2")], str(ZONES / "root.hints")
    )
    assert {name_text(server): addresses for server, addresses in servers.items()} == {
        "a.root-servers.lab.": ["10.53.0.2"],
        "b.lab.": ["10.0.0.2"],
    }


@contextmanager
def udp_server(reply: Callable[[bytes], list[bytes]]) -> Iterator[int]:
    """A UDP server on loopback that sends what REPLY returns for each datagram; gives its port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(10)

        def loop() -> None:
            while True:
                try:
                    wire, peer = sock.recvfrom(4096)
                except OSError:
                    return
                if wire == b"end":
                    return
                for answer in reply(wire):
                    sock.sendto(answer, peer)

        thread = threading.Thread(target=loop)
        thread.start()
        try:
            yield sock.getsockname()[1]
        finally:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stop:
                stop.sendto(b"end", sock.getsockname())
            thread.join()


def test_replies_that_do_not_fit_are_passed_over() -> None:
    def reply(wire: bytes) -> list[bytes]:
        query = dns.message.from_wire(wire)

        def answer(address: str, name: str = "a.lab.") -> dns.message.Message:
            response = dns.message.make_response(query)
            response.answer.append(dns.rrset.from_text(name, 60, "IN", "A", address))
            return response

        wrong_id = answer("6.6.6.1")
        wrong_id.id ^= 1
        wrong_question = answer("6.6.6.2", "b.lab.")
        wrong_question.question = dns.message.make_query("b.lab.", "A").question
        no_response = answer("6.6.6.3")
        no_response.flags &= ~dns.flags.QR
        forged = [wrong_id, wrong_question, no_response, answer("1.2.3.4")]
        return [b"", b"junk", *(forgery.to_wire() for forgery in forged)]

    with udp_server(reply) as port:
        accepted = dns_exchange.exchange("127.0.0.1", wire_name("a.lab."), A, 5.0, port)
    assert accepted.answer[0].datas == [bytes((1, 2, 3, 4))]


def test_ids_and_source_ports_differ() -> None:
    ids, ports = set(), set()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(5)
        for _ in range(8):
            with pytest.raises(TimeoutError):
                address, port = sock.getsockname()
                dns_exchange.exchange(address, wire_name("a.lab."), A, 0.02, port)
            wire, peer = sock.recvfrom(4096)
            ids.add(wire[:2])
            ports.add(peer[1])
            assert not dns.message.from_wire(wire).flags & dns.flags.RD
    assert len(ids) > 5 and len(ports) > 5


def test_server_without_edns_is_asked_again_without() -> None:
    def reply(wire: bytes) -> list[bytes]:
        query = dns.message.from_wire(wire)
        if query.edns >= 0:
            return [dns_service.bare(wire, dns.rcode.FORMERR)]
        return [dns.message.make_response(query).to_wire()]

    with udp_server(reply) as port:
        accepted = dns_exchange.exchange("127.0.0.1", wire_name("a.lab."), A, 5.0, port)
    assert accepted.rcode == dns_wire.NOERROR


def test_closed_port_is_known_at_once() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    start = time.monotonic()
    with pytest.raises(ConnectionRefusedError):
        dns_exchange.exchange("127.0.0.1", wire_name("a.lab."), A, 5.0, port)
    assert time.monotonic() - start < 2


@settings(deadline=None)  # the machine may be busy
@given(wire=st.binary(max_size=300))
def test_any_bytes_are_no_reply_or_a_reply(wire: bytes) -> None:
    assert dns_exchange.fits(query("a.lab."), wire) is None


@settings(deadline=None)  # the machine may be busy
@given(edits=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=6))
def test_damaged_replies_are_judged_without_a_crash(edits: list[tuple[int, int]]) -> None:
    reply = message(
        answer="www.x.lab. 9 IN CNAME b.x.lab.; b.x.lab. 9 IN A 1.1.1.1",
        authority="c.x.lab. 9 IN NS ns.c.x.lab.; x.lab. 9 IN SOA . . 1 1 1 1 1",
        additional="ns.c.x.lab. 9 IN A 1.1.1.1",
    )
    wire = bytearray(reply.to_wire())
    for position, value in edits:
        wire[position % len(wire)] = value
    try:
        damaged = dns_wire.decode(bytes(wire))
    except dns_wire.Malformed:
        return
    judged = dns_reply.read_reply(damaged, wire_name("x.lab."), wire_name("www.x.lab."), A)
    for rrset in judged.rrsets:
        assert dns_records.is_below(rrset.name.lower(), wire_name("x.lab."))
