# SPDX-License-Identifier: Apache-2.0
"""The one file that is handed in: written, and read again as if a stranger had made it.

What lives here: the format, its signature, and everything that can be wrong with such a file. What
must not: verdicts.

    submission.json     whose, of which course and sheet, the answers, the learner's own verdicts,
                        and for each other file its size and SHA-256
    signature           Ed25519 of submission.json, in hexadecimal digits
    evidence.json       what commands printed and tables held, as recorded
    runs/CHECK.NODE/    lab.json, capture.pcapng and hosts.json of each run that is judged

It is a zip file, made of the same content the same byte by byte. When it is read, nothing is
believed before the signature is checked, and then nothing but what the signed list has:

1. What the file says of itself is bounded before any of it is unpacked: how many parts, how large,
   with which names. No name leads out of a folder, is a link, or stands there twice.
2. Each part is unpacked in memory, never further than the size that the list has, and its digest
   is compared. Only then is it written, to a folder of our own, under a name that we make.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import stat
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from hoplab import __version__
from hoplab.classroom import signatures
from hoplab.classroom.course import Student
from hoplab.errors import reason_of
from hoplab.sentences import number_of, say, term

MANIFEST, SIGNATURE, EVIDENCE = "submission.json", "signature", "evidence.json"
LARGEST_FILE = 32 << 20  # of what is handed in
LARGEST_WHOLE = 64 << 20  # unpacked
LARGEST_MANIFEST = 1 << 20
MOST_PARTS = 400
_PART = re.compile(
    r"evidence\.json|runs/[A-Za-z][A-Za-z0-9_-]{0,40}\.[A-Za-z0-9][A-Za-z0-9_.-]{0,40}"
    r"/(?:lab\.json|capture\.pcapng|hosts\.json)"
)
_EPOCH = (1980, 1, 1, 0, 0, 0)  # of every part, so that the same content makes the same file
_CONTEXT = b"hoplab submission 1\n"  # a signature for this is none for anything else
# What zipfile raises for what is no zip file, or a broken one.
_BROKEN = (
    zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError, OverflowError,
    RuntimeError, OSError, MemoryError,
)  # fmt: skip
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class Refused(Exception):
    """A file that is not judged. kind: a word for tables; the text is a sentence."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind, self.reason = kind, reason


@dataclass(frozen=True)
class Submission:
    """What was handed in. answers, verdicts: by check. variant: what the learner had in the place
    of what varies. parts: the other files, by name."""

    student: str
    course: str
    course_id: str
    sheet: str
    sheet_sha256: str = ""
    answers: Mapping[str, str] = field(default_factory=dict)
    verdicts: Mapping[str, str] = field(default_factory=dict)
    variant: Mapping[str, str] = field(default_factory=dict)
    parts: Mapping[str, bytes] = field(default_factory=dict)


# ------------------------------------------------------------------------ written


