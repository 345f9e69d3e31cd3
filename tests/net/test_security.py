# SPDX-License-Identifier: Apache-2.0
"""What docs/security.md promises, promise by promise; the doc names each of these tests."""

from __future__ import annotations

import json
import os
import re
import socket
import stat
import subprocess
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hoplab.kernel import sandbox
from tests.conftest import NOBODY, PROJECT, World

pytestmark = pytest.mark.net


def test_every_promise_has_a_test() -> None:
    promised = set(re.findall(r"`(test_\w+)`", (PROJECT / "docs" / "security.md").read_text()))
    here = {name for name in globals() if name.startswith("test_")} - {
        "test_every_promise_has_a_test"
    }
    files = "".join(path.read_text() for path in (PROJECT / "tests").rglob("test_*.py"))
    everywhere = set(re.findall(r"^ *def (test_\w+)", files, re.MULTILINE))
    assert here <= promised <= everywhere


def on(world: World, host: str, program: str, *arguments: str) -> list[str]:
    """The lines that a Python program prints on a host."""
    script = textwrap.dedent(program)
    ended = world("exec", "--name", "one", host, "--", "/usr/bin/python3", "-c", script, *arguments)
    return ended.out.splitlines()


@pytest.fixture
def lab(anybody: World) -> Iterator[World]:
    """A lab called one, and beside it one called two."""
    anybody("up", "cable", "--name", "one")
    anybody("up", "cable", "--name", "two")
    yield anybody


# --------------------------------------------------------------------------- from inside a lab


def test_a_host_reaches_nothing_of_the_machine(lab: World) -> None:
    """Not its loopback services, its abstract sockets, its processes, its own addresses."""
    with socket.socket() as tcp, socket.socket(socket.AF_UNIX) as abstract:
        tcp.bind(("127.0.0.1", 0))
        tcp.listen()
        name = f"hoplab-test-{os.getpid()}"
        abstract.bind("\0" + name)
        abstract.listen()
        for trial in (tcp.getsockname(), "\0" + name):  # they are there, from outside
            family = socket.AF_INET if isinstance(trial, tuple) else socket.AF_UNIX
            with socket.socket(family) as here:
                here.connect(trial)
        printed = on(
            lab, "h1",
            """
            import os, socket, sys
            port, name, pid = int(sys.argv[1]), sys.argv[2], sys.argv[3]
            for what, family, address in (
                ("tcp", socket.AF_INET, ("127.0.0.1", port)),
                ("abstract", socket.AF_UNIX, "\\0" + name),
                ("outside", socket.AF_INET, ("192.0.2.1", 80)),
            ):
                trial = socket.socket(family)
                trial.settimeout(2)
                print(what, trial.connect_ex(address) if family == 2 else
                      (trial.connect_ex(address) or "reached"))
            words = [open(f"/proc/{n}/cmdline").read() for n in os.listdir("/proc")
                     if n.isdigit()]
            print("processes", any("py" + "test" in w for w in words))
            print("interfaces", sorted(n for _, n in socket.if_nameindex()))
            """,
            str(tcp.getsockname()[1]), name, str(os.getpid()),
        )  # fmt: skip
    assert printed == [
        "tcp 111", "abstract 111", "outside 101", "processes False",
        "interfaces ['h1-eth0', 'lo']",
    ]  # fmt: skip


