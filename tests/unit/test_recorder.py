# SPDX-License-Identifier: Apache-2.0
"""hoplab.capture.recorder, ring and bpf: order of time, ends, filters, odd bytes."""

from __future__ import annotations

import io
import json
import os
import re
import socket
import struct
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoplab.capture import bpf, pcapng_format, pcapng_reader, pcapng_writer, recorder, ring
from hoplab.capture.capture import Capture, ring_size
from hoplab.capture.observation import Reception
from hoplab.errors import LabError

T = 1_700_000_000_000_000_000


def made(tmp_path: Path, count: int = 0) -> tuple[recorder.Recorder, Path]:
    """A recorder that nobody runs, whose parts are called by hand."""
    path = tmp_path / "x.pcapng"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT)
    with open(fd, "wb", buffering=0, closefd=False) as file:
        pcapng_writer.Writer(file, comment="by hand")
    writing = recorder.Recorder(
        socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)[0], fd, count
    )
    writing.writer.add_interface(pcapng_format.InterfaceInfo("h1-eth0"))
    return writing, path


def frame(t_ns: int, mark: bytes = b"") -> tuple[int, bytes]:
    return t_ns, pcapng_writer.pack_frame(0, t_ns, Reception.OUTGOING, mark * 20, len(mark) * 20)


@given(st.lists(st.integers(0, 10**9), max_size=30), st.lists(st.integers(0, 10**9), max_size=5))
def test_whatever_the_order_the_file_is_sorted(
    tmp_path_factory: pytest.TempPathFactory, times: list[int], cuts: list[int]
) -> None:
    writing, path = made(tmp_path_factory.mktemp("r"))
    writing.pending.extend(frame(T + t) for t in times)
    for cut in sorted(cuts):
        writing._flush(T + cut)
    writing._flush(None)
    held = [seen.t_ns for seen in pcapng_reader.read(path).observations]
    assert held == sorted(T + t for t in times)
    assert (writing.frames, writing.late) == (len(times), 0)
    os.close(writing.out.fd)


def test_a_frame_that_comes_too_late_is_written_and_counted(tmp_path: Path) -> None:
    writing, path = made(tmp_path)
    writing.pending.append(frame(T + 10))
    writing._flush(T + 20)
    writing.pending += [frame(T + 5), frame(T + 30)]
    writing._flush(None)
    assert (writing.frames, writing.late) == (3, 1)
    assert len(pcapng_reader.read(path).observations) == 3


@pytest.mark.parametrize("jump_s", [-3600, 3600])
def test_a_clock_that_jumps_keeps_no_frame_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jump_s: int
) -> None:
    """The machine's clock is set by an hour: what is in hand is written, time begins anew."""
    writing, _ = made(tmp_path)
    now_ns = time.time_ns()
    writing.pending.append(frame(now_ns))
    writing._pass([], now_ns)
    assert writing.frames == 0  # too young
    monkeypatch.setattr(time, "time_ns", lambda: now_ns + jump_s * 10**9)
    writing._pass([], time.time_ns())
    assert writing.frames == 1
    writing.pending.append(frame(time.time_ns() - 10**9))
    writing._pass([], time.time_ns())
    assert (writing.frames, writing.late) == (2, 0)
    os.close(writing.out.fd)


# Where the time of day may be asked: it stamps what is shown to people or to the kernel's frames.
TIME_OF_DAY = {
    "capture/clock.py", "capture/recorder.py", "capture/capture.py", "cli/verbs_live.py",
    "story/live.py", "openvswitch/tables.py", "browser/proxy.py",
    "client/together.py", "capture/streams.py", "service/captures.py", "control/log.py",
    "capture/load_sampler.py", "service/lab.py", "live/following.py", "live/follower.py",
}  # fmt: skip


def test_nobody_else_waits_by_the_time_of_day() -> None:
    root = Path(recorder.__file__).parents[1]
    asks = re.compile(r"\btime\.time(_ns)?\(|datetime\.(now|utcnow)|CLOCK_REALTIME")
    files = {
        str(path.relative_to(root))
        for path in root.rglob("*.py")
        if asks.search(path.read_text(encoding="utf-8"))
    }
    assert files <= TIME_OF_DAY


