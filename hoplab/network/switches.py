# SPDX-License-Identifier: Apache-2.0
"""Open vSwitch's bridges, as Mininet's switch classes ask for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mininet.link
import mininet.node

from hoplab import ovsdb, switchd
from hoplab.errors import Exit, LabError


class LabSwitch:
    """What is put before a user's OVSSwitch class: the lab's datapath, all bridges in one
    transaction, and the controllers set later by the engine for all at once."""

    lab_datapath = "user"

    def __init__(self, name: str, **params: Any) -> None:
        params["datapath"] = "kernel" if self.lab_datapath == "kernel" else "user"
        params.setdefault("protocols", "OpenFlow10,OpenFlow13")
        super().__init__(name, **params)  # type: ignore[call-arg]

    def start(self: Any, controllers: Sequence[Any]) -> None:
        if self.inNamespace:
            raise LabError(
                f"{self.name}: a switch with a namespace of its own is not supported",
                "leave out inNamespace=True",
                Exit.BAD_INPUT,
            )
        other = {"datapath-id": self.dpid, "disable-in-band": "true", "dp-desc": self.name}
        columns: dict[str, Any] = {"fail_mode": self.failMode, "other_config": ovsdb.words(other)}
        kind = switchd.PORT_KINDS.get(self.lab_datapath, "")
        if self.datapath == "user":
            columns["datapath_type"] = "netdev"
        if self.protocols:
            columns["protocols"] = ovsdb.several(self.protocols.split(","))
        if self.stp:
            columns["stp_enable"] = True
        self._bridge = ovsdb.Bridge(self.name, columns)
        for intf in self.intfList():
            if self.ports[intf] and not intf.IP():
                peer = ""
                if isinstance(intf, mininet.link.OVSIntf):
                    ends = (intf.link.intf1, intf.link.intf2)
                    peer = str(ends[1] if ends[0] is intf else ends[0])
                port = ovsdb.Port(intf.name, self.ports[intf], peer, "" if peer else kind)
                self._bridge.ports.append(port)

    def vsctl(self: Any, *args: Any, **options: Any) -> Any:
        """Mininet's own, asked of the database that has this switch."""
        database = switchd.database_of(self.name)
        where = [] if database == ovsdb.SOCKET else [f"--db=unix:{database}"]
        return super().vsctl(*where, *args, **options)  # type: ignore[misc]

    @classmethod
    def batchStartup(cls, switches: Sequence[Any], run: Any = None) -> Sequence[Any]:
        switchd.add_bridges([switch._bridge for switch in switches])
        for switch in switches:
            switch.batch = False
            for intf in switch.intfList():
                if isinstance(intf, mininet.link.TCIntf):
                    intf.config(**intf.params)  # Open vSwitch takes the queueing discipline away
        return switches


def lab_switch(cls: Any, datapath: str) -> Any:
    """`cls` with LabSwitch in front if it is an Open vSwitch class that is not ours yet."""
    if not isinstance(cls, type) or not issubclass(cls, mininet.node.OVSSwitch):
        return cls
    if issubclass(cls, LabSwitch):
        return cls
    return type(cls.__name__, (LabSwitch, cls), {"lab_datapath": datapath})
