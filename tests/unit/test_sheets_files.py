# SPDX-License-Identifier: Apache-2.0
"""Files of sheets: read as they are meant, and what is wrong in one is told with its place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hoplab import strict_yaml
from hoplab.errors import LabError
from hoplab.sheets import kathara, sheet_file
from hoplab.sheets.pages import names_of, sections, steps
from hoplab.sheets.records import Sheet
from hoplab.sheets.slides import slides

GOOD = """
title: {en: A switch, zh: 交换机}
minutes: 30
lab: {topology: switch, controller: hub, ipv6: true}
setup:
  - h2: ip addr flush dev h2-eth0
  - hoplab: swap hub
score: 1
moments:
  repeats: {nodes: [h1], trace: ping -c 1 10.0.0.2, at: icmp from h1 @s1}
  third: {nodes: [h1], trace: ping -c 1 10.0.0.2, at: "#3@s1"}
validate:
  reach:
    description: {en: h1 reaches h2, zh: h1 能到达 h2}
    nodes: [h1, h3]
    exec: ping -c 1 10.0.0.2
    valid: "' 0% packet loss' in stdout"
    wait: 5
    level: warning
    stop_on_error: true
  heard:
    nodes: [h1]
    trace: ping -c 1 10.0.0.2
    fresh: [arp]
    frames:
      - icmp from h1: [1 packet, "seen at h3, h4"]
      - arp.request: 3 to 8 copies
    hint: [one, {en: two, zh: 二}]
    moment: repeats
  learned: {table: {s1: [h1 at s1-eth1, no h3]}}
  forwards: {flow: {s1: [from h1 to h2: out of s1-eth2]}}
  q-mac: {answer: 12:00:00:00:02:00}
  q-no: {answer: no}
  q-many: {answer: {all of: [h1, h2]}}
  q-count: {answer: {count: arp}, nodes: [h1], trace: ping -c 1 10.0.0.2}
  q-speed: {answer: 4.7, near: 20%, unit: Mbit/s}
