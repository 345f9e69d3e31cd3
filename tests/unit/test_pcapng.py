# SPDX-License-Identifier: Apache-2.0
"""hoplab.capture.pcapng_*: what is written is read, by us and by tshark; broken files are told."""

from __future__ import annotations

import contextlib
import io
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoplab.capture.observation import Observation, Reception
from hoplab.capture.pcapng_format import Capture, InterfaceInfo, PcapngError
from hoplab.capture.pcapng_reader import Stream, _Parser, read
from hoplab.capture.pcapng_writer import Writer, write_all

INTERFACES = [
    InterfaceInfo(
        "client-eth0", "client to s1", "02:00:00:00:01:00", ("10.1.0.10/24", "fd00::1/64")
    ),
    InterfaceInfo("s1-eth1", "s1 to client"),
]
T = 1_700_000_000_123_456_789
FRAME = bytes.fromhex("ffffffffffff0200000001000806") + b"\0\1\x08\0\6\4\0\1" + bytes(20)


def observation(
    number: int, t: int, port: int = 0, how: Reception = Reception.HOST, data: bytes = FRAME
) -> Observation:
    return Observation(number, t, port, how, data, len(data))


def written(*observations: Observation, comments: dict[int, str] | None = None) -> bytes:
    file = io.BytesIO()
    writer = Writer(file, INTERFACES, "built by a test", hardware="veth", os="Linux", userappl="me")
    for item in observations:
        writer.write(item, (comments or {}).get(item.number, ""))
    return file.getvalue()


def parsed(data: bytes) -> Capture:
    return read(io.BytesIO(data))


observations_strategy = st.lists(
    st.builds(
        lambda t, port, how, data, more: Observation(0, t, port, how, data, len(data) + more),
        st.integers(0, 2**64 - 1),
        st.integers(0, 1),
        st.sampled_from(Reception),
        st.binary(max_size=80),
        st.integers(0, 9),
    ),
    max_size=12,
)


@given(
    observations_strategy,
    st.lists(st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=20)),
)
def test_round_trip(items: list[Observation], texts: list[str]) -> None:
    items.sort(key=lambda o: o.t_ns)
    items = [
        Observation(n, o.t_ns, o.port, o.reception, o.data, o.length)
        for n, o in enumerate(items, 1)
    ]
    comments = {n: text for n, text in enumerate(texts, 1) if text and n <= len(items)}
    capture = parsed(written(*items, comments=comments))
    assert capture.observations == items
    assert capture.comments == comments
    assert capture.interfaces == INTERFACES
    assert (capture.comment, capture.hardware, capture.os) == ("built by a test", "veth", "Linux")
    assert capture.userappl == "me" and capture.problem == ""


def test_sorted_by_time_and_stable() -> None:
    a, b, c = (observation(0, t, data=FRAME + bytes((n,))) for n, t in enumerate((T + 5, T, T)))
    observations = parsed(written(a, b, c)).observations
    assert [o.data[-1] for o in observations] == [1, 2, 0]
    assert [o.number for o in observations] == [1, 2, 3]


def test_names_statistics_and_an_interface_that_comes_later() -> None:
    file = io.BytesIO()
    writer = Writer(file, INTERFACES, names={"10.1.0.10/24": "client", "fd00::1": "client"})
    assert writer.add_interface(InterfaceInfo("late")) == 2
    writer.write(observation(1, T, 2))
    writer.write_statistics(2, T, 10, 1)
    writer.write_statistics(2, T + 9, 20, 3, start_ns=T)
    capture = parsed(file.getvalue())
    assert capture.names == {"10.1.0.10": "client", "fd00::1": "client"}
    assert capture.received == {2: 20} and capture.dropped == {2: 3}
    assert [i.name for i in capture.interfaces] == ["client-eth0", "s1-eth1", "late"]
    again = io.BytesIO()
    write_all(again, capture, {1: "hello"})
    twice = parsed(again.getvalue())
    assert twice.comments == {1: "hello"}
    assert (twice.names, twice.dropped, twice.observations) == (
        capture.names,
        capture.dropped,
        capture.observations,
    )


def test_a_frame_of_no_interface_is_refused() -> None:
    with pytest.raises(ValueError, match="port 2"):
        written(observation(1, T, 2))


