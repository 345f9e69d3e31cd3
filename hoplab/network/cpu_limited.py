# SPDX-License-Identifier: Apache-2.0
"""Mininet's CPULimitedHost where its own way to a limit is closed.

Mininet 2.3 makes control groups of version 1, by programs that a machine may lack. Where the
machine has version 2, a host's group is made here, below a folder that is the lab's own
(`kernel/cgroups.py`); and where nobody may make one, the host is there without its limit.

Imports nothing of ours, and runs on any Python from 3.7 on: `hoplab up` calls it, and
`stock/sitecustomize.py` in whichever Python a script has.
"""

from __future__ import annotations  # for a Python of before 3.10

import io
import os
import re
import time
from collections.abc import Callable
from typing import Any

GONE_S = 10  # for a control group to be empty, once its processes were ended
_TO_JOIN = 'echo 0 >"$0" && exec "$@"'  # 0 is whoever writes it


def install(node: Any, groups: Callable[[], str], lacks: Callable[[str, str, str], None]) -> None:
    """Have CPULimitedHost find its way. node: the module mininet.node. groups: called before the
    first group is made; gives the folder for those of version 2, or "" where Mininet makes its own.
    lacks: called with what a host has to do without, "limit", "cores" or "realtime", its name and
    why; the host has it in `hoplab_lacks`, too.
    """
    way, host = _Way(node, groups, lacks), node.CPULimitedHost
    host.hoplab_groups, host.init = "", staticmethod(way.find_out)
    host.__init__, host.popen = _method(way.make), _method(way.start)
    host.setCPUFrac, host.setCPUs = _method(way.limit), _method(way.choose_cores)
    host.cgroupDel = _method(way.remove)
    node.retry = _until_gone


def _method(function: Callable[..., Any]) -> Any:
    return lambda host, *args, **params: function(host, *args, **params)


def _until_gone(retries: int, delaySecs: float, fn: Any, *args: Any, **params: Any) -> None:
    """mininet.util.retry, as CPULimitedHost uses it: 0.3 s is little on a busy machine."""
    deadline = time.monotonic() + GONE_S
    while not fn(*args, **params) and time.monotonic() < deadline:
        time.sleep(delaySecs)


class _Way:
    """What CPULimitedHost does instead, with Mininet's own way where that is open."""

    def __init__(self, node: Any, groups: Any, lacks: Any) -> None:
        self.node, self.groups, self.lacks = node, groups, lacks
        self.kind = kind = node.CPULimitedHost
        self.stock_init, self.stock_make, self.stock_popen = kind.init, kind.__init__, kind.popen
        self.stock_limit, self.stock_cores = kind.setCPUFrac, kind.setCPUs
        self.stock_remove = kind.cgroupDel

    def find_out(self) -> None:
        """Once, before the first group is made."""
        self.kind.hoplab_groups = self.groups()
        if self.kind.hoplab_groups:
            self.kind.inited = True  # there is nothing to mount
        else:
            self.stock_init()

    def make(self, host: Any, name: str, sched: str = "cfs", **params: Any) -> None:
        host.hoplab_limited, host.hoplab_group = True, ""
        try:
            if not self.kind.inited:
                self.kind.init()
        except Exception as error:
            self._without_limit(host, name, error)
        if host.hoplab_limited and not self.kind.hoplab_groups:
            try:
                self.stock_make(host, name, sched, **params)
            except Exception as error:  # the host is made by then
                self._without_limit(host, name, error)
            return
        self.node.Host.__init__(host, name, **params)
        host.period_us, host.sched = params.get("period_us", 100000), sched
        if host.hoplab_limited:
            self._join(host)

    def _without_limit(self, host: Any, name: str, error: Exception) -> None:
        if "cg" not in str(error):  # errFail's and mountCgroups', which make no other
            raise error
        host.hoplab_limited = False
        self._do_without(host, "limit", name, error)

    def _do_without(self, host: Any, kind: str, name: str, reason: object) -> None:
        vars(host).setdefault("hoplab_lacks", {})[kind] = str(reason)
        self.lacks(kind, name, str(reason))

    def _join(self, host: Any) -> None:
        host.cgroup = host.hoplab_group = os.path.join(self.kind.hoplab_groups, host.name)
        try:
            os.makedirs(host.hoplab_group, exist_ok=True)
            _write(host.hoplab_group, "cgroup.procs", str(host.pid))
        except OSError as error:
            host.hoplab_limited = False
            self._do_without(host, "limit", host.name, error)

    def limit(self, host: Any, f: Any, sched: Any = None) -> None:
        if not host.hoplab_limited:
            return
        if not host.hoplab_group:
            self.stock_limit(host, f, sched)
            return
        if (sched or host.sched) == "rt":
            self._do_without(host, "realtime", host.name, "")
        _, _, period, quota = host.cfsInfo(f)
        _write(host.hoplab_group, "cpu.max", f"{quota if quota > 0 else 'max'} {period}")
        self.node.info(f"(cfs {quota}/{period}us) ")

    def choose_cores(self, host: Any, cores: Any, mems: Any = 0) -> None:
        if not host.hoplab_limited or not cores:
            return
        if not host.hoplab_group:
            self.stock_cores(host, cores, mems)
            return
        wanted = ",".join(map(str, cores)) if isinstance(cores, (list, tuple)) else str(cores)
        try:
            _write(host.hoplab_group, "cpuset.cpus", wanted)
            _write(host.hoplab_group, "cpuset.mems", str(mems))
        except OSError as error:
            self._do_without(host, "cores", host.name, error)

    def start(self, host: Any, *args: Any, **params: Any) -> Any:
        if host.hoplab_limited and not host.hoplab_group:
            return self.stock_popen(host, *args, **params)
        if host.hoplab_limited:
            join = ["sh", "-c", _TO_JOIN, os.path.join(host.hoplab_group, "cgroup.procs")]
            params.setdefault("mncmd", [*join, "mnexec", "-da", str(host.pid)])
        return self.node.Host.popen(host, *args, **params)

    def remove(self, host: Any) -> bool:
        """Whether its group is gone."""
        if not host.hoplab_group:
            return not host.hoplab_limited or bool(self.stock_remove(host))
        try:
            os.rmdir(host.hoplab_group)
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return True


def install_test(net: Any, node: Any) -> None:
    """Mininet.runCpuLimitTest reads how much a host has used where version 1 has it. net: the
    module mininet.net."""

    def opened(path: Any, *args: Any, **params: Any) -> Any:
        of_host = re.fullmatch(r"/sys/fs/cgroup/cpuacct/(.+)/cpuacct\.usage", str(path))
        folder = getattr(node.CPULimitedHost, "hoplab_groups", "")
        if of_host is None or not folder:
            return open(path, *args, **params)
        with open(os.path.join(folder, of_host[1], "cpu.stat")) as file:
            used_us = dict(line.split() for line in file)["usage_usec"]
        return io.StringIO(f"{used_us}000\n")

    net.open = opened


def _write(group: str, name: str, text: str) -> None:
    with open(os.path.join(group, name), "w") as file:
        file.write(text)
