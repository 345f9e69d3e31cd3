# SPDX-License-Identifier: Apache-2.0
"""Failures that people report: each is provoked, here on a machine that is a folder."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import socket
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hoplab.doctor import checks, known_faults
from hoplab.doctor.known_faults import REPORTED, Machine
from hoplab.kernel import netlink, offloads, refusals

ROOT = Path(__file__).resolve().parents[2]


def put(path: Path, text: str = "", mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Nothing is wrong here."""
    for name in ("lo", "eth0", "s1", "veth12-x", "docker0"):
        put(tmp_path / "sys/class/net" / name)
    put(tmp_path / "proc/net/tcp", tcp(22, "0A") + tcp(6653, "06"))
    put(tmp_path / "usr/bin/mn", mode=0o755)
    return Machine(tmp_path, "/home/me/bin:/usr/bin", tmp_path / "venv")


def tcp(port: int, state: str) -> str:
    """/proc/net/tcp with a socket of that state (proc(5); 0A listens, 06 is TIME_WAIT)."""
    line = f"   0: 0100007F:{port:04X} 00000000:0000 {state}\n"
    return "  sl  local_address rem_address   st\n" + line


def found(machine: Machine) -> dict[str, known_faults.Note]:
    return dict(known_faults.notes(machine))


def test_on_a_machine_in_order_nothing_is_said(machine: Machine) -> None:
    assert found(machine) == {}
    assert found(Machine(machine.root / "empty", "", machine.root)) == {}


def test_leftover_interfaces(machine: Machine) -> None:
    for name in ("s1-eth1", "h12-eth0"):
        put(machine.root / "sys/class/net" / name)
    note = found(machine)["leftovers of Mininet"]
    assert "2 interfaces" in note.finding and "File exists" in note.finding
    assert note.fix.startswith("for i in h12-eth0 s1-eth1; do sudo ip link delete")


def test_the_line_for_leftovers_does_it() -> None:
    """For real, in a network namespace of its own: they are made, told, and gone."""
    script = f"""
import subprocess, sys
sys.path.insert(0, {str(ROOT)!r})
subprocess.run("ip link add s1-eth1 type veth peer name h1-eth0", shell=True, check=True)
subprocess.run("mount -t sysfs sysfs /sys", shell=True, check=True)
from hoplab.doctor import known_faults as reported
note = reported.leftover_interfaces(reported.Machine())
assert note, "not seen"
subprocess.run(note.fix.replace("sudo ", ""), shell=True)
assert reported.leftover_interfaces(reported.Machine()) is None, "not gone"
"""
    result = subprocess.run(
        ["unshare", "-rnm", sys.executable, "-c", script], capture_output=True, text=True
    )
    if "unshare" in result.stderr:
        pytest.skip(f"no user namespaces here: {result.stderr.strip()}")
    assert result.returncode == 0, result.stderr


def test_a_database_without_a_switch(machine: Machine) -> None:
    put(machine.root / "run/openvswitch/db.sock")
    note = found(machine)["the machine's Open vSwitch"]
    assert "wait for ever" in note.finding and "restart openvswitch-switch" in note.fix
    put(machine.root / "run/openvswitch/ovs-vswitchd.pid", "77\n")
    assert found(machine) == {}  # hidepid: we see not even process 1
    put(machine.root / "proc/1/comm", "systemd\n")
    assert "the machine's Open vSwitch" in found(machine)
    put(machine.root / "proc/77/comm", "ovs-vswitchd\n")
    assert found(machine) == {}


def test_bridges_of_others(machine: Machine) -> None:
    put(machine.root / "run/openvswitch/db.sock")
    put(machine.root / "run/openvswitch/ovs-vswitchd.pid", "77\n")
    put(machine.root / "proc/77/comm", "ovs-vswitchd\n")
    put(machine.root / "usr/bin/ovs-vsctl", "#!/bin/sh\necho br-office; echo br-lab\n", 0o755)
    note = found(machine)["other people's bridges"]
    assert "br-office, br-lab" in note.finding and note.fix.startswith("hoplab down --all")


@pytest.mark.parametrize("port", [6653, 6633])
def test_somebody_has_the_controllers_port(machine: Machine, port: int) -> None:
    put(machine.root / "proc/net/tcp6", tcp(port, "0A"))
    note = found(machine)["the OpenFlow port"]
    assert f"running on port {port}" in note.finding and f"sport = :{port}" in note.fix


