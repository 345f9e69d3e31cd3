# SPDX-License-Identifier: Apache-2.0
"""What is said of two runs, and where a sentence would be false and is not said."""

from __future__ import annotations

import re

import pytest

from hoplab.report import comparison
from hoplab.report.cells import cells
from hoplab.report.language import language
from hoplab.runs import failures
from hoplab.sentences import Sentence, number_of
from hoplab.story import costs
from hoplab.story.summary_records import LinkCount, Summary, Transfer

S = 1_000_000_000


def transfer(sender: str, receiver: str, seconds: float, size: int = 1_000_000) -> Transfer:
    busy_ns = int(seconds * S)
    return Transfer(sender, receiver, 1, size, 700, 9, busy_ns, S, S + busy_ns)


def cable(host: str, port: int, arrived: int, unwanted: int, rate: int = 10_000_000) -> LinkCount:
    return LinkCount(
        host, f"{host}-eth0", "s1", f"s1-eth{port}", 700, 1400,
        forth_bytes=50_000, back_bytes=arrived, arrived_bytes=arrived, ignored_bytes=unwanted,
        rate=rate,
    )  # fmt: skip


def hub(seconds: float = 1.7, rate: int = 10_000_000) -> Summary:
    links = [
        cable("h1", 1, 1_100_000, 1_050_000, rate), cable("h2", 2, 2_100_000, 1_050_000, rate),
        cable("h3", 3, 1_100_000, 1_050_000, rate), cable("h4", 4, 2_100_000, 1_060_000, rate),
    ]  # fmt: skip
    transfers = [transfer("h1", "h2", seconds), transfer("h3", "h4", seconds - 0.1)]
    return Summary(trips=3000, links=links, transfers=transfers)


def switch(rate: int = 10_000_000) -> Summary:
    links = [
        cable("h1", 1, 50_000, 42, rate), cable("h2", 2, 1_050_000, 42, rate),
        cable("h3", 3, 50_000, 42, rate), cable("h4", 4, 1_050_000, 42, rate),
    ]  # fmt: skip
    transfers = [transfer("h1", "h2", 0.83), transfer("h3", "h4", 0.84)]
    return Summary(trips=2000, links=links, transfers=transfers)


def said(*sides: tuple[str, Summary]) -> list[str]:
    texts = costs.sentences(sides)
    chinese = language("zh")
    chinese.unknown.clear()
    assert all(isinstance(each, Sentence) and chinese(each) != each for each in texts)
    assert not chinese.unknown
    return texts


def test_a_hub_on_full_cables_is_told_with_its_likely_cause() -> None:
    expected = [
        "Slower with hub: 2,000,000 bytes took 1.70 s, with learning_switch 0.84 s.",
        "With hub 66% of the bytes that arrived were of no use to the one that got them, with "
        "learning_switch <1%.",
        "The cable between h4 and s1 was full with hub, and 50% of what came over it was for "
        "others: that is likely why it was slower.",
    ]
    assert said(("hub", hub()), ("learning_switch", switch())) == expected
    assert said(("learning_switch", switch()), ("hub", hub())) == expected, "in either order"


def test_no_cause_is_named_where_the_cables_were_not_full() -> None:
    """Slower, and much unwanted, but on cables of ten times the rate: it was something else."""
    texts = said(("hub", hub(rate=100_000_000)), ("switch", switch(rate=100_000_000)))
    assert texts[0].startswith("Slower with hub") and len(texts) == 2


def test_no_cause_is_named_where_as_much_was_unwanted_in_the_faster_run() -> None:
    texts = said(("hub", hub()), ("other_hub", hub(0.8)))
    assert texts[0].startswith("Slower with hub: ") and not any("likely" in each for each in texts)


def test_no_cause_is_named_where_nothing_limits_a_cable() -> None:
    texts = said(("hub", hub(rate=0)), ("switch", switch(rate=0)))
    assert not any("likely" in each or "full" in each for each in texts)


