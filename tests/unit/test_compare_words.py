# SPDX-License-Identifier: Apache-2.0
"""`trace --compare A,B HOST: COMMAND`: what is likely meant is taken, or named in full."""

from __future__ import annotations

import argparse

import pytest

from hoplab.cli.verbs_compare import _check_hosts, _commands, _wished
from hoplab.client.together import Command
from hoplab.errors import Exit, LabError

PING = ("ping", "-c1", "10.0.0.2")


def asked(compare: str, *words: str) -> argparse.Namespace:
    host, *command = words or ("",)
    return argparse.Namespace(
        compare=compare, host=host, command=command, live=False, controller=None
    )


@pytest.mark.parametrize(
    "words",
    [
        ("h1:", *PING),
        ("h1", ":", *PING),
        ("h1:ping", *PING[1:]),
        ("h1: ping -c1 10.0.0.2",),
        ("h1 ping -c1 10.0.0.2",),
        ("h1\uff1a", *PING),
        ("h1", "--", *PING),
        ("h1", *PING),
    ],
)
def test_a_command_is_understood_however_its_host_is_set_apart(words: tuple[str, ...]) -> None:
    assert _commands(asked("hub,hub", *words)) == [Command("h1", PING)]


def test_a_colon_of_the_command_is_its_own() -> None:
    words = ("h1", "curl", "http://10.0.0.2:80/")
    assert _commands(asked("hub,hub", *words)) == [Command("h1", words[1:])]


@pytest.mark.parametrize(
    ("compare", "words", "meant"),
    [
        ("hub,", ("learning_switch", "h1:", *PING), "hub,learning_switch -- h1: ping -c1 10.0.0.2"),
        ("hub", ("firewall", "h1:", *PING), "hub,firewall -- h1: ping -c1 10.0.0.2"),
        ("firewall", ("h1", *PING), "firewall,learning_switch -- h1 ping -c1 10.0.0.2"),
        ("h1:", PING, "hub,learning_switch -- h1: ping -c1 10.0.0.2"),
        ("hub", (), "hub,learning_switch"),
    ],
)
def test_one_controller_is_answered_with_the_line_that_is_meant(
    compare: str, words: tuple[str, ...], meant: str
) -> None:
    with pytest.raises(LabError) as raised:
        _wished(asked(compare, *words))
    assert f"hoplab trace --compare {meant};" in raised.value.hint


def test_a_command_in_place_of_a_host_is_answered_with_the_form() -> None:
    state = {"nodes": [{"name": "h1"}, {"name": "s1"}]}
    _check_hosts([Command("h1", PING)], state)
    with pytest.raises(LabError) as raised:
        _check_hosts(_commands(asked("hub,hub", *PING)), state)
    assert raised.value.code == Exit.NO_SUCH
    assert raised.value.hint.startswith("it has: h1, s1; begin with one of them and a colon: ")
