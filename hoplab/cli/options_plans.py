# SPDX-License-Identifier: Apache-2.0
"""The options of the verbs that write a running lab as a file, and make it what a file says."""

from __future__ import annotations

from typing import Any

from hoplab.cli.options import add_json, add_name, add_verb
from hoplab.sentences import term


def add_save(verbs: Any) -> None:
    p = add_verb(
        verbs,
        "save",
        term("write a running lab, changes included, as a topology file"),
        [
            ("hoplab save mine.py     ", term("then: hoplab up mine.py")),
            ("hoplab save --force mine.py", ""),
            ("hoplab save -           ", term("print it")),
            ("hoplab save --as kathara folder", ""),
            ("hoplab save --as containerlab mine.clab.yml", ""),
        ],
        "verbs_plans",
    )
    p.mixed = True
    add_name(p)
    p.add_argument(
        "file", metavar="FILE",
        help=term("the file to write, for `hoplab up` and for stock `mn --custom`; - prints it"),
    )  # fmt: skip
    p.add_argument(
        "--as", dest="program", choices=("mininet", "kathara", "containerlab"), default="mininet",
        help=term("for which program: a Mininet file, a folder of Kathará or a file of "
                  "containerlab (default: mininet)"),
    )  # fmt: skip
    p.add_argument("--force", action="store_true", help=term("though there is such a file"))
    add_json(p)


def add_apply(verbs: Any) -> None:
    p = add_verb(
        verbs,
        "apply",
        term("make a running lab what a file says, touching only what differs"),
        [
            ("hoplab apply mine.py             ", term("all of it, or nothing where it fails")),
            ("hoplab apply --dry-run mine.py   ", term("the command lines that would do it")),
            ("hoplab apply switch,n=6", ""),
        ],
        "verbs_plans",
    )
    p.mixed = True
    add_name(p)
    p.add_argument(
        "topology", metavar="TOPOLOGY[,PARAMETERS]",
        help=term("a saved lab, a Mininet file or one of ours, as for `hoplab up`"),
    )  # fmt: skip
    p.add_argument(
        "--topo", metavar="NAME", help=term("which of several topologies in the file")
    )
    p.add_argument(
        "--dry-run", action="store_true", help=term("say what would be done, and do nothing")
    )
    add_json(p)
