# SPDX-License-Identifier: Apache-2.0
"""A command of the user's in a machine of its own: any Mininet script, or `mn` itself, unchanged.

The machine is a sandbox with a /tmp and an Open vSwitch of its own; it ends with the command, or
with the command line that began it, whichever ends first and however. What runs inside is stock
Mininet with its own classes; only what cannot work there is told to it (`sitecustomize.py`), and
programs that it looks for and the machine does not have are provided (`PROGRAMS`). Once the command
has built a network it is a lab like any other, with a name, a folder and a socket (`guest.py`).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import importlib.util
import json
import os
import re
import shlex
import shutil
import socket
import stat
import subprocess
import sys
import termios
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hoplab import content, programs
from hoplab.capture.capture import Capture
from hoplab.client import interrupts, labs, outside, up_down
from hoplab.control import preloaded
from hoplab.errors import Exit, LabError, is_full, reason_of
from hoplab.kernel import cgroups, netlink, refusals, sandbox, system_calls
from hoplab.openvswitch import daemons as switchd
from hoplab.outfile import OutFile, empty, unwritable
from hoplab.sentences import say, term, to_plain
from hoplab.service.spec import LARGEST_MESSAGE
from hoplab.stock import advice, display, guest, stand_ins
from hoplab.stock.company import Show, accompany

OWN = Path("/run/hoplab")  # in the private machine
MOST_FILES = 500  # that are looked for, of those that went with the machine's /tmp
_OF_MININET = re.compile(r"c[a-z]?\d+\.log|\S+-of[dp]\.log")  # in /tmp: of controllers, UserSwitch

_CONTROLLER = """#!/bin/sh
# What ovs-testcontroller is to Mininet: listens on ptcp:PORT and makes switches learn.
port=6653
for word; do case $word in ptcp:*) port=${word#ptcp:}; port=${port%%:*} ;; esac; done
touch /run/hoplab/first_controller
@ELSEWHERE@
PYTHONPATH=@OURS@:@CONTROLLERS@ exec @PYTHON@ -m @MODULE@ @FIRST@ --ofp-tcp-listen-port "$port"
"""
# Programs that Mininet and its scripts look for. FIRST stand before the machine's own: inside, one
# is root already, and a service is what this machine has started or nothing.
FIRST = {
    "sudo": """#!/bin/sh
while :; do case $1 in
    -u|-g|-C|-h|-p) shift 2 ;; --) shift; break ;; -*) shift ;; *) break ;;
esac; done
exec env "$@"
""",
    "service": """#!/bin/sh
case $1 in openvswitch*|ovs*) exit 0 ;; esac
echo "$1: there are no services in here" >&2; exit 1
""",
    "systemctl": """#!/bin/sh
case "$*" in *openvswitch*|*ovs-*) exit 0 ;; esac
echo "systemctl: there are no services in here" >&2; exit 1
""",
    "modprobe": "#!/bin/sh\nexit 0\n",
}
PROGRAMS = {
    "controller": _CONTROLLER,
    "ovs-testcontroller": _CONTROLLER,
    "ryu-manager": """#!/bin/sh
@ELSEWHERE@
PYTHONPATH=@OURS@ exec @PYTHON@ -m @MODULE@ "$@"
""",
    "telnet": """#!/usr/bin/env bash
# As far as Mininet uses it: is anybody listening there?
host=${@: -2:1} port=${@: -1}
if (exec 3<>"/dev/tcp/$host/$port") 2>/dev/null; then
    echo "Connected to $host."; echo "Connection closed by foreign host." >&2; exit 1
