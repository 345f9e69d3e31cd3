# SPDX-License-Identifier: Apache-2.0
"""hoplab.decode.datapath_actions: what becomes of a frame's bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoplab.decode.datapath_actions import carry_out, fingerprint

ETHERNET = bytes.fromhex("020000000002" "020000000001" "0800")
IP = bytes.fromhex("4500001c000100004011abcd0a0000010a000002")
FRAME = ETHERNET + IP + bytes.fromhex("00350036000800ff")


def sent(actions: str, frame: bytes = FRAME) -> list[tuple[str, str]]:
    return [(port, data.hex()) for port, data in carry_out(actions, frame).sent]


def test_what_stands_before_a_port_has_been_done_to_its_copy() -> None:
    tagged = FRAME[:12] + bytes.fromhex("81000064") + FRAME[12:]
    assert sent("1,push_vlan(vid=100,pcp=0),2,pop_vlan,3") == [
        ("1", FRAME.hex()), ("2", tagged.hex()), ("3", FRAME.hex()),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("action", "place", "value"),
    [
        ("set(eth(src=02:00:00:00:00:55))", 6, "020000000055"),
        ("set(eth(src=02:00:00:00:00:55,dst=02:00:00:00:00:66))", 0, "020000000066020000000055"),
        ("set(ipv4(src=10.0.0.9,ttl=63))", 22, "3f"),
        ("set(ipv4(src=10.0.0.9,dst=10.0.0.8,tos=0x4/0xfc))", 26, "0a0000090a000008"),
        ("set(udp(src=1000))", 34, "03e80036"),
    ],
)
def test_fields_are_set(action: str, place: int, value: str) -> None:
    ((_, data),) = sent(f"{action},4")
    assert data[2 * place :].startswith(value)
    assert len(data) == 2 * len(FRAME)


def test_mpls_comes_and_goes() -> None:
    push = "push_mpls(label=17,tc=0,ttl=64,bos=1,eth_type=0x8847)"
    assert sent(f"{push},2,pop_mpls(eth_type=0x800),3") == [
        ("2", (ETHERNET[:12] + bytes.fromhex("884700011140") + FRAME[14:]).hex()),
        ("3", FRAME.hex()),
    ]


def test_a_clone_is_changed_alone() -> None:
    assert [port for port, _ in sent("clone(set(eth(src=02:00:00:00:00:55)),1),2")] == ["1", "2"]
    assert sent("clone(set(eth(src=02:00:00:00:00:55)),1),2")[1][1] == FRAME.hex()


def test_the_controller_is_no_port() -> None:
    result = carry_out("meter(0),userspace(pid=0,controller(reason=1,max_len=65535)),2", FRAME)
    assert result.asked and [port for port, _ in result.sent] == ["2"]


def test_what_is_not_known_is_named() -> None:
    assert carry_out("set(tunnel(dst=1.2.3.4)),2", FRAME).unsure == "set(tunnel(dst=1.2.3.4))"
    assert carry_out("set(arp(op=2)),2", FRAME).unsure == "set(arp(op=2))"


def test_frames_are_alike_whatever_their_checksums_and_padding() -> None:
    altered = bytearray(FRAME)
    altered[24:26] = b"\1\2"
    altered[40:42] = b"\3\4"
    assert fingerprint(bytes(altered)) == fingerprint(FRAME + bytes(18))
    altered[30] ^= 1
    assert fingerprint(bytes(altered)) != fingerprint(FRAME)


@given(st.text(), st.binary(max_size=80))
def test_nothing_is_a_fault(actions: str, frame: bytes) -> None:
    carry_out(actions, frame)
    fingerprint(frame)
