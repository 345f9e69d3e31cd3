# SPDX-License-Identifier: Apache-2.0
"""A lab of another program's as data, whichever format it was in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Card:
    """An interface. domain: the collision domain that it is on. shape: what it is to do to the
    frames that it sends, as parameters of a TCLink."""

    number: int
    name: str
    domain: str
    mac: str | None = None
    shape: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Startup:
    """Commands that a device runs when it comes up. title: the file that they stand in, for
    whoever reads what failed."""

    title: str
    text: str


@dataclass(frozen=True)
class Device:
    """A computer or a router. files: (a file or folder of this machine, where it is on the device).
    environment: variables of what the startup files run."""

    name: str
    cards: tuple[Card, ...] = ()
    startups: tuple[Startup, ...] = ()
    files: tuple[tuple[str, str], ...] = ()
    sysctls: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class OtherLab:
    """A lab. domains: each collision domain, with the (device, number of the card) on it. remarks:
    what the file asks for and hoplab passes over."""

    file: Path
    devices: Mapping[str, Device]
    remarks: tuple[str, ...] = ()

    @property
    def domains(self) -> dict[str, list[tuple[str, Card]]]:
        ends: dict[str, list[tuple[str, Card]]] = {}
        for device in self.devices.values():
            for card in device.cards:
                ends.setdefault(card.domain, []).append((device.name, card))
        return ends
