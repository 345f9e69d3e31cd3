# SPDX-License-Identifier: Apache-2.0
"""What hosts, routers and switches are set to: read from their namespaces and the databases of Open
vSwitch, for whoever asks later why something could not be reached.

What lives here: the reading, as plain data for `hosts.json`; `hoplab.story.host_state` reads it
again. What must not: what it means.

Three things are read, each when it costs nobody anything:
1. How the lab was built (`built`), its cables as well: before the first command of a user runs in
   it.
2. What is counted (`counts`): when a recording begins, of filters and of packets that the kernel
   threw away, so that it can be told which of them rose.
3. All of it (`now`): when a recording ends.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hoplab import programs
from hoplab.errors import LabError
from hoplab.kernel import netlink_questions
from hoplab.kernel.namespaces import in_thread
from hoplab.kernel.system_calls import CLONE_NEWNET, setns, unshare
from hoplab.openvswitch import bridges, flows, ovsdb, tables

if TYPE_CHECKING:
    from hoplab.kernel.batch import Place
    from hoplab.service.lab import Lab

FORMAT = 1
# Of a larger lab it would keep whoever runs a command waiting.
MOST_HOSTS = 100
_CLONE_FS = 0x200  # a thread that wanders between namespaces shares no root with the others
_OWN = Path("/proc/thread-self/net")  # of the namespace that the reading thread is in
_SETTINGS = Path("/proc/sys/net/ipv4")
_COUNTERS = {
    "netstat": ("IPReversePathFilter", "InNoRoutes"),
    "snmp": ("InAddrErrors", "OutNoRoutes", "ForwDatagrams", "FragFails"),
}
_TOOL_S = 5


class HostFacts:
    """The facts of one lab. built: None until somebody asked for it."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._turn = threading.Lock()
        self.built: dict[str, Any] | None = None

    @property
    def cheap(self) -> bool:
        """Few hosts enough to read them all, needed or not."""
        return len(self._lab.network.hosts) <= MOST_HOSTS

    def note_built(self) -> None:
        """Read how the lab was built, unless that was done before."""
        if self.built is not None or not self.cheap:
            return
        with self._turn:  # one reads, others wait until it is done
            if self.built is None:
                self.built = {**self._read(switches=False), "cables": self._cables()}

    def renew(self, name: str) -> None:
        """A host is what somebody wants it to be now: that is how it was built, as far as anybody
        asks; nothing of one that has gone."""
        with self._turn:
            if self.built is None:
                return
            hosts = dict(self.built.get("hosts") or {})
            hosts.pop(name, None)
            place = self._places().get(name)
            if place is not None:
                with _never_mind():
                    hosts |= self._read_hosts({name: place})
            self.built = {**self.built, "hosts": hosts}

    def listeners(self, name: str) -> list[dict[str, Any]]:
        """The sockets of a host that wait for somebody, with the process that has each."""
        place = self._places().get(name)
        if place is None:
            return []

        def work() -> list[dict[str, Any]]:
            unshare(_CLONE_FS)
            setns(place.namespace.net, CLONE_NEWNET)
            return list(_listeners())

        waiting = in_thread(work)
        _name_programs({name: {"listeners": waiting}})
        return waiting

    def look(self, names: Iterable[str]) -> dict[str, Any]:
        """What these hosts hold at this moment: ARP cache, routes, connections, and the sockets
        that wait for somebody."""
        places = self._places()

        def work() -> dict[str, Any]:
            unshare(_CLONE_FS)
            return {name: _held(places[name]) for name in names if name in places}

        held = in_thread(work)
        _name_programs(held)
        return held

    def forget(self) -> None:
        """The network is another one: how it was built is read anew."""
        self.built = None

    def counts(self) -> dict[str, Any]:
        """What is counted now, by host: "counters", and the "filters" of those that have some."""
        if not self.cheap:
            return {}

        def work() -> dict[str, Any]:
            unshare(_CLONE_FS)
            counted: dict[str, Any] = {}
            for name, place in self._places().items():
                setns(place.namespace.net, CLONE_NEWNET)
                counted[name] = {"counters": _counters()}
                tools = _filter_tools()
                if tools:
                    counted[name]["filters"] = _filters(place, tools)
            return counted

        with _never_mind():
            return {"hosts": in_thread(work)}
        return {}

    def now(self) -> dict[str, Any]:
        """Everything, by host and by switch."""
        return self._read(switches=True)

    @staticmethod
    def _read_hosts(places: dict[str, Place]) -> dict[str, Any]:

        def work() -> dict[str, Any]:
            unshare(_CLONE_FS)
            return {name: _host(place) for name, place in places.items()}

        hosts = in_thread(work)
        _name_programs(hosts)
        return hosts

    def _read(self, *, switches: bool) -> dict[str, Any]:
        data: dict[str, Any] = {}
        with _never_mind():
            data["hosts"] = self._read_hosts(self._places())
        if switches and self._lab.network.bridges():
            with _never_mind():
                data["switches"] = _switches(self._lab)
        return data

    def _cables(self) -> list[list[str]]:
        """The interfaces at both ends of each cable, as lab.json calls them."""
        label = self._lab.network.label
        return [
            [label(link.intf1), label(link.intf2)] for link in list(self._lab.network.links)
            if link.intf1 and link.intf2
        ]  # fmt: skip

    def _places(self) -> dict[str, Place]:
        root = self._lab.network.batch.root
        places = {node.name: self._lab.network.place(node.name) for node in self._lab.network.hosts}
        return {name: place for name, place in places.items() if place is not root}


