# SPDX-License-Identifier: Apache-2.0
"""The verb that a command line asks for: its words alone are added, the same as among all."""

from __future__ import annotations

import argparse
from typing import Any

import pytest

from hoplab.cli.parser import build_parser, verb_asked_for


def verbs(parser: argparse.ArgumentParser) -> dict[str, Any]:
    (action,) = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    return dict(action.choices)


@pytest.mark.parametrize(
    ("words", "verb"),
    [
        ("link h1 s1 down", "link"),
        ("--lang zh link h1 s1", "link"),
        ("--lang=zh link", "link"),
        ("vist", "vist"),
        ("--help link", None),
        ("--lan zh link", None),  # argparse takes a part of an option for it
        ("--lang", None),
        ("", None),
    ],
)
def test_it_is_the_first_word_that_is_no_option(words: str, verb: str | None) -> None:
    assert verb_asked_for(words.split()) == verb


def test_alone_it_takes_the_words_that_it_takes_among_all() -> None:
    everything = verbs(build_parser())
    for verb in everything:
        alone = verbs(build_parser(verb))
        assert len(alone) < len(everything)
        assert alone[verb].format_help() == everything[verb].format_help()


def test_a_word_that_is_none_is_looked_for_among_all() -> None:
    assert verbs(build_parser("vist")).keys() == verbs(build_parser()).keys()
