# SPDX-License-Identifier: Apache-2.0
"""What stock Mininet needs to hear in a sandbox: loaded by every Python there as `sitecustomize`.

`run.py` puts a link to this file on the PYTHONPATH of the command that it runs. Mininet itself is
not changed on disk, and nothing of hoplab is imported but a file that imports nothing of it either:
the Python may be any from 3.7 on. When a module of Mininet is loaded, and not before, it is told

- that a controller provided by us takes a moment to listen, and that a remote one may be reached
  once `run.py` has heard of it;
- to say what the network consists of, whoever builds it and however, whenever that changes
  (`_Picture`), so that it is a lab like any other;
- that an iperf may say nothing of a connection that says nothing (iperf() waited for it for ever);
- that what it reads of a shell may be no UTF-8 (it ended there with a traceback);
- how a CPULimitedHost gets its limit, or is there without it, and that cgroups take a moment to go
  (`network/cpu_limited.py`);
- that Open vSwitch forwards in user space here (`HOPLAB_DATAPATH`=user), which needs the checksum
  offload of the hosts' interfaces off, or TCP and UDP carry nothing;
- that machine-wide settings are not its to change;

and where this Python has no Mininet, or no distutils (gone in Python 3.12), those of the machine
are found, behind everything else on its path (`HOPLAB_FALLBACK`).
"""

from __future__ import annotations  # for a Python of before 3.10

import functools
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import re
import select
import shlex
import shutil
import socket
import sys
import threading
import time
import types
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any

CONTROLLER_S = 20  # for Ryu to load, where ovs-testcontroller would be there at once
OPEN_VSWITCH_S = 30  # for it to answer; it runs
REPORT_S = 15  # for an iperf to say what it has received, once the other one has ended
ANSWER_S = 40  # for `run.py` to answer: it may start a controller first
_HERE = os.path.dirname(os.path.abspath(__file__))


class _Company:
    """The process that accompanies this command (`run.py`), by a connection of this process's own.
    What goes wrong with it is no business of the script's."""

    def __init__(self) -> None:
        self._turn = threading.RLock()
        self._pid = 0
        self._socket: Any = None
        self._lines: Any = None

    def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        """Say something, and wait until it has been understood. Returns the answer to it."""
        path = os.environ.get("HOPLAB_NETWORK")
        if not path:
            return {}
        try:
            with self._turn:
                if self._pid != os.getpid():  # not yet, or it was our parent's
                    self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                    self._socket.settimeout(ANSWER_S)
                    self._socket.connect(path)
                    self._lines = self._socket.makefile("rb")
                    self._pid = os.getpid()
                self._socket.sendall(json.dumps(message).encode() + b"\n")
                answer: dict[str, Any] = json.loads(self._lines.readline())
                return answer
        except (OSError, ValueError, TypeError):
            return {}


