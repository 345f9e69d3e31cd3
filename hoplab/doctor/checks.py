# SPDX-License-Identifier: Apache-2.0
"""What a lab needs of this machine: every check is made before anything is said.

A check is a plain sentence on what was found and, where it is not good, the line that mends it.
The last check does what a lab does, make namespaces and mounts, so that a refusal that no setting
explains is found too.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hoplab import content, programs
from hoplab.client import labs
from hoplab.doctor import apparmor, known_faults
from hoplab.errors import LabError, reason_of
from hoplab.kernel import netlink, offloads, refusals, sandbox
from hoplab.openvswitch import daemons as switchd
from hoplab.sentences import from_plain, say, term, to_plain
from hoplab.wait import patience


@dataclass(frozen=True)
class Check:
    """One finding about a subject. `fix` is a line to run, "" where there is nothing to mend. What
    is good and has a fix all the same is a note: it stops no lab, but stock tools beside us stumble
    over it."""

    subject: str
    finding: str
    good: bool
    fix: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For `--json`, whose names scripts rely on."""
        return {"what": self.subject, "found": self.finding, "good": self.good, "fix": self.fix}


# program -> (Debian package, option that prints the version, least version)
PROGRAMS = {
    "ovsdb-server": ("openvswitch-switch", "--version", (2, 13)),
    "ovs-vswitchd": ("openvswitch-switch", "--version", (2, 13)),
    "ovs-vsctl": ("openvswitch-switch", "--version", (2, 13)),
    "ovsdb-tool": ("openvswitch-common", "--version", (2, 13)),
    "ovs-ofctl": ("openvswitch-common", "--version", (2, 13)),
    "mnexec": ("mininet", "-v", ()),
    "ip": ("iproute2", "-V", ()),
    "ping": ("iputils-ping", "-V", ()),
    "setsid": ("util-linux", "--version", ()),
    "bash": ("bash", "--version", ()),
}


