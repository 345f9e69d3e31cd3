# SPDX-License-Identifier: Apache-2.0
"""The lab's service: the unix socket where the world outside asks a running lab for things.

One connection is one request, in messages of JSON (SOCK_SEQPACKET, so a message is a packet):

    {"op": "status"}                        -> {"ok": ...}
    {"op": "swap", **Apps.as_data(), "workplace": FOLDER} -> {"ok": ...}; "" for the folder where
        the one before works
    {"op": "table", "switches": [NAME, ...]} -> {"ok": ...}; no names: all switches
    {"op": "pingall", ...}                  -> {"ok": ...}
    {"op": "exec", "host", "argv", "env", "cwd"} with three descriptors (stdin, stdout, stderr)
        -> {"pid": N}, then {"exit": CODE}; the asker may send {"signal": N}
    {"op": "pty", "host", "argv", "env", "cwd"}   -> {"pid": N} with the terminal's descriptor
    {"op": "capture", "path": PATH}         -> {"ok": {}}, then
        {"quiet_s": S, "within_s": T}       -> {"ok": {"quiet": bool, "frames": N}}
        {"stop": true}                      -> {"ok": {"frames", "dropped", ...}}
    {"op": "facts"}                         -> {"ok": {}}, then
        {"now": true, "failed": BOOL}       -> {"ok": {"built", "before", "now"}}, what hosts and
                                               switches are set to (`host_facts.py`); {} in a large
                                               lab where nothing failed
    {"op": "listen", "interfaces": [...], "filter": PROGRAM or null, "count": N} with the
        descriptor to write to              -> {"ok": {}}, then as for capture; the last answer
                                               also comes unasked, when the capture has ended
    {"op": "links"}                         -> {"ok": [CABLE, ...]}, as `cables.py` describes them
    {"op": "link", "ends": [A, B], "up": BOOL or null, "clear": BOOL, "limits": {"rate", "delay_ms",
        "jitter_ms", "loss", "queue"}, each only where it is to change} -> {"ok": CABLE}
    {"op": "look", "hosts": [NAME, ...]}    -> {"ok": {NAME: {"neighbours", "routes", "connections",
        "listeners"}}}, what they hold at this moment
    {"op": "origin"}                        -> {"ok": ...}, the classes and parameters of nodes and
                                               cables, as `hoplab.network.planned` has them
    {"op": "hang", "hung": BOOL}            -> {"ok": {}}, once controllers stand still or go on
    {"op": "add", "what": "host", "switch" or "cable", "names": [NAME, ...], "options": {...}, which
        are those of the method in `members.py`} -> {"ok": ANSWER}
    {"op": "remove", "names": [NODE] or [A, B], "force": BOOL} -> {"ok": ANSWER}
    {"op": "set", "host": NAME, "options": {"ip", "gateway", "dns", "force"}, each only where it is
        to change, as in `settings.py`, or "services": {NAME: "stop", "start" or "restart"}}
                                            -> {"ok": ANSWER}; an ANSWER of these has "sentences"
    {"op": "down"}                          -> {"ok": {}}

A failure is {"error", "hint", "code", "detail"}. Sentences in an answer, those of a failure too,
are objects with their template and values (`sentences.to_plain`), so that the asker can translate
them; the lab knows no language but English. An answer too long for one packet is announced by
{"bytes": N} and comes in pieces, a packet each. Whoever closes the connection gives up what it
asked for: a command is ended, a capture stopped.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import importlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import termios
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hoplab import programs, ryu_apps, wait
from hoplab.capture import bpf
from hoplab.capture.capture import Capture
from hoplab.errors import Exit, LabError, cannot_write, is_full, limited, reason_of
from hoplab.outfile import unwritable
from hoplab.sentences import say, term, to_plain
from hoplab.service.lab import Lab
from hoplab.service.spec import LARGEST_MESSAGE, Spec

_LOOK_S = 0.05
STORM_A_SECOND = 2_000  # frames, with which no loop becomes quiet by itself
_TURN_S = 0.2  # the longest turn of the loops that look after the processes


def main(
    spec: Spec,
    channel: socket.socket,
    spare: subprocess.Popen[bytes] | None = None,
    carrier: socket.socket | None = None,
) -> int:
    """The lab's process: build, say so on `channel`, serve until `down`. Returns an exit code.

    spare, carrier: as in `Lab`.
    """
    # What builds a network (sysctl, tc) lies where many an ordinary user's PATH does not look.
    os.environ["PATH"] = programs.search_path(os.environ.get("PATH"))
    # Threads that come and go leave holes in a heap each (mallopt(3), M_ARENA_MAX): one is enough.
    ctypes.CDLL(None).mallopt(-8, 1)
    def look(wanted: list[tuple[str, int]]) -> list[str]:
        channel.send(_packed({"look": wanted}))
        states: list[str] = json.loads(channel.recv(LARGEST_MESSAGE))["states"]
        return states

    lab = Lab(spec, spare, carrier, look)

    def progress(step: str) -> None:
        with contextlib.suppress(OSError):
            channel.send(_packed({"progress": step}))

    try:
        try:
            spec.logs.mkdir(exist_ok=True)
            log = os.open(spec.logs / "lab.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        except OSError as error:
            raise cannot_write(error, spec.folder) from error
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.close(log)
        with _watching(lab, channel):
            lab.build(progress)
        service = Service(lab)
        answer: dict[str, Any] = {"ready": True}
    except BaseException as error:
        _log_fault()
        answer = _failure(error, spec)
    with contextlib.suppress(OSError):
        channel.send(_packed(answer))
    channel.close()
    if "ready" not in answer:
        return 1
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    return service.serve()


def warm_up() -> None:
    """Load what a lab's process loads when it builds, for those that will be forks of this one."""
    for module in ("network", "network.planned", "kernel.batch", "kernel.namespaces"):
        with contextlib.suppress(LabError):  # Mininet is missing: that is each lab's to say
            importlib.import_module(f"hoplab.{module}")


