# SPDX-License-Identifier: Apache-2.0
"""Starts Ryu 4.34 on today's Python and eventlet: `python -m hoplab.control.ryu_main ARGS...`.

The arguments are those of `ryu-manager`, so a controller file that runs here also runs there.
Three things are done that ryu-manager does not do:

1. What Ryu expects of its surroundings and no longer finds is put back (`prepare`).
2. What takes a third of its start and does nothing for a lab is left out (`prepare`, too).
3. A controller that cannot run ends this process with its traceback on stderr and exit code 1; the
   last line is `FILE:LINE: ERROR`, and in a lab the log has it as data, too (`ending`). Ryu alone
   goes on without the controller in some cases: a file with no app in it, and two which have exit
   codes here, none that wants to hear of OpenFlow (NO_EVENTS), a port that is taken (NO_LISTENER).

Ryu listens on all addresses unless told otherwise, so whoever starts this passes
`--ofp-listen-host 127.0.0.1` and `--wsapi-host 127.0.0.1`.

It also runs by its path, in a Python that has only Ryu: it imports nothing of hoplab, unless it
runs in a lab, which wants marks in the log (`log`) and may ask for one of two roles (`roles`). It
is the one file of the engine that knows Ryu.
"""

from __future__ import annotations

import difflib
import gc
import importlib
import importlib.util
import os
import re
import sys
import traceback
import types
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any

NO_EVENTS, NO_LISTENER = 81, 82


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


def _lacks_distutils() -> bool:
    """Whether there is none, or but a stand-in for Mininet, which lacks what Ryu wants of it."""
    loaded = sys.modules.get("distutils")
    if loaded is not None:
        return loaded.__spec__ is None
    return importlib.util.find_spec("distutils") is None


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
    if alone or _lacks_distutils():
        version = types.ModuleType("distutils.version")
        distutils_version: Any = sys.modules.setdefault("distutils.version", version)
        distutils_version.LooseVersion = LooseVersion
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


def last_line(error: BaseException, apps: Sequence[str]) -> str:
    """`FILE:LINE: ERROR`, with the deepest place in the controller's own files."""
    text = traceback.format_exception_only(type(error), error)[-1].strip()
    file, line = place_of(error, apps)
    if line:
        return f"{file}:{line}: {text}"
    return f"{file}: {text}" if file else text


def place_of(error: BaseException, apps: Sequence[str]) -> tuple[str, int]:
    """The deepest file and line in one of the controller's own files, or beside them; of what
    cannot be parsed, that line. (file, 0) where no line is known."""
    if isinstance(error, SyntaxError) and os.path.isfile(error.filename or ""):
        return str(error.filename), error.lineno or 0
    own = {os.path.dirname(os.path.abspath(name)) for name in apps if name.endswith(".py")}
    modules = [sys.modules.get(name) for name in apps]
    files = {getattr(module, "__file__", None) for module in modules}
    for place in reversed(traceback.extract_tb(error.__traceback__)):
        file = os.path.abspath(place.filename)
        if os.path.dirname(file) in own or file in files:
            return place.filename, place.lineno or 0
    return (apps[0] if apps else ""), 0


# What Python says of text that was Python once.
_PYTHON_2 = re.compile(
    r"Missing parentheses in call to '(?:print|exec)'|multiple exception types must be paren|"
    r"leading zeros in decimal integer|inconsistent use of tabs|invalid (?:decimal|hex\w*) literal"
)
_PYTHON_2_LINE = re.compile(
    r"^\s*print\s*(?:>>|\s[^(\s=])|^\s*except\s+[\w.]+\s*,\s*\w+\s*:|^\s*raise\s+[\w.]+\s*,|<>|`|"
    r"^\s*exec\s+['\"\w]"
)


