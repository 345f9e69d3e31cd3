# SPDX-License-Identifier: Apache-2.0
"""`hoplab find`: packets of a kept run, by the player's filter language. Judged by tshark, which
counts frames of the same capture by a filter of its own."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from hoplab.cli.main import main
from hoplab.errors import Exit
from tests.conftest import need

RUNS = Path(__file__).parent.parent / "data" / "runs"
WEB = RUNS / "web-cold"


def test_a_line_for_each_packet_and_how_many(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["find", "tcp.syn from client", str(WEB)]) == Exit.OK
    *lines, count = capsys.readouterr().out.splitlines()
    assert any(re.match(r" #\d+ +\+[\d.]+ ms  ", line) for line in lines)
    assert any("client → s1 → r1 → r2 → s3 → www" in line for line in lines), lines
    assert re.fullmatch(r"1 of \d+ packets", count)


def test_none_is_found_and_that_is_said_by_the_exit_code(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["find", "lost", str(WEB), "--count"]) == Exit.FAILED
    assert re.fullmatch(r"0 of \d+ packets\n", capsys.readouterr().out)


def test_as_data(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["find", "dns and not arp", str(WEB), "--json"]) == Exit.OK
    data = json.loads(capsys.readouterr().out)
    assert data["found"] == len(data["trips"]) < data["of"]
    assert {trip["kind"].split("-")[0] for trip in data["trips"]} == {"dns"}


def test_more_of_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["find", "tcp.syn from client", str(WEB), "--detail", "normal"]) == Exit.OK
    assert "TTL 64 → 63" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["find", "via nowhere", str(WEB)], Exit.BAD_INPUT, "nowhere cannot stand there"),
        (["find", "tcp and (", str(WEB)], Exit.BAD_INPUT, "docs/filter.md"),
        (["find", "tcp", str(WEB / "lab.json")], Exit.BAD_INPUT, "is no pcapng file"),
        (["find", "tcp", str(WEB / "nothing")], Exit.NO_SUCH, "is no folder"),
        (["find", "tcp"], Exit.USAGE, "RUN"),
    ],
)
def test_what_cannot_be_found(
    words: list[str], code: int, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        assert main(words) == code
    except SystemExit as error:
        assert error.code == code
    assert text in capsys.readouterr().err


def test_tshark_finds_the_frames_of_the_same_packets(capsys: pytest.CaptureFixture[str]) -> None:
    tshark = need("tshark")
    assert main(["find", "dns.question", str(WEB), "--json"]) == Exit.OK
    trips = json.loads(capsys.readouterr().out)["trips"]
    ours = {n for trip in trips for leg in trip["legs"] for n in (leg["sent"], leg["received"])}
    answer = subprocess.run(
        [tshark, "-r", WEB / "capture.pcapng", "-Y", "dns.flags.response == 0 && !openflow_v4",
         "-T", "fields", "-e", "frame.number"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert ours - {None} == {int(number) for number in answer.stdout.split()}
