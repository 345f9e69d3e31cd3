# SPDX-License-Identifier: Apache-2.0
"""The options of the verb that shows labs and runs in a page: `web`."""

from __future__ import annotations

from typing import Any

from hoplab.cli.options import add_json, add_verb, port
from hoplab.sentences import term


def add_web(verbs: Any) -> None:
    p = add_verb(
        verbs,
        "web",
        term("show running labs and kept runs in a page in your browser"),
        [
            ("hoplab web                ", term("all your labs, live; Ctrl-C ends it")),
            ("hoplab web lab            ", term("begins with this lab")),
            ("hoplab web --print-url    ", term("only the address, for a browser elsewhere")),
            ("hoplab web --view         ", term("and an address for those who may only look")),
            ("hoplab web --port 9000 --no-browser", ""),
        ],
        "verbs_web",
    )
    p.add_argument("lab", metavar="LAB", nargs="?", help=term("the lab to begin with"))
    p.add_argument(
        "--port",
        metavar="N",
        type=port,
        help=term("port of 127.0.0.1 (default: 8643, or the next that is free)"),
    )
    p.add_argument(
        "--address",
        metavar="IP",
        default="127.0.0.1",
        help=term("listen there (default: 127.0.0.1; another one wants --allow-host)"),
    )
    p.add_argument(
        "--allow-host",
        metavar="NAME",
        action="append",
        default=[],
        help=term(
            "a name under which browsers may ask for the page, beside localhost; may be given again"
        ),
    )
    p.add_argument(
        "--view",
        action="store_true",
        help=term("also print an address for looking only: nothing can be done with it"),
    )
    p.add_argument(
        "--print-url",
        action="store_true",
        help=term("print the address alone (with --view that for looking), and open no browser"),
    )
    p.add_argument(
        "--no-browser", action="store_true", help=term("print the address, open no browser")
    )
    add_json(p)
