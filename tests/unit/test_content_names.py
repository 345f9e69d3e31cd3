# SPDX-License-Identifier: Apache-2.0
"""What a reader copies has names that say what they hold."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Words that fit anything: a name made of one of them alone tells nothing.
VAGUE = {"one", "other", "others", "told", "said", "known", "found", "given", "each", "thing"}


def vague_names(source: str) -> Iterator[str]:
    """`line: name` of what is assigned, taken as an argument or defined under a vague name."""
    for node in ast.walk(ast.parse(source)):
        name = None
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            name = node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            name = node.attr
        elif isinstance(node, ast.arg):
            name = node.arg
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            name = node.name
        if name is not None and name.strip("_").lower() in VAGUE:
            yield f"{node.lineno}: {name}"  # type: ignore[attr-defined]


@pytest.mark.parametrize("folder", ["apps", "controllers", "topologies"])
def test_names_say_what_they_hold(folder: str) -> None:
    vague = [
        f"{path.relative_to(ROOT)}:{fault}"
        for path in sorted((ROOT / folder).rglob("*.py"))
        for fault in vague_names(path.read_text(encoding="utf-8"))
    ]
    assert vague == []


def test_a_vague_name_is_seen_wherever_it_is_bound() -> None:
    source = "one = 1\nfor other in []: self._known = [told for told in said]\ndef f(given): ...\n"
    assert len(list(vague_names(source))) == 5
