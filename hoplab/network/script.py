# SPDX-License-Identifier: Apache-2.0
"""What a user's file holds beside its Topo, read from its text: nothing of it is run here.

`up` takes a file's Topo and builds it by itself. The rest, most often a function that makes a
Mininet, starts it and gives commands to its hosts, is for a Python of its own (`hoplab run`). This
module finds that rest, so that `up` can say what it leaves out (`remarks`) and which files are
nothing but such a script (`topofile`).
"""

from __future__ import annotations

import ast
import functools
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# What a script tells the nodes of a network, or adds to it, once Mininet has been made.
_COMMANDS = frozenset(
    "cmd cmdPrint sendCmd pexec popen setIP setMAC setARP setDefaultRoute setHostRoute attach "
    "configLinkStatus addNAT".split()
)
_ADDED = frozenset(("addHost", "addSwitch", "addLink", "delLink", "delNode"))
# Arguments of Mininet that change what comes of a Topo, and their usual values, which do not.
_OPTIONS = {
    "host": ("Host",),
    "switch": ("OVSSwitch", "OVSKernelSwitch"),
    "link": ("Link", "TCLink", "TCULink"),  # a link that is shaped is one by itself
    "intf": ("Intf", "TCIntf"),
    "ipBase": ("'10.0.0.0/8'",),
    "autoSetMacs": ("False",),
    "autoStaticArp": ("False",),
    "inNamespace": ("False",),
}
# Of these, those that `up` takes as they stand, where their value is a plain one.
_TAKEN: dict[str, type] = {"ipBase": str, "autoSetMacs": bool, "autoStaticArp": bool}
# Calls that make a class with other defaults: functools.partial, mininet.util.custom.
_CUSTOM = ("partial", "custom", "customClass", "customConstructor")
_SHAPED = ("TCLink", "TCULink", "TCIntf")
LONGEST = 40  # characters of a command that is quoted


@dataclass(frozen=True)
class Place:
    """A piece of a file's text, and its line."""

    line: int
    text: str


@dataclass
class Script:
    """What the file does outside its classes. networks: where it makes a Mininet. commands: what it
    tells the nodes of it. options: Mininet's arguments that change what comes of the Topo and that
    are not taken; settings: those that are. links: what every link is to be shaped like. remote:
    where a RemoteController is asked for. alone: where switches are to have no controller. flags:
    the options that its command line takes."""

    networks: list[Place] = field(default_factory=list)
    commands: list[Place] = field(default_factory=list)
    options: list[Place] = field(default_factory=list)
    remote: list[Place] = field(default_factory=list)
    alone: list[Place] = field(default_factory=list)
    flags: list[str] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    links: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Remote:
    """A RemoteController that the file asks for. ports: where it may be, the likeliest first."""

    name: str
    ip: str
    ports: tuple[int, ...]
    line: int


REMOTE_PORTS = (6653, 6633)  # where Mininet looks for one whose port is not said


@functools.lru_cache(maxsize=4)
def remotes(path: Path) -> tuple[Remote, ...]:
    """The RemoteControllers that the file asks for outside its classes, as far as its text says
    where they are; none where it says so by an expression."""
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return ()
    calls = sorted(_calls(tree), key=lambda call: (call.lineno, call.col_offset))
    made = [_remote(call) for call in calls if _asks_for_remote(call)]
    return tuple(dict.fromkeys(remote for remote in made if remote is not None))


def _asks_for_remote(call: ast.Call) -> bool:
    """RemoteController(…), addController(…, controller=RemoteController, …), Mininet(…) with it;
    partial(RemoteController, …)."""
    names = map(_name, [call.func, *_values(call)])
    return "RemoteController" in names


def _remote(call: ast.Call) -> Remote | None:
    values: dict[str, object] = {"name": "c0", "ip": "127.0.0.1", "port": None}
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    if _name(call.func) == "RemoteController":
        given = {**dict(zip(("name", "ip", "port"), call.args, strict=False)), **given}
    elif _name(call.func) == "addController" and call.args:
        given = {"name": call.args[0], **given}
    for key in values:
        if key in given:
            try:
                values[key] = ast.literal_eval(given[key])
            except ValueError:
                if key != "name":
                    return None
    port = values["port"]
    if port is not None and not isinstance(port, int):
        return None
    ip = "127.0.0.1" if values["ip"] == "localhost" else str(values["ip"])
    ports = REMOTE_PORTS if port is None else (port,)
    return Remote(str(values["name"]), ip, ports, call.lineno)


def how_to_run(path: Path, words: Sequence[str] = ()) -> str:
    """The command that runs a file as its author does, with these words on its command line."""
    return f"hoplab run -- python3 {shlex.join([str(path), *words])}"


