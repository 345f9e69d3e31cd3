# SPDX-License-Identifier: Apache-2.0
"""A plan as a topology's file, which `hoplab up` and stock `mn --custom` take: a class with a
`build` that adds switches, hosts and cables, as somebody would write it.

What lives here: the text. What must not: where the plan comes from.

1. Only what is not usual is written: a datapath id that is not the number in the name, a port that
   is not the next one, what a cable does to frames.
2. What a plain Mininet host does not do (routes, a DNS server of its own, programs that serve) our
   classes do, which are for any Mininet; they are imported from where they are.
"""

from __future__ import annotations

import dataclasses
import keyword
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from hoplab import content
from hoplab.follow.wiring import natural
from hoplab.kernel.shaping import Limits
from hoplab.plans.plan import (
    DEVICES,
    OURS,
    ROUTER,
    ROUTING,
    Cable,
    Class_,
    Host,
    Plan,
    Switch,
    usual_dpid,
)
from hoplab.sentences import listed, say

WIDTH = 96
_MOST_MBIT = 1000.0  # above, Mininet's TCIntf leaves a link as it is
_LINKS = ("Link", "TCLink")  # what a cable is made of by itself


class Code(str):
    """What stands in the file as it is."""


@dataclasses.dataclass
class _File:
    """What the file needs beside its class. modules: names to import, by module, and where it is
    if it is not Mininet's. texts: those of several lines, by their constants. remarks: what is not
    in it."""

    modules: dict[str, set[str]] = dataclasses.field(default_factory=dict)
    folders: dict[str, None] = dataclasses.field(default_factory=dict)
    texts: dict[str, str] = dataclasses.field(default_factory=dict)
    remarks: list[str] = dataclasses.field(default_factory=list)

    def need(self, name: str, module: str) -> Code:
        self.modules.setdefault(module, set()).add(name)
        return Code(name)

    def hoisted(self, name: str, value: Any) -> Any:
        """A value in which each text of several lines is a constant's name."""
        if isinstance(value, dict):
            return {key: self.hoisted(f"{name}_{key}", item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            items = [self.hoisted(name, item) for item in value]
            return items if isinstance(value, list) else tuple(items)
        if not isinstance(value, str) or "\n" not in value:
            return value
        wish = constant = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_").upper()
        if not wish[:1].isalpha():
            wish = constant = f"TEXT_{wish}"
        number = 1
        while self.texts.get(constant, value) != value:
            number += 1
            constant = f"{wish}_{number}"
        same = next((key for key, text in self.texts.items() if text == value), constant)
        self.texts[same] = value
        return Code(same)


def text_of(plan: Plan, path: Path, options: str = "") -> tuple[str, list[str]]:
    """The file, and what is in the lab and not in the file. options: what `up` is to be told beside
    the file."""
    name = topo_name(path)
    file = _File(remarks=list(plan.remarks))
    body: list[str] = []
    if plan.switches:
        body += [_call("addSwitch", [each.name], _switch(each, file))
                 for each in plan.switches.values()]  # fmt: skip
    hosts = [_called(_as_declared(each), file) for each in plan.hosts.values()]
    body += ["", *hosts] if body and hosts else hosts
    cables = list(_cables(plan, file))
    body += ["", *cables] if cables else []
    attributes = {"controller": plan.controller, "url": plan.url, "client": plan.client}
    own = [f"    {key} = {literal(value, 4)}" for key, value in attributes.items() if value]
    class_name = _class_name(name)
    lines = [
        *_docstring(path, name, options, file.remarks, remote=bool(plan.switches)),
        *_imports(file),
        *(line for name, text in file.texts.items() for line in ("", f"{name} = {_long(text)}")),
        "", "",
        f"class {class_name}(Topo):",
        f'    """{_counted(plan)}"""',
        "",
        *own, *([""] if own else []),
        "    def build(self):",
        *(f"        {line}" if line else "" for block in body or ["pass"]
          for line in block.split("\n")),
        "", "",
        f"topos = {{{literal(name)}: {class_name}}}",
    ]  # fmt: skip
    return "\n".join(lines) + "\n", file.remarks


def topo_name(path: Path) -> str:
    """What the file's topology is called."""
    name = re.sub(r"\W+", "_", path.stem).strip("_") or "lab"
    return f"lab_{name}" if name[0].isdigit() or keyword.iskeyword(name) else name


def _class_name(name: str) -> str:
    parts = "".join(part.capitalize() for part in re.split(r"[^0-9A-Za-z]+", name))
    return f"{parts}Topo" if parts[:1].isalpha() else f"Lab{parts}Topo"


def _counted(plan: Plan) -> str:
    counts = [(len(plan.hosts), "host"), (len(plan.switches), "switch"),
              (len(plan.cables), "cable")]  # fmt: skip
    words = [f"{n} {word}{'' if n == 1 else 'es' if word == 'switch' else 's'}"
             for n, word in counts if n]  # fmt: skip
    return (", ".join(words) or "Nothing") + "."


def _docstring(
    path: Path, name: str, options: str, remarks: Iterable[str], *, remote: bool
) -> Iterator[str]:  # fmt: skip
    controller = " --controller remote" if remote else ""
    yield '"""A network as it was when `hoplab save` wrote it down.'
    yield ""
    yield f"    hoplab up {path.name}{options}"
    yield f"    sudo mn --custom {path.name} --topo {name}{controller}"
    remarks = [str(remark).replace("\\", "/").replace('"""', "'''") for remark in remarks]
    if remarks:
        yield ""
        yield "What the network had, and this file has not:"
        yield from (f"- {remark}" for remark in remarks)
    yield '"""'
    yield ""


def _imports(file: _File) -> Iterator[str]:
    stock = {"mininet.topo": {"Topo"}}
    placed: dict[str, set[str]] = {}
    for module, names in file.modules.items():
        (stock if module.startswith("mininet.") else placed).setdefault(module, set()).update(names)
    if placed:
        yield from ("import sys", "")
    for module, names in sorted(stock.items()):
        yield f"from {module} import {', '.join(sorted(names))}"
    if placed:
        yield ""
        for folder in file.folders:
            yield f"sys.path.append({literal(folder)})"
        yield ""
        for module, names in sorted(placed.items()):
            yield f"from {module} import {', '.join(sorted(names))}"


def _call(method: str, first: Iterable[Any], named: Mapping[str, Any]) -> str:
    """A call as it stands in `build`, over several lines where it is long."""
    words = [literal(each) for each in first]
    words += [f"{key}={literal(value)}" for key, value in named.items()]
    line = f"self.{method}({', '.join(words)})"
    if len(line) + 8 <= WIDTH and "\n" not in line:
        return line
    words = [literal(each, 4) for each in first]
    words += [f"{key}={literal(value, 4, len(key) + 6)}" for key, value in named.items()]
    return "\n".join([f"self.{method}(", *(f"    {word}," for word in words), ")"])


def literal(value: Any, indent: int = 0, before: int = 0) -> str:
    """A value as Python, over several lines where it is long. before: what stands in front of it
    on its line."""
    if isinstance(value, Code):
        return str(value)
    if isinstance(value, str):
        return _text(value)
    short = _short(value)
    if indent + before + len(short) + 8 <= WIDTH and "\n" not in short:
        return short
    inner = " " * (indent + 4)
    if isinstance(value, dict):
        items = [f"{literal(key)}: {literal(item, indent + 4)}" for key, item in value.items()]
        marks = "{}"
    elif isinstance(value, list | tuple):
        items = [literal(item, indent + 4) for item in value]
        marks = "[]"
    else:
        return short
    rows = "".join(f"{inner}{item},\n" for item in items)
    return f"{marks[0]}\n{rows}{' ' * indent}{marks[1]}"


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_short(k)}: {_short(v)}" for k, v in value.items()) + "}"
    if isinstance(value, tuple) and value and isinstance(value, tuple):
        return "(" + ", ".join(map(_short, value)) + ("," if len(value) == 1 else "") + ")"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_short, value)) + "]"
    if isinstance(value, str):
        return str(value) if isinstance(value, Code) else _text(value)
    return repr(value)


