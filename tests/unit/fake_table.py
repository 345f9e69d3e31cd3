# SPDX-License-Identifier: Apache-2.0
"""A switch made of dictionaries: it applies the messages a controller sends, and forwards frames.

The cast:
    FakeSwitch   stands in for a Ryu datapath. It takes messages by `send_msg`, keeps flow tables,
                 expires flows by its own clock, and answers `leaves_by(in_port, frame, port)`.
    Rig          one controller app with one or more fake switches: carries messages both ways,
                 calls the app's handlers as Ryu would, and moves the clock.
    load         loads a controller file by path, as ryu-manager does.

Nothing here opens a socket or starts a thread. What it knows of OpenFlow is what our controllers
use; anything else raises, so that no test passes by being ignored.
"""

from __future__ import annotations

import importlib.util
import inspect
import os
import struct
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from hoplab.control import osken_main, ryu_main

ryu_main.prepare(alone=False)
if os.environ.get("HOPLAB_TEST_PLATFORM") == "os-ken":
    osken_main.alias()

from ryu.base import app_manager  # noqa: E402
from ryu.controller import ofp_event  # noqa: E402
from ryu.controller.handler import (  # noqa: E402
    CONFIG_DISPATCHER,
    DEAD_DISPATCHER,
    MAIN_DISPATCHER,
)
from ryu.ofproto import ofproto_parser  # noqa: E402
from ryu.ofproto import ofproto_v1_3 as ofp  # noqa: E402
from ryu.ofproto import ofproto_v1_3_parser as parser  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]


def mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def frame(destination: str, source: str, payload: bytes = b"\x08\x00" + bytes(48)) -> bytes:
    return mac(destination) + mac(source) + payload


@dataclass
class Flow:
    """A flow entry, with the times that its timeouts count from."""

    table: int
    priority: int
    match: dict[str, Any]
    instructions: list[Any]
    idle_timeout: int
    hard_timeout: int
    flags: int
    cookie: int
    added_s: float
    used_s: float

    def takes(self, fields: dict[str, Any]) -> bool:
        """Does its match take a frame with these fields?"""
        for name, wanted in self.match.items():
            if name not in KNOWN_FIELDS:
                raise NotImplementedError(f"match on {name}")
            if name not in fields:
                return False  # a field of a protocol that this frame is not of
            value, mask = wanted if isinstance(wanted, tuple) else (wanted, None)
            have, want = number(fields[name]), number(value)
            bits = -1 if mask is None else number(mask)
            if have & bits != want & bits:
                return False
        return True

    def outputs(self) -> list[int]:
        return [
            action.port
            for instruction in self.instructions
            if isinstance(instruction, parser.OFPInstructionActions)
            for action in instruction.actions
            if isinstance(action, parser.OFPActionOutput)
        ]


KNOWN_FIELDS = {
    "in_port", "eth_dst", "eth_src", "eth_type", "eth_type_nxm", "ipv4_src", "ipv4_dst", "ip_proto",
    "nw_ttl", "tcp_dst", "udp_dst", "arp_spa", "arp_tpa", "reg0", "reg1",
}  # fmt: skip


def number(value: Any) -> int:
    """A field's value as a number: OpenFlow matches bits."""
    if isinstance(value, int):
        return value
    if isinstance(value, bytes):
        return int.from_bytes(value, "big")
    return int.from_bytes(mac(value), "big") if ":" in value else int(IPv4Address(value))


def fields_of(in_port: int, data: bytes) -> dict[str, Any]:
    """What a switch reads of a frame (OpenFlow 1.3.5, 7.2.3.7)."""
    kind = int.from_bytes(data[12:14], "big")
    fields: dict[str, Any] = {
        "in_port": in_port, "eth_dst": data[:6], "eth_src": data[6:12], "eth_type": kind,
        "eth_type_nxm": kind, "reg0": 0, "reg1": 0,
    }  # fmt: skip
    if kind == 0x0800 and len(data) >= 34 and data[14] >> 4 == 4:
        fields |= {"ipv4_src": data[26:30], "ipv4_dst": data[30:34], "ip_proto": data[23],
                   "nw_ttl": data[22]}  # fmt: skip
        start = 14 + (data[14] & 15) * 4
        name = {6: "tcp_dst", 17: "udp_dst"}.get(data[23])
        if name and len(data) >= start + 4:
            fields[name] = data[start + 2 : start + 4]
    elif kind == 0x0806 and len(data) >= 42:
        fields |= {"arp_spa": data[28:32], "arp_tpa": data[38:42]}
    return fields


