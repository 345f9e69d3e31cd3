# SPDX-License-Identifier: Apache-2.0
"""A host's namespaces (network, mount, UTS) held by descriptors, without a process.

A namespace belongs to a thread in Linux, not to a process. So a helper thread makes one after the
other with unshare(2) and leaves descriptors behind, and a fresh thread enters them with setns(2)
when something is to be done or started there; what it starts inherits them. An idle host therefore
costs no process. Nothing here knows Mininet.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Generic, TypeVar

from hoplab.kernel import mounts, netlink, system_calls

T = TypeVar("T")
_CLONE_FS = 0x200
_WORTH_A_THREAD = 10  # namespaces; a thread costs as much as one of them


class Background(Generic[T]):
    """A function at work in a thread that ends with it."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._body, daemon=True)
        self._thread.start()

    def _body(self) -> None:
        try:
            self._value = self._work()
        except BaseException as error:  # handed over, not handled
            self._error = error

    @property
    def succeeded(self) -> bool:
        """Whether the thread has ended and raised nothing."""
        return not self._thread.is_alive() and self._error is None

    def result(self) -> T:
        """Wait for the end. Raises what `work` raised."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._value


def in_thread(work: Callable[[], T]) -> T:
    """Run `work` in a thread that ends with it; what it raises is raised here."""
    return Background(work).result()


def _hold(kind: str) -> int:
    """A descriptor of the calling thread's namespace of that kind, which keeps it alive."""
    return os.open(f"/proc/thread-self/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC)


class Namespace:
    """Where one host lives. `net` is a descriptor, `route` a netlink socket inside.

    The network namespace is there from the start. The mount and the UTS namespace only matter to a
    process, so they are made when the first one enters.
    """

    def __init__(self, name: str) -> None:
        """The network namespace that the calling thread is in."""
        self.name = name
        self.files: dict[str, str] = {}  # path in the host -> text, put in place before first use
        self.net = _hold("net")
        self.route = netlink.Socket()
        self._mnt = self._uts = self._root = -1
        self._furnishing = threading.Lock()

    @classmethod
    def create(cls, names: Iterable[str], *, ipv6: bool = False) -> list[Namespace]:
        """New namespaces with lo up and, unless asked, IPv6 off. Raises OSError."""
        todo = list(names)
        forwards = _forwards()

        def work(some: list[str]) -> list[Namespace]:
            made = []
            for name in some:
                system_calls.unshare(system_calls.CLONE_NEWNET)
                space = cls(name)
                if not ipv6:
                    ipv6_off()
                if forwards:
                    _forward_no_more()
                space.route.send([netlink.link_up(netlink.LOOPBACK, "lo")])
                made.append(space)
            return made

        if len(todo) < 2 * _WORTH_A_THREAD:
            return in_thread(lambda: work(todo))
        # Most of it is the kernel's work, which two threads share well.
        half = len(todo) // 2
        second_half = Background(lambda: work(todo[half:]))
        return [*in_thread(lambda: work(todo[:half])), *second_half.result()]

    @classmethod
    def own(cls, name: str) -> Namespace:
        """The namespaces that this process is in already."""
        space = cls(name)
        space._hold_rest()
        return space

    @classmethod
    def of_process(cls, pid: int, name: str) -> Namespace:
        """The namespaces that another process is in. Raises OSError if there is no such process."""
        net, mnt, uts = (
            os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC)
            for kind in ("net", "mnt", "uts")
        )

        def inside() -> Namespace:
            system_calls.setns(net, system_calls.CLONE_NEWNET)
            return cls(name)

        space = in_thread(inside)
        os.close(net)  # `space` has one of its own
        space._mnt, space._uts = mnt, uts
        space._root = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        return space

    def close(self) -> None:
        """Let go of what holds the namespaces: nobody is to enter them any more."""
        self.route.close()
        for fd in (self.net, self._mnt, self._uts, self._root):
            if fd >= 0:
                os.close(fd)
        self.net = self._mnt = self._uts = self._root = -1

    @property
    def entered(self) -> bool:
        """Has a process been in here?"""
        return self._root >= 0

    def _hold_rest(self) -> None:
        self._mnt, self._uts = _hold("mnt"), _hold("uts")
        # setns(2) puts a thread at the root of the mount namespace: in a chroot that is not ours.
        self._root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def enter(self) -> None:
        """Move the calling thread here. For helper threads only: there is no way back."""
        system_calls.unshare(_CLONE_FS)
        system_calls.setns(self.net, system_calls.CLONE_NEWNET)
        with self._furnishing:  # two first uses at once: the second waits until all is there
            if self._root < 0:
                system_calls.unshare(system_calls.CLONE_NEWNS | system_calls.CLONE_NEWUTS)
                system_calls.sethostname(self.name[:64])
                self._place_files()
                self._hold_rest()
                return
        system_calls.setns(self._uts, system_calls.CLONE_NEWUTS)
        system_calls.setns(self._mnt, system_calls.CLONE_NEWNS)
        os.fchdir(self._root)
        os.chroot(".")

    def _place_files(self) -> None:
        """Bind this host's own files over the machine's, and show its own network in /sys."""
        with contextlib.suppress(OSError):  # as in the sandbox: only tools that read /sys miss it
            mounts.mount_sys()
        folder = Path("/run/hoplab", self.name)
        if self.files:
            folder.mkdir(parents=True, exist_ok=True)
        for number, (target, text) in enumerate(self.files.items()):
            own = folder / f"{number}-{os.path.basename(target)}"
            own.write_text(text)
            with contextlib.suppress(FileNotFoundError):
                system_calls.mount(str(own), os.path.realpath(target), None, system_calls.MS_BIND)

    def run(self, work: Callable[[], T]) -> T:
        """Call `work` inside and return its result."""

        def body() -> T:
            self.enter()
            return work()

        return in_thread(body)

    def popen(self, argv: list[str], **options: Any) -> subprocess.Popen[Any]:
        """subprocess.Popen inside. The working directory is kept unless `cwd` says otherwise."""
        options.setdefault("cwd", os.getcwd())
        return self.run(lambda: subprocess.Popen(argv, **options))


_FORWARD = "/proc/sys/net/ipv4/ip_forward"


def _forwards() -> bool:
    """Whether the machine forwards IPv4, as one that has run Docker does: new namespaces inherit
    that (ip-sysctl, devconf_inherit_init_net), and a host is no router unless its class says so."""
    with contextlib.suppress(OSError), open(_FORWARD) as file:
        return file.read().strip() != "0"
    return False


def _forward_no_more() -> None:
    """Turn forwarding of IPv4 off in the network namespace of the calling thread."""
    with open(_FORWARD, "w") as file:
        file.write("0")


def ipv6_off() -> None:
    """Switch IPv6 off in the calling thread's network namespace, now and for new interfaces: its
    neighbour discovery and router solicitations would be noise on every wire."""
    with contextlib.suppress(OSError):  # a kernel without IPv6 has nothing to switch off
        # "all" also sets "default", which new interfaces take theirs from
        switch = os.open("/proc/sys/net/ipv6/conf/all/disable_ipv6", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(switch, b"1")
        finally:
            os.close(switch)