def _text(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def _has_capabilities(path: str) -> bool:
    """Does the file bring rights of its own (capabilities(7), security.capability)?"""
    with contextlib.suppress(OSError):
        return bool(os.getxattr(path, "security.capability"))
    return False


def _programs() -> Iterator[Check]:
    for name, (package, option, least) in PROGRAMS.items():
        file = programs.find(name)
        install = f"sudo apt-get install {package}"
        if not file:
            yield Check(name, term("not installed"), False, install)
            continue
        version: tuple[int, ...] = ()
        if option:
            try:
                asked = subprocess.run([file, option], capture_output=True, text=True)
            except OSError as error:  # built for another processor, or half installed
                if isinstance(error, PermissionError) and _has_capabilities(file):
                    # In a container that lacks CAP_NET_RAW. A lab's host starts it as its own root.
                    inside = say("{file} (starts in a lab, but not outside one here)", file=file)
                    yield Check(name, inside, True)
                    continue
                why = say("{file} cannot be started: {reason}", file=file, reason=reason_of(error))
                yield Check(name, why, False, f"{install} --reinstall")
                continue
            number = re.search(r"\d+(?:\.\d+)+", asked.stdout + asked.stderr)
            version = tuple(int(part) for part in number[0].split(".")) if number else ()
        good = not least or version >= least
        text = _text(version) or file
        if good:
            yield Check(name, text, True)
        else:
            old = say("{version}, older than {least}", version=text, least=_text(least))
            yield Check(name, old, False, install)


def _modules() -> Iterator[Check]:
    python = f"Python {sys.version.split()[0]} ({sys.executable})"
    good = sys.version_info >= (3, 10)
    yield Check("python", python, good, "" if good else term("use Python 3.10 or later"))
    for name, package in (("mininet", "mininet"), ("ryu", "ryu"), ("eventlet", "eventlet"),
                          ("dns", "dnspython"), ("h11", "h11"), ("starlette", "starlette"),
                          ("uvicorn", "uvicorn"), ("wsproto", "wsproto")):  # fmt: skip
        if find_spec(name) is None:
            why = term("not installed for this Python")
            if name == "mininet" and blind(Path(sys.prefix)):
                why = term(
                    "not installed for this Python: this virtual environment does not look at the "
                    "distribution's packages"
                )
            if name == "ryu":
                why = term(
                    "not installed for this Python; a plain `pip install ryu` stops at "
                    "get_script_args"
                )
            yield Check(say("Python's {package}", package=name), why, False, _installs(package))
            continue
        try:
            version = metadata.version(package)
        except metadata.PackageNotFoundError:
            version = term("installed")
        yield Check(say("Python's {package}", package=name), version, True)


def _installs(package: str) -> str:
    """The line that installs a package for this Python."""
    if line := content.installer():
        return line
    if package == "mininet":
        return "sudo apt-get install mininet"
    pip = f"{shlex.quote(sys.executable)} -m pip install"
    if package != "ryu":
        return f"{pip} {package}"
    # Ryu builds only with an old setuptools; which variable tells pip so depends on its age.
    variables = "PIP_CONSTRAINT=ryu-build.txt PIP_BUILD_CONSTRAINT=ryu-build.txt PIP_USE_PEP517=1"
    return f"echo 'setuptools<68' > ryu-build.txt && {variables} {pip} ryu==4.34"


def blind(prefix: Path) -> bool:
    """Whether this is a virtual environment that sees nothing of the distribution's Python, where
    Mininet is (venv, include-system-site-packages)."""
    try:
        text = (prefix / "pyvenv.cfg").read_text()
    except OSError:
        return False
    return re.search(r"^include-system-site-packages\s*=\s*false", text, re.M | re.I) is not None


VETH, OFFLOADS = term("virtual Ethernet"), term("checksum offload")
NETEM, AFXDP = term("delay and loss"), term("AF_XDP ports")


def _trial(channel: socket.socket) -> int:
    """Inside the trial sandbox: what a lab does to its links. Tells of each fault."""
    net = netlink.Socket()
    try:
        here = os.open("/proc/self/ns/net", os.O_RDONLY)
        ends = [netlink.End(f"try{n}", f"02:00:00:00:00:0{n}", 100 + n, here) for n in (1, 2)]
        net.send([netlink.veth(*ends)])
    except OSError as error:
        _tell(channel, VETH, reason_of(error))
        return 0
    try:
        offloads.offloads_off(net, "try1")
        if offloads.checksum_offload(net, "try1"):
            _tell(channel, OFFLOADS, term("it stays on"))
    except OSError as error:
        _tell(channel, OFFLOADS, reason_of(error))
    words = "qdisc add dev try1 root netem delay 1ms".split()
    tool = programs.find("tc") or "tc"
    try:
        asked = subprocess.run([tool, *words], capture_output=True, text=True)
        if asked.returncode:
            _tell(channel, NETEM, asked.stderr.strip())
    except OSError as error:
        _tell(channel, NETEM, say("{command}: {reason}", command="tc", reason=reason_of(error)))
    with contextlib.suppress(LabError, OSError):
        _tell(channel, AFXDP, _try_afxdp())
    return 0


def _tell(channel: socket.socket, name: str, reason: str) -> None:
    """A message for `_faults`: the templates of what is ours go along."""
    channel.send(json.dumps(to_plain({"name": name, "reason": reason})).encode())


def _try_afxdp() -> str:
    """Why an Open vSwitch of ours takes no AF_XDP ports here, or ""."""
    logs = Path("/run/doctor")
    logs.mkdir()
    daemons = switchd.Switchd(logs)
    try:
        daemons.start()
        return daemons.try_afxdp()
    finally:
        daemons.stop()


def _faults(channel: socket.socket) -> dict[str, str]:
    """The faults that the trial told, by name."""
    faults = {}
    channel.settimeout(20 * patience())
    with contextlib.suppress(OSError):
        while message := channel.recv(4096):
            fault = json.loads(message, object_hook=from_plain)
            faults[fault["name"]] = fault["reason"]
    return faults


def _links(faults: dict[str, str]) -> Iterator[Check]:
    if VETH in faults:
        why = say("this kernel makes no veth pairs: {reason}", reason=faults[VETH])
        yield Check(VETH, why, False, "sudo modprobe veth")
    if OFFLOADS in faults:
        yield Check(
            OFFLOADS,
            say(
                "cannot be turned off ({reason}): ping works then, but neither TCP nor UDP does "
                "over Open vSwitch in user space",
                reason=faults[OFFLOADS],
            ),
            False,
            say(
                "{command}   # the kernel's datapath does not mind",
                command="sudo modprobe openvswitch",
            ),
        )
    if NETEM in faults:
        yield Check(
            NETEM,
            say(
                "this kernel has no netem ({reason}): a process of the lab holds frames back, "
                "about 100,000 a second at most",
                reason=faults[NETEM],
            ),
            True,
            say(
                "{command}   # or a machine that has it: vagrant/",
                command="sudo modprobe sch_netem",
            ),
        )


def _datapath(faults: dict[str, str]) -> Iterator[Check]:
    """Which one a lab gets, and which one it could have. faults: as the trial told them."""
    name = term("Open vSwitch's datapath")
    if switchd.kernel_datapath():
        yield Check(name, term("in the kernel (module loaded)"), True)
    else:
        where = term(
            "in user space; the kernel's is faster where it exists (sudo modprobe openvswitch)"
        )
        yield Check(name, where, True)
    if AFXDP in faults:
        text = term("work here; faster, but not to be captured: hoplab up --datapath fast")
        if faults[AFXDP]:
            text = say(
                "do not work here ({reason}; they want root): labs in user space have plain ones",
                reason=faults[AFXDP],
            )
        yield Check(AFXDP, text, True)


def _machine() -> Iterator[Check]:
    user = term("root") if os.geteuid() == 0 else term("an ordinary user")
    in_the_way = list(refusals.find(tun=not switchd.kernel_datapath()))
    sandbox_name, settings = term("a trial sandbox"), term("this machine's settings")
    faults: dict[str, str] = {}
    try:
        trial = sandbox.start("doctor", [], _trial)
        faults = _faults(trial.channel)
        trial.channel.close()
        made = say("namespaces and mounts could be made by {user}", user=user)
        yield Check(sandbox_name, made, True)
        # What a setting forbids in general may be granted to this program (an AppArmor profile).
        in_the_way = [refusal for refusal in in_the_way if refusal.setting == refusals.TUN]
        yield from _links(faults)
    except LabError as error:
        yield Check(sandbox_name, error.message, False, "" if in_the_way else error.hint)
    for refusal in in_the_way:
        if refusal.setting == refusals.APPARMOR:
            yield _apparmor(refusal)
        else:
            yield Check(settings, refusal.message, False, refusal.fix)
    if not in_the_way:
        yield Check(settings, say("allow a lab to {user}", user=user), True)
    yield from _datapath(faults)


def _apparmor(refusal: refusals.Refusal) -> Check:
    """A profile for this hoplab alone, where it can be had, rather than a sysctl for everybody."""
    text, fix = refusal.message, refusal.fix
    with contextlib.suppress(LabError):
        launcher = apparmor.launcher()
        apparmor.profile(launcher)
        fix = apparmor.install_line(launcher)
        text = say("{refusal}; a profile can except {file}", refusal=text, file=launcher)
    return Check(term("this machine's settings"), text, False, fix)


def _folder() -> Check:
    folder = labs.state_folder()
    there = folder
    while not os.path.exists(there):
        there = there.parent
    if not os.path.isdir(there) or not os.access(there, os.W_OK | os.X_OK):
        closed = say("{folder} cannot be written", folder=folder)
        return Check(term("run folder"), closed, False, "export XDG_STATE_HOME=/a/folder/of/yours")
    free = shutil.disk_usage(there).free
    good = free > 50 << 20
    return Check(
        term("run folder"),
        say("{folder}, {n} MiB free", folder=folder, n=free >> 20),
        good,
        "" if good else term("free some space, or set XDG_STATE_HOME to another disk"),
    )


def _neighbours() -> Check:
    """A lab's ARP entries count against a limit of the whole machine (arp(7), gc_thresh3)."""
    try:
        limit = int(Path("/proc/sys/net/ipv4/neigh/default/gc_thresh3").read_text())
    except (OSError, ValueError):
        return Check(term("neighbour table"), term("its limit cannot be read"), True)
    good = limit >= 1024
    return Check(
        term("neighbour table"),
        say("{n} entries for all labs together", n=limit),
        good,
        "" if good else "sudo sysctl -w net.ipv4.neigh.default.gc_thresh3=8192",
    )


def examine() -> list[Check]:
    """All checks, each made whatever the others found."""
    # The trial sandbox forks: it comes before anything that might start a thread.
    machine = list(_machine())
    reported = (Check(name, note.finding, True, note.fix) for name, note in known_faults.notes())
    return [*_modules(), *_programs(), *machine, _folder(), _neighbours(), *reported]
