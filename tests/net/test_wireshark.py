# SPDX-License-Identifier: Apache-2.0
"""`hoplab wireshark`: what it puts in place is found, shown and used by a real tshark."""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hoplab.wait import patience
from tests.conftest import need

pytestmark = pytest.mark.net


def tshark(world: Any, *arguments: str) -> subprocess.CompletedProcess[str]:
    """tshark as the user of that world."""
    return subprocess.run(
        [need("tshark"), *arguments], capture_output=True, text=True,
        env=world.environment(), cwd=world.home, timeout=60,
    )  # fmt: skip


def everything(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_interfaces_are_listed_captured_from_and_gone_again(hoplab: Any) -> None:
    need("tshark")
    hoplab("up", "switch", "--name", "demo")
    hoplab("wireshark", "install")
    listed = tshark(hoplab, "-D").stdout
    assert "hoplab:demo (hoplab demo: all of the lab (switch))" in listed
    assert "hoplab:demo:s1-eth1 (hoplab demo: s1-eth1 to h1-eth0)" in listed
    reader = subprocess.Popen(
        [need("tshark"), "-l", "-C", "hoplab", "-i", "hoplab:demo", "-f", "icmp", "-c", "8",
         "-T", "fields", "-e", "frame.interface_name", "-e", "icmp.type"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        env=hoplab.environment(), cwd=hoplab.home,
    )  # fmt: skip
    while reader.poll() is None:  # it takes a while to begin; each ping is a chance to be seen
        hoplab(
            "exec",
            "--name",
            "demo",
            "h1",
            "--",
            "ping",
            "-c",
            "1",
            "-W",
            "1",
            "10.0.0.2",
            code=None,
        )
    rows = [line.split("\t") for line in reader.communicate()[0].splitlines()]
    there = ["h1-eth0", "s1-eth1", "s1-eth2", "h2-eth0"]
    assert len(rows) == 8 and {row[0] for row in rows} == set(there)
    hoplab("down", "--name", "demo")
    assert "hoplab:demo" not in tshark(hoplab, "-D").stdout
    hoplab("wireshark", "uninstall")
    assert "hoplab" not in tshark(hoplab, "-D").stdout


def test_a_filter_that_is_wrong_is_told_by_tshark(hoplab: Any) -> None:
    need("tshark")
    hoplab("up", "cable")
    hoplab("wireshark", "install")
    ended = tshark(hoplab, "-i", "hoplab:lab", "-f", "arp orr", "-a", "duration:1")
    assert "cannot be understood" in ended.stdout + ended.stderr


def test_the_profile_shows_hops_and_finds_no_false_retransmission(hoplab: Any) -> None:
    need("tshark")
    hoplab("visit", "--save", "run", "--down", "--controller", "two_table_switch")
    hoplab("wireshark", "install")
    file = str(hoplab.home / "run" / "capture.pcapng")
    plain = tshark(hoplab, "-r", file, "-Y", "tcp.analysis.retransmission").stdout
    assert plain.count("\n") > 10, "what the profile is there to cure"
    ours = tshark(hoplab, "-C", "hoplab", "-r", file, "-Y", "tcp.analysis.flags")
    assert ours.stdout == ""
    ended = tshark(hoplab, "-C", "hoplab", "-r", file, "-Y", "http.request && eth")
    rows = ended.stdout.splitlines()
    assert len(rows) == 10
    assert "client-eth0 Outbound 02:00:00:00:" in rows[0] and " 64 HTTP" in rows[0]
    assert "www-eth0 Inbound" in rows[-1] and " 62 HTTP" in rows[-1]
    complaints = [line for line in ours.stderr.splitlines() if "root" not in line]
    assert complaints == []
    colours = tshark(hoplab, "-C", "hoplab", "-r", file, "-T", "fields",
                     "-e", "frame.coloring_rule.name", "--color").stdout  # fmt: skip
    for name in ("Step 1: ARP", "Step 2: DNS", "Step 3: TCP", "Step 4: HTTP", "Step 5: TCP"):
        assert name in colours


def test_uninstall_removes_exactly_what_was_put_there(hoplab: Any) -> None:
    config = hoplab.home / ".config"
    (config / "wireshark" / "profiles").mkdir(parents=True)
    (config / "wireshark" / "preferences").write_text("mine\n")
    before = everything(config)
    hoplab("wireshark", "install")
    hoplab("wireshark", "install")
    assert len(everything(config)) == len(before) + 7
    # Wireshark itself writes this one anew whenever it ends: not somebody's work to keep.
    (config / "wireshark" / "profiles" / "hoplab" / "recent").write_text("column.width: %m, 9\n")
    hoplab("wireshark", "install")
    (config / "wireshark" / "profiles" / "hoplab" / "recent").write_text("column.width: %m, 9\n")
    hoplab("wireshark", "uninstall")
    assert everything(config) == before
    assert "nothing" in hoplab("wireshark", "uninstall").out
    hoplab("wireshark", "install")
    changed = config / "wireshark" / "profiles" / "hoplab" / "preferences"
    changed.write_text("mine now\n")
    assert "is there already" in hoplab("wireshark", "install", code=5).err
    assert f"changed since: {changed}" in hoplab("wireshark", "uninstall").out
    assert [p for p in everything(config) if p not in before] == [
        "wireshark/profiles/hoplab", "wireshark/profiles/hoplab/preferences"
    ]  # fmt: skip


def test_without_a_display_the_commands_for_elsewhere_are_printed(hoplab: Any) -> None:
    hoplab("up", "cable")
    (hoplab.home / "run").mkdir()
    (hoplab.home / "run" / "capture.pcapng").write_bytes(b"")
    hoplab.env.update(DISPLAY="", WAYLAND_DISPLAY="", SSH_CONNECTION="192.0.2.1 5 192.0.2.7 22")
    live = hoplab("wireshark").out
    assert "ssh " in live and "@192.0.2.7 " in live and "capture --name lab -w -" in live
    assert "| wireshark" in live
    saved = hoplab("wireshark", "run").out
    assert f"@192.0.2.7:{hoplab.home}/run/capture.pcapng" in saved and "scp " in saved
    assert "no lab called nolab" in hoplab("wireshark", "nolab", code=4).err
    assert "holds no capture" in hoplab("wireshark", str(hoplab.home), code=4).err


def test_a_display_and_a_wireshark_are_used(hoplab: Any) -> None:
    """A stand-in for Wireshark, which reads its input to the end and says how it was called."""
    hoplab("up", "cable")
    programs = hoplab.home / "bin"
    programs.mkdir()
    fake = programs / "wireshark"
    fake.write_text('#!/bin/sh\nhead -c 4 | od -An -tx1\necho "$@"\n')
    fake.chmod(0o755)
    hoplab.env.update(DISPLAY=":9", PATH=f"{programs}:{os.environ['PATH']}")
    out = hoplab("wireshark", "lab").out
    assert "0a 0d 0d 0a" in out and "-k -i -" in out and "analyze_sequence_numbers:FALSE" in out


@pytest.fixture
def ssh_server(tmp_path: Path) -> Iterator[Path]:
    """An sshd of our own on the loopback, with keys of its own; gives a folder with an `ssh` that
    knows it. Only root may start one that lets root in."""
    if os.geteuid() != 0:
        pytest.skip("not root: sshd for this test runs as root")
    sshd = need("sshd")  # it wants its whole path; the package is openssh-server
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for name in ("host", "user"):
        key = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / name)]
        subprocess.run([need(key[0]), *key[1:]], check=True, timeout=30)
    (tmp_path / "known").write_text(
        f"[127.0.0.1]:{port} " + " ".join((tmp_path / "host.pub").read_text().split()[:2]) + "\n"
    )
    (tmp_path / "sshd_config").write_text(
        f"ListenAddress 127.0.0.1:{port}\nHostKey {tmp_path}/host\nPidFile none\nUsePAM no\n"
        f"AuthorizedKeysFile {tmp_path}/user.pub\nStrictModes no\nPasswordAuthentication no\n"
        "PermitRootLogin prohibit-password\n"
    )
    (tmp_path / "ssh_config").write_text(
        f"Host labs\n HostName 127.0.0.1\n Port {port}\n User root\n IdentitiesOnly yes\n"
        f" IdentityFile {tmp_path}/user\n UserKnownHostsFile {tmp_path}/known\n"
    )
    (tmp_path / "bin").mkdir()
    ours = tmp_path / "bin" / "ssh"
    ours.write_text(f'#!/bin/sh\nexec {need("ssh")} -F {tmp_path}/ssh_config "$@"\n')
    ours.chmod(0o755)
    separate = Path("/run/sshd")  # compiled into it; an empty folder
    made = not separate.exists()
    separate.mkdir(exist_ok=True, mode=0o755)
    log = open(tmp_path / "log", "w")  # noqa: SIM115
    server = subprocess.Popen([sshd, "-D", "-e", "-f", str(tmp_path / "sshd_config")], stderr=log)
    try:
        deadline = time.monotonic() + 20 * patience()
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            text = (tmp_path / "log").read_text()
            assert server.poll() is None and time.monotonic() < deadline, f"no sshd: {text}"
            time.sleep(0.02)
        yield tmp_path / "bin"
    finally:
        server.terminate()
        server.wait(10)
        log.close()
        if made:
            separate.rmdir()