def check(spec: Spec, channel: socket.socket) -> int:
    """The same process for a lab that is not to be built yet: whether it could be, said on
    `channel` as `main` does. Returns an exit code."""
    os.environ["PATH"] = programs.search_path(os.environ.get("PATH"))
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    answer: dict[str, Any] = {"ready": True}
    try:
        Lab(spec).check(lambda step: None)
    except BaseException as error:
        answer = _failure(error, spec)
    with contextlib.suppress(OSError):
        channel.send(_packed(answer))
    return "ready" not in answer


@contextlib.contextmanager
def _watching(lab: Lab, channel: socket.socket) -> Iterator[None]:
    """End the lab at once, with a word on why, if a part of Open vSwitch ends while it comes up:
    its tools would wait for it until their time is out."""
    built = threading.Event()

    def watch() -> None:
        while not built.wait(_LOOK_S):
            lab.switchd.wake()
            dead = lab.switchd.ended()
            if dead:
                with contextlib.suppress(OSError):
                    channel.send(_packed(lab.switchd.obituary(dead).as_dict()))
                os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        built.set()


def _log_fault() -> None:
    """The traceback of the exception at hand goes to the lab's log, if there is room."""
    with contextlib.suppress(OSError):
        traceback.print_exc()
        sys.stderr.flush()


def _failure(error: BaseException, spec: Spec) -> dict[str, Any]:
    if isinstance(error, LabError):
        return error.as_dict()
    if is_full(error):
        return cannot_write(error, spec.folder).as_dict()
    short = limited(error)
    if short is not None:
        return short.as_dict()
    text = traceback.format_exc()
    return LabError(
        say(
            "the lab failed in a way it should not: {kind}: {reason}",
            kind=type(error).__name__,
            reason=str(error),
        ),
        term("please report this with the lines below (--debug shows them)"),
        Exit.LAB_DIED,
        text if spec.debug else text.strip().splitlines()[-1],
    ).as_dict()


