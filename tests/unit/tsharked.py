# SPDX-License-Identifier: Apache-2.0
"""What tshark reads in frames, as the oracle beside our own decoders."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from hoplab.capture.observation import Reception
from hoplab.capture.pcapng_format import InterfaceInfo
from hoplab.capture.pcapng_writer import Writer
from tests.conftest import need


def tshark(
    folder: Path,
    packets: Sequence[bytes],
    names: Sequence[str],
    *options: str,
    every: bool = False,
) -> list[list[str]]:
    """Per frame the first value of each of these fields, "" where there is none; every: all of
    them, joined by commas. Skips the test where tshark is not installed."""
    program = need("tshark")
    path = folder / "frames.pcapng"
    with open(path, "wb") as file:
        writer = Writer(file, [InterfaceInfo("x-eth0")])
        for place, data in enumerate(packets):
            writer.write_frame(0, 10**18 + place, Reception.HOST, data, len(data))
    occurrence = "occurrence=a" if every else "occurrence=f"
    command = [program, "-r", str(path), "-T", "fields", "-E", occurrence, *options]
    for name in names:
        command += ["-e", name]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    return [line.split("\t") for line in result.stdout.split("\n")[: len(packets)]]
