# SPDX-License-Identifier: Apache-2.0
"""`open --controller`: the controller's own web page or REST interface, from outside the lab.

A controller listens inside the lab, where nobody outside comes. Two ways lead there, by the same
proxy as to the lab's sites:

    hoplab open --controller /path           in the browser, until Ctrl-C
    hoplab open --controller --print-url     a URL for curl and others; it is served in the
                                             background until the lab ends

The URL holds until the lab ends: which port the controller listens on is asked anew for each
connection, so that it leads to whoever is in charge by then.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

from hoplab import wait
from hoplab.browser.host_sockets import Gate, Refused
from hoplab.browser.origins import Origin
from hoplab.browser.proxy import Proxy
from hoplab.cli import output
from hoplab.cli.verbs_open import gate, line_printer, listen, need_h11, serving
from hoplab.client import labs
from hoplab.errors import Exit, LabError
from hoplab.sentences import say, term

NAME = "controller"  # as the page finds itself called
USUAL = 8080  # where Ryu's REST part listens unless --wsapi-port says otherwise
LISTENS_S = 3  # for an app that has just begun
URL_FILE = "controller-url.json"


def is_page(controller: str | None) -> bool:
    """Whether the value of --controller means a page of the controller that is there, and not one
    to be put in charge."""
    if controller is None:
        return False
    return not controller or (controller.startswith("/") and not Path(controller).is_file())


def open_page(arguments: argparse.Namespace) -> int:
    """The verb, once it is known that a page is meant."""
    need_h11()
    handle = labs.find(arguments.name)
    path = arguments.controller
    _await_port(handle)
    if not arguments.print_url:
        _serve(handle, arguments, path)
        return Exit.OK
    base = _in_background(handle, arguments)
    if arguments.json:
        output.print_json({"url": base + path})
    else:
        print(base + path)
    return Exit.OK


def _port(handle: labs.Handle) -> tuple[int | None, str | None]:
    """Where the controller in charge listens for HTTP, None if nowhere; and its name."""
    status = handle.ask({"op": "status"})
    ports = status["controller_ports"]
    return (USUAL if USUAL in ports else min(ports, default=None)), status["controller"]


def _await_port(handle: labs.Handle) -> None:
    """Until it listens. Raises LabError."""
    answers: list[tuple[int | None, str | None]] = []

    def listens() -> bool:
        answers[:] = [_port(handle)]
        return answers[0][0] is not None or answers[0][1] is None

    with contextlib.suppress(LabError):
        wait.until(listens, term("a port"), within_s=LISTENS_S)
    port, name = answers[0]
    if name is None:
        raise LabError(
            say("the lab {lab} has no controller, hence no page of one", lab=handle.name),
            term("take a topology with a switch, and an app with a page"),
            Exit.NO_SUCH,
        )
    if port is None:
        option = "" if handle.name == labs.DEFAULT_NAME else f" --name {handle.name}"
        raise LabError(
            say("the controller {controller} serves no page: it listens nowhere", controller=name),
            say(
                "an app with a page or a REST interface beside it: {command}",
                command=f"hoplab swap{option} {name},ryu.app.ofctl_rest",
            ),
            Exit.NO_SUCH,
        )


def _connector(handle: labs.Handle, opened: Gate) -> Callable[[str, int, bool], socket.socket]:
    """Connections to the controller in charge; to other names as the lab's switches find them."""

    def connect(host: str, port: int, secure: bool) -> socket.socket:
        if host != NAME:
            return opened.connect(host, port, secure)
        try:
            there, name = _port(handle)
        except LabError as error:
            raise Refused(error.message) from None
        if there is None:
            raise Refused(say("the controller {controller} serves no page", controller=name))
        return opened.connect("127.0.0.1", there, secure)

    return connect


def _proxy(
    handle: labs.Handle, opened: Gate, port: int | None, show: Callable[[str], None]
) -> Proxy:
    proxy = listen(_connector(handle, opened), show, port)
    proxy.names.site = Origin(NAME)
    opened.on_end = proxy.close
    return proxy


def _switch(handle: labs.Handle) -> str:
    """A node whose network is the controller's: switches and controllers share one."""
    nodes = handle.state()["nodes"]
    return str(next(node["name"] for node in nodes if node["kind"] == "switch"))


def _serve(handle: labs.Handle, arguments: argparse.Namespace, path: str) -> None:
    """Until Ctrl-C, with a line for each request."""
    tr = output.tr
    ended = LabError(
        say("the lab {lab} ended", lab=handle.name),
        term("bring it up again with `hoplab up`"),
        Exit.LAB_DIED,
    )
    with gate(handle, _switch(handle)) as opened:
        proxy = _proxy(handle, opened, arguments.port, line_printer())
        address = proxy.names.url(f"http://{NAME}{path or '/'}")
        if arguments.json:
            output.print_json({"url": address, "direct": proxy.names.as_site + path})
            sys.stdout.flush()
        else:
            print(f"{tr(term('the page of the controller:'))}\n\n  {address}\n")
            print(f"{tr(term('or for programs:'))}\n  curl {proxy.names.as_site}{path}\n")
            print(tr(term("Ctrl-C ends it.")), flush=True)
            if not arguments.no_browser:
                output.open_in_browser(address)
        with serving(proxy, opened, ended):
            proxy.serve()


def _in_background(handle: labs.Handle, arguments: argparse.Namespace) -> str:
    """The URL of a process that serves until the lab ends; of one that does already, if there is
    one: it holds a lock on the file that says so. Raises LabError."""
    path = handle.folder / URL_FILE
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        with os.fdopen(fd) as file:
            state = term("the URL of the controller's page")
            wait.until(lambda: path.stat().st_size > 0, state, within_s=10)
            return str(json.load(file)["url"])
    os.ftruncate(fd, 0)
    ours, theirs = socket.socketpair()
    sys.stdout.flush()
    if os.fork() == 0:
        try:
            ours.close()
            _become_a_server(handle, arguments, fd, theirs)
        finally:
            os._exit(0)
    os.close(fd)
    theirs.close()
    with ours, ours.makefile("r") as answer:
        url = answer.readline().strip()
    if not url:
        raise LabError(
            term("the page of the controller cannot be served"),
            term("try without --print-url, which says why"),
            Exit.FAILED,
        )
    return url


def _become_a_server(
    handle: labs.Handle, arguments: argparse.Namespace, lock: int, asker: socket.socket
) -> None:
    """In a process of its own, without the terminal of who asked."""
    os.setsid()
    os.chdir("/")
    with open(os.devnull, "r+b") as null:
        for stream in range(3):
            os.dup2(null.fileno(), stream)
    with gate(handle, _switch(handle)) as opened:
        # The usual port is left to who opens a site in a browser.
        proxy = _proxy(handle, opened, arguments.port or 0, lambda line: None)
        os.write(lock, json.dumps({"url": proxy.names.as_site}).encode())
        with asker:
            asker.sendall(f"{proxy.names.as_site}\n".encode())
        proxy.serve()