def ttl_less(data: bytes) -> bytes:
    """One from the TTL, and the checksum put right the short way (RFC 1624)."""
    total = int.from_bytes(data[24:26], "big") + 0x100
    total = (total & 0xFFFF) + (total >> 16)
    return data[:22] + bytes([data[22] - 1, data[23]]) + total.to_bytes(2, "big") + data[26:]


@dataclass(eq=False)
class FakeSwitch:
    """One switch. `ports` are those that are up; `bundles=False` makes one that refuses them."""

    id: int = 1
    ports: tuple[int, ...] = (1, 2, 3, 4)
    bundles: bool = True
    buffers: bool = False
    now_s: float = 1000.0
    flows: list[Flow] = field(default_factory=list)
    left: list[tuple[int, bytes]] = field(default_factory=list)  # (port, frame), in order
    to_app: list[Any] = field(default_factory=list)  # messages on their way to the controller
    packet_ins: int = 0
    applied: list[str] = field(default_factory=list)  # "bundle of 3", "add", "delete", ...
    kept: dict[int, tuple[int, bytes]] = field(default_factory=dict)  # buffer -> port, frame
    open_bundle: list[Any] | None = None
    room: int | None = None  # flows that fit, if there is an end to it
    asked: list[Any] = field(default_factory=list)  # statistics requests
    xid: int = 100
    socket: Any = None

    ofproto = ofp
    ofproto_parser = parser

    # ---- what a controller calls ----

    def set_xid(self, msg: Any) -> None:
        self.xid += 1
        msg.set_xid(self.xid)

    def send_msg(self, msg: Any) -> None:
        if msg.xid is None:
            self.set_xid(msg)
        msg.serialize()  # what cannot be put into bytes fails here
        if isinstance(msg, parser.OFPFlowMod):
            self.applied.append({0: "add", 3: "delete", 4: "delete"}.get(msg.command, "modify"))
            self._flow_mod(msg)
        elif isinstance(msg, parser.OFPPacketOut):
            self._packet_out(msg)
        elif isinstance(msg, parser.OFPMultipartRequest):
            self.asked.append(msg)
        else:
            raise NotImplementedError(type(msg).__name__)

    def send(self, data: bytes) -> None:
        """Bytes that hold one message after the other, as an app that makes its own sends them."""
        while data:
            version, kind, length, xid = ofproto_parser.header(data)
            message, data = data[:length], data[length:]
            assert len(message) == length, "half a message"
            if kind == ofp.OFPT_EXPERIMENTER:
                self._bundle_part(message, xid)
                continue
            if kind == ofp.OFPT_FLOW_MOD:
                msg = parser.OFPFlowMod.parser(self, version, kind, length, xid, message)
            else:  # OpenFlow 1.3.5, 7.3.7; Ryu only writes these
                assert kind == ofp.OFPT_PACKET_OUT, kind
                buffer_id, in_port, size = struct.unpack_from("!IIH", message, 8)
                actions = [parser.OFPAction.parser(message, 24)] if size else []
                rest = message[24 + size :]
                msg = parser.OFPPacketOut(self, buffer_id, in_port, actions, rest or None)
                msg.set_xid(xid)
            self.send_msg(msg)
            assert bytes(msg.buf) == message, "not as Ryu would have written it"
        assert self.open_bundle is None, "half a bundle: others may send between its halves"

    def _bundle_part(self, message: bytes, xid: int) -> None:
        """A message of ONF extension 230; Ryu only writes these."""
        experimenter, kind = struct.unpack_from("!II", message, 8)
        assert experimenter == 0x4F4E4600
        if kind == ofp.ONF_ET_BUNDLE_CONTROL:
            msg = parser.ONFBundleCtrlMsg(self, *struct.unpack_from("!IHH", message, 16), [])
        else:
            assert kind == ofp.ONF_ET_BUNDLE_ADD_MESSAGE
            inner = message[24:]
            assert inner[:2] == b"\x04\x0e" and inner[4:8] == message[4:8], "a flow-mod, same xid"
            mod = parser.OFPFlowMod.parser(self, *ofproto_parser.header(inner), inner)
            msg = parser.ONFBundleAddMsg(self, *struct.unpack_from("!I2xH", message, 16), mod, [])
        msg.set_xid(xid)
        msg.serialize()
        assert bytes(msg.buf) == message, "not as Ryu would have written it"
        if not self.bundles:
            self._refuse(msg)
        elif isinstance(msg, parser.ONFBundleCtrlMsg):
            self._bundle_control(msg)
        else:
            assert self.open_bundle is not None, "message added to no bundle"
            self.open_bundle.append(mod)

    def _refuse(
        self, msg: Any, kind: int = ofp.OFPET_BAD_REQUEST, code: int = ofp.OFPBRC_BAD_EXPERIMENTER
    ) -> None:
        error = SimpleNamespace(
            datapath=self,
            xid=msg.xid,
            type=kind,
            code=code,
            data=bytes(msg.buf[:64]),
        )
        self.to_app.append((ofp_event.EventOFPErrorMsg, error))

    def _bundle_control(self, msg: Any) -> None:
        if msg.type == ofp.ONF_BCT_OPEN_REQUEST:
            assert self.open_bundle is None, "a second bundle while one is open"
            assert msg.flags == ofp.ONF_BF_ATOMIC | ofp.ONF_BF_ORDERED
            self.open_bundle = []
        elif msg.type == ofp.ONF_BCT_COMMIT_REQUEST:
            assert self.open_bundle is not None, "commit of no bundle"
            self.applied.append(f"bundle of {len(self.open_bundle)}")
            for each in self.open_bundle:
                self._flow_mod(each)
            self.open_bundle = None
        else:
            raise NotImplementedError(f"bundle control type {msg.type}")

    def _flow_mod(self, msg: Any) -> None:
        match = dict(msg.match.items())
        if msg.command == ofp.OFPFC_ADD:
            new = Flow(
                msg.table_id,
                msg.priority,
                match,
                msg.instructions,
                msg.idle_timeout,
                msg.hard_timeout,
                msg.flags,
                msg.cookie,
                self.now_s,
                self.now_s,
            )
            # OpenFlow 1.3.5, 6.4: an identical match and priority is replaced, without a message.
            same = (new.table, new.priority, new.match)
            others_ = [f for f in self.flows if (f.table, f.priority, f.match) != same]
            if self.room is not None and len(others_) >= self.room:
                self._refuse(msg, ofp.OFPET_FLOW_MOD_FAILED, ofp.OFPFMFC_TABLE_FULL)
                return
            self.flows = [*others_, new]
        elif msg.command in (ofp.OFPFC_DELETE, ofp.OFPFC_DELETE_STRICT):
            strict = msg.command == ofp.OFPFC_DELETE_STRICT

            def goes(flow: Flow) -> bool:
                if msg.table_id not in (ofp.OFPTT_ALL, flow.table):
                    return False
                if flow.cookie & msg.cookie_mask != msg.cookie & msg.cookie_mask:
                    return False
                if msg.out_port != ofp.OFPP_ANY and msg.out_port not in flow.outputs():
                    return False
                if strict:
                    return flow.priority == msg.priority and flow.match == match
                # Non-strict: every field given is in the flow, with the same value.
                return all(flow.match.get(name) == value for name, value in match.items())

            gone = [flow for flow in self.flows if goes(flow)]
            self.flows = [flow for flow in self.flows if not goes(flow)]
            for flow in gone:
                self._tell_removed(flow, ofp.OFPRR_DELETE)
        else:
            raise NotImplementedError(f"flow-mod command {msg.command}")

    def _packet_out(self, msg: Any) -> None:
        if msg.buffer_id == ofp.OFP_NO_BUFFER:
            data = bytes(msg.data)
        else:
            assert not msg.data, "a packet-out has a buffer or data, not both"
            _, data = self.kept.pop(msg.buffer_id)
        for action in msg.actions:
            for port in self._reached(action.port, msg.in_port):
                self.left.append((port, data))

    # ---- frames ----

    def _reached(self, port: int, in_port: int) -> list[int]:
        if port in (ofp.OFPP_FLOOD, ofp.OFPP_NORMAL):  # NORMAL has learned nothing here
            return [each for each in self.ports if each != in_port]
        if port in self.ports:
            # OpenFlow 1.3.5, 4.5: never back by the ingress port unless IN_PORT says so.
            return [port] if port != in_port else []
        if port > ofp.OFPP_MAX:
            raise NotImplementedError(f"output to reserved port {port:#x}")
        return []

    def forward(
        self, in_port: int, data: bytes, use: bool = True
    ) -> tuple[list[tuple[int, bytes]], bool]:
        """What leaves by which port, and whether the frame goes to the controller."""
        out: list[tuple[int, bytes]] = []
        controller = False
        table: int | None = 0
        fields = fields_of(in_port, data)
        while table is not None:
            takers = [f for f in self.flows if f.table == table and f.takes(fields)]
            table = None
            if not takers:
                break  # no table-miss flow: dropped (OpenFlow 1.3.5, 5.4)
            flow = max(takers, key=lambda f: f.priority)
            rivals = [f for f in takers if f.priority == flow.priority]
            assert len(rivals) == 1, f"two flows of one priority take the frame: {rivals}"
            if use:
                flow.used_s = self.now_s
            for instruction in flow.instructions:
                if isinstance(instruction, parser.OFPInstructionGotoTable):
                    assert instruction.table_id > flow.table, "goto-table goes forward only"
                    table = instruction.table_id
                    continue
                for action in instruction.actions:
                    if not isinstance(action, parser.OFPActionOutput):
                        data = self._act(action, data, fields, use)
                    elif action.port == ofp.OFPP_CONTROLLER:
                        controller = True
                    else:
                        reached = self._reached(action.port, fields["in_port"])
                        out += [(port, data) for port in reached]
        return out, controller

    def _act(self, action: Any, data: bytes, fields: dict[str, Any], use: bool) -> bytes:
        """An action that sends nothing; the frame afterwards."""
        if isinstance(action, parser.OFPActionSetField):
            value = mac(action.value)
            assert action.key in ("eth_dst", "eth_src"), action.key
            return value + data[6:] if action.key == "eth_dst" else data[:6] + value + data[12:]
        if isinstance(action, parser.OFPActionDecNwTtl):
            return ttl_less(data)
        if isinstance(action, parser.NXActionRegLoad):
            name = {"in_port_nxm": "in_port"}.get(action.dst, action.dst)
            assert name in KNOWN_FIELDS, name
            fields[name] = action.value
        elif isinstance(action, parser.NXActionRegMove):
            fields[action.dst_field] = fields[action.src_field]
        elif isinstance(action, parser.NXActionLearn):
            if use:
                self._learn(action, data, fields)
        else:
            raise NotImplementedError(type(action).__name__)
        return data

    def _learn(self, action: Any, data: bytes, fields: dict[str, Any]) -> None:
        """Open vSwitch's learn action, as far as it makes MAC tables (ovs-actions(7), learn)."""
        match, output = action.specs
        assert (match.src[0], match.dst[0], match.n_bits) == ("eth_src_nxm", "eth_dst_nxm", 48)
        assert (output.src[0], output.n_bits) == ("in_port_nxm", 16)
        to = parser.OFPActionOutput(fields["in_port"])
        flow_mod = SimpleNamespace(
            command=ofp.OFPFC_ADD,
            table_id=action.table_id,
            priority=action.priority,
            match=parser.OFPMatch(eth_dst=data[6:12].hex(":")),
            instructions=[parser.OFPInstructionActions(ofp.OFPIT_APPLY_ACTIONS, [to])],
            idle_timeout=action.idle_timeout,
            hard_timeout=action.hard_timeout,
            flags=0,
            cookie=action.cookie,
        )
        self._flow_mod(flow_mod)

    def leaves_by(self, in_port: int, data: bytes, port: int) -> bool:
        """Would the switch itself, as it is, send this frame out of that port?"""
        return port in [to for to, _ in self.forward(in_port, data, use=False)[0]]

    def receive(self, in_port: int, data: bytes) -> None:
        """A frame comes in: forwarded as the flows say, perhaps sent to the controller."""
        out, controller = self.forward(in_port, data)
        self.left += out
        if controller:
            self.packet_in(in_port, data)

    def packet_in(
        self, in_port: int | None, data: bytes, buffer_id: int | None = None, cut: int | None = None
    ) -> None:
        """A packet-in; `cut` shows the controller only that many bytes."""
        self.packet_ins += 1
        if buffer_id is None and self.buffers:
            buffer_id = len(self.kept)
        if buffer_id is not None and in_port is not None:
            self.kept[buffer_id] = (in_port, data)
        msg = SimpleNamespace(
            datapath=self,
            buffer_id=ofp.OFP_NO_BUFFER if buffer_id is None else buffer_id,
            total_len=len(data),
            reason=ofp.OFPR_NO_MATCH,
            match=parser.OFPMatch(**({} if in_port is None else {"in_port": in_port})),
            data=data if cut is None else data[:cut],
        )
        self.to_app.append((ofp_event.EventOFPPacketIn, msg))

    # ---- time ----

    def _tell_removed(self, flow: Flow, reason: int) -> None:
        if flow.flags & ofp.OFPFF_SEND_FLOW_REM:
            msg = SimpleNamespace(
                datapath=self,
                reason=reason,
                table_id=flow.table,
                priority=flow.priority,
                cookie=flow.cookie,
                match=parser.OFPMatch(**flow.match),
            )
            self.to_app.append((ofp_event.EventOFPFlowRemoved, msg))

    def expire(self) -> None:
        """Takes away what is over its idle or hard timeout."""
        for flow in list(self.flows):
            if flow.idle_timeout and self.now_s - flow.used_s >= flow.idle_timeout:
                reason = ofp.OFPRR_IDLE_TIMEOUT
            elif flow.hard_timeout and self.now_s - flow.added_s >= flow.hard_timeout:
                reason = ofp.OFPRR_HARD_TIMEOUT
            else:
                continue
            self.flows.remove(flow)
            self._tell_removed(flow, reason)


