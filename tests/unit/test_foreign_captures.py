# SPDX-License-Identifier: Apache-2.0
"""Captures by other programs: every kind of block, byte order, clock and link type, whole and cut.

Nothing is raised but `PcapngError`, for a file that is no pcapng; what cannot be told is said.
"""

from __future__ import annotations

import io
import json
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hoplab import runs
from hoplab.capture.pcapng_format import PcapngError
from hoplab.capture.pcapng_reader import Stream, read
from hoplab.errors import LabError
from hoplab.report.terminal import render
from hoplab.runs import CAPTURE, STATE
from hoplab.story.capture_quality import capture_faults, capture_remarks
from tests.conftest import need
from tests.unit import frames
from tests.unit.test_runs import untranslated

A, B = "02:00:00:00:00:01", "02:00:00:00:00:02"
PING = frames.ipv4("10.0.0.1", "10.0.0.2", 1, frames.echo(True, 7, 1))
ECHO = frames.eth(B, A, 0x0800, PING)
T = 1_700_000_000_123_456_789
ETHERNET, RAW, COOKED, COOKED_2 = 1, 101, 113, 276
LAB = {
    "format": 1, "name": "lab", "topology": "cable",
    "nodes": [{"name": "a", "kind": "host"}, {"name": "b", "kind": "host"}],
    "interfaces": [
        {"name": "a-eth0", "node": "a", "mac": A, "addresses": ["10.0.0.1/24"], "peer": "b-eth0"},
        {"name": "b-eth0", "node": "b", "mac": B, "addresses": ["10.0.0.2/24"], "peer": "a-eth0"},
    ],
}  # fmt: skip


MACS = {"a-eth0": A, "b-eth0": B}


class File:
    """A pcapng file, block by block, in one byte order."""

    def __init__(self, order: str = "<") -> None:
        self.order = order
        self.data = b""

    def block(self, kind: int, body: bytes) -> File:
        body += bytes(-len(body) & 3)
        total = struct.pack(self.order + "I", 12 + len(body))
        self.data += struct.pack(self.order + "I", kind) + total + body + total
        return self

    def option(self, code: int, value: bytes) -> bytes:
        head = struct.pack(self.order + "HH", code, len(value))
        return head + value + bytes(-len(value) & 3)

    def section(self, options: bytes = b"") -> File:
        magic = struct.pack(self.order + "IHHq", 0x1A2B3C4D, 1, 0, -1)
        return self.block(0x0A0D0D0A, magic + options)

    def interface(
        self, name: str, *, linktype: int = ETHERNET, snaplen: int = 0, resolution: int = 9,
        offset: int = 0,
    ) -> File:  # fmt: skip
        body = struct.pack(self.order + "HHI", linktype, 0, snaplen)
        body += self.option(2, name.encode()) + self.option(9, bytes((resolution,)))
        body += self.option(14, struct.pack(self.order + "q", offset))
        if name in MACS:
            body += self.option(6, frames.mac(MACS[name]))
        body += bytes(4)
        return self.block(1, body)

    def enhanced(
        self, port: int, ticks: int, data: bytes, options: bytes = b"", length: int = 0
    ) -> File:
        head = (port, ticks >> 32, ticks & 0xFFFFFFFF, len(data), length or len(data))
        body = struct.pack(self.order + "IIIII", *head) + data + bytes(-len(data) & 3)
        return self.block(6, body + options)

    def old(self, port: int, ticks: int, data: bytes) -> File:
        head = (port, 9, ticks >> 32, ticks & 0xFFFFFFFF, len(data), len(data))
        return self.block(2, struct.pack(self.order + "HHIIII", *head) + data)

    def simple(self, data: bytes, length: int = 0) -> File:
        return self.block(3, struct.pack(self.order + "I", length or len(data)) + data)


def plain(order: str) -> bytes:
    file = File(order).section().interface("a-eth0").interface("b-eth0")
    return file.enhanced(0, T, ECHO).enhanced(1, T + 9000, ECHO).data


