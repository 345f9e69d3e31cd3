# SPDX-License-Identifier: Apache-2.0
"""truth: the oracle finds nothing false in kept runs, and refuses what is made false in them."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hoplab import runs
from hoplab.report.as_json import to_dict
from tests.conftest import PROJECT, need
from truth import campaign, evidence, kinds, oracle, sentences, titles

RUNS = PROJECT / "tests" / "data" / "runs"
NAMES = ("hub", "web-cold", "refused", "nxdomain", "fragmentation", "missing-gateway-back", "ipv6",
         "traceroute", "dead-host")  # fmt: skip
OTHERS = {"node": "nobody", "ip": "192.0.2.1", "mac": "02:00:00:00:99:99"}


@pytest.fixture(scope="module", params=NAMES)
def shown(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The evidence of a kept run, with its story told anew."""
    need("tshark")
    folder = tmp_path_factory.mktemp("truth") / request.param
    shutil.copytree(RUNS / request.param, folder)
    head = json.loads((folder / "trace.json").read_text())
    run = runs.reopen(folder)
    kept = {name: head[name] for name in ("exit_code", "output") if name in head}
    data = json.loads(json.dumps(to_dict(run.story)))
    (folder / "trace.json").write_text(json.dumps({**data, **kept}))
    return evidence.read(folder)


def judged(shown: evidence.Evidence, trace: dict[str, Any]) -> oracle.Verdict:
    return oracle.judge(shown.folder, replace(shown, trace=trace))


def test_a_kept_run_has_no_false_statement(shown: evidence.Evidence) -> None:
    verdict = judged(shown, shown.trace)
    assert verdict.false == []
    assert sum(verdict.judged.values()) > 100


def swap_nodes(trace: dict[str, Any]) -> None:
    path = trace["trips"][0]["path"]
    path[0], path[-1] = path[-1], path[0]


