# SPDX-License-Identifier: Apache-2.0
"""A topology of containerlab, as far as its nodes are plain Linux.

    topology:
      nodes:
        r1: {kind: linux, image: frrouting/frr, binds: ["r1/daemons:/etc/frr/daemons"],
             exec: ["ip addr add 10.0.0.1/24 dev eth1"]}
      links:
        - endpoints: ["r1:eth1", "r2:eth1"]

A node's kind, its group and `defaults` say what it does not say itself. Nodes of the kind bridge
are collision domains. What says how a container is made, and the management network, are passed
over. Other kinds are images of other systems, and refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from hoplab import strict_yaml
from hoplab.errors import Exit, LabError
from hoplab.imports import shell_lines
from hoplab.imports.records import Card, Device, OtherLab, Startup
from hoplab.sentences import listed, say, term

LINUX, BRIDGES = "linux", ("bridge", "ovs-bridge")
# What an image starts by itself.
_STARTS = (("frr", "frr"), ("nginx", "nginx"), ("bind9", "bind9"), ("httpd", "apache2"))
_IPV6 = ("net.ipv6.conf.all.disable_ipv6=0", "net.ipv6.conf.default.disable_ipv6=0")
_PASSED_OVER = ("cmd", "entrypoint", "ports", "user", "network-mode", "runtime", "stages",
                "startup-config", "healthcheck", "devices", "dns")  # fmt: skip


def read(path: Path, without: frozenset[str] = frozenset()) -> OtherLab:
    """The lab of such a file. Raises LabError. without: is not asked here."""
    data = strict_yaml.read_file(path)
    topology = _table(path, data, "topology")
    nodes = _table(path, topology, "nodes")
    remarks: list[str] = []
    if data.get("mgmt"):
        remarks.append(
            say("{key} is passed over: a lab has no network to manage it by", key="mgmt")
        )
    settings = {name: _settings(topology, own or {}) for name, own in nodes.items()}
    _check_kinds(path, settings)
    cards, remarks_of_links = _cards(path, topology.get("links") or [], settings)
    remarks += remarks_of_links
    devices = {
        name: _device(path, name, settings[name], cards.get(name, []), remarks)
        for name in settings if settings[name].get("kind") not in BRIDGES
    }  # fmt: skip
    return OtherLab(path, devices, tuple(remarks))


def _wrong(path: Path, reason: str) -> LabError:
    return LabError(
        say("{file}: {reason}", file=path, reason=reason),
        term("docs/imports.md says which labs of other programs can be brought up"),
        Exit.BAD_INPUT,
    )


def _table(path: Path, data: Any, key: str) -> dict[str, Any]:
    table = data.get(key) if isinstance(data, dict) else None
    if not isinstance(table, dict) or not table:
        raise _wrong(path, say("it has no {key}", key=key))
    return table


def _settings(topology: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """What a node is set to, by itself, its group, its kind or for all."""
    defaults = topology.get("defaults") or {}
    group = (topology.get("groups") or {}).get(own.get("group")) or {}
    kind = own.get("kind") or group.get("kind") or defaults.get("kind") or LINUX
    of_kind = (topology.get("kinds") or {}).get(kind) or {}
    merged: dict[str, Any] = {}
    for source in (defaults, of_kind, group, own):
        for key, value in source.items():
            if isinstance(value, dict) and isinstance(merged.get(key), dict):
                merged[key] = {**merged[key], **value}
            elif isinstance(value, list) and isinstance(merged.get(key), list):
                merged[key] = [*merged[key], *value]
            else:
                merged[key] = value
    return {**merged, "kind": kind}


def _check_kinds(path: Path, settings: Mapping[str, Mapping[str, Any]]) -> None:
    kinds: dict[str, list[str]] = {}
    for name, node in settings.items():
        if node["kind"] != LINUX and node["kind"] not in BRIDGES:
            kinds.setdefault(str(node["kind"]), []).append(str(name))
    if kinds:
        parts = [say("{kind} ({nodes})", kind=kind, nodes=listed(names, most=4))
                 for kind, names in kinds.items()]  # fmt: skip
        raise LabError(
            say("{file} has nodes of kinds that are images of other systems: {kinds}", file=path,
                kinds=listed(parts)),
            say("hoplab runs nodes of the kind {kind}; as a router one with FRR can stand in",
                kind=LINUX),
            Exit.BAD_INPUT,
        )  # fmt: skip


def _cards(
    path: Path, links: list[Any], settings: Mapping[str, Mapping[str, Any]]
) -> tuple[dict[str, list[Card]], list[str]]:
    """The interfaces of each node by its links, and what of them is passed over."""
    cards: dict[str, list[Card]] = {}
    remarks: list[str] = []
    for number, link in enumerate(links, 1):
        ends = _ends(path, number, link)
        outside = [end for end in ends if end[0] in ("host", "mgmt-net", "macvlan", "vxlan")]
        if outside:
            remarks.append(
                say("the link {link} is passed over: a lab has no way out",
                    link=" - ".join(map(":".join, ends)))
            )  # fmt: skip
            continue
        for name, _ in ends:
            if name not in settings:
                raise _wrong(path, say("a link goes to {node}, which is no node", node=name))
        bridges = [name for name, _ in ends if settings[name]["kind"] in BRIDGES]
        domain = bridges[0] if bridges else f"link{number}"
        for name, interface in ends:
            if name not in bridges:
                own = cards.setdefault(name, [])
                own.append(Card(len(own), interface, domain))
    return {name: _numbered(own) for name, own in cards.items()}, remarks


def _numbered(cards: list[Card]) -> list[Card]:
    """Each with the number in its name, where these tell them apart."""
    numbers = [re.search(r"(\d+)$", card.name) for card in cards]
    found = [int(number[1]) for number in numbers if number]
    if len(set(found)) != len(cards):
        return cards
    return [replace(card, number=number) for card, number in zip(cards, found, strict=True)]


def _ends(path: Path, number: int, link: Any) -> list[tuple[str, str]]:
    endpoints = link.get("endpoints") if isinstance(link, dict) else None
    if endpoints is None and isinstance(link, dict) and "endpoint" in link:
        endpoints = [link["endpoint"]]
    ends: list[tuple[str, str]] = []
    for end in endpoints or ():
        if isinstance(end, dict):
            ends.append((str(end.get("node")), str(end.get("interface"))))
        else:
            name, _, interface = str(end).partition(":")
            ends.append((name, interface))
    if len(ends) != 2 or not all(name and interface for name, interface in ends):
        raise _wrong(path, say("link {n} has not two ends as in {example}", n=number,
                               example='endpoints: ["r1:eth1", "r2:eth1"]'))  # fmt: skip
    return ends


def _device(
    path: Path, name: str, node: Mapping[str, Any], cards: list[Card], remarks: list[str]
) -> Device:
    image = str(node.get("image") or "")
    lines = [f"systemctl start {service}" for part, service in _STARTS
             if any(word.startswith(part) for word in re.split(r"[/:_-]", image))][:1]  # fmt: skip
    startups = [Startup("image", "\n".join(lines))] if lines else []
    text, shapes, partly = shell_lines.taken_shapes("\n".join(map(str, node.get("exec") or ())))
    if text:
        startups.append(Startup("exec", text))
    remarks += [say("{file}: of {line} only rate, delay, jitter and loss are done", file=name,
                    line=repr(line)) for line in partly]  # fmt: skip
    left = [key for key in _PASSED_OVER if node.get(key)]
    if left:
        remarks.append(say("{node}: {options} is passed over", node=name, options=listed(left)))
    sysctls = [f"{key}={value}" for key, value in (node.get("sysctls") or {}).items()]
    return Device(
        name, tuple(replace(card, shape=shapes.get(card.name, {})) for card in cards),
        tuple(startups), tuple(_binds(path, name, node, remarks)), (*_IPV6, *sysctls),
        {str(key): str(value) for key, value in (node.get("env") or {}).items()},
    )  # fmt: skip


def _binds(
    path: Path, name: str, node: Mapping[str, Any], remarks: list[str]
) -> list[tuple[str, str]]:
    files = []
    for bind in node.get("binds") or ():
        source, _, target = str(bind).partition(":")
        target = target.partition(":")[0]
        place = Path(source.replace("__clabNodeName__", name)).expanduser()
        place = place if place.is_absolute() else path.parent / place
        if target in ("/lib/modules", "/var/run/docker.sock"):
            continue
        if not place.exists():
            raise _wrong(
                path, say("{node}: there is no {file} to bind", node=name, file=str(place))
            )
        if not target.startswith("/"):
            remarks.append(say("{node}: {options} is passed over", node=name, options=str(bind)))
            continue
        files.append((str(place), target))
    return files
