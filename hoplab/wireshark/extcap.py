# SPDX-License-Identifier: Apache-2.0
"""The program that Wireshark runs to list a lab's interfaces and to capture from them (extcap).

Wireshark calls it with one of these (doc/extcap.txt of Wireshark):

    --extcap-interfaces                     every lab that is up, and each of its interfaces
    --extcap-interface I --extcap-dlts      the link type: Ethernet
    --extcap-interface I --extcap-config    what can be set: only the one that goes through ssh
    --extcap-interface I --extcap-capture-filter F          is the filter understood?
    --extcap-interface I --capture --fifo PATH [...]        frames, until SIGTERM

Interfaces are called `hoplab:LAB` (all of the lab), `hoplab:LAB:INTERFACE`, and `hoplab-ssh`, a
lab on another machine or in a VM, reached through ssh.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import os
import select
import shlex
import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hoplab import __version__
from hoplab.client import labs
from hoplab.errors import Exit, LabError, reason_of
from hoplab.sentences import say, term

if TYPE_CHECKING:
    from hoplab.report.language import Language

PREFIX, SSH = "hoplab:", "hoplab-ssh"
PARENT = os.getppid()  # Wireshark
LOOK_S = 0.05  # between looks whether somebody reads the fifo


def main(argv: Sequence[str] | None = None) -> int:
    """One call by Wireshark. What it should show the user goes to stderr."""
    parser = argparse.ArgumentParser(prog="hoplab (extcap)", description=__doc__)
    for flag in ("--extcap-interfaces", "--extcap-dlts", "--extcap-config", "--capture"):
        parser.add_argument(flag, action="store_true")
    for option in ("--extcap-interface", "--extcap-capture-filter", "--fifo", "--extcap-version",
                   "--ssh-host", "--ssh-lab", "--ssh-hoplab"):  # fmt: skip
        parser.add_argument(option, default="")
    parser.set_defaults(opened=False)  # the fifo was: nobody waits for it any more
    call, _ = parser.parse_known_args(argv)
    wake = _wake() if call.capture else -1
    try:
        if call.extcap_interfaces:
            print("\n".join(interfaces()))
        elif call.extcap_dlts:
            print("dlt {number=1}{name=EN10MB}{display=Ethernet}")
        elif call.extcap_config:
            print("\n".join(configuration(call.extcap_interface)))
        elif call.capture:
            _capture(call, wake)
        elif call.extcap_capture_filter:
            from hoplab.capture import bpf

            bpf.compile(call.extcap_capture_filter)
        else:
            parser.print_help()
    except LabError as error:
        tr = _spoken()
        sys.stderr.write(f"{tr(error.message)}\n{tr(error.hint)}\n")
        sys.stderr.flush()
        if call.capture and call.fifo and not call.opened:
            with contextlib.suppress(LabError):  # Wireshark waits for it until it is opened
                fifo = _open(call.fifo, wake)
                if fifo is not None:
                    os.close(fifo)
        return int(error.code)
    return Exit.OK


def _spoken() -> Language:
    """The user's language: Wireshark passes its environment on."""
    from hoplab.report.language import code_from, language

    return language(code_from(os.environ))


def _safe(text: str) -> str:
    """Text without the characters that the sentences of extcap are made of."""
    return "".join(" " if char in "{}=\n" else char for char in text)


def interfaces() -> list[str]:
    """The list for Wireshark's first page."""
    tr = _spoken()
    lines = [f"extcap {{version={__version__}}}{{help=https://www.wireshark.org/docs/man-pages}}"]

    def line(value: str, display: str) -> None:
        lines.append(f"interface {{value={_safe(value)}}}{{display={_safe(tr(display))}}}")

    for handle in labs.live():
        try:
            state = handle.state()
        except LabError:
            continue  # it is just coming up
        name = handle.name
        whole = say(
            "hoplab {lab}: all of the lab ({topology})", lab=name, topology=state["topology"]
        )
        line(f"{PREFIX}{name}", whole)
        for interface in state["interfaces"]:
            label = interface["name"]
            peer = interface.get("peer")
            way = say("{port} to {port2}", port=label, port2=peer) if peer else label
            line(f"{PREFIX}{name}:{label}", say("hoplab {lab}: {way}", lab=name, way=way))
        if state.get("controller"):
            channel = say("hoplab {lab}: switches and controller (OpenFlow)", lab=name)
            line(f"{PREFIX}{name}:openflow", channel)
    line(SSH, term("hoplab on another machine, through ssh"))
    return lines


