# SPDX-License-Identifier: Apache-2.0
"""A sheet as slides: one page of HTML, made from its README.

What lives here: the choice of what a slide shows, and its HTML. What must not: any file or address
beside the page: it has to work on a projector without a network.

A slide is a section: its heading, its first paragraph, lists, what is to be typed, predictions,
questions. What is seen is shown when it is short, for it is on the other screen. There is no
script: the space bar, Page Down and the wheel turn slides, and on paper each is a page.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

from hoplab.errors import Exit, LabError
from hoplab.sentences import say
from hoplab.sheets.pages import Block, Section, sections
from hoplab.sheets.records import Sheet

SHORT = 6  # lines of output that a slide has room for
_STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #fff; --soft: #eef1f5; --mark: #0b5cad }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8eaed; --paper: #16181c; --soft: #24282f; --mark: #7ab8ff }
}
* { box-sizing: border-box }
html { scroll-snap-type: y mandatory; background: var(--paper); color: var(--ink);
  font: clamp(18px, 2.4vmin + 6px, 34px)/1.45 system-ui, "Noto Sans CJK SC", sans-serif }
body { margin: 0 }
section { min-height: 100vh; scroll-snap-align: start; padding: 5vmin 7vmin 7vmin;
  display: flex; flex-direction: column; justify-content: center; gap: .6em; position: relative }
h1 { font-size: 2em; margin: 0 } h2 { font-size: 1.45em; margin: 0; color: var(--mark) }
p, ul, ol { margin: 0 }
pre { margin: 0; padding: .6em .9em; background: var(--soft); border-radius: .3em;
  font-size: .8em; white-space: pre-wrap; overflow-wrap: anywhere }
pre.seen { border-left: .25em solid var(--mark) }
blockquote { margin: 0; padding: .5em .9em; border: 2px solid var(--mark); border-radius: .3em }
table { border-collapse: collapse; font-size: .85em }
td, th { border-bottom: 1px solid var(--mark); padding: .2em .8em .2em 0; text-align: left;
  vertical-align: top }
footer { position: absolute; right: 3vmin; bottom: 2vmin; font-size: .6em; opacity: .75 }
@media print { section { min-height: 0; height: 100vh; break-after: page } }
@page { size: A4 landscape; margin: 0 }
"""


def slides(sheet: Sheet, code: str) -> str:
    """The page, from the sheet's README in that language, else from the English one. Raises
    LabError."""
    names = [f"README.{code}.md"] if code != "en" else []
    file = next(
        (sheet.folder / name for name in [*names, "README.md"] if (sheet.folder / name).is_file()),
        None,
    )
    if file is None:
        raise LabError(
            say("the sheet {sheet} has no page to make slides of", sheet=sheet.name), "",
            Exit.NO_SUCH,
        )  # fmt: skip
    language = "en" if file.name == "README.md" else code
    parts = sections(file.read_text(encoding="utf-8"))
    made = [slide for part in parts if (slide := _slide(part, first=part is parts[0]))]
    title = parts[0].title if parts else sheet.name
    pages = "\n".join(
        f'<section id="s{n}">\n{slide}\n<footer>{html.escape(title)} · {n}/{len(made)}</footer>'
        "\n</section>"
        for n, slide in enumerate(made, 1)
    )
    tag = {"zh": "zh-CN"}.get(language, language)
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return (
        f'<!DOCTYPE html>\n<html lang="{tag}">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"{pages}\n</main>\n</body>\n</html>\n"
    )


def _slide(section: Section, *, first: bool) -> str:
    """The HTML of a section; "" for one without anything to show."""
    level = "h1" if first else "h2"
    parts = [f"<{level}>{_inline(section.title)}</{level}>"] if section.title else []
    words = 0
    for block in section.blocks:
        if block.kind == "words":
            words += 1
            if words > 1:
                continue
        parts += _html(block)
    return "\n".join(parts) if len(parts) > 1 or first else ""


def _html(block: Block) -> Iterator[str]:
    if block.kind == "code":
        lines = [line for line in block.lines if line.strip()]
        if block.language == "text":
            if len(lines) <= SHORT:
                yield f'<pre class="seen">{html.escape(chr(10).join(lines))}</pre>'
            return
        name = f"<strong>{html.escape(block.file)}</strong>\n" if block.file else ""
        yield f"<pre>{name}{html.escape(block.text)}</pre>"
    elif block.kind == "picture":
        yield f"<pre>{html.escape(block.text)}</pre>"
    elif block.kind == "items":
        yield _items(block)
    elif block.kind == "table":
        yield _table(block)
    elif block.kind == "words":
        yield f"<p>{_inline(_joined(block.lines))}</p>"
    else:
        yield f"<blockquote>{_inline(_joined(block.lines))}</blockquote>"


def _joined(lines: tuple[str, ...]) -> str:
    """Lines as one: between Chinese characters a break is nothing."""
    text = "\n".join(line.strip() for line in lines)
    wide = "[\u3000-\u303f\u4e00-\u9fff\uff00-\uffef]"
    return re.sub(rf"(?<={wide})\n(?={wide})", "", text).replace("\n", " ")


def _items(block: Block) -> str:
    items: list[str] = []
    for line in block.lines:
        match = re.match(r"(?:[-*]|\d+\.) (.*)", line)
        if match is not None:
            items.append(match[1])
        elif items:
            items[-1] = _joined((items[-1], line))
    tag = "ol" if block.lines[0][0].isdigit() else "ul"
    inner = "".join(f"<li>{_inline(item)}</li>" for item in items)
    return f"<{tag}>{inner}</{tag}>"


def _table(block: Block) -> str:
    rows = [
        [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]
        for line in block.lines if not re.fullmatch(r"[|:\- ]+", line)
    ]  # fmt: skip
    made = []
    for number, row in enumerate(rows):
        tag = "td" if number else "th"
        made.append("".join(f"<{tag}>{_inline(cell)}</{tag}>" for cell in row))
    return "<table>" + "".join(f"<tr>{row}</tr>" for row in made) + "</table>"


def _inline(text: str) -> str:
    """Code, bold, italics; of a link its words, for nothing is loaded from a slide."""
    made = []
    for number, part in enumerate(re.split(r"`([^`]+)`", text)):
        part = html.escape(part)
        if number % 2:
            made.append(f"<code>{part}</code>")
            continue
        part = re.sub(r"\[([^\]]+)\]\([^)]*\)", r"\1", part)
        part = re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", part)
        made.append(re.sub(r"(?<!\*)\*([^*]+)\*(?!\*)", r"<em>\1</em>", part))
    return "".join(made)
