# SPDX-License-Identifier: Apache-2.0
"""Mininet's CPULimitedHost with control groups of version 2, and without any; on a module that
stands for mininet.node."""

from __future__ import annotations

import os
import types
from pathlib import Path
from typing import Any

import pytest

from hoplab.network import cpu_limited


def a_node_module() -> Any:
    """What of mininet.node a CPULimitedHost is made of. Its own way ends as where cgcreate may
    not."""

    class Host:
        def __init__(self, name: str, **params: Any) -> None:
            self.name, self.pid, self.params = name, os.getpid(), params

        def popen(self, *args: Any, **params: Any) -> Any:
            return params

    class CPULimitedHost(Host):
        inited = False

        def __init__(self, name: str, sched: str = "cfs", **params: Any) -> None:
            Host.__init__(self, name, **params)
            raise Exception("errFail: ('cgcreate -g cpu,cpuacct,cpuset:/h1',) failed")

        def cfsInfo(self, f: float) -> tuple[str, str, int, int]:
            return "period", "quota", 100000, int(f * 200000) if f > 0 else -1

        def nothing(self, *args: Any, **params: Any) -> Any:
            raise AssertionError("Mininet's own way is closed")

        setCPUFrac = setCPUs = cgroupDel = popen = nothing

        @classmethod
        def init(cls) -> None:
            cls.inited = True

    return types.SimpleNamespace(
        Host=Host, CPULimitedHost=CPULimitedHost, retry=None, info=lambda *words: None
    )


def installed(folder: str) -> tuple[Any, list[str]]:
    module, lacks = a_node_module(), []
    cpu_limited.install(module, lambda: folder, lambda kind, name, reason: lacks.append(kind))
    return module, lacks


def test_a_share_and_cores_are_written_where_the_kernel_reads_them(tmp_path: Path) -> None:
    module, lacks = installed(str(tmp_path))
    h1 = module.CPULimitedHost("h1", period_us=50000)
    assert (tmp_path / "h1" / "cgroup.procs").read_text() == str(os.getpid())
    h1.setCPUFrac(0.1)
    h1.setCPUs([0, 1])
    assert (tmp_path / "h1" / "cpu.max").read_text() == "20000 100000"
    assert (tmp_path / "h1" / "cpuset.cpus").read_text() == "0,1"
    h1.setCPUFrac(-1)  # Mininet's word for no limit
    assert (tmp_path / "h1" / "cpu.max").read_text() == "max 100000"
    assert lacks == []


def test_a_program_of_the_host_joins_its_group(tmp_path: Path) -> None:
    module, _ = installed(str(tmp_path))
    command = module.CPULimitedHost("h1").popen("true")["mncmd"]
    assert command[3] == str(tmp_path / "h1" / "cgroup.procs")
    assert command[-3:] == ["mnexec", "-da", str(os.getpid())]


def test_a_group_is_gone_when_the_kernel_says_so(tmp_path: Path) -> None:
    module, _ = installed(str(tmp_path))
    h1 = module.CPULimitedHost("h1")
    assert not h1.cgroupDel()  # something is in it
    (tmp_path / "h1" / "cgroup.procs").unlink()
    assert h1.cgroupDel() and h1.cgroupDel()


def test_without_a_group_the_host_is_there_all_the_same(tmp_path: Path) -> None:
    module, lacks = installed("")
    h1 = module.CPULimitedHost("h1")
    h1.setCPUFrac(0.1)
    h1.setCPUs(0)
    assert h1.cgroupDel() and h1.popen("true") == {}
    assert lacks == ["limit"] and "cgcreate" in h1.hoplab_lacks["limit"]


def test_what_is_not_delegated_is_said(tmp_path: Path) -> None:
    module, lacks = installed(str(tmp_path))
    h1 = module.CPULimitedHost("h1", "rt")
    (tmp_path / "h1" / "cpuset.cpus").mkdir()  # which nobody can write to
    h1.setCPUs([0])
    h1.setCPUFrac(0.1)
    assert lacks == ["cores", "realtime"]


def test_another_error_is_the_scripts_own() -> None:
    module = a_node_module()

    def failing(self: Any, name: str, *args: Any) -> None:
        raise ValueError("of the script's own")

    module.CPULimitedHost.__init__ = failing
    cpu_limited.install(module, lambda: "", lambda *_: None)
    with pytest.raises(ValueError, match="own"):
        module.CPULimitedHost("h1")


def test_mininets_own_test_reads_how_much_was_used(tmp_path: Path) -> None:
    module, _ = installed(str(tmp_path))
    module.CPULimitedHost("h1")
    (tmp_path / "h1" / "cpu.stat").write_text("usage_usec 1500\nuser_usec 1000\n")
    net = types.SimpleNamespace()
    cpu_limited.install_test(net, module)
    assert net.open("/sys/fs/cgroup/cpuacct/h1/cpuacct.usage", "r").read() == "1500000\n"
    (tmp_path / "other").write_text("x")
    with net.open(tmp_path / "other") as file:
        assert file.read() == "x"