def _text(value: str) -> str:
    folder = str(content.folder("apps"))
    if value.startswith(f"{folder}/") and not set(value) & set('{}"\\'):
        return f'f"{{APPS}}{value[len(folder):]}"'
    quoted = repr(value)
    return f'"{quoted[1:-1]}"' if quoted[0] == "'" and '"' not in value else quoted


def _long(text: str) -> str:
    """A text of several lines, as one reads it where that can be."""
    plain = all(line.isprintable() for line in text.split("\n"))
    if not plain or '"""' in text or "\\" in text or text.endswith('"'):
        return repr(text)
    return f'"""\\\n{text}"""'


def _unpacked(value: Any) -> Any:
    """A dictionary whose keys are numbers, as it was."""
    if isinstance(value, dict) and set(value) == {"pairs"}:
        return {key: _unpacked(item) for key, item in value["pairs"]}
    return value


# ------------------------------------------------------------------------------ nodes


def _switch(switch: Switch, file: _File) -> dict[str, Any]:
    named: dict[str, Any] = {}
    if switch.kind.name not in ("OVSSwitch", "OVSKernelSwitch"):
        named["cls"] = _class(switch.kind, file, switch.name)
        if named["cls"] is None:
            del named["cls"]
    if switch.dpid != usual_dpid(switch.name):
        named["dpid"] = f"{switch.dpid:x}"
    named |= {key: _unpacked(value) for key, value in switch.params.items()}
    _say_opaque(switch.name, switch.opaque, file)
    return named