def test_a_cut_file_gives_what_is_whole() -> None:
    whole = written(observation(1, T), observation(2, T + 1))
    shorter = written(observation(1, T))
    for size in range(len(shorter), len(whole)):
        capture = parsed(whole[:size])
        assert len(capture.observations) == 1
        assert bool(capture.problem) == (size != len(shorter))
    assert len(parsed(whole + b"\0" * 7).observations) == 2


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty"),
        (b"\xd4\xc3\xb2\xa1" + bytes(20), "classic pcap"),
        (b"\x1f\x8b\x08", "compressed"),
        (b"<html>", "is no pcapng file"),
        (b"\x0a\x0d\x0d\x0a", "is no pcapng file"),
    ],
)
def test_what_is_no_pcapng(data: bytes, words: str) -> None:
    with pytest.raises(PcapngError, match=words):
        parsed(data)


def test_the_other_byte_order_microseconds_and_unknown_blocks() -> None:
    def block(kind: int, body: bytes) -> bytes:
        total = struct.pack(">I", 12 + len(body))
        return struct.pack(">I", kind) + total + body + total

    t = 1_700_000_000_123_456
    data = block(0x0A0D0D0A, struct.pack(">IHHq", 0x1A2B3C4D, 1, 0, -1))
    data += block(1, struct.pack(">HHIHH4sHH", 1, 0, 0, 2, 3, b"abc\0", 0, 0))
    data += block(0x0BAD, b"12345678")
    body = struct.pack(">IIIII", 0, t >> 32, t & 0xFFFFFFFF, 6, 60) + b"\1\0\x5e\0\0\1\0\0"
    data += block(6, body)
    data += written(observation(1, T))  # a second section, in our byte order
    capture = parsed(data)
    assert [i.name for i in capture.interfaces] == ["abc", "client-eth0", "s1-eth1"]
    first, second = capture.observations
    assert first == Observation(1, t * 1000, 0, Reception.MULTICAST, b"\1\0\x5e\0\0\1", 60)
    assert (second.port, second.t_ns) == (1, T)


def test_powers_of_two_and_time_offset() -> None:
    data = bytearray(written(observation(1, 3 << 10)))
    at = data.index(struct.pack("<HHB", 9, 1, 9))
    data[at + 4] = 0x80 | 10  # units of 2**-10 s
    assert parsed(bytes(data)).observations[0].t_ns == 3 * 10**9


@given(st.binary(max_size=300))
def test_any_bytes(data: bytes) -> None:
    start = written()
    for tail in (data, start[:28] + data):
        parsed(start + tail)
    with contextlib.suppress(PcapngError):
        parsed(data)


