# SPDX-License-Identifier: Apache-2.0
"""What an exit status says, and which program of a command line it came from."""

from __future__ import annotations

import argparse
import json

import pytest

from hoplab.cli.verbs_live import _Printer
from hoplab.report.language import language
from hoplab.story.exit_status import WORDS, ExitStatus


@pytest.mark.parametrize(
    ("command", "code", "program"),
    [
        ("ping -c 1 10.0.0.2", 1, "ping"),
        ("/usr/bin/curl -m 1 http://x/", 28, "curl"),
        ("sh -c 'ping -c1 x; curl y'", 6, "curl"),
        ("sh -c 'ping x\ncurl y'", 6, "curl"),
        ("sh -c 'ping -c1 x && curl y'", 6, "curl"),
        ("sh -c 'ping -c1 x && curl y'", 1, ""),  # either of them
        ("sh -c 'ping -c1 x || curl y'", 7, "curl"),
        ("sh -c 'ping -c1 x || true'", 0, ""),
        ("sh -c 'ping -c1 x | grep y'", 1, "grep"),
        ("sh -c 'echo a; ping x | tee f && grep b'", 1, "grep"),
        ("bash -ec 'curl x; ping y'", 7, "curl"),
        ("sh -c 'set -e; curl x; ping y'", 7, "curl"),
        ("bash -c 'set -o pipefail; ping x | tail -1'", 1, "ping"),
        ("bash -c 'set -euo pipefail; ping x | grep ttl'", 1, ""),
        ("bash -o pipefail -c 'ping x | tail -1'", 1, ""),
        ("sh -c 'grep x y 2>&1 > /dev/null'", 1, "grep"),
        ("sh -c 'A=b exec ping x'", 2, "ping"),
        ("env A=b nice -n 5 stdbuf -oL curl x", 6, "curl"),
        ("timeout -s INT 2 curl x", 6, "curl"),
        ("sh -c 'if true; then curl x; fi'", 6, ""),
        ("sh -c 'curl x & ping y'", 7, ""),
        ("sh -c 'curl $(cat f); ping y'", 7, ""),
        ("sh -c 'exit 3'", 3, ""),
        ("sh -c '$tool x'", 6, ""),
        ("sh script.sh", 6, ""),
        ("sh -c ''", 1, ""),
        ("it's", 1, ""),
        ("", 1, ""),
    ],
)
def test_which_program_gave_the_status(command: str, code: int, program: str) -> None:
    assert ExitStatus(code, command).program == program


@pytest.mark.parametrize(
    ("status", "ok", "words"),
    [
        (ExitStatus(0, "ping x"), True, "ping ended with 0: by its own word it succeeded."),
        (ExitStatus(0, ""), True, "The command ended with 0: by its own word it succeeded."),
        (ExitStatus(6, "curl x"), False, "curl ended with 6: it could not resolve the name"),
        (ExitStatus(42, "curl x"), False, "curl ended with exit status 42."),
        (ExitStatus(3, "iperf -c x"), False, "iperf ended with exit status 3."),
        (ExitStatus(1, "sh -c 'exit 1'"), False, "The command ended with exit status 1."),
        (ExitStatus(127, "sh -c nosuch"), False, "The command ended with 127: no such program"),
        (ExitStatus(126, "sh -c ./x"), False, "The command ended with 126: the program cannot be"),
        (ExitStatus(137, "sleep 9"), False, "The command was ended by SIGKILL (signal 9)."),
        (ExitStatus(139, "sleep 9"), False, "The command was ended by SIGSEGV (signal 11)."),
        (ExitStatus(255, "ssh x"), False, "ssh ended with 255: ssh itself failed."),
        (ExitStatus(130, "ping x"), None, "The command was interrupted (SIGINT)."),
        (ExitStatus(1, "ping x", interrupted=True), None, "The command was interrupted."),
        (ExitStatus(124, "timeout 2 tcpdump"), None, "timeout ended the command when its time"),
        (ExitStatus(124, "prog"), False, "prog ended with exit status 124."),
        (ExitStatus(124, "timeout 9 ping x", late=True), False, "The command had not ended in"),
        (ExitStatus(None, "ping x"), None, "The command did not succeed."),
        (ExitStatus(None, "ping x", complaint="no"), False, "The command did not succeed."),
    ],
)
def test_what_a_status_says(status: ExitStatus, ok: bool | None, words: str) -> None:
    assert status.ok is ok
    assert status.sentence.startswith(words)


def test_every_status_has_words_in_chinese() -> None:
    tr = language("zh")
    for program, codes in WORDS.items():
        for code in codes:
            sentence = ExitStatus(code, program).sentence
            assert not any(word in tr(sentence) for word in (" ended", " it ", " the ")), sentence


def test_a_live_story_tells_it_as_soon_as_the_command_has_ended(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for as_json, code, printed in (
        (False, 6, "curl ended with 6: it could not resolve the name of the host.\n"),
        (False, 0, ""),
    ):
        printer = _Printer(argparse.Namespace(json=as_json))
        printer.ended(ExitStatus(code, "curl http://x/"))
        assert capsys.readouterr().out == printed
    _Printer(argparse.Namespace(json=True)).ended(ExitStatus(0, "ping x"))
    assert json.loads(capsys.readouterr().out)["exit_code"] == 0
