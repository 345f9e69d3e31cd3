# SPDX-License-Identifier: Apache-2.0
"""The player's own scripts and style, as they stand in the source."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

STATIC = Path(__file__).parent.parent.parent / "hoplab" / "web" / "static"
FILES = sorted(path for path in STATIC.iterdir() if path.suffix in (".js", ".css"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_lines_are_as_short_as_pythons(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    long = [f"{path.name}:{n}" for n, line in enumerate(lines, 1) if len(line) > 100]
    assert long == []
    assert "SPDX-License-Identifier: Apache-2.0" in lines[0]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_text_can_become_markup(path: Path) -> None:
    """Trusted types would stop it in a browser that knows them; in others nothing else does."""
    text = path.read_text(encoding="utf-8")
    for name in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(",
                 "new Function", "srcdoc", "javascript:"):  # fmt: skip
        assert name not in text
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text)