def _say_opaque(node: str, names: Iterable[str], file: _File) -> None:
    names = list(names)
    if names:
        file.remarks.append(
            say("{node}: what its parameters {names} are, which is no plain data", node=node,
                names=listed(names))
        )  # fmt: skip


def _class(kind: Class_, file: _File, node: str) -> Code | None:
    """The name of a class, once it is imported; None where it cannot be."""
    if kind.module.startswith("mininet."):
        return file.need(kind.name, kind.module)
    if kind.ours or kind.module in ("cables", DEVICES, ROUTING):
        file.folders[str(content.folder("topologies"))] = None
        return file.need(kind.name, kind.module)
    path = Path(kind.module)
    if path.suffix == ".py" and path.stem.isidentifier() and kind.name.isidentifier():
        file.folders[str(path.parent)] = None
        return file.need(kind.name, path.stem)
    file.remarks.append(say("{node}: its class {name}", node=node, name=kind.name))
    return None


def _as_declared(host: Host) -> Host:
    """A host without what its startup file does when it comes up, or what it learns."""
    if host.kind.module == ROUTING:
        return dataclasses.replace(host, routes=())
    if host.kind.module != DEVICES:
        return host
    return dataclasses.replace(host, cards={}, gateway=None, dns=(), routes=(), serves=())


def _called(host: Host, file: _File) -> str:
    named: dict[str, Any] = {}
    made = _made(host, file)
    cls = _class(made, file, host.name) if not made.plain else None
    if cls is not None:
        named["cls"] = cls
    first = host.cards.get(min(host.cards)) if host.cards else ()
    named["ip"] = first[0] if first and not host.asks else None
    if host.gateway and not host.asks:
        named["defaultRoute"] = f"via {host.gateway}"
    if host.dns:
        named["nameserver"] = host.dns[0]
    if host.routes:
        named["routes"] = [tuple(route) for route in host.routes]
    if host.serves:
        named["serves"] = [list(line) for line in host.serves]
    named |= {
        key: file.hoisted(f"{host.name}_{key}", _unpacked(value))
        for key, value in host.params.items() if key != "ip"
    }  # fmt: skip
    _say_opaque(host.name, host.opaque, file)
    line = _call("addHost", [host.name], named)
    if "{APPS}" in line:
        file.folders[str(content.folder("topologies"))] = None
        file.need("APPS", OURS)
    return line


