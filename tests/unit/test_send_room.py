# SPDX-License-Identifier: Apache-2.0
"""Room for frames that wait in front of cables, in the socket by which a switch sends them."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest

from hoplab.openvswitch import send_room
from hoplab.service.switching import ROOM_OF_A_QUEUE, Switching


def test_a_descriptor_that_is_closed_meanwhile_leaves_the_sending_socket_its_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sending:
        before = sending.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
        inode = os.fstat(sending.fileno()).st_ino
        names = ["1000000", str(sending.fileno())]  # the first one is closed
        monkeypatch.setattr(os, "listdir", lambda _: names)
        send_room._widen(os.getpid(), {inode}, before // 4)
        assert sending.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == before // 4 * 2


class Switches:
    """A lab's switches in user space: `limited` are the ports that a queue stands before."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.limited: list[tuple[str, int]] = []
        self.forwarders = [100]
        self.whole = True
        self.given: list[int] = []  # room, each time that it was given
        monkeypatch.setattr(send_room, "widen", self._widen)
        network = SimpleNamespace(limited_ports=lambda: self.limited)
        switchd = SimpleNamespace(vswitchds=lambda: self.forwarders)
        lab: Any = SimpleNamespace(datapath="user", network=network, switchd=switchd)
        self.make_room = Switching(lab).make_room

    def _widen(self, pids: list[int], ports: Iterable[tuple[str, int]], room: int) -> bool:
        self.given.append(room)
        return self.whole


def test_room_that_is_there_is_not_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    lab = Switches(monkeypatch)
    lab.make_room()
    assert lab.given == []  # nothing waits in front of any cable
    for number in range(1, 9):
        lab.limited.append(("s1", number))
        lab.make_room()
        lab.make_room()
        assert lab.given[-1] >= (number + 1) * ROOM_OF_A_QUEUE
    assert len(lab.given) == 4  # for 1, 2 to 3, 4 to 7 and 8 ports
    lab.limited.append(("s2", 1))  # of a switch that had none, whose process may be another
    lab.make_room()
    lab.forwarders = [200]
    lab.make_room()
    assert len(lab.given) == 6


def test_room_that_could_not_be_made_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    lab = Switches(monkeypatch)
    lab.limited, lab.whole = [("s1", 1)], False
    lab.make_room()
    lab.make_room()
    assert len(lab.given) == 2
