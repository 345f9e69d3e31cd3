# SPDX-License-Identifier: Apache-2.0
"""What a switch did with the tags of a frame, in words instead of actions."""

from __future__ import annotations

import pytest

from hoplab.decode.frame_fields import vlan_tags
from hoplab.follow import passages
from hoplab.follow.follow import follow
from hoplab.follow.passages import Act, FlowTaken, Passage, Sent
from hoplab.story.tell import tell
from hoplab.story.trip_records import Trip
from tests.unit import frames
from tests.unit.test_controller_causes import arrival, network


def tagged(frame: bytes, *tags: int) -> bytes:
    """The frame behind these tags, the outermost first; negative ones are a provider's."""
    raw = b"".join(
        (b"\x88\xa8" if tag < 0 else b"\x81\x00") + abs(tag).to_bytes(2, "big") for tag in tags
    )
    return frame[:12] + raw + frame[12:]


@pytest.mark.parametrize(
    ("before", "after", "acts", "words"),
    [
        ((), (7,), "push_vlan:0x8100 set_field:4103->vlan_vid",
         "; it puts the tag of VLAN 7 on it"),
        ((7,), (), "pop_vlan", "; it takes the tag of VLAN 7 off it"),
        ((7,), (), "strip_vlan dec_ttl",
         "; it takes the tag of VLAN 7 off it; it changes the frame: dec_ttl"),
        ((7,), (9,), "mod_vlan_vid:9", "; its tag of VLAN 7 becomes that of VLAN 9"),
        ((7,), (9, 7), "push_vlan:0x88a8 set_field:4105->vlan_vid",
         "; it puts the tag of VLAN 9 on it"),
        ((7,), (9, 8), "push_vlan:0x88a8 set_field:4104->vlan_vid set_field:9->vlan_pcp",
         "; it puts the tag of VLAN 9 on it"),
        ((), (9, 8), "push_vlan:0x8100 push_vlan:0x8100",
         "; it puts the tags of VLANs 9, 8 on it, the outermost first"),
        ((9, 8, 7), (7,), "pop_vlan pop_vlan",
         "; it takes the tags of VLANs 9, 8 off it, the outermost first"),
        ((9, 8), (7, 6), "pop_vlan set_field:4103->vlan_vid",
         "; it changes the frame: pop_vlan, set_field:4103->vlan_vid"),
    ],
)  # fmt: skip
def test_tags_in_words(
    before: tuple[int, ...], after: tuple[int, ...], acts: str, words: str
) -> None:
    made = told(before, after, acts)
    assert made.decisions[0].sentence.endswith(words)


def test_two_tags_of_two_kinds_on_the_way() -> None:
    trip = told((), (-200, 100), "push_vlan:0x8100 push_vlan:0x88a8")
    assert trip.notes == (
        "802.1Q tags on the way: none from a to s1, VLANs 200 (802.1ad), 100, the outermost "
        "first, from s1 to b",
    )


def told(before: tuple[int, ...], after: tuple[int, ...], acts: str) -> Trip:
    """A frame with these tags came to s1, and left it with those."""
    net = network()
    net.warm()
    net.ip("10.0.0.1", "10.0.0.2", 1, frames.icmp(8, 0, 1, b"ping"))
    net.run()
    seen = net.observations()
    came = arrival(net)
    way_in = {net.wiring.port("a-eth0"), net.wiring.port("s1-eth1")}
    plain = came.data
    for number, each in enumerate(seen):
        if each.data == plain:
            tags = before if each.port in way_in else after
            seen[number] = type(each)(
                each.number, each.t_ns, each.port, each.reception, tagged(plain, *tags),
                each.length,
            )  # fmt: skip
    left = next(each for each in seen if each.port == net.wiring.port("s1-eth2"))
    assert vlan_tags(left.data) == [abs(tag) for tag in after]
    flow = FlowTaken(
        0, 1, "in_port=1", 0, tuple(Act(text) for text in acts.split()), passages.BEFORE
    )
    passage = Passage(
        came.number, came.t_ns, "s1", 1, (flow,), (Sent(2, left.data, left.number),)
    )
    whole = tell(
        net.wiring, follow(net.wiring, seen), host="a", command="ping", channel=[],
        passages=[passage],
    )  # fmt: skip
    (trip,) = whole.trips  # it stays one packet
    return trip
