# SPDX-License-Identifier: Apache-2.0
"""`trace --compare` on real networks: its figures are those of tshark and of the programs
themselves, and it leaves nothing behind."""

from __future__ import annotations

import re
import signal
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from hoplab.wait import until
from tests.conftest import need, without_steps

pytestmark = pytest.mark.net

PAIRS = {"h1": "h2", "h3": "h4"}
ADDRESS = {f"h{i}": f"10.0.0.{i}" for i in range(1, 5)}
INBOUND, OUTBOUND = 1, 2  # of the flags that pcapng keeps with a packet


def tshark(capture: Path, fields: str, wanted: str = "") -> list[list[str]]:
    """The fields of every frame, a row a frame."""
    argv = [need("tshark"), "-r", str(capture), "-T", "fields"]
    argv += [word for field in fields.split() for word in ("-e", field)]
    argv += ["-Y", wanted] if wanted else []
    result = subprocess.run(argv, capture_output=True, text=True, check=True)
    return [line.split("\t") for line in result.stdout.splitlines()]


FIELDS = (
    "frame.interface_name frame.len frame.packet_flags eth.dst arp.dst.proto_ipv4 "
    "frame.time_epoch ip.dst tcp.dstport tcp.seq_raw tcp.len"
)


def octets(
    rows: list[list[str]], cards: dict[str, str]
) -> tuple[Counter[str], Counter[str], Counter[str]]:
    """Bytes sent by each interface; come to each card; come to it and meant for another one."""
    sent, arrived, unwanted = Counter[str](), Counter[str](), Counter[str]()
    for name, length, flags, mac, asked, *_ in rows:
        if int(flags, 16) & 3 == OUTBOUND:
            sent[name] += int(length)
        elif name in cards:
            arrived[name] += int(length)
            to_all = mac == "ff:ff:ff:ff:ff:ff" and asked == ADDRESS[name.split("-")[0]]
            unwanted[name] += int(length) * (mac != cards[name] and not to_all)
    return sent, arrived, unwanted


def received(rows: list[list[str]], receiver: str) -> tuple[int, float]:
    """How many bytes of payload came to a host, each once, and how long that took."""
    data = [
        (float(row[5]), int(row[8]), int(row[9]))
        for row in rows
        if row[0] == f"{receiver}-eth0" and row[6] == ADDRESS[receiver] and row[7] == "5001"
        if row[9] != "0"
    ]
    first = min(number for _, number, _ in data)
    had = bytearray(max(number + length for _, number, length in data) - first)
    times = []
    for moment, number, length in data:
        place = slice(number - first, number - first + length)
        if not all(had[place]):
            times.append(moment)
        had[place] = b"\1" * length
    return sum(had), times[-1] - times[0]


def sent_again(capture: Path, sender: str, folder: Path) -> int:
    """What tshark calls sent again, as the sender's own card saw it: what seems out of order there
    was sent again, for nothing can overtake before it has left."""
    own = folder / f"{sender}.pcapng"
    only = f'frame.interface_name == "{sender}-eth0" && ip.addr == {ADDRESS[sender]}'
    argv = [need("tshark"), "-r", str(capture), "-Y", only, "-w", str(own)]
    subprocess.run(argv, capture_output=True, check=True)
    again = "tcp.analysis.retransmission || tcp.analysis.out_of_order"
    return len(tshark(own, "frame.number", f"tcp.dstport == 5001 && tcp.len > 0 && ({again})"))