class _Picture:
    """What the network consists of: nodes, ports and cables, as Mininet's own objects have them.

    Every Node is known from its making on, with a Mininet or without. It is said whenever something
    has changed and nobody is in the middle of changing more, once the network is whole for the
    first time: a Mininet has been built, a switch was started, a command is given to a node.
    """

    def __init__(self) -> None:
        self.company = _Company()
        self._nodes: list[Any] = []  # weak references, in the order of their making
        self._busy = threading.local()
        self._whole = False
        self._last: dict[str, Any] | None = None
        self._turn = threading.RLock()

    def add(self, node: Any) -> None:
        """A node has been made."""
        self._nodes.append(weakref.ref(node))

    def changing(self, method: Any, *, whole: bool = False) -> Any:
        """`method` with what it changes said when it has ended; `whole`: there is a network then,
        if there was none before."""

        @functools.wraps(method)
        def wrapped(*args: Any, **params: Any) -> Any:
            depth = self._depth()
            self._busy.depth = depth + 1
            try:
                return method(*args, **params)
            finally:
                self._busy.depth = depth
                if depth == 0:
                    self._whole = self._whole or whole
                    self.say()

        return wrapped

    def _depth(self) -> int:
        """How many changes this thread is in the middle of."""
        return int(vars(self._busy).get("depth", 0))

    def say(self) -> None:
        """What there is now, if it is not what was said last."""
        if not self._whole or self._depth():
            return
        try:
            with self._turn:
                picture = self._draw()
                if picture != self._last:
                    self._last = picture
                    self.company.ask({"picture": picture})
        except Exception:  # of objects of somebody else's making
            if os.environ.get("HOPLAB_DEBUG"):
                raise

    def _alive(self) -> Iterator[Any]:
        self._nodes = [each for each in self._nodes if each() is not None]
        for reference in self._nodes:
            node: Any = reference()
            if node is not None and getattr(node, "shell", None) is not None:
                yield node

    def _draw(self) -> dict[str, Any]:
        nodes: list[dict[str, Any]] = []
        links: list[list[str]] = []
        controllers: list[dict[str, Any]] = []
        for node in self._alive():
            classes = [each.__name__ for each in type(node).__mro__]
            if "Controller" in classes:
                controllers.append(
                    {
                        "name": node.name,
                        "remote": "RemoteController" in classes,
                        "ip": str(node.ip),
                        "port": node.port,
                    }
                )
                continue
            ports = []
            for number, intf in sorted(node.intfs.items()):
                ports.append([number, intf.name, _shaping(intf)])
                cable = intf.link
                if cable is not None and cable.intf1 is intf and cable.intf2 is not None:
                    peer = cable.intf2
                    links.append([node.name, intf.name, peer.node.name, peer.name])
            kind = "switch" if "Switch" in classes else "host"
            nodes.append(
                {
                    "name": node.name,
                    "kind": kind,
                    "classes": classes,
                    "pid": node.pid,
                    "dpid": getattr(node, "dpid", None) if kind == "switch" else None,
                    "ports": ports,
                }
            )
        return {"nodes": nodes, "links": links, "controllers": controllers}


def _shaping(intf: Any) -> dict[str, Any]:
    """What a TCIntf was asked to do with what it sends."""
    if "TCIntf" not in [each.__name__ for each in type(intf).__mro__]:
        return {}
    params = getattr(intf, "hoplab_asked", None) or getattr(intf, "params", {})
    wanted = {name: params.get(name) for name in ("bw", "delay", "jitter", "loss")}
    return {name: value for name, value in wanted.items() if isinstance(value, (int, float, str))}


_picture = _Picture()
# What may be a word about something that is not there; `lacking.py` knows.
_LACKING = re.compile(
    r"not found|No such file or directory|Unknown device type|kind is unknown|tcpdump: Couldn't"
)


def _lacks(kind: str, *words: Any) -> None:
    """Tell that something is not there which the script wants."""
    _picture.company.ask({"lacking": [kind, *map(str, words)]})


def _watched_shells(module: Any) -> None:
    """mininet.node: what a node's shell says of what is not there, and programs that are not."""
    monitor, popen = module.Node.monitor, module.Node.popen

    def heard(self: Any, *args: Any, **params: Any) -> Any:
        data = monitor(self, *args, **params)
        if isinstance(data, str):
            text = getattr(self, "hoplab_line", "") + data
            *lines, rest = re.split(r"[\r\n\x7f]+", text)
            self.hoplab_line = rest[-300:] if self.waiting else ""
            for line in lines:
                if _LACKING.search(line):
                    _lacks("line", self.name, line, getattr(self, "lastCmd", None) or "")
        return data

    def started(self: Any, *args: Any, **params: Any) -> Any:
        words = args[0] if len(args) == 1 else list(args)
        if isinstance(words, str) and not params.get("shell"):
            words = words.split()
        program = str(words[0]) if isinstance(words, list) and words else "/"
        if "/" not in program and shutil.which(program) is None:
            _lacks("program", program, self.name)
        elif os.path.basename(program) == "tcpdump" and not _is_root():
            _lacks("tcpdump", self.name)
        return popen(self, *args, **params)

    module.Node.monitor, module.Node.popen = heard, started


