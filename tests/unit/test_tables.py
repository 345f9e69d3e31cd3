# SPDX-License-Identifier: Apache-2.0
"""A switch's table read from what ovs-ofctl prints, and a controller's pulse."""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import threading
from typing import Any

import pytest

from hoplab.control import process
from hoplab.openvswitch import tables

# As Open vSwitch 3.1 prints them: Nicira's form and OpenFlow 1.3's.
NICIRA = """NXST_FLOW reply (xid=0x4):
 cookie=0x0, duration=0.624s, table=0, n_packets=7, n_bytes=420, idle_age=0, priority=4,dl_dst=01:80:c2:00:00:00/ff:ff:ff:ff:ff:f0 actions=drop
 cookie=0x0, duration=0.318s, table=0, n_packets=9, n_bytes=450, idle_timeout=300, idle_age=5, priority=2,in_port=3,dl_src=02:00:00:00:03:00 actions=resubmit(,1)
 cookie=0x0, duration=0.624s, table=0, n_packets=23, n_bytes=1038, idle_age=0, priority=0 actions=CONTROLLER:65535
 cookie=0x1f, duration=3.5s, table=1, n_packets=4, n_bytes=204, hard_timeout=300, idle_age=2, hard_age=1, priority=2,dl_dst=02:00:00:00:03:00 actions=output:3
 cookie=0x0, duration=0.624s, table=1, n_packets=0, n_bytes=0, idle_age=0, priority=0 actions=FLOOD
"""  # noqa: E501
PAIRS = """OFPST_FLOW reply (OF1.3) (xid=0x2):
 cookie=0x0, duration=9.257s, table=0, n_packets=2, n_bytes=96, idle_timeout=300, send_flow_rem priority=1,in_port="s1-eth2",dl_src=02:00:00:00:02:00,dl_dst=02:00:00:00:01:00 actions=output:"s1-eth1"
 cookie=0x0, duration=4.257s, table=0, n_packets=3, n_bytes=96, idle_timeout=300, send_flow_rem priority=1,in_port="s1-eth2",dl_src=02:00:00:00:02:00,dl_dst=02:00:00:00:04:00 actions=output:"s1-eth4"
 cookie=0x0, duration=1.5s, table=0, n_packets=1, n_bytes=54, tcp,nw_dst=10.0.0.2,tp_dst=23 actions=drop
"""  # noqa: E501


def test_flows_are_read_with_every_counter() -> None:
    flows = tables.parse_flows(NICIRA)
    assert [(f["table"], f["priority"]) for f in flows] == [(0, 4), (0, 2), (0, 0), (1, 2), (1, 0)]
    flow = flows[3]
    assert flow == {
        "cookie": 0x1F, "age_s": 3.5, "table": 1, "packets": 4, "bytes": 204, "idle_s": 2,
        "hard_timeout_s": 300, "hard_age_s": 1, "priority": 2,
        "match": "dl_dst=02:00:00:00:03:00", "actions": "output:3",
    }  # fmt: skip
    assert flows[1]["actions"] == "goto_table:1" and flows[2]["match"] == ""
    strange = tables.parse_flows(PAIRS)
    assert [f["match"] for f in strange if f["priority"] == 32768] == [
        "tcp,nw_dst=10.0.0.2,tp_dst=23"
    ]


def test_an_address_is_where_frames_for_it_are_sent() -> None:
    (entry,) = tables.addresses(tables.parse_flows(NICIRA))
    assert (entry["mac"], entry["port"], entry["idle_s"]) == ("02:00:00:00:03:00", "3", 2)
    assert (entry["age_s"], entry["packets"]) == (3.5, 4)


def test_flows_for_pairs_say_where_their_source_is() -> None:
    (entry,) = tables.addresses(tables.parse_flows(PAIRS))
    assert (entry["mac"], entry["port"]) == ("02:00:00:00:02:00", "s1-eth2")
    assert (entry["age_s"], entry["packets"], entry["flows"]) == (9.257, 5, 2)


def test_a_flow_that_sends_to_several_ports_is_no_entry() -> None:
    line = " cookie=0x0, duration=1s, n_packets=0, n_bytes=0, dl_dst=02:00:00:00:00:01 actions="
    for actions in ("output:1,output:2", "FLOOD", "drop", "CONTROLLER:128"):
        assert tables.addresses(tables.parse_flows(line + actions)) == []


