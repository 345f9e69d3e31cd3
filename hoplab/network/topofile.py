# SPDX-License-Identifier: Apache-2.0
"""A user's topology file: found, run, and blamed by its line when something is wrong with it."""

from __future__ import annotations

import contextlib
import difflib
import importlib.util
import inspect
import io
import re
import shlex
import subprocess
import sys
import traceback
import types
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import mininet.net
import mininet.topo

from hoplab import content
from hoplab.errors import Exit, LabError, limited
from hoplab.imports import formats
from hoplab.kernel.batch import NAME_LIMIT
from hoplab.network import script
from hoplab.sentences import listed, say, term, together

_BORROWS = re.compile(rb"^from (nodes|cables) import ", re.MULTILINE)


def load_topo(
    path: Path, arguments: str = "", chosen: str = "", words: Sequence[str] = ()
) -> Any:
    """The Topo that a file describes, as `mn --custom FILE --topo NAME,ARGUMENTS` finds it.

    chosen: NAME, "" for whichever the file means (`_choose`). arguments: 'n=4' or '4,2', as for
    `mn`. words: what the file finds on its command line. Raises LabError(BAD_INPUT), naming the
    line at fault, or how to run a file that is no topology but a script. A lab of Kathará or
    containerlab is a Topo, too (`hoplab.imports`).
    """
    if formats.format_of(path):
        from hoplab.network import imported

        return imported.load(path, arguments)
    with _as_a_script_of_its_own(path, words) as command_line:
        module = load_file(path, "topology", words)
        every = _makers(module, path)
        name = _choose(every, path, chosen)
        makers = every[name]
        args, kwargs = _split(arguments)
        topo = _make(makers, path, arguments, args, kwargs)
    _check_names(path, topo)
    topo.hoplab_file = path  # what goes wrong later can name it
    topo.hoplab_chosen = (name, () if chosen else tuple(each for each in every if each != name))
    topo.hoplab_words, topo.hoplab_words_read = tuple(words), command_line.read
    return topo


def users_file(topo: Any) -> Path | None:
    """The file of a user's that a Topo is of; None for one of ours, where nothing is left out, and
    for a lab of another program, which is no Python."""
    file: Path | None = getattr(topo, "hoplab_file", None)
    if file is None or file.parent == content.folder("topologies") or formats.format_of(file):
        return None
    return file


def _make(
    makers: Callable[..., Any], path: Path, arguments: str, args: list[Any], kwargs: dict[str, Any]
) -> Any:
    """The Topo. Raises LabError(BAD_INPUT)."""
    try:
        return makers(*args, **kwargs)
    except LabError as error:
        error.message = say("{file}: {message}", file=path, message=error.message)
        raise
    except Exception as error:
        wrong = _no_number(makers, kwargs)
        if wrong is not None:
            name, default = wrong
            raise LabError(
                say(
                    "{file}: the parameter {name} takes a number, and {value} is none",
                    file=path,
                    name=name,
                    value=kwargs[name],
                ),
                say("write it as in {example}", example=f"{name}={default}"),
                Exit.BAD_INPUT,
            ) from error
        if isinstance(error, TypeError) and not own_frames(path, error):
            raise LabError(
                say(
                    "{file}: the topology does not take the parameters {parameters}: {reason}",
                    file=path,
                    parameters=arguments or term("(none)"),
                    reason=str(error),
                ),
                _taken(makers),
                Exit.BAD_INPUT,
            ) from error
        hint: str = term("mend the line; it was reached while the topology was built")
        if hasattr(error, "hint"):  # the file itself knows the next step
            hint = str(error.hint)
        elif arguments:
            hint = say(
                "other parameters than {parameters}? {accepted}",
                parameters=arguments,
                accepted=_taken(makers),
            )
        raise blame(path, error, hint) from error


class _IsScript(BaseException):
    """A file makes a Mininet while it is read: it is no topology. No `except Exception` of the
    file's is to catch this."""


