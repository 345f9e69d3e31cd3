# SPDX-License-Identifier: Apache-2.0
"""`hoplab tell`: captures of one place, of whoever, told without a word that their frames do not
show."""

from __future__ import annotations

import gzip
import json
import shutil
import struct
import subprocess
from functools import cache
from pathlib import Path

import pytest

from hoplab import runs
from hoplab.capture import pcap_reader, pcapng_reader
from hoplab.capture.observation import Observation, Reception
from hoplab.capture.pcapng_format import Capture, PcapngError
from hoplab.cli.main import main
from hoplab.report.terminal import render
from hoplab.story.records import Story
from hoplab.vantage import foreign, one_place
from hoplab.vantage.evidence import read_cards
from tests.unit.frames import arp, echo, eth, ipv4

RUNS = Path(__file__).parent.parent / "data" / "runs"
A, R, B = "02:00:00:00:00:0a", "02:00:00:00:00:01", "02:00:00:00:00:0b"
NOBODY = bytes(6)
IPV4, ARP = 0x0800, 0x0806


@cache
def recorded(name: str) -> Capture:
    return pcapng_reader.read(RUNS / name / runs.CAPTURE)


def frames_at(name: str, interface: str) -> list[Observation]:
    capture = recorded(name)
    port = [each.name for each in capture.interfaces].index(interface)
    return [seen for seen in capture.observations if seen.port == port]


