# SPDX-License-Identifier: Apache-2.0
"""hoplab.story.claims: two cards with one address are told first; what only looks so is not."""

from __future__ import annotations

import ipaddress

from hoplab.report.as_json import to_dict
from hoplab.report.language import language
from hoplab.report.terminal import render
from hoplab.story.claims import Claims, find_claims
from hoplab.story.records import Story
from tests.unit import frames
from tests.unit.frames import ACK, SYN
from tests.unit.playground import Playground, Spec, wire_up
from tests.unit.test_runs import untranslated

SPEC: Spec = [
    ("h1", "10.0.0.1/24", "s1", ""),
    ("h2", "10.0.0.2/24", "s1", ""),
    ("h3", "10.0.0.3/24", "s1", ""),
    ("r1", "10.0.0.9/24", "s1", ""),
    ("r1", "10.0.1.9/24", "h4", "10.0.1.4/24"),
    ("r2", "10.0.0.8/24", "s1", ""),
]
W = wire_up(SPEC)
MACS = {i.name: i.mac for i in W.interfaces}
H1, H2, H3, R1, R2 = (MACS[f"{node}-eth0"] for node in ("h1", "h2", "h3", "r1", "r2"))
NOBODY = "00:00:00:00:00:00"
S = 1_000_000_000


class Lab(Playground):
    """Hosts that speak only when they are told to."""

    def __init__(self) -> None:
        super().__init__(wire_up(SPEC))
        self.warm()

    def _receive(self, port: int, data: bytes) -> None:
        return

    def arp(self, node: str, op: int, ip: str, to: str, mac: str = "", dst: str = "") -> None:
        """op 1: asks for `to`; 2: an answer to the owner of `to`."""
        port = self.wiring.port(f"{node}-eth0")
        assert port is not None
        card = mac or self.wiring.interfaces[port].mac
        theirs = NOBODY
        if op == 2:
            owner = self.wiring.owner_of_ip(to)
            theirs = self.wiring.interfaces[owner].mac if owner is not None else NOBODY
        body = frames.arp(op, card, ip, theirs, to)
        frame = frames.eth(dst or (frames.BROADCAST if op == 1 else theirs), card, 0x0806, body)
        self.at(100, lambda: self.send(port, frame))
        self.run()

    def echo(self, node: str, src: str, mac: str, dst: str, to: str, seq: int, ask: bool) -> None:
        port = self.wiring.port(f"{node}-eth0")
        assert port is not None
        packet = frames.ipv4(src, dst, 1, frames.echo(ask, 9, seq), 64, 100 + seq + 50 * ask)
        self.at(100, lambda: self.send(port, frames.eth(to, mac, 0x0800, packet)))
        self.run()

    def ping(self, seq: int, answers: str, mac: str) -> None:
        self.echo("h1", "10.0.0.1", H1, "10.0.0.2", mac, seq, True)
        self.echo(answers, "10.0.0.2", mac, "10.0.0.1", H1, seq, False)

    def tell(self) -> Story:
        story = self.story(host="h1", command="ping")
        assert untranslated(story) == set()
        return story

    def claims(self) -> Claims:
        return find_claims(self.tell().trips, self.wiring)


def both_answer() -> Lab:
    net = Lab()
    for seq in (1, 2, 3):
        net.arp("h1", 1, "10.0.0.1", "10.0.0.2")
        net.arp("h2", 2, "10.0.0.2", "10.0.0.1")
        net.arp("h3", 2, "10.0.0.2", "10.0.0.1")
        net.ping(seq, "h3", H3)
    return net


def test_two_cards_that_answer_are_told_before_all_else() -> None:
    story = both_answer().tell()
    conflict = f"Two cards claim 10.0.0.2: h2 ({H2}) and h3 ({H3})."
    shares = "Of 3 packets to it h3 got 3, h2 0."
    assert story.outcome.sentence.startswith(
        f"{conflict} {shares} 3 echo requests to 10.0.0.2, 3 answered by h3; there and back in"
    )
    assert story.outcome.where == "h3"
    remarks = [remark for step in story.steps for remark in step.remarks]
    assert [(r.code, r.text) for r in remarks[:2]] == [
        ("address-conflict", conflict), ("address-conflict", shares)
    ]  # fmt: skip
    assert story.outcome.why[0].startswith("10.0.0.2 belongs to one card alone (#2, #3)")
    assert {2, 3} <= set(story.outcome.evidence)
    assert story.trips[2].notes == (f"h2 ({H2}) claims 10.0.0.2 too (#2)",)
    for text in (render(story), render(story, tr=language("zh")), str(to_dict(story))):
        assert H2 in text and H3 in text
    assert "by h2" not in render(story)


