# SPDX-License-Identifier: Apache-2.0
"""hoplab.decode.openflow beside 1.3: messages made by Ryu, and kept captures of other versions."""

from __future__ import annotations

import importlib
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from hoplab import runs
from hoplab.decode import openflow
from hoplab.follow.passages import CONTROLLER
from hoplab.openvswitch.shadow import missing
from hoplab.replay.explain import Explainer

KEPT = Path(__file__).parent.parent / "data" / "replay"
FRAME = bytes.fromhex("0200000000020200000000010800") + bytes(50)
A, B = "02:00:00:00:00:01", "02:00:00:00:00:02"


class Datapath:
    """What Ryu asks of a switch to make a message for it."""

    def __init__(self, name: str) -> None:
        self.ofproto = importlib.import_module(f"ryu.ofproto.ofproto_v{name}")
        self.ofproto_parser = importlib.import_module(f"ryu.ofproto.ofproto_v{name}_parser")

    def bytes_of(self, message: Any) -> bytes:
        message.set_xid(7)
        message.serialize()
        return bytes(message.buf)


def decoded(datapath: Datapath, message: Any) -> openflow.Message:
    text = openflow.decode(datapath.bytes_of(message))
    assert text.problem == "" and text.xid == 7
    return text


def test_a_flow_mod_of_1_0_is_told_in_the_words_of_1_3() -> None:
    datapath = Datapath("1_0")
    parser, ofproto = datapath.ofproto_parser, datapath.ofproto
    match = parser.OFPMatch(
        in_port=3, dl_src=A, dl_type=0x0800, nw_proto=6, nw_dst="10.0.0.0", nw_dst_mask=24,
        tp_dst=80,
    )  # fmt: skip
    message = decoded(datapath, parser.OFPFlowMod(
        datapath, match, 5, ofproto.OFPFC_ADD, idle_timeout=10, hard_timeout=20, priority=9,
        actions=[parser.OFPActionOutput(2), parser.OFPActionOutput(ofproto.OFPP_CONTROLLER)],
    ))  # fmt: skip
    assert (message.kind, message.command, message.table) == ("flow-mod", "add", 0)
    assert (message.cookie, message.priority, message.idle_s, message.hard_s) == (5, 9, 10, 20)
    assert message.ports == ("2", "CONTROLLER")
    assert str(message.match) == (
        f"in_port=3, eth_src={A}, eth_type=0x0800, ip_proto=6, ipv4_dst=10.0.0.0/255.255.255.0, "
        "tcp_dst=80"
    )


def test_a_deletion_of_1_0_means_all_tables() -> None:
    datapath = Datapath("1_0")
    parser, ofproto = datapath.ofproto_parser, datapath.ofproto
    message = decoded(datapath, parser.OFPFlowMod(
        datapath, parser.OFPMatch(), 0, ofproto.OFPFC_DELETE, out_port=ofproto.OFPP_NONE
    ))  # fmt: skip
    assert (message.command, message.table, message.only) == ("delete", 0xFF, None)
    assert message.match is not None and not message.match.fields


def test_a_packet_out_of_1_0() -> None:
    datapath = Datapath("1_0")
    parser, ofproto = datapath.ofproto_parser, datapath.ofproto
    message = decoded(datapath, parser.OFPPacketOut(
        datapath, ofproto.OFP_NO_BUFFER, 4, [parser.OFPActionOutput(ofproto.OFPP_FLOOD)], FRAME
    ))  # fmt: skip
    assert (message.in_port, message.ports, message.data) == (4, ("FLOOD",), FRAME)
    assert message.buffer_id == openflow.NO_BUFFER


@pytest.mark.parametrize("name", ["1_2", "1_4", "1_5"])
def test_a_flow_mod_and_a_packet_out_of_later_versions(name: str) -> None:
    datapath = Datapath(name)
    parser, ofproto = datapath.ofproto_parser, datapath.ofproto
    output = [parser.OFPActionOutput(2)]
    apply = parser.OFPInstructionActions(ofproto.OFPIT_APPLY_ACTIONS, output)
    message = decoded(datapath, parser.OFPFlowMod(
        datapath, cookie=6, table_id=1, priority=8, match=parser.OFPMatch(eth_dst=B),
        instructions=[apply],
    ))  # fmt: skip
    assert (message.cookie, message.table, message.priority, message.ports) == (6, 1, 8, ("2",))
    assert str(message.match) == f"eth_dst={B}"
    where: dict[str, Any] = {"in_port": 3}
    if name == "1_5":
        where = {"match": parser.OFPMatch(in_port=3)}
    message = decoded(datapath, parser.OFPPacketOut(
        datapath=datapath, buffer_id=ofproto.OFP_NO_BUFFER, actions=output, data=FRAME, **where
    ))  # fmt: skip
    assert (message.in_port, message.ports, message.data) == (3, ("2",), FRAME)
    assert len(message.actions) == 16


def test_a_bundle_of_1_4() -> None:
    datapath = Datapath("1_4")
    parser, ofproto = datapath.ofproto_parser, datapath.ofproto
    inner = parser.OFPFlowMod(datapath, match=parser.OFPMatch(eth_dst=B), instructions=[])
    inner.set_xid(7)
    message = decoded(datapath, parser.OFPBundleAddMsg(datapath, 3, 0, inner, []))
    assert message.bundle == 3 and message.inner is not None
    assert message.inner.kind == "flow-mod" and str(message.inner.match) == f"eth_dst={B}"
    message = decoded(datapath, parser.OFPBundleCtrlMsg(
        datapath, 3, ofproto.OFPBCT_COMMIT_REQUEST, 0, []
    ))  # fmt: skip
    assert (message.bundle, message.commit) == (3, True)


@cache
def kept(name: str) -> runs.Run:
    with Explainer() as explain:
        return runs.reopen(KEPT / name, explain=explain)


@pytest.mark.skipif(bool(missing()), reason="Open vSwitch is not installed")
@pytest.mark.parametrize("name", ["of10", "of15"])
def test_a_controller_of_another_version_is_followed(name: str) -> None:
    """Questions, answers, and the flows that came of them."""
    run = kept(name)
    assert run.passages and all(passage.fits for passage in run.passages)
    first, second, third, fourth = [trip.decisions for trip in run.story.trips[:4]]
    assert [made.by for made in (*first, *second, *third)] == ["controller"] * 3
    assert [made.answer for made in (*first, *second)] == ["flood", "port 1 (s1-eth1)"]
    assert [len(made.installed) for made in (*first, *second, *third)] == [0, 1, 1]
    (by_flow,) = fourth
    assert by_flow.by == "flow" and by_flow.flow.endswith("(installed because of #2)")
    passage = by_flow.passage
    assert passage is not None and passage.flows[0].came == CONTROLLER


@pytest.mark.skipif(bool(missing()), reason="Open vSwitch is not installed")
def test_a_flow_is_due_to_a_question_that_it_fits() -> None:
    """A balancer puts in two flows, and only one of them has the addresses of the frame that it was
    asked about: of the other the frames do not show whose it is."""
    way_there, way_back = kept("balancer").story.trips[4].decisions, kept("balancer").story.trips[3]
    (asked,) = way_there
    assert len(asked.installed) == 1
    (by_flow,) = way_back.decisions
    assert by_flow.flow.endswith("tcp_dst=37480 (installed during the capture)")
    later = kept("balancer").story.trips[5].decisions[0].flow
    assert later.endswith("tcp_src=37480 (installed because of #5)")