"""


def sheet(text: str, folder: Path) -> Sheet:
    where = folder / "03-hub"
    where.mkdir(exist_ok=True)
    (where / sheet_file.FILE).write_text(text, encoding="utf-8")
    return sheet_file.load(where)


def test_a_sheet_is_read_as_it_is_meant(tmp_path: Path) -> None:
    made = sheet(GOOD, tmp_path)
    assert (made.name, made.number, made.score, made.minutes) == ("03-hub", "03", 1, 30)
    assert (made.topology, made.controller, made.options) == ("switch", "hub", {"ipv6": True})
    assert made.setup[1] == ("hoplab", "swap hub")
    assert made.title.into("zh") == "交换机"
    kinds = [check.kind for check in made.checks.values()]
    assert kinds == ["exec", "frames", "table", "flow", *["answer"] * 5]
    reach, heard = made.checks["reach"], made.checks["heard"]
    assert (reach.nodes, reach.wait_s, reach.warning) == (("h1", "h3"), 5, True)
    assert [len(entry.claims) for entry in heard.frames] == [2, 1]
    assert [hint.into("zh") for hint in heard.hints] == ["one", "二"]
    assert [made.moments[name].node for name in ("repeats", "third")] == ["s1", "s1"]
    assert made.moments["third"].at == "#3"
    answers = {name: check.answer for name, check in made.checks.items() if check.answer}
    assert answers["q-mac"].accepted == ("12:00:00:00:02:00",)
    assert answers["q-no"].accepted == ("no",)
    assert answers["q-many"].together == ("h1", "h2")
    assert made.checks["q-count"].count == "arp"
    assert answers["q-speed"].near_share == 0.2


BAD = [
    ("validate: {a: {exec: x}}", "validate.a: it has no nodes"),
    ("validate: {a: {nodes: [h1], exec: x, show: y}}", "validate.a: it does several things"),
    ("validate: {a: {nodes: [h1], show: x}}", "validate.a: it has show, and no valid"),
    ("validate: {a: {nods: [h1], exec: x}}", "validate.a: there is no key nods"),
    ("validate: {a: {nodes: [h1], frames: [tcp: 1 packet]}}", "and no trace"),
    ("validate: {a: {nodes: [h1], trace: x, frames: [tcp: 1 parcel]}}",
     "validate.a.frames.0.tcp: '1 parcel' is no claim"),
    ("validate: {a: {nodes: [h1], trace: x, frames: [(tcp: 1 packet]}}", "cannot stand there"),
    ("validate: {a: {table: {s1: [learned it]}}}", "validate.a.table.s1.0: 'learned it'"),
    ("validate: {a: {flow: {s1: [x to y: dropped]}}}", "'x to y' is no packet"),
    ("validate: {a: {answer: 3, moment: b}}", "validate.a.moment: there is no moment b"),
    ("validate: {a: {answer: 3, fresh: [all]}}", "validate.a.fresh: all is none of arp"),
    ("validate: {a: {answer: 3, near: few}}", "validate.a.near: a number is wanted"),
    ("validate: {a: {answer: 3}, a: {answer: 4}}", "stands here twice"),
    ("validate: {a: &x {answer: 3}, b: *x}", "aliases"),
    ("validate: [", "line "),
    ("score: 3", "it has no validate"),
    ("setup: [h1]\nvalidate: {a: {answer: 3}}", "setup.0: names and values are wanted here"),
    ("title: {de: x}\nvalidate: {a: {answer: 3}}", "title: there is no key de"),
    ("- 1", "names and values are wanted here"),
    ("validate: " + "[" * 60, "too deep"),
    ("validate: !!python/object/apply:os.system [id]", "could not determine a constructor"),
]


@pytest.mark.parametrize(("text", "reason"), BAD, ids=[reason for _, reason in BAD])
def test_what_is_wrong_is_told_with_its_place(text: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(LabError) as raised:
        sheet(text, tmp_path)
    assert reason in str(raised.value.message)


def test_a_netlab_file_is_read_too(tmp_path: Path) -> None:
    file = tmp_path / "topology.yml"
    file.write_text(
        "nodes: {h1: , h2: }\nvalidate:\n  ping:\n    description: Pinging H2\n    nodes: [ h1 ]\n"
        "    devices: [ linux ]\n    exec:\n      linux: ping -c 1 h2\n      eos: x\n"
        "    valid: |\n      \"64 bytes\" in stdout\n  wait: {wait: 45}\n"
    )
    made = sheet_file.load(file)
    assert [check.kind for check in made.checks.values()] == ["exec", "wait"]
    assert made.checks["ping"].command == "ping -c 1 h2"
    assert made.checks["ping"].valid == '"64 bytes" in stdout'


def test_yaml_of_people_who_write_about_networks() -> None:
    text = "a: no\nb: 12:30\nc: 010\nd: 1,500\ne: 2026-01-01\nf: true\ng: 7\nh:\n"
    assert strict_yaml.read_text(text, "x") == {
        "a": "no", "b": "12:30", "c": "010", "d": "1,500", "e": "2026-01-01", "f": True, "g": 7,
        "h": None,
    }  # fmt: skip


def test_a_file_of_kathara_lab_checker_becomes_checks(tmp_path: Path) -> None:
    file = tmp_path / "correction.json"
    tests = {
        "ip_mapping": {"r1": {"0": "10.0.0.1/24"}},
        "kernel_routes": {"r1": ["10.0.2.0/24", "!0.0.0.0/0", ["10.0.3.0/24", ["10.0.0.2"]]]},
        "reachability": {"h1": ["10.0.0.2", "!10.0.9.9"]},
        "applications": {"dns": {"local_ns": {"10.53.0.53": ["h1"]},
                                 "authoritative": {"com": ["10.53.0.3"]},
                                 "records": {"A": {"www.com": ["10.80.0.80"]}}},
                         "http": {"h1": []}},
        "custom_commands": {"h1": [{"command": "echo a", "exit_code": 0, "output": "a",
                                    "regex_match": "a|b"}]},
        "protocols": {"bgpd": {}},
    }  # fmt: skip
    file.write_text(json.dumps({"convergence_time": "10", "test": tests}))
    made, passed_over = kathara.read(file)
    assert list(made.checks) == [
        "ip_r1_0", "route_r1", "route_r1-2", "route_r1-3", "reach_h1", "reach_h1-2",
        "dns_authority", "dns_server_of_h1", "dns_record_h1", "command_h1",
    ]  # fmt: skip
    assert all(check.wait_s == 10 for check in made.checks.values())
    # What failed is told by these words, not by the expression that judges it.
    assert made.checks["ip_r1_0"].meaning == "r1: eth0 has 10.0.0.1/24"
    assert not any("_result" in check.meaning for check in made.checks.values())
    assert all(check.meaning for check in made.checks.values())
    assert sorted(str(words).split()[0] for words in passed_over) == [
        "applications.http", "protocols",
    ]  # fmt: skip
    with pytest.raises(LabError):
        kathara.read(Path(__file__))


PAGE = """# Lab 03: a hub