def test_what_was_wasted_but_cost_no_time_is_told_as_that() -> None:
    texts = said(("hub", hub(0.85)), ("switch", switch()))
    assert texts[0] == (
        "About as fast: 9.4-10.7 Mbit/s from host to host with hub, 9.5-9.6 Mbit/s with switch."
    )
    assert texts[-1] == "That made nothing slower with hub: its cables had room for it."
    free = said(("hub", hub(0.85, rate=0)), ("switch", switch(rate=0)))
    assert "as in rate=10M" in free[-1]


def test_a_range_of_rates_names_both_units() -> None:
    """900 bit/s and 1.0 Mbit/s are not 900-1.0 Mbit/s."""
    runs = [hub(0.85), switch()]
    for run in runs:
        run.transfers[1] = transfer("h3", "h4", 10.0, 1125)
    fast = said(("hub", runs[0]), ("switch", runs[1]))[0]
    assert "900 bit/s - 9.4 Mbit/s from host to host with hub" in fast


def test_other_amounts_are_compared_by_their_throughput() -> None:
    less = hub()
    less.transfers = [transfer("h1", "h2", 1.6, 300_000), transfer("h3", "h4", 1.6, 300_000)]
    texts = said(("hub", less), ("switch", switch()))
    assert texts[0] == "Slower with hub: 3.0 Mbit/s in all, with switch 19.0 Mbit/s."


def test_without_transfers_nothing_is_said_about_speed() -> None:
    slow, fast = hub(), switch()
    slow.transfers, fast.transfers = [], []
    (only,) = said(("switch", fast), ("hub", slow))
    assert only.startswith("With hub 66% of the bytes")
    assert said(("a", Summary()), ("b", Summary())) == []


@pytest.mark.parametrize(
    ("bits", "text"),
    [(9.54e6, "9.5 Mbit/s"), (480e3, "480 kbit/s"), (1.2e9, "1.2 Gbit/s"), (900, "900 bit/s"),
     (123.4e6, "123 Mbit/s")],
)  # fmt: skip
def test_rates_as_people_write_them(bits: float, text: str) -> None:
    assert costs.rate(bits) == text


MISSED = (
    "With {run} the capture missed {n:,} frame: its figures are low.",
    "With {run} the capture missed {n:,} frames: its figures are low.",
)


@pytest.mark.parametrize("code", ["en", "zh"])
@pytest.mark.parametrize("count", [2, 3, 5])
def test_the_page_fits_80_columns_and_has_every_figure(code: str, count: int) -> None:
    names = ["hub", "learning_switch", "two_table_switch", "fast_switch", "spanning_tree"][:count]
    sides = [(name, switch() if place else hub()) for place, name in enumerate(names)]
    tr = language(code)
    tr.unknown.clear()
    text = comparison.render(
        sides, ["h1: transfer.py send 10.0.0.2 --bytes 1000000"], "topology switch,rate=10M",
        [number_of(*MISSED, 7, run="hub")],
        failures({"host": "h1", "command": "false", "exit_code": 1}), width=80, tr=tr,
    )  # fmt: skip
    assert max(map(cells, text.splitlines())) <= 80
    assert not tr.unknown
    for name in names:
        assert name in text
    assert re.search(r"h1 → h2 +4\.7 Mbit/s +9\.6 Mbit/s", text)
    assert "6,600,000" in text and "4,210,000" in text
    assert re.search(r"h2 ─ s1 .* 50% .* <1%", text)
    if count == 2:
        assert re.search(r"h2 ─ s1 +50,000 +2,100,000 +50% +50,000 +1,050,000 +<1%", text)
    brief = comparison.render(sides, [], "", [], width=80, brief=True, tr=tr)
    assert "h2 ─ s1" not in brief and "h1 → h2" in brief


def test_without_a_frame_there_is_no_table_of_cables() -> None:
    text = comparison.render([("a", Summary()), ("b", Summary())], [], "", [], width=80)
    assert "No host sent so much" in text and "on every cable" not in text


def test_many_cables_are_named_up_to_a_page() -> None:
    long = switch()
    long.links = [cable(f"h{i}", i, 1000, 0) for i in range(1, 101)]
    text = comparison.render([("a", long), ("b", long)], [], "", [], width=80)
    assert "and 76 more" in text and len(text.splitlines()) < 60