def test_it_ends_after_the_frames_asked_for(tmp_path: Path) -> None:
    writing, path = made(tmp_path, count=2)
    writing.pending.extend(frame(T + t) for t in range(5))
    writing._flush(None)
    writing._flush(None)
    assert writing.ending == "count" and writing.frames == 2
    assert [seen.t_ns for seen in pcapng_reader.read(path).observations] == [T, T + 1]


def test_a_full_disk_is_told_once_and_the_file_stays_readable(tmp_path: Path) -> None:
    writing, _ = made(tmp_path)
    full = recorder._Out(os.open("/dev/full", os.O_WRONLY))
    writing.out = full
    writing.pending.append(frame(T))
    writing._flush(None)
    assert "space" in writing.totals()["problem"]


def test_a_process_that_records_answers_and_ends(tmp_path: Path) -> None:
    path = tmp_path / "x.pcapng"
    capture = Capture(path, "how it was built")
    capture.add_names({"10.0.0.1": "h1", "fd00::1": "h1"})
    quiet_s, frames = capture.quiet()
    assert quiet_s >= 0 and frames == 0
    totals = capture.stop()
    assert (totals.ended, totals.frames, totals.dropped, totals.problem) == ("stop", 0, 0, "")
    held = pcapng_reader.read(path)
    assert held.comment == "how it was built" and held.problem == ""
    assert held.names == {"10.0.0.1": "h1", "fd00::1": "h1"}


def test_a_reader_of_a_pipe_that_goes_ends_it() -> None:
    read_end, write_end = os.pipe()
    capture = Capture(write_end)
    os.close(write_end)
    assert os.read(read_end, 4) == b"\x0a\x0d\x0d\x0a"
    os.close(read_end)
    totals = json.loads(capture.channel.recv(1 << 16))
    assert totals["ended"] == "pipe"
    capture._process.wait(timeout=10)


def test_a_recorder_that_was_killed_leaves_a_readable_file(tmp_path: Path) -> None:
    path = tmp_path / "x.pcapng"
    capture = Capture(path)
    capture.quiet()
    capture._process.kill()
    assert capture.stop().ended == "killed"
    assert pcapng_reader.read(path).problem == ""


# --- rings -----------------------------------------------------------------------------------


def block(*frames: tuple[int, int, bytes, int, int, int]) -> bytes:
    """A block as the kernel lays it out: (time, kind, data, status, tag, kind of tag) each."""
    out = bytearray(48)
    struct.pack_into("=III", out, 8, ring.TP_STATUS_USER, len(frames), 48)
    for place, (t_ns, kind, data, status, tag, tpid) in enumerate(frames):
        size = 48 + 20 + 14 + len(data)
        size += -size % 16
        head = struct.pack(
            "=IIIIIIHHIIH", 0 if place == len(frames) - 1 else size,
            t_ns // 10**9, t_ns % 10**9, len(data), len(data), status, 82, 96, 0, tag, tpid,
        )  # fmt: skip
        body = bytearray(size)
        body[: len(head)] = head
        body[58] = kind
        body[82 : 82 + len(data)] = data
        out += body
    return bytes(out)


def blocks_to_capture(blocks: list[tuple[int, bytes]]) -> pcapng_format.Capture:
    file = io.BytesIO()
    pcapng_writer.Writer(file, [pcapng_format.InterfaceInfo("a")])
    file.write(b"".join(data for _, data in blocks))
    file.seek(0)
    return pcapng_reader.read(file)


@given(
    st.lists(
        st.tuples(st.integers(0, 2**61), st.integers(0, 7), st.binary(min_size=14, max_size=90)),
        max_size=8,
    )
)
def test_a_block_of_a_ring_gives_its_frames(frames: list[tuple[int, int, bytes]]) -> None:
    frames = [(t % (2**32 * 10**9), kind, data) for t, kind, data in frames]
    taken: list[tuple[int, bytes]] = []
    ring.read_block(block(*((*stamped, 0, 0, 0) for stamped in frames)), 0, 0, taken)
    held = blocks_to_capture(taken).observations
    wanted = sorted(
        (stamped for stamped in frames if stamped[1] <= 4), key=lambda stamped: stamped[0]
    )
    assert [(o.t_ns, o.reception, o.data) for o in held] == wanted