def old_blocks(order: str) -> bytes:
    file = File(order).section().interface("a-eth0").interface("b-eth0")
    return file.old(0, T, ECHO).old(1, T + 9000, ECHO).data


def clocks(order: str) -> bytes:
    """Microseconds, seconds with an offset, and parts of 2**20."""
    file = File(order).section().interface("a-eth0", resolution=6)
    file.interface("b-eth0", resolution=0x94)
    file.interface("c-eth0", resolution=6, offset=1_600_000_000)
    half = (T // 10**9 << 20) + (1 << 19)  # half a second is a whole number of such parts
    file.enhanced(0, T // 1000, ECHO).enhanced(1, half, ECHO)
    return file.enhanced(2, T // 1000 - 1_600_000_000 * 10**6 + 900_000, ECHO).data


def sections(order: str) -> bytes:
    """The second section has the other byte order, and numbers its interfaces from 0 again."""
    first = File(order).section().interface("a-eth0").enhanced(0, T, ECHO)
    second = File(">" if order == "<" else "<").section().interface("b-eth0")
    return first.data + second.enhanced(0, T + 9000, ECHO).data


def with_options(order: str) -> bytes:
    file = File(order)
    file.section(file.option(1, b"a comment") + file.option(4, b"somebody") + bytes(4))
    rest = file.option(5, bytes(8)) + file.option(2988, b"abcdefgh") + bytes(4)
    sent, received = (
        file.option(1, b"of a frame") + file.option(2, struct.pack(order + "I", flags)) + rest
        for flags in (2, 1)
    )
    file.interface("a-eth0").interface("b-eth0").enhanced(0, T, ECHO, sent)
    file.block(0x0BAD, bytes(12)).block(0x80000001, b"anything")  # custom, and of somebody's own
    file.block(10, struct.pack(order + "II", 0x544C534B, 4) + b"keys")
    return file.enhanced(1, T + 9000, ECHO, received).data


def cut_frames(order: str) -> bytes:
    file = File(order).section().interface("a-eth0", snaplen=30).interface("b-eth0", snaplen=30)
    file.enhanced(0, T, ECHO[:30], length=len(ECHO))
    return file.enhanced(1, T + 9000, ECHO[:30], length=len(ECHO)).data


def simple_blocks(order: str) -> bytes:
    file = File(order).section().interface("a-eth0", snaplen=60).interface("b-eth0")
    return file.enhanced(1, T, ECHO).simple(ECHO[:42]).simple((ECHO + bytes(30))[:60], 200).data


def cooked(order: str) -> bytes:
    file = File(order).section().interface("a-eth0").interface("b-eth0", linktype=COOKED)
    file.interface("any", linktype=COOKED_2).interface("tun0", linktype=RAW)
    head = struct.pack("!HHH", 0, 1, 6) + frames.mac(A) + b"\0\0\x08\0"
    head_2 = b"\x08\0\0\0" + struct.pack("!IHBB", 2, 1, 0, 6) + frames.mac(A) + b"\0\0"
    file.enhanced(0, T, ECHO).enhanced(1, T + 9000, head + PING)
    return file.enhanced(2, T + 9500, head_2 + PING).enhanced(3, T + 9900, PING).data


def tagged(order: str) -> bytes:
    tag = frames.eth(B, A, 0x8100, b"\x00\x05\x08\x00" + PING)
    twice = frames.eth(B, A, 0x88A8, b"\x00\x07\x81\x00\x00\x05\x08\x00" + PING)
    file = File(order).section().interface("a-eth0").interface("b-eth0")
    for place, data in enumerate((tag, twice)):
        file.enhanced(0, T + place * 10**6, data).enhanced(1, T + place * 10**6 + 9000, data)
    return file.data


CORPUS: dict[str, Callable[[str], bytes]] = {
    make.__name__: make
    for make in (plain, old_blocks, clocks, sections, with_options, cut_frames, simple_blocks,
                 cooked, tagged)
}  # fmt: skip
FILES = {f"{name}{order}": make(order) for name, make in CORPUS.items() for order in "<>"}


def run_of(folder: Path, data: bytes) -> runs.Run:
    """A run folder with this capture, reopened."""
    (folder / CAPTURE).write_bytes(data)
    (folder / STATE).write_text(json.dumps(LAB))
    return runs.reopen(folder)


def test_each_is_read_as_wireshark_does(tmp_path: Path) -> None:
    """All of them, one behind the other: Wireshark's own reader is asked once."""
    paths, ours = [], []
    for place, (name, data) in enumerate(FILES.items()):
        capture = read(io.BytesIO(data))
        assert capture.problem == "" and len(capture.observations) >= 2, name
        if capture.untimed or name.startswith("with_options"):
            continue  # to Wireshark these, and custom blocks, are frames at no time
        paths.append(tmp_path / f"{place}.pcapng")
        paths[-1].write_bytes(data)
        ours += [
            [f"{seen.t_ns // 10**9}.{seen.t_ns % 10**9:09}", str(len(seen.data)), str(seen.length)]
            for seen in capture.observations
        ]
    merged = tmp_path / "merged.pcapng"
    subprocess.run([need("mergecap"), "-a", "-w", str(merged), *map(str, paths)], check=True)
    command = [need("tshark"), "-r", str(merged), "-T", "fields"]
    for column in ("frame.time_epoch", "frame.cap_len", "frame.len"):
        command += ["-e", column]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert [line.split("\t") for line in out.splitlines()] == ours


@pytest.mark.parametrize("name", FILES)
def test_each_is_told(name: str, tmp_path: Path) -> None:
    run = run_of(tmp_path, FILES[name])
    render(run.story)
    health = run.story.summary.health
    sentences = [*capture_faults(health), *capture_remarks(health)]
    if name.startswith("cooked"):
        assert health.foreign == 3 and not health.orphans
        bare = "3 frames without an Ethernet header (raw IP, Linux cooked), not followed"
        assert sentences[0] == bare
    elif name.startswith("simple"):
        assert health.untimed == 2 and "does not say when they were seen" in sentences[-1]
    elif name.startswith("clocks"):
        assert health.orphans == 1  # an interface that the lab does not have
    else:
        assert not health.foreign and not health.untimed and not health.orphans
        assert all(list(trip.path) == ["a", "b"] for trip in run.story.trips)
    assert untranslated(run.story) == set()


def test_the_second_sections_interfaces_are_counted_on() -> None:
    capture = read(io.BytesIO(FILES["sections<"]))
    assert [seen.port for seen in capture.observations] == [0, 1]
    assert [interface.name for interface in capture.interfaces] == ["a-eth0", "b-eth0"]


def test_a_simple_block_has_the_snaplen_of_the_first_interface() -> None:
    capture = read(io.BytesIO(FILES["simple_blocks>"]))
    sizes = [(seen.port, len(seen.data), seen.length) for seen in capture.observations]
    assert sizes == [(1, len(ECHO), len(ECHO)), (0, 42, 42), (0, 60, 200)]
    assert len({seen.t_ns for seen in capture.observations}) == 1


def test_every_way_to_cut_them() -> None:
    for name, data in FILES.items():
        whole = len(read(io.BytesIO(data)).observations)
        for size in range(len(data)):
            try:
                capture = read(io.BytesIO(data[:size]))
            except PcapngError:
                assert size < 28, name
                continue
            assert len(capture.observations) <= whole
            stream = Stream()
            pieces = stream.feed(data[: size // 2]) + stream.feed(data[size // 2 : size])
            stream.close()
            assert len(pieces) == len(capture.observations), (name, size)
            assert bool(capture.problem) == bool(stream.capture.problem)


@settings(deadline=None)
@given(st.sampled_from(sorted(FILES)), st.data())
def test_whatever_the_bytes(name: str, draw: st.DataObject) -> None:
    data = bytearray(FILES[name])
    for _ in range(draw.draw(st.integers(1, 8))):
        data[draw.draw(st.integers(0, len(data) - 1))] = draw.draw(st.integers(0, 255))
    try:
        capture = read(io.BytesIO(bytes(data)))
    except PcapngError:
        return
    assert all(0 <= seen.t_ns < 1 << 64 for seen in capture.observations)


# --- by programs of others -----------------------------------------------------------------------


def packets() -> list[Any]:
    """What scapy makes: plain, tagged, twice tagged, IPv6, and more."""
    scapy = pytest.importorskip("scapy.all")
    ether = scapy.Ether(dst=B, src=A)
    inner = scapy.IP(src="10.0.0.1", dst="10.0.0.2") / scapy.ICMP(id=7, seq=1)
    made = [
        ether / inner,
        ether / scapy.Dot1Q(vlan=5) / inner,
        ether / scapy.Dot1AD(vlan=7) / scapy.Dot1Q(vlan=5) / inner,
        ether / scapy.IPv6(src="fd00::1", dst="fd00::2") / scapy.UDP(sport=1, dport=2) / b"x",
        ether / scapy.ARP(pdst="10.0.0.2"),
        ether / scapy.IP(src="10.0.0.1", dst="10.0.0.2") / scapy.TCP(dport=80) / (b"y" * 300),
    ]
    for place, packet in enumerate(made):
        packet.time = T // 10**9 + place
        packet.sniffed_on = "b-eth0" if place % 2 else "a-eth0"
    return made


@pytest.mark.parametrize("endianness", ["<", ">"])
@pytest.mark.parametrize("nano", [False, True])
def test_a_classic_file_says_how_to_convert_it(
    endianness: str, nano: bool, tmp_path: Path
) -> None:
    made = packets()
    utils = pytest.importorskip("scapy.utils")
    path = tmp_path / CAPTURE
    with utils.PcapWriter(str(path), endianness=endianness, nano=nano) as writer:
        for packet in made:
            writer.write(packet)
    with pytest.raises(LabError) as caught:
        run_of(tmp_path, path.read_bytes())
    assert "editcap -F pcapng" in caught.value.message
    converted = tmp_path / "converted.pcapng"
    subprocess.run([need("editcap"), "-F", "pcapng", str(path), str(converted)], check=True)
    capture = read(converted)
    assert [seen.data for seen in capture.observations] == [bytes(packet) for packet in made]
    run = run_of(tmp_path, converted.read_bytes())
    assert run.story.summary.health.orphans == len(made)  # it names no interface of the lab


def test_what_scapy_writes_is_read_and_told(tmp_path: Path) -> None:
    made = packets()
    utils = pytest.importorskip("scapy.utils")
    path = tmp_path / "scapy.pcapng"
    utils.wrpcapng(str(path), made)
    capture = read(path)
    assert [seen.data for seen in capture.observations] == [bytes(packet) for packet in made]
    assert {interface.name for interface in capture.interfaces} >= {"a-eth0", "b-eth0"}
    run = run_of(tmp_path, path.read_bytes())
    render(run.story)
    assert len(run.story.trips) == len(made)


def test_what_wireshark_makes_of_several_files(tmp_path: Path) -> None:
    paths = []
    for place, (name, data) in enumerate(FILES.items()):
        paths.append(tmp_path / f"{place}.pcapng")
        paths[-1].write_bytes(data)
        assert name
    merged, short = tmp_path / "merged.pcapng", tmp_path / "short.pcapng"
    subprocess.run([need("mergecap"), "-w", str(merged), *map(str, paths)], check=True)
    subprocess.run([need("editcap"), "-s", "20", str(merged), str(short)], check=True)
    whole, cut = read(merged), read(short)
    assert len(whole.observations) == sum(len(read(path).observations) for path in paths)
    assert len(cut.observations) == len(whole.observations) and not cut.problem
    assert max(len(seen.data) for seen in cut.observations) == 20
    for data in (merged.read_bytes(), short.read_bytes()):
        render(run_of(tmp_path, data).story)
