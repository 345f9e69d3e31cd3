# SPDX-License-Identifier: Apache-2.0
"""Starts Ryu 4.34 on today's Python and eventlet: `python -m hoplab.control.ryu_main ARGS...`.

The arguments are those of `ryu-manager`, so a controller file that runs here also runs there.
Three things are done that ryu-manager does not do:

1. What Ryu expects of its surroundings and no longer finds is put back (`prepare`).
2. What takes a third of its start and does nothing for a lab is left out (`prepare`, too).
3. A controller that cannot run ends this process with its traceback on stderr. The exit code is 1
   for a fault of its own, and the last line is `FILE:LINE: ERROR`. Ryu alone goes on without the
   controller in some cases, which have exit codes here: a file with no app in it (NO_APP), none
   that wants to hear of OpenFlow (NO_EVENTS), a port that is taken (NO_LISTENER).

Ryu listens on all addresses unless told otherwise, so whoever starts this passes
`--ofp-listen-host 127.0.0.1` and `--wsapi-host 127.0.0.1`.

It also runs by its path, in a Python that has only Ryu: it imports nothing of hoplab, unless it
runs in a lab, which wants marks in the log (`log`) and may ask for one of two roles (`roles`). It
is the one file of the engine that knows Ryu.
"""

from __future__ import annotations

import gc
import importlib
import importlib.util
import os
import re
import sys
import traceback
import types
import warnings
from collections.abc import Callable, Sequence
from typing import Any

NO_EVENTS, NO_LISTENER = 81, 82
NO_APP, MOST_FILES = 100, 27  # plus the place of the file among those that were given, from 0 on


class LooseVersion:
    """What Ryu uses of `distutils.version.LooseVersion`, which Python 3.12 no longer has."""

    def __init__(self, text: str = "") -> None:
        self.vstring = str(text)
        parts = re.findall(r"\d+|[a-z]+", self.vstring)
        self.version: list[int | str] = [int(p) if p.isdigit() else p for p in parts]

    def __repr__(self) -> str:
        return f"LooseVersion ('{self.vstring}')"

    def __str__(self) -> str:
        return self.vstring

    def __hash__(self) -> int:
        return hash(tuple(self.version))

    def _key(self) -> list[tuple[int, int, str]]:
        # Numbers sort before words, so that any two versions can be compared.
        return [(0, p, "") if isinstance(p, int) else (1, 0, p) for p in self.version]

    def _other(self, other: object) -> list[tuple[int, int, str]]:
        return (other if isinstance(other, LooseVersion) else LooseVersion(str(other)))._key()

    def __eq__(self, other: object) -> bool:
        return self._key() == self._other(other)

    def __lt__(self, other: object) -> bool:
        return self._key() < self._other(other)

    def __le__(self, other: object) -> bool:
        return self._key() <= self._other(other)

    def __gt__(self, other: object) -> bool:
        return self._key() > self._other(other)

    def __ge__(self, other: object) -> bool:
        return self._key() >= self._other(other)


def prepare(alone: bool = True) -> None:
    """Makes Ryu importable, in the order that matters: eventlet patches before anything else.

    With `alone=False`, for a process that has other work to do (the unit tests): Ryu's modules
    can then be imported, but not run, and nothing that others use is touched.
    """
    # eventlet announces its own end of life on every import; Ryu's users can do nothing about it.
    warnings.filterwarnings("ignore", message=r"\s*Eventlet is deprecated")
    # eventlet's own resolver loads dnspython and its cryptography. The plain one does here.
    os.environ.setdefault("EVENTLET_NO_GREENDNS", "yes")
    # distutils is missing since Python 3.12; before that it loads setuptools, for one small class.
    if alone or importlib.util.find_spec("distutils") is None:
        distutils_version: Any = types.ModuleType("distutils.version")
        distutils_version.LooseVersion = LooseVersion
        sys.modules["distutils.version"] = distutils_version
    # eventlet loads pyOpenSSL where there is one, only to know its exceptions. The controller's
    # connections are plain TCP or the standard library's TLS. Apps may import it later.
    hide = alone and "OpenSSL" not in sys.modules
    if hide:
        sys.modules["OpenSSL"] = None  # type: ignore[assignment]
    import eventlet

    if alone:
        eventlet.monkey_patch()
    import eventlet.wsgi

    if hide:
        del sys.modules["OpenSSL"]
    # A mark that newer eventlets dropped and that Ryu's REST part imports.
    if not hasattr(eventlet.wsgi, "ALREADY_HANDLED"):
        eventlet.wsgi.ALREADY_HANDLED = []


def last_line(error: BaseException, files: Sequence[str]) -> str:
    """`FILE:LINE: ERROR`, with the deepest place in one of the controller's own files."""
    own = {os.path.abspath(name) for name in files}
    text = traceback.format_exception_only(type(error), error)[-1].strip()
    if isinstance(error, SyntaxError) and os.path.abspath(error.filename or "") in own:
        return f"{error.filename}:{error.lineno}: {text}"
    places = [
        place
        for place in traceback.extract_tb(error.__traceback__)
        if os.path.abspath(place.filename) in own
    ]
    if places:
        return f"{places[-1].filename}:{places[-1].lineno}: {text}"
    return f"{files[0]}: {text}" if files else text


