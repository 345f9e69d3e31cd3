# SPDX-License-Identifier: Apache-2.0
"""Sentences in trace.json: what each is made of, and what its values are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hoplab import runs
from hoplab.report.as_json import to_dict
from hoplab.report.sentence_parts import parts, with_parts
from hoplab.sentences import from_plain, listed, number_of, say, term, together
from tests.unit.scenarios import SCENARIOS

DATA = Path(__file__).parent.parent / "data"
KINDS = ("node", "ip", "mac", "packet")


def test_values_say_what_they_are() -> None:
    sentence = say(
        "{node} asks {ip} ({mac}, {port}) in #{packet}: {ms:.1f} ms, {n}, {name}",
        node="h1",
        ip="fe80::1",
        mac="02:00:00:00:00:01",
        port="h1-eth0",
        packet=3,
        ms=1.5,
        n=7,
        name="2",
    )
    made = parts(sentence, {"h1"})
    assert made == {
        "say": sentence.template,
        "values": {
            "node": {"node": "h1"},
            "ip": {"ip": "fe80::1"},
            "mac": {"mac": "02:00:00:00:00:01"},
            "port": "h1-eth0",
            "packet": {"packet": 3},
            "ms": 1.5,
            "n": 7,
            "name": "2",
        },
    }


def test_a_node_may_be_called_like_an_address() -> None:
    made = parts(listed(["10.0.0.1", "10.0.0.2"]), {"10.0.0.1"})
    assert made == {"listed": [{"node": "10.0.0.1"}, {"ip": "10.0.0.2"}]}


def test_sentences_in_sentences_have_their_own_parts() -> None:
    hops = number_of("{n} hop", "{n} hops", 2)
    made = parts(together(say("Over {hops}.", hops=hops), term("Done.")), ())
    inner = {"say": "{n} hop", "plural": "{n} hops", "n": 2, "values": {"n": 2}}
    assert made == {
        "together": [
            {"say": "Over {hops}.", "values": {"hops": inner}},
            {"say": "Done.", "values": {}},
        ]
    }


def test_plain_text_has_no_parts_and_every_key_stays() -> None:
    made = term("made here")
    data = {"a": "plain", "b": [made, "plain"], "c": [{"d": made}], "e": ["plain"], "f": 1}
    assert with_parts(data, ()) == {
        "a": "plain",
        "b": ["made here", "plain"],
        "b_parts": [{"say": "made here", "values": {}}, None],
        "c": [{"d": "made here", "d_parts": {"say": "made here", "values": {}}}],
        "e": ["plain"],
        "f": 1,
    }


def untyped(data: Any) -> Any:
    """Parts with values that do not say what they are, as `from_plain` reads them."""
    if isinstance(data, list):
        return [untyped(item) for item in data]
    if not isinstance(data, dict):
        return data
    if len(data) == 1 and next(iter(data)) in KINDS:
        return next(iter(data.values()))
    return {key: untyped(value) for key, value in data.items()}


def texts_and_parts(data: Any) -> Iterator[tuple[str, Any]]:
    """Every text in the data that has parts, and them."""
    if isinstance(data, list):
        for item in data:
            yield from texts_and_parts(item)
    elif isinstance(data, dict):
        for key, value in data.items():
            if f"{key}_parts" in data:
                made = data[f"{key}_parts"]
                single = not isinstance(value, list)
                pairs = [(value, made)] if single else zip(value, made, strict=True)
                yield from ((text, inside) for text, inside in pairs if inside is not None)
            elif not key.endswith("_parts"):
                yield from texts_and_parts(value)


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_parts_of_a_story_make_its_text(name: str) -> None:
    """Whoever has the parts has the text: nothing was put into it by other means."""
    data = json.loads(json.dumps(to_dict(SCENARIOS[name]())))
    pairs = list(texts_and_parts(data))
    for text, made in pairs:
        assert json.loads(json.dumps(untyped(made)), object_hook=from_plain) == text
    assert pairs


def test_a_run_kept_by_the_version_before_is_read() -> None:
    """Its trace.json has format 1: no parts beside its sentences."""
    folder = DATA / "format-1"
    head = json.loads((folder / runs.TRACE).read_text(encoding="utf-8"))
    assert head["format"] == 1 and "title_parts" not in head["trips"][0]
    run = runs.reopen(folder)
    assert run.story.request is not None and run.story.request.url == head["request"]["url"]
    assert run.story.outcome.code == head["outcome"]["code"] == "refused"
    assert run.failed
    anew = to_dict(run.story)
    assert anew["format"] == 2
    assert [trip["path"] for trip in anew["trips"]] == [trip["path"] for trip in head["trips"]]
    assert all(key in anew["trips"][0] for key in head["trips"][0]), "keys that exist stay"