def ending(error: BaseException, apps: Sequence[str]) -> dict[str, Any]:
    """The error as data, for the lab: what kind it is, where, and what that kind has to say."""
    file, line = place_of(error, apps)
    place = {"file": file, "line": line}
    if isinstance(error, SyntaxError):
        old = _PYTHON_2.search(error.msg) or _PYTHON_2_LINE.search(error.text or "")
        return {"kind": "syntax", **place, "text": error.msg, "python2": bool(old)}
    if isinstance(error, ModuleNotFoundError) and error.name:
        platform = "os-ken" if "os_ken" in sys.modules else "Ryu"
        return {"kind": "missing", **place, "module": error.name, "platform": platform}
    if isinstance(error, NoController):
        return {"kind": "no app", "file": error.file}
    if isinstance(error, UnknownOption):
        return {"kind": "option", "option": error.option, "close": error.close}
    return {"kind": "raised", **place}


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
            # A module of the user's own may be named, as with `PYTHONPATH=. ryu-manager`. Behind
            # all else, so that nothing there is taken for what Python or Ryu imports.
            sys.path.append(folder)
            return


class UnknownOption(Exception):
    """An option that neither the framework nor an app has registered."""

    def __init__(self, option: str, close: str) -> None:
        super().__init__(f"{option} is no option" + (f"; did you mean {close}?" if close else ""))
        self.option, self.close = option, close


def accept_late_options(apps: Sequence[str]) -> None:
    """An app registers options of its own where it is loaded, which is after the command line was
    read; oslo.config refuses that, and the command line of one that has such options. Here what is
    not known yet is put aside, and the command line is read once more with each new option."""
    config: Any = importlib.import_module("oslo_config.cfg")
    read, register = config.ConfigOpts.__call__, config.ConfigOpts.register_cli_opt

    def read_known(self: Any, args: Any = None, **named: Any) -> Any:
        if args is None:
            return read(self, args, **named)
        self.words = list(args)
        return read(self, known_words(self, self.words, apps)[0], **named)

    def register_late(self: Any, option: Any, group: Any = None, **kwargs: Any) -> Any:
        if self._args is None:
            return register(self, option, group, **kwargs)
        names = ("project", "prog", "version", "default_config_files")
        values = {name: getattr(self, name) for name in names}
        self.clear()
        try:
            return register(self, option, group, **kwargs)
        finally:
            words = getattr(self, "words", [])
            read(self, args=known_words(self, words, apps)[0], **values)

    config.ConfigOpts.__call__ = read_known
    config.ConfigOpts.register_cli_opt = register_late


def known_words(
    conf: Any, words: Sequence[str], apps: Sequence[str]
) -> tuple[list[str], list[str]]:
    """The words of a command line that these options (oslo.config's) account for, and those options
    that nobody has registered. apps: words that are nobody's values."""
    takes_value = _options(conf)
    taken: list[str] = []
    unknown: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("--"):
            taken.append(word)
            continue
        wish, equals, _ = word.removeprefix("--").partition("=")
        option = _meant(wish, takes_value)
        if option is not None:
            has_value = takes_value[option]
        else:
            has_value = bool(rest) and rest[0] not in apps and not rest[0].startswith("-")
        value = rest[:1] if has_value and not equals else []
        del rest[: len(value)]
        if option is not None:
            taken += [word, *value]
        else:
            unknown.append(f"--{wish}")
    return taken, unknown


def _options(conf: Any) -> dict[str, bool]:
    """The options that are registered, as they are written, and whether each one takes a value."""
    takes_value = {"help": False, "version": False}
    for option, group in conf._all_cli_opts():
        prefix = f"{group.name}-" if group is not None and group.name != "DEFAULT" else ""
        takes_value[prefix + option.name] = not hasattr(option, "_add_inverse_to_argparse")
        if not takes_value[prefix + option.name]:
            takes_value[f"{prefix}no{option.name}"] = False
    return takes_value


def _meant(wish: str, options: Iterable[str]) -> str | None:
    """The option that a word means: by its name, or by a beginning that only one has."""
    names = list(options)
    if wish in names:
        return wish
    fitting = [name for name in names if name.startswith(wish)]
    return fitting[0] if len(fitting) == 1 else None