class _CommandLine(list[str]):
    """sys.argv for a user's file. read: whether it has looked beyond its own name."""

    read = False

    def __getitem__(self, place: Any) -> Any:
        self.read = self.read or place != 0
        return super().__getitem__(place)

    def __len__(self) -> int:
        self.read = True
        return super().__len__()


@contextlib.contextmanager
def _as_a_script_of_its_own(path: Path, words: Sequence[str]) -> Iterator[_CommandLine]:
    """While a user's file is read: it finds a command line of its own, with these words, and may
    not make a network."""
    Mininet = mininet.net.Mininet
    argv, make = sys.argv, Mininet.__init__

    def refuse(self: Any, *args: Any, **kwargs: Any) -> None:
        raise _IsScript

    command_line = _CommandLine([str(path), *words])
    sys.argv, Mininet.__init__ = command_line, refuse
    try:
        yield command_line
    finally:
        sys.argv, Mininet.__init__ = argv, make


def _is_script(path: Path, error: BaseException, words: Sequence[str]) -> LabError:
    """The error for a file that makes a network by itself when it is read."""
    own = own_frames(path, error)
    return LabError(
        say(
            "{place}: the file makes its network itself, when it is read",
            place=_place(path, own[-1].lineno if own else None),
        ),
        say(
            "run it as it is: {command}; hoplab up takes the Topo of a file that does this below "
            "`if __name__ == '__main__':`",
            command=script.how_to_run(path, words),
        ),
        Exit.BAD_INPUT,
        own[-1].line or "" if own else "",
    )


def load_file(path: Path, kind: str, words: Sequence[str] = ()) -> types.ModuleType:
    """Run a user's Python file as a module. Raises LabError(BAD_INPUT) naming the line at fault.
    words: what stands on its command line."""
    if not path.is_file():
        raise LabError(
            say("there is no file {file}", file=path), term("name a topology file"), Exit.NO_SUCH
        )
    name = f"hoplab_{kind}_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise LabError(
            say("{file} is no Python file", file=path),
            term("its name must end in .py"),
            Exit.BAD_INPUT,
        )
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.insert(0, str(path.parent))
    printed = io.StringIO()
    try:
        with contextlib.redirect_stderr(printed), _ours_beside(path):
            spec.loader.exec_module(module)
    except SyntaxError as error:
        hint: str = term("mend the line; `python3 -m py_compile FILE` checks it")
        if content.is_python2(error):
            hint = _run_python2(path)
        raise LabError(
            say("{place}: {reason}", place=_place(path, error.lineno), reason=error.msg),
            hint,
            Exit.BAD_INPUT,
            (error.text or "").rstrip(),
        ) from error
    except LabError:
        raise
    except _IsScript as error:
        raise _is_script(path, error, words) from None
    except SystemExit as error:
        raise _ended(path, error, printed.getvalue(), words) from error
    except ImportError as error:
        raise blame(path, error, _other_python(path, words)) from error
    except BaseException as error:
        hint = term("mend the line; it was reached while the file was loaded")
        if isinstance(error, EOFError):
            hint = _run_it(path, words)
        elif _asks_its_command_line(path, error):
            hint = _give_words(path, words)
        raise blame(path, error, hint) from error
    finally:
        sys.path.remove(str(path.parent))
        sys.stderr.write(printed.getvalue())
    return module


@contextlib.contextmanager
def _ours_beside(path: Path) -> Iterator[None]:
    """A saved lab says where our classes of nodes were on the machine where it was saved; on this
    one they are where they are."""
    if not _BORROWS.search(path.read_bytes()):
        yield
        return
    ours = str(content.folder("topologies"))
    sys.path.append(ours)
    try:
        yield
    finally:
        sys.path.remove(ours)


def _ended(path: Path, error: SystemExit, printed: str, words: Sequence[str]) -> LabError:
    """The error for a file that ends by itself when it is read: argparse, most often, which has
    printed why."""
    last = (printed.strip().splitlines() or [""])[-1]
    if error.code != 2 or ": error: " not in last:
        return blame(path, error, _run_it(path, words))
    return LabError(
        say("{file}: {reason}", file=path, reason=last.partition(": error: ")[2]),
        _give_words(path, words),
        Exit.BAD_INPUT,
    )


