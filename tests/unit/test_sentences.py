# SPDX-License-Identifier: Apache-2.0
"""hoplab.sentences and the catalogues: text that knows its template, in every language."""

from __future__ import annotations

import copy
import gettext
import importlib.util
import pickle
import subprocess
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo

from hoplab.cli.main import main
from hoplab.report.language import Language, code_from, languages, read_language
from hoplab.sentences import listed, number_of, say, term, together

ROOT = Path(__file__).resolve().parents[2]
RUNS = ROOT / "tests" / "data" / "runs"


@cache
def messages() -> ModuleType:
    """scripts/messages.py as a module."""
    spec = importlib.util.spec_from_file_location("messages", ROOT / "scripts" / "messages.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_catalogue(tmp_path: Path, code: str, pairs: dict[Any, Any]) -> None:
    """A compiled catalogue of these templates and no other, where the program looks for it."""
    catalog = Catalog(locale="zh")
    for english, translated in pairs.items():
        catalog.add(english, translated)
    folder = tmp_path / code / "LC_MESSAGES"
    folder.mkdir(parents=True)
    with open(folder / "hoplab.mo", "wb") as file:
        write_mo(file, catalog)


def language_with(tmp_path: Path, pairs: dict[Any, Any]) -> Language:
    """A language called zh that knows these templates and no other."""
    write_catalogue(tmp_path, "zh", pairs)
    return Language("zh", gettext.translation("hoplab", tmp_path, ["zh"]))


def test_a_sentence_is_its_english_text() -> None:
    template = "{server} answered {status}: {size:,} bytes"
    sentence = say(template, server="www", status=404, size=1499)
    assert sentence == "www answered 404: 1,499 bytes"
    assert sentence.template == template
    assert sentence.values == {"server": "www", "status": 404, "size": 1499}


def test_braces_without_values_are_text() -> None:
    assert say("a set {1, 2}") == "a set {1, 2}" == term("a set {1, 2}")


@pytest.mark.parametrize(
    ("n", "text"), [(0, "0 frames"), (1, "1 frame"), (2, "2 frames"), (1234, "1,234 frames")]
)
def test_a_number_chooses_its_template(n: int, text: str) -> None:
    assert number_of("{n:,} frame", "{n:,} frames", n) == text


def test_sentences_survive_copies_and_pickles() -> None:
    sentence = together(say("{a}", a=listed(["x", "y"])), number_of("{n} hop", "{n} hops", 2))
    for twin in (copy.deepcopy(sentence), pickle.loads(pickle.dumps(sentence))):
        assert twin == "x, y 2 hops"
        assert twin.parts[0].values["a"].items == ("x", "y")
        assert twin.parts[1].n == 2


def test_another_language_fills_in_the_same_values(tmp_path: Path) -> None:
    zh = language_with(
        tmp_path,
        {
            "{client} asks {server}: {what}": "{client} 询问 {server}：{what}",  # noqa: RUF001
            ("{n:,} frame", "{n:,} frames"): ("{n:,} 个帧",),
            "nobody": "没有人",
            "{first}, {second}": "{first}、{second}",
            "{first} {second}": "{first}{second}",
        },
    )
    answers = listed([term("nobody"), number_of("{n:,} frame", "{n:,} frames", 1234), "h1"])
    sentence = say("{client} asks {server}: {what}", client="h1", server="www", what=answers)
    assert zh(sentence) == "h1 询问 www：没有人、1,234 个帧、h1"  # noqa: RUF001
    assert zh(together(term("nobody"), term("nobody"))) == "没有人没有人"
    assert zh.unknown == set()


def test_what_a_catalogue_lacks_is_given_in_english_and_noted(tmp_path: Path) -> None:
    zh = language_with(tmp_path, {})
    assert zh(say("{node} fell over", node="h1")) == "h1 fell over"
    assert zh.unknown == {"h1 fell over"}


def test_text_without_a_template_is_given_as_it_is_and_noted(tmp_path: Path) -> None:
    """Finished English is looked up nowhere, not even where a template would make it."""
    zh = language_with(tmp_path, {"{node} is up": "{node} 已启动", "nobody": "没有人"})
    for text in ("h1 is up", "nobody"):
        assert zh(text) == text
    assert zh.unknown == {"h1 is up", "nobody"}
    assert zh("10.0.0.2") == "10.0.0.2" and zh("s1-eth1, s1-eth2") == "s1-eth1, s1-eth2"
    assert len(zh.unknown) == 2


def test_a_third_language_is_a_catalogue_and_no_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is offered, it decides what joins texts, and it is found by a user's locale."""
    write_catalogue(
        tmp_path,
        "xx",
        {
            "In numbers": "XX NUMBERS",
            "{first}, {second}": "{first} & {second}",
            "{first} {second}": "{first} / {second}",
        },
    )
    monkeypatch.setattr("hoplab.report.language.LOCALE", tmp_path)
    assert languages() == ("en", "xx")
    assert code_from({"LANG": "xx_YY.UTF-8@euro"}) == "xx"
    tr = read_language("xx")
    assert tr(together(term("In numbers"), listed(["h1", "h2"]))) == "XX NUMBERS / h1 & h2"
    assert main(["report", str(RUNS / "hub"), "--md", "--lang", "xx", "-o", "-"]) == 0
    assert "XX NUMBERS" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["report", str(RUNS / "hub"), "--lang", "zh"])


def test_the_catalogues_have_every_sentence_with_its_values() -> None:
    tool = messages()
    assert {path.stem for path in tool.catalogues()} == {"hoplab", "apps"}
    for path in tool.catalogues():
        assert list(tool.faults(tool.templates(path.stem), tool.read(path))) == []


@pytest.mark.parametrize(
    ("english", "translated", "fault"),
    [
        ("{a} sends", "", "no translation"),
        ("{a} sends", "{b} 发送", "the values differ"),
        ("{a} sends", "发送", "the values differ"),
        ("{a} sends", "{a 发送", "braces do not pair"),
    ],
)
def test_a_fault_in_a_catalogue_is_told(english: str, translated: str, fault: str) -> None:
    current, catalog = Catalog(), Catalog(locale="zh")
    current.add(english)
    catalog.add(english, translated)
    (complaint,) = messages().faults(current, catalog)
    assert complaint.startswith(fault)


def test_templates_are_found_wherever_they_stand() -> None:
    source = """
raise LabError(say("a {x}", x=listed([term("b"), number_of("{n} c", "{n} cs", 2)])))
print(f"  {tr(term('d'))}", say(e), say)
"""
    assert list(messages().templates_in(source)) == ["a {x}", "b", ("{n} c", "{n} cs"), "d"]


def test_what_nothing_says_any_more_is_told() -> None:
    catalog = Catalog(locale="zh")
    catalog.add("gone", "没了")
    assert list(messages().faults(Catalog(), catalog)) == ["nothing says this any more: 'gone'"]


def test_an_update_changes_nothing_where_nothing_has_changed() -> None:
    """Whoever adds a sentence runs `scripts/messages.py update`; it was run."""
    before = {path: path.read_bytes() for path in messages().catalogues()}
    command = [sys.executable, "scripts/messages.py", "update"]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    after = {path: path.read_bytes() for path in before}
    for path, content in before.items():
        path.write_bytes(content)
    assert before == after
