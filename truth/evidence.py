# SPDX-License-Identifier: Apache-2.0
"""What is known of a run without hoplab: the frames of its capture as tshark reads them, their
bytes, the wiring in lab.json, and what the commands said.

What lives here: reading. What must not: judging (`oracle.py`), and any part of hoplab.
"""

from __future__ import annotations

import json
import struct
import subprocess
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

OPENFLOW = "openflow"  # the interface of the capture on which switches and controller are heard
MANY = "\x1f"  # between several values of one field
FIELDS = (
    "frame.number frame.interface_name frame.packet_flags_direction frame.len frame.cap_len "
    "frame.time_epoch eth.src eth.dst eth.type vlan.id "
    "arp.opcode arp.src.proto_ipv4 arp.dst.proto_ipv4 arp.src.hw_mac arp.dst.hw_mac "
    "ip.src ip.dst ip.ttl ip.id ip.proto ip.len ip.hdr_len ip.frag_offset ip.flags.mf "
    "ipv6.src ipv6.dst ipv6.hlim ipv6.nxt "
    "icmp.type icmp.code icmp.ident icmp.seq icmpv6.type icmpv6.code icmpv6.mtu "
    "icmpv6.echo.identifier icmpv6.echo.sequence_number icmpv6.nd.ns.target_address "
    "icmpv6.nd.na.target_address icmpv6.opt.linkaddr "
    "tcp.srcport tcp.dstport tcp.seq_raw tcp.ack_raw tcp.len tcp.flags.syn tcp.flags.ack "
    "tcp.flags.fin tcp.flags.reset tcp.window_size_value udp.srcport udp.dstport udp.length "
    "dns.id dns.flags.response dns.flags.rcode dns.qry.name dns.qry.type dns.count.answers "
    "dns.a dns.aaaa dns.cname dns.ns dns.txt dns.mx.mail_exchange dns.ptr.domain_name "
    "http.request.method http.request.uri http.host http.response.code http.response.phrase "
    "http.content_type http.content_length_header tls.record.content_type tls.handshake.type "
    "tls.handshake.extensions_server_name tls.alert_message.desc "
    "dhcp.option.dhcp dhcp.ip.your dhcp.hw.mac_addr dhcp.option.requested_ip_address "
    "dhcp.option.dhcp_server_id dhcp.option.ip_address_lease_time"
).split()
SETTINGS = (
    "tcp.desegment_tcp_streams:FALSE", "tcp.analyze_sequence_numbers:FALSE",
    "ip.defragment:FALSE", "ipv6.defragment:FALSE",
)  # fmt: skip
HTTP_TOO = (81, 8000)


@dataclass(slots=True)
class Frame:
    """One frame of the capture. fields: what tshark says of it, all values of a field."""

    number: int
    interface: str
    out: bool
    t_ns: int
    length: int
    data: bytes
    fields: dict[str, list[str]]

    def get(self, name: str) -> str:
        """The first value of a field: of the outermost header."""
        values = self.fields.get(name)
        return values[0] if values else ""

    def number_in(self, name: str) -> int:
        """The first value as a number, -1 for none."""
        text = self.get(name)
        return int(text, 0) if text else -1

    @property
    def cut(self) -> bool:
        return len(self.data) < self.length

    @property
    def src(self) -> str:
        return self.get("ip.src") or self.get("ipv6.src")

    @property
    def dst(self) -> str:
        return self.get("ip.dst") or self.get("ipv6.dst")

    @property
    def ttl(self) -> int:
        return self.number_in("ip.ttl") if self.get("ip.ttl") else self.number_in("ipv6.hlim")

    @property
    def group(self) -> bool:
        return bool(int(self.get("eth.dst")[:2] or "0", 16) & 1)

    @property
    def tcp(self) -> bool:
        return bool(self.get("tcp.srcport")) and not self.get("icmp.type")

    def flag(self, name: str) -> bool:
        return self.get(f"tcp.flags.{name}") in ("1", "True")

    @property
    def ends(self) -> tuple[str, str, str, str]:
        """Source, its port, destination, its port."""
        layer = "tcp" if self.get("tcp.srcport") else "udp"
        return self.src, self.get(f"{layer}.srcport"), self.dst, self.get(f"{layer}.dstport")


@dataclass
class Node:
    """openflow: a controller tells it what to do; so is a switch, and a router made of one."""

    name: str
    kind: str
    openflow: bool


@dataclass
class Interface:
    name: str
    node: str
    mac: str
    addresses: list[str]
    peer: str
    port: int = 0