def _made(host: Host, file: _File) -> Class_:
    """The class that does what a host does: its own, or the one of ours that does more."""
    kind = host.kind
    if not (kind.plain or (kind.ours and kind.name in ("Computer", "Router", "Server"))):
        return kind
    if host.forwards:
        if host.serves:
            file.remarks += [
                say("{node}: what serves there, for it is a router", node=host.name)
            ]
        return Class_(ROUTER, OURS)
    if host.serves:
        return Class_("Server", OURS)
    if kind.plain and not host.routes and not host.dns:
        return kind
    return Class_("Computer", OURS)


# ------------------------------------------------------------------------------ cables


def _cables(plan: Plan, file: _File) -> Iterator[str]:
    used: dict[str, int] = {}

    def following(node: str) -> int:
        return used.get(node, 0) + (node in plan.switches)

    waiting = sorted(plan.cables, key=lambda cable: [
        (natural(node), port) for node, port in cable.ends])  # fmt: skip
    while waiting:
        # One whose ports are the next ones needs no numbers.
        cable = next(
            (each for each in waiting if all(following(node) == port for node, port in each.ends)),
            waiting[0],
        )
        waiting.remove(cable)
        named: dict[str, Any] = {}
        for number, (node, port) in enumerate(cable.ends, 1):
            if following(node) != port:
                named[f"port{number}"] = port
            used[node] = used.get(node, 0) + 1
        named |= {f"intfName{number}": name for number, name in enumerate(cable.names, 1) if name}
        named |= _addressed(plan, cable)
        named |= _shaped(cable, named, file)
        yield _call("addLink", cable.nodes, named)


def _addressed(plan: Plan, cable: Cable) -> dict[str, Any]:
    """The addresses of ends that are not a host's first interface."""
    named: dict[str, Any] = {}
    for number, (node, port) in enumerate(cable.ends, 1):
        host = plan.hosts.get(node)
        if host is not None and host.kind.module == DEVICES:
            named[f"params{number}"] = {"ip": None}
        elif host is not None and host.cards.get(port) and port != min(host.cards):
            named[f"params{number}"] = {"ip": host.cards[port][0]}
    return named


def _shaped(cable: Cable, named: Mapping[str, Any], file: _File) -> dict[str, Any]:
    """What its ends do to frames. named: the arguments so far."""
    first, second = cable.limits
    if cable.kind.module == "cables" and first == second == Limits(rate=first.rate) and first.rate:
        mbit = first.rate / 1e6
        kind = _class(cable.kind, file, cable.ends[0][0])
        return {"cls": kind, "bw": _number(mbit)} if kind else {}
    shapes: dict[str, Any] = {}
    if first or second:
        shapes["cls"] = file.need("TCLink", "mininet.link")
    elif cable.kind.name not in _LINKS and cable.kind.module != "cables":
        kind = _class(cable.kind, file, cable.ends[0][0])
        shapes |= {"cls": kind} if kind else {}
    if first == second:
        return shapes | _parameters(cable, first, file)
    for number, limits in enumerate((first, second), 1):
        own = _parameters(cable, limits, file)
        if own:
            shapes[f"params{number}"] = {**named.get(f"params{number}", {}), **own}
    return shapes


def _parameters(cable: Cable, limits: Limits, file: _File) -> dict[str, Any]:
    """Limits as Mininet's TCIntf has them."""
    shapes: dict[str, Any] = {}
    mbit = limits.rate / 1e6
    if mbit > _MOST_MBIT:
        ends = [f"{node}-eth{port}" for node, port in cable.ends]
        file.remarks.append(
            say(
                "{port} - {port2}: a rate of {rate:g} Mbit/s; Mininet has none above {most:g}",
                port=ends[0], port2=ends[1], rate=mbit, most=_MOST_MBIT,
            )
        )  # fmt: skip
    elif mbit:
        shapes["bw"] = _number(mbit)
    if limits.delays:
        shapes["delay"] = f"{limits.delay_ms:g}ms"
    if limits.jitter_ms:
        shapes["jitter"] = f"{limits.jitter_ms:g}ms"
    if limits.loss:
        shapes["loss"] = _number(limits.loss)
    if limits.queue:
        shapes["max_queue_size"] = limits.queue
    return shapes


def _number(value: float) -> float:
    return int(value) if value == int(value) else value
