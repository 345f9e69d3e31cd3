# SPDX-License-Identifier: Apache-2.0
"""Which flows a new controller must get rid of."""

from __future__ import annotations

import select
import socket
import struct

import pytest

from hoplab.control import process
from hoplab.control.process import Echoes
from hoplab.openvswitch import flows
from hoplab.openvswitch.flows import Flow


def test_only_what_is_older_than_the_change_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = Flow(50.0, 0, 7, 0, b"old"), Flow(0.01, 0, 0, 0, b"new")
    gone: list[Flow] = []
    monkeypatch.setattr(flows, "flows", lambda _: [old, new])
    monkeypatch.setattr(flows, "remove", lambda _, some: gone.extend(some))
    monkeypatch.setattr(process.time, "monotonic", lambda: 100.0)
    process._drop_older("s1", began=99.0)
    assert gone == [old]


def test_echoes_speak_the_version_that_the_controller_greets_with() -> None:
    """An app for OpenFlow 1.4 alone refuses any other, and would be taken for one that hangs."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        echoes = Echoes(listener.getsockname()[1])
        try:
            peer, _ = listener.accept()
            with peer:
                peer.settimeout(20)
                assert not echoes.stopped()  # nothing to say yet
                peer.sendall(struct.pack("!BBHI", 5, 0, 8, 1))
                select.select([echoes._socket], [], [], 20)
                echoes._asked_s = 0
                assert not echoes.stopped()
                sent = peer.recv(16, socket.MSG_WAITALL)
                assert [(sent[at], sent[at + 1]) for at in (0, 8)] == [(5, 0), (5, 2)]
                peer.sendall(struct.pack("!BBHI", 5, 3, 8, 1))
                select.select([echoes._socket], [], [], 20)
                assert echoes._answered()
        finally:
            echoes.close()
