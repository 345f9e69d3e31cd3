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


@pytest.fixture
def version_2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of systemd's that gives a user's services the cpu, and nothing to the sessions."""
    monkeypatch.setattr(cgroups, "ROOT", tmp_path)
    (tmp_path / "cgroup.controllers").write_text("cpuset cpu memory\n")
    for place, given in (("", "cpu memory"), ("user", "memory"), ("user/services", "cpu")):
        (tmp_path / place).mkdir(exist_ok=True)
        (tmp_path / place / "cgroup.subtree_control").write_text(f"{given}\n")
    return tmp_path


def test_groups_of_version_2_are_made_where_the_cpu_is_given(version_2: Path) -> None:
    assert [place for place in (version_2, version_2 / "user") if cgroups._gives_cpu(place)] == [
        version_2
    ]
    own = cgroups._divided(version_2 / "user" / "services", "hoplab-1")
    assert (own / "lab" / "cgroup.procs").read_text().isdigit()
    assert (own / "cgroup.subtree_control").read_text() == "+cpuset"  # after +cpu
    assert cgroups.is_version_2()


def test_places_lie_above_the_group_that_this_process_is_in(version_2: Path) -> None:
    assert cgroups._places("0::/user/services/terminal\n") == [
        version_2 / "user" / "services", version_2 / "user", version_2,
    ]  # fmt: skip
    assert cgroups._places("4:memory:/far\n0::/\n") == [version_2]
    assert cgroups._places("0::/../elsewhere\n") == []  # outside of what a container sees


def test_a_group_that_cannot_be_divided_does_not_stay(version_2: Path) -> None:
    (version_2 / "hoplab-1").mkdir()
    (version_2 / "hoplab-1" / "lab").touch()  # in the way
    with pytest.raises(OSError):
        cgroups._divided(version_2, "hoplab-1")


def test_groups_of_version_2_go_when_nobody_is_in_them(
    version_2: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    removed = []
    monkeypatch.setattr(cgroups, "_remove", removed.append)
    monkeypatch.setattr(cgroups, "_places", lambda: [version_2])
    for name, populated in (("hoplab-dead", 0), ("hoplab-alive", 1)):
        (version_2 / name).mkdir()
        (version_2 / name / "cgroup.events").write_text(f"populated {populated}\nfrozen 0\n")
    cgroups.sweep()
    assert [own.name for own in removed] == ["hoplab-dead"]


@pytest.mark.parametrize(
    ("root", "two", "reason", "words"),
    [
        (False, True, "no", "systemd-run --user --scope -p Delegate=yes hoplab run"),
        (False, False, "no", "sudo hoplab run"),
        (True, True, "no", "not even root"),
        (True, False, "bash: cgcreate: command not found", "apt-get install cgroup-tools"),
    ],
)
def test_who_may_make_none_is_told_what_to_do(
    monkeypatch: pytest.MonkeyPatch, root: bool, two: bool, reason: str, words: str
) -> None:
    monkeypatch.setattr(cgroups, "_is_root", lambda: root)
    monkeypatch.setattr(cgroups, "is_version_2", lambda: two)
    sentence = str(cgroups.without("h1", 1, reason, "hoplab run"))
    assert sentence.startswith("h1 runs without its CPU limit") and words in sentence
