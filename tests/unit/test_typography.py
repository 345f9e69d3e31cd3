# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: RUF001
"""Chinese as it is set: marks, spaces and words, in the catalogue and in what is made of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.pofile import read_po

from hoplab.report.language import language
from hoplab.sentences import Sentence, listed, say, term

ROOT = Path(__file__).resolve().parents[2]
CATALOGUES = (
    ROOT / "hoplab" / "locale" / "zh" / "LC_MESSAGES" / "hoplab.po",
    ROOT / "apps" / "protocols" / "locale" / "zh" / "LC_MESSAGES" / "apps.po",
)
HAN, MARKS = "\u4e00-\u9fff", "，。；：！？、（）“”《》"

# What is wrong, and how it looks. A mark beside a value counts like one beside a character.
FAULTS = {
    "a half-width mark between Chinese characters": (
        rf"[{HAN}][,;:?!()][{HAN}{{]|[}}{HAN}][,;:?!][{HAN}]|}}, {{"
    ),
    "a half-width mark at the end of a Chinese sentence": rf"[{HAN}][,;:?!.](?=\s|$)",
    "a space beside a full-width mark": rf"(?<![ |]) [{MARKS}]|[{MARKS}] (?![ |\[…])",
    "a space between Chinese characters": rf"[{HAN}] [{HAN}]",
    "no space between a Chinese character and a Latin letter or a digit": (
        rf"[{HAN}][A-Za-z0-9]|[A-Za-z0-9%][{HAN}]"
    ),
    "a capture is 抓包": "捕获",
    "a packet is 数据包": "分组",
    "a cable is 网线": "线缆",
    "请问 is what one says to a person": "关于.*请问|请问",
    "the reader is 您": "你",
    "a lab is 实验网络": "实验(?!网络|指导|环境)",
    "a unit is Chinese": r"\} m?s(?![a-z])",
}
# Lines for a shell, and what stands in their place in a help text, keep their own marks.
COMMAND = re.compile(r"`[^`]*`|--? [^，。；）]*|hoplab [^，。；：）]*; hoplab [^，。；：）]*")


def faults(text: str) -> list[str]:
    """What is wrong with a text, by FAULTS."""
    bare = COMMAND.sub("X", text)
    return [fault for fault, pattern in FAULTS.items() if re.search(pattern, bare)]


def translations() -> Iterator[str]:
    for path in CATALOGUES:
        with open(path, encoding="utf-8") as file:
            catalog = read_po(file, locale="zh")
        for message in catalog:
            if message.id:
                yield from (message.string,) if isinstance(message.string, str) else message.string


def test_the_catalogue_is_set_as_chinese_is() -> None:
    wrong = {text: marks for text in translations() if (marks := faults(text))}
    assert not wrong, "\n".join(f"{text}: {', '.join(marks)}" for text, marks in wrong.items())


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("没有应答,也没有路由", "a half-width mark between Chinese characters"),
        ("没有应答.", "a half-width mark at the end of a Chinese sentence"),
        ("询问了 {times} （#1）", "a space beside a full-width mark"),
        ("收到 应答", "a space between Chinese characters"),
        ("收到3个帧", "no space between a Chinese character and a Latin letter or a digit"),
        ("捕获结束", "a capture is 抓包"),
        ("一个分组", "a packet is 数据包"),
        ("关于 com，请问 ns", "请问 is what one says to a person"),
        ("你的控制器", "the reader is 您"),
        ("实验已启动", "a lab is 实验网络"),
        ("在 {ms:.2f} ms 后", "a unit is Chinese"),
    ],
)
def test_each_fault_is_seen(text: str, fault: str) -> None:
    assert fault in faults(text)


@pytest.mark.parametrize(
    ("sentence", "chinese"),
    [
        # The value ends in a bracket, begins with one, is Chinese, is Latin.
        (
            say("ask {server} about {zone}", server=say("{server} ({ip})", server="ns", ip="::1"),
                zone="com"),
            "请向 ns（::1）查询 com",
        ),
        (say("allow a lab to {user}", user=term("an ordinary user")), "允许普通用户运行实验网络"),
        (say("allow a lab to {user}", user="root"), "允许 root 运行实验网络"),
        (say("Step {n}  {heading}", n=2, heading=term("Other frames")), "第 2 步  其他帧"),
        (say("lab {lab} is gone", lab=listed(["a", "b"])), "实验网络 a、b 已关闭"),
    ],
)  # fmt: skip
def test_a_value_takes_the_spaces_that_it_wants(sentence: Sentence, chinese: str) -> None:
    assert language("zh")(sentence) == chinese