def _modules_that_lack(module: Any) -> None:
    """mininet.moduledeps: it looks for programs, and ends everything where one is not there."""
    check = module.pathCheck

    def checked(*names: Any, **params: Any) -> Any:
        for name in names:
            if not shutil.which(name):
                _lacks("program", name)
        return check(*names, **params)

    module.pathCheck = checked


def _terminals(module: Any) -> None:
    """mininet.term: windows want a display."""
    tunnel = module.tunnelX11

    def tunnelled(*args: Any, **params: Any) -> Any:
        display = tunnel(*args, **params)
        if display[0] is None:
            _lacks("display")
        return display

    module.tunnelX11 = tunnelled


def _uncaught(before: Any) -> Any:
    """What ends the script, if it is something that is not there."""

    def ended(kind: Any, error: Any, trace: Any) -> None:
        before(kind, error, trace)
        if isinstance(error, ModuleNotFoundError) and error.name:
            _lacks("module", error.name, sys.executable)
        elif isinstance(error, FileNotFoundError) and _by_starting(trace):
            _lacks("program", error.filename)

    return ended


def _by_starting(trace: Any) -> bool:
    """Whether an exception was raised where subprocess starts a program."""
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_code.co_name == "_execute_child"


def _is_root() -> bool:
    """Whether this is root outside, too (user_namespaces(7))."""
    try:
        with open("/proc/self/uid_map") as file:
            return file.read().split()[:2] == ["0", "0"]
    except OSError:
        return True


def _watched_nodes(module: Any) -> None:
    """mininet.node: nodes are known, and what happens to their ports is said."""
    node = module.Node
    init, send = node.__init__, node.sendCmd

    def known(self: Any, *args: Any, **params: Any) -> None:
        init(self, *args, **params)
        _picture.add(self)

    def command(self: Any, *args: Any, **params: Any) -> Any:
        if not _picture._whole and any(intf.link is not None for intf in self.intfs.values()):
            _picture.changing(lambda: None, whole=True)()
        return send(self, *args, **params)

    node.__init__, node.sendCmd = known, command
    node.terminate = _picture.changing(node.terminate)
    node.delIntf = _picture.changing(node.delIntf)
    for each in vars(module).values():
        if isinstance(each, type) and issubclass(each, module.Switch) and "start" in vars(each):
            each.start = _picture.changing(each.start, whole=True)  # type: ignore[attr-defined]


def _node(module: Any) -> None:
    """mininet.node: a controller of ours listens before a switch is told of it; what a shell prints
    may be any bytes; Open vSwitch may take its time; switches forward in user space."""
    start = module.Controller.start
    decoder = module.getincrementaldecoder

    def until_it_listens(self: Any) -> None:
        start(self)
        provided = os.environ.get("HOPLAB_PROVIDED", "/nowhere")
        found = shutil.which(self.command) or ""
        deadline = time.monotonic() + CONTROLLER_S
        while not self.inNamespace and found.startswith(provided) and time.monotonic() < deadline:
            try:
                socket.create_connection((self.ip, self.port), 1).close()
                return
            except OSError:
                time.sleep(0.02)

    module.Controller.start = until_it_listens
    listens = module.RemoteController.checkListening

    def once_it_can_be_reached(self: Any) -> None:
        wanted = {"ip": str(self.ip), "port": self.port, "command": _command_line()}
        _picture.company.ask({"remote": {**wanted, "pid": os.getpid()}})
        listens(self)

    module.RemoteController.checkListening = once_it_can_be_reached
    _watched_nodes(module)
    # It asks by telnet whether a controller is there, and reads its answer: OpenFlow's Hello.
    module.getincrementaldecoder = lambda: decoder(errors="replace")
    ask = module.errRun

    def patiently(*command: Any, **options: Any) -> Any:
        if command == ("ovs-vsctl -t 1 show",):  # a second is little on a busy machine
            command = (f"ovs-vsctl -t {OPEN_VSWITCH_S} show",)
        return ask(*command, **options)

    module.errRun = patiently
    _cpu_limited(module)
    _watched_shells(module)
    if os.environ.get("HOPLAB_DATAPATH") == "user":
        _user_space(module)