@contextlib.contextmanager
def _never_mind() -> Iterator[None]:
    """What cannot be read is missing from the facts, and nothing else fails for it: it goes to the
    lab's log."""
    try:
        yield
    except Exception:
        with contextlib.suppress(OSError):
            traceback.print_exc()


def _host(place: Place) -> dict[str, Any]:
    """One host. The calling thread wanders into its network namespace."""
    route = place.namespace.route
    setns(place.namespace.net, CLONE_NEWNET)
    links, addresses = route.links(), route.addresses()
    names = {link["index"]: link["name"] for link in links}
    cards = [
        {
            **{key: link[key] for key in ("name", "mac", "mtu", "up", "carrier")},
            "addresses": [each for each in addresses.get(link["index"], []) if ":" not in each],
        }
        for link in links
        if link["index"] in place.index.values() or link["index"] in addresses
    ]
    host = {
        "cards": cards,
        "routes": [_named(route, names) for route in route.routes()],
        "neighbours": [_named(entry, names) for entry in route.neighbours()],
        "settings": _settings([card["name"] for card in cards]),
        "counters": _counters(),
        "listeners": list(_listeners()),
        **_etc(place),
    }
    rules = route.rules()
    if len(rules) > 3:  # local, main and default are there by themselves
        host["rules"] = rules
    tools = _filter_tools()
    if tools:
        host["filters"] = _filters(place, tools)
    return host


def _held(place: Place) -> dict[str, Any]:
    """What one host holds. The calling thread wanders into its network namespace."""
    route = place.namespace.route
    setns(place.namespace.net, CLONE_NEWNET)
    names = {link["index"]: link["name"] for link in route.links()}
    connections: list[dict[str, Any]] = []
    with contextlib.suppress(OSError):
        connections += netlink_questions.connections()
    return {
        "neighbours": [_named(entry, names) for entry in route.neighbours()],
        "routes": [_named(each, names) for each in route.routes()],
        "connections": connections,
        "listeners": list(_listeners()),
    }


def _named(entry: dict[str, Any], names: dict[int, str]) -> dict[str, Any]:
    """An entry with its interface's name instead of its index, and without what is not set."""
    named = {
        key: value for key, value in entry.items() if key != "index" and value not in ("", 0)
    }
    return {**named, "card": names.get(entry.get("index", 0), "")}


def _settings(cards: Iterable[str]) -> dict[str, Any]:
    """The settings by which a host takes packets or passes them on (ip-sysctl)."""
    settings: dict[str, Any] = {
        name: _number(_SETTINGS / name) for name in ("ip_forward", "icmp_echo_ignore_all")
    }
    for name in ("rp_filter", "arp_ignore"):
        settings[name] = {
            card: _number(_SETTINGS / "conf" / card / name) for card in ("all", *cards)
        }
    return settings


def _number(path: Path) -> int:
    try:
        with open(path, "rb") as file:
            return int(file.read())
    except (OSError, ValueError):
        return 0


def _counters() -> dict[str, int]:
    """What the kernel counts of packets that it threw away (netstat -s)."""
    counted: dict[str, int] = {}
    for file, wanted in _COUNTERS.items():
        with contextlib.suppress(OSError), open(_OWN / file) as lines:
            for head, values in zip(lines, lines, strict=False):  # a line of names, one of numbers
                row = zip(head.split(), values.split(), strict=False)
                counted.update({name: int(value) for name, value in row if name in wanted})
    return counted


def _listeners() -> Iterable[dict[str, Any]]:
    """The sockets that wait for somebody."""
    with contextlib.suppress(OSError):
        yield from netlink_questions.listening()


def _name_programs(hosts: dict[str, Any]) -> None:
    """Tell of each listening socket which process has it, by its command line."""
    waiting = {
        f"socket:[{listener.pop('inode')}]": listener
        for host in hosts.values()
        for listener in host["listeners"]
    }
    if not waiting:
        return
    for process in os.scandir("/proc"):
        if not process.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            for number in os.listdir(f"{process.path}/fd"):
                with contextlib.suppress(OSError):
                    listener = waiting.get(os.readlink(f"{process.path}/fd/{number}"))
                    if listener is not None and "pid" not in listener:
                        listener["pid"] = int(process.name)
                        listener["argv"] = _command_line(Path(process.path))