def test_a_vlan_tag_is_put_back_where_it_was() -> None:
    data = bytes(range(20))
    both = ring.TP_STATUS_VLAN_VALID | ring.TP_STATUS_VLAN_TPID_VALID
    taken: list[tuple[int, bytes]] = []
    lines = ((T, 0, data, both, 0x2005, 0x88A8), (T + 1, 0, data, ring.TP_STATUS_VLAN_VALID, 7, 0))
    ring.read_block(block(*lines), 0, 0, taken)
    held = [seen.data for seen in blocks_to_capture(taken).observations]
    assert held == [data[:12] + b"\x88\xa8\x20\x05" + data[12:],
                    data[:12] + b"\x81\x00\x00\x07" + data[12:]]  # fmt: skip


@pytest.mark.parametrize("interfaces", [1, 12, 24, 64, 65, 2000])
def test_rings_together_stay_within_their_memory(interfaces: int) -> None:
    size = ring_size(interfaces)
    assert size * interfaces <= 64 << 20 and size % ring.BLOCK == 0
    assert bool(size) == (interfaces <= 64)


# --- filters ---------------------------------------------------------------------------------


def run(program: bpf.Program, data: bytes, kind: int) -> int:
    """What a program answers for a frame (the part of classic BPF that ours use)."""
    a = x = at = 0
    while True:
        code, yes, no, k = program[at]
        at += 1
        if code == 0x28 and k == 0xFFFFF004:
            a = kind
        elif code in (0x28, 0x48):
            place = k + (x if code == 0x48 else 0)
            if place + 2 > len(data):
                return 0
            a = int.from_bytes(data[place : place + 2], "big")
        elif code == 0x30:
            a = data[k]
        elif code == 0xB1:
            x = 4 * (data[k] & 15)
        elif code in (0x15, 0x45):
            at += yes if (a == k if code == 0x15 else a & k) else no
        else:
            assert code == 6
            return k


def segment(sport: int, dport: int, fragment: int = 0, proto: int = 6, options: int = 0) -> bytes:
    ip = struct.pack("!BBHHHBBH4s4s", 0x45 + options, 0, 40, 0, fragment, 64, proto, 0, b"", b"")
    return bytes(12) + b"\x08\x00" + ip + bytes(4 * options) + struct.pack("!HH", sport, dport)


CASES: list[tuple[bytes, int, bool]] = [
    (segment(6653, 40000), 0, True),
    (segment(40000, 6653), 0, True),
    (segment(40000, 6654, options=3), 0, True),
    (segment(40000, 6653), 4, False),
    (segment(40000, 6655), 0, False),
    (segment(6653, 6653, fragment=8), 0, False),
    (segment(6653, 6653, proto=17), 0, False),
    (bytes(12) + b"\x86\xdd" + bytes(60), 0, False),
]


@pytest.mark.parametrize(("data", "kind", "taken"), CASES)
def test_only_the_openflow_channel_as_received(data: bytes, kind: int, taken: bool) -> None:
    assert bool(run(bpf.tcp_ports_received((6653, 6654)), data, kind)) is taken


def test_a_filter_cannot_ask_for_vlans() -> None:
    """The kernel takes the tags out of what is received first: it would see one end of a link."""
    for words in ("vlan", "vlan 10 and arp", "not (vlan)"):
        with pytest.raises(LabError, match="cannot ask for VLANs"):
            bpf.compile(words)


def test_a_filter_that_cannot_be_understood_is_said_so() -> None:
    pytest.importorskip("ctypes")
    try:
        assert bpf.compile("arp or icmp")
    except LabError as error:
        assert "libpcap" in error.message
        pytest.skip("libpcap is not installed")
    with pytest.raises(LabError) as caught:
        bpf.compile("arp orr icmp")
    assert "arp orr icmp" in caught.value.message and "pcap-filter" in caught.value.hint
    with pytest.raises(LabError):
        bpf.compile("arp\0")


def test_without_libpcap_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> None:
        raise OSError

    monkeypatch.setattr(bpf.ctypes, "CDLL", missing)
    with pytest.raises(LabError) as caught:
        bpf.compile("arp")
    assert "libpcap" in caught.value.message and "apt-get" in caught.value.hint


@given(st.recursive(st.none() | st.integers() | st.text(max_size=3), st.lists, max_leaves=12))
def test_a_program_from_outside_is_checked(data: Any) -> None:
    try:
        program = bpf.checked(data)
    except LabError:
        return
    assert program is None or all(len(line) == 4 for line in program)
