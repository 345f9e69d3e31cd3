# SPDX-License-Identifier: Apache-2.0
"""The language that the command line speaks: help, errors, and what crosses a lab's socket."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hoplab.cli import argparse_words, output
from hoplab.cli.parser import build_parser, language_asked_for
from hoplab.errors import Exit, LabError
from hoplab.sentences import from_plain, listed, number_of, say, term, to_plain, together

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "golden" / "zh"


@pytest.fixture(autouse=True)
def english_afterwards() -> Iterator[None]:
    yield
    output.speak("en")
    argparse_words.translate()


def hoplab(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command, in the Chinese of a usual system unless the environment says otherwise."""
    settings = {"LANG": "zh_CN.UTF-8", "COLUMNS": "80", **environment}
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("LC_", "LANG"))}
    return subprocess.run(
        [sys.executable, "-m", "hoplab.cli.main", *words],
        cwd=ROOT, env={**inherited, **settings}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def golden(name: str, text: str) -> None:
    """Compares with tests/golden/zh/NAME.txt; HOPLAB_UPDATE_GOLDEN=1 writes it."""
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("HOPLAB_UPDATE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="argparse lays its help out anew")
@pytest.mark.parametrize("verb", ["", "up", "trace", "capture"])
def test_help_is_in_the_language_of_the_locale(verb: str) -> None:
    golden(f"help_{verb or 'hoplab'}", hoplab(*filter(None, [verb]), "--help").stdout)


ERRORS = {
    "words_too_many": "down lab",
    "bad_lab_name": "down --name ../up",
    "no_such_option_value": "open --port x",
    "no_such_lab": "exec --name nothing h1 -- ls",
    "no_such_topology": "up swich",
    "no_command": "exec h1",
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors_are_in_the_language_of_the_locale(name: str, tmp_path: Path) -> None:
    result = hoplab(*ERRORS[name].split(), XDG_STATE_HOME=str(tmp_path))
    assert result.stdout == ""
    golden(name, f"exit code {result.returncode}\n{result.stderr}")


def test_data_is_english_with_its_templates(tmp_path: Path) -> None:
    words = ("exec", "--name", "nothing", "h1", "--", "ls")
    assert "nothing" in hoplab(*words, XDG_STATE_HOME=str(tmp_path)).stderr
    result = hoplab("swap", "--json", "--name", "nothing", "hub", XDG_STATE_HOME=str(tmp_path))
    data = json.loads(result.stdout)
    assert data["error"] == "no lab called nothing is up"
    made = data["sentences"]["error"]
    assert made["say"].format_map(made["values"]) == data["error"]


@pytest.mark.parametrize(
    ("words", "lang"),
    [
        ("--lang zh ls", "zh"),
        ("ls --lang zh", "zh"),
        ("--lang en down --lang=zh", "zh"),
        ("--lang zh exec h1 -- x --lang en", "zh"),
        ("ls", None),
    ],
)
def test_the_language_stands_before_the_verb_or_behind_it(words: str, lang: str | None) -> None:
    assert getattr(build_parser().parse_args(words.split()), "lang", None) == lang


def test_every_verb_speaks_the_language_that_is_asked_for(tmp_path: Path) -> None:
    words = ("swap", "--name", "nothing", "hub")
    settings = {"LANG": "C.UTF-8", "XDG_STATE_HOME": str(tmp_path)}
    before = hoplab("--lang", "zh", *words, **settings)
    behind = hoplab(*words, "--lang", "zh", **settings)
    assert before.stderr == behind.stderr != hoplab(*words, **settings).stderr
    assert "没有" in before.stderr and before.returncode == Exit.NO_SUCH
    assert hoplab("--lang", "zh", "--help", **settings).stdout == hoplab("--help").stdout


@pytest.mark.parametrize(
    ("settings", "spoken"),
    [
        ({}, "en"),
        ({"LANG": "C.UTF-8"}, "en"),
        ({"LANG": "en_GB.UTF-8"}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C"}, "en"),
        ({"LANG": "de_DE.UTF-8", "HOPLAB_LANG": "zh"}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "HOPLAB_LANG": "en"}, "en"),
    ],
)
def test_the_environment_chooses_a_language(
    settings: dict[str, str], spoken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HOPLAB_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    output.speak()
    assert output.is_english() == (spoken == "en")
    assert (
        output.tr(term("no lab is up"))
        == {"en": "no lab is up", "zh": "没有正在运行的实验网络"}[spoken]
    )


@pytest.mark.parametrize(
    ("words", "language"),
    [
        ("visit --lang zh --help", "zh"),
        ("visit --lang=en", "en"),
        ("visit --lang xx", None),
        ("visit --lang", None),
        ("trace h1 -- x --lang zh", None),
    ],
)
def test_the_option_counts_before_the_words_are_parsed(words: str, language: str | None) -> None:
    assert language_asked_for(words.split()) == language


def test_a_terminal_without_the_letters_is_spoken_to_in_english() -> None:
    result = hoplab("down", "lab", LANG="zh_CN.UTF-8", PYTHONIOENCODING="ascii")
    assert result.stderr.startswith("hoplab: down does not know")


def test_a_fault_crosses_the_socket_with_template_and_values() -> None:
    message = together(
        say("{host} has {links}", host="h1", links=number_of("{n} link", "{n} links", 2)),
        say("up now: {labs}", labs=listed([term("none"), "lab"])),
    )
    fault = LabError(message, say("take {path}", path=Path("/x")), Exit.TAKEN, "its own words")
    data = json.dumps(to_plain(fault.as_dict()))
    again = LabError.from_dict(json.loads(data, object_hook=from_plain))
    assert (again.message, again.hint) == (fault.message, fault.hint)
    assert (again.code, again.detail) == (Exit.TAKEN, "its own words")
    first, second = again.message.parts  # type: ignore[attr-defined]
    assert first.values["links"].plural == "{n} links" and first.values["links"].n == 2
    assert second.values["labs"].items[0].template == "none"
    assert again.hint.values == {"path": "/x"}  # type: ignore[attr-defined]


def test_every_text_of_the_help_has_a_template() -> None:
    """No text of the parser is plain: what is, cannot be translated."""
    import argparse

    parser = build_parser()
    (verbs,) = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    actions = [*parser._actions, *verbs._choices_actions]
    for verb in verbs.choices.values():
        actions += verb._actions
    plain = {
        action.help for action in actions if action.help and not hasattr(action.help, "template")
    }
    assert plain <= {"show this help message and exit"}  # argparse's own
