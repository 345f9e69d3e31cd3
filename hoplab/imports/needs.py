# SPDX-License-Identifier: Apache-2.0
"""What the startup files of a lab call and this machine lacks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from hoplab import programs
from hoplab.errors import Exit, LabError
from hoplab.imports import shell_lines
from hoplab.imports.records import Device, OtherLab
from hoplab.sentences import listed, say, term, together

# Debian's packages of what such labs call. A program that is not here is named without one.
PACKAGES = {
    "brctl": "bridge-utils", "ifconfig": "net-tools", "route": "net-tools", "arp": "net-tools",
    "netstat": "net-tools", "vconfig": "vlan", "ifenslave": "ifenslave", "vtysh": "frr",
    "radvd": "radvd", "dhclient": "isc-dhcp-client", "dhcpd": "isc-dhcp-server",
    "udhcpc": "udhcpc", "dnsmasq": "dnsmasq-base", "named": "bind9", "dig": "bind9-dnsutils",
    "nslookup": "bind9-dnsutils", "host": "bind9-host", "apache2ctl": "apache2",
    "apachectl": "apache2", "nginx": "nginx-light", "curl": "curl", "wget": "wget",
    "lynx": "lynx", "links": "links", "nc": "netcat-openbsd", "ncat": "ncat",
    "socat": "socat", "iperf": "iperf", "iperf3": "iperf3", "tcpdump": "tcpdump",
    "tshark": "tshark", "traceroute": "traceroute", "mtr": "mtr-tiny", "arping": "iputils-arping",
    "iptables": "iptables", "ip6tables": "iptables", "iptables-legacy": "iptables",
    "nft": "nftables", "ebtables": "ebtables", "ipset": "ipset", "conntrack": "conntrack",
    "ethtool": "ethtool", "openvpn": "openvpn", "wg": "wireguard-tools", "nmap": "nmap",
    "ovs-vsctl": "openvswitch-switch", "ovs-ofctl": "openvswitch-switch", "python3": "python3",
    "telnet": "telnet", "ssh": "openssh-client", "sshd": "openssh-server", "tcpreplay": "tcpreplay",
    "ab": "apache2-utils", "htpasswd": "apache2-utils", "squid": "squid", "haproxy": "haproxy",
    "scapy": "python3-scapy", "bird": "bird2", "babeld": "babeld", "vsftpd": "vsftpd",
    "screen": "screen", "tmux": "tmux", "xtables-multi": "iptables", "strongswan": "strongswan",
    "ipsec": "strongswan", "snmpd": "snmpd", "snmpwalk": "snmp", "exabgp": "exabgp",
    "gcc": "gcc", "make": "make", "lighttpd": "lighttpd", "tinyproxy": "tinyproxy",
}  # fmt: skip
ALL = "all"


class Lacking(NamedTuple):
    """A program or service. packages: Debian's; "" where that is not known. devices: who calls
    it."""

    name: str
    package: str
    devices: tuple[str, ...]


def lacking(lab: OtherLab, services: dict[str, tuple[str, str]]) -> list[Lacking]:
    """What is called and not there. services: those that devices can start, each with the program
    that it needs and its package."""
    wanted: dict[tuple[str, str], list[str]] = {}
    for device in lab.devices.values():
        for need in dict.fromkeys(_needs(device, services)):
            wanted.setdefault(need, []).append(device.name)
    return [Lacking(name, package, tuple(devices)) for (name, package), devices in wanted.items()]


def _needs(device: Device, services: dict[str, tuple[str, str]]) -> Iterator[tuple[str, str]]:
    for startup in device.startups:
        for service in shell_lines.services(startup.text):
            program, package = services.get(service, (service, ""))
            if program and not programs.find(program):
                yield (service if service not in services else program, package)
        for program in shell_lines.programs(startup.text):
            if not _is_there(device, program):
                name = os.path.basename(program)
                yield name, PACKAGES.get(name, "")


def _is_there(device: Device, program: str) -> bool:
    if program in ("systemctl", "service") or program.startswith("/etc/init.d/"):
        return True
    if "/" not in program:
        folders = ("/usr/local/bin", "/usr/local/sbin", "/usr/bin", "/usr/sbin", "/bin", "/sbin")
        return bool(programs.find(program)) or any(
            _brings(device, f"{folder}/{program}") for folder in folders
        )
    if not program.startswith("/"):
        return True  # of where it is called, which nobody knows before
    return os.path.exists(program) or _brings(device, program)


def _brings(device: Device, path: str) -> bool:
    """Whether the lab brings a file along for that device."""
    for source, target in device.files:
        if path == target:
            return True
        inside = path.removeprefix(target.rstrip("/") + "/")
        if inside != path and (Path(source) / inside).exists():
            return True
    return False


def check(lab: OtherLab, missing: list[Lacking], without: frozenset[str], wish: str) -> list[str]:
    """What is missing and will be felt, in words. Raises LabError for what can be installed, with
    the line that does it. without: what the user does without; wish: what `up` was asked for."""
    unknown: list[str] = [
        say("{program} is called ({devices}), and this machine has no such program",
            program=each.name, devices=listed(each.devices, most=4))
        for each in missing if not each.package and not {each.name, ALL} & without
    ]  # fmt: skip
    missing = [
        each for each in missing
        if each.package and not {each.name, each.package, ALL} & without
    ]  # fmt: skip
    if not missing:
        return unknown
    names = [
        say("{program} ({devices})", program=each.name, devices=listed(each.devices, most=4))
        for each in missing
    ]
    packages = sorted({each.package for each in missing})
    rest = "+".join(sorted({*without, *(each.name for each in missing)}))
    raise LabError(
        say("{file} calls what this machine lacks: {programs}", file=lab.file,
            programs=listed(names)),
        together(
            say("install it: {command}", command=f"sudo apt install {' '.join(packages)}"),
            say("or go on without: {command}", command=f"hoplab up {wish},without={rest}"),
        ),
        Exit.REFUSED,
    )  # fmt: skip


def parameters(arguments: str) -> frozenset[str]:
    """What `without=a+b` names. Raises LabError for another parameter."""
    names: set[str] = set()
    for word in filter(None, arguments.split(",")):
        key, _, value = word.partition("=")
        if key.strip() != "without":
            raise LabError(
                say("a lab of another program takes no parameter {parameter}", parameter=word),
                term("it takes without=PROGRAM, or without=all: what is lacking and not missed"),
                Exit.BAD_INPUT,
            )
        names |= set(value.split("+"))
    return frozenset(names)
