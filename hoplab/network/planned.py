# SPDX-License-Identifier: Apache-2.0
"""What a Topo, or a network that runs, says of its nodes and cables, as data.

What lives here: the classes and parameters that they have, without what Mininet itself adds; and
the process that reads them of a user's file (`python -m hoplab.network.planned FILE ARGUMENTS NAME
WORD...`), for a file is Python. What must not: what becomes of them (`hoplab.plans`).
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from hoplab import content, network
from hoplab.errors import LabError
from hoplab.kernel import shaping
from hoplab.sentences import to_plain

# What Mininet tells every node beside what somebody has asked for.
_MININETS = frozenset(
    ("cls", "isSwitch", "batch", "inNamespace", "listenPort", "cores", "dpid", "node1", "node2",
     "port1", "port2")
)
_OF_HOSTS = frozenset(("ip", "defaultRoute", "nameserver", "routes", "serves"))
_SHAPES = frozenset(("bw", "delay", "jitter", "loss", "max_queue_size"))
_OURS, _FORWARD = "nodes", ("Router", "HomeRouter")  # our module; its classes that forward
_HOST = {"name": "Host", "module": "mininet.node"}
_SWITCH = {"name": "OVSSwitch", "module": "mininet.node"}
_LINK = {"name": "Link", "module": "mininet.link"}
_PREFIX = 8  # of an address without one (`Node.setIP`)


Kind = dict[str, str]


def class_of(made: type | None, usual: Kind) -> Kind:
    """What a class is called, and its module: Mininet's, one of ours, or the path of a file."""
    if made is None:
        return usual
    made = getattr(made, "func", made)  # functools.partial
    module = getattr(made, "__module__", "")
    if module.startswith("mininet."):
        return {"name": getattr(made, "__name__", str(made)), "module": module}
    file = getattr(sys.modules.get(module), "__file__", None) or ""
    own = file and Path(file).resolve().parent == content.folder("topologies").resolve()
    where = Path(file).stem if own else os.path.abspath(file) if file else module
    return {"name": getattr(made, "__name__", str(made)), "module": where}


def origin(network: Any) -> dict[str, Any]:
    """Of a network that runs: the class and the parameters of each node, and of each cable the
    class. What is no data is named alone."""
    nodes = {}
    for node in [*network.hosts, *network.switches]:
        params, opaque = _data(getattr(node, "params", {}), _MININETS)
        nodes[node.name] = {
            "class": class_of(type(node), _HOST), "params": params, "opaque": opaque
        }  # fmt: skip
    cables = []
    for link in network.links:
        if link.intf1 is not None and link.intf2 is not None:
            ends = [(end.node.name, _port(end)) for end in (link.intf1, link.intf2)]
            cables.append({"ends": ends, "class": class_of(type(link), _LINK)})
    return {"nodes": nodes, "cables": cables}


def _port(end: Any) -> int:
    return next((port for port, intf in end.node.intfs.items() if intf is end), -1)


def _data(params: Mapping[str, Any], without: frozenset[str]) -> tuple[dict[str, Any], list[str]]:
    """The parameters that are data, and the names of those that are not."""
    kept: dict[str, Any] = {}
    opaque: list[str] = []
    for name, value in params.items():
        if name in without or (value is None and name != "ip"):
            continue
        try:
            kept[name] = json.loads(json.dumps(_keyed(value)))
        except (TypeError, ValueError):
            opaque.append(name)
    return kept, opaque


def _keyed(value: Any) -> Any:
    """Dictionaries whose keys are numbers, as pairs: JSON would make texts of them."""
    if isinstance(value, dict) and any(not isinstance(key, str) for key in value):
        return {"pairs": [[key, _keyed(item)] for key, item in value.items()]}
    return value


