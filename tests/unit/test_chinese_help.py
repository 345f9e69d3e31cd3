# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: RUF001
"""Every text that the command line shows before it does anything, in Chinese: help and refusals."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator

import pytest

from hoplab.cli import argparse_words, output
from hoplab.cli.main import main
from hoplab.cli.options_sheets import ACTIONS
from hoplab.cli.parser import build_parser
from hoplab.errors import reason_of
from hoplab.report.language import language
from hoplab.sentences import say

VERBS = sorted(build_parser()._subparsers._group_actions[0].choices)
# Words that stand beside each other in a command, and names of values.
COMMANDS = re.compile(r"`[^`]*`|'[^']*'|hoplab [^，。；：（）\u4e00-\u9fff]*|--[a-z-]+|&& |curl -x|"
                      r"mn --\S+( \S+)*|exec、shell、run、mn|" + " ".join(ACTIONS))  # fmt: skip


@pytest.fixture(autouse=True)
def english_again() -> Iterator[None]:
    """Whatever is tested after this in the same process is printed in English, as before."""
    yield
    output.speak("en")
    argparse_words.translate()


@pytest.mark.parametrize("verb", VERBS)
def test_help_is_chinese(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([verb, "--help", "--lang", "zh"])
    text = capsys.readouterr().out
    usage = re.search(r"^用法：hoplab (\S+) \[-h\]", text, re.M)
    assert usage is not None and usage[1] == verb
    # Behind the usage, and without the examples, whose lines begin with what is to be typed.
    for line in text[usage.end() :].partition("\n\n")[2].splitlines():
        words = COMMANDS.sub("", line.strip())
        if line[:3] != "  h":
            assert not re.search(r"\b[a-z]{2,} [a-z]{2,} [a-z]{2,}", words), line


@pytest.mark.parametrize("words", [["link", "h1-s1", "--rate", "x"], ["break", "--seed", "x"]])
def test_a_wrong_word_shows_the_usage_whole(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main([*words, "--lang", "zh"])
    error = capsys.readouterr().err
    assert error.startswith(f"用法：hoplab {words[0]} [-h]")
    assert f"\nhoplab {words[0]}：错误：参数 {words[-2]}：" in error


def test_what_the_system_says_is_chinese_too() -> None:
    chinese = language("zh")
    for number in (errno.ENOENT, errno.EACCES, errno.ENOSPC, errno.EADDRINUSE):
        reason = reason_of(OSError(number, os.strerror(number)))
        assert reason == os.strerror(number) and re.search("[\u4e00-\u9fff]", chinese(reason))
    # Sentences of our own, and words that nobody has a translation of, stay what they are.
    ours = say("cannot {purpose}: {reason}", purpose="x", reason="y")
    assert reason_of(OSError(errno.ENOENT, ours)) is ours
    assert reason_of(OSError(errno.ENOENT, "x of my own")) == "x of my own"
    assert reason_of(ValueError("no number")) == "no number"