def how_to_bring_up(path: Path, words: str) -> str:
    """The command that brings a file's Topo up with these words on its command line."""
    return f"hoplab up {shlex.quote(f'{path} {words}')}"


@functools.lru_cache(maxsize=4)
def read(path: Path) -> Script:
    """What the file does outside its classes; nothing, if it cannot be read."""
    script = Script()
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return script
    networks = {"net"} | {name for node in ast.walk(tree) for name in _names_of_a_network(node)}
    for call in sorted(_calls(tree), key=lambda call: (call.lineno, call.col_offset)):
        place, name = _place(call), _name(call.func)
        if name == "Mininet":
            script.networks.append(place)
            _note_options(script, call, tree)
        elif name in ("add_argument", "add_option"):
            script.flags += _literals(call.args)[-1:]  # of -k, --hosts the one that says more
        elif _commands_nodes(call, networks):
            script.commands.append(place)
        if name == "addController":
            script.alone.clear()  # Mininet makes none, for this one
        if any(_name(each) == "RemoteController" for each in [call.func, *_values(call)]):
            script.remote.append(place)
    return script


def _note_options(script: Script, call: ast.Call, tree: ast.AST) -> None:
    """What this call of Mininet asks for that changes what comes of the Topo. Of several calls the
    first is heeded, as people run the file with it."""
    first = len(script.networks) == 1
    for option in call.keywords:
        name, value = option.arg or "", ast.unparse(option.value)
        kind = _TAKEN.get(name)
        shaped = _shaping(option.value, tree) if name in ("link", "intf") else None
        if (name, value) == ("controller", "None"):
            script.alone.append(Place(call.lineno, f"{name}={value}"))
        if kind and isinstance(option.value, ast.Constant) and type(option.value.value) is kind:
            if first:
                script.settings[name] = option.value.value
        elif shaped is not None:
            if first:
                script.links.update(shaped)
        elif value not in _OPTIONS.get(name, (value,)):
            script.options.append(Place(call.lineno, f"{name}={value}"))


def _shaping(value: ast.expr, tree: ast.AST) -> dict[str, Any] | None:
    """The parameters of `partial(TCLink, bw=10)`, or of the variable that holds that; None if it is
    anything else."""
    if isinstance(value, ast.Name):
        made = [
            node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign)
            and [_name(target) for target in node.targets] == [value.id]
        ]
        if len(made) != 1 or isinstance(made[0], ast.Name):
            return None
        return _shaping(made[0], tree)
    if not isinstance(value, ast.Call) or _name(value.func) not in _CUSTOM:
        return None
    if len(value.args) != 1 or _name(value.args[0]) not in _SHAPED:
        return None
    try:
        return {each.arg or "": ast.literal_eval(each.value) for each in value.keywords}
    except ValueError:
        return None


def _literals(nodes: Sequence[ast.expr]) -> list[str]:
    """The texts among these that are written out."""
    return [n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str)]


def _commands_nodes(call: ast.Call, networks: set[str]) -> bool:
    """Whether it is a command for a node, or adds something to one of the networks."""
    if not isinstance(call.func, ast.Attribute):
        return False
    owner = call.func.value
    on_network = isinstance(owner, ast.Name) and owner.id in networks
    return call.func.attr in _COMMANDS or (call.func.attr in _ADDED and on_network)


def methods_that_add(path: Path, name: str) -> list[Place]:
    """The methods of the class NAME, but for `build` and `__init__`, that add hosts or switches."""
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return []
    return [
        Place(method.lineno, method.name)
        for made_class in ast.walk(tree)
        if isinstance(made_class, ast.ClassDef) and made_class.name == name
        for method in made_class.body
        if isinstance(method, ast.FunctionDef) and method.name not in ("build", "__init__")
        if any(_name(call.func) in _ADDED for call in _calls(method))
    ]


def _calls(tree: ast.AST) -> Iterator[ast.Call]:
    """All calls in it, but for those inside a class: a Topo's and a Node's own are made."""
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.Call):
            yield child
        if not isinstance(child, ast.ClassDef):
            yield from _calls(child)


def _names_of_a_network(node: ast.AST) -> list[str]:
    """The variables that an assignment gives a Mininet to."""
    if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Call):
        return []
    if _name(node.value.func) != "Mininet":
        return []
    return [target.id for target in node.targets if isinstance(target, ast.Name)]


def _values(call: ast.Call) -> list[ast.expr]:
    return [*call.args, *(keyword.value for keyword in call.keywords)]


def _name(node: ast.AST) -> str:
    """The last word of what is called: 'Mininet' of mininet.net.Mininet."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _place(call: ast.Call) -> Place:
    text = " ".join(ast.unparse(call).split())
    return Place(call.lineno, text if len(text) <= LONGEST else text[: LONGEST - 1] + "…")