def plan_of(topo: Any) -> dict[str, Any]:
    """What a network of this Topo would be, as `hoplab.plans.plan` reads it."""
    ends: dict[str, dict[int, str | None]] = {name: {} for name in topo.nodes()}
    cables = [_cable(info, ends) for _, _, info in topo.links(withInfo=True)]
    controller = getattr(topo, "controller", None)
    return {
        "hosts": {
            name: _host(name, topo.nodeInfo(name), ends[name], number)
            for number, name in enumerate(topo.hosts(), 1)
        },
        "switches": {name: _switch(name, topo.nodeInfo(name)) for name in topo.switches()},
        "cables": cables,
        "controller": str(controller) if controller else None,
        "url": getattr(topo, "url", None),
        "client": getattr(topo, "client", None),
        "remarks": [],
    }


def _switch(name: str, info: Mapping[str, Any]) -> dict[str, Any]:
    params, opaque = _data(info, _MININETS)
    dpid = str(info.get("dpid") or "").replace(":", "")
    digits = "".join(sign if sign.isdigit() else " " for sign in name).split()
    return {
        "name": name, "dpid": int(dpid, 16) if dpid else int(digits[0]) if digits else 0,
        "kind": class_of(info.get("cls"), _SWITCH), "params": params, "opaque": opaque,
    }  # fmt: skip


def _cable(info: Mapping[str, Any], ends: dict[str, dict[int, str | None]]) -> dict[str, Any]:
    """A cable of a Topo. ends: the addresses on ports, to be added to."""
    both, limits = [], []
    for number in ("1", "2"):
        own = info.get(f"params{number}") or {}
        node, port = info[f"node{number}"], own.get("port", info[f"port{number}"])
        ends[node][port] = own.get("ip")
        both.append((node, port))
        shape = {**{key: info[key] for key in _SHAPES if key in info},
                 **{key: own[key] for key in _SHAPES if key in own}}  # fmt: skip
        limits.append(shaping.of_parameters(shape).as_data())
    return {
        "ends": both, "limits": limits, "kind": class_of(info.get("cls"), _LINK), "up": True,
        "names": [info.get(f"intfName{number}") or "" for number in (1, 2)],
    }  # fmt: skip


def _host(
    name: str, info: Mapping[str, Any], ends: Mapping[int, str | None], number: int
) -> dict[str, Any]:
    kind = class_of(info.get("cls"), _HOST)
    params, opaque = _data(info, _MININETS | _OF_HOSTS)
    ip = info.get("ip", f"10.{number >> 16 & 0xFF}.{number >> 8 & 0xFF}.{number & 0xFF}/8")
    addresses = dict(ends)
    if addresses and ip is not None:
        addresses[min(addresses)] = str(ip)
    resolver = info.get("nameserver")
    return {
        "name": name,
        "kind": kind,
        "cards": {
            port: [_with_prefix(own)] if own else [] for port, own in sorted(addresses.items())
        },
        "gateway": gateway_in(info.get("defaultRoute")),
        "dns": [str(resolver)] if resolver else [],
        "routes": sorted([str(to), str(via)] for to, via in info.get("routes") or ()),
        "forwards": kind["module"] == _OURS and kind["name"] in _FORWARD,
        "serves": [[str(word) for word in line] for line in info.get("serves") or ()],
        "params": params,
        "opaque": opaque,
    }


def _with_prefix(address: str) -> str:
    return address if "/" in address else f"{address}/{_PREFIX}"


def gateway_in(route: Any) -> str | None:
    """The gateway that Mininet's parameter `defaultRoute` names."""
    words = str(route or "").split()
    return next((hop for word, hop in pairwise(words) if word == "via"), None)


def main() -> int:
    """Print the plan of a user's file, or why there is none, as JSON."""
    path, arguments, chosen, *words = sys.argv[1:]
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the file itself prints is not the answer
    try:
        data = plan_of(network.load_topo(Path(path), arguments, chosen, words))
    except LabError as error:
        data = error.as_dict()
    json.dump(to_plain(data), answer)
    answer.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
