# SPDX-License-Identifier: Apache-2.0
"""One interface asked for by itself, and its queues: of hundreds, all would take long to read."""

from __future__ import annotations

import errno
import struct

import pytest

from hoplab.kernel import netlink


def test_one_interface_is_told_as_among_all() -> None:
    route = netlink.Socket()
    for link in route.links():
        alone = route.link(link["index"])
        assert {key: alone[key] for key in ("index", "name", "mac")} == {
            key: link[key] for key in ("index", "name", "mac")
        }
        assert alone["sent"] <= route.traffic()[link["index"]].sent
    with pytest.raises(OSError, match="Errno 19") as fault:
        route.link(1 << 30)
    assert fault.value.errno == errno.ENODEV


def test_queues_of_other_interfaces_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def queue(index: int) -> bytes:
        return struct.pack("=BBHiIII", 0, 0, 0, index, index << 16, 0xFFFFFFFF, 0)

    route = netlink.Socket()
    monkeypatch.setattr(route, "_dump", lambda *_: [queue(7), queue(8), b"\0\0\0\0\x09\0\0\0"])
    assert [each.handle for each in route.qdiscs(8)] == [8 << 16]