class Service:
    """Answers requests, one thread a connection, and looks after the lab's processes."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.facts = lab.facts
        self.ending = threading.Event()
        self._fault = ""  # the last that was logged
        self._socket_path = os.fspath(lab.spec.socket)
        self._done_read, self._done_write = os.pipe()
        self._open: set[socket.socket] = set()  # connections that somebody waits at
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # A path through a descriptor, for a socket's own path holds 107 bytes (unix(7)).
        folder = os.open(lab.spec.folder, os.O_PATH | os.O_DIRECTORY)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(lab.spec.socket)
        self.listener.bind(f"/proc/self/fd/{folder}/{lab.spec.socket.name}")
        os.close(folder)
        os.chmod(lab.spec.socket, 0o600)
        self.listener.listen(64)

    def serve(self) -> int:
        """Until `down`, or until a part that the lab cannot live without has ended."""
        self.listener.setblocking(False)
        # While nobody waits for it; the first command does, if it comes before that is done.
        if not self.lab.changes_controllers:
            threading.Thread(target=self._note_built, daemon=True).start()
        # In a thread of its own, for a new controller takes its time.
        threading.Thread(target=self._keep_controllers, daemon=True).start()
        while not self.ending.is_set():
            ready = wait.readable([self.listener.fileno(), self._done_read], _TURN_S)
            if self.listener.fileno() in ready:
                with self._whatever_comes():
                    self._accept()
            if not self.reachable():
                return 1  # the folder was taken away: nobody can reach this lab any more
            dead = None
            with self._whatever_comes():
                dead = self.lab.look_after_switches()
            if dead:
                self.lab.event(say("{daemon} ended, and the lab with it", daemon=dead))
                return 1
        return 0  # nothing needs to be undone: the kernel takes everything down with process 1

    def _accept(self) -> None:
        connection, _ = self.listener.accept()
        try:
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()
        except RuntimeError as error:  # no more threads
            with connection:
                _send(connection, _failure(error, self.lab.spec))

    def _keep_controllers(self) -> None:
        while not self.ending.is_set():
            if self.lab.crew is None:  # there may be one later
                self.ending.wait(_TURN_S)
                continue
            ready, mended = set[int](), False
            with self._whatever_comes():
                ready = wait.readable(self.lab.watched(), _TURN_S)
                mended = self.lab.mend()
            if ready and not mended:
                self.ending.wait(_TURN_S)  # somebody else is changing the controllers

    @contextlib.contextmanager
    def _whatever_comes(self) -> Iterator[None]:
        """A lab does not end because this machine gives no more descriptors or threads: the fault
        goes to the log, once, and a moment passes."""
        try:
            yield
        except Exception as error:
            if repr(error) != self._fault:
                self._fault = repr(error)
                _log_fault()
            self.ending.wait(_TURN_S)

    def reachable(self) -> bool:
        """Whether the lab's folder is still there."""
        return os.path.exists(self._socket_path)

    def part(self, error: LabError) -> None:
        """Tell everybody who waits for an answer that there will be none, and why."""
        self.ending.set()
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                _send(connection, error.as_dict())

    def status(self) -> dict[str, Any]:
        state = self.lab.state()
        state.pop("interfaces")
        controller = self.lab.controller
        ports = controller.web_ports() if controller is not None else []
        return {**state, "remarks": self.lab.in_charge.remarks(), "controller_ports": ports}

    # ------------------------------------------------------------------ one connection

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            try:
                data, fds, _, _ = socket.recv_fds(connection, LARGEST_MESSAGE, 3)
                try:
                    _check_asker(connection)
                    request = json.loads(data)
                    self._open.add(connection)
                    self.lab.refresh()
                    # Interned, or the interpreter's cache of methods keeps one string a request.
                    handler = getattr(self, sys.intern(f"_do_{request['op']}"), None)
                    if handler is None:
                        raise LabError(
                            say("no such request: {op}", op=request["op"]), code=Exit.USAGE
                        )
                    handler(connection, request, fds)
                finally:
                    self._open.discard(connection)
                    for fd in fds:
                        with contextlib.suppress(OSError):
                            os.close(fd)
            except (ConnectionError, BrokenPipeError):
                pass  # the asker has gone
            except LabError as error:
                _send(connection, error.as_dict())
            except Exception as error:
                _log_fault()
                _send(connection, _failure(error, self.lab.spec))

    def _do_status(self, connection: socket.socket, request: Any, fds: list[int]) -> None:
        _send(connection, {"ok": self.status()})

    def _do_swap(self, connection: socket.socket, request: Any, fds: list[int]) -> None:
        was = self.lab.controller
        wanted = _wanted(
            connection,
            say("interrupted; {controller} is in charge as before", controller=was.title)
            if was is not None
            else term("interrupted; nobody is in charge as before"),
        )
        workplace = Path(request["workplace"]) if request.get("workplace") else None
        apps = ryu_apps.from_data(request)
        _send(connection, {"ok": self.lab.swap(apps, workplace, wanted)})

    # ------------------------------------------------------------------ changes of the network

    def _do_add(self, connection: socket.socket, request: Any, fds: list[int]) -> None:
        self._note_built()
        members = self.lab.members
        making: dict[str, Callable[..., Any]] = {
            "host": members.add_host, "switch": members.add_switch, "cable": members.add_cable
        }  # fmt: skip
        what = making[request["what"]]
        answer = what(
            *request["names"], **request.get("options", {}), wanted=_unchanged(connection)
        )
        for name in request["names"]:
            self._renew(name)
        _send(connection, {"ok": answer})

    def _do_remove(self, connection: socket.socket, request: Any, fds: list[int]) -> None:
        self._note_built()
        answer = self.lab.members.remove(
            *request["names"], force=bool(request.get("force")), wanted=_unchanged(connection)
        )
        for name in request["names"]:
            self._renew(name)
        _send(connection, {"ok": answer})

    def _do_set(self, connection: socket.socket, request: Any, fds: list[int]) -> None:
        self._note_built()
        wanted = _unchanged(connection)
        if "services" in request:
            answer = self.lab.services.change_all(request["host"], request["services"], wanted)
        else:
            answer = self.lab.host_settings.change(
                request["host"], **request.get("options", {}), wanted=wanted
            )
        self._renew(request["host"])
        _send(connection, {"ok": answer})

    def _renew(self, name: str) -> None:
        """What a node is set to now is what it is meant to be."""
        name = self.lab.node_of(name)
        if name not in self.lab.network.nameToNode:
            self.lab.cables.forget_host(name)
            self.facts.renew(name)
        elif self.lab.network.place(name) is not self.lab.network.batch.root:
            self.lab.cables.note_host(name)
            self.facts.renew(name)

    def _do_table(self, connection: socket.socket, request: Any, fds: list[int]) -> None:
        _send(connection, {"ok": self.lab.tables(request.get("switches") or [])})

    def _do_pingall(self, connection: socket.socket, request: Any, fds: list[int]) -> None:
        from hoplab.service import pingall

        hosts = pingall.hosts_of(self.lab.network)
        wish = request.get("hosts")
        if wish:
            names = {host.name for host in hosts}
            for name in wish:
                self.lab.network.place(name)
                if name not in names:
                    raise LabError(
                        say("{node} is no host", node=name),
                        term("only hosts are pinged, and ping"),
                        Exit.NO_SUCH,
                    )
            hosts = [host for host in hosts if host.name in wish]
            if len(hosts) < 2:
                raise LabError(
                    say("{host} alone makes no pair", host=hosts[0].name),
                    term("name two hosts or more"),
                    Exit.USAGE,
                )
        static = self.lab.spec.static_arp
        _send(connection, {"ok": pingall.ping_all(hosts, macs_known=static).as_dict()})

    def _do_links(self, connection: socket.socket, request: Any, fds: list[int]) -> None:
        _send(connection, {"ok": self.lab.cables.describe()})

    def _do_link(self, connection: socket.socket, request: Any, fds: list[int]) -> None:
        self.facts.note_built()
        first, second = request["ends"]
        cable = self.lab.change_cable(
            (first, second),
            up=request.get("up"),
            clear=bool(request.get("clear")),
            wish=request.get("limits") or {},
        )
        _send(connection, {"ok": cable})

    def _do_origin(self, connection: socket.socket, request: Any, fds: list[int]) -> None:
        _send(connection, {"ok": self.lab.origin()})

    def _do_hang(self, connection: socket.socket, request: Any, fds: list[int]) -> None:
        self._note_built()
        self.lab.hang(bool(request["hung"]))
        _send(connection, {"ok": {}})

    def _note_built(self) -> None:
        """How the lab was built, before somebody changes it."""
        self.lab.cables.note_configured()
        self.facts.note_built()

    def _do_down(self, connection: socket.socket, request: Any, fds: list[int]) -> None:
        self.ending.set()
        _send(connection, {"ok": {}})
        os.write(self._done_write, b"x")

    # ------------------------------------------------------------------ commands on hosts

    def _environment(self, request: Any) -> dict[str, str]:
        env = {str(k): str(v) for k, v in request.get("env", {}).items()} or dict(os.environ)
        env["HOPLAB_LAB"] = self.lab.spec.name
        env["HOPLAB_HOST"] = request["host"]
        env["PATH"] = programs.search_path(env.get("PATH"))
        return env

    def _spawn(self, request: Any, argv: list[str], **options: Any) -> subprocess.Popen[bytes]:
        place = self.lab.network.place(request["host"])
        cwd = request.get("cwd") or "/"
        try:
            return place.namespace.popen(
                argv,
                env=self._environment(request),
                cwd=cwd if os.path.isdir(cwd) and os.access(cwd, os.X_OK) else "/",
                **{"start_new_session": True, **options},
            )
        except FileNotFoundError:
            raise LabError(
                say("{command}: command not found", command=request["argv"][0]),
                term("is it installed? a host sees the same programs as your machine"),
                Exit.NO_SUCH,
            ) from None
        except PermissionError:
            raise LabError(
                say("{command}: permission denied", command=request["argv"][0]),
                term("is it executable?"),
                Exit.NO_SUCH,
            ) from None
        except OSError as error:
            if limited(error) is not None:
                raise
            hint = term("it is no program")
            if error.errno == errno.ENOEXEC:
                hint = term("a script says in its first line who reads it: #!/bin/sh")
            elif error.errno == errno.E2BIG:
                hint = term("give it less: a shorter command line, fewer variables")
            raise LabError(
                say("{command}: {reason}", command=request["argv"][0], reason=reason_of(error)),
                hint,
                Exit.NO_SUCH,
            ) from None

    def _do_exec(self, connection: socket.socket, request: Any, fds: list[int]) -> None:
        if len(fds) != 3:
            raise LabError(term("a command needs three descriptors"), code=Exit.USAGE)
        self._note_built()
        process = self._spawn(request, request["argv"], stdin=fds[0], stdout=fds[1], stderr=fds[2])
        for fd in fds:
            os.close(fd)
        fds.clear()
        _send(connection, {"pid": process.pid})
        self._accompany(connection, process)

    def _do_pty(self, connection: socket.socket, request: Any, fds: list[int]) -> None:
        self._note_built()
        master, slave = os.openpty()
        rows, columns = request.get("size", [24, 80])
        with contextlib.suppress(OSError):
            fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        try:
            process = self._spawn(
                request,
                ["setsid", "--ctty", *request["argv"]],
                stdin=slave,
                stdout=slave,
                stderr=slave,
                # setsid(1) makes the session: of one that leads a group already it would fork, and
                # nobody could signal the command.
                start_new_session=False,
            )
        finally:
            os.close(slave)
        socket.send_fds(connection, [json.dumps({"pid": process.pid}).encode()], [master])
        os.close(master)
        self._accompany(connection, process)

    def _accompany(self, connection: socket.socket, process: subprocess.Popen[bytes]) -> None:
        """Pass signals on, tell the exit code; end the command when the asker has gone."""

        def report() -> None:
            code = process.wait()
            with contextlib.suppress(OSError):
                _send(connection, {"exit": code if code >= 0 else 128 - code})

        waiter = threading.Thread(target=report, daemon=True)
        waiter.start()
        while True:
            try:
                data = connection.recv(LARGEST_MESSAGE)
            except OSError:
                data = b""
            if not data:
                break
            number = json.loads(data).get("signal")
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
        if process.poll() is None:
            for number in (signal.SIGHUP, signal.SIGKILL):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, number)
                with contextlib.suppress(LabError):
                    wait.until(
                        lambda: process.poll() is not None, term("the command to end"), within_s=1
                    )
        waiter.join()

    # ------------------------------------------------------------------ captures

    def _do_capture(self, connection: socket.socket, request: Any, fds: list[int]) -> None:
        self._attend(connection, self.lab.capture(Path(request["path"])))

    def _do_look(self, connection: socket.socket, request: Any, fds: list[int]) -> None:
        _send(connection, {"ok": self.facts.look([str(name) for name in request["hosts"]])})

    def _do_facts(self, connection: socket.socket, request: Any, fds: list[int]) -> None:
        """What hosts are set to, around what the asker does until it asks again."""
        self.facts.note_built()
        before = self.facts.counts()
        _send(connection, {"ok": {}})
        data = connection.recv(LARGEST_MESSAGE)
        if data and (json.loads(data).get("failed") or self.facts.cheap):
            facts = {"built": self.facts.built, "before": before, "now": self.facts.now()}
            _send(connection, {"ok": facts})
        elif data:
            _send(connection, {"ok": {}})

    def _do_listen(self, connection: socket.socket, request: Any, fds: list[int]) -> None:
        if len(fds) != 1:
            raise LabError(term("a capture needs one descriptor to write to"), code=Exit.USAGE)
        program = bpf.checked(request.get("filter"))
        try:
            capture = self.lab.listen(
                fds[0],
                request.get("interfaces") or [],
                program,
                int(request.get("count") or 0),
                fresh=bool(request.get("fresh")),
            )
        except BrokenPipeError:
            raise LabError(term("nobody reads what is captured"), code=Exit.FAILED) from None
        except OSError as error:
            raise unwritable(error, term("what is captured"), "-w") from error
        os.close(fds.pop())  # so that the reader of a pipe sees its end when the capture ends
        self._attend(connection, capture)

    def _until_quiet(self, capture: Capture, order: Any) -> dict[str, Any]:
        """Until no frame has come for `quiet_s` seconds and as long as a cable may hold one back,
        or `within_s` have passed. A storm in a loop of switches never ends, and all that it sends
        meanwhile would have to be read afterwards."""
        held_s = self.lab.cables.longest_ms / 1e3
        begun = time.monotonic()
        deadline = begun + float(order["within_s"]) + 4 * held_s
        _, before = capture.quiet()
        while True:
            quiet_s, frames = capture.quiet()
            waited_s = time.monotonic() - begun
            storms = frames - before > STORM_A_SECOND * max(waited_s, float(order["quiet_s"]))
            if self.lab.loops and storms and waited_s > 2 * float(order["quiet_s"]):
                return {"quiet": False, "frames": frames}
            missing = float(order["quiet_s"]) + held_s - quiet_s
            if missing <= 0 or time.monotonic() >= deadline:
                return {"quiet": missing <= 0, "frames": frames}
            time.sleep(min(missing, _LOOK_S))

    def _attend(self, connection: socket.socket, capture: Capture) -> None:
        """Answer until it has ended or the asker has gone; it is stopped then."""
        stopped = False
        self.lab.captures.append(capture)
        try:
            _send(connection, {"ok": {}})
            while True:
                ready = wait.readable([connection.fileno(), capture.channel.fileno()])
                order = {"stop": True}
                if connection.fileno() in ready:
                    data = connection.recv(LARGEST_MESSAGE)
                    if not data:
                        return
                    order = json.loads(data)
                if "quiet_s" in order:
                    _send(connection, {"ok": self._until_quiet(capture, order)})
                if "stop" in order:
                    stopped = True
                    try:
                        held = capture.stop()
                    except OSError as error:
                        if capture.path is None:
                            raise unwritable(error, term("what is captured"), "-w") from error
                        raise cannot_write(error, capture.path.parent) from error
                    if held.ended == "killed":
                        raise LabError(
                            term("the process that records was ended"),
                            term("do it again; what was written until then is readable"),
                            Exit.LAB_DIED,
                        )
                    if held.problem and held.ended == "stop" and capture.path is not None:
                        raise cannot_write(
                            OSError(errno.ENOSPC, held.problem), capture.path.parent
                        )
                    self.lab.refresh()  # whoever keeps the frames keeps lab.json beside them
                    gone = self.lab.gone(capture)
                    _send(connection, {"ok": {**asdict(held), **({"gone": gone} if gone else {})}})
                    return
        finally:
            self.lab.captures.remove(capture)
            if not stopped:
                with contextlib.suppress(OSError):
                    capture.stop()
            self.lab.ended(capture)


