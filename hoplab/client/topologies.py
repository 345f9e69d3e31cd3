# SPDX-License-Identifier: Apache-2.0
"""The topology that somebody asks for in words, as `up` takes them.

What lives here: 'web,routers=3' and './mine.py:star,n=4' taken apart, and a folder of Kathará or a
file of containerlab told from them. What must not: reading the file, which the lab does.
"""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path
from typing import NamedTuple

from hoplab import content, ryu_apps
from hoplab.errors import Exit, LabError
from hoplab.imports import formats
from hoplab.sentences import say, term


class Wanted(NamedTuple):
    """A topology as it is asked for: its file, the name of one of several Topos in it ("" for
    none), parameters of that ('n=4'), and what the file finds on its command line."""

    file: Path
    chosen: str
    parameters: str
    words: tuple[str, ...]


def _of_another_program(text: str) -> Wanted | None:
    """The lab of Kathará or containerlab that is meant, if one is: a path, then parameters."""
    if os.path.exists(text):  # of a folder that is closed to us, that it is not
        name, parameters = text, ""
    else:
        name, _, parameters = text.partition(",")
    bare = "/" not in name and name.strip(".") == name and not formats.has_suffix(name)
    if bare and name in ("", *content.names("topologies")):
        return None  # one of ours, though a folder here may be called so
    file = formats.lab_file(Path(name).expanduser())
    return None if file is None else Wanted(file, "", parameters, ())


_WITH_WORDS = re.compile(r"(\S.*?\.py(?::[^\s,]+)?(?:,\S*)?)\s+(\S.*)", re.DOTALL)


def find_topology(text: str, topo: str = "") -> Wanted:
    """What is meant by 'web,routers=3', './mine.py:star,n=4' or './mine.py --hosts 4'. topo: as for
    `mn --topo`, 'star,n=4'. Raises LabError."""
    of_others = _of_another_program(text)
    if of_others is not None:
        return of_others
    words: tuple[str, ...] = ()
    with_words = _WITH_WORDS.fullmatch(text.strip())
    if with_words is not None and not Path(text).is_file():
        text, rest = with_words.groups()
        try:
            words = tuple(shlex.split(rest))
        except ValueError as error:
            raise LabError(
                say("{words}: {reason}", words=rest, reason=str(error)),
                term("write the file's command line as one types it"),
                Exit.USAGE,
            ) from None
    name, _, parameters = text.partition(",")
    chosen = ""
    if ".py:" in name and not Path(name).is_file():
        name, _, chosen = name.rpartition(":")
    if topo:
        chosen, _, more = topo.partition(",")
        parameters = ",".join(filter(None, (parameters, more)))
    file = content.find("topologies", name)
    ryu_apps.refuse_controller(file)
    return Wanted(file, chosen, parameters, words)
