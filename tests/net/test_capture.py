# SPDX-License-Identifier: Apache-2.0
"""`hoplab capture` on real labs: every frame once and in order; judged by tshark."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import need

pytestmark = pytest.mark.net


def fields(file: Path, *names: str, only: str = "") -> list[list[str]]:
    """What tshark reads in the file, a row a frame."""
    argv = [need("tshark"), "-n", "-r", str(file), "-T", "fields"]
    for name in names:
        argv += ["-e", name]
    if only:
        argv += ["-Y", only]
    result = subprocess.run(argv, capture_output=True, text=True, check=True)
    return [line.split("\t") for line in result.stdout.splitlines()]


def began(process: subprocess.Popen[str]) -> None:
    """Until the capture listens: it says so when every interface is heard."""
    assert process.stderr is not None
    line = process.stderr.readline()
    assert line.startswith("capturing into"), line + process.stderr.read()


def test_every_frame_once_in_order_and_ctrl_c_ends_it(anybody: Any) -> None:
    anybody("up", "switch", "--controller", "two_table_switch")
    process = anybody.popen("capture", "-w", "all.pcapng")
    began(process)
    anybody("exec", "h1", "--", "ping", "-c", "3", "-i", "0.05", "10.0.0.2")
    anybody("exec", "h1", "--", "sleep", "0.1")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0 and out == "", err
    rows = fields(anybody.home / "all.pcapng", "frame.interface_name", "icmp.seq", "icmp.type",
                  "frame.time_epoch", "frame.packet_flags_direction")  # fmt: skip
    assert f"{len(rows):,} frames from 9 interfaces in all.pcapng" in err
    times = [float(row[3]) for row in rows]
    assert times == sorted(times)
    pings = sorted((row[0], row[1], row[2], row[4]) for row in rows if row[1])
    inward, outward = "1", "2"
    ends = {"8": (("h1-eth0", outward), ("s1-eth1", inward), ("s1-eth2", outward),
                  ("h2-eth0", inward)),
            "0": (("h2-eth0", outward), ("s1-eth2", inward), ("s1-eth1", outward),
                  ("h1-eth0", inward))}  # fmt: skip
    wanted = sorted(
        (name, str(seq), kind, direction)
        for seq in (1, 2, 3)
        for kind in ends
        for name, direction in ends[kind]
    )
    assert [(a, b, c, str(int(d, 0) if d else d)) for a, b, c, d in pings] == wanted


def test_live_into_tshark(hoplab: Any) -> None:
    tshark = need("tshark")
    hoplab("up", "switch")
    capture = hoplab.popen("capture", "-w", "-", text=False)
    reader = subprocess.Popen(
        [tshark, "-n", "-l", "-r", "-", "-Y", "icmp && frame.interface_name == h2-eth0",
         "-T", "fields", "-e", "icmp.type"],
        stdin=capture.stdout, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert capture.stdout is not None and capture.stderr is not None
    capture.stdout.close()
    assert capture.stderr.readline().startswith(b"capturing into stdout")
    hoplab("exec", "h1", "--", "ping", "-c", "1", "10.0.0.2")
    assert reader.stdout is not None
    assert reader.stdout.readline() == "8\n"  # while it runs
    assert reader.stdout.readline() == "0\n"
    capture.send_signal(signal.SIGTERM)
    assert capture.wait(30) == 0 and b"frames from 9 interfaces" in capture.stderr.read()
    assert reader.wait(30) == 0


def test_a_reader_that_has_seen_enough_ends_it(hoplab: Any) -> None:
    hoplab("up", "cable")
    process = hoplab.popen("capture", "-w", "-", text=False)
    assert process.stdout is not None
    process.stdout.read(4)
    process.stdout.close()
    assert process.wait(30) == 0


def test_count_host_and_filter(hoplab: Any) -> None:
    hoplab("up", "switch")
    process = hoplab.popen("capture", "h2", "--filter", "icmp", "--count", "4", "--json",
                           "-w", "some.pcapng")  # fmt: skip
    hoplab("exec", "h1", "--", "ping", "-c", "1", "10.0.0.3")
    while process.poll() is None:
        hoplab("exec", "h1", "--", "ping", "-c", "1", "10.0.0.2")
    totals = json.loads(process.communicate()[0])
    assert (totals["ended"], totals["frames"], totals["interfaces"]) == ("count", 4, 1)
    rows = fields(hoplab.home / "some.pcapng", "frame.interface_name", "ip.proto")
    assert rows == [["h2-eth0", "1"]] * 4


def test_duration_and_what_the_file_says_of_the_lab(hoplab: Any) -> None:
    hoplab("up", "web")
    hoplab("capture", "r1:r1-eth0", "--duration", "0.2", "-w", "r1.pcapng")
    result = subprocess.run([need("capinfos"), "r1.pcapng"], cwd=hoplab.home, capture_output=True,
                          text=True, check=True)  # fmt: skip
    assert "topology web, controller learning_switch" in result.stdout
    assert "built by: hoplab up web" in result.stdout
    assert "Name = r1-eth0" in result.stdout and "Description = r1 to s1" in result.stdout
    assert "Number of interfaces in file: 1" in result.stdout


def test_names_and_addresses_are_in_the_file(hoplab: Any) -> None:
    from hoplab.capture import pcapng_reader

    hoplab("trace", "--topology", "routed", "--save", "run", "h1", "--",
           "ping", "-c", "1", "10.0.2.10")  # fmt: skip
    held = pcapng_reader.read(hoplab.home / "run" / "capture.pcapng")
    lab = json.loads((hoplab.home / "run" / "lab.json").read_text())
    by_name = {info.name: info for info in held.interfaces}
    for interface in lab["interfaces"]:
        info = by_name[interface["name"]]
        assert (list(info.addresses), info.mac) == (
            interface["addresses"],
            interface["mac"] or info.mac,
        )
    assert held.names["10.0.2.10"] == "h3"
    assert set(held.dropped.values()) == {0} and sum(held.received.values()) > 0


def test_openflow_alone(hoplab: Any) -> None:
    hoplab("up", "switch")
    process = hoplab.popen("capture", "openflow", "-w", "of.pcapng")
    began(process)
    hoplab("exec", "h1", "--", "ping", "-c", "1", "10.0.0.2")
    process.send_signal(signal.SIGINT)
    process.wait(30)
    packet_ins = fields(hoplab.home / "of.pcapng", "openflow_v4.packet_in.reason",
                        only="openflow_v4.type == 10")  # fmt: skip
    assert packet_ins


FAULTS = [
    (["h9"], 4, "no host or interface h9"),
    (["--filter", "arp orr"], 2, "cannot be understood"),
    (["-w", "/no/such/folder/x"], 4, "cannot be written"),
    (["--count", "0"], 2, "--count"),
]


@pytest.mark.parametrize(("arguments", "code", "sentence"), FAULTS)
def test_faults_are_told(hoplab: Any, arguments: list[str], code: int, sentence: str) -> None:
    hoplab("up", "cable")
    result = hoplab("capture", *arguments, code=code)
    assert sentence in result.err
    assert not list(hoplab.home.glob("*.pcapng"))


def test_the_lab_ends_and_the_file_is_whole(hoplab: Any) -> None:
    hoplab("up", "cable")
    process = hoplab.popen("capture", "-w", "x.pcapng")
    began(process)
    hoplab("exec", "h1", "--", "ping", "-c", "2", "192.168.1.2")
    hoplab("down")
    assert process.wait(30) == 7
    rows = fields(hoplab.home / "x.pcapng", "icmp.type", only="icmp")
    assert len(rows) >= 4


def test_a_recorder_that_is_killed_is_told_and_its_file_is_readable(hoplab: Any) -> None:
    hoplab("up", "cable")
    process = hoplab.popen("capture", "-w", "x.pcapng")
    began(process)
    hoplab("exec", "h1", "--", "ping", "-c", "2", "192.168.1.2")
    # Every process of the lab is in its own pid namespace; the recorder is the one that says so.
    hoplab("exec", "h1", "--", "sh", "-c",
           "for p in /proc/[0-9]*; do grep -aq 'hoplab.capture.recorder' $p/cmdline && "
           "! grep -aq 'for p in' $p/cmdline && kill -9 ${p#/proc/}; done; true")  # fmt: skip
    _, err = process.communicate(timeout=30)
    assert process.returncode == 7 and "the process that records was ended" in err
    assert len(fields(hoplab.home / "x.pcapng", "icmp.type", only="icmp")) >= 4
    assert hoplab("exec", "h1", "--", "ping", "-c", "1", "192.168.1.2").code == 0
