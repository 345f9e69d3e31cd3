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
from typing import Any, TypeVar

from hoplab import netlink, sandbox

T = TypeVar("T")
_CLONE_FS = 0x200


def in_thread(work: Callable[[], T]) -> T:
    """Run `work` in a thread that ends with it; what it raises is raised here."""
    box: list[Any] = [None, None]

    def body() -> None:
        try:
            box[0] = work()
        except BaseException as error:  # handed over, not handled
            box[1] = error

    thread = threading.Thread(target=body, daemon=True)
    thread.start()
    thread.join()
    if box[1] is not None:
        raise box[1]
    result: T = box[0]
    return result


class Namespace:
    """Where one host lives. `net` and `mnt` are descriptors; `route` is a netlink socket inside."""

    def __init__(self, name: str) -> None:
        """Call only in a helper thread: it moves the calling thread into the new namespaces."""
        self.name = name
        self.files: dict[str, str] = {}  # path in the host -> text, put in place before first use
        sandbox.unshare(sandbox.CLONE_NEWNET | sandbox.CLONE_NEWNS | sandbox.CLONE_NEWUTS)
        sandbox.sethostname(name[:64])
        self._hold()

    def _hold(self) -> None:
        self.net = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self.mnt = os.open("/proc/thread-self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        self.uts = os.open("/proc/thread-self/ns/uts", os.O_RDONLY | os.O_CLOEXEC)
        # setns(2) puts a thread at the root of the mount namespace: in a chroot that is not ours.
        self.root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self.route = netlink.Socket()
        self.next_index = 2
        self._placing = threading.Lock()

    @classmethod
    def create(cls, names: Iterable[str], *, ipv6: bool = False) -> list[Namespace]:
        """New namespaces with lo up and, unless asked, IPv6 off. Raises OSError."""

        def work() -> list[Namespace]:
            made = []
            for name in names:
                space = cls(name)
                if not ipv6:
                    ipv6_off()
                space.route.send([netlink.link_up(netlink.LOOPBACK, "lo")])
                made.append(space)
            return made

        return in_thread(work)

    @classmethod
    def own(cls, name: str) -> Namespace:
        """The namespaces that this process is in already."""
        space = cls.__new__(cls)
        space.name = name
        space.files = {}
        space._hold()
        space.next_index = 1000  # above what Open vSwitch's own interfaces take
        return space

    def take_index(self) -> int:
        """An interface index that is free in this namespace."""
        self.next_index += 1
        return self.next_index - 1

    def enter(self) -> None:
        """Move the calling thread here. For helper threads only: there is no way back."""
        sandbox.unshare(_CLONE_FS)
        sandbox.setns(self.net, sandbox.CLONE_NEWNET)
        sandbox.setns(self.uts, sandbox.CLONE_NEWUTS)
        sandbox.setns(self.mnt, sandbox.CLONE_NEWNS)
        os.fchdir(self.root)
        os.chroot(".")
        with self._placing:  # two first uses at once: the second waits until the files are there
            if self.files:
                self._place_files()

    def _place_files(self) -> None:
        """Bind this host's own files over the machine's, and show its own network in /sys."""
        with contextlib.suppress(OSError):  # as in the sandbox: only tools that read /sys miss it
            sandbox.mount("sysfs", "/sys", "sysfs", 0)
        folder = Path("/run/hoplab", self.name)
        folder.mkdir(parents=True, exist_ok=True)
        for number, (target, text) in enumerate(self.files.items()):
            own = folder / f"{number}-{os.path.basename(target)}"
            own.write_text(text)
            with contextlib.suppress(FileNotFoundError):
                sandbox.mount(str(own), os.path.realpath(target), None, sandbox.MS_BIND)
        self.files = {}

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


def ipv6_off() -> None:
    """Switch IPv6 off in the calling thread's network namespace, now and for new interfaces: its
    neighbour discovery and router solicitations would be noise on every wire."""
    for which in ("all", "default"):
        with contextlib.suppress(OSError):  # a kernel without IPv6 has nothing to switch off
            Path(f"/proc/sys/net/ipv6/conf/{which}/disable_ipv6").write_text("1")