**Goal.** Who hears what.

## A ping

Words of *this* `part` with <b>.

> **Predict.** How many?

```sh
hoplab lab start 03
ping x    # fails, as it should
```

```text
2 of 9 … pass
```

> **Question q-copies.** How many copies?

## Write it

```python server.py
print(1)
```

1. one
2. two

```sh
python3 server.py
```
"""


def test_a_page_is_read_into_steps_and_questions() -> None:
    assert [section.title for section in sections(PAGE)] == ["Lab 03: a hub", "A ping", "Write it"]
    first, second = steps(PAGE)
    assert (first.commands[0], first.seen) == ("hoplab lab start 03", ["2 of 9 … pass"])
    assert second.files == {"server.py": "print(1)\n"}
    assert names_of(PAGE, "question") == ["q-copies"]
    zh = "> **问题 q-a。** 几个？\n\n> **演示 rep。** 看\n\n> **预测。** 会怎样？\n"  # noqa: RUF001
    assert names_of(zh, "question") + names_of(zh, "show") == ["q-a", "rep"]
    assert len(names_of(zh, "predict")) == 1
    with pytest.raises(ValueError, match="a block of yaml"):
        steps("```yaml\n```\n")


def test_slides_are_one_page_that_needs_nothing_else(tmp_path: Path) -> None:
    made = sheet(GOOD, tmp_path)
    (made.folder / "README.md").write_text(PAGE, encoding="utf-8")
    page = slides(made, "zh")  # there is no Chinese page: the English one
    assert 'lang="en"' in page
    assert page.count("<section") == 3
    assert "<script" not in page and "http://" not in page and "src=" not in page
    assert "<em>this</em> <code>part</code> with &lt;b&gt;" in page
    assert "<ol><li>one</li><li>two</li></ol>" in page
    assert "3/3" in page


def test_every_sheet_of_ours_can_be_read() -> None:
    for folder in sheet_file.folders():
        made = sheet_file.load(folder)
        pages = {
            code: (folder / name).read_text(encoding="utf-8")
            for code, name in (("en", "README.md"), ("zh", "README.zh.md"))
        }
        questions = [check.id for check in made.checks.values() if check.kind == "answer"]
        for code, page in pages.items():
            assert steps(page), (folder.name, code)
            assert sorted(names_of(page, "question")) == sorted(questions), (folder.name, code)
            assert set(names_of(page, "show")) <= set(made.moments) | set(made.checks), folder.name
            assert all(
                check.description.into(code) for check in made.checks.values()
            ), (folder.name, code)  # fmt: skip
            assert slides(made, code)


def test_a_line_means_its_own_folder_and_files_have_to_be_there(tmp_path: Path) -> None:
    text = GOOD.replace("exec: ping -c 1 10.0.0.2", "exec: sh {sheet}/look.sh").replace(
        "third: {nodes: [h1], trace: ping -c 1 10.0.0.2,",
        "third: {nodes: [h1], trace: 'sh {sheet}/go.sh',",
    )
    where = tmp_path / "03-hub"
    where.mkdir()
    (where / "1.pcap").write_bytes(b"")
    read = sheet(text + "files: [1.pcap]\n", tmp_path)
    assert read.checks["reach"].command == f"sh {where}/look.sh"
    assert read.moments["third"].command == f"sh {where}/go.sh"
    assert read.files == ("1.pcap",)
    for name in ("2.pcap", "../03-hub/1.pcap"):
        with pytest.raises(LabError, match="there is no file"):
            sheet(text + f"files: [{name}]\n", tmp_path)