def test_a_lab_on_another_machine_is_captured_through_ssh(hoplab: Any, ssh_server: Path) -> None:
    need("tshark")
    hoplab("up", "switch", "--name", "far")
    hoplab("wireshark", "install")
    env = hoplab.environment()
    kept = [f"{name}={env[name]}" for name in ("HOME", "XDG_STATE_HOME", "PYTHONPATH")]
    there = shlex.join(["env", *kept, *hoplab.argv([])])
    options = {"sshhost": "labs", "sshlab": "far", "sshhoplab": there}
    reader = subprocess.Popen(
        [need("tshark"), "-l", "-i", "hoplab-ssh", "-f", "icmp", "-c", "8",
         *(word for name, value in options.items()
           for word in ("-o", f"extcap.hoplab_ssh.{name}:{value}")),
         "-T", "fields", "-e", "frame.interface_name", "-e", "icmp.type"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=hoplab.home,
        env={**env, "PATH": f"{ssh_server}:{env['PATH']}"},
    )  # fmt: skip
    deadline = time.monotonic() + 60 * patience()
    while reader.poll() is None:  # it takes a while to begin; each ping is a chance to be seen
        assert time.monotonic() < deadline, "tshark has not seen eight frames in time"
        ping = ("ping", "-c", "1", "-W", "1", "10.0.0.2")
        hoplab("exec", "--name", "far", "h1", "--", *ping, code=None)
    out, err = reader.communicate()
    rows = [line.split("\t") for line in out.splitlines()]
    assert len(rows) == 8, err
    assert {row[0] for row in rows} == {"h1-eth0", "s1-eth1", "s1-eth2", "h2-eth0"}