def pack(submission: Submission, student: Student) -> bytes:
    """The file, signed with the student's key. Raises LabError."""
    files = {
        name: {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in sorted(submission.parts.items())
    }
    manifest = json.dumps(
        {
            "format": 1, "hoplab": __version__, "course": submission.course,
            "course_id": submission.course_id, "student": submission.student,
            "sheet": submission.sheet, "sheet_sha256": submission.sheet_sha256,
            "variant": dict(submission.variant), "answers": dict(submission.answers),
            "verdicts": dict(submission.verdicts), "files": files,
        },
        ensure_ascii=False, indent=1, sort_keys=True,
    ).encode()  # fmt: skip
    signature = signatures.sign(student.private, _CONTEXT + manifest).hex().encode()
    parts = {MANIFEST: manifest, SIGNATURE: signature, **dict(sorted(submission.parts.items()))}
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, data in parts.items():
            part = zipfile.ZipInfo(name, _EPOCH)
            part.compress_type = zipfile.ZIP_DEFLATED
            part.external_attr = (stat.S_IFREG | 0o644) << 16
            part.create_system = 3
            archive.writestr(part, data, compresslevel=9)
    return made.getvalue()


def read_parts(folder: Path) -> dict[str, bytes]:
    """The runs below a folder, as parts of a submission. Raises OSError."""
    return {
        f"runs/{path.relative_to(folder).as_posix()}": path.read_bytes()
        for path in sorted(folder.glob("*/*")) if path.is_file()
    }  # fmt: skip


# ------------------------------------------------------------------------ read


def open_bounded(path: Path) -> bytes:
    """The bytes of a file that is handed in. Raises Refused."""
    try:
        about = path.lstat()
        if stat.S_ISLNK(about.st_mode):
            raise Refused("link", term("it is a symbolic link, which is not followed"))
        if not stat.S_ISREG(about.st_mode):
            raise Refused("not a file", term("it is no ordinary file"))
        if about.st_size > LARGEST_FILE:
            raise Refused("too large", say("it is larger than {n:,} bytes", n=LARGEST_FILE))
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        with os.fdopen(os.open(path, flags), "rb") as file:
            return file.read(LARGEST_FILE)
    except OSError as error:
        raise Refused("unreadable", say("it cannot be read: {reason}",
                                        reason=reason_of(error))) from error  # fmt: skip


def unpack(data: bytes, students: Mapping[str, bytes], course_id: str) -> Submission:
    """What such a file holds, after its signature was checked. students: by ID the public keys.
    Raises Refused."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            parts = _listed(archive)
            manifest = _part(archive, parts, MANIFEST, LARGEST_MANIFEST)
            signature = _part(archive, parts, SIGNATURE, 1024)
            made, files = _understood(manifest)
            _check_signature(manifest, signature, made, students, course_id)
            held = _held(archive, parts, files)
    except _BROKEN as error:
        reason = term("it is no whole zip file: was it cut by a transfer, or packed again?")
        raise Refused("damaged", reason) from error
    return replace(made, parts=held)


def _listed(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """The parts by name, as the file lists them. Raises Refused for what no submission has."""
    entries = archive.infolist()
    if len(entries) > MOST_PARTS:
        raise Refused("too large", number_of("it has {n:,} part", "it has {n:,} parts",
                                             len(entries)))  # fmt: skip
    parts: dict[str, zipfile.ZipInfo] = {}
    for entry in entries:
        name = entry.filename
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if kind and kind != stat.S_IFREG:
            raise Refused("link", say("{part} in it is no ordinary file", part=_shown(name)))
        if name not in (MANIFEST, SIGNATURE) and _PART.fullmatch(name) is None:
            raise Refused("path", say("{part} in it is no part of a submission",
                                      part=_shown(name)))  # fmt: skip
        if name in parts:
            raise Refused("path", say("{part} is in it twice", part=_shown(name)))
        if entry.flag_bits & 0x1 or entry.compress_type not in _METHODS:
            raise Refused("damaged", say("{part} in it is packed in another way",
                                         part=_shown(name)))  # fmt: skip
        parts[name] = entry
    if sum(entry.file_size for entry in entries) > LARGEST_WHOLE:
        raise Refused("too large", say("unpacked it would be larger than {n:,} bytes",
                                       n=LARGEST_WHOLE))  # fmt: skip
    return parts


def _shown(name: str) -> str:
    """A stranger's name, so that no terminal obeys it."""
    return repr(name if len(name) <= 80 else f"{name[:79]}…")


def _part(
    archive: zipfile.ZipFile, parts: Mapping[str, zipfile.ZipInfo], name: str, most: int
) -> bytes:
    """One part, never more of it than `most` bytes. Raises Refused, what zipfile raises."""
    entry = parts.get(name)
    if entry is None:
        kind = "unsigned" if name == SIGNATURE else "altered"
        raise Refused(kind, say("{part} is not in it", part=name))
    if entry.file_size > most:
        raise Refused("altered", say("{part} in it is larger than it should be", part=name))
    with archive.open(entry) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise Refused("altered", say("{part} in it is larger than it should be", part=name))
    return data


def _understood(manifest: bytes) -> tuple[Submission, dict[str, tuple[int, str]]]:
    """What submission.json says; of each other part its size and digest. Raises Refused."""
    try:
        data = json.loads(manifest)
        if data["format"] != 1:
            raise Refused("format", say("its format is {format}, this program reads {ours}",
                                        format=_shown(str(data["format"])), ours=1))  # fmt: skip
        files = {
            str(name): (int(each["size"]), str(each["sha256"]))
            for name, each in data["files"].items()
        }
        made = Submission(
            student=str(data["student"]), course=str(data["course"]),
            course_id=str(data["course_id"]), sheet=str(data["sheet"]),
            sheet_sha256=str(data["sheet_sha256"]), answers=_texts(data["answers"]),
            verdicts=_texts(data["verdicts"]), variant=_texts(data["variant"]),
        )  # fmt: skip
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Refused("damaged", say("{part} in it cannot be read", part=MANIFEST)) from error
    return made, files


def _texts(data: dict[str, object]) -> dict[str, str]:
    return {str(key): str(value) for key, value in data.items()}


def _check_signature(
    manifest: bytes,
    signature: bytes,
    made: Submission,
    students: Mapping[str, bytes],
    course_id: str,
) -> None:
    """Raises Refused unless the student whose it is signed this."""
    if made.course_id != course_id:
        raise Refused("other course", say("it is of another course: {course}",
                                          course=_shown(made.course)))  # fmt: skip
    public = students.get(made.student)
    if public is None:
        raise Refused("no student", say("{student} is not in the course",
                                        student=_shown(made.student)))  # fmt: skip
    try:
        given = bytes.fromhex(signature.decode("ascii"))
    except ValueError:
        given = b""
    signed = _CONTEXT + manifest
    if signatures.is_signed(public, given, signed):
        return
    for student, key in students.items():
        if student != made.student and signatures.is_signed(key, given, signed):
            raise Refused("other student", say("it says {student}, and {signer} signed it",
                                               student=made.student, signer=student))  # fmt: skip
    raise Refused("altered", say("it was altered after {student} signed it, or was signed with "
                                 "another key", student=made.student))  # fmt: skip


def _held(
    archive: zipfile.ZipFile,
    parts: Mapping[str, zipfile.ZipInfo],
    files: Mapping[str, tuple[int, str]],
) -> dict[str, bytes]:
    """All parts that the signed list has, each as it was signed. Raises Refused."""
    for name in parts:
        if name not in files and name not in (MANIFEST, SIGNATURE):
            raise Refused("altered", say("{part} was added after it was signed",
                                         part=_shown(name)))  # fmt: skip
    held = {}
    for name, (size, digest) in files.items():
        if _PART.fullmatch(name) is None:
            raise Refused("path", say("{part} in it is no part of a submission",
                                      part=_shown(name)))  # fmt: skip
        data = _part(archive, parts, name, min(max(size, 0), LARGEST_WHOLE))
        if len(data) != size or hashlib.sha256(data).hexdigest() != digest:
            raise Refused("altered", say("{part} was altered after it was signed", part=name))
        held[name] = data
    return held


def write_parts(submission: Submission, folder: Path) -> None:
    """Its runs, into a folder of ours: their names were checked. Raises OSError."""
    for name, data in submission.parts.items():
        if name.startswith("runs/"):
            place = folder / name.removeprefix("runs/")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)
