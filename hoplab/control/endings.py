# SPDX-License-Identifier: Apache-2.0
"""Why a controller's process could not go on, and what to do about it, in words.

The launcher writes what it knows into the log (`log.Log.end`), and has exit codes for what it finds
out when there is no more to write; here both become sentences. What has no sentence here is told by
the log's own last line: any other exit code is an app's own.
"""

from __future__ import annotations

import importlib.util
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from hoplab.control.ryu_main import NO_EVENTS, NO_LISTENER
from hoplab.errors import Exit, LabError
from hoplab.sentences import listed, say, term, together

# Modules whose package has another name, and those of Python 2 that are gone or renamed.
_PACKAGES = {
    "Crypto": "pycryptodome", "OpenSSL": "pyOpenSSL", "PIL": "pillow", "bs4": "beautifulsoup4",
    "cv2": "opencv-python-headless", "dateutil": "python-dateutil", "dotenv": "python-dotenv",
    "MySQLdb": "mysqlclient", "serial": "pyserial", "sklearn": "scikit-learn", "yaml": "pyyaml",
    "zmq": "pyzmq",
}  # fmt: skip
_OF_PYTHON_2 = {
    "BaseHTTPServer": "http.server", "ConfigParser": "configparser", "HTMLParser": "html.parser",
    "Queue": "queue", "SimpleHTTPServer": "http.server", "SocketServer": "socketserver",
    "StringIO": "io", "Tkinter": "tkinter", "cPickle": "pickle", "cStringIO": "io",
    "commands": "subprocess", "httplib": "http.client", "thread": "_thread",
    "urllib2": "urllib.request", "urlparse": "urllib.parse", "xmlrpclib": "xmlrpc.client",
}  # fmt: skip
_VERSIONS = {1: "1.0", 2: "1.1", 3: "1.2", 4: "1.3", 5: "1.4", 6: "1.5"}


def version_name(number: int) -> str:
    """'1.3' for OpenFlow's wire form 4."""
    return _VERSIONS.get(number, f"0x{number:x}")


def reason(
    code: int | None,
    end: Mapping[str, Any],
    left_out: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> str:
    """What happened; "" for what the log says itself. left_out: as in `log.Log`."""
    if code == NO_EVENTS and left_out:
        file, (runs, *rest) = next(iter(left_out.items()))
        return say(
            "of the apps in {file} Ryu runs the first by name, {app}, and not {rest}; {app} "
            "handles no OpenFlow event (@set_ev_cls)",
            file=Path(file).name,
            app=runs,
            rest=listed(rest),
        )
    if code == NO_EVENTS:
        return term("no class in it handles an OpenFlow event (@set_ev_cls)")
    if code == NO_LISTENER:
        return term("the OpenFlow listener ended (is its port taken?)")
    kind = end.get("kind")
    if kind == "syntax" and end["python2"]:
        return say("{place} is written for Python 2: {text}", place=_place(end), text=end["text"])
    if kind == "syntax":
        return say("{place} cannot be read by Python: {text}", place=_place(end), text=end["text"])
    if kind == "missing" and end["module"] in _OF_PYTHON_2:
        return say(
            "{place} is written for Python 2: its module {module} is gone",
            place=_place(end),
            module=end["module"],
        )
    if kind == "missing":
        return say(
            "{place} imports {module}, which is not there",
            place=_place(end),
            module=end["module"],
        )
    if kind == "option":
        return say("{option} is an option neither of Ryu's nor of the app's", option=end["option"])
    if kind == "no app":
        return say("no class in {file} is a ryu.base.app_manager.RyuApp", file=end["file"])
    return ""


def next_step(end: Mapping[str, Any]) -> str:
    """What to do; "" for what has no better advice than any other fault."""
    kind = end.get("kind")
    if kind == "syntax" and end["python2"]:
        return _convert(end["file"])
    if kind == "missing":
        return _provide(str(end["module"]), end)
    if kind == "option":
        return together(
            say("did you mean {name}?", name=end["close"]) if end["close"] else "",
            term("an app's own options are those that it registers where it is loaded"),
        )
    if kind == "no app":
        return term(
            "a Ryu app is `class Mine(app_manager.RyuApp)`; a module that others import is found "
            "beside them and is not named"
        )
    return ""


def _place(end: Mapping[str, Any]) -> str:
    return f"{end['file']}:{end['line']}" if end.get("line") else str(end.get("file", ""))


def _convert(file: str) -> str:
    if importlib.util.find_spec("lib2to3") is None:
        return say("rewrite it for Python 3: {examples}", examples="print(x), except E as e")
    command = f"{shlex.quote(sys.executable)} -W ignore -m lib2to3 -w {shlex.quote(file)}"
    return say("this rewrites most of it for Python 3: {command}", command=command)


def _provide(module: str, end: Mapping[str, Any]) -> str:
    """How to have a module that is missing."""
    package = module.partition(".")[0]
    if module in _OF_PYTHON_2:
        return say("in Python 3 it is {module}", module=_OF_PYTHON_2[module])
    if package == "os_ken":
        return say("this is an app for os-ken: say so, {option}", option="--platform os-ken")
    if package == "ryu":
        return say(
            "the Ryu that runs here ({platform}) has no such module", platform=end["platform"]
        )
    name = _PACKAGES.get(package, package)
    install = f"{shlex.quote(sys.executable)} -m pip install {name}"
    if package != module or package in _PACKAGES or not end.get("file"):
        return say("install it where controllers run: {command}", command=install)
    return say(
        "a package? install it where controllers run: {command}; a module of yours? put {module} "
        "beside {file}",
        command=install,
        module=f"{package}.py",
        file=Path(str(end["file"])).name,
    )


def refusal(controller: str, versions: Sequence[int]) -> LabError:
    """The error for a controller that took none of the switches' OpenFlow versions."""
    names = [version_name(number) for number in versions]
    protocols = ",".join(f"OpenFlow{name.replace('.', '')}" for name in names)
    return LabError(
        say(
            "the controller {controller} refused the switches: it speaks OpenFlow {versions} "
            "alone, which they do not offer",
            controller=controller,
            versions=listed(names),
        ),
        say(
            "leave `protocols` out of the topology, and all are offered, or write {protocols}",
            protocols=f"protocols='{protocols}'",
        ),
        Exit.BAD_INPUT,
    )
