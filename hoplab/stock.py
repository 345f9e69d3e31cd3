# SPDX-License-Identifier: Apache-2.0
"""What stock Mininet needs to hear in a sandbox: loaded by every Python there as `sitecustomize`.

`guest` puts a link to this file on the PYTHONPATH of the command that it runs. Mininet itself is
not changed on disk, and nothing of hoplab is imported: the Python may be any from 3.7 on. When
a module of Mininet is loaded, and not before, it is told

- that a controller provided by us takes a moment to listen;
- that what it reads of a shell may be no UTF-8 (it ended there with a traceback);
- that Open vSwitch forwards in user space here (`HOPLAB_DATAPATH`=user), which needs the checksum
  offload of the hosts' interfaces off, or TCP and UDP carry nothing;
- that machine-wide settings are not its to change;

and where this Python has no Mininet, or no distutils (gone in Python 3.12), those of the machine
are found, behind everything else on its path (`HOPLAB_FALLBACK`).
"""

from __future__ import annotations  # for a Python of before 3.10

import importlib.abc
import importlib.machinery
import os
import shutil
import socket
import sys
import time
import types
from collections.abc import Callable, Sequence
from typing import Any

CONTROLLER_S = 20  # for Ryu to load, where ovs-testcontroller would be there at once
OPEN_VSWITCH_S = 30  # for it to answer; it runs
_HERE = os.path.dirname(os.path.abspath(__file__))


def _node(module: Any) -> None:
    """mininet.node: a controller of ours listens before a switch is told of it; what a shell prints
    may be any bytes; Open vSwitch may take its time; switches forward in user space."""
    start = module.Controller.start
    decoder = module.getincrementaldecoder

    def until_it_listens(self: Any) -> None:
        start(self)
        provided = os.environ.get("HOPLAB_PROVIDED", "/nowhere")
        found = shutil.which(self.command) or ""
        deadline = time.monotonic() + CONTROLLER_S
        while not self.inNamespace and found.startswith(provided) and time.monotonic() < deadline:
            try:
                socket.create_connection((self.ip, self.port), 1).close()
                return
            except OSError:
                time.sleep(0.02)

    module.Controller.start = until_it_listens
    # It asks by telnet whether a controller is there, and reads its answer: OpenFlow's Hello.
    module.getincrementaldecoder = lambda: decoder(errors="replace")
    ask = module.errRun

    def patiently(*command: Any, **options: Any) -> Any:
        if command == ("ovs-vsctl -t 1 show",):  # a second is little on a busy machine
            command = (f"ovs-vsctl -t {OPEN_VSWITCH_S} show",)
        return ask(*command, **options)

    module.errRun = patiently
    if os.environ.get("HOPLAB_DATAPATH") == "user":
        _user_space(module)


def _user_space(module: Any) -> None:
    switch = module.OVSSwitch
    init = switch.__init__

    def in_user_space(self: Any, name: str, *args: Any, **params: Any) -> None:
        arguments = list(args)
        if len(arguments) > 1:  # after failMode
            arguments[1] = "user"
        else:
            params["datapath"] = "user"
        init(self, name, *arguments, **params)

    switch.__init__ = in_user_space


def _link(module: Any) -> None:
    """mininet.link: checksums are computed before a frame leaves a host."""
    config = module.Intf.config
    shaped = module.TCIntf.config

    def without_offload(self: Any, *args: Any, **params: Any) -> Any:
        if self.name != "lo" and not hasattr(self.node, "dpid"):  # a switch needs nothing
            self.cmd("ethtool -K", self, "tx off")
        return config(self, *args, **params)

    def shaped_without_offload(self: Any, *args: Any, **params: Any) -> Any:
        params["txo"] = False
        return shaped(self, *args, **params)

    module.Intf.config = without_offload
    module.TCIntf.config = shaped_without_offload


def _util(module: Any) -> None:
    """mininet.util: the machine's settings are left alone."""
    module.sysctlTestAndSet = lambda name, limit: None


_AFTER: dict[str, Callable[[Any], None]] = {"mininet.util": _util, "mininet.node": _node}
if os.environ.get("HOPLAB_DATAPATH") == "user":
    _AFTER["mininet.link"] = _link


class _Finder(importlib.abc.MetaPathFinder):
    """Finds Mininet's modules as Python does, and has them told."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name not in _AFTER:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is None or spec.loader is None:
            return None
        execute, tell = spec.loader.exec_module, _AFTER[name]

        def exec_module(module: types.ModuleType) -> None:
            execute(module)
            tell(module)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def _others_sitecustomize() -> None:
    """There may be one that ours stands before."""
    ours = sys.modules.pop("sitecustomize", None)
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry) != _HERE]
    try:
        import sitecustomize  # noqa: F401
    except ImportError:
        if ours is not None:
            sys.modules["sitecustomize"] = ours


if __name__ == "sitecustomize":
    sys.meta_path.insert(0, _Finder())
    if os.environ.get("HOPLAB_FALLBACK"):
        sys.path.append(os.environ["HOPLAB_FALLBACK"])
    _others_sitecustomize()