def test_a_listening_port_is_read_as_the_kernel_writes_it() -> None:
    """Against the real table: the port that we listen on is in it, in that state."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        before = known_faults.OPENFLOW_PORTS
        try:
            known_faults.OPENFLOW_PORTS = (port,)  # type: ignore[assignment]
            assert known_faults.openflow_port_taken(Machine()) is not None
        finally:
            known_faults.OPENFLOW_PORTS = before


def test_sudo_does_not_find_it(machine: Machine) -> None:
    (machine.root / "usr/bin/mn").unlink()
    put(machine.root / "home/me/bin/mn", mode=0o755)
    note = found(machine)["sudo's path"]
    assert "sudo: mn: command not found" in note.finding
    assert note.fix.startswith("sudo /home/me/bin")


def test_ryus_own_launcher(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_faults.metadata, "version", lambda name: "0.41.3")
    put(machine.prefix / "bin/ryu-manager", "from ryu.cmd.manager import main\n")
    note = found(machine)["ryu-manager"]
    assert "ALREADY_HANDLED" in note.finding and "hoplab.control.ryu_main" in note.fix
    monkeypatch.setattr(known_faults.metadata, "version", lambda name: "0.30.2")
    assert found(machine) == {}
    monkeypatch.setattr(known_faults.metadata, "version", lambda name: "0.41.3")
    put(machine.prefix / "bin/ryu-manager", 'exec python -m hoplab.control.ryu_main "$@"\n')
    assert found(machine) == {}


# ---- what keeps a lab from working --------------------------------------------------------------


def test_an_environment_that_does_not_see_mininet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "find_spec", lambda name: None)
    monkeypatch.setattr(checks.sys, "prefix", str(tmp_path))
    put(tmp_path / "pyvenv.cfg", "home = /usr/bin\ninclude-system-site-packages = false\n")
    checked = {check.subject: check for check in checks._modules()}
    mininet = checked["Python's mininet"]
    assert "does not look at the distribution's packages" in mininet.finding
    assert not mininet.good and mininet.fix == shlex.quote(str(ROOT / "scripts" / "install.sh"))
    assert "get_script_args" in checked["Python's ryu"].finding
    monkeypatch.setattr(checks.content, "installer", lambda: "")  # as from a wheel
    fixes = [check.fix for check in checks._modules()][1:]
    assert fixes[0] == "sudo apt-get install mininet" and "setuptools<68" in fixes[1]
    assert fixes[3] == f"{shlex.quote(sys.executable)} -m pip install dnspython"
    put(tmp_path / "pyvenv.cfg", "home = /usr/bin\ninclude-system-site-packages = true\n")
    assert "does not look" not in next(
        check.finding for check in checks._modules() if check.subject == "Python's mininet"
    )


def test_a_program_for_another_processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # An ELF header for a machine that this is not (e_machine 0x1234), 64 bits, executable.
    header = b"\x7fELF\2\1\1" + bytes(9) + struct.pack("<HHI", 2, 0x1234, 1) + bytes(64)
    (tmp_path / "mnexec").write_bytes(header)
    (tmp_path / "mnexec").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    checked = {check.subject: check for check in checks._programs()}
    assert "cannot be started: Exec format error" in checked["mnexec"].finding
    assert checked["mnexec"].fix == "sudo apt-get install mininet --reinstall"
    assert checked["bash"].good


IN_A_CONTAINER = """
import ctypes, os, struct, sys
from hoplab.doctor import checks as doctor
ping, path = sys.argv[1:]
# cap_net_raw=ep, as Debian's ping; then the bounding set loses CAP_NET_RAW, as in a container.
os.setxattr(ping, "security.capability", struct.pack("<5I", 0x02000001, 1 << 13, 0, 0, 0))
assert ctypes.CDLL(None).prctl(24, 13, 0, 0, 0) == 0
os.environ["PATH"] = path
print(next(check for check in doctor._programs() if check.subject == "ping"))
"""


def test_a_ping_that_only_starts_in_a_lab(tmp_path: Path) -> None:
    ping = tmp_path / "ping"
    shutil.copy("/bin/true", ping)
    text = subprocess.run(
        ["unshare", "--user", "--map-root-user", sys.executable, "-c", IN_A_CONTAINER,
         str(ping), f"{tmp_path}:{os.environ['PATH']}"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert f"{ping} (starts in a lab, but not outside one here)" in text and "good=True" in text


Break = Callable[[pytest.MonkeyPatch], None]


def no_veth(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*ends: netlink.End) -> netlink.Message:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(netlink, "veth", refuse)


def stuck_offload(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offloads, "offloads_off", lambda net, name: None)


def no_netem(monkeypatch: pytest.MonkeyPatch) -> None:
    class Refused:
        returncode, stderr = 2, "Error: Specified qdisc kind is unknown.\n"

    monkeypatch.setattr(checks.subprocess, "run", lambda *words, **more: Refused)


TRIALS: dict[str, tuple[Break, bool, str]] = {
    checks.VETH: (no_veth, False, "modprobe veth"),
    checks.OFFLOADS: (stuck_offload, False, "modprobe openvswitch"),
    checks.NETEM: (no_netem, True, "modprobe sch_netem"),
}


@pytest.mark.net
@pytest.mark.parametrize("name", TRIALS)
def test_what_the_trial_sandbox_meets(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a real sandbox; the trial runs with what is broken here, because it is a fork of us."""
    if os.geteuid() != 0 and list(refusals.find(tun=False)):
        pytest.skip("this machine refuses a sandbox to you")
    broken, good, fix = TRIALS[name]
    broken(monkeypatch)
    checked = {check.subject: check for check in checks._machine()}
    assert checked["a trial sandbox"].good
    assert checked[name].good is good and fix in checked[name].fix
    assert not {checks.VETH, checks.OFFLOADS} & set(checked) - {name}


# ---- and the page that tells of them ------------------------------------------------------------


def test_the_page_tells_of_every_check_and_thread() -> None:
    page = (ROOT / "docs" / "troubleshooting.md").read_text()
    rows = {
        cells[1]: cells[2]
        for line in page.splitlines()
        if len(cells := [cell.strip() for cell in line.strip("|").split("|")]) == 3
    }
    for name, (_, threads) in REPORTED.items():
        assert rows[name] == ", ".join(threads)
    checks_named = set(rows) - set(REPORTED) - {"what doctor looks at", "---"}
    source = (ROOT / "hoplab" / "doctor" / "checks.py").read_text()
    for name in checks_named:
        in_source = name in source or re.fullmatch(r"Python's (mininet|ryu)", name)
        assert in_source, f"no check is called {name}"
