# SPDX-License-Identifier: Apache-2.0
"""The Topo that a lab of another program becomes.

A collision domain of two ends is a cable. Any other is a hub: a switch of Open vSwitch whose
controller, `hub`, sends on whatever comes in by all other ports.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any

import mininet.link
import mininet.topo

from hoplab import content
from hoplab.errors import Exit, LabError
from hoplab.imports import containerlab, formats, kathara, needs
from hoplab.imports.records import Card, OtherLab
from hoplab.kernel.batch import NAME_LIMIT
from hoplab.network import topofile
from hoplab.sentences import say, term

_READERS = {formats.KATHARA: kathara.read, formats.CONTAINERLAB: containerlab.read}


def is_other(path: Path) -> bool:
    """Whether that is a file of another program's lab."""
    return bool(formats.format_of(path))


def load(path: Path, arguments: str = "") -> Any:
    """The Topo of such a file. Raises LabError, also where what the lab calls is lacking here."""
    without = needs.parameters(arguments)
    lab = _READERS[formats.format_of(path)](path, without)
    devices = device_module()
    wish = str(path.parent if path.name == formats.LAB_CONF else path)
    felt = needs.check(lab, needs.lacking(lab, devices.SERVICES), without, wish)
    topo = topo_of(lab, devices.Device)
    topo.hoplab_remarks = (*lab.remarks, *felt)
    topo.hoplab_file = path
    topo.hoplab_chosen = ("", ())
    topo.hoplab_words, topo.hoplab_words_read = (), False
    return topo


@functools.cache
def device_module() -> Any:
    """topologies/devices.py."""
    return topofile.load_file(content.folder("topologies") / "devices.py", "ours")


def topo_of(lab: OtherLab, kind: type) -> Any:
    """kind: the class of the devices."""
    topo = mininet.topo.Topo()
    for device in lab.devices.values():
        _check_name(lab.file, device.name)
        params: dict[str, Any] = {"ip": None}
        if device.startups:
            params["startup"] = [(each.title, each.text) for each in device.startups]
        if device.files:
            params["files"] = [list(pair) for pair in device.files]
        if device.sysctls:
            params["sysctls"] = list(device.sysctls)
        if device.environment:
            params["environment"] = dict(device.environment)
        topo.addHost(device.name, cls=kind, **params)
    for number, (domain, ends) in enumerate(lab.domains.items(), 1):
        if len({name for name, _ in ends}) == len(ends) == 2:
            _cable(topo, ends)
        else:
            _hub(topo, number, domain, ends)
    if topo.switches():
        topo.controller = "hub"
    return topo


def _check_name(path: Path, name: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9][\w.+-]*", name, re.ASCII):
        raise LabError(
            say("{file}: {name} is no name for a node", file=path, name=repr(name)),
            term("use letters, digits and - _ ."),
            Exit.BAD_INPUT,
        )


def _cable(topo: Any, ends: list[tuple[str, Card]]) -> None:
    (name1, card1), (name2, card2) = ends
    shaped = {"cls": mininet.link.TCLink} if card1.shape or card2.shape else {}
    topo.addLink(
        name1, name2, port1=card1.number, port2=card2.number, intfName1=card1.name,
        intfName2=card2.name, **_macs(card1, card2),
        params1={"ip": None, **card1.shape}, params2={"ip": None, **card2.shape}, **shaped,
    )  # fmt: skip


def _macs(*cards: Card) -> dict[str, str]:
    return {f"addr{n}": card.mac for n, card in enumerate(cards, 1) if card.mac is not None}


def _hub(topo: Any, number: int, domain: str, ends: list[tuple[str, Card]]) -> None:
    switch = _free_name(topo, domain, len(ends))
    topo.addSwitch(switch, dpid=f"{number:x}")
    for port, (name, card) in enumerate(ends, 1):
        shaped = {"cls": mininet.link.TCLink} if card.shape else {}
        topo.addLink(
            name, switch, port1=card.number, port2=port, intfName1=card.name, **_macs(card),
            params1={"ip": None, **card.shape}, **shaped,
        )  # fmt: skip


def _free_name(topo: Any, domain: str, ends: int) -> str:
    """A collision domain's name that an interface of its hub can bear, and that no device has."""
    most = NAME_LIMIT - len(f"-eth{ends}")
    name = re.sub(r"[^A-Za-z0-9_.+-]", "_", domain)[:most]
    taken = {each.lower() for each in topo.nodes()}
    number = 1
    wish = name
    while wish.lower() in taken:
        number += 1
        suffix = f"_{number}"
        wish = name[: most - len(suffix)] + suffix
    return wish