def check_options(conf: Any, apps: Sequence[str]) -> None:
    """When all apps are loaded: raises UnknownOption for one that none of them has registered."""
    _, unknown = known_words(conf, getattr(conf, "words", []), apps)
    if unknown:
        every = [f"--{option.name}" for option, _ in conf._all_cli_opts()]
        close = difflib.get_close_matches(unknown[0], every, n=1)
        raise UnknownOption(unknown[0], close[0] if close else "")


def load(load_app: Callable[[str], Any], name: str, apps: Sequence[str], base: type) -> Any:
    """The app class in a file or module, by the framework's own way, and loudly where that is
    silent. base: its class for apps. Raises NoController, and what the file raises."""
    # The framework takes a file that does not parse for a module's name, which hides the error.
    if name.endswith(".py"):
        with open(name, "rb") as source:
            compile(source.read(), name, "exec", dont_inherit=True)
    try:
        app = load_app(name)
    except ImportError as error:
        if isinstance(error.__context__, SyntaxError):  # of a module that it imports
            raise error.__context__ from None
        raise
    if app is None and name in apps:
        raise NoController(name)
    if app is not None and name in apps and "HOPLAB_FOLDER" in os.environ:
        from hoplab.control import log

        # The framework takes the first by name, and says nothing of the others.
        left_out = [
            each.__name__
            for each in vars(sys.modules.get(app.__module__, types.SimpleNamespace())).values()
            if isinstance(each, type)
            and issubclass(each, base)
            and each.__module__ == app.__module__
            and each not in app.__mro__
        ]
        if left_out:
            log.mark(left_out={"file": name, "apps": [app.__name__, *left_out]})
    return app


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

    apps = apps_among(arguments)
    sys.argv[1:] = arguments  # Ryu looks there for --user-flags
    load_app = app_manager.AppManager.load_app
    create_contexts = app_manager.AppManager.create_contexts

    def create_checked(self: Any) -> Any:
        check_options(manager.CONF, apps)
        return create_contexts(self)

    app_manager.AppManager.load_app = lambda self, name: load(
        lambda wish: load_app(self, wish), name, apps, app_manager.RyuApp
    )
    app_manager.AppManager.create_contexts = create_checked
    instantiate = app_manager.AppManager.instantiate_apps

    def instantiate_checked(self: Any, *contexts: Any, **named: Any) -> Any:
        services = instantiate(self, *contexts, **named)
        must_hear_of_openflow(app_manager)
        return services

    app_manager.AppManager.instantiate_apps = instantiate_checked
    accept_late_options(apps)
    code = failure(lambda: manager.main(args=arguments, prog="hoplab.control.ryu_main"), apps)
    if code is not None:
        return code
    # Ryu returns only after Ctrl-C, or when its listener ended with an error that is in the log.
    print("the OpenFlow listener ended (is its port taken?)", file=sys.stderr)
    return NO_LISTENER


def must_hear_of_openflow(app_manager: Any) -> None:
    """The framework listens for switches only if an app wants to hear of them, and runs on for one
    that does something else. Ends the process if none does."""
    if app_manager.lookup_service_brick("ofp_event") is None:
        print("no class in it handles an OpenFlow event (@set_ev_cls)", file=sys.stderr)
        raise SystemExit(NO_EVENTS)


def apps_among(arguments: Sequence[str]) -> list[str]:
    """The words of a command line that name apps: files and modules."""
    module = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+")
    return [word for word in arguments if word.endswith(".py") or module.fullmatch(word)]


def failure(framework: Callable[[], object], apps: Sequence[str]) -> int | None:
    """Run the framework until it ends: None if it returned, else the exit code, and its last line
    says why."""
    try:
        framework()
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        if "HOPLAB_FOLDER" in os.environ:
            from hoplab.control import log

            log.mark(end=ending(error, apps))
        if isinstance(error, NoController | UnknownOption):
            print(error, file=sys.stderr)
            return 1
        traceback.print_exc()
        print(last_line(error, apps), file=sys.stderr)
        return 1
    return None


if __name__ == "__main__":
    sys.exit(main())