@given(st.data())
def test_a_damaged_file(data: st.DataObject) -> None:
    raw = bytearray(written(observation(1, T), observation(2, T + 1), comments={1: "hello"}))
    for _ in range(data.draw(st.integers(1, 5))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(PcapngError):
        parsed(bytes(raw))


def test_tshark_agrees(tmp_path: Path) -> None:
    tshark = shutil.which("tshark")
    if tshark is None:
        pytest.skip("tshark is not installed")
    path = tmp_path / "a.pcapng"
    items = [
        observation(n, T + n, n % 2, how, FRAME + bytes(n)) for n, how in enumerate(Reception, 1)
    ]
    with path.open("wb") as file:
        writer = Writer(file, INTERFACES, "built", names={"10.1.0.10": "client"}, os="Linux")
        for item in items:
            writer.write(item, "frame, " + "é" * item.number if item.number != 2 else "")
        writer.write_statistics(0, T + 99, 7, 1, start_ns=T)
    fields = (
        "frame.interface_name frame.interface_description frame.time_epoch frame.comment frame.len "
        "frame.packet_flags_direction frame.packet_flags_reception_type"
    )
    command = [tshark, "-r", str(path), "-T", "fields", "-E", "separator=|"]
    for field in fields.split():
        command += ["-e", field]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    complaints = [s for s in result.stderr.splitlines() if s and "root" not in s]
    assert complaints == []
    kinds = {
        Reception.HOST: ("1", "1"),
        Reception.MULTICAST: ("1", "2"),
        Reception.BROADCAST: ("1", "3"),
        Reception.OTHERHOST: ("1", "4"),
        Reception.OUTGOING: ("2", "0"),
    }
    rows = []
    for line in result.stdout.splitlines():
        *texts, direction, reception = line.split("|")
        rows.append("|".join((*texts, str(int(direction, 0)), str(int(reception, 0)))))
    assert rows == [
        "|".join(
            (
                INTERFACES[o.port].name,
                INTERFACES[o.port].description,
                f"{o.t_ns // 10**9}.{o.t_ns % 10**9:09}",
                "frame, " + "é" * o.number if o.number != 2 else "",
                str(o.length),
                *kinds[o.reception],
            )
        )
        for o in items
    ]


def test_what_other_programs_write(tmp_path: Path) -> None:
    editcap = shutil.which("editcap")
    if editcap is None:
        pytest.skip("editcap is not installed")
    ours, theirs = tmp_path / "a.pcapng", tmp_path / "b.pcapng"
    items = [observation(n, T + n, n % 2, how) for n, how in enumerate(Reception, 1)]
    ours.write_bytes(written(*items, comments={1: "hello"}))
    subprocess.run([editcap, "-F", "pcapng", str(ours), str(theirs)], check=True)
    capture = read(theirs)
    assert capture.observations == items and capture.comments == {1: "hello"}
    assert [i.name for i in capture.interfaces] == [i.name for i in INTERFACES]
    classic = tmp_path / "c.pcap"
    subprocess.run([editcap, "-F", "pcap", str(ours), str(classic)], check=True)
    with pytest.raises(PcapngError, match=r"(no pcapng|classic pcap)"):
        read(classic)


# --- while it is written ----------------------------------------------------------------------


@given(observations_strategy, st.integers(1, 70))
def test_a_stream_in_pieces_gives_what_the_file_gives(
    observations: list[Observation], size: int
) -> None:
    """In the writer's order; the file's reader puts the same frames in order of time."""
    data = written(*observations)
    stream = Stream()
    streamed = []
    for at in range(0, len(data), size):
        streamed += stream.feed(data[at : at + size])
    stream.close()
    assert [observed.number for observed in streamed] == list(range(1, len(streamed) + 1))
    shape = [
        (observed.t_ns, observed.port, observed.reception, observed.data, observed.length)
        for observed in streamed
    ]
    whole = parsed(data)
    assert sorted(shape, key=lambda observed: observed[0]) == [
        (observed.t_ns, observed.port, observed.reception, observed.data, observed.length)
        for observed in whole.observations
    ]
    assert stream.capture.interfaces == whole.interfaces and not stream.capture.problem


def test_a_frame_is_given_when_its_last_byte_has_come() -> None:
    data = written(observation(1, T))
    stream = Stream()
    assert stream.feed(data[:-1]) == []
    assert [observed.data for observed in stream.feed(data[-1:])] == [FRAME]


def test_a_stream_that_breaks_says_so() -> None:
    data = written(observation(1, T))
    with pytest.raises(PcapngError, match="classic pcap"):
        Stream().feed(b"\xd4\xc3\xb2\xa1" + bytes(20))
    stream = Stream()
    assert stream.feed(data[:-4] + b"\1\0\0\0") == []
    assert "differ" in stream.capture.problem and stream.feed(data) == []
    stream = Stream()
    assert len(stream.feed(data + data[:10])) == 1
    stream.close()
    assert "cut" in stream.capture.problem


@pytest.mark.parametrize("order", ["<", ">"])
def test_frames_as_our_writer_puts_them_are_read_as_any_others(
    order: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one more option behind each second frame's flags, which takes the longer way."""
    pack = struct.Struct(order + "IIIIIII").pack

    def frame(number: int, *options: tuple[int, bytes]) -> bytes:
        data = bytes(range(number % 5 + 60))
        body = data + b"\0" * (-len(data) % 4)
        for code, value in options:
            head = struct.pack(order + "HH", code, len(value))
            body += head + value + b"\0" * (-len(value) % 4)
        total = 28 + len(body) + 8
        head = pack(6, total, 0, 0, number, len(data), len(data))
        return head + body + b"\0\0\0\0" + struct.pack(order + "I", total)

    def flags(value: int) -> tuple[int, bytes]:
        return 2, struct.pack(order + "I", value)

    magic = struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1)
    section = struct.pack(order + "II", 0x0A0D0D0A, 28) + magic + struct.pack(order + "I", 28)
    resolution = struct.pack(order + "HH", 9, 1) + b"\x09\0\0\0" + b"\0\0\0\0"
    link = struct.pack(order + "IIHHI", 1, 32, 1, 0, 0) + resolution + struct.pack(order + "I", 32)
    blocks = [
        frame(number, flags(value), *more)
        for number, (value, more) in enumerate(
            (value, more)
            for value in range(32)
            for more in ((), ((1, b"note"),), ((1, b"a"), (1, b"b")), ((4, b"\0" * 8),))
        )
    ]
    file = section + link + b"".join(blocks)
    quick = read(io.BytesIO(file))
    monkeypatch.setattr(_Parser, "_usual_packets", lambda self, at: at)
    slow = read(io.BytesIO(file))
    assert len(quick.observations) == len(blocks) and not quick.problem
    assert (quick.observations, quick.comments) == (slow.observations, slow.comments)
    assert quick.comments[2] == "note" and quick.comments[3] == "a\nb"