def pcap(frames: list[Observation], order: str = "<", magic: int = 0xA1B2C3D4) -> bytes:
    """A classic pcap file, made by the format's description."""
    unit = 1 if magic == 0xA1B23C4D else 1000
    file = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 1 << 18, 1)
    for seen in frames:
        seconds, ns = divmod(seen.t_ns, 10**9)
        file += struct.pack(order + "IIII", seconds, ns // unit, len(seen.data), seen.length)
        file += bytes(8) if magic == 0xA1B2CD34 else b""
        file += seen.data
    return file


def built(*frames: tuple[int, bytes]) -> list[Observation]:
    """Frames with their times in ms."""
    return [
        Observation(number, ms * 10**6 + 10**18, 0, Reception.HOST, data, len(data))
        for number, (ms, data) in enumerate(frames, 1)
    ]


def told(folder: Path, frames: list[Observation], name: str = "here") -> Story:
    """The story of a capture of one place."""
    file = folder / f"{name}.pcap"
    file.write_bytes(pcap(frames, magic=0xA1B23C4D))
    run = folder / "run"
    run.mkdir()
    foreign.make_run(file, run)
    story = runs.reopen(run).story
    shutil.rmtree(run)
    return story


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("magic", [0xA1B2C3D4, 0xA1B23C4D, 0xA1B2CD34])
@pytest.mark.parametrize("packed", [False, True])
def test_classic_files_are_read(tmp_path: Path, order: str, magic: int, packed: bool) -> None:
    frames = frames_at("web-cold", "client-eth0")
    data = pcap(frames, order, magic)
    file = tmp_path / "x.pcap"
    file.write_bytes(gzip.compress(data) if packed else data)
    capture = pcap_reader.read_any(file)
    assert [seen.data for seen in capture.observations] == [seen.data for seen in frames]
    unit = 1 if magic == 0xA1B23C4D else 1000
    assert [seen.t_ns for seen in capture.observations] == [
        seen.t_ns // unit * unit for seen in frames
    ]
    assert not capture.problem


def test_tshark_reads_the_same_times_and_lengths(tmp_path: Path) -> None:
    if shutil.which("tshark") is None:
        pytest.skip("tshark is not installed")
    file = tmp_path / "x.pcap"
    file.write_bytes(pcap(frames_at("web-cold", "www-eth0"), magic=0xA1B23C4D))
    fields = ["-T", "fields", "-e", "frame.time_epoch", "-e", "frame.len", "-e", "frame.number"]
    theirs = subprocess.run(
        ["tshark", "-r", file, *fields], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    ours = [
        f"{seen.t_ns // 10**9}.{seen.t_ns % 10**9:09}\t{seen.length}\t{seen.number}"
        for seen in pcap_reader.read_any(file).observations
    ]
    assert ours == theirs


def test_a_cut_file_gives_what_stands_before(tmp_path: Path) -> None:
    frames = frames_at("web-cold", "client-eth0")
    data = pcap(frames)
    for cut in (len(data) - 1, len(data) - len(frames[-1].data) - 3):
        file = tmp_path / "cut.pcap"
        file.write_bytes(data[:cut])
        capture = pcap_reader.read_any(file)
        assert len(capture.observations) == len(frames) - 1
        assert capture.problem
    file.write_bytes(gzip.compress(data)[:-40])
    assert pcap_reader.read_any(file).problem
    file.write_bytes(b"\x1f\x8b" + b"no gzip")
    with pytest.raises(PcapngError, match="cannot be unpacked"):
        pcap_reader.read_any(file)


def test_every_place_of_every_run_is_told_and_nothing_is_lost_there(tmp_path: Path) -> None:
    """What one place shows is no loss, no flood and nobody's ignorance, and each frame is counted
    once."""
    places = 0
    for name in ("web-hub", "nat", "loop-storm", "reply-lost", "dead-host", "ipv6", "tcp-timeouts"):
        interfaces = [each.name for each in recorded(name).interfaces]
        for interface in interfaces[:6]:
            frames = frames_at(name, interface) if interface != "openflow" else []
            if not 0 < len(frames) <= 60:
                continue
            story = told(tmp_path, frames, interface)
            places += 1
            assert story.summary.frames == len(frames), (name, interface)
            for trip in story.trips:
                assert not trip.lost and not trip.ignored and not trip.unseen, (name, interface)
                assert not any(fan.flooded for fan in trip.fanouts)
    assert places > 20


def test_a_visit_at_the_clients_card_is_told(tmp_path: Path) -> None:
    story = told(tmp_path, frames_at("web-cold", "client-eth0"))
    assert story.outcome.ok is True
    assert story.outcome.status == 200
    assert story.outcome.where == "10.80.0.80"  # by its address, though a router is in between
    text = render(story, detail="full")
    assert "16 frames passed here, from or for 2 cards." in text
    assert "what became of a frame behind it is not known" in text
    assert "What did not pass here may have gone another way." in text
    for claim in ("arrived", "from its cache", "every frame found its place", "ignored by"):
        assert claim not in text
    syn = next(trip for trip in story.trips if trip.kind == "tcp-syn")
    assert syn.path == ("10.1.0.10", "here", "10.1.0.1")
    answer = next(trip for trip in story.trips if trip.kind == "tcp-syn-ack")
    assert answer.sender == "10.80.0.80"


@pytest.mark.parametrize("run, interface, ok, code, words", [
    ("refused", "client-eth0", False, "refused", "a filter on the way may answer the same"),
    ("no-such-page", "client-eth0", False, "http-error", "It is the server that says no."),
    ("reply-lost", "h1-eth0", False, "ping-silent", "what became of it behind that is not known"),
    ("reply-lost", "h3-eth0", True, "answered", ""),  # the reply passed here, and was lost later
    ("web-cold", "pc-eth0", None, "capture-missed", ""),  # the answer went past the bystander
    ("wrong-netmask", "h2-eth0", False, "arp-silent", ""),  # asked again: so nobody answered
])  # fmt: skip
def test_how_it_ended_as_far_as_the_place_shows(
    tmp_path: Path, run: str, interface: str, ok: bool | None, code: str, words: str
) -> None:
    outcome = told(tmp_path, frames_at(run, interface)).outcome
    assert (outcome.ok, outcome.code) == (ok, code)
    assert words in " ".join(outcome.why)
    assert not any("kept silent" in why or "It went" in why for why in outcome.why)
    if code in ("ping-silent", "arp-silent", "capture-missed"):
        assert outcome.sentence.startswith("As far as here shows: ")


def test_who_is_who_is_said_with_its_evidence() -> None:
    cards = read_cards(
        built(
            (0, eth("ff:ff:ff:ff:ff:ff", A, ARP, arp(1, A, "10.0.0.2", NOBODY, "10.0.0.1"))),
            (1, eth(A, R, IPV4, ipv4("10.0.0.1", "10.0.0.2", 1, echo(False, 1, 1), ttl=64))),
            (2, eth(A, R, IPV4, ipv4("8.8.8.8", "10.0.0.2", 1, echo(False, 1, 2), ttl=57))),
            (3, eth(A, R, IPV4, ipv4("8.8.8.8", "10.0.0.2", 1, echo(False, 1, 3), ttl=57))),
        )
    )
    assert cards[A].own == {"10.0.0.2": ("claimed", 1)}
    assert cards[R].own == {"10.0.0.1": ("ttl", 2)}
    assert cards[R].behind == {"8.8.8.8": 3}
    assert (cards[A].frames, cards[R].frames) == (1, 3)


def test_what_a_card_claims_is_surer_than_a_ttl() -> None:
    """A traceroute begins with low TTLs, and is the host's own all the same."""
    cards = read_cards(
        built(
            (0, eth(R, A, IPV4, ipv4("10.0.0.2", "8.8.8.8", 1, echo(True, 1, 1), ttl=3))),
            (1, eth(R, A, ARP, arp(2, A, "10.0.0.2", R, "10.0.0.1"))),
        )
    )
    assert cards[A].own == {"10.0.0.2": ("claimed", 2)}
    assert not cards[A].behind
    assert cards[R].frames == 0


def test_a_packet_that_passes_twice_is_one_packet() -> None:
    """A router sends it back out of the port by which it came, with a TTL that is one lower."""

    def ping(ttl: int, seq: int = 1) -> bytes:
        return ipv4("10.0.1.2", "10.0.2.2", 1, echo(True, 1, seq), ttl=ttl)

    frames = built(
        (0, eth("ff:ff:ff:ff:ff:ff", R, ARP, arp(1, R, "10.0.1.1", NOBODY, "10.0.1.2"))),
        (1, eth(R, A, IPV4, ping(64))),
        (2, eth(B, R, IPV4, ping(63))),
        (3, eth(B, R, IPV4, ping(63, 2))),  # of this one only the second half was seen
        (4, eth(R, A, IPV4, ping(64, 3))),
        (1500, eth(B, R, IPV4, ping(63, 3))),  # too late for one to be the other
    )
    wiring = one_place.describe(frames, "here")
    assert wiring.kind("10.0.1.1") == "router"
    journeys = one_place.journeys(wiring, frames)
    assert [len(journey.hops()) for journey in journeys] == [1, 4, 2, 2, 2]
    assert [hop.origin.value for hop in journeys[1].hops()] == [
        "born", "switched", "routed", "switched"
    ]  # fmt: skip


def test_a_part_of_a_lab_is_told_by_its_wiring(tmp_path: Path) -> None:
    """Two cards of a lab: what happened between them is not told as lost, nor as not begun."""
    frames = sorted(
        frames_at("web-cold", "client-eth0") + frames_at("web-cold", "www-eth0"),
        key=lambda seen: seen.t_ns,
    )
    capture = recorded("web-cold")
    ports = {seen.port for seen in frames}
    part = tmp_path / "part.pcapng"
    with part.open("wb") as file:
        from hoplab.capture import pcapng_writer

        numbers = {port: place for place, port in enumerate(sorted(ports))}
        kept = Capture(interfaces=[capture.interfaces[port] for port in sorted(ports)])
        kept.observations = [
            Observation(n, seen.t_ns, numbers[seen.port], seen.reception, seen.data, seen.length)
            for n, seen in enumerate(frames, 1)
        ]
        pcapng_writer.write_all(file, kept)
    folder = tmp_path / "run"
    folder.mkdir()
    foreign.make_run(part, folder, wiring=foreign.wiring_in(RUNS / "web-cold"))
    story = runs.reopen(folder).story
    assert story.outcome.ok is not False
    assert not any(trip.lost for trip in story.trips)
    text = render(story)
    assert "never came back" not in text
    assert "the capture ended while" not in text
    assert "nobody captured there" in text


def test_the_verb_keeps_what_it_tells(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "dump.pcap"
    file.write_bytes(pcap(frames_at("web-cold", "client-eth0")))
    kept = tmp_path / "kept"
    assert main(["tell", str(file), "--json", "--save", str(kept)]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["outcome"]["status"] == 200
    nodes = {node["name"]: node for node in data["source"]["nodes"]}
    assert nodes["10.1.0.10"]["known"]["10.1.0.10"] == {"how": "claimed", "frame": 1}
    assert nodes["10.80.0.80"]["behind"] == "10.1.0.1"
    assert main(["find", "tcp.syn", str(kept), "--count"]) == 0
    assert main(["find", "tcp.syn", str(file), "--count"]) == 0
    assert capsys.readouterr().out == "2 of 16 packets\n" * 2
    assert main(["tell", str(file)]) == 0
    out = capsys.readouterr().out
    assert "Who is who, as far as the frames show:" in out
    assert "02:00:00:00:01:00: 10.1.0.10 (it says so itself, frame 1)" in out
    assert main(["report", str(kept), "--md", "-o", str(tmp_path / "page.md")]) == 0
    # The capture of a kept run is told by the lab.json beside it.
    assert main(["find", "tcp.syn via s1", str(RUNS / "web-cold" / runs.CAPTURE), "--count"]) == 0


@pytest.mark.parametrize("words, code, said", [
    (["nope.pcap"], 4, "there is no file nope.pcap"),
    (["text.pcap"], 3, "is no pcapng file"),
    (["empty.pcap"], 3, "has no frame in it"),
    (["many.pcapng"], 2, "one place is told at a time"),
    (["many.pcapng", "--interface", "client-eth"], 4, "client-eth0"),
    (["dump.pcap", "--wiring", "many.pcapng"], 3, "the wiring in many.pcapng cannot be read"),
    (["dump.pcap", "--wiring", "lab"], 3, "no interface of dump.pcap is one of the lab's"),
])  # fmt: skip
def test_what_cannot_be_told_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    words: list[str], code: int, said: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    Path("text.pcap").write_text("no capture\n" * 9)
    Path("empty.pcap").write_bytes(pcap([]))
    Path("dump.pcap").write_bytes(pcap(frames_at("web-cold", "client-eth0")))
    shutil.copy(RUNS / "web-cold" / runs.CAPTURE, "many.pcapng")
    Path("lab").mkdir()
    shutil.copy(RUNS / "web-cold" / runs.STATE, "lab/lab.json")
    assert main(["tell", *words, "--save", "kept"]) == code
    error = capsys.readouterr().err
    assert said in error
    assert "Next: " in error
    assert "Traceback" not in error
    assert not Path("kept").exists()