fi
echo "telnet: Unable to connect to remote host: Connection refused" >&2; exit 1
""",
}


def run(argv: Sequence[str], show: Show, *, capture: Path | None = None, datapath: str = "auto",
        own_tmp: bool = True, keep_tmp: Path | None = None, wish: guest.Wish | None = None,
        reach: outside.Outside | None = None) -> int:  # fmt: skip
    """Run a command in a machine of its own; returns its exit code, 128 + N if signal N ended it.

    show: called with notes for the user. capture: a pcapng file for what all interfaces hear, from
    when they appear. own_tmp: the command has an empty /tmp, which goes with it; keep_tmp: a folder
    that is its /tmp and stays. wish: what is wished of the lab that its network is. reach: the
    controllers outside that its switches may reach. Raises LabError.
    """
    wish = wish or guest.Wish()
    keep = [*_kept_folders(argv), *wish.folders()]
    if keep_tmp is not None:
        keep.append(_made(keep_tmp))
    claimed = guest.claim(argv, wish)
    port = display.port_of(os.environ)
    screen = display.Display(port) if port else None
    own_tmp = own_tmp and "/tmp" not in map(os.path.realpath, keep)
    try:
        file = OutFile(capture, "--capture") if capture is not None else None
        ends = _Descriptors(file.fd if file is not None else -1)
        command = _Inside(
            list(argv), ends.streams, ends.out, datapath, ends.master >= 0, own_tmp, wish, claimed
        )
        command.keep_tmp = str(keep_tmp.absolute()) if keep_tmp is not None else ""
        command.screen = screen
        try:
            return _run(command, ends, keep, show, capture, reach or outside.Outside())
        except BaseException:
            if file is not None:
                file.discard()
            raise
        finally:
            ends.close()
    finally:
        if screen is not None:
            screen.close()
        claimed.give_up()


def _run(command: _Inside, ends: _Descriptors, keep: Sequence[str], show: Show,
         capture: Path | None, reach: outside.Outside) -> int:  # fmt: skip
    """The command in its machine, which has ended when this returns."""
    claimed, started = command.claimed, None
    own = [str(claimed.folder)] if claimed.folder is not None else []
    try:
        interrupts.hold_interrupts()  # until it is known what there is to end
        try:
            started = sandbox.start(
                "mininet", [*keep, *own], command.main, hide=_labs(), own=own,
                own_tmp=command.own_tmp, fds=[*ends.inside(), *claimed.fds(), *command.fds()],
            )  # fmt: skip
            claimed.hand_over(started.pid)
        finally:
            interrupts.release_interrupts()
        ends.hand_over()
        if command.screen is not None:
            command.screen.start()
        return accompany(started, ends.master, command.argv, show, capture, reach)
    finally:
        if started is not None:
            up_down.end_process(started.pid, within_s=10)
            cgroups.sweep()


def _kept_folders(argv: Sequence[str]) -> list[str]:
    """The folders that the command finds in its machine as they are outside."""
    named = [os.path.dirname(os.path.abspath(word)) for word in argv if os.path.exists(word)]
    ours = Path(__file__).resolve().parents[2]
    return [labs.here(), "/tmp/.X11-unix", *named, str(ours), sys.prefix]


def _made(folder: Path) -> str:
    """The folder, made if there is none. Raises LabError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(error, str(folder), "--keep-tmp") from error
    return str(folder.absolute())


class _Descriptors:
    """What goes into the machine, and our end of the command's terminal.

    streams: the command's stdin, stdout and stderr; each that is our terminal becomes one of its
    own. master: our end of that, -1 without one. out: the capture's file, -1 without one.
    """

    def __init__(self, out: int) -> None:
        self.out = out
        self.master = self._slave = -1
        if os.isatty(0):
            self.master, self._slave = os.openpty()
        self.streams = [os.dup(self._end_for(fd)) for fd in (0, 1, 2)]

    def _end_for(self, fd: int) -> int:
        return self._slave if self.master >= 0 and os.isatty(fd) else fd

    def inside(self) -> list[int]:
        """Those that the machine has, too."""
        return [*self.streams, self.out] if self.out >= 0 else list(self.streams)

    def hand_over(self) -> None:
        """The machine has them now: close ours, so that their end is seen."""
        for fd in (*self.streams, self._slave, self.out):
            if fd >= 0:
                os.close(fd)
        # The list of streams is the command's, which reads it in its own process.
        self.streams, self._slave, self.out = [], -1, -1

    def close(self) -> None:
        """Whatever is still open."""
        self.hand_over()
        if self.master >= 0:
            os.close(self.master)
            self.master = -1


def _labs() -> list[str]:
    """The folders of labs that are up: no business of the command's."""
    folder = labs.labs_folder()
    with contextlib.suppress(OSError):  # nobody can bring up a lab there either
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)  # one may come up meanwhile
    return [str(folder)] if os.path.isdir(folder) else []


