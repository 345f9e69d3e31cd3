# SPDX-License-Identifier: Apache-2.0
"""Putting extcap and profile in place for one user, and taking exactly that away again.

What was put where is noted in the state folder: each file with its checksum, each folder that was
made. `uninstall` takes away the files that are still as they were put there, and folders of ours
that are empty then; what the user has changed since stays, and is named.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from hoplab.client import labs
from hoplab.errors import Exit, LabError, reason_of
from hoplab.report.language import language, languages
from hoplab.sentences import say, term
from hoplab.wireshark import dissector, extcap, profile

NOTE = "wireshark.json"
SCRIPT = "hoplab"
PLUGIN = "hoplab.lua"


@dataclass(frozen=True)
class Folders:
    """Where this user's Wireshark looks: its configuration, and its own extcap programs."""

    configuration: Path
    extcap: Path
    plugins: Path

    @property
    def profile(self) -> Path:
        return self.configuration / "profiles" / profile.NAME


@dataclass
class Done:
    """What was put in place, or taken away; `kept` are files that the user has changed."""

    files: list[Path] = field(default_factory=list)
    kept: list[Path] = field(default_factory=list)


def folders() -> Folders:
    """What Wireshark itself says; without one, where it would look."""
    home = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    configuration = Path(home).expanduser() / "wireshark"
    extcap = None
    plugins = Path("~/.local/lib/wireshark/plugins").expanduser()
    for program in ("tshark", "wireshark"):
        program_path = shutil.which(program)
        if not program_path:
            continue
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            text = subprocess.run(
                [program_path, "-G", "folders"], capture_output=True, text=True, timeout=20
            ).stdout
            by_title = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
            configuration = Path(by_title.get("Personal configuration", str(configuration)).strip())
            # Wireshark 4.0 does not list it and looks below its configuration; later ones list it.
            listed = by_title.get("Personal Extcap path", "").strip()
            extcap = Path(listed) if listed else None
            plugins = Path(by_title.get("Personal Lua Plugins", str(plugins)).strip())
            break
    return Folders(configuration, extcap or configuration / "extcap", plugins)


def script() -> str:
    """The program that Wireshark starts."""
    ours = str(Path(__file__).resolve().parent.parent.parent)
    code = (
        f"import sys; sys.path.insert(0, {ours!r}); "
        "from hoplab.wireshark.extcap import main; sys.exit(main())"
    )
    return (
        "#!/bin/sh\n"
        "# Written by `hoplab wireshark install`; `hoplab wireshark uninstall` removes it.\n"
        # Wireshark asks about every interface when it starts, so what is always the same is
        # answered without starting Python.
        'case " $* " in\n'
        "*' --extcap-dlts '*) echo 'dlt {number=1}{name=EN10MB}{display=Ethernet}'; exit ;;\n"
        f"*' --extcap-interface {extcap.SSH} '*) ;;\n"
        "*' --extcap-config '*) exit ;;\n"
        "esac\n"
        f'exec {shlex.quote(sys.executable)} -c {shlex.quote(code)} "$@"\n'
    )


def wanted(tr: Callable[[str], str] = str) -> dict[Path, tuple[str, int]]:
    """Every file to put in place, with its text and mode. tr: makes of a term that of the
    reader's language."""
    where = folders()
    files = {
        where.extcap / SCRIPT: (script(), 0o755),
        where.plugins / PLUGIN: (dissector.lua(map(language, languages())), 0o644),
    }
    for name, text in profile.files(tr).items():
        files[where.profile / name] = (text, 0o644)
    return files


def installed() -> bool:
    """Whether the profile is where Wireshark finds it."""
    note = _read_note()
    return any(Path(path).name == "preferences" and Path(path).is_file() for path in note["files"])


def install(tr: Callable[[str], str] = str) -> Done:
    """Put everything in place. Raises LabError; nothing of another is overwritten."""
    files = wanted(tr)
    note = _read_note()
    for path in files:
        ours = str(path) in note["files"]
        if path.exists() and not (ours and (_sum(path) == note["files"][str(path)] or _kept(path))):
            raise LabError(
                say("{file} is there already, and is not ours or was changed since", file=path),
                say(
                    "move it away first: {command}",
                    command=f"mv {shlex.quote(str(path))} {shlex.quote(str(path))}.mine",
                ),
                Exit.TAKEN,
            )
    try:
        for path, (text, mode) in files.items():
            for folder in reversed(_missing(path.parent)):
                folder.mkdir(mode=0o755)
                note["folders"][str(folder)] = ""
            # Noted first: whatever happens now, `uninstall` knows of it.
            note["files"][str(path)] = hashlib.sha256(text.encode()).hexdigest()
            _write_note(note)
            path.write_text(text, encoding="utf-8")
            path.chmod(mode)
    except OSError as error:
        raise LabError(
            say(
                "{output} cannot be written: {reason}",
                output=error.filename,
                reason=reason_of(error),
            ),
            term("is your home folder writable?"),
            Exit.NO_SPACE if error.errno in (28, 122) else Exit.REFUSED,
        ) from error
    return Done(list(files))


def uninstall() -> Done:
    """Take away what `install` put there."""
    note, changes = _read_note(), Done()
    for name, checksum in note["files"].items():
        path = Path(name)
        if not path.exists():
            continue
        if _sum(path) != checksum and not _kept(path):
            changes.kept.append(path)
            continue
        path.unlink()
        changes.files.append(path)
    for name in reversed(list(note["folders"])):
        with contextlib.suppress(OSError):  # not empty: somebody else's things are in it
            os.rmdir(name)
    _note().unlink(missing_ok=True)
    return changes


def _kept(path: Path) -> bool:
    """Whether Wireshark itself writes the file anew, so that a change in it is nobody's work."""
    return path.name == profile.RECENT


def _missing(folder: Path) -> list[Path]:
    """The folder and its parents that are not there, the innermost first."""
    folders = []
    while not folder.exists():
        folders.append(folder)
        folder = folder.parent
    return folders


def _sum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _note() -> Path:
    return labs.state_folder() / NOTE


def _read_note() -> dict[str, dict[str, str]]:
    note: dict[str, dict[str, str]] = {"files": {}, "folders": {}}
    with contextlib.suppress(OSError, ValueError):
        note.update(json.loads(_note().read_text()))
    return note


def _write_note(note: dict[str, dict[str, str]]) -> None:
    _note().parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    _note().write_text(json.dumps(note, indent=1))