@dataclass
class Rig:
    """An app and its switches."""

    app: Any

    def deliver(self, event: Any, state: str) -> None:
        """Calls the app's handlers of this event in this state, as Ryu does."""
        for _, method in inspect.getmembers(self.app, inspect.ismethod):
            caller = getattr(method, "callers", {}).get(type(event))
            if caller is not None and state in caller.dispatchers:
                method(event)

    def connect(self, switch: FakeSwitch) -> FakeSwitch:
        """The switch says hello and which ports it has. An app's clock becomes its clock."""
        if hasattr(self.app, "now_s"):
            self.app.now_s = lambda: switch.now_s
        features = SimpleNamespace(datapath=switch, datapath_id=switch.id)
        self.deliver(ofp_event.EventOFPSwitchFeatures(features), CONFIG_DISPATCHER)
        ports = [port_description(switch.id, number) for number in (*switch.ports, ofp.OFPP_LOCAL)]
        reply = SimpleNamespace(datapath=switch, body=ports, flags=0)
        self.deliver(ofp_event.EventOFPPortDescStatsReply(reply), CONFIG_DISPATCHER)
        self.settle(switch)
        return switch

    def disconnect(self, switch: FakeSwitch) -> None:
        event = ofp_event.EventOFPStateChange(switch)
        event.state = DEAD_DISPATCHER
        self.deliver(event, DEAD_DISPATCHER)

    def settle(self, switch: FakeSwitch) -> None:
        """Carries messages to the app until none is left."""
        while switch.to_app:
            event_class, msg = switch.to_app.pop(0)
            self.deliver(event_class(msg), MAIN_DISPATCHER)

    def send(self, switch: FakeSwitch, in_port: int, data: bytes) -> list[int]:
        """A frame comes in; gives the ports by which it left, the controller's doing included."""
        left = self.gives(switch, in_port, data)
        assert all(sent == data for _, sent in left), "a frame was altered"
        return sorted(port for port, _ in left)

    def gives(self, switch: FakeSwitch, in_port: int, data: bytes) -> list[tuple[int, bytes]]:
        """The same for a node that alters frames: what left by which port, in order."""
        before = len(switch.left)
        switch.receive(in_port, data)
        self.settle(switch)
        return switch.left[before:]

    def wait(self, switch: FakeSwitch, seconds: float) -> None:
        switch.now_s += seconds
        switch.expire()
        self.settle(switch)

    def port_status(self, switch: FakeSwitch, number: int, reason: int, state: int = 0) -> None:
        msg = SimpleNamespace(
            datapath=switch, reason=reason, desc=port_description(switch.id, number, state)
        )
        self.deliver(ofp_event.EventOFPPortStatus(msg), MAIN_DISPATCHER)
        self.settle(switch)


def port_description(dpid: int, number: int, state: int = 0) -> Any:
    name = f"s{dpid}" if number == ofp.OFPP_LOCAL else f"s{dpid}-eth{number}"
    card = f"02:00:00:00:{dpid & 255:02x}:{number & 255:02x}"
    return SimpleNamespace(
        port_no=number, name=name.encode(), state=state, config=0, hw_addr=card
    )


def load(name: str) -> ModuleType:
    """A controller file of ours as a module."""
    path = ROOT / "controllers" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"controller_{name}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # dataclasses look their module up by name
    sys.modules[spec.name] = module
    sys.path.append(str(path.parent))  # while it loads, as ryu-manager does
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(path.parent))
    return module


def start(name: str) -> Rig:
    """A fresh app of that file."""
    module = load(name)
    for _, item in inspect.getmembers(module, inspect.isclass):
        if issubclass(item, app_manager.RyuApp) and item.__module__ == module.__name__:
            return Rig(item())
    raise AssertionError(f"{name}.py holds no Ryu app")


def others(ports: Iterable[int], port: int) -> list[int]:
    return sorted(each for each in ports if each != port)
