# SPDX-License-Identifier: Apache-2.0
"""What a script wants and this machine or this kernel does not have, and what to do about it.

The script's Python tells what it meets (`sitecustomize.py`): lines that a node's shell printed,
programs and modules that are not there. Here these become sentences, each said once.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hoplab.kernel import cgroups
from hoplab.sentences import Sentence, say, term

# Where Debian has programs that scripts call, by another name than their own.
_PACKAGES = {
    "ab": "apache2-utils", "arping": "iputils-arping", "arpspoof": "dsniff", "cgcreate":
    "cgroup-tools", "dig": "bind9-dnsutils", "dhclient": "isc-dhcp-client", "dhcpd":
    "isc-dhcp-server", "ITGRecv": "d-itg", "ITGSend": "d-itg",
    "dnsspoof": "dsniff", "gnome-terminal": "gnome-terminal", "host":
    "bind9-host", "ifconfig": "net-tools", "iw": "iw", "macof": "dsniff", "named": "bind9", "nc":
    "netcat-openbsd", "netstat": "net-tools", "nslookup": "bind9-dnsutils", "ping":
    "iputils-ping", "route": "net-tools", "scapy": "python3-scapy", "slapd": "slapd", "sshd":
    "openssh-server", "ssh": "openssh-client", "telnet": "telnet", "tshark": "tshark", "wireshark":
    "wireshark", "xterm": "xterm",
}  # fmt: skip
_BY_THEIR_OWN_NAME = (
    "apache2 bird bmon brctl curl dnsmasq dsniff ethtool ettercap faucet ffmpeg hping3 httperf "
    "iftop iperf iperf3 iptables lighttpd lynx mtr netperf nginx nmap nuttcp openvpn socat snort "
    "strongswan suricata tcpdump tcpreplay traceroute vlc wget wireguard"
).split()
_OF_FRR = ("babeld", "bfdd", "bgpd", "isisd", "ospf6d", "ospfd", "ripd", "ripngd", "vtysh", "zebra")
# Relatives of Mininet, by their module: what they are called, and what else they want.
_RELATIVES = {
    "containernet": ("Containernet", "Docker"),
    "mn_wifi": ("Mininet-WiFi", "mac80211_hwsim"),
    "mininet_wifi": ("Mininet-WiFi", "mac80211_hwsim"),
    "p4_mininet": ("p4lang/tutorials", "simple_switch"),
    "p4runtime_switch": ("p4lang/tutorials", "simple_switch_grpc"),
    "mininext": ("MiniNExT", "Quagga"),
}
_MODULES = {"scapy": "python3-scapy", "yaml": "python3-yaml", "cv2": "python3-opencv"}

# What a shell says of a program that is not there: bash, dash, env(1), and a path.
_NOT_FOUND = (
    re.compile(r"(?:^|[:\s])([\w./+-]+): (?:command )?not found\s*$"),
    re.compile(r"^(?:ba|da)?sh: (?:line \d+: )?(/[\w./+-]+): No such file or directory\s*$"),
    re.compile(r"^env: \W([\w./+-]+)\W: No such file or directory\s*$"),
)
_KIND = re.compile(r"\btype (\w+)")
_QUEUE = re.compile(r"\b(?:root|parent \S+)(?: handle \S+)? (\w+)")


def of_line(node: str, line: str, command: str) -> Sentence | None:
    """What to say of a line that a node's shell printed. command: what the script had it do."""
    for pattern in _NOT_FOUND:
        found = pattern.search(line)
        if found is not None:
            return of_program(found[1], node)
    if line.startswith("tcpdump: Couldn't change to"):
        return of_tcpdump(node)
    if "Unknown device type" in line:
        return _of_interface(_KIND.search(command), command)
    if "qdisc kind is unknown" in line:
        kind = _QUEUE.search(command)
        return say(
            "this kernel has no queue of the kind {kind}: whoever is root outside loads it, if "
            "there is one: {command}",
            kind=kind[1] if kind else "?",
            command=f"sudo modprobe sch_{kind[1] if kind else 'KIND'}",
        )
    return None


def _of_interface(kind: re.Match[str] | None, command: str) -> Sentence:
    name = kind[1] if kind else "vlan" if command.lstrip().startswith("vconfig") else ""
    if name == "vlan":
        return say(
            "this kernel has no interfaces for VLANs (802.1Q): whoever is root outside loads "
            "them, if there are some: {command}; switches that tag work without (tag= of an "
            "OVS port, push_vlan of a controller)",
            command="sudo modprobe 8021q",
        )
    return say(
        "this kernel has no interfaces of the kind {kind}: whoever is root outside loads them, if "
        "there are some: {command}",
        kind=name or "?",
        command=f"sudo modprobe {name or 'KIND'}",
    )


