# SPDX-License-Identifier: Apache-2.0
"""A user's topology file: found, run, and blamed by its line when something is wrong with it."""

from __future__ import annotations

import contextlib
import importlib.util
import inspect
import re
import shlex
import subprocess
import sys
import traceback
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mininet.net
import mininet.topo

from hoplab.errors import Exit, LabError, limited
from hoplab.kernel.batch import NAME_LIMIT
from hoplab.network import script


def load_topo(path: Path, arguments: str = "", chosen: str = "") -> Any:
    """The Topo that a file describes, as `mn --custom FILE --topo NAME,ARGUMENTS` finds it.

    chosen: NAME, "" for whichever the file means (`_choose`). arguments: 'n=4' or '4,2', as for
    `mn`. Raises LabError(BAD_INPUT), naming the line at fault, or how to run a file that is no
    topology but a script.
    """
    with _as_a_script_of_its_own(path):
        module = load_file(path, "topology")
        every = _makers(module, path)
        name = _choose(every, path, chosen)
        makers = every[name]
        args, kwargs = _split(arguments)
        topo = _make(makers, path, arguments, args, kwargs)
    _check_names(path, topo)
    topo.hoplab_file = path  # what goes wrong later can name it
    topo.hoplab_chosen = (name, () if chosen else tuple(each for each in every if each != name))
    topo.hoplab_arguments_read = bool(script.read(path).arguments)
    return topo


def _make(
    makers: Callable[..., Any], path: Path, arguments: str, args: list[Any], kwargs: dict[str, Any]
) -> Any:
    """The Topo. Raises LabError(BAD_INPUT)."""
    try:
        return makers(*args, **kwargs)
    except LabError as error:
        error.message = f"{path}: {error.message}"
        raise
    except Exception as error:
        given = arguments or "(none)"
        if isinstance(error, TypeError) and not own_frames(path, error):
            raise LabError(
                f"{path}: the topology does not take the parameters {given}: {error}",
                _taken(makers),
                Exit.BAD_INPUT,
            ) from error
        hint = "mend the line; it was reached while the topology was built"
        if arguments:
            hint = f"other parameters than {arguments}? {_taken(makers)}"
        raise blame(path, error, hint) from error


class _IsScript(BaseException):
    """A file makes a Mininet while it is read: it is no topology. No `except Exception` of the
    file's is to catch this."""


@contextlib.contextmanager
def _as_a_script_of_its_own(path: Path) -> Iterator[None]:
    """While a user's file is read: it finds a command line of its own, with no arguments, and may
    not make a network."""
    Mininet = mininet.net.Mininet
    argv, make = sys.argv, Mininet.__init__

    def refuse(self: Any, *args: Any, **kwargs: Any) -> None:
        raise _IsScript

    sys.argv, Mininet.__init__ = [str(path)], refuse
    try:
        yield
    finally:
        sys.argv, Mininet.__init__ = argv, make


def _is_script(path: Path, error: BaseException) -> LabError:
    """The error for a file that makes a network by itself when it is read."""
    own = own_frames(path, error)
    line = f", line {own[-1].lineno}" if own else ""
    return LabError(
        f"{path}{line}: the file makes its network itself, when it is read",
        f"run it as it is: {script.how_to_run(path)}; hoplab up takes the Topo of a file that does "
        "this below `if __name__ == '__main__':`",
        Exit.BAD_INPUT,
        own[-1].line or "" if own else "",
    )


def load_file(path: Path, what: str) -> types.ModuleType:
    """Run a user's Python file as a module. Raises LabError(BAD_INPUT) naming the line at fault."""
    if not path.is_file():
        raise LabError(f"there is no file {path}", f"name a {what} file", Exit.NO_SUCH)
    name = f"hoplab_{what}_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise LabError(f"{path} is no Python file", "its name must end in .py", Exit.BAD_INPUT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        hint = "mend the line; `python3 -m py_compile FILE` checks it"
        if _is_python2(error):
            hint = _run_python2(path)
        raise LabError(
            f"{path}, line {error.lineno}: {error.msg}",
            hint,
            Exit.BAD_INPUT,
            (error.text or "").rstrip(),
        ) from error
    except LabError:
        raise
    except _IsScript as error:
        raise _is_script(path, error) from None
    except SystemExit as error:
        raise blame(path, error, _run_it(path)) from error
    except BaseException as error:
        hint = "mend the line; it was reached while the file was loaded"
        if isinstance(error, EOFError) or _asks_its_command_line(path, error):
            hint = _run_it(path)
        raise blame(path, error, hint) from error
    finally:
        sys.path.remove(str(path.parent))
    return module