def _command_line() -> str:
    """What this Python was started by, as one types it."""
    mn = os.path.basename(sys.argv[0]) == "mn"
    return " ".join(map(shlex.quote, ["mn", *sys.argv[1:]] if mn else ["python3", *sys.argv]))


def _cpu_limited(module: Any) -> None:
    """Where nobody may make cgroups, as an ordinary user seldom may, a CPULimitedHost is there
    without its limit."""

    def groups() -> str:
        return str(_picture.company.ask({"cgroups": True}).get("folder", ""))

    _cpu_limits().install(module, groups, _lacks)


def _cpu_limits() -> Any:
    """hoplab's `network/cpu_limited.py`, which imports nothing of hoplab's either."""
    name = "hoplab_cpu_limited"
    if name not in sys.modules:
        ours = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
        file = os.path.join(ours, "network", "cpu_limited.py")
        spec = importlib.util.spec_from_file_location(name, file)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        sys.modules[name] = module
    return sys.modules[name]


def _user_space(module: Any) -> None:
    switch = module.OVSSwitch
    init = switch.__init__

    def in_user_space(self: Any, name: str, *args: Any, **params: Any) -> None:
        arguments = list(args)
        if len(arguments) > 1:  # after failMode
            arguments[1] = "user"
        else:
            params["datapath"] = "user"
        init(self, name, *arguments, **params)

    switch.__init__ = in_user_space


def _link(module: Any) -> None:
    """mininet.link: cables are known; checksums are computed before a frame leaves a host."""
    module.Link.__init__ = _picture.changing(module.Link.__init__)
    module.Link.delete = _picture.changing(module.Link.delete)
    shape = module.TCIntf.config

    def known(self: Any, *args: Any, **params: Any) -> Any:
        names = ("bw", "delay", "jitter", "loss")
        by_place = {names[number]: value for number, value in enumerate(args[: len(names)])}
        self.hoplab_asked = {**by_place, **params}
        return shape(self, *args, **params)

    module.TCIntf.config = _picture.changing(known)
    if os.environ.get("HOPLAB_DATAPATH") != "user":
        return
    config = module.Intf.config
    shaped = module.TCIntf.config

    def without_offload(self: Any, *args: Any, **params: Any) -> Any:
        if self.name != "lo" and not hasattr(self.node, "dpid"):  # a switch needs nothing
            self.cmd("ethtool -K", self, "tx off")
        return config(self, *args, **params)

    def shaped_without_offload(self: Any, *args: Any, **params: Any) -> Any:
        params["txo"] = False
        return shaped(self, *args, **params)

    module.Intf.config = without_offload
    module.TCIntf.config = shaped_without_offload