def _wanted(connection: socket.socket, message: str) -> Callable[[], None]:
    """What raises LabError once whoever asked has gone, or wants it no more."""

    def wanted() -> None:
        if wait.readable([connection.fileno()], 0):
            connection.recv(LARGEST_MESSAGE)
            raise LabError(message, "", Exit.INTERRUPTED)

    return wanted


def _unchanged(connection: socket.socket) -> Callable[[], None]:
    return _wanted(connection, term("interrupted; the lab is as it was"))


def _check_asker(connection: socket.socket) -> None:
    """Only whoever brought the lab up may ask, and only from outside of it. Raises LabError.

    unix(7), SO_PEERCRED: another user is another number in our user namespace too, and a process
    outside of our PID namespace is number 0.
    """
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    pid, uid, _ = struct.unpack("=iII", raw)
    if uid != os.geteuid():
        hint = say("bring one up: {command}", command="hoplab up")
        raise LabError(term("this lab is another user's"), hint, Exit.REFUSED)
    if pid != 0:
        raise LabError(
            term("a lab takes no orders from its own hosts"),
            term("ask from outside of it"),
            Exit.REFUSED,
        )


def _packed(message: dict[str, Any]) -> bytes:
    """A message as it goes over a socket."""
    return json.dumps(to_plain(message)).encode()


def _send(connection: socket.socket, message: dict[str, Any]) -> None:
    data = _packed(message)
    with contextlib.suppress(ConnectionError, BrokenPipeError):
        if len(data) > LARGEST_MESSAGE:
            connection.send(json.dumps({"bytes": len(data)}).encode())
        for at in range(0, len(data), LARGEST_MESSAGE):
            connection.send(data[at : at + LARGEST_MESSAGE])