def first_leg(name: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(trace: dict[str, Any]) -> None:
        trace["trips"][0]["legs"][0][name] = value

    return change


def in_trip(name: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(trace: dict[str, Any]) -> None:
        trace["trips"][0][name] = value

    return change


def one_more(*path: Any) -> Callable[[dict[str, Any]], None]:
    def change(trace: Any) -> None:
        for step in path[:-1]:
            trace = trace[step]
        trace[path[-1]] += 1

    return change


def without_a_trip(trace: dict[str, Any]) -> None:
    del trace["trips"][0]


CHANGES: dict[str, Callable[[dict[str, Any]], None]] = {
    "two nodes of a path": swap_nodes,
    "the frame that was sent": first_leg("sent", 2),
    "the frame that was received": first_leg("received", 1),
    "a source MAC": first_leg("src_mac", OTHERS["mac"]),
    "a destination MAC": first_leg("dst_mac", OTHERS["mac"]),
    "an interface": first_leg("tail_interface", "nobody-eth0"),
    "a node": first_leg("head", "nobody"),
    "where it came from": first_leg("origin", "routed"),
    "a loss": first_leg("lost", True),
    "a length": one_more("trips", 0, "legs", 0, "length"),
    "a time": one_more("trips", 0, "t_ns"),
    "the time of a frame": one_more("trips", 0, "legs", 0, "t_ns"),
    "a kind": in_trip("kind", "tcp-rst"),
    "a sender": in_trip("sender", "nobody"),
    "a receiver": in_trip("delivered", ["nobody"]),
    "an address": in_trip("src", OTHERS["ip"]),
    "lost legs": in_trip("lost", [0]),
    "how many packets": one_more("summary", "trips"),
    "how many frames": one_more("summary", "frames"),
    "how many arrived": one_more("summary", "arrivals"),
    "how many were ignored": one_more("summary", "ignored"),
    "how many were lost": one_more("summary", "lost"),
    "bytes": one_more("summary", "bytes"),
    "frames of a link": one_more("summary", "links", 0, "forth"),
    "bytes of a link": one_more("summary", "links", 0, "back_bytes"),
    "a packet left out": without_a_trip,
}


def test_what_is_made_false_is_refused(shown: evidence.Evidence) -> None:
    for name, change in CHANGES.items():
        trace = copy.deepcopy(shown.trace)
        change(trace)
        try:
            refused = bool(judged(shown, trace).false)
        except KeyError:
            refused = True  # an interface that the lab has not
        assert refused, name


def altered(values: Any) -> Iterator[Any]:
    """The values of a sentence, one of them made false at a time, at any depth."""
    if isinstance(values, dict):
        for kind, strange in OTHERS.items():
            if set(values) == {kind} and isinstance(values[kind], str):
                yield {kind: strange}
                return
        if isinstance(values.get("packet"), int):
            yield from ({"packet": values["packet"] + shift} for shift in (1, -1, 2, -2, 3, -3))
            return
        for name, value in values.items():
            if name not in ("say", "plural"):
                yield from ({**values, name: strange} for strange in altered(value))
    elif isinstance(values, list):
        for place, value in enumerate(values):
            yield from ([*values[:place], strange, *values[place + 1 :]]
                        for strange in altered(value))  # fmt: skip
    elif isinstance(values, bool):
        yield not values
    elif isinstance(values, int | float):
        yield values + 7
    elif isinstance(values, str):
        yield f"x{values}"


def every_sentence(data: Any, trip: Any = None) -> Iterator[tuple[Any, dict[str, Any], Any]]:
    """The parts of every sentence, with the object that it stands in and its trip."""
    if isinstance(data, list):
        for item in data:
            yield from every_sentence(item, trip)
    if isinstance(data, dict):
        trip = data if "legs" in data else trip
        for key, value in data.items():
            if not key.endswith("_parts"):
                yield from every_sentence(value, trip)
                continue
            for parts in value if isinstance(value, list) else [value]:
                if parts and "say" in parts:
                    yield parts, data, trip


def test_a_sentence_with_another_value_is_refused(shown: evidence.Evidence) -> None:
    """Of each template with values at least one value cannot be changed unnoticed."""
    rules = {**titles.RULES, **sentences.RULES}
    refused: dict[str, bool] = {}
    for parts, owner, trip in every_sentence(shown.trace):
        rule, template = rules.get(parts["say"]), parts["say"]
        if rule is None or not parts["values"] or refused.get(template):
            continue
        about = oracle.About(shown, owner, trip, None, oracle.words(parts))
        about.frame = about.frame_of(trip) if trip else None
        for strange in altered(parts["values"]):
            try:
                pairs = list(rule(about, strange))
            except (oracle.Unknown, ValueError, KeyError):
                continue
            if any(claimed != so for _, claimed, so in pairs):
                refused[template] = True
                break
        else:
            refused.setdefault(template, False)
    assert [template for template, no in refused.items() if not no] == []


def test_a_title_of_another_packet_is_refused(shown: evidence.Evidence) -> None:
    """Titles without values, too."""
    trace = copy.deepcopy(shown.trace)
    by_template = {trip["title_parts"]["say"]: trip for trip in trace["trips"]}
    if len(by_template) < 2:
        pytest.skip("all packets are alike")
    first, *_, last = by_template.values()
    for name in ("title", "title_parts"):
        first[name], last[name] = last[name], first[name]
    assert len(judged(shown, trace).false) >= 1


def test_the_words_of_a_kind_are_those_of_its_seed() -> None:
    kind = next(kind for kind in kinds.KINDS if kind.name == "switch")
    assert campaign.words_of(kind, 5) == campaign.words_of(kind, 5)
    assert len({str(campaign.words_of(kind, seed)) for seed in range(9)}) > 3
    assert len(kinds.KINDS) >= 40 and len({kind.name for kind in kinds.KINDS}) == len(kinds.KINDS)


def test_a_campaign_takes_each_kind_once_before_it_takes_one_again() -> None:
    chosen = campaign.sessions([], 3, 1000)
    first = chosen[: len(kinds.KINDS)]
    assert [kind.name for kind, _ in first] == [kind.name for kind in kinds.KINDS]
    assert {seed for _, seed in first} == {3} and chosen[len(kinds.KINDS)][1] == 4


def test_the_table_counts_what_has_no_rule() -> None:
    result = campaign.Judged("hub", 1, 0, "ping", 12, {"leg.t_ns": 12}, ["x"], {"It rained.": 3})
    table = campaign.table([result], rules=True)
    assert "       3  It rained." in table and "FALSE  hub seed 1 run 0: x" in table


def test_the_oracle_shares_no_code_with_what_it_judges() -> None:
    for path in (PROJECT / "truth").glob("*.py"):
        assert "import hoplab" not in path.read_text() and "from hoplab" not in path.read_text()
    assert Path(oracle.__file__).parent == PROJECT / "truth"
