# SPDX-License-Identifier: Apache-2.0
"""The verbs that follow packets: `visit` and `trace`."""

from __future__ import annotations

import argparse
import shlex
from urllib.parse import urlsplit

from hoplab.cli.lab_recorder import LabRecorder
from hoplab.cli.verbs_host import _command, forgotten
from hoplab.errors import Exit, LabError
from hoplab.sentences import say, term

LONGER_S = 10  # a fetch that gives up by itself says why, and has a story


def visit(arguments: argparse.Namespace) -> int:
    from hoplab.client import recording

    wish = wished_url(arguments)
    _check_live(arguments)
    with LabRecorder(arguments, default="web") as lab:
        url, host = lab.where(wish)
        command = recording.fetch_command(url, arguments.timeout, every=arguments.all)
        if arguments.live:
            from hoplab.cli import verbs_live

            return verbs_live.follow(lab.handle, arguments, host, command, f"visit {url}")
        lab.record(host, command, longer_s=LONGER_S)
        return lab.tell(url=url, host=host)


def wished_url(arguments: argparse.Namespace) -> str:
    """The URL on the command line, whole, or "". Raises LabError for one that no lab can fetch."""
    url: str = arguments.url or ""
    if url and "://" not in url:
        url = f"http://{url}"
    if url:
        _check_url(url)
    return url


def _check_url(url: str) -> None:
    """Raises LabError for a URL that no lab can fetch, before one is brought up for it."""
    scheme, _, rest = url.partition("://")
    if scheme.lower() not in ("http", "https"):
        raise LabError(
            say("{url} is no http:// URL", url=url),
            say(
                "labs speak HTTP, plain or by TLS (https://): {command}",
                command=f"hoplab visit http://{rest}",
            ),
            Exit.USAGE,
        )
    try:
        url.encode()
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError as error:
        raise LabError(
            say("{url} is no URL", url=url),
            say("like this: {example}", example="http://NAME:PORT/PATH"),
            Exit.USAGE,
        ) from error
    try:
        _ = parts.port
    except ValueError as error:
        raise LabError(
            say("{url} is no URL: its port is no number from 0 to 65535", url=url),
            say("like this: {example}", example="http://NAME:PORT/PATH"),
            Exit.USAGE,
        ) from error
    if not host:
        raise LabError(
            say("{url} names no host", url=url),
            say(
                "like this: {command}; in the lab web, without a URL, the lab's own page is "
                "fetched",
                command="hoplab visit http://www.itheima.com/",
            ),
            Exit.USAGE,
        )


def trace(arguments: argparse.Namespace) -> int:
    if arguments.compare is not None:
        from hoplab.cli import verbs_compare

        return verbs_compare.compare(arguments)
    arguments.host = (arguments.host or "").rstrip(":") or arguments.host  # as for --compare
    command = _command(arguments)
    if not command and (arguments.host or not arguments.live):
        raise LabError(
            term("no command was given")
            if arguments.host
            else term("no host and no command were given"),
            forgotten(arguments.host or "", "trace", [])
            or f"hoplab trace {arguments.host or 'HOST'} -- ping -c 1 ADDRESS",
            Exit.USAGE,
        )
    _check_live(arguments)
    with LabRecorder(arguments, default="switch") as lab:
        if arguments.live:
            from hoplab.cli import verbs_live

            return verbs_live.follow(lab.handle, arguments, arguments.host, command)
        show = not (arguments.json or arguments.quiet)
        lab.record(arguments.host, command, show=show)
        return lab.tell(host=arguments.host, command=shlex.join(command))


def _check_live(arguments: argparse.Namespace) -> None:
    """Raises LabError where what is told while it happens should be kept, or be changed."""
    if arguments.live and arguments.at:
        raise LabError(
            term("--at and --live do not go together"),
            say("leave one out, or change the lab beside it: {command}", command="hoplab link"),
            Exit.USAGE,
        )
    if arguments.live and (arguments.save is not None or arguments.play):
        raise LabError(
            term("--live keeps nothing, so there is nothing to --save")
            if arguments.save is not None
            else term("--live keeps nothing, so there is nothing to --play"),
            term("leave --live out, or run `hoplab capture` beside it"),
            Exit.USAGE,
        )