def test_open_vswitchs_own_table_is_read() -> None:
    text = " port  VLAN  MAC                Age\n    2     0  02:00:00:00:02:00   17\n"
    (entry,) = tables.parse_fdb(text + "LOCAL     0  02:00:00:00:09:00  static\n")
    assert (entry["mac"], entry["port"], entry["idle_s"]) == ("02:00:00:00:02:00", "2", 17)


# ---- the pulse ----------------------------------------------------------------------------------


class Peer:
    """A controller that answers as many echoes as it is told to, and then none."""

    def __init__(self, answers: int) -> None:
        self.answers = answers
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.seen = threading.Semaphore(0)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self) -> None:
        peer, _ = self.listener.accept()
        with contextlib.suppress(ConnectionError):
            peer.sendall(struct.pack("!BBHI", 4, 0, 8, 1))
            while data := peer.recv(8, socket.MSG_WAITALL):
                _, kind, _, number = struct.unpack("!BBHI", data)
                if kind == 2 and self.answers > 0:
                    self.answers -= 1
                    peer.sendall(struct.pack("!BBHI", 4, 3, 8, number))
                self.seen.release()


@pytest.mark.parametrize("answers", [0, 3])
def test_unanswered_echoes_in_a_row_are_a_stopped_pulse(
    answers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer = Peer(answers)
    pulse = process.Echoes(peer.port)
    select.select([pulse._socket], [], [], 30)  # it is greeted first
    clock: Any = [1000.0]
    monkeypatch.setattr(process.time, "monotonic", lambda: clock[0])
    beats = 0
    while not pulse.stopped():
        clock[0] += process.Echoes.BEAT_S
        beats += 1
        assert beats < 50
        # What was asked has been seen, and answered if it was to be.
        assert peer.seen.acquire(timeout=30)
        if beats == 1:
            assert peer.seen.acquire(timeout=30)  # the greeting came along
    assert beats == answers + process.Echoes.BEATS
    pulse.close()


def test_who_asks_too_often_is_not_answered_sooner() -> None:
    peer = Peer(0)
    pulse = process.Echoes(peer.port)
    select.select([pulse._socket], [], [], 30)  # it is greeted first
    assert not any(pulse.stopped() for _ in range(100))
    pulse.close()


# ---- any layout of tables -----------------------------------------------------------------------

# As Open vSwitch 3.1 prints them in OpenFlow 1.5.
NEWEST = """OFPST_FLOW reply (OF1.5) (xid=0x2):
 cookie=0x0, duration=0.506s, table=0, n_packets=0, n_bytes=0, idle_age=0, priority=50,ip,nw_dst=10.0.0.2 actions=group:7
 cookie=0x0, duration=0.303s, table=0, n_packets=0, n_bytes=0, importance=7, idle_age=0, priority=60,dl_dst=02:00:00:00:04:00 actions=output:4
 cookie=0x0, duration=0.462s, table=0, n_packets=0, n_bytes=0, idle_timeout=60, hard_timeout=600, send_flow_rem idle_age=3, priority=51,tcp,nw_dst=10.0.0.0/8,tp_dst=80 actions=meter:1,write_actions(output:2),goto_table:1
 cookie=0x0, duration=0.244s, table=0, n_packets=0, n_bytes=0, idle_age=0, priority=61,in_port=2,dl_dst=02:00:00:00:03:00 actions=output:3
 cookie=0x0, duration=0.416s, table=1, n_packets=0, n_bytes=0, idle_age=0, priority=5,in_port=1,dl_vlan=100,dl_src=02:00:00:00:01:00 actions=pop_vlan,set_field:00:00:00:00:00:09->eth_dst,output:3
 cookie=0x0, duration=0.343s, table=2, n_packets=0, n_bytes=0, idle_age=0, priority=5,metadata=0x1/0xf actions=write_metadata:0x5,goto_table:3
 cookie=0x0, duration=0.046s, table=6, n_packets=0, n_bytes=0, idle_age=0, priority=9,ipv6 actions=learn(table=7,idle_timeout=10,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],output:NXM_OF_IN_PORT[]),output:1
 cookie=0x0, duration=0.044s, table=6, n_packets=0, n_bytes=0, idle_age=0, priority=8,dl_dst=ff:ff:ff:ff:ff:ff actions=output:1
"""  # noqa: E501
GROUPS = """OFPST_GROUP_DESC reply (OF1.5) (xid=0x2):
 group_id=7,type=all,bucket=bucket_id:1,actions=output:1,bucket=bucket_id:2,actions=push_vlan:0x8100,set_field:4196->vlan_vid,output:2
 group_id=3,type=ff,bucket=bucket_id:1,watch_port:1,actions=output:1
 group_id=9,type=select,bucket=bucket_id:1,weight:10,actions=drop
 group_id=11,type=indirect
"""
GROUP_COUNTERS = """OFPST_GROUP reply (OF1.5) (xid=0x2):
 group_id=7,duration=0.719s,ref_count=1,packet_count=5,byte_count=500,bucket0:packet_count=3,byte_count=300,bucket1:packet_count=2,byte_count=200
"""
METERS = """OFPST_METER_CONFIG reply (OF1.5) (xid=0x2):
meter=1 pktps burst stats bands=
type=drop rate=10 burst_size=5

meter=2 kbps stats bands=
type=dscp_remark rate=500 prec_level=1
type=drop rate=1000
"""
METER_COUNTERS = """OFPST_METER reply (OF1.5) (xid=0x2):
meter:2 flow_count:1 packet_in_count:7 byte_in_count:700 duration:0.637s bands:
0: packet_count:2 byte_count:200
1: packet_count:1 byte_count:100
meter:1 flow_count:1 packet_in_count:20 byte_in_count:2000 duration:0.637s bands:
0: packet_count:19 byte_count:1900
"""


def switch(**parts: Any) -> dict[str, Any]:
    return {"name": "s1", "addresses": [], "flows": [], "groups": [], "meters": [], "rates": {},
            **parts}  # fmt: skip


def test_every_flow_is_an_address_or_is_shown() -> None:
    flows = tables.parse_flows(NEWEST)
    assert len(flows) == len(NEWEST.splitlines()) - 1
    entries = tables.addresses(flows)
    assert [(e["mac"][-5:], e["port"]) for e in entries] == [("03:00", "3"), ("04:00", "4")]
    for entry in entries:
        entry |= {"who": None, "towards": None}
    addresses, rows, _ = tables.as_rows(switch(addresses=entries, flows=flows), every_flow=False)
    assert len(addresses) == 2 and len(rows) == len(flows) - 2
    _, every, _ = tables.as_rows(switch(flows=flows), every_flow=True)
    assert len(every) == len(flows)
    (goes_on,) = [row for row in rows if row[6] == "tcp,nw_dst=10.0.0.0/8,tp_dst=80"]
    assert goes_on[7] == "meter:1,write_actions(output:2),goto_table:1" and goes_on[5] == "3 s"


def test_an_address_at_two_ports_is_shown_twice() -> None:
    moved = PAIRS + PAIRS.splitlines()[1].replace("s1-eth2", "s1-eth3")
    assert len(tables.addresses(tables.parse_flows(moved))) == 2


def test_groups_are_shown_bucket_by_bucket() -> None:
    groups = tables.parse_groups(GROUPS, GROUP_COUNTERS)
    assert [group["group"] for group in groups] == [3, 7, 9, 11]
    assert groups[1]["buckets"][1]["packets"] == 2
    rows = tables.group_rows(switch(groups=groups))
    assert rows[1] == ["7", "all", "1", "3", "300", "output:1"]
    assert rows[2][5] == "push_vlan:0x8100,set_vlan:100,output:2"
    assert rows[0] == ["3", "ff", "1", "-", "-", "watch_port:1  output:1"]
    assert rows[3][5] == "weight:10  drop" and rows[4][:3] == ["11", "indirect", "-"]


def test_meters_are_shown_band_by_band_with_what_they_struck() -> None:
    meters = tables.parse_meters(METERS, METER_COUNTERS)
    assert tables.meter_rows(switch(meters=meters)) == [
        ["1", "drop", "10 packets a second", "20", "19"],
        ["2", "dscp_remark", "500 kbit/s", "7", "2"],
        ["2", "drop", "1,000 kbit/s", "7", "1"],
    ]
    assert tables.meter_rows(switch(meters=tables.parse_meters(METERS)))[0][3:] == ["-", "-"]
