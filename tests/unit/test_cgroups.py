# SPDX-License-Identifier: Apache-2.0
"""Groups of labs that have ended are taken away, those of others are not; in folders that look like
the kernel's."""

from __future__ import annotations

from pathlib import Path

import pytest

from hoplab.kernel import cgroups


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cpu that two names share, and a cpuset; no version 1 beside them."""
    monkeypatch.setattr(cgroups, "ROOT", tmp_path)
    for name in ("cpu,cpuacct", "cpuset"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "cgroup.clone_children").write_text("0\n")
    (tmp_path / "cpuset" / "cpuset.cpus").write_text("0-1\n")
    for name in ("cpu", "cpuacct"):
        (tmp_path / name).symlink_to("cpu,cpuacct")
    return tmp_path


def test_each_hierarchy_is_looked_at_once(machine: Path) -> None:
    names = [folder.name for folder in cgroups._hierarchies()]
    assert names == ["cpu,cpuacct", "cpuset"]
    (machine / "cpuset" / "cgroup.clone_children").unlink()  # version 2 has no such file
    assert [folder.name for folder in cgroups._hierarchies()] == ["cpu,cpuacct"]


def test_a_lab_is_in_the_group_and_may_use_what_the_machine_may(machine: Path) -> None:
    own = cgroups._joined(machine / "cpuset", "hoplab-1")
    assert (own / "cgroup.procs").read_text().isdigit()
    assert (own / "cpuset.cpus").read_text() == "0-1\n"


def test_groups_without_a_process_go_and_the_others_stay(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    removed = []
    monkeypatch.setattr(cgroups, "_remove", removed.append)
    for name, processes in (("hoplab-dead", ""), ("hoplab-alive", "17\n"), ("h1", "")):
        (machine / "cpu" / name).mkdir()
        (machine / "cpu" / name / "cgroup.procs").write_text(processes)
    cgroups.sweep()
    assert [own.name for own in removed] == ["hoplab-dead"]


def test_a_group_goes_with_those_below_it(machine: Path) -> None:
    (machine / "cpu" / "hoplab-1" / "h1").mkdir(parents=True)
    cgroups.remove("hoplab-1")
    assert not (machine / "cpu" / "hoplab-1").exists()
    cgroups.remove("")
    assert (machine / "cpu").is_dir()
