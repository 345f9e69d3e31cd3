# SPDX-License-Identifier: Apache-2.0
"""What a switch's tables hold, and how they change, as the switch itself tells it while it runs.

A connection to the switch's management socket asks for everything at once and waits for nothing:
the flows there are, and from then on each one that comes, changes or goes, whoever did it (the flow
monitor: ONF extension 187, here with OpenFlow 1.3); its groups, meters and ports; how much its
meters have dropped; and each change of a port. What the switch answers is read elsewhere
(`hoplab.decode.tables`).

Section numbers are those of OpenFlow Switch Specification 1.3.5.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from pathlib import Path

from hoplab.openvswitch.ovsdb import RUN
from hoplab.openvswitch.unixctl import Control, Refused
from hoplab.wait import patience

_VERSION = 4
_HELLO, _SET_CONFIG, _MULTIPART, _BARRIER, _SET_ASYNC = 0, 9, 18, 20, 28
_GROUP_DESC, _METER, _METER_CONFIG, _PORT_DESC, _EXPERIMENTER = 7, 9, 10, 13, 0xFFFF
_ONF, _FLOW_MONITOR = 0x4F4E4600, 1870
_INITIAL, _ADD, _DELETE, _MODIFY, _ACTIONS = 1, 2, 4, 8, 16
_ALL, _ALL_TABLES, _ANY_PORT = 0xFFFFFFFF, 0xFF, 0xFFFFFFFF
_ANSWER_S = 5.0


def _message(kind: int, body: bytes = b"", number: int = 0) -> bytes:
    return struct.pack("!BBHI", _VERSION, kind, 8 + len(body), number) + body


def _multipart(kind: int, body: bytes = b"") -> bytes:
    return _message(_MULTIPART, struct.pack("!HH4x", kind, 0) + body, kind)


def meter_counts() -> bytes:
    """The request for what all meters have counted (7.3.5.14)."""
    return _multipart(_METER, struct.pack("!I4x", _ALL))


def requests() -> bytes:
    """Everything that is asked when the connection begins."""
    # Of what a switch tells unasked: changes of its ports, and neither frames nor flows (7.3.10).
    # One that wants no part of frames (7.3.2) is told nothing at all, so it has to want one.
    unasked = struct.pack("!IIIIII", 0, 0, 7, 7, 0, 0)
    monitor = struct.pack("!II", _ONF, _FLOW_MONITOR)
    monitor += struct.pack("!IHHIB3x", 0, _INITIAL | _ADD | _DELETE | _MODIFY | _ACTIONS, 4,
                           _ANY_PORT, _ALL_TABLES)  # fmt: skip
    monitor += struct.pack("!HH4x", 1, 4)  # a match of nothing
    return b"".join(
        (
            _message(_HELLO),
            _message(_SET_ASYNC, unasked),
            _message(_SET_CONFIG, struct.pack("!HH", 0, 128)),
            _multipart(_EXPERIMENTER, monitor),
            _multipart(_GROUP_DESC),
            _multipart(_METER_CONFIG, struct.pack("!I4x", _ALL)),
            _multipart(_PORT_DESC),
            meter_counts(),
            _message(_BARRIER),
        )
    )


def watch(bridge: str) -> socket.socket:
    """A connection on which a bridge will tell of its tables. Raises OSError."""
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.settimeout(_ANSWER_S * patience())
        sock.connect(str(RUN / f"{bridge}.mgmt"))
        sock.sendall(requests())
    except BaseException:
        sock.close()
        raise
    return sock


def learned(bridges: list[str]) -> dict[str, str]:
    """What each bridge has learned by itself, for its NORMAL action: as fdb/show prints it
    (ovs-vswitchd(8)). Of one that cannot be asked there is nothing."""
    tables: dict[str, str] = {}
    for path in _controls():
        missing = [bridge for bridge in bridges if bridge not in tables]
        try:
            with Control(path) as control:
                for bridge in missing:
                    try:
                        tables[bridge] = control.ask("fdb/show", bridge)
                    except Refused:  # another daemon has it
                        continue
        except OSError:
            continue
    return tables


def spanning_trees() -> dict[str, dict[str, str]]:
    """Bridge -> the state of each of its ports by interface, for those that run a spanning tree by
    themselves: as stp/show and rstp/show print it (ovs-vswitchd(8))."""
    trees: dict[str, dict[str, str]] = {}
    for path in _controls():
        with contextlib.suppress(OSError, Refused), Control(path) as control:
            for question in ("stp/show", "rstp/show"):
                trees |= read_spanning_trees(control.ask(question))
    return trees


def read_spanning_trees(text: str) -> dict[str, dict[str, str]]:
    """The same, out of what Open vSwitch prints: '---- s1 ----', then a table of its ports."""
    trees: dict[str, dict[str, str]] = {}
    ports: dict[str, str] | None = None
    for line in text.splitlines():
        words = line.split()
        if len(words) == 3 and words[0] == words[2] == "----":
            ports = None
            bridge = words[1]
        elif words[:3] == ["Interface", "Role", "State"]:
            ports = trees.setdefault(bridge, {})
        elif ports is not None and len(words) == 5 and not line.strip().startswith("-"):
            ports[words[0]] = words[2].lower()
    return trees


def _controls() -> list[Path]:
    return [RUN / "ovs-vswitchd.ctl", *sorted(RUN.glob("ovs-vswitchd-*.ctl"))]
