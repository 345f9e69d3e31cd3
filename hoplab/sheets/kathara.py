# SPDX-License-Identifier: Apache-2.0
"""Files of Kathará Lab Checker, read as they are: what they test becomes checks.

What lives here: the translation. What must not: running labs.

    ip_mapping      device: {interface number or name: address/length}
    kernel_routes   device: [route, "!route", [route, [next hops]]]
    reachability    device: [address, "!address"]
    applications.dns   authoritative, local_ns, records, reachability
    custom_commands device: [{command, exit_code, output, regex_match}]
    daemons         device: [name, "!name"]

What else such a file may hold (routing protocols, HTTP, files of a lab's folder) is named as passed
over, for it is no pass.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from hoplab import strict_yaml
from hoplab.errors import Exit, LabError
from hoplab.sentences import say, term
from hoplab.sheets.records import Check, Sheet, Text

_DIG = "dig +time=5 +tries=1"
_DNS = ("authoritative", "local_ns", "records", "reachability")


def read(path: Path) -> tuple[Sheet, list[str]]:
    """The checks of a file, and what of it is passed over. Raises LabError."""
    data = strict_yaml.read_file(path)
    tests = data.get("test") if isinstance(data, dict) else None
    if not isinstance(tests, dict):
        raise LabError(
            say("{file} is no file of Kathará Lab Checker: it has no {key}", file=str(path),
                key="test"),
            term("docs/sheets.md says which of its tests are read"),
            Exit.BAD_INPUT,
        )  # fmt: skip
    wait_s = data.get("convergence_time")
    seconds = float(wait_s) if isinstance(wait_s, int | float | str) and _number(wait_s) else None
    checks: dict[str, Check] = {}
    passed_over: list[str] = []
    makers: dict[str, Callable[[Any], Iterator[Check]]] = {
        "ip_mapping": _ip_mapping, "kernel_routes": _kernel_routes, "reachability": _reachability,
        "custom_commands": _custom_commands, "daemons": _daemons, "applications": _applications,
    }  # fmt: skip
    for key, value in tests.items():
        maker = makers.get(str(key))
        if maker is None:
            passed_over.append(say("{key} is not read, and nothing of it is checked", key=key))
            continue
        try:
            made = list(maker(value))
        except (AttributeError, TypeError, ValueError, KeyError, IndexError) as error:
            raise LabError(
                say("{file}: {place}: {reason}", file=str(path), place=f"test.{key}",
                    reason=term("it is not as Kathará Lab Checker has it")),
                "", Exit.BAD_INPUT,
            ) from error  # fmt: skip
        if key == "applications":
            passed_over += _unread(value)
        for check in made:
            checks[_free(check.id, checks)] = _named(check, _free(check.id, checks), seconds)
    return Sheet(folder=path.parent, name=path.stem, checks=checks), passed_over


def _number(text: object) -> bool:
    return re.fullmatch(r"\d+(\.\d+)?", str(text)) is not None


def _unread(applications: dict[str, Any]) -> Iterator[str]:
    for name, value in applications.items():
        if name != "dns":
            yield say("{key} is not read, and nothing of it is checked", key=f"applications.{name}")
            continue
        for key in value:
            # Names are asked for by those whose name server the file names.
            asked = key not in ("authoritative", "records") or value.get("local_ns")
            if key not in _DNS or not asked:
                yield say("{key} is not read, and nothing of it is checked",
                          key=f"applications.dns.{key}")  # fmt: skip


def _free(name: str, names: Iterable[str]) -> str:
    taken = set(names)
    n = 1
    while (name if n == 1 else f"{name}-{n}") in taken:
        n += 1
    return name if n == 1 else f"{name}-{n}"


def _named(check: Check, name: str, wait_s: float | None) -> Check:
    return replace(check, id=name, wait_s=wait_s, meaning=check.description.into("en"))


def _exec(name: str, device: str, about: str, command: str, valid: str) -> Check:
    return Check(name, "exec", Text({"en": about}), (device,), command, valid)


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _ip_mapping(devices: dict[str, dict[Any, Any]]) -> Iterator[Check]:
    for device, cards in devices.items():
        for card, addresses in cards.items():
            for address in _as_list(addresses):
                # eth0 of Kathará is h1-eth0 here; a name is taken as it is.
                number = f"eth{card}" if str(card).isdigit() else str(card)
                ip, _, length = str(address).partition("/")
                valid = (
                    f"any(a.local == {ip!r} and a.prefixlen == {int(length or 32)} "
                    f"for c in _result if (c.ifname + '@').split('@')[0].endswith({number!r}) "
                    "for a in c.get('addr_info', []))"
                )
                yield Check(
                    f"ip_{device}_{card}", "show",
                    Text({"en": f"{device}: {number} has {address}"}), (device,), "ip -j address",
                    valid,
                )  # fmt: skip


def _kernel_routes(devices: dict[str, list[Any]]) -> Iterator[Check]:
    for device, routes in devices.items():
        for route in routes:
            hops: list[str] = []
            if isinstance(route, list):
                route, hops = str(route[0]), [str(each) for each in _as_list(route[1])]
            wanted = not str(route).startswith("!")
            to = str(route).removeprefix("!")
            names = sorted({to, to.removesuffix("/32"), "default" if to == "0.0.0.0/0" else to})
            if not hops:
                valid = f"{'' if wanted else 'not '}any(r.dst in {names!r} for r in _result)"
            else:
                # A next hop is an address, or the name of a card.
                valid = (
                    f"set({hops!r}) <= {{h for r in _result if r.dst in {names!r} "
                    "for n in [r, *r.get('nexthops', [])] for h in (n.get('gateway'), "
                    "n.get('dev'), (n.get('dev') or '').split('-')[-1], "
                    "(n.get('via') or {}).get('host'))}"
                )
            about = f"{device}: {'a' if wanted else 'no'} route {to}"
            if hops:
                about += f" via {', '.join(hops)}"
            yield Check(
                f"route_{device}", "show", Text({"en": about}), (device,), "ip -j route", valid
            )


def _reachability(devices: dict[str, list[str]]) -> Iterator[Check]:
    for device, targets in devices.items():
        for target in _as_list(targets):
            wanted = not str(target).startswith("!")
            name = str(target).removeprefix("!")
            about = f"{device} {'reaches' if wanted else 'does not reach'} {name}"
            yield _exec(
                f"reach_{device}", device, about, f"ping -q -n -c 1 -W 5 {shlex.quote(name)}",
                "code == 0" if wanted else "code != 0",
            )  # fmt: skip


def _custom_commands(devices: dict[str, list[dict[str, Any]]]) -> Iterator[Check]:
    for device, entries in devices.items():
        for entry in _as_list(entries):
            parts = []
            if "exit_code" in entry:
                parts.append(f"code == {int(entry['exit_code'])}")
            if "output" in entry:
                parts.append(f"stdout.strip() == {str(entry['output']).strip()!r}")
            if "regex_match" in entry:
                parts.append(f"re.search({str(entry['regex_match'])!r}, stdout.strip())")
            yield _exec(
                f"command_{device}", device, f"{device}: {entry['command']}",
                str(entry["command"]), " and ".join(parts) or "True",
            )  # fmt: skip


def _daemons(devices: dict[str, list[str]]) -> Iterator[Check]:
    """By what listens and by its command line: all hosts of a lab see the processes of all, so only
    a socket tells whose it is."""
    for device, names in devices.items():
        for name in _as_list(names):
            wanted = not str(name).startswith("!")
            daemon = str(name).removeprefix("!")
            about = f"{device}: {daemon} {'runs' if wanted else 'does not run'}"
            yield _exec(
                f"daemon_{device}", device, about, "ss -H -tulnp",
                f"(re.search('\"' + re.escape({daemon!r}), stdout) is not None) == {wanted}",
            )  # fmt: skip


def _applications(applications: dict[str, Any]) -> Iterator[Check]:
    dns = applications.get("dns") or {}
    local = dns.get("local_ns") or {}
    clients = [str(device) for devices in local.values() for device in devices]
    yield from _authorities(dns.get("authoritative") or {}, clients)
    for server, devices in local.items():
        for device in devices:
            yield _exec(
                f"dns_server_of_{device}", str(device), f"{device} asks {server}",
                "cat /etc/resolv.conf",
                f"re.findall('(?m)^nameserver +(\\\\S+)', stdout)[:1] == [{str(server)!r}]",
            )  # fmt: skip
    yield from _records(dns.get("records") or {}, clients)
    for name, devices in (dns.get("reachability") or {}).items():
        for device in devices:
            yield _exec(
                f"dns_reach_{device}", str(device), f"{device} reaches {name}",
                f"ping -q -n -c 1 -W 5 {shlex.quote(str(name))}", "code == 0",
            )  # fmt: skip


def _authorities(zones: dict[str, Any], clients: list[str]) -> Iterator[Check]:
    """Asked from where somebody asks for names."""
    for zone, servers in zones.items():
        for server in _as_list(servers):
            for device in clients[:1]:
                names = f"{_DIG} +short NS {shlex.quote(str(zone))} @{server}"
                yield _exec(
                    "dns_authority", device, f"{server} is the authority for {zone}",
                    f"for n in $({names}); do {_DIG} +short $n @{server}; done",
                    f"{str(server)!r} in stdout.split()",
                )  # fmt: skip


def _records(kinds: dict[str, Any], clients: list[str]) -> Iterator[Check]:
    for kind, records in kinds.items():
        for record, addresses in records.items():
            for device in clients:
                yield _exec(
                    f"dns_record_{device}", device, f"{device}: {kind} {record}",
                    f"{_DIG} +short {shlex.quote(str(kind))} {shlex.quote(str(record))}",
                    f"stdout.strip() in {[str(each) for each in _as_list(addresses)]!r}",
                )  # fmt: skip