def own_frames(path: Path, error: BaseException) -> list[traceback.FrameSummary]:
    """Where in the user's own file an exception passed through, the deepest place last."""
    frames = traceback.extract_tb(error.__traceback__)
    return [frame for frame in frames if frame.filename == str(path)]


def blame(path: Path, error: BaseException, hint: str) -> LabError:
    """The error to show for an exception in a user's file: its line, and what it says. That the
    machine gives no more of something is no fault of the file's."""
    short = limited(error)
    if short is not None:
        return short
    own = own_frames(path, error)
    line = f", line {own[-1].lineno}" if own else ""
    return LabError(
        f"{path}{line}: {type(error).__name__}: {error}",
        hint,
        Exit.BAD_INPUT,
        own[-1].line or "" if own else "",
    )


# What Python 3 says of what was right in Python 2: `print x`, `except E, e`, 0777, a `` and <>.
_PYTHON_2 = re.compile(
    r"Missing parentheses in call to|multiple exception types must be parenthesized|"
    r"leading zeros in decimal integer literals|inconsistent use of tabs|invalid decimal literal"
)


def _is_python2(error: SyntaxError) -> bool:
    text = error.text or ""
    return bool(_PYTHON_2.search(error.msg)) or "<>" in text or bool(re.match(r"\s*exec ", text))


def _run_python2(path: Path) -> str:
    """What to do with a file for Python 2."""
    try:  # a stand-in of a version that is not chosen may have this name
        has = subprocess.run(["python2", "-c", "import mininet"], capture_output=True, timeout=10)
        if has.returncode == 0:
            return f"it is for Python 2: {script.how_to_run(path).replace('python3', 'python2')}"
    except (OSError, subprocess.TimeoutExpired):
        pass
    return (
        f"it is for Python 2, which has no Mininet here: 2to3 -w {shlex.quote(str(path))} rewrites "
        "it for Python 3 (Debian's package 2to3)"
    )


def _asks_its_command_line(path: Path, error: BaseException) -> bool:
    """Whether it is for want of arguments that a file cannot be read: `int(sys.argv[1])`."""
    own = own_frames(path, error)
    return isinstance(error, IndexError) and bool(own) and "argv" in (own[-1].line or "")


def _run_it(path: Path) -> str:
    return f"hoplab up reads the Topo of a file; is it a script? run it: {script.how_to_run(path)}"


def _makers(module: types.ModuleType, path: Path) -> dict[str, Callable[..., Any]]:
    """What makes the file's Topos, by name: its dictionary `topos`, else its Topo classes, those
    first that no other is made of. Raises LabError if there is none."""
    topos = getattr(module, "topos", None)
    if isinstance(topos, dict) and topos:
        return {str(name): maker for name, maker in topos.items()}
    own = [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, mininet.topo.Topo)
        and value.__module__ == module.__name__
    ]
    if own:
        bases = {base for each in own for base in each.__mro__[1:]}
        return {each.__name__: each for each in sorted(own, key=bases.__contains__)}
    networks = script.read(path).networks
    if networks:
        raise LabError(
            f"{path} has no Topo: it makes its network itself (line {networks[0].line})",
            f"run it as it is: {script.how_to_run(path)}",
            Exit.BAD_INPUT,
        )
    raise LabError(
        f"{path} has no Topo",
        "write a class YourTopo(mininet.topo.Topo), and end the file with: "
        f"topos = {{{path.stem!r}: YourTopo}}",
        Exit.BAD_INPUT,
    )