def configuration(interface: str) -> list[str]:
    """The fields of Wireshark's dialog for an interface."""
    if interface != SSH:
        return []
    fields = (
        (
            "--ssh-host",
            term("Machine"),
            term("USER@MACHINE, as for ssh; a key must let you in"),
            "",
            True,
        ),
        ("--ssh-lab", term("Lab"), term("the lab's name; empty: the only one there is"), "", False),
        (
            "--ssh-hoplab",
            term("hoplab there"),
            term("how to start hoplab on that machine"),
            "hoplab",
            False,
        ),
    )
    tr = _spoken()
    return [
        f"arg {{number={number}}}{{call={call}}}{{display={_safe(tr(display))}}}{{type=string}}"
        f"{{tooltip={_safe(tr(tip))}}}{{default={default}}}{{required={str(required).lower()}}}"
        for number, (call, display, tip, default, required) in enumerate(fields)
    ]


def ssh_command(host: str, lab: str, hoplab: str, expression: str) -> list[str]:
    """The command line that captures on another machine. Raises LabError."""
    if not host or host.startswith("-"):
        raise LabError(
            term("no machine is named to reach through ssh"),
            term("set it by the wheel beside the interface: USER@MACHINE"),
            Exit.USAGE,
        )
    there = [*(shlex.split(hoplab) or ["hoplab"]), "capture", "-w", "-"]
    if lab:
        there += ["--name", lab]
    if expression:
        there += ["--filter", expression]
    return ["ssh", "-o", "BatchMode=yes", host, shlex.join(there)]


def _wake() -> int:
    """From now on SIGTERM and SIGINT end nothing at once: this descriptor can be read then."""
    wake_read, wake_write = os.pipe()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os.write(wake_write, b"x"))
    return wake_read


def _open(path: str, wake: int) -> int | None:
    """The fifo, once somebody reads it; None when we are told to end or Wireshark is gone before.

    A plain open would wait in the kernel for a reader that may never come. Raises LabError.
    """
    while os.getppid() == PARENT:
        try:
            fifo = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            if error.errno != errno.ENXIO:  # that nobody reads it yet: fifo(7)
                raise LabError(
                    say(
                        "{output} cannot be written: {reason}",
                        output=path,
                        reason=reason_of(error),
                    ),
                    "",
                    Exit.FAILED,
                ) from None
        else:
            os.set_blocking(fifo, True)
            return fifo
        if select.select([wake], [], [], LOOK_S)[0]:
            break
    return None


def _capture(call: argparse.Namespace, wake: int) -> None:
    """Frames into the fifo until SIGTERM, or until Wireshark closes it."""
    if not call.fifo:
        raise LabError(term("there is no --fifo to write to"), "", Exit.USAGE)
    if call.extcap_interface == SSH:
        argv = ssh_command(call.ssh_host, call.ssh_lab, call.ssh_hoplab, call.extcap_capture_filter)
        fifo = _open(call.fifo, wake)
        if fifo is None:
            return
        call.opened = True
        ssh = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=fifo)
        _accompany(ssh, wake, fifo)
        os.close(fifo)
        return
    lab, _, interface = call.extcap_interface.removeprefix(PREFIX).partition(":")
    program = None
    if call.extcap_capture_filter:
        from hoplab.capture import bpf

        program = bpf.compile(call.extcap_capture_filter)
    handle = labs.find(lab)
    wanted = [interface] if interface else []
    request: dict[str, Any] = {"op": "listen", "interfaces": wanted, "filter": program}
    with handle.connect() as sock:
        fifo = _open(call.fifo, wake)
        if fifo is None:
            return
        call.opened = True
        labs.send(sock, request, (fifo,))
        labs.receive(sock, lab)
        if sock.fileno() not in _first((sock.fileno(), wake), fifo):
            labs.send(sock, {"stop": True})
        os.close(fifo)
        with contextlib.suppress(LabError):  # the lab has ended, hence the capture
            labs.receive(sock, lab, 5)


def _first(descriptors: Sequence[int], fifo: int) -> set[int]:
    """Those that can be read, as soon as there is one, and `fifo` when nobody reads it any more."""
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    poll.register(fifo, 0)  # its POLLERR is told in any case
    return {descriptor for descriptor, _ in poll.poll()}


def _accompany(process: subprocess.Popen[bytes], wake: int, fifo: int) -> None:
    """Until the process ends, or we are told to end it. That nobody reads the fifo any more is the
    usual end: Wireshark closes it first."""
    pidfd = os.pidfd_open(process.pid)
    _first((pidfd, wake), fifo)
    os.close(pidfd)
    if process.poll() is None:
        process.terminate()
    code = process.wait()
    reader = select.poll()
    reader.register(fifo, select.POLLERR)
    if code not in (0, -signal.SIGTERM) and not reader.poll(0):
        raise LabError(
            say("ssh ended with {code}", code=code),
            term("try the same by hand in a terminal"),
            Exit.FAILED,
        )


if __name__ == "__main__":
    sys.exit(main())
