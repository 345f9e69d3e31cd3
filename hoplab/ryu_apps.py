# SPDX-License-Identifier: Apache-2.0
"""What a user asks for as a controller: apps and options, as `ryu-manager` takes them.

    hub                                     one of ours
    ./mine.py  ~/work/mine.py               a file
    ryu.app.ofctl_rest                      a module, of Ryu's or on PYTHONPATH
    two_table_switch,monitor                several in one process; a blank does as well
    "app.py --observe-links --config-file x.conf"       with options

Words that begin with - are options. Which other words are values of options is known for Ryu's own
options; an option of an app's own takes the word behind it, unless no app would be left then.

What lives here: finding what is meant, and telling by a file's text what it is instead, if it is no
Ryu app. Nothing is run or imported here; which options there are, the framework says (`ryu_main`).
"""

from __future__ import annotations

import difflib
import functools
import importlib.util
import os
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hoplab import content
from hoplab.errors import Exit, LabError
from hoplab.sentences import say, term, together

# Ryu's options that take no value; each has a --no… as well.
_FLAGS = {
    "enable-debugger", "explicit-drop", "install-lldp-flow", "observe-links", "use-stderr",
    "use-syslog", "verbose",
}  # fmt: skip
_SHORT_FLAGS = {"-h", "-v", "--help", "--version"}
# What a lab decides: where its controllers listen, and that switches come to them without TLS.
NOT_THE_USERS = (
    "ofp-tcp-listen-port", "ofp-ssl-listen-port", "ofp-listen-host", "wsapi-host", "ctl-privkey",
    "ctl-cert", "ca-certs",
)  # fmt: skip
_MODULE = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+")
_ROOM = "ryu"  # the package whose modules are offered
_IS_APP = re.compile(r"^class \w+\([^)]*(?:RyuApp|OSKenApp|SimpleSwitch\w*)\)", re.MULTILINE)


@dataclass(frozen=True)
class App:
    """name: as the framework loads it, a file's path or a module's name. file: where its text is,
    if that is known."""

    name: str
    file: Path | None

    @property
    def short(self) -> str:
        return self.name if self.file is None or _is_module(self.name) else self.file.stem

    @property
    def title(self) -> str:
        return self.name if self.file is None or _is_module(self.name) else self.file.name


@dataclass(frozen=True)
class Apps:
    """The apps that run together in one process, and the options that it is started with.
    not_used: options that were asked for and that the lab decides."""

    apps: tuple[App, ...] = ()
    options: tuple[str, ...] = ()
    not_used: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[Path, ...]:
        return tuple(app.file for app in self.apps if app.file is not None)

    @property
    def names(self) -> list[str]:
        """As the framework takes them."""
        return [app.name for app in self.apps]

    @property
    def name(self) -> str:
        """As it is asked for: 'two_table_switch,monitor'."""
        return ",".join(app.short for app in self.apps)

    @property
    def title(self) -> str:
        """As sentences name it: 'two_table_switch.py, monitor.py'."""
        return ", ".join(app.title for app in self.apps)

    @property
    def words(self) -> str:
        """What means the same wherever it is typed, for a command line."""
        ours = content.names("controllers")
        there = content.folder("controllers")
        names = [
            app.short
            if app.short in ours and app.file is not None and app.file.parent == there
            else app.name
            for app in self.apps
        ]
        whole = ",".join(names)
        if self.options:
            whole = shlex.join([whole, *self.options])
        return shlex.quote(whole)

    @property
    def folders(self) -> list[str]:
        """Those of the files that options name: `--config-file /srv/ryu.conf`."""
        words = [word.partition("=")[2] or word for word in self.options]
        return [os.path.dirname(os.path.abspath(word)) for word in words if os.path.isfile(word)]

    def plus(self, options: Sequence[str]) -> Apps:
        """With more options behind those that it has."""
        return _sorted([*self.options, *options], self.apps) if options else self

    def as_data(self) -> dict[str, Any]:
        """For JSON; `from_data` reads it."""
        apps = [[app.name, str(app.file) if app.file else None] for app in self.apps]
        return {"apps": apps, "options": list(self.options), "not_used": list(self.not_used)}


NO_APPS = Apps()


def from_data(data: Mapping[str, Any]) -> Apps:
    """The inverse of `Apps.as_data`."""
    apps = tuple(App(name, Path(file) if file else None) for name, file in data["apps"])
    return Apps(apps, tuple(data["options"]), tuple(data["not_used"]))


def of_files(*files: Path) -> Apps:
    """The apps in these files."""
    return Apps(tuple(App(str(file), file) for file in files))


# ---- finding --------------------------------------------------------------------------------