def _net(module: Any) -> None:
    """mininet.net: changes are said; iperf() ends, with whichever iperf.

    It asks whether the server listens by a connection that says one letter, and waits for a result
    of it, too: iperf 2.1 gives none. To look for more it asks poll() whether the server's terminal
    may be written, which is always so, and then reads it, which waits for ever."""

    def iperf(
        self: Any,
        hosts: Any = None,
        l4Type: str = "TCP",
        udpBw: str = "10M",
        fmt: Any = None,
        seconds: float = 5,
        port: int = 5001,
    ) -> list[str]:
        client, server = hosts or (self.hosts[0], self.hosts[-1])
        if l4Type not in ("TCP", "UDP"):
            raise Exception(f"Unexpected l4 type: {l4Type}")
        words = ["*** Iperf: testing", l4Type, "bandwidth between", client, "and", server, "\n"]
        module.output(*words)
        server.cmd("killall -9 iperf")
        command = f"iperf -p {port} " + ("-u " if l4Type == "UDP" else "")
        command += f"-f {fmt} " if fmt else ""
        server.sendCmd(f"{command}-s")
        if l4Type == "TCP" and not module.waitListening(client, server.IP(), port):
            raise Exception(f"Could not connect to iperf on port {port}")
        limit = f" -b {udpBw}" if l4Type == "UDP" else ""
        sent = client.cmd(f"{command}-t {seconds} -c {server.IP()}{limit}")
        received = _report(server, sent)
        server.sendInt()
        received += server.waitOutput()
        result = [self._parseIperf(received), self._parseIperf(sent)]
        if l4Type == "UDP":
            result.insert(0, udpBw)
        module.output(f"*** Results: {result}\n")
        return result

    mininet = module.Mininet
    mininet.iperf = iperf
    _cpu_limits().install_test(module, sys.modules["mininet.node"])
    for name in ("addHost", "addSwitch", "addNAT", "addLink", "delNode", "delLink"):
        if hasattr(mininet, name):
            setattr(mininet, name, _picture.changing(getattr(mininet, name)))
    mininet.build = _picture.changing(mininet.build, whole=True)
    start = _picture.changing(mininet.start, whole=True)
    # When it stops, what there was is looked at for the last time.
    stop = _picture.changing(mininet.stop)

    def and_it_runs(self: Any, *args: Any, **params: Any) -> Any:
        started = start(self, *args, **params)
        _picture.company.ask({"started": True})
        return started

    mininet.start = and_it_runs

    def once_it_was_seen(self: Any) -> None:
        _picture.company.ask({"stopping": True})
        stop(self)

    mininet.stop = once_it_was_seen


def _report(server: Any, sent: str) -> str:
    """What a server of iperf says, until the result of the client's connection is in it, which its
    own port tells from others, or its time is out."""
    port = re.search(r"local \S+ port (\d+) connected", sent)
    received, deadline = "", time.monotonic() + REPORT_S
    while port is not None and time.monotonic() < deadline:
        if "/sec" in received.partition(f"port {port[1]}")[2]:
            break
        if select.select([server.stdout], [], [], 0.2)[0]:
            received += server.monitor()
    return received


def _util(module: Any) -> None:
    """mininet.util: the machine's settings are left alone."""
    module.sysctlTestAndSet = lambda name, limit: None


_AFTER: dict[str, Callable[[Any], None]] = {
    "mininet.moduledeps": _modules_that_lack,
    "mininet.term": _terminals,
    "mininet.util": _util,
    "mininet.node": _node,
    "mininet.net": _net,
    "mininet.link": _link,
}


class _Finder(importlib.abc.MetaPathFinder):
    """Finds Mininet's modules as Python does, and has them told."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name not in _AFTER:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is None or spec.loader is None:
            return None
        execute, tell = spec.loader.exec_module, _AFTER[name]

        def exec_module(module: types.ModuleType) -> None:
            execute(module)
            tell(module)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def _others_sitecustomize() -> None:
    """There may be one that ours stands before."""
    ours = sys.modules.pop("sitecustomize", None)
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry) != _HERE]
    try:
        import sitecustomize  # noqa: F401
    except ImportError:
        if ours is not None:
            sys.modules["sitecustomize"] = ours


if __name__ == "sitecustomize":
    sys.meta_path.insert(0, _Finder())
    sys.excepthook = _uncaught(sys.excepthook)
    if os.environ.get("HOPLAB_FALLBACK"):
        sys.path.append(os.environ["HOPLAB_FALLBACK"])
    _others_sitecustomize()