# -------------------------------------------------------------------------------- inside


class _Inside:
    """The command's company in the private machine: `main` is its second process."""

    def __init__(
        self,
        argv: list[str],
        streams: list[int],
        out: int,
        datapath: str,
        terminal: bool,
        own_tmp: bool,
        wish: guest.Wish,
        claimed: guest.Claimed,
    ) -> None:
        self.argv, self.streams, self.out, self.wish = argv, streams, out, datapath
        self.terminal, self.own_tmp = terminal, own_tmp
        self.of_lab, self.claimed = wish, claimed
        self.keep_tmp = ""  # a folder that is its /tmp, if one is
        self.screen: display.Display | None = None

    def fds(self) -> list[int]:
        """What the machine is to have for this."""
        return self.screen.fds() if self.screen is not None else []

    def main(self, channel: socket.socket) -> int:
        self.channel = channel
        self.claimed.inside()
        try:
            answer = self._serve()
        except LabError as error:
            answer = error.as_dict()
        except Exception as error:
            if is_full(error) and self.out >= 0:
                answer = unwritable(error, term("what is captured"), "--capture").as_dict()
            else:
                answer = LabError(
                    say(
                        "the command's machine failed: {kind}: {reason}",
                        kind=type(error).__name__,
                        reason=str(error),
                    ),
                    term("please report this"),
                    Exit.LAB_DIED,
                ).as_dict()
        with contextlib.suppress(OSError):
            channel.send(json.dumps(to_plain(answer)).encode())
        return 0

    def _note(self, text: str, *, at_terminal: bool = False) -> None:
        """Say something to the user; `at_terminal`: unless it would stand in a file."""
        self._send({"note": text, "at_terminal": at_terminal})

    def _send(self, message: dict[str, Any], fds: Sequence[int] = ()) -> None:
        with contextlib.suppress(OSError):
            socket.send_fds(self.channel, [json.dumps(to_plain(message)).encode()], list(fds))

    def _serve(self) -> dict[str, Any]:
        netlink.Socket().send([netlink.link_up(netlink.LOOPBACK, "lo")])
        OWN.mkdir(exist_ok=True)
        if self.screen is not None:
            self.screen.listen_inside()
        if self.keep_tmp:
            system_calls.mount(self.keep_tmp, "/tmp", None, system_calls.MS_BIND)
        Path("/run/sshd").mkdir(exist_ok=True)  # sshd insists on it, and Mininet's scripts on sshd
        logs = OWN / "logs"
        logs.mkdir()
        daemons = self._open_vswitch(logs)
        _provide(user_space=self.datapath == "user")
        _no_resolver()
        path = f"{OWN / 'first'}:{programs.search_path(os.environ.get('PATH'))}:{OWN / 'last'}"
        program = self._program(path)
        recording: Capture | None = None
        if self.out >= 0:
            from hoplab.stock.new_interfaces import Watch

            empty(self.out)
            recording = Capture(self.out, f"hoplab: {shlex.join(self.argv)}")
            os.close(self.out)
            watch = Watch(recording)
        network = guest.Guest(
            self.claimed, self.of_lab, self.argv, daemons, self.datapath, self._note, self._send
        )
        process = self._start(program, path)
        network.accompany(process)
        self.network = network
        threading.Thread(target=self._signals, args=(process,), daemon=True).start()
        if daemons is not None:
            threading.Thread(target=self._look_after, args=(daemons, process), daemon=True).start()
        code = process.wait()
        code = network.end(code if code >= 0 else 128 - code)
        answer: dict[str, Any] = {"exit": code, "network": network.built}
        if self.own_tmp and not self.keep_tmp:
            answer["left"] = _files_in("/tmp")
        if recording is not None:
            watch.stop()
            totals = recording.stop()
            answer |= {
                "frames": totals.frames,
                "interfaces": totals.interfaces,
                "problem": totals.problem,
            }
        return answer

    def _open_vswitch(self, logs: Path) -> switchd.Switchd | None:
        """Our own, or none, with a note, where this machine has none: there are other switches."""
        self.datapath = switchd.choose_datapath(self.wish)
        if self.datapath == "user" and not os.access(refusals.TUN, os.R_OK | os.W_OK):
            error = refusals.refused(OSError(errno.EACCES, os.strerror(errno.EACCES)))
            self._note(
                say("no Open vSwitch: {reason}; {hint}", reason=error.message, hint=error.hint)
            )
            return None
        if programs.find("ovs-vswitchd") is None:
            self._note(term("no Open vSwitch: ovs-vswitchd is not installed"))
            return None
        daemons = switchd.Switchd(logs)
        daemons.start()
        return daemons

    def _look_after(self, daemons: switchd.Switchd, process: subprocess.Popen[bytes]) -> None:
        """Without its switches the command would wait for ever."""
        for each in list(daemons.processes.values()):
            threading.Thread(
                target=self._end_with, args=(each, daemons, process), daemon=True
            ).start()

    def _end_with(
        self, each: subprocess.Popen[bytes], daemons: switchd.Switchd, process: Any
    ) -> None:
        each.wait()
        name = daemons.ended()
        if name is not None and process.poll() is None:
            error = LabError(
                say("{daemon} ended, and the command with it", daemon=name),
                term("run it again"),
                Exit.LAB_DIED,
            )
            with contextlib.suppress(OSError):
                self.channel.send(json.dumps(to_plain(error.as_dict())).encode())
            os._exit(1)

    def _program(self, path: str) -> str:
        """The file that the command's first word names."""
        program = shutil.which(self.argv[0], path=path)
        if program is None:
            raise LabError(
                say("{command}: command not found", command=self.argv[0]),
                advice.line_for_script(self.argv)
                or term("is it installed? a command sees the same programs as your machine"),
                Exit.NO_SUCH,
            )
        if not _is_program(program):
            raise LabError(
                say(
                    "{command}: {reason}",
                    command=self.argv[0],
                    reason=reason_of(OSError(errno.ENOEXEC, os.strerror(errno.ENOEXEC))),
                ),
                advice.line_for_script(self.argv)
                or term("a script says in its first line who reads it: #!/bin/sh"),
                Exit.NO_SUCH,
            )
        return program

    def _start(self, program: str, path: str) -> subprocess.Popen[bytes]:
        site = OWN / "site"
        env = {
            **os.environ,
            "PATH": path,
            "PYTHONPATH": os.pathsep.join(filter(None, (str(site), os.environ.get("PYTHONPATH")))),
            "HOPLAB_DATAPATH": self.datapath,
            "HOPLAB_PROVIDED": str(OWN / "last"),
            "HOPLAB_FALLBACK": str(OWN / "fallback"),
            "HOPLAB_NETWORK": str(guest.DOOR),
        }

        def join_terminal() -> None:
            os.setsid()
            if self.terminal:
                fcntl.ioctl(self.streams[0], termios.TIOCSCTTY, 0)

        try:
            process = subprocess.Popen(
                self.argv,
                executable=program,
                stdin=self.streams[0],
                stdout=self.streams[1],
                stderr=self.streams[2],
                env=env,
                preexec_fn=join_terminal,
            )
        except OSError as error:
            raise LabError(
                say("{command}: {reason}", command=self.argv[0], reason=reason_of(error)),
                advice.line_for_script(self.argv) or term("is it executable?"),
                Exit.NO_SUCH,
            ) from None
        for fd in self.streams:
            os.close(fd)
        return process

    def _signals(self, process: subprocess.Popen[bytes]) -> None:
        while True:
            data = self.channel.recv(LARGEST_MESSAGE)
            if not data:
                return
            message = json.loads(data)
            if "outside" in message:
                (ip, port), state = message["outside"]
                self.network.remotes.heard((ip, port), state)
                continue
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, message["signal"])


