# SPDX-License-Identifier: Apache-2.0
"""What stock Mininet needs to hear in a sandbox: loaded by every Python there as `sitecustomize`.

`run.py` puts a link to this file on the PYTHONPATH of the command that it runs. Mininet itself is
not changed on disk, and nothing of hoplab is imported: the Python may be any from 3.7 on. When
a module of Mininet is loaded, and not before, it is told

- that a controller provided by us takes a moment to listen, and how to have a remote one in here
  where nobody answers for it;
- that an iperf may say nothing of a connection that says nothing (iperf() waited for it for ever);
- that what it reads of a shell may be no UTF-8 (it ended there with a traceback);
- that a CPULimitedHost may be there without its limit, and that cgroups take a moment to go;
- that Open vSwitch forwards in user space here (`HOPLAB_DATAPATH`=user), which needs the checksum
  offload of the hosts' interfaces off, or TCP and UDP carry nothing;
- that machine-wide settings are not its to change;

and where this Python has no Mininet, or no distutils (gone in Python 3.12), those of the machine
are found, behind everything else on its path (`HOPLAB_FALLBACK`).
"""

from __future__ import annotations  # for a Python of before 3.10

import importlib.abc
import importlib.machinery
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
from collections.abc import Callable, Sequence
from typing import Any

CONTROLLER_S = 20  # for Ryu to load, where ovs-testcontroller would be there at once
OPEN_VSWITCH_S = 30  # for it to answer; it runs
CGROUP_S = 10  # for a control group to be empty, once its processes were ended
REPORT_S = 15  # for an iperf to say what it has received, once the other one has ended
REMOTE_S = 20  # for a remote controller to listen, if one may be on its way
ALONE_S = 1  # and if nobody is there who might
# What a controller is run by, as its command line shows.
_MAY_CONTROL = re.compile(
    r"python|ryu|os.?ken|pox|faucet|java|karaf|onos|floodlight|ovs-(test)?controller"
)
_HERE = os.path.dirname(os.path.abspath(__file__))


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

    def and_say(self: Any) -> None:
        listens(self)
        threading.Thread(target=_await_remote, args=(self.ip, self.port), daemon=True).start()

    module.RemoteController.checkListening = and_say
    # It asks by telnet whether a controller is there, and reads its answer: OpenFlow's Hello.
    module.getincrementaldecoder = lambda: decoder(errors="replace")
    ask = module.errRun

    def patiently(*command: Any, **options: Any) -> Any:
        if command == ("ovs-vsctl -t 1 show",):  # a second is little on a busy machine
            command = (f"ovs-vsctl -t {OPEN_VSWITCH_S} show",)
        return ask(*command, **options)

    module.errRun = patiently
    _cpu_limited(module)
    if os.environ.get("HOPLAB_DATAPATH") == "user":
        _user_space(module)


_silent: list[tuple[str, int]] = []  # remote controllers that were told to be missing


def _await_remote(ip: str, port: int) -> None:
    """Let `run.py` say, once, that nobody answers for a remote controller, when that is known:
    a program that could be one may still be loading."""
    began = time.monotonic()
    while True:
        try:
            socket.create_connection((ip, port), 1).close()
            return
        except OSError:
            pass
        waited_s = time.monotonic() - began
        if waited_s > REMOTE_S or (waited_s > ALONE_S and not _somebody_may_control()):
            break
        time.sleep(0.1)
    if (ip, port) in _silent:
        return
    _silent.append((ip, port))
    listen = "" if port == 6653 else f"--ofp-tcp-listen-port {port} "
    inside = f"ryu-manager {listen}APP.py & {_command_line()}"
    missing = {
        "ip": ip, "port": port, "command": f"hoplab run -- sh -c {shlex.quote(inside)}"
    }  # fmt: skip
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notes:
            notes.sendto(json.dumps(missing).encode(), os.environ["HOPLAB_NOTES"])
    except (OSError, KeyError):
        pass  # the machine of this command is ending


def _command_line() -> str:
    """What this Python was started by, as one types it."""
    mn = os.path.basename(sys.argv[0]) == "mn"
    return " ".join(map(shlex.quote, ["mn", *sys.argv[1:]] if mn else ["python3", *sys.argv]))


def _somebody_may_control() -> bool:
    """Whether a program runs in here that could be a controller, other than this one and those that
    it was started by."""
    own, pid = {0, 1}, os.getpid()
    while pid > 1:
        own.add(pid)
        try:
            with open(f"/proc/{pid}/stat") as file:
                pid = int(file.read().rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            break
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) not in own:
            try:
                with open(f"/proc/{name}/cmdline", errors="replace") as file:
                    words = file.read().split("\0")
            except OSError:
                continue
            if _MAY_CONTROL.search(" ".join(words[:3])):
                return True
    return False


def _cpu_limited(module: Any) -> None:
    """Where nobody may make cgroups, as an ordinary user may not, a CPULimitedHost is there without
    its limit. Where they are made, they are gone a moment after their processes."""
    host = module.CPULimitedHost
    make, set_share, set_cores = host.__init__, host.setCPUFrac, host.setCPUs
    remove, popen = host.cgroupDel, host.popen

    def if_limited(method: Any) -> Any:
        return lambda self, *a, **k: method(self, *a, **k) if self.hoplab_limited else None

    def limited_if_possible(self: Any, name: str, *args: Any, **params: Any) -> None:
        self.hoplab_limited = True
        try:
            make(self, name, *args, **params)
        except Exception as error:  # errFail's, which makes no other
            if "cg" not in str(error):
                raise
            self.hoplab_limited = False
            module.warn(f"*** {name}: no CPU limit: this user may make no cgroup\n")

    host.__init__ = limited_if_possible
    host.setCPUFrac, host.setCPUs = if_limited(set_share), if_limited(set_cores)
    host.cgroupDel = lambda self: not self.hoplab_limited or remove(self)
    host.popen = lambda self, *a, **k: (popen if self.hoplab_limited else module.Host.popen)(
        self, *a, **k
    )

    def until_gone(retries: int, delaySecs: float, fn: Any, *args: Any, **params: Any) -> None:
        deadline = time.monotonic() + CGROUP_S  # 0.3 s is little on a busy machine
        while not fn(*args, **params) and time.monotonic() < deadline:
            time.sleep(delaySecs)

    module.retry = until_gone


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
    """mininet.link: checksums are computed before a frame leaves a host."""
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
    """mininet.net: iperf() ends, with whichever iperf. It asks whether the server listens by a
    connection that says one letter, and waits for a result of it, too: iperf 2.1 gives none. To
    look for more it asks poll() whether the server's terminal may be written, which is always so,
    and then reads it, which waits for ever."""

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

    module.Mininet.iperf = iperf


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
    "mininet.util": _util,
    "mininet.node": _node,
    "mininet.net": _net,
}
if os.environ.get("HOPLAB_DATAPATH") == "user":
    _AFTER["mininet.link"] = _link


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
    if os.environ.get("HOPLAB_FALLBACK"):
        sys.path.append(os.environ["HOPLAB_FALLBACK"])
    _others_sitecustomize()