def test_a_host_reaches_no_other_lab(lab: World) -> None:
    """Neither its hosts, nor its folder, nor its socket; and its own lab takes no orders."""
    assert lab("exec", "--name", "two", "h1", "--", "true").code == 0
    folder = str(lab.state / "hoplab" / "labs")
    printed = on(
        lab, "h1",
        """
        import json, os, socket, sys
        print(os.listdir(sys.argv[1]))
        own = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        os.chdir(sys.argv[1] + "/one")
        own.connect("lab.sock")
        own.send(json.dumps({"op": "status"}).encode())
        print(json.loads(own.recv(99999))["error"]["say"])
        """,
        folder,
    )  # fmt: skip
    assert printed == ["['one']", "a lab takes no orders from its own hosts"]
    # Wherever it was brought up.
    labs = Path(folder)
    for name, cwd in (("three", labs), ("four", labs / "two"), ("five", Path("/run"))):
        brought = lab.popen("up", "switch", "--name", name, cwd=cwd)
        assert brought.wait(timeout=120) == 0, brought.stderr.read()
        seen = lab("exec", "--name", name, "h1", "--", "ls", folder, "/run").out.split()
        assert name in seen and "two" not in seen and "lab.sock" not in seen
        assert not set(os.listdir("/run")) & (set(seen) - {"openvswitch", "lock", "hoplab"})
        here = lab("exec", "--name", name, "h1", "--", "ls", "/proc/1/cwd/").out.split()
        assert "lab.sock" not in here and "two" not in here
        lab("down", "--name", name)