@pytest.mark.long
def test_the_figures_are_those_of_tshark_and_of_the_programs(hoplab: Any) -> None:
    need("tshark")
    data = hoplab("trace", "--compare", "hub,learning_switch", "--save", "both", "--json").json
    assert (data["alike"], data["differences"]) == (True, [])
    assert [side["name"] for side in data["sides"]] == ["hub", "learning_switch"]
    assert hoplab("ls").out.startswith("no lab is up")
    for side in data["sides"]:
        folder = hoplab.home / "both" / side["name"]
        assert Path(side["run"]) == folder
        summary = side["summary"]
        cards = {f"h{i}-eth0": f"02:00:00:00:{i:02x}:00" for i in range(1, 5)}
        rows = tshark(folder / "capture.pcapng", FIELDS)
        sent, arrived, unwanted = octets(rows, cards)
        for link in summary["links"]:
            assert link["rate"] == 10_000_000
            assert link["forth_bytes"] == sent[link["a_interface"]]
            assert link["back_bytes"] == sent[link["b_interface"]]
            assert link["arrived_bytes"] == arrived[link["a_interface"]]
            assert link["ignored_bytes"] == unwanted[link["a_interface"]]
        share = summary["ignored_bytes"] / summary["arrived_bytes"]
        assert share > 0.5 if side["name"] == "hub" else share < 0.01
        big = [each for each in summary["transfers"] if each["bits_per_s"] is not None]
        assert {each["from"]: each["to"] for each in big} == PAIRS
        for each in big:
            count, seconds = received(rows, each["to"])
            assert each["bytes"] == count == 1_000_000
            assert each["busy_ms"] / 1000 == pytest.approx(seconds, abs=1e-6)
            assert each["bits_per_s"] == pytest.approx(8e6 / seconds, rel=1e-3)
        if side["name"] == "hub":  # two more runs of tshark, so on the side where something is lost
            (again,) = [each["retransmissions"] for each in big if each["from"] == "h1"]
            assert again == sent_again(folder / "capture.pcapng", "h1", hoplab.home)
        outputs = [each["output"] for each in side["commands"] if each["serves"]]
        assert all("received 1000000 bytes" in output for output in outputs) and len(outputs) == 2
    # The copies for the other pair take their share of each cable, however fast the machine is: a
    # pair that had its cable to itself would need 0.8 s.
    hub = data["sides"][0]["summary"]["transfers"]
    assert max(each["busy_ms"] for each in hub) > 1200
    page = hoplab("report", "both/hub", "both/learning_switch", "--md", "-o", "-").out
    assert re.search(r"^\| throughput h1 → h2 \| \S+ Mbit/s \| \S+ Mbit/s \|$", page, re.M)
    assert re.search(r"^\| TCP segments sent again \| [\d,]+ \| [\d,]+ \|$", page, re.M)
    assert "Not alike" not in page


def test_commands_of_ones_own_run_at_once_and_servers_end_after_them(hoplab: Any) -> None:
    served = "h2: python3 -m http.server 80"
    result = hoplab(
        "trace", "--compare", "hub,two_table_switch+monitor", "--topology", "switch,n=3",
        "--serve", served, "--json", "--",
        *"h1: curl -sS http://10.0.0.2/ -o /dev/null + h3: false".split(), code=1,
    )  # fmt: skip
    data = result.json
    assert [side["name"] for side in data["sides"]] == ["hub", "two_table_switch+monitor"]
    for side in data["sides"]:
        ended = {each["host"]: each for each in side["commands"]}
        assert (
            ended["h2"]["stopped"] and ended["h2"]["serves"] and "GET / " in ended["h2"]["output"]
        )
        assert (ended["h1"]["exit_code"], ended["h3"]["exit_code"]) == (0, 1)
    assert data["alike"], "what failed on both sides is alike"
    assert hoplab("ls").out.startswith("no lab is up")


def test_a_start_that_is_not_alike_is_told(hoplab: Any) -> None:
    """Two runs of one lab: in the second everybody knows everybody already."""
    ping = ("h1", "--", "ping", "-c", "1", "10.0.0.2")
    hoplab("up", "switch,n=3", "--controller", "hub")
    hoplab("trace", "--save", "cold", *ping)
    hoplab("swap", "learning_switch")
    hoplab("trace", "--save", "warm", *ping)
    page = hoplab("report", "cold", "warm", "--md", "-o", "-").out
    assert "Not alike:" in page
    assert "With learning\\_switch h1 did not have to ask for the MAC address of h2." in page


def test_ctrl_c_leaves_no_lab_and_no_folder(hoplab: Any) -> None:
    process = hoplab.popen(
        "trace", "--compare", "hub,learning_switch", "--save", "kept", "--", "h1:", "sleep", "60"
    )
    until(lambda: "compare-" in hoplab("ls").out and "hub" in hoplab("ls").out, "a lab",
          within_s=20)  # fmt: skip
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130 and "Traceback" not in err
    assert hoplab("ls").out.startswith("no lab is up")
    assert not (hoplab.home / "kept").exists()


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["hub"], 2, "names one controller, and it takes two"),
        (["hub,nix"], 4, "there is no controller 'nix'"),
        (["hub,hub", "--live"], 2, "--compare and --live exclude each other"),
        (["hub,hub", "--", "h1", "ping", "+", "h2:", "true"], 2, "does not say on which host"),
        (["hub,hub", "--", "h1:", "true", "+"], 2, "a command is missing before or after a +"),
        (["hub,hub", "--", "h1:"], 2, "no command was given for h1"),
        (["hub,hub", "--serve", "h2: 'x"], 2, "a quote is left open"),
        (["hub,hub", "--topology", "cable"], 3, "has no switch, hence no controller to compare"),
    ],
)
def test_what_makes_no_sense_is_told_before_anything_is_kept(
    hoplab: Any, words: list[str], code: int, sentence: str
) -> None:
    failed = hoplab("trace", "--save", "kept", "--compare", *words, code=code)
    assert sentence in failed.err and "Next: " in without_steps(failed.err)
    assert not (hoplab.home / "kept").exists()