def _give_words(path: Path, words: Sequence[str]) -> str:
    """How a file gets its command line."""
    flags = script.read(path).flags
    example = " ".join(f"{flag} …" if flag.startswith("-") else "…" for flag in flags[:2])
    return say(
        "give it its command line: {command}; or is it a script? run it: {run}",
        command=script.how_to_bring_up(path, example or "…"),
        run=script.how_to_run(path, words),
    )


def _other_python(path: Path, words: Sequence[str]) -> str:
    """What to do with a file that imports what the Python of hoplab does not have."""
    return say(
        "hoplab's Python does not have it; {command} runs the file with yours",
        command=script.how_to_run(path, words),
    )


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
    return LabError(
        say(
            "{place}: {kind}: {reason}",
            place=_place(path, own[-1].lineno if own else None),
            kind=type(error).__name__,
            reason=str(error),
        ),
        hint,
        Exit.BAD_INPUT,
        own[-1].line or "" if own else "",
    )


def _place(path: Path, line: int | None) -> str:
    """A place in a file, in words."""
    return str(path) if line is None else say("{file}, line {line}", file=path, line=line)


def _run_python2(path: Path) -> str:
    """What to do with a file for Python 2."""
    try:  # a stand-in of a version that is not chosen may have this name
        has = subprocess.run(["python2", "-c", "import mininet"], capture_output=True, timeout=10)
        if has.returncode == 0:
            command = script.how_to_run(path).replace("python3", "python2")
            return say("it is for Python 2: {command}", command=command)
    except (OSError, subprocess.TimeoutExpired):
        pass
    return say(
        "it is for Python 2, which has no Mininet here: {command} rewrites it for Python 3 "
        "(Debian's package 2to3)",
        command=f"2to3 -w {shlex.quote(str(path))}",
    )


def _asks_its_command_line(path: Path, error: BaseException) -> bool:
    """Whether it is for want of arguments that a file cannot be read: `int(sys.argv[1])`."""
    own = own_frames(path, error)
    return isinstance(error, IndexError) and bool(own) and "argv" in (own[-1].line or "")


def _run_it(path: Path, words: Sequence[str] = ()) -> str:
    return say(
        "hoplab up reads the Topo of a file; is it a script? run it: {command}",
        command=script.how_to_run(path, words),
    )


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
            say(
                "{file} has no Topo: it makes its network itself (line {line})",
                file=path,
                line=networks[0].line,
            ),
            say("run it as it is: {command}", command=script.how_to_run(path)),
            Exit.BAD_INPUT,
        )
    raise LabError(
        say("{file} has no Topo", file=path),
        say(
            "write a class YourTopo(mininet.topo.Topo), and end the file with: {line}",
            line=f"topos = {{{path.stem!r}: YourTopo}}",
        ),
        Exit.BAD_INPUT,
    )


def _choose(every: dict[str, Callable[..., Any]], path: Path, chosen: str) -> str:
    """The name of the one that is meant: as asked for, else the file's own name, else the first.
    Raises LabError (NO_SUCH)."""
    if chosen and chosen not in every:
        close = difflib.get_close_matches(chosen, every, n=1, cutoff=0.5)
        raise LabError(
            say("{file} has no topology {name}", file=path, name=chosen),
            together(
                say("did you mean {name}?", name=close[0]) if close else "",
                say("it has: {names}", names=listed(every)),
            ),
            Exit.NO_SUCH,
        )
    return chosen or (path.stem if path.stem in every else next(iter(every)))


def _no_number(maker: Callable[..., Any], given: dict[str, Any]) -> tuple[str, Any] | None:
    """The first parameter that stands for a number, by its default, and was given a word; with
    that default."""
    for each in _parameters(maker):
        number = isinstance(each.default, int | float) and not isinstance(each.default, bool)
        if number and isinstance(given.get(each.name), str):
            return each.name, each.default
    return None


