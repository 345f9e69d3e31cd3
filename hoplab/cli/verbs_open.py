# SPDX-License-Identifier: Apache-2.0
"""The verb `open`: a site of the lab in the user's own browser."""

from __future__ import annotations

import argparse
import contextlib
import errno
import os
import shlex
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from hoplab import content
from hoplab.browser import host_sockets
from hoplab.cli import output
from hoplab.cli.lab_recorder import LabRecorder
from hoplab.cli.verbs_trace import wished_url
from hoplab.client import labs
from hoplab.errors import Exit, LabError, reason_of
from hoplab.sentences import say, term
from hoplab.story.wire_text import clean

if TYPE_CHECKING:
    from hoplab.browser.proxy import Proxy


def open_(arguments: argparse.Namespace) -> int:
    from hoplab.cli import verbs_open_controller

    need_h11()
    if verbs_open_controller.is_page(arguments.controller):
        return verbs_open_controller.open_page(arguments)
    if arguments.print_url:
        raise LabError(
            term("--print-url is for the page of a controller"),
            "hoplab open --controller --print-url",
            Exit.USAGE,
        )
    wish = wished_url(arguments)
    with LabRecorder(arguments, default="web") as lab:
        url, host = lab.where(wish)
        lab.watch(lambda: _serve(lab.handle, host, url, arguments))
        return lab.tell(host=host, command=f"hoplab open {url}")


def need_h11() -> None:
    """Raises LabError where it is missing, as in a checkout that was pulled and not installed."""
    if find_spec("h11") is None:
        raise LabError(
            term("the proxy for your browser needs the package h11"),
            content.installer() or f"{shlex.quote(sys.executable)} -m pip install h11",
            Exit.REFUSED,
        )


def _serve(handle: labs.Handle, host: str, url: str, arguments: argparse.Namespace) -> None:
    """Serve the browser and capture what it does, until Ctrl-C."""
    ended = LabError(
        say("the lab {lab} ended, and what was captured with it", lab=handle.name),
        term("bring it up again: hoplab open"),
        Exit.LAB_DIED,
    )
    with gate(handle, host) as opened:
        proxy = listen(opened.connect, line_printer(), arguments.port)
        opened.on_end = proxy.close
        with serving(proxy, opened, ended):
            _announce(proxy, _authority(handle, opened), host, url, arguments)
            proxy.serve()


def line_printer() -> Callable[[str], None]:
    """Prints a line for each request, whole ones though many threads serve, and without what would
    give orders to the terminal: a request says what its sender likes."""
    lock = threading.Lock()

    def show(line: str) -> None:
        with lock:
            print(f"  {clean(output.tr(line), 300)}", file=sys.stderr, flush=True)

    return show


@contextlib.contextmanager
def serving(proxy: Proxy, opened: host_sockets.Gate, ended: LabError) -> Iterator[None]:
    """Until Ctrl-C, which is no fault. Raises `ended` if the lab ended before that."""
    try:
        yield
    except KeyboardInterrupt:
        pass
    finally:
        proxy.close()
    if opened.ended:
        raise ended


def listen(
    connect: Callable[[str, int, bool], socket.socket],
    show: Callable[[str], None],
    port: int | None,
) -> Proxy:
    """A proxy that listens. Raises LabError."""
    from hoplab.browser.proxy import Proxy

    try:
        return Proxy(connect, show, port, output.tr, output.spoken().code)
    except OSError as error:
        raise LabError(
            say(
                "port {port} of 127.0.0.1 cannot be listened to: {reason}",
                port=port,
                reason=reason_of(error),
            ),
            term("choose another one, or leave --port out for any that is free"),
            Exit.TAKEN if error.errno == errno.EADDRINUSE else Exit.REFUSED,
        ) from error


def _announce(
    proxy: Proxy, ca: str | None, host: str, url: str, arguments: argparse.Namespace
) -> None:
    """Say where the site is, and show it. Raises LabError for a URL that cannot be shown."""
    try:
        address = proxy.names.url(url)
    except ValueError:
        raise LabError(
            say("{url} is no URL of the lab", url=url),
            term("write http://NAME/, https://NAME/ or http://NAME:PORT/"),
            Exit.USAGE,
        ) from None
    if ca is None and url.lower().startswith("https:"):
        raise LabError(
            say("nobody in this lab speaks https that can be trusted: {url}", url=url),
            term("bring one up that has an authority of its own: hoplab down; hoplab up web,tls=1"),
            Exit.NO_SUCH,
        )
    if arguments.json:
        output.print_json({"url": address, "proxy": proxy.names.as_proxy, "host": host, "ca": ca})
        sys.stdout.flush()
        return
    trust = f" --cacert {shlex.quote(ca)}" if ca and url.startswith("https") else ""
    tr = output.tr
    print(f"{tr(say('{url} as {host} sees it:', url=url, host=host))}\n\n  {address}\n")
    print(tr(say("or with the proxy {proxy}, such as", proxy=proxy.names.as_proxy)))
    print(f"  curl -x {proxy.names.as_proxy}{trust} {url}\n")
    if os.environ.get("SSH_CONNECTION") and not output.has_display():
        print(tr(term("Is your browser on another machine? There:")))
        print(f"  ssh -N -L {proxy.names.port}:127.0.0.1:{proxy.names.port} this-machine\n")
    print(tr(term("Every frame is captured; Ctrl-C ends it and tells what happened.")), flush=True)
    if not arguments.no_browser:
        output.open_in_browser(address)


def _authority(handle: labs.Handle, opened: host_sockets.Gate) -> str | None:
    """The lab's certificate authority as a file out here, for programs that check https://
    themselves; None if the lab has none."""
    path = handle.folder / "ca.pem"
    try:
        pem = opened.trusted()
        if pem is None:
            return None
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(path, flags, 0o644), "w") as file:
            file.write(pem)
    except (OSError, host_sockets.Refused):
        return None
    return str(path)


@contextlib.contextmanager
def gate(handle: labs.Handle, host: str) -> Iterator[host_sockets.Gate]:
    """A gate into the host; it ends with the block."""
    from hoplab.client import commands

    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    program = str(Path(host_sockets.__file__).resolve())
    with ours, handle.connect() as sock:
        request = commands.request_for(host, [sys.executable, "-I", program])
        with theirs, open(os.devnull, "wb") as null:
            labs.send(sock, request, (theirs.fileno(), null.fileno(), 2))
            labs.receive(sock, handle.name)
        yield host_sockets.Gate(ours)