def _command_line(process: Path) -> list[str]:
    """How a process was started, with its program found from everywhere. Raises OSError."""
    line = (process / "cmdline").read_bytes().decode(errors="replace")
    words = line.split("\0")[:-1]
    if words and "/" in words[0]:
        words[0] = os.path.join(os.readlink(process / "cwd"), words[0])
    return words


def _etc(place: Place) -> dict[str, Any]:
    texts = etc_of(place)
    return {"etc": texts} if texts else {}


def etc_of(place: Place) -> dict[str, str]:
    """A host's own /etc/resolv.conf and /etc/hosts, as they are now."""
    texts = {}
    for target, text in place.files.items():
        with contextlib.suppress(OSError):
            text = own_file(place, target).read_text(errors="replace")
        texts[os.path.basename(target)] = text
    return texts


def own_file(place: Place, target: str) -> Path:
    """Where the file lies that a host has in place of the machine's, once it is used."""
    number = list(place.files).index(target)
    return Path("/run/hoplab", place.name, f"{number}-{os.path.basename(target)}")


# ------------------------------------------------------------------------------ filters


def _filter_tools() -> list[list[str]]:
    """The command lines that print the rules in the network namespace of the calling thread; none
    where there are no rules, which the kernel tells without a program."""
    tools = []
    with contextlib.suppress(OSError):
        if (_OWN / "ip_tables_names").read_text().split():
            tools.append(["iptables-legacy-save", "-c"])
    with contextlib.suppress(OSError):
        if netlink_questions.has_nft_tables():
            tools += [["iptables-nft-save", "-c"], ["nft", "-a", "list", "ruleset"]]
    return tools


def _filters(place: Place, tools: Iterable[list[str]]) -> dict[str, str]:
    """The rules with their counters, as each tool that is there prints them."""
    printed = {}
    for argv in tools:
        program = programs.find(argv[0])
        if program is None:
            continue
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            process = place.namespace.popen(
                [program, *argv[1:]], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL, text=True, errors="replace", cwd="/",
            )  # fmt: skip
            try:
                text, _ = process.communicate(timeout=_TOOL_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                continue
            if process.returncode == 0 and text.strip():
                printed[argv[0]] = text
    return printed


# ------------------------------------------------------------------------------ switches


def _switches(lab: Lab) -> dict[str, Any]:
    """Each switch: its ports, their VLANs, whether it has a controller, and how many flows."""
    root = lab.network.batch.root.namespace.route
    links = {link["name"]: link for link in root.links()}
    switches: dict[str, Any] = {}
    for path in bridges.databases():
        with ovsdb.Database(path) as database:
            ports = {
                str(row["_uuid"]): row for row in database.rows("Port", ["name", "tag"])
            }
            connected = {
                str(row["_uuid"]): row["is_connected"]
                for row in database.rows("Controller", ["is_connected"])
            }
            columns = ["name", "ports", "controller", "fail_mode"]
            for row in database.rows("Bridge", columns):
                if row["name"] in lab.network.bridges():
                    switches[str(row["name"])] = _switch(row, ports, connected, links)
    for name in lab.crew.halted() if lab.crew is not None else ():
        if name in switches:
            switches[name]["hung"] = True
    return switches


def _switch(
    row: dict[str, Any], ports: dict[str, Any], connected: dict[str, Any], links: dict[str, Any]
) -> dict[str, Any]:
    name = str(row["name"])
    own = [ports[str(uuid)] for uuid in _set(row["ports"]) if str(uuid) in ports]
    controllers = [str(uuid) for uuid in _set(row["controller"])]
    listed = {
        str(port["name"]): {
            "up": links.get(port["name"], {}).get("up", True),
            "carrier": links.get(port["name"], {}).get("carrier", True),
            "mtu": links.get(port["name"], {}).get("mtu", 0),
            **({"tag": port["tag"]} if isinstance(port["tag"], int) else {}),
        }
        for port in own
        if port["name"] != name
    }
    switch = {
        "ports": listed,
        "controllers": len(controllers),
        "connected": any(connected.get(uuid) is True for uuid in controllers),
        "secure": row["fail_mode"] == "secure",
    }
    with contextlib.suppress(LabError, OSError):
        switch["flows"] = len(flows.flows(name))
        if any("tag" in port for port in listed.values()):
            switch["normal"] = any("NORMAL" in flow["actions"] for flow in tables.flows_of(name))
    return switch


def _set(value: Any) -> list[Any]:
    """The members of a set as OVSDB writes it (RFC 7047, 5.1): one stands by itself."""
    return value[1] if isinstance(value, list) and value[:1] == ["set"] else [value]