def _is_program(file: str) -> bool:
    """Whether the kernel is likely to run it, which may know more formats (binfmt_misc)."""
    formats = Path("/proc/sys/fs/binfmt_misc")
    with contextlib.suppress(OSError):
        if {path.name for path in formats.iterdir()} - {"register", "status"}:
            return True
    try:
        with open(file, "rb") as opened:
            return opened.read(4).startswith((b"\x7fELF", b"#!"))
    except OSError:  # it may be run though it may not be read
        return True


def _no_resolver() -> None:
    """The machine's DNS servers are not reached from in here, and a host that asks them waits until
    its time is out, as `python3 -m http.server` does for its own name. With no server in the file
    it asks 127.0.0.1 (resolv.conf(5)), where the kernel says at once that nobody listens."""
    own = OWN / "resolv.conf"
    own.write_text("# no DNS server is reached from in here\n")
    with contextlib.suppress(OSError):  # a machine may have no such file
        target = os.path.realpath("/etc/resolv.conf")
        system_calls.mount(str(own), target, None, system_calls.MS_BIND)


def _files_in(folder: str) -> list[str]:
    """The files with something in them, but for Mininet's own logs and what is mounted there."""
    files = []
    device = os.stat(folder).st_dev
    for place, folders, names in os.walk(folder):
        folders[:] = [each for each in folders if _on(device, os.path.join(place, each))]
        for name in sorted(names):
            path = os.path.join(place, name)
            with contextlib.suppress(OSError):
                status = os.lstat(path)
                own = place == folder and _OF_MININET.fullmatch(name)
                if stat.S_ISREG(status.st_mode) and status.st_size and not own:
                    files.append(path)
        if len(files) > MOST_FILES:
            break
    return files[:MOST_FILES]