def _parameters(maker: Callable[..., Any]) -> list[inspect.Parameter]:
    """What a maker of topologies takes; nothing where it does not tell."""
    try:
        parameters = [*inspect.signature(maker).parameters.values()]
        if isinstance(maker, type):  # Topo.__init__ hands on to build what it does not know
            build: Any = getattr(maker, "build", None)
            parameters += [*inspect.signature(build).parameters.values()][1:]
    except (TypeError, ValueError):  # no Topo, or not written in Python
        return []
    return parameters


def _taken(maker: Callable[..., Any]) -> str:
    """The parameters of a topology, as one gives them: 'it takes n=4'."""
    parameters = _parameters(maker)
    if not parameters:
        return term("the file's docstring says what it takes")
    names = [
        each.name
        if each.default is each.empty
        else f"{each.name}={each.default or repr(each.default)}"
        for each in parameters
        if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)
    ]
    return say(
        "it takes {parameters}; the file's docstring says more",
        parameters=listed(names) or term("none"),
    )


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
            say("{file}: {kind} is no Topo", file=path, kind=type(topo).__name__),
            term("`topos` must hold classes or functions that make a mininet.topo.Topo"),
            Exit.BAD_INPUT,
        )
    for name in topo.g.nodes():
        if not isinstance(name, str):
            raise LabError(
                say("{file}: {name} is no name for a node", file=path, name=repr(name)),
                say("names are texts: {code}", code=f"self.addHost('h{name}')"),
                Exit.BAD_INPUT,
            )
    degree = {name: 0 for name in topo.nodes()}
    for ends in topo.links():
        for end in ends:
            degree[end] += 1
    for name in topo.nodes():
        # A switch's interfaces are numbered from 1, a host's from 0.
        last = max(degree[name], 1) if topo.isSwitch(name) else max(degree[name] - 1, 0)
        _check_node_name(path, name, f"{name}-eth{last}")
    for name in topo.switches():
        _check_datapath_id(path, name, topo.nodeInfo(name).get("dpid"))


def _check_node_name(path: Path, name: str, longest: str) -> None:
    """Raises LabError. longest: the node's interface with the longest name."""
    size = len(longest.encode())
    if size > NAME_LIMIT:
        raise LabError(
            say(
                "{file}: {name} is too long a name: its interface {interface} has {n} "
                "characters, and Linux allows {most}",
                file=path,
                name=name,
                interface=longest,
                n=size,
                most=NAME_LIMIT,
            ),
            say("shorten it to {n} characters or fewer", n=NAME_LIMIT - size + len(name.encode())),
            Exit.BAD_INPUT,
        )
    if not re.fullmatch(r"[A-Za-z0-9_.:+-]+", name) or name in (".", ".."):
        raise LabError(
            say("{file}: {name} is no name for a node", file=path, name=repr(name)),
            term("use letters, digits and - _ ."),
            Exit.BAD_INPUT,
        )


def _check_datapath_id(path: Path, name: str, dpid: object) -> None:
    """Raises LabError for a switch that cannot have the datapath id that is asked for, or that has
    nothing to make one from."""
    digits = dpid.replace(":", "") if isinstance(dpid, str) else ""
    if dpid and not re.fullmatch(r"[0-9A-Fa-f]{1,16}", digits):
        raise LabError(
            say(
                "{file}: the switch {switch} has the datapath id {dpid}",
                file=path,
                switch=name,
                dpid=repr(dpid),
            ),
            term("write up to 16 hexadecimal digits, as in dpid='2a'"),
            Exit.BAD_INPUT,
        )
    if not re.search(r"\d", name) and not dpid:
        raise LabError(
            say(
                "{file}: the switch {switch} has no number to make its datapath id from",
                file=path,
                switch=name,
            ),
            say("call it {switch}1, or add dpid='1'", switch=name),
            Exit.BAD_INPUT,
        )
