# SPDX-License-Identifier: Apache-2.0
"""Which program a lab's file is for, told by its name and a look into it.

Nothing of the package is needed for that, for a command line asks before anything else is loaded.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from hoplab.errors import Exit, LabError
from hoplab.sentences import say, term

KATHARA, CONTAINERLAB = "kathara", "containerlab"
LAB_CONF = "lab.conf"
_YAML = (".yml", ".yaml")
_LOOK = 1 << 16  # bytes that tell what a file is
_CARD = re.compile(r"^\s*[\w-]+\[\d+\]\s*=\s*[\"']?([^\s\"'/#]+)", re.MULTILINE)
_KEY = r"(?m)^{}\s*:"
_NETLAB = ("provider", "defaults", "module", "links", "addressing", "groups")


def lab_file(path: Path) -> Path | None:
    """The file of another program's lab that a path means: the path itself, or the one in that
    folder; None where it means none. Raises LabError for one that hoplab cannot bring up."""
    try:
        if path.is_dir():
            return _in_folder(path)
        if not path.is_file():
            return None
    except OSError:
        return None
    if path.name == LAB_CONF or path.suffix in _YAML:
        if format_of(path):
            return path.absolute()
        _refuse_netlab(path)
        if path.suffix in _YAML:
            raise LabError(
                say("{file} is no topology of containerlab: it has no {key}", file=path,
                    key="topology: nodes:"),
                term("docs/imports.md says which labs of other programs can be brought up"),
                Exit.BAD_INPUT,
            )  # fmt: skip
    _refuse_gns3(path)
    return None


def has_suffix(name: str) -> bool:
    """Whether a name is that of a file, by what it ends in."""
    return bool(Path(name).suffix)


def _in_folder(folder: Path) -> Path | None:
    if (folder / LAB_CONF).is_file():
        return (folder / LAB_CONF).absolute()
    files = sorted(file for suffix in _YAML for file in folder.glob(f"*.clab{suffix}"))
    if len(files) == 1:
        return files[0].absolute()
    for file in folder.glob("*.gns3"):
        _refuse_gns3(file)
    return None


def format_of(path: Path) -> str:
    """KATHARA, CONTAINERLAB, or "" for any other file."""
    if path.name == LAB_CONF:
        return KATHARA
    if path.suffix not in _YAML:
        return ""
    text = _head(path)
    keys = (_KEY.format("topology"), r"(?m)^\s+nodes\s*:")
    return CONTAINERLAB if all(re.search(key, text) for key in keys) else ""


def title(path: Path) -> str:
    """What a topology's file is called: a folder's lab.conf by its folder."""
    if path.name == LAB_CONF:
        return path.parent.name or LAB_CONF
    return path.name.removesuffix(path.suffix).removesuffix(".clab")


def has_hubs(path: Path) -> bool:
    """Whether the lab of such a file has a collision domain that is no cable. A guess: who is wrong
    only loses time."""
    if format_of(path) != KATHARA:
        return False
    return any(ends != 2 for ends in Counter(_CARD.findall(_head(path))).values())


def _head(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_LOOK).decode("utf-8", "replace")
    except OSError:
        return ""


def _refuse_netlab(path: Path) -> None:
    text = _head(path)
    keys = [key for key in _NETLAB if re.search(_KEY.format(key), text)]
    if not re.search(_KEY.format("nodes"), text) or not keys:
        return
    raise LabError(
        say("{file} is a topology of netlab, which writes labs for other programs", file=path),
        say("let it write one for containerlab, and bring that up: {command}",
            command=f"netlab create --provider clab --device linux {path.name}; "
                    "hoplab up clab.yml"),
        Exit.BAD_INPUT,
    )  # fmt: skip


def _refuse_gns3(path: Path) -> None:
    if path.suffix not in (".gns3", ".gns3p", ".gns3project"):
        return
    raise LabError(
        say("{file} is a project of GNS3: its devices are disk images, which hoplab does not run",
            file=path),
        term("write its computers, routers and cables as a lab.conf: docs/imports.md has one of "
             "three lines"),
        Exit.BAD_INPUT,
    )  # fmt: skip
