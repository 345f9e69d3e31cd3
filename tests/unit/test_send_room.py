# SPDX-License-Identifier: Apache-2.0
"""Room for frames that wait in front of cables, in the socket by which a switch sends them."""

from __future__ import annotations

import os
import socket

import pytest

from hoplab.openvswitch import send_room


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
