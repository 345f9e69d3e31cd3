# SPDX-License-Identifier: Apache-2.0
"""The verdict of a command: its exit status and the wire, both told, and neither hidden."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from hoplab import runs
from hoplab.decode.greeting import of_client, of_server, shown
from hoplab.decode.packet import decode
from hoplab.follow.follow import follow
from hoplab.report.terminal import render
from hoplab.sentences import Sentence, Together
from hoplab.story.records import Outcome, Story
from hoplab.story.tell import Coverage, tell
from tests.unit import frames
from tests.unit.frames import ACK, FIN, PSH, RST, SYN
from tests.unit.playground import CABLE, Playground, Talk, wire_up
from tests.unit.scenarios import (
    CLIENT,
    DEAD,
    GET,
    RESOLVER,
    SCENARIOS,
    URL,
    WWW,
    fetch,
    resolve_cached,
    response,
    web,
)
from tests.unit.test_runs import RUNS, untranslated

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = b"\0\0\6\4\0\0\0\0\0\0\3\0\0\0\x64"


def ends(
    net: Playground, command: str, code: int | None = 0, output: str = "", host: str = "client"
) -> Story:
    """The story of a command on client; no sentence of it lacks its Chinese, for each of them has
    its template."""
    story = net.story(command=command, exit_code=code, said=output, host=host)
    assert all(map(templated, (story.outcome.sentence, *story.outcome.why)))
    assert untranslated(story) - {output} == set()
    return story


def templated(text: str) -> bool:
    """It is no finished text: another language can look it up."""
    return isinstance(text, Sentence) or (
        isinstance(text, Together) and all(map(templated, text.parts))
    )


@pytest.mark.parametrize("name", SCENARIOS)
def test_no_verdict_is_finished_text(name: str) -> None:
    outcome = SCENARIOS[name]().outcome
    assert [text for text in (outcome.sentence, *outcome.why) if not templated(text)] == []


def judged(net: Playground, command: str, code: int | None = 0, output: str = "") -> Outcome:
    return ends(net, command, code, output).outcome


def ping(net: Playground, target: str, seq: int = 1, answered: bool = True) -> None:
    net.ip(CLIENT, target, 1, frames.echo(True, 9, seq))
    if answered:
        net.ip(target, CLIENT, 1, frames.echo(False, 9, seq))


def no_such_name(net: Playground, name: str = "nosuch.itheima.com") -> None:
    net.udp(CLIENT, 33001, RESOLVER, 53, frames.dns(8, name))
    net.udp(RESOLVER, 53, CLIENT, 33001, frames.dns(8, name, answer=True, rcode=3))


def talk(*spoken: tuple[str, bytes], port: int = 80) -> Playground:
    """A connection on which client ("c") and server ("s") say these bytes, and close."""
    net = web(warm=True)
    line = Talk(net, CLIENT, WWW, dport=port)
    line.open()
    for speaker, data in spoken:
        line.say(speaker, PSH | ACK, data)
        line.say("s" if speaker == "c" else "c", ACK)
    line.close_four()
    return net


# --- exit status and wire -------------------------------------------------------------------


def test_a_failure_is_no_success_because_something_else_was_answered() -> None:
    net = web(warm=True)
    ping(net, WWW)
    no_such_name(net)
    command = "sh -c 'ping -c1 10.80.0.80; curl http://nosuch.itheima.com'"
    outcome = judged(net, command, 6, "curl: (6) Could not resolve host")
    assert outcome.ok is False
    assert outcome.sentence.startswith("curl ended with 6: ")
    assert "On the wire: 1 echo request to www, 1 answered" in outcome.sentence
    assert "nosuch.itheima.com: NXDOMAIN" in outcome.sentence
    assert outcome.why[-1] == "The command said: curl: (6) Could not resolve host"


def test_a_success_by_its_own_word_hides_no_fault() -> None:
    net = web(warm=True)
    ping(net, DEAD, answered=False)
    outcome = judged(net, "sh -c 'ping -c1 10.80.0.99 || true'")
    assert outcome.ok is True
    assert outcome.sentence.startswith("The command ended with 0: by its own word it succeeded. ")
    assert "On the wire: 1 echo request to 10.80.0.99, 0 answered." in outcome.sentence


def test_an_address_that_nobody_has_is_told_beside_what_was_answered() -> None:
    net = Playground(wire_up(CABLE))
    net.ip("192.168.1.1", "192.168.1.7", 1, frames.echo(True, 8, 1))
    net.ip("192.168.1.1", "192.168.1.2", 1, frames.echo(True, 9, 1))
    net.ip("192.168.1.2", "192.168.1.1", 1, frames.echo(False, 9, 1))
    sentence = ends(net, "sh -c 'ping 7; ping 2'", host="a").outcome.sentence
    assert "1 answered" in sentence and "3 times for the MAC of 192.168.1.7" in sentence


def test_a_ping_that_lost_one_says_how_many() -> None:
    net = web(warm=True)
    for seq in (1, 2, 3):
        ping(net, WWW, seq, answered=seq != 2)
    outcome = judged(net, "ping -c 3 10.80.0.80")
    assert outcome.ok is True and "3 echo requests to www, 2 answered" in outcome.sentence


def test_where_the_wire_shows_why_it_has_the_sentence() -> None:
    net = web(warm=True)
    ping(net, DEAD, answered=False)
    outcome = judged(net, "ping -c1 10.80.0.99", 1, "100% packet loss")
    assert outcome.ok is False and outcome.sentence.startswith("1 echo request to 10.80.0.99, 0 ")
    assert outcome.why[-1].startswith("ping ended with 1: no reply came")


@pytest.mark.parametrize(("flag", "code", "ok"), [("", 0, True), ("-f ", 22, False)])
def test_a_status_of_404_is_what_curl_makes_of_it(flag: str, code: int, ok: bool) -> None:
    net = web(warm=True)
    fetch(net, status="404 Not Found")
    outcome = judged(net, f"curl {flag}http://10.80.0.80/x", code)
    assert outcome.ok is ok
    text = " ".join([outcome.sentence, *outcome.why])
    assert "www answered 404 Not Found" in text and f"curl ended with {code}: " in text


def test_no_frame_is_no_reason() -> None:
    outcome = judged(web(), "grep x /etc/hosts", 1)
    assert outcome.sentence == "grep ended with 1: no line matched. On the wire: " + (
        "Not one frame left client."
    )
    assert outcome.why == []
    outcome = judged(web(), "sh -c nosuch", 127, "sh: 1: nosuch: not found")
    assert outcome.ok is False and outcome.sentence.startswith("The command ended with 127: ")
    assert outcome.why == ["No frame can tell; the command said: sh: 1: nosuch: not found"]


@pytest.mark.parametrize(
    ("command", "code"), [("ping 10.80.0.99", 130), ("timeout 2 ping 10.80.0.99", 124)]
)
def test_what_somebody_ended_is_neither_good_nor_bad(command: str, code: int) -> None:
    net = web(warm=True)
    ping(net, DEAD, answered=False)
    story = ends(net, command, code)
    assert story.outcome.ok is None
    assert " Until then: 1 echo request to 10.80.0.99, 0 answered." in story.outcome.sentence
    text = render(story)
    assert "\n– The command was" in text or "\n– timeout ended" in text  # noqa: RUF001
    assert "\n- " in render(story, ascii=True) and "── How it ended " in text


def test_one_that_took_too_long_failed() -> None:
    net = web(warm=True)
    ping(net, WWW)
    outcome = net.story(host="client", command="ping x", exit_code=124, late=True).outcome
    assert outcome.ok is False
    assert outcome.sentence.startswith("The command had not ended in time and was ended. Until ")


def test_a_kept_run_has_the_same_verdict(tmp_path: Path) -> None:
    for name in (runs.STATE, runs.CAPTURE, runs.TRACE):
        shutil.copyfile(RUNS / "hub" / name, tmp_path / name)
    head = json.loads((tmp_path / runs.TRACE).read_text())
    for code, late, ok in ((0, False, True), (2, False, False), (130, False, None), (0, True, 0)):
        kept = {**head, "exit_code": code, "timed_out": late}
        (tmp_path / runs.TRACE).write_text(json.dumps(kept))
        assert runs.reopen(tmp_path).story.outcome.ok == ok
    kept = {**head, "exit_code": 1, "interrupted": True, "output": "1 packets transmitted"}
    (tmp_path / runs.TRACE).write_text(json.dumps(kept))
    outcome = runs.reopen(tmp_path).story.outcome
    assert outcome.ok is None and not any("said" in line for line in outcome.why)
    assert outcome.sentence.startswith("The command was interrupted. Until then: 1 echo request")
    del head["exit_code"]
    (tmp_path / runs.TRACE).write_text(json.dumps(head))
    assert runs.reopen(tmp_path).story.outcome.ok is True


def test_what_other_hosts_fail_in_is_not_the_command_s() -> None:
    net = web(warm=True)
    ping(net, WWW)
    net.ip("10.1.0.11", DEAD, 1, frames.echo(True, 5, 1))
    outcome = judged(net, "ping -c1 10.80.0.80")
    assert outcome.ok is True and outcome.sentence.startswith("1 echo request to www, 1 answered")


def test_a_suffix_that_does_not_exist_is_no_fault_where_the_name_was_found() -> None:
    net = web(warm=True)
    no_such_name(net, "www.lab")
    resolve_cached(net)
    fetch(net)
    outcome = judged(net, "curl http://www/")
    assert outcome.ok is True and outcome.sentence.startswith("www answered 200 OK")


# --- connections from before the capture ----------------------------------------------------


def old(*segments: tuple[str, int, bytes]) -> Outcome:
    net = web(warm=True)
    line = Talk(net, CLIENT, WWW)
    for speaker, flags, data in segments:
        line.say(speaker, flags, data)
    return judged(net, "sleep 2")


def test_a_connection_from_before_is_told_as_such() -> None:
    start = "A connection from before the capture, between client and www, port 80, "
    closing = [("s", FIN | ACK, b""), ("c", ACK, b""), ("c", FIN | ACK, b""), ("s", ACK, b"")]
    for segments, rest in (
        (closing, "was closed."),
        (closing[:2], "was closed by www alone."),
        ([("s", PSH | ACK, b"x" * 9), ("c", ACK, b"")], "carried 0 bytes to www, 9 bytes back."),
        ([("c", PSH | ACK, b"hi"), ("s", ACK, b""), *closing], "carried 2 bytes to www, 0 bytes "
         "back and was closed."),
        ([("s", RST | ACK, b"")], "was broken off by www (RST)."),
        ([("c", ACK, b""), ("s", ACK, b"")], "was not closed; no data went over it."),
    ):  # fmt: skip
        outcome = old(*segments)
        assert outcome.sentence == start + rest
        assert outcome.ok is True and outcome.evidence


def test_the_far_end_tells_it_too() -> None:
    net = web(warm=True)
    line = Talk(net, CLIENT, WWW)
    line.say("s", PSH | ACK, b"x" * 9)
    line.say("c", ACK)
    sentence = ends(net, "sleep 2", host="www").outcome.sentence
    assert sentence.startswith("A connection from before the capture")


def test_several_of_them() -> None:
    net = web(warm=True)
    for port in (40001, 40002):
        Talk(net, CLIENT, WWW, sport=port).say("c", RST | ACK)
    assert judged(net, "sleep 2").sentence == (
        "2 connections from before the capture, 2 of them closed while it ran."
    )


def test_a_syn_ack_whose_syn_is_not_in_the_capture() -> None:
    net = web(warm=True)
    line = Talk(net, CLIENT, WWW)
    line.seq["c"] += 1
    line.say("s", SYN | ACK)
    line.say("c", ACK)
    assert judged(net, "sleep 2").ok is True
    assert "its SYN is missing" in render(ends(net, "sleep 2"))
    assert "never answered" not in judged(net, "sleep 2").sentence


def test_it_does_not_stand_before_what_the_command_did() -> None:
    net = web(warm=True)
    line = Talk(net, CLIENT, WWW)
    line.say("s", FIN | ACK)
    line.say("c", ACK)
    ping(net, WWW)
    assert judged(net, "ping -c1 10.80.0.80").sentence.startswith("1 echo request to www, 1 ")
    resolve_cached(net)
    fetch(net)
    assert net.story(URL, exit_code=0).outcome.code == "fetched"


# --- bytes that are no HTTP -----------------------------------------------------------------


def test_bytes_that_are_no_http_are_an_answer() -> None:
    for spoken, words in (
        ([("c", GET), ("s", b"hello\n")], 'www answered by 6 bytes that are no HTTP: "hello".'),
        ([("c", GET), ("s", b"x")], 'www answered by 1 byte that is no HTTP: "x".'),
        ([("c", GET), ("s", bytes(9))], "www answered by 9 bytes that are no HTTP: 00 00 00 00 00"),
        ([("s", b"SSH-2.0-x\r\n"), ("c", GET)], 'www spoke first: 11 bytes that are no HTTP: "SSH'),
        ([("s", b"220 mail\r\n")], 'www spoke first: 10 bytes that are no HTTP: "220 mail".'),
    ):
        story = talk(*spoken).story(URL, said="no HTTP", exit_code=8)
        assert story.outcome.sentence.startswith(words)
        assert (story.outcome.ok, story.outcome.code) == (False, "no-http")
        assert "sent no response" not in render(story)
        assert untranslated(story) - {"no HTTP"} == set()


def test_whether_they_are_wanted_is_for_the_client_to_say() -> None:
    net = talk(("c", GET), ("s", b"hello\n"))
    good = judged(net, "curl --http0.9 http://10.80.0.80/")
    assert good.ok is True and good.sentence.startswith("www answered by 6 bytes")
    bad = judged(net, "curl http://10.80.0.80/", 1)
    assert bad.ok is False and "On the wire: www answered by 6 bytes" in bad.sentence


def test_other_protocols_have_their_names() -> None:
    for net, words in (
        (talk(("c", PREFACE), ("s", SETTINGS)), "client and www spoke HTTP/2: 24 bytes to www, 15"),
        (
            talk(("c", PREFACE), ("s", response(b"no", "400 Bad Request"))),
            "client began with HTTP/2, and www answered by HTTP/1.",
        ),
        (talk(("c", b"GET /\r\n"), ("s", b"<p>")), "client asked by HTTP/0.9, and www answered 3 "),
        (talk(("s", b"SSH-2.0-x\r\n"), port=22), "client and www spoke over TCP, port 22: 0 bytes"),
        (
            talk(("c", b"hi\n"), ("s", b"hello\n"), port=9999),
            "client and www spoke over TCP, port 9999: 3 bytes to www, 6 bytes back.",
        ),
        (talk(("c", b"hi\n"), port=9999), "client sent 3 bytes to www, port 9999; nothing came "),
        (talk(port=9999), "client opened a connection to www, port 9999; not one byte of data"),
    ):
        outcome = judged(net, "some client")
        assert outcome.sentence.startswith(words) and outcome.ok is True
    story = ends(talk(("c", PREFACE)), "curl --http2-prior-knowledge http://10.80.0.80/", 28)
    assert "began with HTTP/2, and not one byte of an answer came" in story.outcome.sentence
    assert "HTTP/2 connection preface, 24 bytes" in [trip.title for trip in story.trips]


def test_what_begins_like_another_protocol_is_named() -> None:
    ssh = judged(talk(("s", b"SSH-2.0-x\r\n"), port=22), "nc 10.80.0.80 22")
    assert ssh.why == ['www began with: "SSH-2.0-x"', "So begins SSH."]
    http_2 = talk(("c", GET), ("s", SETTINGS)).story(URL, said="no", exit_code=8).outcome
    assert "So begins HTTP/2." in http_2.why and "15 bytes that are no HTTP" in http_2.sentence


def test_what_a_machine_sends_by_itself_hides_no_cause() -> None:
    net = Playground(wire_up(CABLE))
    report = frames.eth("01:80:c2:00:00:0e", "02:00:00:00:00:01", 0x88CC, b"\2\7\4")
    net.at(1, lambda: net.send(net.wiring.ports("a")[0], report))
    net.ip("192.168.1.1", "192.168.1.7", 1, frames.echo(True, 8, 1))
    outcome = ends(net, "ping 192.168.1.7", 1, host="a").outcome
    assert outcome.sentence.startswith("a asked 3 times for the MAC of 192.168.1.7, and nobody")


def test_what_follows_an_upgrade_is_counted() -> None:
    switching = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
    net = talk(("c", GET), ("s", switching), ("s", b"\x81\5hello"), ("c", b"\x81\x85abcdhello"))
    outcome = judged(net, "websocat ws://10.80.0.80/")
    assert outcome.ok is True and outcome.sentence.startswith("www answered 101")
    assert "They went over to websocket: 11 bytes to www, 7 bytes back." in outcome.why


def test_a_server_that_closes_without_a_byte_did_not_keep_silent() -> None:
    outcome = talk(("c", GET)).story(URL, said="empty", exit_code=52).outcome
    assert outcome.sentence == (
        "www closed the connection without a byte in answer to the HTTP request."
    )


def test_first_bytes() -> None:
    assert of_client(PREFACE) == "HTTP/2" == of_server(SETTINGS)
    assert of_server(b"* OK ready\r\n") == "IMAP" and of_server(b"SSH-2.0-x\r\n") == "SSH"
    assert of_client(b"hello") == "" == of_client(GET) and of_server(b"hello") == ""
    assert shown("你好".encode()) == '"你好"' and shown(b"\xff\xfe") == "ff fe"
    assert shown(b"x" * 99) == '"' + "x" * 39 + '…"' and shown(b"") == ""


# --- several connections, routes, datagrams -------------------------------------------------


def test_a_scan_counts_what_was_opened_and_what_was_not() -> None:
    net = web(warm=True)
    for port in (80, 81, 82):
        line = Talk(net, CLIENT, WWW, 40000 + port, port)
        line.say("c", SYN)
        if port == 80:
            line.say("s", SYN | ACK)
            line.say("c", ACK)
            line.close_four()
        else:
            line.say("s", RST | ACK)
    for code, ok in ((0, True), (1, False)):
        outcome = judged(net, "nc -z 10.80.0.80 80-82", code)
        assert outcome.ok is ok and "3 connections tried: 1 opened, 2 refused." in outcome.sentence
        assert "By machine and port, refused by RST: www 81, www 82." in outcome.why


def test_a_request_without_answer_beside_one_with_is_told() -> None:
    net = web(warm=True)
    fetch(net)
    line = Talk(net, CLIENT, WWW, 41000)
    line.open()
    line.say("c", PSH | ACK, GET)
    outcome = judged(net, "sh -c 'curl a; curl b'", 28)
    assert outcome.code == "several"
    assert not any(line.startswith("No connection") for line in outcome.why)


def unreachable(net: Playground, router: str, code: int) -> None:
    """The router reports the last frame that came to it."""
    quoted = net.seen[-1][3][14:42]
    net.ip(router, CLIENT, 1, frames.icmp(3, code, 0, quoted))


def probe(net: Playground, kind: str, ttl: int, target: str = WWW) -> None:
    """One probe, as traceroute sends it (-I, -T or neither), and the answer of the target."""
    if kind == "echo":
        net.ip(CLIENT, target, 1, frames.echo(True, 9, ttl), ttl)
    elif kind == "syn":
        net.ip(CLIENT, target, 6, frames.tcp(45000 + ttl, 80, 1, 0, SYN), ttl)
    else:
        net.ip(CLIENT, target, 17, frames.udp(40000, 33433 + ttl, b"x"), ttl)
    if ttl < 3 or target != WWW:
        return
    if kind == "echo":
        net.ip(WWW, CLIENT, 1, frames.echo(False, 9, ttl))
    elif kind == "syn":
        net.ip(WWW, CLIENT, 6, frames.tcp(80, 45000 + ttl, 7, 2, SYN | ACK))
        net.ip(CLIENT, WWW, 6, frames.tcp(45000 + ttl, 80, 2, 0, RST))
    else:
        unreachable(net, WWW, 3)


@pytest.mark.parametrize("kind", ["echo", "syn", "udp"])
def test_a_way_that_was_found(kind: str) -> None:
    net = web(warm=True)
    for ttl in (1, 2, 3, 4):  # the fourth is sent before the third is answered
        probe(net, kind, ttl)
    outcome = judged(net, "traceroute 10.80.0.80")
    assert outcome.ok is True and outcome.code == "route"
    assert outcome.sentence == "client found the way to www: r1 -> r2 -> www, 3 hops."


@pytest.mark.parametrize("kind", ["echo", "syn", "udp"])
def test_a_way_whose_end_did_not_answer(kind: str) -> None:
    net = web(warm=True)
    for ttl in (1, 2, 3, 4):
        probe(net, kind, ttl, DEAD)
    outcome = judged(net, "traceroute 10.80.0.99", 0)
    assert outcome.ok is True and outcome.sentence.startswith("traceroute ended with 0: ")
    assert "On the wire: client looked for the way to 10.80.0.99 and found r1 -> r2; " in (
        outcome.sentence
    )
    assert outcome.where == "r2"


def test_a_router_that_says_nothing_has_its_place() -> None:
    net = web(warm=True)
    net.drop = lambda port, packet: packet.src == "10.1.0.1" and packet.icmp is not None
    for ttl in (1, 2, 3):
        probe(net, "udp", ttl)
    assert "* -> r2 -> www, 3 hops" in judged(net, "traceroute 10.80.0.80").sentence


def test_a_ping_with_a_small_ttl_is_a_ping() -> None:
    net = web(warm=True)
    net.ip(CLIENT, WWW, 1, frames.echo(True, 9, 1), ttl=1)
    ping(net, WWW, 2)
    outcome = judged(net, "sh -c 'ping -c1 -t1 10.80.0.80; ping -c1 10.80.0.80'")
    assert "2 echo requests to www, 1 answered" in outcome.sentence


def test_datagrams_to_a_closed_port() -> None:
    net = web(warm=True)
    net.udp(CLIENT, 4000, WWW, 5000, b"hi")
    unreachable(net, WWW, 3)
    outcome = judged(net, "prog", 1)
    assert outcome.sentence == "1 UDP datagram to www, port 5000: www reported port unreachable."
    assert outcome.why[0] == "The way there and back works; nobody listens on port 5000."
    assert (outcome.ok, outcome.where) == (False, "www")


def test_datagrams_that_are_answered_and_those_that_answer() -> None:
    net = web(warm=True)
    net.udp(CLIENT, 4000, WWW, 5000, b"hi")
    net.udp(WWW, 5000, CLIENT, 4000, b"ho")
    assert judged(net, "prog").sentence == "1 UDP datagram to www, port 5000; 1 came back."
    answers = ends(net, "prog", host="www").outcome
    assert answers.ok is True and answers.code == "seen"
    net = web(warm=True)
    net.udp(CLIENT, 4000, WWW, 5000, b"hi")
    silent = judged(net, "prog")
    assert silent.ok is True and silent.sentence.endswith("port 5000; none came back.")


def test_a_server_may_answer_from_another_port() -> None:
    net = web(warm=True)
    net.udp(CLIENT, 4000, WWW, 69, b"read")
    net.udp(WWW, 50001, CLIENT, 4000, b"data")
    net.udp(CLIENT, 4000, WWW, 50001, b"ack")
    assert judged(net, "tftp").sentence == "1 UDP datagram to www, port 69; 1 came back."


def test_an_arp_request_that_was_answered() -> None:
    net = Playground(wire_up(CABLE))
    net.ip("192.168.1.1", "192.168.1.2", 1, frames.echo(True, 9, 1))
    net.seen = [observed for observed in net.seen if observed[3][12:14] == b"\x08\x06"]
    outcome = ends(net, "arping -c1 192.168.1.2", host="a").outcome
    assert outcome.ok is True
    assert outcome.sentence == "a asked 1 time for the MAC of 192.168.1.2: b answered."


def test_dns_that_was_asked_over_tcp_is_not_called_too_long() -> None:
    net = web(warm=True)
    line = Talk(net, CLIENT, RESOLVER, dport=53)
    line.open()
    reply = frames.dns(7, "www.itheima.com", answer=True, answers=[("www.itheima.com", "A", WWW)])
    for speaker, message in (("c", frames.dns(7, "www.itheima.com")), ("s", reply)):
        line.say(speaker, PSH | ACK, len(message).to_bytes(2, "big") + message)
    line.close_four()
    story = ends(net, "dig +tcp www.itheima.com")
    texts = [
        remark.text for step in story.steps for remark in step.remarks if remark.code == "dns-tcp"
    ]
    assert len(texts) == 1 and texts[0].startswith("DNS went over TCP from the start")
    assert story.outcome.ok is True and story.outcome.code == "resolved"


def test_a_capture_with_gaps_takes_no_missing_syn_for_an_old_connection() -> None:
    """Nor a response without its head for bytes that are no HTTP."""
    whole = talk(("c", GET), ("s", response(b"x" * 3000)[:1448]), ("s", b"x" * 1448))
    for missing in (
        lambda packet: packet.tcp.syn,
        lambda packet: packet.payload.startswith(b"HTTP/"),
    ):
        seen = [
            observation
            for observation in whole.observations()
            if not missing(decode(observation.data))
        ]
        coverage = Coverage(missed={0: 1})
        journeys = follow(whole.wiring, seen, lossy=True)
        for code in (0, None):
            story = tell(
                whole.wiring, journeys, host="client", exit_code=code, coverage=coverage
            )
            sentence = story.outcome.sentence
            assert "from before the capture" not in sentence and "no HTTP" not in sentence, sentence
