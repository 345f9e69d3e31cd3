# SPDX-License-Identifier: Apache-2.0
"""A silent link is named as a cause only where a switch meant to send over it."""

from __future__ import annotations

import pytest

from hoplab.story.records import Story
from tests.unit import frames
from tests.unit.openflow_bytes import FLOOD, features, packet_in, packet_out
from tests.unit.playground import START_NS, Playground
from tests.unit.test_controller_causes import MS, Channel, network, story
from tests.unit.test_runs import untranslated

TABLE = 0xFFFFFFF9  # OFPP_TABLE: submit it to the tables again
MAY_BE_DOWN = (
    "Not one frame was seen between s1-eth2 and b-eth0: that link may be down at either end, which "
    "`ip link` there tells"
)
NOWHERE = "s1 took it in by s1-eth1 and sent it out of no port"
LAST = {
    None: "s1 asked the controller about it, which sent it nowhere while the capture ran",
    (): "the controller had s1 drop it",
    (3,): NOWHERE,
    (999,): NOWHERE,
}
A_FLOW = ", or a flow keeps s1 from sending there, which `hoplab table s1` shows."


def asked(down: set[str]) -> Playground:
    """a asks for the MAC of b."""
    net = network()
    net.down.update(down)
    net.ip("10.0.0.1", "10.0.0.2", 1, frames.icmp(8, 0, 1, b"ping"))
    return net


def told(net: Playground, channel: Channel | None) -> Story:
    made = story(net, channel)
    assert untranslated(made) == set()
    return made


def questioned(net: Playground, ports: tuple[int, ...] | None) -> Channel:
    """s1 asked about each of the requests; ports: where the answers send them, None for none."""
    channel = Channel()
    channel.say(START_NS - MS, True, features(1))
    for observation in net.observations():
        if net.wiring.is_switch(observation.port) and not observation.outgoing:
            channel.say(observation.t_ns + 1, True, packet_in(observation.data, 1))
            if ports is not None:
                channel.say(observation.t_ns + 2, False, packet_out(observation.data, 1, ports))
    return channel


@pytest.mark.parametrize("ports", [None, (), (3,), (999,)])
def test_a_controller_that_did_not_send_it_there_is_why(ports: tuple[int, ...] | None) -> None:
    net = asked({"b-eth0", "c-eth0"})
    why = told(net, questioned(net, ports)).outcome.why
    assert not any("may be down" in line for line in why), why
    assert f"Its last frame: {LAST[ports]}." in why


@pytest.mark.parametrize("port", [FLOOD, 2])
def test_a_controller_that_sent_it_there_leaves_the_link(port: int) -> None:
    net = asked({"b-eth0", "c-eth0"})
    assert f"{MAY_BE_DOWN}." in told(net, questioned(net, (port,))).outcome.why


def test_a_flood_that_left_out_one_port() -> None:
    made = told(asked({"b-eth0"}), None)
    assert f"{MAY_BE_DOWN}." in made.outcome.why
    assert "c got the request; the address does not belong to it." in made.outcome.why


def test_where_no_copy_went_out_it_may_be_a_flow_as_well() -> None:
    assert MAY_BE_DOWN + A_FLOW in told(asked({"b-eth0", "c-eth0"}), None).outcome.why


def test_what_the_tables_said_when_asked_to_look_again_is_not_known() -> None:
    net = asked({"b-eth0", "c-eth0"})
    assert MAY_BE_DOWN + A_FLOW in told(net, questioned(net, (TABLE,))).outcome.why
