# SPDX-License-Identifier: Apache-2.0
"""Where programs are looked for: on the user's PATH, and then where the system keeps its own.

Users' paths often leave /usr/sbin and /sbin out, where Debian has tc and Open vSwitch's daemons.
"""

from __future__ import annotations

import os
import shutil

SYSTEM_FOLDERS = ("/usr/sbin", "/sbin")


def search_path(path: str | None) -> str:
    """A PATH, or the usual one where there is none, that has the folders of the system's own
    programs, too: at its end, unless they stand in it already."""
    folders = (path or "/usr/bin:/bin").split(":")
    return ":".join([*folders, *(folder for folder in SYSTEM_FOLDERS if folder not in folders)])


def find(name: str) -> str | None:
    """The file of a program, or None if it is not installed."""
    return shutil.which(name, path=search_path(os.environ.get("PATH")))
