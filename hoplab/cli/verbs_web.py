# SPDX-License-Identifier: Apache-2.0
"""The verb `web`: labs and kept runs as a page in the user's own browser."""

from __future__ import annotations

import argparse
import errno
import ipaddress
import os
import shlex
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

from hoplab import content
from hoplab.cli import output
from hoplab.client import labs
from hoplab.errors import Exit, LabError, reason_of
from hoplab.sentences import say, term

if TYPE_CHECKING:
    import socket

    from hoplab.live.server import Server

PACKAGES = ("starlette", "uvicorn", "wsproto")
LOOPBACK = "127.0.0.1"


def web(arguments: argparse.Namespace) -> int:
    need_packages()
    _check_address(arguments)
    if arguments.lab is not None:
        labs.find(arguments.lab)
    from hoplab.live import server as web_server

    server = web_server.Server(hosts=tuple(arguments.allow_host))
    try:
        sock = web_server.listening(arguments.address, arguments.port)
    except OSError as error:
        raise LabError(
            say(
                "port {port} of {address} cannot be listened to: {reason}",
                port=arguments.port or web_server.PORT,
                address=arguments.address,
                reason=reason_of(error),
            ),
            term("choose another one, or leave --port out for any that is free"),
            Exit.TAKEN if error.errno == errno.EADDRINUSE else Exit.REFUSED,
        ) from error
    with sock:
        web_server.serve(server, sock, lambda: _announce(server, sock, arguments))
    return Exit.OK


def need_packages() -> None:
    """Raises LabError where one is missing, as in a checkout that was pulled and not installed."""
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise LabError(
            say("the page needs the package {package}", package=missing[0]),
            content.installer()
            or f"{shlex.quote(sys.executable)} -m pip install {' '.join(PACKAGES)}",
            Exit.REFUSED,
        )


def _check_address(arguments: argparse.Namespace) -> None:
    """Raises LabError for an address that others reach, where nobody has said under which name."""
    try:
        address = ipaddress.IPv4Address(arguments.address)
    except ValueError:
        raise LabError(
            say("{address} is no IPv4 address", address=arguments.address),
            say("the usual one is {address}", address=LOOPBACK),
            Exit.USAGE,
        ) from None
    if address.is_loopback:
        return
    if not arguments.allow_host:
        raise LabError(
            say("at {address} others reach the page, too", address=arguments.address),
            term(
                "leave --address out and use ssh -L; or say under which name of this machine it "
                "may be asked for: --allow-host NAME"
            ),
            Exit.REFUSED,
        )
    output.warn(
        say(
            "whoever reaches {address} and has the address of the page can do with your labs and "
            "files what you can, and what it says goes over the network as it is",
            address=arguments.address,
        )
    )


def _announce(server: Server, sock: socket.socket, arguments: argparse.Namespace) -> None:
    """Say where the page is, and show it."""
    address, port = sock.getsockname()[:2]
    host = arguments.allow_host[0] if not address.startswith("127.") else LOOPBACK
    lab = f"&lab={arguments.lab}" if arguments.lab else ""
    urls = {
        "url": f"http://{host}:{port}/#token={server.token}{lab}",
        "view": f"http://{host}:{port}/#token={server.view}{lab}",
    }
    if arguments.json:
        output.print_json({**urls, "port": port})
        sys.stdout.flush()
        return
    shown = urls["view" if arguments.view else "url"]
    if arguments.print_url:
        print(shown, flush=True)
        return
    tr = output.tr
    print(f"{tr(term('Your labs and kept runs, in a page of your own:'))}\n\n  {urls['url']}\n")
    if arguments.view:
        print(f"{tr(term('For somebody who may only look:'))}\n\n  {urls['view']}\n")
    if os.environ.get("SSH_CONNECTION") and not output.has_display():
        print(tr(term("Is your browser on another machine? There:")))
        print(f"  ssh -N -L {port}:{LOOPBACK}:{port} this-machine\n")
    print(tr(term("Ctrl-C ends it; labs go on.")), flush=True)
    if not arguments.no_browser:
        output.open_in_browser(urls["url"])