def of_program(path: str, node: str = "") -> Sentence:
    """A program is not there."""
    program = Path(path).name
    who = {"node": node or term("the script"), "program": path}
    if program.startswith("pox"):
        return say(
            "{node} wants {program}, which this machine does not have: put the folder of POX "
            "(https://github.com/noxrepo/pox) on the PATH, or let the script name a "
            "RemoteController and have one of hoplab's: {command}",
            **who,
            command="hoplab run --controller learning_switch -- python3 SCRIPT",
        )
    if program in _OF_FRR:
        return say(
            "{node} wants {program}, which this machine does not have: {command} installs it as "
            "{path} (Quagga's successor)",
            **who,
            command="sudo apt-get install frr",
            path=f"/usr/lib/frr/{program}",
        )
    package = _PACKAGES.get(program, program if program in _BY_THEIR_OWN_NAME else "")
    if not package:
        return say(
            "{node} wants {program}, which this machine does not have: install it there, and run "
            "the script again",
            **who,
        )
    return say(
        "{node} wants {program}, which this machine does not have: {command}",
        **who,
        command=f"sudo apt-get install {package}",
    )


def of_module(module: str, python: str) -> Sentence:
    """A Python module is not there."""
    top = module.partition(".")[0]
    if top in _RELATIVES:
        project, wants = _RELATIVES[top]
        return say(
            "the module {module} comes with {project}, which is not Mininet and wants {wants}: "
            "hoplab runs scripts that need Mininet alone",
            module=top,
            project=project,
            wants=wants,
        )
    package = _MODULES.get(top, f"python3-{top.lower().replace('_', '-')}")
    if not python.startswith("/usr/bin/"):
        return say(
            "{python} has no module {module}: {command}",
            python=python,
            module=module,
            command=f"{shlex.quote(python)} -m pip install {top}",
        )
    return say(
        "{python} has no module {module}: {command}, if your distribution calls it so",
        python=python,
        module=module,
        command=f"sudo apt-get install {package}",
    )


def of_display() -> Sentence:
    return say(
        "a window wants a display, and there is none: log in by {ssh}, or run it on a desktop; "
        "without one, another terminal has a shell of each host: {shell}",
        ssh="ssh -X",
        shell="hoplab shell HOST",
    )


def of_tcpdump(node: str) -> Sentence:
    """It becomes another user before it reads, and in an ordinary user's machine there is none."""
    return say(
        "{node}: tcpdump wants to become another user, and an ordinary user's sandbox has one; "
        "from another terminal {capture} does it, and as root it works: {command}",
        node=node,
        capture=f"hoplab capture {node} -w {node}.pcapng",
        command="sudo hoplab run -- python3 SCRIPT",
    )


def of_limit(node: str, reason: str) -> Sentence:
    """A CPULimitedHost is there without its limit. reason: Mininet's own words."""
    nodes = say("{node} and its like", node=node)
    return cgroups.without(nodes, 2, reason, "hoplab run -- python3 SCRIPT")


def of_cores(node: str, reason: str) -> Sentence:
    """A CPULimitedHost may run on any processor."""
    return say(
        "{node} and its like run on every processor: none can be chosen for them, because their "
        "control groups (cgroups) have no cpuset",
        node=node,
    )


def of_realtime(node: str, reason: str) -> Sentence:
    """A CPULimitedHost has another scheduler than it wants."""
    return say(
        "{node} and its like have their CPU limit by {cfs}: control groups (cgroups) of version 2 "
        "limit nothing for {realtime}",
        node=node,
        cfs="sched='cfs'",
        realtime="sched='rt'",
    )


def of_nat(node: str) -> Sentence:
    return say(
        "{node} is a NAT, and here it leads nowhere: the network ends at its sandbox, and hosts "
        "reach neither yours nor the Internet",
        node=node,
    )


_KINDS: Mapping[str, Callable[..., Sentence | None]] = {
    "line": of_line,
    "program": of_program,
    "module": of_module,
    "display": of_display,
    "limit": of_limit,
    "cores": of_cores,
    "realtime": of_realtime,
    "nat": of_nat,
    "tcpdump": of_tcpdump,
}
# Of these one line is enough, whoever meets it.
_ONCE = ("limit", "cores", "realtime", "display")


class Lacking:
    """Says each thing once."""

    def __init__(self, note: Callable[[str], None]) -> None:
        self._note = note
        self._said: set[str] = set()

    def met(self, kind: str, words: Sequence[Any]) -> None:
        """The script has met it."""
        make = _KINDS.get(kind)
        sentence = make(*map(str, words)) if make is not None else None
        if sentence is None:
            return
        mark = kind if kind in _ONCE else str(sentence.values.get("program", sentence))
        if mark not in self._said:
            self._said.add(mark)
            self._note(sentence)