def test_the_one_who_answered_last_got_it() -> None:
    """The same the other way round: it is the card that tells, not the order or the lab's plan."""
    net = Lab()
    net.arp("h1", 1, "10.0.0.1", "10.0.0.2")
    net.arp("h3", 2, "10.0.0.2", "10.0.0.1")
    net.arp("h2", 2, "10.0.0.2", "10.0.0.1")
    net.ping(1, "h2", H2)
    sentence = net.tell().outcome.sentence
    assert f"Two cards claim 10.0.0.2: h3 ({H3}) and h2 ({H2})." in sentence
    assert "Of 1 packet to it h2 got 1, h3 0. 1 echo request to h2, 1 answered;" in sentence


def test_each_got_some() -> None:
    net = both_answer()
    net.ping(4, "h2", H2)
    sentence = net.tell().outcome.sentence
    assert "Of 4 packets to it h3 got 3, h2 1." in sentence
    assert "4 echo requests to 10.0.0.2, 4 answered by h3, h2" in sentence


def test_three_cards() -> None:
    net = Lab()
    net.arp("h1", 1, "10.0.0.1", "10.0.0.2")
    for node in ("h2", "h3", "r2"):
        net.arp(node, 2, "10.0.0.2", "10.0.0.1")
    assert net.tell().outcome.sentence.startswith(
        f"3 cards claim 10.0.0.2: h2 ({H2}), h3 ({H3}), r2 ({R2})."
    )


def test_one_card_that_answers_twice_or_in_two_networks_is_one() -> None:
    net = Lab()
    for _ in range(2):
        net.arp("h1", 1, "10.0.0.1", "10.0.0.2")
        net.arp("h2", 2, "10.0.0.2", "10.0.0.1")
        net.arp("h2", 2, "10.0.0.2", "10.0.0.1")
    net.ping(1, "h2", H2)
    claims = net.claims()
    assert (claims.conflicts, claims.moves) == ([], [])
    assert net.tell().outcome.sentence.startswith("1 echo request to h2, 1 answered;")


def test_a_proxy_router_answers_for_others_elsewhere() -> None:
    """The owner answers too, but in a network where the router's answer is not heard."""
    net = Lab()
    net.arp("h1", 1, "10.0.0.1", "10.0.1.4")
    net.arp("r1", 2, "10.0.1.4", "10.0.0.1")
    port = net.wiring.port("h4-eth0")
    assert port is not None
    router = MACS["r1-eth1"]
    reply = frames.arp(2, MACS["h4-eth0"], "10.0.1.4", router, "10.0.1.9")
    net.send(port, frames.eth(router, MACS["h4-eth0"], 0x0806, reply))
    net.run()
    claims = net.claims()
    assert (claims.conflicts, claims.moves) == ([], [])
    net.arp("r2", 2, "10.0.1.4", "10.0.0.1")  # a second proxy: two cards did answer
    assert [c.cards for c in net.claims().conflicts] == [(("r1", R1), ("r2", R2))]


def test_an_announcement_by_another_card_while_the_owner_goes_on() -> None:
    net = Lab()
    net.ping(1, "h2", H2)
    net.arp("h3", 1, "10.0.0.2", "10.0.0.2")
    net.ping(2, "h2", H2)
    (conflict,) = net.claims().conflicts
    assert conflict.cards == (("h2", H2), ("h3", H3))


def test_an_address_that_has_moved_is_no_conflict() -> None:
    """As with VRRP: the new holder announces it, the old one keeps silent."""
    net = Lab()
    net.arp("r1", 1, "10.0.0.9", "10.0.0.9")
    net.arp("h1", 1, "10.0.0.1", "10.0.0.9")
    net.arp("r1", 2, "10.0.0.9", "10.0.0.1")
    net.arp("r2", 1, "10.0.0.9", "10.0.0.9")
    net.arp("h1", 1, "10.0.0.1", "10.0.0.9")
    net.arp("r2", 2, "10.0.0.9", "10.0.0.1")
    story = net.tell()
    text = f"10.0.0.9 moved from r1 ({R1}) to r2 ({R2}), which said so by #4; r1 has sent nothing "
    text += "from it since."
    assert text in story.outcome.why
    assert story.steps[0].remarks[0].code == "address-moved"
    assert "claim" not in render(story)


