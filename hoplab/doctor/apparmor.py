# SPDX-License-Identifier: Apache-2.0
"""A profile that lets hoplab make user namespaces where AppArmor keeps ordinary users from it.

Ubuntu 23.10 and later set kernel.apparmor_restrict_unprivileged_userns: a program that no profile
allows `userns,` gets user namespaces without capabilities (apparmor.d(5), "user namespace").

A profile is attached by the path of the file that is executed, links followed. For a script that
is the script, not its interpreter: so the profile is for the `hoplab` of one virtual environment,
and Python in general gains nothing. What hoplab starts stays in the profile, its labs included.
"""

from __future__ import annotations

import re
import shlex
import sysconfig
from pathlib import Path

from hoplab import content
from hoplab.errors import Exit, LabError
from hoplab.sentences import say, term

FILE = "/etc/apparmor.d/hoplab"

TEXT = """\
# Lets {launcher}
# make user namespaces as an ordinary user, and confines it in nothing.
# Made by: hoplab doctor --apparmor-profile

abi <abi/4.0>,
include <tunables/global>

profile hoplab {attachment} flags=(unconfined) {{
  userns,

  include if exists <local/hoplab>
}}
"""


def launcher() -> Path:
    """The file that the kernel executes for the command `hoplab` of this Python. Raises LabError
    where there is none: hoplab was not installed, only run from its source."""
    path = Path(sysconfig.get_path("scripts"), "hoplab")
    if not path.is_file():
        raise LabError(
            say("there is no {file}, to which a profile could be attached", file=path),
            say(
                "install hoplab first: {command}",
                command=content.installer() or term("its wheel, by pip"),
            ),
            Exit.REFUSED,
        )
    return path.resolve()


def profile(path: Path) -> str:
    """The profile for the launcher at `path` (absolute, links followed). Raises LabError."""
    text = str(path)
    if not text.isprintable() or "?" in text:  # apparmor_parser does not escape the latter
        raise LabError(
            say("{file!r} has characters that no profile can name", file=text),
            term("install hoplab in a folder with a plain name"),
            Exit.REFUSED,
        )
    # In quotes, so that spaces count; what would be a pattern or end the quotes is escaped.
    attachment = '"' + re.sub(r'([\\"*\[\]{}^])', r"\\\1", text) + '"'
    return TEXT.format(launcher=text, attachment=attachment)


def install_line(path: Path) -> str:
    """The line for a shell that makes the profile and loads it, now and at each start."""
    make = f"{shlex.quote(str(path))} doctor --apparmor-profile"
    return f"{make} | sudo tee {FILE} && sudo apparmor_parser -r {FILE}"
