# SPDX-License-Identifier: Apache-2.0
"""A sheet's page: its sections, and what is to be typed, seen, predicted and answered in each.

What lives here: the reading of README.md. What must not: HTML, running commands.

A block of `sh` is to be typed, the block of `text` below it is what is seen. A block of another
language with a file's name behind it is saved as that file. A quotation that begins in bold letters
is a prediction, a question or something to be shown, with its name:

    > **Question q-mask.** Which mask …            > **问题 q-mask。** 哪个掩码……
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

FAILS = "# fails, as it should"
KINDS = {
    "Predict": "predict", "Question": "question", "Show": "show",
    "预测": "predict", "问题": "question", "演示": "show",
}  # fmt: skip
_FENCE = re.compile(r"^```(\S*)(?: (\S+))?\s*$")
_CALL = re.compile(r"^\*\*(?P<word>[A-Za-z一-鿿]+)(?: ?(?P<name>[A-Za-z][\w-]*))?[.。:：]\*\*")  # noqa: RUF001


@dataclass(frozen=True)
class Block:
    """A part of a section. kind: 'words', 'items', 'table', 'code', 'picture' (indented lines),
    'predict', 'question', 'show' or 'quote'. language, file: of a block of code. name: of a
    question, or of what is shown."""

    kind: str
    lines: tuple[str, ...]
    language: str = ""
    file: str = ""
    name: str = ""

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


@dataclass
class Section:
    """What stands below a heading; the first one of a page has the page's title."""

    title: str
    blocks: list[Block] = field(default_factory=list)


@dataclass
class Step:
    """Commands, what is announced to be seen, and the files that are saved before."""

    commands: list[str]
    seen: list[str] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)


def sections(page: str) -> list[Section]:
    """The page's sections, in order."""
    made: list[Section] = [Section("")]
    rest = page.splitlines()
    while rest:
        line = rest.pop(0)
        fence = _FENCE.match(line)
        if fence is not None:
            body = []
            while rest and not rest[0].startswith("```"):
                body.append(rest.pop(0))
            rest = rest[1:]
            block = Block("code", tuple(body), fence[1], fence[2] or "")
            made[-1].blocks.append(block)
        elif re.match(r"#{1,2} ", line):
            title = line.lstrip("#").strip()
            if made[-1].title or made[-1].blocks:
                made.append(Section(title))
            else:
                made[-1].title = title
        elif line.strip() and not line.startswith("<!--"):
            body = [line]
            while rest and rest[0].strip() and not re.match(r"```|#{1,2} ", rest[0]):
                body.append(rest.pop(0))
            made[-1].blocks.append(_block(body))
    return made


def _block(lines: list[str]) -> Block:
    first = lines[0]
    if first.startswith(">"):
        body = [re.sub(r"^> ?", "", line) for line in lines]
        call = _CALL.match(body[0])
        kind = KINDS.get(call["word"], "quote") if call is not None else "quote"
        name = (call["name"] or "") if call is not None else ""
        return Block(kind, tuple(body), name=name)
    if first.startswith("    "):
        return Block("picture", tuple(lines))
    if first.startswith("|"):
        return Block("table", tuple(lines))
    if re.match(r"(?:[-*]|\d+\.) ", first):
        return Block("items", tuple(lines))
    return Block("words", tuple(lines))


def steps(page: str) -> list[Step]:
    """What is to be typed, in order, each with what is seen then. Raises ValueError for a block
    that is none of those that a sheet has."""
    made: list[Step] = []
    files: dict[str, str] = {}
    for section in sections(page):
        for block in section.blocks:
            if block.kind != "code":
                continue
            if block.file:
                files[block.file] = block.text + "\n"
            elif block.language == "sh":
                made.append(Step(list(block.lines), files=files))
                files = {}
            elif block.language == "text" and made:
                made[-1].seen += block.lines
            else:
                raise ValueError(f"a block of {block.language or 'nothing'}: {block.text[:60]}")
    return made


def names_of(page: str, kind: str) -> list[str]:
    """The names of a page's questions, or of what it shows."""
    return [
        block.name for section in sections(page) for block in section.blocks if block.kind == kind
    ]