def test_a_card_that_changed_its_mac_between_two_answers() -> None:
    net, new = Lab(), "02:00:00:00:ff:02"
    net.arp("h1", 1, "10.0.0.1", "10.0.0.2")
    net.arp("h2", 2, "10.0.0.2", "10.0.0.1")
    net.arp("h1", 1, "10.0.0.1", "10.0.0.2")
    net.arp("h2", 2, "10.0.0.2", "10.0.0.1", mac=new)
    story = net.tell()
    text = f"h2 has 10.0.0.2 at another MAC address since #4: {new}, before it was {H2}."
    assert text in story.outcome.why and "claim" not in render(story)


def test_a_reply_that_nobody_asked_for() -> None:
    net = Lab()
    net.ping(1, "h2", H2)
    net.now_ns += S
    net.arp("h3", 2, "10.0.0.2", "10.0.0.1")
    net.ping(2, "h2", H2)
    story = net.tell()
    spoof = next(trip for trip in story.trips if trip.kind == "arp-reply")
    assert "nobody whom it reached had asked for it" in spoof.notes
    assert story.outcome.sentence.startswith("Two cards claim 10.0.0.2: h2")
    asked = Lab()
    asked.ping(1, "h2", H2)
    asked.now_ns += S
    asked.arp("h1", 1, "10.0.0.1", "10.0.0.2")
    asked.arp("h2", 2, "10.0.0.2", "10.0.0.1")
    assert "nobody whom it reached had asked" not in render(asked.tell())


def test_a_made_up_source_claims_nothing() -> None:
    net = Lab()
    net.ping(1, "h2", H2)
    net.echo("h3", "10.0.0.2", H3, "10.0.0.1", H1, 7, True)
    net.ping(2, "h2", H2)
    assert net.claims().conflicts == []


def test_a_question_whether_an_address_is_free_claims_nothing() -> None:
    net = Lab()
    net.ping(1, "h2", H2)
    net.arp("h3", 1, "0.0.0.0", "10.0.0.2")
    net.arp("h2", 2, "10.0.0.2", "10.0.0.3")
    assert net.claims().conflicts == []


def test_neighbour_discovery_too() -> None:
    def neighbour(kind: int, target: str, mac: str, option: int) -> bytes:
        head = bytes((kind, 0, 0, 0)) + (b"\x60\0\0\0" if kind == 136 else bytes(4))
        body = head + ipaddress.ip_address(target).packed
        return body + bytes((option, 1)) + bytes.fromhex(mac.replace(":", ""))

    net = Lab()

    def say(node: str, mac: str, dst: str, src_ip: str, dst_ip: str, body: bytes) -> None:
        port = net.wiring.port(f"{node}-eth0")
        assert port is not None
        head = b"\x60\0\0\0" + len(body).to_bytes(2, "big") + bytes((58, 255))
        head += ipaddress.ip_address(src_ip).packed + ipaddress.ip_address(dst_ip).packed
        net.at(100, lambda: net.send(port, frames.eth(dst, mac, 0x86DD, head + body)))
        net.run()

    asker, claimed = "fd00::1", "fd00::2"
    say("h1", H1, "33:33:ff:00:00:02", asker, "ff02::1:ff00:2", neighbour(135, claimed, H1, 1))
    say("h2", H2, H1, claimed, asker, neighbour(136, claimed, H2, 2))
    say("h3", H3, H1, claimed, asker, neighbour(136, claimed, H3, 2))
    (conflict,) = net.claims().conflicts
    assert (conflict.address, conflict.cards) == (claimed, (("h2", H2), ("h3", H3)))


def test_the_server_of_a_connection_is_who_sent_the_syn_ack() -> None:
    net = both_answer()
    for node, mac, packet in (
        ("h1", H1, frames.tcp(40000, 80, 1000, 0, SYN)),
        ("h3", H3, frames.tcp(80, 40000, 5000, 1001, SYN | ACK)),
        ("h1", H1, frames.tcp(40000, 80, 1001, 5001, ACK)),
    ):
        src, dst = ("10.0.0.1", "10.0.0.2") if node == "h1" else ("10.0.0.2", "10.0.0.1")
        port = net.wiring.port(f"{node}-eth0")
        assert port is not None
        to = H3 if node == "h1" else H1
        frame = frames.eth(to, mac, 0x0800, frames.ipv4(src, dst, 6, packet, 64, 7))
        net.at(100, lambda port=port, frame=frame: net.send(port, frame))
        net.run()
    story = net.tell()
    rows = [row.real for step in story.steps for row in step.mapping]
    assert "h1 to h3" in rows and "h3 to h1" in rows
