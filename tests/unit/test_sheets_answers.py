# SPDX-License-Identifier: Apache-2.0
"""hoplab.sheets.answers: what counts as the same answer, and what does not."""

from __future__ import annotations

import pytest

from hoplab.sheets.answers import Expected, accepts

MASK = Expected(("255.255.255.192",))
RIGHT: list[tuple[Expected, str]] = [
    (MASK, "/26"),
    (MASK, "26 bits"),
    (MASK, "0xFFFFFFC0"),
    (MASK, "11111111.11111111.11111111.11000000"),
    (Expected(("/26",)), "255.255.255.192"),
    (Expected(("26",)), "/26"),
    (Expected(("192.168.1.0/24",)), "192.168.1.0 255.255.255.0"),
    (Expected(("192.168.1.0/24",)), "192.168.1.0 / 24"),
    (Expected(("192.168.1.0/24",)), "192.168.1.0 掩码 255.255.255.0"),
    (Expected(("1500",)), "1,500"),
    (Expected(("1500",), unit="bytes"), "１,５００ Bytes"),  # noqa: RUF001
    (Expected(("1500",), unit="bytes"), "1.5 kB"),
    (Expected(("1500",)), "1500 bytes"),
    (Expected(("250",), unit="ms"), "0.25 s"),
    (Expected(("4.7",), unit="Mbit/s", near_share=0.2), "5.1 Mbps"),
    (Expected(("9",), near=2), "11"),
    (Expected(("2",)), "two"),
    (Expected(("2",)), "两个"),
    (Expected(("0",)), "None."),
    (Expected(("02:00:00:00:02:00",)), "02-00-00-00-02-00"),
    (Expected(("02:00:00:00:02:00",)), "0200.0000.0200"),
    (Expected(("02:00:00:00:02:00",)), "2:0:0:0:2:0"),
    (Expected(("fd00::1",)), "FD00:0:0::0001"),
    (Expected(("an ARP request",)), "  The ARP-Request.  "),
    (Expected(("default gateway", "默认网关")), "默认 网关。"),
    (Expected(("yes",)), "是的"),
    (Expected(("no",)), "N"),
    (Expected(together=("h1", "h2")), "h2 and H1"),
    (Expected(together=("h1", "h2")), "h2、h1"),
    (Expected(together=("h1", "h2")), "h1 h2"),
]  # fmt: skip
WRONG: list[tuple[Expected, str]] = [
    (MASK, "/25"),
    (MASK, "255.255.255.128"),
    (MASK, "255.255.192.255"),
    (MASK, "192"),
    (MASK, ""),
    (Expected(("192.168.1.0/24",)), "192.168.1.5/24"),
    (Expected(("192.168.1.0/24",)), "192.168.1.0/25"),
    (Expected(("192.168.1.0/24",)), "192.168.1.0"),
    (Expected(("1500",)), "1501"),
    (Expected(("1500",), unit="bytes"), "1500 ms"),
    (Expected(("1500",)), "about 1500 or so"),
    (Expected(("9",), near=2), "12"),
    (Expected(("4.7",), near_share=0.2), "5.7"),
    (Expected(("02:00:00:00:02:00",)), "02:00:00:00:02:01"),
    (Expected(("10.0.0.1",)), "10.0.0.11"),
    (Expected(("yes",)), "no"),
    (Expected(("ARP",)), "RARP"),
    (Expected(together=("h1", "h2")), "h1"),
    (Expected(together=("h1", "h2")), "h1, h2, h3"),
    (Expected(together=("h1", "h2")), "h1, h1"),
]


@pytest.mark.parametrize(("expected", "answer"), RIGHT, ids=[answer for _, answer in RIGHT])
def test_the_same_in_another_notation_is_right(expected: Expected, answer: str) -> None:
    assert accepts(expected, answer)


@pytest.mark.parametrize(("expected", "answer"), WRONG, ids=[answer for _, answer in WRONG])
def test_what_only_looks_alike_is_wrong(expected: Expected, answer: str) -> None:
    assert not accepts(expected, answer)