def go_to_work() -> None:
    """Go to the folder that relative names in an app mean (HOPLAB_WORKPLACE), if a lab says one."""
    workplace = os.environ.pop("HOPLAB_WORKPLACE", "")
    for folder in (workplace, os.environ.get("HOPLAB_FOLDER", "")) if workplace else ():
        try:
            os.chdir(folder)
        except OSError as error:  # it has been taken away just now
            print(f"{folder}: {error.strerror}", file=sys.stderr)
        else:
            os.environ["PWD"] = folder
            return


def accept_late_options() -> None:
    """An app registers options of its own where it is loaded, which is after the command line was
    read; oslo.config refuses that. Here the command line is read once more with them."""
    config: Any = importlib.import_module("oslo_config.cfg")
    register = config.ConfigOpts.register_cli_opt

    def register_late(self: Any, option: Any, group: Any = None, **kwargs: Any) -> Any:
        arguments = self._args
        if arguments is None:
            return register(self, option, group, **kwargs)
        names = ("project", "prog", "version", "default_config_files")
        values = {name: getattr(self, name) for name in names}
        self.clear()
        try:
            return register(self, option, group, **kwargs)
        finally:
            self(args=arguments, **values)

    config.ConfigOpts.register_cli_opt = register_late


def play_role(framework: str) -> None:
    """Where two controllers share the switches: stand between the framework and its apps."""
    from hoplab.control import roles

    hub: Any = importlib.import_module(f"{framework}.lib.hub")
    handler: Any = importlib.import_module(f"{framework}.controller.ofp_handler")
    roles.install(handler, hub.spawn)


def mark_the_log(framework: str) -> None:
    """In a lab: have what it wants to know written into the log, with time and switch (`log`)."""
    if "HOPLAB_FOLDER" in os.environ:
        from hoplab.control import log

        controller: Any = importlib.import_module(f"{framework}.controller.controller")
        handler: Any = importlib.import_module(f"{framework}.controller.handler")
        log.mark_exceptions()
        log.mark_switches(controller.Datapath, handler.MAIN_DISPATCHER)


class NoController(Exception):
    """A file that was given as a controller has no Ryu app in it."""

    def __init__(self, file: str) -> None:
        super().__init__(f"{file}: no class in it is a ryu.base.app_manager.RyuApp")
        self.file = file


def main(argv: Sequence[str] | None = None) -> int:
    """Runs Ryu until it is ended; the exit code says why the controller could not run."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    # Hundreds of modules are loaded and none is let go: collecting garbage meanwhile finds nothing.
    gc.disable()
    prepare()
    from ryu.base import app_manager
    from ryu.cmd import manager

    if arguments[:1] == ["--wait"]:
        from hoplab.control import preloaded

        arguments = preloaded.wait_for_work()
    go_to_work()
    mark_the_log("ryu")
    if "HOPLAB_ROLE" in os.environ:
        play_role("ryu")
    gc.enable()
    gc.freeze()

    files = [name for name in arguments if name.endswith(".py")]
    load_app = app_manager.AppManager.load_app

    def load_or_fail(self: Any, name: str) -> Any:
        # Ryu takes a file that does not parse for a module's name, which hides the syntax error.
        if name.endswith(".py"):
            with open(name, "rb") as source:
                compile(source.read(), name, "exec", dont_inherit=True)
        app = load_app(self, name)
        if app is None and name in files:
            raise NoController(name)
        return app

    app_manager.AppManager.load_app = load_or_fail
    close = app_manager.AppManager.close
    events_wanted = False

    def close_noting(self: Any) -> None:
        # When Ryu has closed, it no longer knows.
        nonlocal events_wanted
        events_wanted = app_manager.lookup_service_brick("ofp_event") is not None
        close(self)

    app_manager.AppManager.close = close_noting
    accept_late_options()
    code = failure(lambda: manager.main(args=arguments, prog="hoplab.control.ryu_main"), files)
    if code is not None:
        return code
    # Ryu returns only after Ctrl-C, or when its listener ended with an error that is in the log.
    # It listens only if an app wants to hear of OpenFlow.
    if not events_wanted:
        print("no class in it handles an OpenFlow event (@set_ev_cls)", file=sys.stderr)
        return NO_EVENTS
    print("the OpenFlow listener ended (is its port taken?)", file=sys.stderr)
    return NO_LISTENER


def failure(framework: Callable[[], object], files: Sequence[str]) -> int | None:
    """Run the framework until it ends: None if it returned, else the exit code, and its last line
    says why."""
    try:
        framework()
    except KeyboardInterrupt:
        return 130
    except NoController as error:
        print(error, file=sys.stderr)
        return NO_APP + min(files.index(error.file), MOST_FILES)
    except Exception as error:
        traceback.print_exc()
        print(last_line(error, files), file=sys.stderr)
        return 1
    return None


if __name__ == "__main__":
    sys.exit(main())