@dataclass
class Evidence:
    """All of it, and what the oracle looks up often."""

    folder: Path
    trace: dict[str, Any]
    frames: dict[int, Frame]
    nodes: dict[str, Node]
    interfaces: dict[str, Interface]
    by_place: dict[tuple[str, bool], list[Frame]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        places: dict[tuple[str, bool], list[Frame]] = defaultdict(list)
        for frame in self.frames.values():
            places[frame.interface, frame.out].append(frame)
        for frames in places.values():
            frames.sort(key=lambda frame: frame.t_ns)
        self.by_place = dict(places)

    @cached_property
    def captured(self) -> list[Frame]:
        """The frames on links, in the order of time."""
        on_links = (frame for frame in self.frames.values() if frame.interface in self.interfaces)
        return sorted(on_links, key=lambda frame: frame.t_ns)

    @cached_property
    def sent(self) -> list[Frame]:
        """The frames that left an interface."""
        return [frame for frame in self.captured if frame.out]

    def node_of(self, interface: str) -> str:
        return self.interfaces[interface].node if interface in self.interfaces else ""

    def kind_of(self, node: str) -> str:
        return self.nodes[node].kind if node in self.nodes else ""

    def is_switch(self, node: str) -> bool:
        return self.kind_of(node) == "switch"

    def owners_of_ip(self, address: str) -> set[str]:
        """The nodes that lab.json gave the address."""
        return {
            interface.node
            for interface in self.interfaces.values()
            if address in [given.split("/")[0] for given in interface.addresses]
        }

    def owners_of_mac(self, mac: str) -> set[str]:
        return {each.node for each in self.interfaces.values() if each.mac == mac}

    def ports_of(self, node: str) -> list[Interface]:
        return [each for each in self.interfaces.values() if each.node == node and each.peer]

    def seen_before(self, frame: Frame) -> list[Frame]:
        """The frames at the same place before it."""
        frames = self.by_place[frame.interface, frame.out]
        return frames[: bisect_left(frames, frame.t_ns, key=lambda each: each.t_ns)]


def read(folder: Path) -> Evidence:
    """The evidence of a run folder."""
    lab = json.loads((folder / "lab.json").read_text())
    trace = json.loads((folder / "trace.json").read_text())
    nodes = {
        each["name"]: Node(each["name"], each["kind"], "dpid" in each) for each in lab["nodes"]
    }
    interfaces = {
        each["name"]: Interface(
            each["name"], each["node"], each["mac"], each["addresses"], each["peer"] or "",
            each["port"],
        )
        for each in lab["interfaces"]
    }
    return Evidence(folder, trace, _frames(folder / "capture.pcapng"), nodes, interfaces)


def _frames(path: Path) -> dict[int, Frame]:
    """The frames by their number, by tshark and by their bytes."""
    command = ["tshark", "-n", "-r", str(path), "-T", "fields", "-E", f"aggregator={MANY}"]
    for setting in SETTINGS:
        command += ["-o", setting]
    for port in HTTP_TOO:
        command += ["-d", f"tcp.port=={port},http"]
    for name in FIELDS:
        command += ["-e", name]
    output = subprocess.run(command, capture_output=True, check=True).stdout
    frames = {}
    lines = output.decode(errors="replace").split("\n")[:-1]
    for line, data in zip(lines, raw_frames(path), strict=True):
        values = line.split("\t")
        fields = {
            name: value.split(MANY) for name, value in zip(FIELDS, values, strict=True) if value
        }
        seconds, _, nanoseconds = fields["frame.time_epoch"][0].partition(".")
        number = int(fields["frame.number"][0])
        frames[number] = Frame(
            number=number,
            interface=fields.get("frame.interface_name", [""])[0],
            out=int(fields.get("frame.packet_flags_direction", ["0"])[0], 0) == 2,
            t_ns=int(seconds) * 10**9 + int(nanoseconds.ljust(9, "0")[:9]),
            length=int(fields["frame.len"][0]),
            data=data,
            fields=fields,
        )
    return frames


def raw_frames(path: Path) -> Iterator[bytes]:
    """The bytes of the frames of a pcapng file in this machine's byte order."""
    content = path.read_bytes()
    at = 0
    while at + 12 <= len(content):
        kind, length = struct.unpack_from("=II", content, at)
        if kind == 6:  # enhanced packet block
            captured = struct.unpack_from("=I", content, at + 20)[0]
            yield content[at + 28 : at + 28 + captured]
        at += length


def messages(frame: Frame) -> Iterator[tuple[int, int, bytes]]:
    """The OpenFlow messages that begin with a frame's TCP payload: version, type, bytes."""
    data = frame.data
    header = 14 + (data[14] & 15) * 4
    payload = data[header + (data[header + 12] >> 4) * 4 :]
    while len(payload) >= 8:
        version, kind, length, _ = struct.unpack_from("!BBHI", payload)
        if not 1 <= version <= 6 or length < 8:
            return
        yield version, kind, payload[:length]
        payload = payload[length:]