def find(text: str, options: Sequence[str] = (), beside: Path | None = None) -> Apps:
    """The apps and options that TEXT means, with more options behind them. beside: a folder where
    a file is looked for first, which is a topology's own. Raises LabError."""
    if _there(text, beside) is not None:  # a name with blanks or commas in it
        return _sorted(options, (_app(text, beside),))
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise LabError(
            say("{text} cannot be read: a quote or a backslash is without its other half",
                text=text),
            term("the whole controller with its options in one pair of quotes: "
                 "'app.py --observe-links'"),
            Exit.USAGE,
        ) from error  # fmt: skip
    names, own = _apart([*words, *options])
    if not names:
        raise LabError(
            say("{text} names no controller", text=text or '""'),
            term("like this: --controller 'app.py --observe-links'"),
            Exit.USAGE,
        )
    return _sorted(own, tuple(_app(name, beside) for name in names))


def _apart(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Names of apps, and options with their values."""
    names: list[str] = []
    options: list[str] = []
    values: list[int] = []  # places in `options` of words behind an option
    takes_value = False
    for word in words:
        if word.startswith("-") and word != "-":
            options.append(word)
            takes_value = "=" not in word and not _is_flag(word)
        elif takes_value:
            values.append(len(options))
            options.append(word)
            takes_value = False
        else:
            names += [part.strip() for part in word.split(",") if part.strip()]
    if not names:
        # `--fast app.py`, where fast is an option of the app's own that takes no value.
        for place in reversed(values):
            if options[place].endswith(".py") or _MODULE.fullmatch(options[place]):
                return [options.pop(place)], options
    return names, options


def _is_flag(word: str) -> bool:
    name = word.removeprefix("--")
    return word in _SHORT_FLAGS or name in _FLAGS or name.removeprefix("no") in _FLAGS


def _sorted(options: Sequence[str], apps: tuple[App, ...]) -> Apps:
    """Without the options that the lab decides."""
    kept: list[str] = []
    not_used: list[str] = []
    words = iter(options)
    for word in words:
        name, equals, _ = word.removeprefix("--").partition("=")
        if word.startswith("--") and name.replace("_", "-") in NOT_THE_USERS:
            not_used.append(f"--{name}")
            if not equals:
                next(words, None)
        else:
            kept.append(word)
    return Apps(apps, tuple(kept), tuple(not_used))


def _there(name: str, beside: Path | None) -> Path | None:
    """The file of this very name, if there is one."""
    for folder in (beside, Path()):
        if folder is not None and name and ("/" in name or "." in name):
            try:
                path = (folder / Path(name).expanduser()).absolute()
                if path.is_file():
                    return path
            except (OSError, RuntimeError):
                continue
    return None


def _app(name: str, beside: Path | None) -> App:
    """The app that a name means. Raises LabError."""
    own = _there(name, beside)
    if own is not None:
        check(own)
        return App(str(own), own)
    if _is_module(name):
        file = module_file(name)
        if file is None:
            raise _no_module(name)
        return App(name, file)
    try:
        path = content.find("controllers", name)
    except LabError as error:
        if name in _short_names():
            module = _short_names()[name]
            error.hint = together(say("did you mean {name}?", name=module), error.hint)
        raise
    return App(str(path), path)


def _is_module(name: str) -> bool:
    return bool(_MODULE.fullmatch(name)) and not name.endswith(".py")


def module_file(name: str) -> Path | None:
    """Where the module of this dotted name is: among the installed packages, on PYTHONPATH or below
    the working directory. Ryu's modules may be os-ken's. None if it is nowhere."""
    package, *rest = name.split(".")
    path = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    places = [*_installed(package), *map(Path, path), Path()]
    stems = [place.joinpath(package, *rest) for place in places]
    if package == _ROOM:
        stems += [place.joinpath("os_ken", *rest) for place in _installed("os_ken")]
    for stem in stems:
        for file in (stem.with_name(f"{stem.name}.py"), stem / "__init__.py"):
            if file.is_file():
                return file.absolute()
    return None


@functools.cache
def _installed(package: str) -> list[Path]:
    """The folders in which a package lies."""
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return []
    return [Path(place).parent for place in (spec and spec.submodule_search_locations) or ()]


def modules() -> list[str]:
    """The apps that come with Ryu, by the names under which they are asked for."""
    names = []
    for place in _installed(_ROOM):
        folder = place / _ROOM / "app"
        for file in sorted(folder.rglob("*.py")):
            if _IS_APP.search(file.read_text(errors="replace")):
                names.append(".".join(file.relative_to(place).with_suffix("").parts))
    return [name for name in names if not name.startswith("ryu.app.ofctl.")]


def _short_names() -> dict[str, str]:
    """'ofctl_rest' -> 'ryu.app.ofctl_rest'."""
    return {name.rpartition(".")[2]: name for name in modules()}


def _no_module(name: str) -> LabError:
    every = modules()
    close = difflib.get_close_matches(name, every, n=1)
    package = name.partition(".")[0]
    if not _installed(package) and not close:
        hint = say(
            "a module of your own is looked for in the folder that you are in and on PYTHONPATH; "
            "a file is given by its path, as in ./{file}",
            file=name.rpartition(".")[2] + ".py",
        )
        return LabError(say("there is no module {name}", name=name), hint, Exit.NO_SUCH)
    return LabError(
        say("there is no module {name}", name=name),
        say("did you mean {name}?", name=close[0])
        if close
        else say("Ryu's own are in {package}: {example}", package="ryu.app", example=every[0])
        if every
        else "",
        Exit.NO_SUCH,
    )


# ---- what a file is -----------------------------------------------------------------------------

_ARCHIVES = (b"PK\x03\x04", b"\xca\xfe\xba\xbe", b"\x7fELF", b"\x1f\x8b")
_IMPORTS = re.compile(r"^[ \t]*(?:from|import)[ \t]+([\w.]+)", re.MULTILINE)
_TOPO = re.compile(r"^class \w+\([^)]*\bTopo\)|^topos\b", re.MULTILINE)
# `#!` of another interpreter, or how a program in another language begins.
_FOREIGN = re.compile(rb"\A\s*(?:#!.*\b(?:bash|sh|node|perl|ruby)\b|package [\w.]+;|<\?php|<\?xml)")


def kind_of(path: Path) -> str:
    """What a file is, by its text: 'controller', 'topology', 'os-ken', 'pox', 'foreign' for no
    Python at all, '' for what cannot be told."""
    try:
        data = path.read_bytes()
    except OSError:
        return ""
    if data.startswith(_ARCHIVES) or b"\0" in data[:1024] or _FOREIGN.match(data):
        return "foreign"
    text = data.decode(errors="replace")
    roots = {name.partition(".")[0] for name in _IMPORTS.findall(text)}
    if "ryu" in roots or re.search(r"\bRyuApp\b", text):
        return "controller"
    if "pox" in roots:
        return "pox"
    if "os_ken" in roots:
        return "os-ken"
    return "topology" if _TOPO.search(text) and "mininet" in roots else ""


def check(path: Path) -> None:
    """Raises LabError(BAD_INPUT) for a file that is no Ryu app whatever is done to it."""
    what = kind_of(path)
    quoted = shlex.quote(str(path))
    if what == "topology":
        raise LabError(
            say("{file} is a topology, not a controller", file=path.name),
            say("bring it up: {command}", command=f"hoplab up {quoted}"),
            Exit.BAD_INPUT,
        )
    if what == "pox":
        raise LabError(
            say("{file} is an app for POX, and hoplab runs apps for Ryu", file=path.name),
            say(
                "POX itself can be run beside a Mininet script, with RemoteController in it: "
                "{command}; among ours, {ours} does what POX's l2_learning does",
                command="hoplab run -- sh -c './pox.py APP & python3 SCRIPT'",
                ours="learning_switch",
            ),
            Exit.BAD_INPUT,
        )
    if what == "foreign":
        raise LabError(
            say(
                "{file} is not written in Python: hoplab runs apps for Ryu, which are",
                file=path.name,
            ),
            say(
                "a controller of another kind (Floodlight, ONOS, OpenDaylight) can be run beside "
                "a Mininet script, with RemoteController in it: {command}",
                command="hoplab run -- sh -c 'CONTROLLER & python3 SCRIPT'",
            ),
            Exit.BAD_INPUT,
        )


def check_platform(apps: Iterable[App], platform: str) -> None:
    """Raises LabError(BAD_INPUT) for an app that only the other framework can run."""
    for app in apps:
        is_os_ken = app.name.startswith("os_ken.") or (
            app.file is not None and not _is_module(app.name) and kind_of(app.file) == "os-ken"
        )
        if platform == "ryu" and is_os_ken:
            raise LabError(
                say("{app} is an app for os-ken, Ryu's maintained fork", app=app.title),
                say("say so: {option}", option="--platform os-ken"),
                Exit.BAD_INPUT,
            )


def refuse_controller(path: Path) -> None:
    """Raises LabError(BAD_INPUT) for a controller in the place of a topology. A file may well be
    both."""
    is_app = kind_of(path) in ("controller", "os-ken", "pox")
    if is_app and not _TOPO.search(path.read_text(errors="replace")):
        raise LabError(
            say("{file} is a controller, not a topology", file=path.name),
            say(
                "give it a network: {command}",
                command=f"hoplab up switch --controller {shlex.quote(str(path))}",
            ),
            Exit.BAD_INPUT,
        )