def _choose(every: dict[str, Callable[..., Any]], path: Path, chosen: str) -> str:
    """The name of the one that is meant: as asked for, else the file's own name, else the first.
    Raises LabError (NO_SUCH)."""
    if chosen and chosen not in every:
        raise LabError(
            f"{path} has no topology {chosen}", f"it has: {', '.join(every)}", Exit.NO_SUCH
        )
    return chosen or (path.stem if path.stem in every else next(iter(every)))


def _taken(maker: Callable[..., Any]) -> str:
    """The parameters of a topology, as one gives them: 'it takes n=4'."""
    try:
        parameters = [*inspect.signature(maker).parameters.values()]
        if isinstance(maker, type):  # Topo.__init__ hands on to build what it does not know
            build: Any = getattr(maker, "build", None)
            parameters += [*inspect.signature(build).parameters.values()][1:]
    except (TypeError, ValueError):  # no Topo, or not written in Python
        return "the file's docstring says what it takes"
    names = [
        one.name if one.default is one.empty else f"{one.name}={one.default or repr(one.default)}"
        for one in parameters
        if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)
    ]
    return f"it takes {', '.join(names) or 'none'}; the file's docstring says more"


def _split(arguments: str) -> tuple[list[Any], dict[str, Any]]:
    def value(text: str) -> Any:
        for kind in (int, float):
            try:
                return kind(text)
            except ValueError:
                continue
        return {"True": True, "False": False, "None": None}.get(text, text)

    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for word in filter(None, (part.strip() for part in arguments.split(","))):
        key, equals, text = word.partition("=")
        if equals:
            kwargs[key.strip().replace("-", "_")] = value(text.strip())
        else:
            args.append(value(word))
    return args, kwargs


def _check_names(path: Path, topo: Any) -> None:
    """Refuse names that cannot be interfaces before anything is built."""
    if not isinstance(topo, mininet.topo.Topo):
        raise LabError(
            f"{path}: {type(topo).__name__} is no Topo",
            "`topos` must hold classes or functions that make a mininet.topo.Topo",
            Exit.BAD_INPUT,
        )
    for name in topo.g.nodes():
        if not isinstance(name, str):
            raise LabError(
                f"{path}: {name!r} is no name for a node",
                f"names are texts: self.addHost('h{name}')",
                Exit.BAD_INPUT,
            )
    degree = {name: 0 for name in topo.nodes()}
    for one, other in topo.links():
        degree[one] += 1
        degree[other] += 1
    for name in topo.nodes():
        longest = (
            f"{name}-eth{max(degree[name], 1) if topo.isSwitch(name) else max(degree[name] - 1, 0)}"
        )
        if len(longest.encode()) > NAME_LIMIT:
            raise LabError(
                f"{path}: {name} is too long a name: its interface {longest} has "
                f"{len(longest.encode())} characters, and Linux allows {NAME_LIMIT}",
                f"shorten it to {NAME_LIMIT - len(longest.encode()) + len(name.encode())} "
                "characters or fewer",
                Exit.BAD_INPUT,
            )
        if not re.fullmatch(r"[A-Za-z0-9_.:+-]+", name) or name in (".", ".."):
            raise LabError(
                f"{path}: {name!r} is no name for a node",
                "use letters, digits and - _ .",
                Exit.BAD_INPUT,
            )
    for name in topo.switches():
        dpid = topo.nodeInfo(name).get("dpid")
        digits = dpid.replace(":", "") if isinstance(dpid, str) else ""
        if dpid and not re.fullmatch(r"[0-9A-Fa-f]{1,16}", digits):
            raise LabError(
                f"{path}: the switch {name} has the datapath id {dpid!r}",
                "write up to 16 hexadecimal digits, as in dpid='2a'",
                Exit.BAD_INPUT,
            )
        if not re.search(r"\d", name) and not dpid:
            raise LabError(
                f"{path}: the switch {name} has no number to make its datapath id from",
                f"call it {name}1, or add dpid='1'",
                Exit.BAD_INPUT,
            )
