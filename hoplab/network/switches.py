# SPDX-License-Identifier: Apache-2.0
"""Open vSwitch's bridges, as Mininet's switch classes ask for them, and what their ports wait for.

A class of the user's keeps what it overrides. One with a `start` of its own has its bridge when
Mininet's `start` returns; the bridges of all others come together, in one transaction a database.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import mininet.link
import mininet.node

from hoplab.errors import Exit, LabError
from hoplab.openvswitch import daemons, ovsdb
from hoplab.openvswitch.bridges import Bridges, database_of
from hoplab.sentences import say, term


def install(bridges: Bridges, datapath: str) -> None:
    """mininet.node.OVSSwitch: with the lab's datapath, made by `bridges`, and without controllers,
    which the engine sets later for all at once."""
    stock = mininet.node.OVSSwitch
    stock_init, stock_vsctl = stock.__init__, stock.vsctl
    stock_shape = mininet.link.TCIntf.config

    def init(self: Any, name: str, *args: Any, **params: Any) -> None:
        stock_init(self, name, *args, **params)
        self.datapath = "kernel" if datapath == "kernel" else "user"

    def start(self: Any, controllers: Sequence[Any]) -> None:
        if self.inNamespace:
            raise LabError(
                say(
                    "{switch}: a switch with a namespace of its own is not supported",
                    switch=self.name,
                ),
                term("leave out inNamespace=True"),
                Exit.BAD_INPUT,
            )
        if not starts_with_others(self):
            finish([self])

    def vsctl(self: Any, *args: Any, **options: Any) -> Any:
        """Mininet's own, asked of the database that has this switch."""
        database = database_of(self.name)
        where = [] if database == ovsdb.SOCKET else [f"--db=unix:{database}"]
        return stock_vsctl(self, *where, *args, **options)

    def start_batch(cls: Any, switches: Sequence[Any], run: Any = None) -> Sequence[Any]:
        finish([switch for switch in switches if starts_with_others(switch)])
        return switches

    def finish(switches: Sequence[Any]) -> None:
        bridges.finish([plan(switch, datapath) for switch in switches])
        for switch in switches:
            switch.batch = False
            switch.has_ports = True
            for intf in switch.intfList():
                if isinstance(intf, mininet.link.TCIntf):
                    intf.config(**intf.params)

    def shape(self: Any, **params: Any) -> Any:
        """Not before the port is open: an interface that Open vSwitch opens loses its HTB, which is
        taken for one of its own, left over."""
        if isinstance(self.node, stock) and not self.node.has_ports:
            return mininet.link.Intf.config(self, **params)
        return stock_shape(self, **params)

    plain = (start, mininet.node.OVSBridge.start)

    def starts_with_others(switch: Any) -> bool:
        return type(switch).start in plain

    stock.__init__, stock.start, stock.vsctl = init, start, vsctl
    stock.batchStartup = classmethod(start_batch)
    stock.starts_with_others = property(starts_with_others)
    stock.has_ports = False
    mininet.link.TCIntf.config = shape


def patched(topo: Any) -> bool:
    """Whether a topology wants patch ports between switches (OVSLink)."""
    for end1, end2, options in topo.links(withInfo=True):
        cls = options.get("cls")
        cls = getattr(cls, "func", cls)  # of a functools.partial
        is_patch = isinstance(cls, type) and issubclass(cls, mininet.link.OVSLink)
        if is_patch and topo.isSwitch(end1) and topo.isSwitch(end2):
            return True
    return False


def plan(switch: Any, datapath: str, only: Collection[str] | None = None) -> ovsdb.Bridge:
    """The bridge of a switch with its ports, or those of them whose interfaces `only` names."""
    config = {"datapath-id": switch.dpid, "disable-in-band": "true", "dp-desc": switch.name}
    columns: dict[str, Any] = {"fail_mode": switch.failMode, "other_config": ovsdb.words(config)}
    kind = daemons.PORT_KINDS.get(datapath, "")
    if switch.datapath == "user":
        columns["datapath_type"] = "netdev"
    if switch.protocols:
        columns["protocols"] = ovsdb.several(switch.protocols.split(","))
    if switch.stp:
        columns["stp_enable"] = True
    bridge = ovsdb.Bridge(switch.name, columns)
    for intf in switch.intfList():
        if (only is None or intf.name in only) and switch.ports[intf] and not intf.IP():
            peer = ""
            if isinstance(intf, mininet.link.OVSIntf):
                ends = (intf.link.intf1, intf.link.intf2)
                peer = str(ends[1] if ends[0] is intf else ends[0])
            port = ovsdb.Port(intf.name, switch.ports[intf], peer, "" if peer else kind)
            bridge.ports.append(port)
    return bridge
