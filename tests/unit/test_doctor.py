# SPDX-License-Identifier: Apache-2.0
"""What a machine refuses is told exactly, with the line that mends it."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hoplab.cli import verbs_lab
from hoplab.doctor import checks
from hoplab.errors import Exit, LabError
from hoplab.kernel import refusals, sandbox

Setter = Callable[..., None]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Setter:
    """A machine with these sysctls, this user, this /dev/net/tun."""

    def make(sysctls: dict[str, str], *, uid: int = 1000, tun: str = "open") -> None:
        monkeypatch.setattr(refusals, "_sysctl", sysctls.get)
        monkeypatch.setattr(refusals.os, "geteuid", lambda: uid)
        device = tmp_path / "tun"
        if tun != "missing":
            device.touch()
        monkeypatch.setattr(refusals, "TUN", str(device))
        monkeypatch.setattr(refusals.os, "access", lambda path, mode: tun == "open")

    return make


CASES = {
    "kernel.unprivileged_userns_clone": ("0", "sysctl -w kernel.unprivileged_userns_clone=1"),
    "kernel.apparmor_restrict_unprivileged_userns": (
        "1",
        "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
    ),
    "user.max_user_namespaces": ("0", "sysctl -w user.max_user_namespaces=15000"),
    "user.max_net_namespaces": ("0", "sysctl -w user.max_net_namespaces=15000"),
}


@pytest.mark.parametrize("name", CASES)
def test_a_setting_that_refuses(machine: Setter, name: str) -> None:
    value, fix = CASES[name]
    machine({name: value})
    (refusal,) = refusals.find()
    assert name in refusal.message and refusal.fix == f"sudo {fix}"
    error = refusals.refused(PermissionError(1, "Operation not permitted"))
    assert error.code == Exit.REFUSED
    assert name in error.message and fix in error.hint and "hoplab doctor" in error.hint


def test_root_is_not_kept_from_user_namespaces_that_it_does_not_need(machine: Setter) -> None:
    machine(
        {
            "kernel.unprivileged_userns_clone": "0",
            "kernel.apparmor_restrict_unprivileged_userns": "1",
            "user.max_user_namespaces": "0",
        },
        uid=0,
    )
    assert list(refusals.find()) == []


@pytest.mark.parametrize(("tun", "fix"), [("missing", "modprobe tun"), ("closed", "chmod 666")])
def test_tun(machine: Setter, tun: str, fix: str) -> None:
    machine({}, tun=tun)
    (refusal,) = refusals.find()
    assert "tun" in refusal.message and fix in refusal.fix
    assert list(refusals.find(tun=False)) == []


def test_nothing_is_refused(machine: Setter) -> None:
    machine({"kernel.unprivileged_userns_clone": "1", "user.max_user_namespaces": "15000"})
    assert list(refusals.find()) == []


def test_an_unexplained_refusal_still_has_a_next_step(machine: Setter) -> None:
    machine({})
    error = refusals.refused(PermissionError(1, "Operation not permitted"))
    assert "Operation not permitted" in error.message and error.hint


def test_a_container_that_masks_proc_is_recognised(machine: Setter) -> None:
    machine({})
    step = "mount proc on /proc"
    error = refusals.refused(OSError(1, f"{step}: Operation not permitted", step))
    assert "unmask=ALL" in error.hint and "systempaths=unconfined" in error.hint


@pytest.mark.net
@pytest.mark.skipif(os.geteuid() != 0, reason="covers a part of /proc as root")
def test_a_masked_proc_refuses_for_real() -> None:
    """As an ordinary user whose /proc has a cover, like the one that container runtimes put on."""
    script = (
        "mount -t tmpfs -o ro tmpfs /proc/fs && exec setpriv --reuid 65534 --regid 65534 "
        f"--clear-groups {shlex.quote(sys.executable)} -c "
        "'from hoplab.kernel import refusals, sandbox\n"
        'refusals.TUN = "/dev/null"; sandbox.start("x", [], lambda channel: 0)\''
    )
    root = str(Path(__file__).resolve().parents[2])
    result = subprocess.run(
        ["unshare", "-mpf", "--mount-proc", "--propagation", "private", "bash", "-c", script],
        env={**os.environ, "PYTHONPATH": root}, cwd="/", capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode and "mount proc on /proc" in result.stderr, result.stderr


def test_doctor_lists_every_fault_and_its_fix(
    machine: Setter, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine({"user.max_net_namespaces": "0"}, tun="closed")

    def refuse(*_: object) -> None:
        raise LabError("this machine refuses a lab to you", "see", Exit.REFUSED)

    monkeypatch.setattr(sandbox, "start", refuse)
    monkeypatch.setattr(checks.shutil, "which", lambda name, path=None: None)
    text = verbs_lab.checks_as_text(checks.examine())
    assert "NO  mnexec" in text and "sudo apt-get install mininet" in text
    for fix in ("user.max_net_namespaces=15000", "chmod 666", "apt-get install openvswitch-switch"):
        assert text.count(fix) == 1, f"{fix} once: {text}"


def test_a_setting_that_does_not_bite_is_no_fault(
    machine: Setter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AppArmor may forbid in general what a profile allows to this program."""
    machine({"kernel.apparmor_restrict_unprivileged_userns": "1"})

    class Trial:
        class channel:
            close = staticmethod(lambda: None)
            settimeout = staticmethod(lambda seconds: None)
            recv = staticmethod(lambda size: b"")

    monkeypatch.setattr(sandbox, "start", lambda *_: Trial)
    assert all(check.good for check in checks._machine())


# A filter of system calls, as container runtimes put on (seccomp(2)): one call is refused. Classic
# BPF: load the call's number; if it is the one, the next instruction, else the one after it.
FILTERED = """
import ctypes, struct, sys
from hoplab.kernel import refusals, sandbox
code = struct.pack(
    "<HBBIHBBIHBBIHBBI",
    0x20, 0, 0, 0, 0x15, 0, 1, int(sys.argv[1]), 0x06, 0, 0, 0x50001, 0x06, 0, 0, 0x7FFF0000,
)
program = ctypes.create_string_buffer(code, len(code))
fprog = ctypes.create_string_buffer(struct.pack("@HP", 4, ctypes.addressof(program)))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, fprog) == 0, ctypes.get_errno()
refusals.TUN = "/dev/null"
try:
    print("ended", sandbox.start("x", [], lambda channel: 0).ended(60))
except sandbox.LabError as error:
    print(error.message, "|", error.hint)
"""
CALLS = {
    "x86_64": {"unshare": 272, "sethostname": 170},
    "aarch64": {"unshare": 97, "sethostname": 161},
}


@pytest.mark.net
@pytest.mark.parametrize(
    "call, outcome",
    [
        ("unshare", "this machine refuses a lab to you: unshare: Operation not permitted | in a"),
        ("sethostname", "ended True"),  # a lab does without
    ],
)
def test_a_filter_of_system_calls(call: str, outcome: str) -> None:
    number = str(CALLS[os.uname().machine][call])
    root = str(Path(__file__).resolve().parents[2])
    result = subprocess.run(
        [sys.executable, "-c", FILTERED, number],
        env={**os.environ, "PYTHONPATH": root}, capture_output=True, text=True,
    )  # fmt: skip
    assert outcome in result.stdout, result.stdout + result.stderr
    assert ("seccomp=unconfined" in result.stdout) == (call == "unshare")
