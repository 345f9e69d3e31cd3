# SPDX-License-Identifier: Apache-2.0
"""The player as one file: the scene, its scripts joined, the capture, and the printable page.

What lives here: how these become a page that needs no network, no server and no permission. What
must not: what is drawn (`scene.py`), how (`static/`).

1. The file is the report page (`hoplab.report.page`), which can be printed and is read without
   scripts, with the player laid over it.
2. Scripts are modules in `static/`. A page in a file may not load modules, so that they are joined
   here: each once, what it imports before it, in one function.
3. A Content-Security-Policy allows that script, the printable page's and its style by their hashes
   and nothing else, and no script may turn text into markup (trusted types): whatever a capture
   holds is text. Data stands in elements that no browser runs: what was captured in letters of
   base64, and the player's own style, which its script puts to use.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from hoplab import runs
from hoplab.report.language import Language, language, languages
from hoplab.report.markup import Markup, readable, tag
from hoplab.report.page import Overlay, page
from hoplab.runs import Run
from hoplab.sentences import term
from hoplab.web.scene import inside, scenes

MOST_CAPTURE = 4 << 20  # bytes of a compressed capture that is put into the page
CANNOT = term(
    "This browser is too old to play the run, or something in it went wrong: this is the page for "
    "print."
)
NAMES = {"en": "English", "zh": "中文"}

# A character as JSON writes it where it must not stand as it is; in the group one that is none for
# readers.
_ESCAPED = re.compile(r"\\(?:([bf]|u00[01][0-9a-f])|.)")
_IMPORT = re.compile(r'^import (\{[^}]*\}) from "\./(\w+)\.js";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:const|class|function) )", re.MULTILINE)


def player(kept: Sequence[Run], tr: Language) -> str:
    """The whole file, for one run or for two under one clock."""
    return page(kept, tr, overlay=overlay(kept, tr))


def overlay(kept: Sequence[Run], tr: Language) -> Overlay:
    """What is laid over the page of runs. The capture of the first is in it, if it is small."""
    spoken = [language(code) for code in languages()]
    capture = kept[0].folder / runs.CAPTURE
    packed = _packed(capture)
    markup = Markup(
        "".join(
            (
                tag(
                    "div",
                    id="player",
                    lang=tr.code,
                    data_capture=runs.CAPTURE if packed else str(capture),
                    data_cannot=tr(CANNOT),
                    data_languages=json.dumps(
                        {each.code: NAMES.get(each.code, each.code) for each in spoken}
                    ),
                ),
                _data("player-style", "application/json", json.dumps(asset("player.css"))),
                _data("scene", "text/plain", squeeze(scenes(kept, spoken))),
                _data("inside", "text/plain", squeeze([inside(run, spoken) for run in kept])),
                _data("capture", "text/plain", packed) if packed else "",
            )
        )
    )
    return Overlay(markup, script())


def _data(name: str, kind: str, text: str) -> Markup:
    """An element that holds data. A '<' could end it, or begin a comment that hides its end."""
    return tag("script", Markup(text.replace("<", "\\u003c")), type=kind, id=name)


def squeeze(data: list[dict[str, Any]]) -> str:
    """Data as JSON, compressed, in base64."""
    return base64.b64encode(gzip.compress(plain(data).encode(), 6, mtime=0)).decode()


def plain(data: Any) -> str:
    """Data as JSON. Text is made readable, as that of the printable page."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return _ESCAPED.sub(lambda found: "\ufffd" if found[1] else found[0], readable(text))


def _packed(capture: Path) -> str:
    """The capture in base64, "" if it is too large for a page, or is not there."""
    try:
        data = gzip.compress(capture.read_bytes(), 6, mtime=0)
    except OSError:
        return ""
    return base64.b64encode(data).decode() if len(data) <= MOST_CAPTURE else ""


def asset(name: str) -> str:
    """A file of `static/`."""
    return (files("hoplab.web") / "static" / name).read_text(encoding="utf-8")


@cache
def script(entry: str = "start") -> str:
    """The modules from `entry` on as one script: each is a function that gives what it exports."""
    taken: set[str] = set()
    parts: list[str] = []

    def take(name: str) -> None:
        if name in taken:
            return
        taken.add(name)
        text = asset(f"{name}.js")
        for _, needed in _IMPORT.findall(text):
            take(needed)
        body = _IMPORT.sub(r"const \1 = module_\2;\n", text)
        given = ", ".join(exported(text))
        inner = _EXPORT.sub("", body)
        parts.append(f"const module_{name} = (() => {{\n{inner}return {{ {given} }};\n}})();\n")

    take(entry)
    return '"use strict";\n(() => {\n' + "".join(parts) + "})();\n"


def exported(text: str) -> list[str]:
    """The names that a module exports: of a function, a class or a constant, or of several
    constants in a row, which are written in capitals."""
    names: list[str] = []
    for kind, first, rest in re.findall(
        r"^export (const|class|function) (\w+)([^;{]*)", text, re.MULTILINE
    ):
        names.append(first)
        if kind == "const":
            names += re.findall(r",\s*([A-Z_]+) = ", rest)
    return names
