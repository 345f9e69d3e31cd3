# SPDX-License-Identifier: Apache-2.0
"""Two runs that began alike are compared in peace; whatever was different is told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hoplab.follow.wiring import Wiring
from hoplab.report.language import language
from hoplab.sentences import Sentence
from hoplab.story.same_start import Side, all_differences, differences, failed_in_all
from tests.unit import frames
from tests.unit.playground import Playground, Talk, wire_up
from tests.unit.test_transfers import HOSTS, lab, send

COMMAND = "send 10.0.0.2"


def side(net: Playground, name: str = "", **more: object) -> Side:
    story = net.story(host="h1", command=str(more.pop("command", COMMAND)))
    return Side(name or net.wiring.controller, net.wiring, story, **more)  # type: ignore[arg-type]


def ran(controller: str, pieces: int = 12) -> Playground:
    net = lab(controller)
    send(Talk(net, "10.0.0.1", "10.0.0.2"), pieces)
    return net


def told(first: Side, second: Side) -> list[str]:
    """The differences, which have a translation each."""
    sentences = differences(first, second)
    chinese = language("zh")
    chinese.unknown.clear()
    for sentence in sentences:
        assert isinstance(sentence, Sentence) and chinese(sentence) != sentence
    assert not chinese.unknown
    return sentences


def test_a_hub_and_a_switch_from_the_same_start_are_alike() -> None:
    assert told(side(ran("hub")), side(ran("learning_switch"))) == []
    assert told(side(ran("learning_switch")), side(ran("hub"))) == []


def test_a_neighbour_known_on_one_side_is_told_with_the_port() -> None:
    net = lab("learning_switch")
    net.warm()
    send(Talk(net, "10.0.0.1", "10.0.0.2"), 12)
    story = told(side(ran("hub")), side(net))
    assert "With learning_switch h1 did not have to ask for the MAC address of h2." in story
    assert "With learning_switch s1 already knew the port of h2." in story
    assert len(story) == 3 and "h2 did not have to ask for the MAC address of h1." in story[1]
    again = lab("learning_switch")
    again.warm()
    send(Talk(again, "10.0.0.1", "10.0.0.2"), 12)
    assert told(side(again, "a"), side(net, "b")) == [], "what both knew is alike"


def test_a_router_knows_neighbours_as_well() -> None:
    def across(warm: bool) -> Side:
        spec = [
            ("h1", "10.0.1.10/24", "r1", "10.0.1.1/24"),
            ("r1", "10.0.2.1/24", "h2", "10.0.2.10/24"),
        ]
        net = Playground(wire_up(spec), {"h1": "10.0.1.1", "h2": "10.0.2.1"})
        if warm:
            net.cache["r1", "10.0.2.10"] = net.wiring.interfaces[3].mac
        send(Talk(net, "10.0.1.10", "10.0.2.10"), 2)
        return side(net, "warm" if warm else "cold")

    assert told(across(False), across(True)) == [
        "With warm r1 did not have to ask for the MAC address of h2.",
    ]


def test_frames_that_were_flowing_before_are_told() -> None:
    net = lab("learning_switch")
    net.udp("10.0.0.3", 5000, "10.0.0.4", 5000, b"early")
    began_ns = net.now_ns
    send(Talk(net, "10.0.0.1", "10.0.0.2"), 12)
    quiet = ran("hub")
    story = told(side(quiet, began_ns=quiet.seen[0][0]), side(net, began_ns=began_ns))
    assert story == [
        "With learning_switch frames were flowing before the commands began: 1 packet of h3.",
    ]
    # Where nobody knows when the commands began, that somebody else was sending is told.
    assert told(side(quiet), side(net)) == [
        "h3 sent to 10.0.0.4 with learning_switch, and not with hub."
    ]


def test_other_commands_and_other_amounts_are_told() -> None:
    few, many = ran("hub", 12), ran("learning_switch", 40)
    story = told(side(few, command="send 12"), side(many, command="send 40"))
    assert story[0] == "hub and learning_switch did not run the same commands."
    assert story[1].startswith(
        "h1 to h2 had neither the same bytes to move nor the same time: 1,200"
    )
    # The same command that sends for a while sends what it can: no fault of the comparison.
    assert told(side(few), side(many)) == []


def test_a_failure_on_one_side_is_told_and_one_on_both_is_alike() -> None:
    sentence = "h1: ping -c 1 10.0.0.9: this failed (exit code 1)."
    late = "h1: sleep 9: this had not ended in time."
    hub, switch = side(ran("hub")), side(ran("learning_switch"))
    assert told(hub, replace(switch, failed=(sentence,))) == [
        f"With learning_switch, and not with hub: {sentence}"
    ]
    assert told(replace(hub, failed=(late,)), switch) == [
        f"With hub, and not with learning_switch: {late}"
    ]
    both = replace(hub, failed=(sentence,)), replace(switch, failed=(sentence,))
    assert told(*both) == []
    assert failed_in_all(both) == [sentence]


def test_what_the_capture_missed_is_told() -> None:
    hub, switch = side(ran("hub")), side(ran("learning_switch"))
    summary = hub.story.summary
    summary.health = replace(summary.health, dropped=7)
    assert told(hub, switch) == ["With hub the capture missed 7 frames: its figures are low."]


def faster(wiring: Wiring) -> Wiring:
    interfaces = [replace(each, rate=10_000_000) for each in wiring.interfaces]
    return Wiring(list(wiring.nodes.values()), interfaces, controller=wiring.controller,
                  topology=wiring.topology, datapath="kernel")  # fmt: skip


def test_another_network_is_told() -> None:
    net = Playground(faster(wire_up(HOSTS, "learning_switch", "switch")))
    send(Talk(net, "10.0.0.1", "10.0.0.2"), 12)
    assert told(side(ran("hub")), side(net)) == [
        "The switches forwarded by another datapath: user with hub, kernel with learning_switch.",
        "The cables have not the same rate in both.",
    ]
    small = Playground(wire_up(HOSTS[:3], "learning_switch", "switch"))
    send(Talk(small, "10.0.0.1", "10.0.0.2"), 12)
    assert told(side(ran("hub")), side(small)) == ["The two networks are not the same."]


@pytest.mark.parametrize("place", [1, 2])
def test_of_several_each_is_held_against_the_first(place: int) -> None:
    sides = [side(ran("learning_switch"), name) for name in "abc"]
    net = lab("learning_switch")
    net.warm()
    send(Talk(net, "10.0.0.1", "10.0.0.2"), 12)
    sides[place] = side(net, "warm")
    sentences = all_differences(sides)
    assert len(sentences) == 3 and all(sentence.startswith("With warm ") for sentence in sentences)


def test_errors_of_icmp_are_no_conversation() -> None:
    net = ran("hub")
    error = frames.icmp(3, 3, 0, b"x" * 28)
    net.ip("10.0.0.2", "10.0.0.1", 1, error)
    assert told(side(net), side(ran("learning_switch"))) == []


def test_of_three_runs_no_sentence_speaks_of_one_alone_that_two_share() -> None:
    """Two sent and one did not: a sentence names the two that it compares."""
    alike = side(ran("hub")), side(ran("learning_switch"))
    silent = side(lab("broken"), "broken")
    sentences = all_differences((*alike, silent))
    assert "h1 sent to 10.0.0.2 with hub, and not with broken." in sentences, sentences
    assert not any(sentence.startswith("Only") for sentence in sentences)
