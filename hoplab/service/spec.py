# SPDX-License-Identifier: Apache-2.0
"""What a lab is asked to be: plain data, made by the command line, read by the daemon."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hoplab.imports import formats
from hoplab.ryu_apps import NO_APPS, Apps


@dataclass(frozen=True)
class Spec:
    """A lab to bring up.

    folder: the run folder, which exists. topology: the file; chosen: which of several Topos in it,
    by name; arguments: as for `mn --topo` ('n=4'); words: what the file finds on its command line;
    simple_macs: hosts have 00:00:00:00:00:01 and so on. controller: the Ryu apps and their options;
    without apps those that the topology says. standby: a second controller process is connected as
    slave, ready to take over. shards: so many processes divide the switches. platform: what runs
    the apps, 'ryu' or 'os-ken'.
    datapath: 'auto', 'kernel', 'user', 'afxdp' or 'fast'. vswitchd: so many ovs-vswitchd divide the
    switches, 0 for as many as their number needs. capture: listen on every interface from before it
    is up. workplace: the folder where controllers work, the user's. outside: where the topology's
    file names a RemoteController, one that the user runs on this machine is in charge; far:
    addresses elsewhere where one may be.
    """

    name: str
    folder: Path
    topology: Path
    arguments: str = ""
    chosen: str = ""
    words: tuple[str, ...] = ()
    simple_macs: bool = False
    controller: Apps = NO_APPS
    standby: bool = False
    shards: int = 1
    platform: str = "ryu"
    datapath: str = "auto"
    vswitchd: int = 0
    capture: bool = False
    ipv6: bool = False
    static_arp: bool = False
    debug: bool = False
    workplace: Path = Path("/")
    outside: bool = True
    far: tuple[tuple[str, int], ...] = ()

    @property
    def title(self) -> str:
        """The topology as it is asked for: 'switch,n=8'."""
        return formats.title(self.topology) + (f",{self.arguments}" if self.arguments else "")

    @property
    def socket(self) -> Path:
        return self.folder / "lab.sock"

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def state(self) -> Path:
        return self.folder / "lab.json"


SOCKET = "lab.sock"
STATE = "lab.json"
LOCK = "lock"
SCRIPT = "script"  # the name is a script's: its folder is of no use once it has ended
WAITING = "waiting"  # the name is a script's that has not built its network yet
EARLY_CAPTURE = "early.pcapng"
LARGEST_MESSAGE = 200_000  # bytes of one SOCK_SEQPACKET message, below the kernel's default limit