def _on(device: int, path: str) -> bool:
    with contextlib.suppress(OSError):
        return os.lstat(path).st_dev == device
    return False


def _one_user() -> bool:
    """Whether root is the only user in here (user_namespaces(7))."""
    lines = Path("/proc/self/uid_map").read_text().split("\n")
    return [line.split()[2:] for line in lines if line] == [["1"]]


def _provide(*, user_space: bool) -> None:
    """The programs and Python modules that may be looked for and not be there."""
    words = {
        "@OURS@": shlex.quote(str(Path(__file__).resolve().parents[2])),
        "@PYTHON@": shlex.quote(sys.executable),
        "@MODULE@": preloaded.MODULE,
        # Where the script's files are not taken for Python's modules (preloaded.START); what is
        # relative in the arguments is meant from where the script is all the same.
        "@ELSEWHERE@": f'export HOPLAB_WORKPLACE="$PWD"; cd {preloaded.START}',
        "@CONTROLLERS@": shlex.quote(str(content.folder("controllers"))),
        "@FIRST@": str(OWN / "first_controller.py"),
        "@OFCTL@": shlex.quote(programs.find("ovs-ofctl") or "ovs-ofctl"),
        "@TC@": shlex.quote(programs.find("tc") or "tc"),
        "@TC_CLIENT@": shlex.quote(str(Path(__file__).with_name("tc_client.py"))),
        "@VSCTL@": shlex.quote(programs.find("ovs-vsctl") or "ovs-vsctl"),
    }
    one_user = {name: text for name, text in stand_ins.ONE_USER.items() if programs.find(name)}
    for name in one_user:
        words[f"@{name.upper()}@"] = shlex.quote(programs.find(name) or name)
    first = {
        **FIRST,
        **stand_ins.FIRST,
        **(stand_ins.USER_SPACE if user_space else {}),
        **(one_user if _one_user() else {}),
    }
    last = {**PROGRAMS, **stand_ins.PROGRAMS}
    for folder, scripts in (("first", first), ("last", last)):
        (OWN / folder).mkdir()
        for name, text in scripts.items():
            for mark, word in words.items():
                text = text.replace(mark, word)
            file = OWN / folder / name
            file.write_text(text)
            file.chmod(0o755)
    (OWN / "first_controller.py").write_text(stand_ins.FIRST_CONTROLLER)
    site, fallback = OWN / "site", OWN / "fallback"
    site.mkdir()
    (site / "sitecustomize.py").symlink_to(Path(__file__).with_name("sitecustomize.py"))
    (fallback / "distutils").mkdir(parents=True)
    (fallback / "distutils" / "__init__.py").touch()
    (fallback / "distutils" / "version.py").write_text(
        "class StrictVersion(tuple):\n"
        "    def __new__(cls, text):\n"
        "        return super().__new__(cls, (int(part) for part in text.split('.')))\n"
    )
    module_spec = importlib.util.find_spec("mininet")
    for place in module_spec.submodule_search_locations or () if module_spec else ():
        (fallback / "mininet").symlink_to(place)
        break
