# SPDX-License-Identifier: Apache-2.0
"""The verb that shows a run or a lab in Wireshark: `wireshark`."""

from __future__ import annotations

import argparse
import getpass
import os
import shlex
import shutil
import socket
import subprocess
import sys
from pathlib import Path

from hoplab import wait
from hoplab.cli import output
from hoplab.client import labs
from hoplab.errors import Exit, LabError
from hoplab.sentences import say, term


def wireshark(arguments: argparse.Namespace) -> int:
    if arguments.what in ("install", "uninstall"):
        return _install() if arguments.what == "install" else _uninstall()
    from hoplab.wireshark import install, profile

    look = ["-C", profile.NAME] if install.installed() else profile.options()
    run = _run(arguments.what) if arguments.what else None
    program = shutil.which("wireshark")
    seen = bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    # Before anything is opened or said: is there such a lab?
    handle = labs.find(arguments.what) if run is None else None
    if not program or not seen:
        why = term("there is no display here") if program else term("wireshark is not installed")
        print(_from_elsewhere(run, handle, why))
        return Exit.OK
    if run is not None:
        return subprocess.run([program, *look, "-r", str(run)]).returncode
    assert handle is not None
    return _live(handle, [program, *look, "-k", "-i", "-"])


def _run(word: str) -> Path | None:
    """The file that is meant, None for the name of a lab."""
    path = Path(word)
    inside = path / "capture.pcapng"
    if inside.is_file():
        return inside.resolve()
    if path.is_file():
        return path.resolve()
    if path.is_dir() or "/" in word:
        raise LabError(
            say("{folder} is no run: it holds no capture.pcapng", folder=word),
            term("a run is what `hoplab visit --save DIR` leaves"),
            Exit.NO_SUCH,
        )
    return None


def _live(handle: labs.Handle, argv: list[str]) -> int:
    """Wireshark with the lab's frames coming in, until it is closed or the lab ends."""
    read_end, write_end = os.pipe()
    with handle.connect() as sock:
        labs.send(sock, {"op": "listen", "interfaces": []}, (write_end,))
        os.close(write_end)
        labs.receive(sock, handle.name)
        process = subprocess.Popen(argv, stdin=read_end)
        os.close(read_end)
        pidfd = os.pidfd_open(process.pid)
        # The lab may end first; Wireshark stays open then, with what it has.
        wait.readable([pidfd, sock.fileno()])
        os.close(pidfd)
        return process.wait()


def _from_elsewhere(run: Path | None, handle: labs.Handle | None, why: str) -> str:
    from hoplab.wireshark import profile

    # The address by which the user reached this machine, where ssh tells it (ssh(1)).
    reached = os.environ.get("SSH_CONNECTION", "").split()
    machine = reached[2] if len(reached) == 4 else socket.gethostname()
    target = f"{getpass.getuser()}@{machine}"
    look = shlex.join(profile.options())
    if run is not None:
        commands = [
            f"scp {shlex.quote(f'{target}:{run}')} lab.pcapng",
            f"wireshark {look} -r lab.pcapng",
        ]
        place = term("On a machine that has Wireshark and a display")
    else:
        assert handle is not None
        there = shlex.join([*_hoplab(), "capture", "--name", handle.name, "-w", "-"])
        commands = [
            f"ssh {target} {shlex.quote(there)} | wireshark {look} -k -i -",
            f"ssh {target} {shlex.quote(there + ' --duration 10')} > lab.pcapng",
        ]
        place = term(
            "On a machine that has Wireshark and a display: live, or ten seconds into a file"
        )
    lines = "".join(f"  {command}\n" for command in commands)
    heading = output.tr(say("{reason}. {place}:", reason=why, place=place))
    return f"{heading}\n{lines}".rstrip()


def _hoplab() -> list[str]:
    """How to start hoplab from an ssh that knows no PATH of ours."""
    own = Path(sys.argv[0])
    if own.name == "hoplab" and own.is_file():
        return [str(own.resolve())]
    return [sys.executable, "-m", "hoplab.cli.main"]


def _install() -> int:
    from hoplab.wireshark import install

    with output.Progress() as progress:
        progress(term("asking Wireshark where its folders are"))
        changes = install.install(output.tr)
    for path in changes.files:
        print(path)
    text = term(
        "Wireshark and tshark now list the interfaces of your labs (tshark -D), and have the\n"
        "profile hoplab (tshark -C hoplab …; in Wireshark: Edit, Configuration Profiles)."
    )
    print(output.tr(text))
    return Exit.OK


def _uninstall() -> int:
    from hoplab.wireshark import install

    changes = install.uninstall()
    if not changes.files and not changes.kept:
        print(output.tr(term("nothing of hoplab was in Wireshark's folders")))
    for path in changes.files:
        print(output.tr(say("removed {file}", file=path)))
    for path in changes.kept:
        print(output.tr(say("left, because it was changed since: {file}", file=path)))
    return Exit.OK
