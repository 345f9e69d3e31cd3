# SPDX-License-Identifier: Apache-2.0
"""A sheet as it is for one student: its data and its page.

What lives here: a student's seed brought together with a sheet. What must not: how texts vary
(`hoplab.sheets.variants`), keys.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from hoplab.classroom.course import Student
from hoplab.errors import cannot_write
from hoplab.sheets import sheet_file, variants
from hoplab.sheets.records import Sheet

_LINK = re.compile(r"(\]\()(?![a-z]+:|#|/)([^)\s]+)")


def of_student(place: Path, student: Student) -> Sheet:
    """The sheet that stands there, as it is for this student. Raises LabError."""
    name = place.name if place.is_dir() else place.parent.name
    sheet = sheet_file.load(place, student.sheet_seed(name))
    return replace(
        sheet, student=student.id, called=f"{sheet.called} --student {student.id}"
    )


def page_of(sheet: Sheet, name: str, folder: Path) -> Path | None:
    """The sheet's page in the file of this name, None if it has none. Of what varies a copy is
    written into the folder, with the student's own. Raises LabError."""
    page = sheet.folder / name
    if not page.is_file():
        return None
    if not sheet.varied:
        return page
    text = variants.put_in(page.read_text(encoding="utf-8"), sheet.varied)
    text = _LINK.sub(lambda match: f"{match[1]}{(sheet.folder / match[2]).resolve()}", text)
    start = re.compile(rf"hoplab lab (\w+) 0*{sheet.number}(?!\d)") if sheet.number else None
    if start is not None:
        text = start.sub(rf"hoplab lab \1 {sheet.number} --student {sheet.student}", text)
    text = text.replace(f"lab {sheet.name} is gone", f"lab {sheet.own_name} is gone")
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise cannot_write(error, folder) from error
    return folder / name