def test_the_socket_is_the_users_alone(hoplab: World) -> None:
    """0700 and 0600; and if somebody opened both, the lab looks who asks."""
    if os.geteuid() != 0:
        pytest.skip("to be another user needs root")
    hoplab("up", "cable", "--name", "one")
    folder = hoplab.state / "hoplab" / "labs" / "one"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "lab.sock").stat().st_mode) == 0o600
    script = (
        "import json, socket, sys; s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); "
        "s.connect('lab.sock'); s.send(b'{\"op\": \"down\"}'); print(s.recv(9999).decode())"
    )
    folder.chmod(0o777)
    (folder / "lab.sock").chmod(0o666)
    stranger = ["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups"]
    parents = [path for path in folder.parents if path.is_relative_to(hoplab.home)]
    for path in parents:
        path.chmod(0o755)
    result = subprocess.run(
        [*stranger, "/usr/bin/python3", "-c", script],
        cwd=folder, capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert json.loads(result.stdout)["error"]["say"] == "this lab is another user's", result.stderr
    assert [each["name"] for each in hoplab("ls", "--json").json] == ["one"]


def test_the_machines_power_is_given_up(lab: World) -> None:
    """No modules, reboot, clock, devices, raw I/O, kernel log; the machine's settings are not for
    writing; the network's are."""
    printed = on(
        lab, "h1",
        """
        import ctypes, os, time
        libc = ctypes.CDLL(None, use_errno=True)
        def trial(what, work):
            try:
                work()
                print(what, "done")
            except OSError as error:
                print(what, "refused")
        def syscall(number, *arguments):
            if libc.syscall(number, *arguments) != 0:
                raise OSError(ctypes.get_errno(), "")
        trial("clock", lambda: time.clock_settime(time.CLOCK_REALTIME, time.time()))
        trial("device", lambda: os.mknod("/run/disk", 0o60666, os.makedev(8, 0)))
        intel = os.uname().machine == "x86_64"
        trial("module", lambda: syscall(175 if intel else 105, b"", 0, b""))
        trial("raw", lambda: syscall(173, 0, 1, 1) if intel else os.open("/dev/mem", 2))
        trial("panic", lambda: open("/proc/sys/kernel/panic", "r+").close())
        trial("sysrq", lambda: open("/proc/sysrq-trigger", "w").close())
        trial("sys", lambda: open("/sys/kernel/uevent_helper", "r+").close())
        trial("forward", lambda: open("/proc/sys/net/ipv4/ip_forward", "w").write("0"))
        status = open("/proc/self/status").read()
        print(int(status.split("CapBnd:")[1].split()[0], 16))
        """,
    )  # fmt: skip
    held = int(printed.pop())
    assert [name for name, bit in sandbox.NOT_NEEDED.items() if held >> bit & 1] == []
    assert printed == [
        "clock refused", "device refused", "module refused", "raw refused", "panic refused",
        "sysrq refused", "sys refused", "forward done",
    ]  # fmt: skip


def test_a_host_has_no_more_of_the_files_than_the_user(make_world: Any) -> None:
    """Root inside a user's lab is the user outside."""
    if os.geteuid() != 0:
        pytest.skip("to make a file that is root's needs root")
    world = make_world(as_user=True)
    secret = world.home / "secret"
    secret.write_text("root's")
    secret.chmod(0o600)
    os.chown(secret, 0, 0)
    world("up", "cable", "--name", "one")
    ended = world("exec", "--name", "one", "h1", "--", "cat", str(secret), code=1)
    assert "Permission denied" in ended.err
    world("exec", "--name", "one", "h1", "--", "touch", str(world.home / "mine"))
    assert (world.home / "mine").stat().st_uid == NOBODY
    ended = world(
        "exec", "--name", "one", "h1", "--", "chown", "1", str(world.home / "mine"), code=1
    )


# ------------------------------------------------------------------------------- what was captured

HOSTILE = (
    "\x1b]0;owned\x07\x1b[31m<script>alert(1)</script>$(touch pwned)`touch pwned`"
    "|x|\n# h\n[a](javascript:alert(1))"
)


HTTP = f"""
import socket
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
labels = [{HOSTILE[:30]!r}, '<img src=x onerror=1>', '\\x1b[2Jx']
name = b''.join(bytes([len(l.encode())]) + l.encode() for l in labels) + b'\\0'
head = b'\\x12\\x34\\x01\\0\\0\\x01' + bytes(6)
udp.sendto(head + name + b'\\0\\x01\\0\\x01', ('192.168.1.2', 53))
udp.sendto({HOSTILE!r}.encode(), ('192.168.1.2', 9))
print({HOSTILE!r})
"""


def test_captured_names_are_data_everywhere(hoplab: World) -> None:
    """In a terminal, in HTML, in SVG, in Markdown, in JSON."""
    run = hoplab.home / "run"
    # What the command itself prints is passed on as it is, unless that is kept back.
    result = hoplab(
        "trace", "--topology", "cable", "--down", "--save", str(run), "--detail", "full", "--quiet",
        "h1", "--", "python3", "-c", HTTP, code=None,
    )  # fmt: skip
    assert "DNS" in result.out and "UDP" in result.out  # something was told
    assert "\x1b" not in result.out and "\x07" not in result.out
    for form in ([], ["--svg"], ["--md"]):
        text = hoplab("report", str(run), *form, "-o", "-").out
        assert "\x1b" not in text and "<img src=x" not in text, form
        assert "<script>alert" not in text, form
    assert not list(hoplab.home.rglob("pwned"))


# ------------------------------------------------------------------------------- run files


def test_a_hostile_run_writes_nowhere_else(hoplab: World) -> None:
    """Names that are paths, links out of the folder, a capture that is none."""
    run = hoplab.home / "run"
    hoplab("trace", "--topology", "cable", "--down", "--save", str(run), "h1", "--",
           "ping", "-c", "1", "192.168.1.2")  # fmt: skip
    treasure = hoplab.home / "treasure"
    treasure.write_text("old")
    state = json.loads((run / "lab.json").read_text())
    text = json.dumps(state).replace("h1", "../../treasure")
    (run / "lab.json").write_text(text)
    (run / "report.html").symlink_to(treasure)
    (run / "trace.json").write_text('{"__class__": "os.system", "topology_file": "/etc/passwd"}')
    before = _files(hoplab.home)
    result = hoplab("report", str(run), "-o", str(hoplab.home / "page.html"), code=None)
    assert "Traceback" not in result.err
    hoplab("report", str(run), code=None)
    assert treasure.read_text() == "old"
    new = _files(hoplab.home) - before
    assert new <= {hoplab.home / "page.html"}
    for content in (b"", b"\x0a\x0d\x0d\x0a" + b"\xff" * 64, os.urandom(400)):
        (run / "capture.pcapng").write_bytes(content)
        result = hoplab("report", str(run), "-o", "-", code=None)
        assert "Traceback" not in result.err and result.code != 0
    assert _files(hoplab.home) - before <= {hoplab.home / "page.html"}


def _files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if "state" not in path.parts}
