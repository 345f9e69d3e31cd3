# SPDX-License-Identifier: Apache-2.0
"""Rules that drop packets, as nft(8) and iptables-save(8) print them.

What lives here: the reading of both, and whether a rule can be meant for a packet. What must not:
which packet was dropped (`diagnosis.py`).

1. A chain that is no base chain is asked where a base chain jumps to it, so a rule stands at the
   hooks of all chains from which it can be come to.
2. What a rule looks at and is not read here may fit or not: then it is not said that it does not,
   and what is told by its counter is only likely.
3. iptables can speak to nftables; then nft prints the same rules in its own words. They are taken
   once, from iptables.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

HOOKS = ("prerouting", "input", "forward", "output", "postrouting")
_ENDS = {"DROP": "drop", "REJECT": "reject", "ACCEPT": "accept", "MASQUERADE": "masquerade",
         "SNAT": "masquerade", "DNAT": "redirect", "REDIRECT": "redirect"}  # fmt: skip
_NFT_ENDS = {"drop": "drop", "reject": "reject", "accept": "accept", "masquerade": "masquerade",
             "snat": "masquerade", "dnat": "redirect", "redirect": "redirect"}  # fmt: skip
_SAVED = re.compile(r"\[(\d+):\d+\] -A (\S+) ?(.*)")
_SAVED_CHAIN = re.compile(r":(\S+) (\S+) \[(\d+):\d+\]")
_NFT_TABLE = re.compile(r"table (\S+) (\S+) \{")
_NFT_CHAIN = re.compile(r"chain (\S+) \{")
_NFT_BASE = re.compile(r"type (\S+) hook (\S+) .*?(?:policy (\w+);)?$")
_NFT_COUNTER = re.compile(r"counter packets (\d+) bytes \d+ ?")
_PROTOCOLS = ("icmp", "tcp", "udp")
_READ = {"-p", "-s", "-d", "-i", "-o", "-j", "-g", "-m", "--dport", "--sport", "--reject-with",
         "--icmp-type"}  # fmt: skip
_ICMP_TYPES = {"echo-reply": 0, "echo-request": 8, "0": 0, "8": 8}
_READ_MATCHES = {"tcp", "udp", "icmp"}  # beside them all that -m names looks at something else
_NFT_READ = re.compile(
    r"(?:ip\s(?:saddr|daddr)\s[\d./]+|(?:ip\sprotocol|meta\sl4proto)\s\w+|"
    r"(?:tcp|udp)\s[ds]port\s[\d-]+|"
    r"[io]if(?:name)?\s\S+|drop|accept|reject(?:\swith\s.*)?|(?:jump|goto)\s\S+|"
    r"icmp\stype\secho-re\w+|masquerade|comment\s\".*\"|\s)*"
)


@dataclass(frozen=True, slots=True)
class Filter:
    """A rule, or the policy of a chain (rule is "" then). verdict: 'drop', 'reject', 'accept',
    'masquerade', 'redirect', 'jump' or 'other'. packets: that it counted, None if it counts none.
    handle: nft's number for it. place: of the rule in its chain, from 1."""

    tool: str
    table: str
    chain: str
    rule: str
    verdict: str
    packets: int | None = None
    hooks: tuple[str, ...] = ()
    handle: str = ""
    place: int = 0
    protocol: str = ""
    source: str = ""
    destination: str = ""
    port: tuple[int, int] | None = None  # of the destination, first and last
    source_port: tuple[int, int] | None = None
    way_in: str = ""
    way_out: str = ""
    target: str = ""  # the chain that it jumps to
    exact: bool = True  # all that it looks at was read
    icmp_type: int | None = None  # that it is meant for, None for any

    @property
    def key(self) -> tuple[str, ...]:
        """What the same rule has in common in two readings: all but its counters."""
        return self.tool, self.table, self.chain, self.rule, str(self.place)

    def fits(
        self, protocol: str, source: str, destination: str, port: int, source_port: int,
        way_in: str, way_out: str,
    ) -> bool:  # fmt: skip
        """Whether such a packet can be meant; "" and 0 for what is not known of it."""
        return (
            (not self.protocol or not protocol or self.protocol == protocol)
            and _within(source, self.source)
            and _within(destination, self.destination)
            and _between(port, self.port)
            and _between(source_port, self.source_port)
            and (not self.way_in or not way_in or self.way_in == way_in)
            and (not self.way_out or not way_out or self.way_out == way_out)
        )


def _within(address: str, networks: str) -> bool:
    if not address or not networks:
        return True
    inverse = networks.startswith("!")
    try:
        inside = any(
            ipaddress.ip_address(address) in ipaddress.ip_network(network.strip(), strict=False)
            for network in networks.lstrip("!").split(",")
        )
    except ValueError:
        return True  # a set, a name: not read here
    return inside is not inverse


def _between(port: int, ports: tuple[int, int] | None) -> bool:
    return not port or ports is None or ports[0] <= port <= ports[1]


def read_filters(printed: Mapping[str, str]) -> tuple[Filter, ...]:
    """All rules of a host. printed: by the name of the tool that printed them."""
    filters: list[Filter] = []
    taken: set[str] = set()
    for tool, text in printed.items():
        if tool.endswith("-save"):
            rules = list(_read_saved(tool.removesuffix("-save"), text))
            taken |= {rule.table for rule in rules} if "legacy" not in tool else set()
            filters += rules
    for tool, text in printed.items():
        if tool == "nft":
            filters += [
                rule for rule in _read_nft(text)
                if rule.table.removeprefix("ip ") not in taken
            ]  # fmt: skip
    return tuple(_hooked(filters))


def _hooked(filters: Iterable[Filter]) -> Iterable[Filter]:
    """The rules with the hooks at which they can be come to."""
    filters = list(filters)
    hooks: dict[tuple[str, str, str], set[str]] = {}
    for rule in filters:
        hooks.setdefault((rule.tool, rule.table, rule.chain), set()).update(rule.hooks)
    for _ in filters:  # a chain of jumps is no longer than there are rules
        grown = False
        for rule in filters:
            if rule.verdict == "jump":
                here = hooks[rule.tool, rule.table, rule.chain]
                there = hooks.setdefault((rule.tool, rule.table, rule.target), set())
                grown |= not here <= there
                there |= here
        if not grown:
            break
    for rule in filters:
        yield replace(rule, hooks=tuple(sorted(hooks[rule.tool, rule.table, rule.chain])))


def _read_saved(tool: str, text: str) -> Iterable[Filter]:
    table = ""
    places: dict[str, int] = {}
    chains: set[str] = set()
    for line in text.splitlines():
        if line.startswith("*"):
            table, places = line[1:], {}
            chains = set()
        elif chain := _SAVED_CHAIN.match(line):
            name, policy, packets = chain[1], chain[2], int(chain[3])
            chains.add(name)
            hooks = (name.lower(),) if name.lower() in HOOKS else ()
            verdict = _ENDS.get(policy, "other")
            yield Filter(tool, table, name, "", verdict, packets, hooks)
        elif rule := _SAVED.match(line):
            places[rule[2]] = places.get(rule[2], 0) + 1
            words = rule[3].split()
            target = words[words.index("-j") + 1] if "-j" in words[:-1] else ""
            target = words[words.index("-g") + 1] if "-g" in words[:-1] else target
            hooks = (rule[2].lower(),) if rule[2].lower() in HOOKS else ()
            read = Filter(
                tool, table, rule[2], rule[3], "jump" if target in chains
                else _ENDS.get(target, "other"), int(rule[1]), hooks,
                target=target, place=places[rule[2]],
            )  # fmt: skip
            yield _with_options(read, words)


def _with_options(rule: Filter, words: list[str]) -> Filter:
    values: dict[str, str] = {}
    for at, word in enumerate(words[:-1]):
        if word.startswith("-") and not words[at + 1].startswith("-"):
            inverse = "!" if at and words[at - 1] == "!" else ""
            values[word] = inverse + words[at + 1]
    protocol = values.get("-p", "")
    options = {word for word in words if word.startswith("-")}
    matches = {words[at + 1] for at, word in enumerate(words[:-1]) if word == "-m"}
    return replace(
        rule,
        exact=options <= _READ and matches <= _READ_MATCHES,
        icmp_type=_ICMP_TYPES.get(values.get("--icmp-type", "").partition("/")[0]),
        protocol=protocol if protocol in _PROTOCOLS else "",
        source=values.get("-s", ""),
        destination=values.get("-d", ""),
        port=_ports(values.get("--dport", "")),
        source_port=_ports(values.get("--sport", "")),
        way_in=values.get("-i", "") if "!" not in values.get("-i", "") else "",
        way_out=values.get("-o", "") if "!" not in values.get("-o", "") else "",
    )


def _ports(text: str) -> tuple[int, int] | None:
    parts = re.fullmatch(r"(\d+)(?:[:-](\d+))?", text)
    return (int(parts[1]), int(parts[2] or parts[1])) if parts else None


def _read_nft(text: str) -> Iterable[Filter]:
    table = chain = ""
    hooks: tuple[str, ...] = ()
    place = 0
    for line in map(str.strip, text.splitlines()):
        line, _, handle = line.partition(" # handle ")
        if opened := _NFT_TABLE.fullmatch(line):
            table, chain = f"{opened[1]} {opened[2]}", ""
        elif opened := _NFT_CHAIN.fullmatch(line):
            chain, hooks, place = opened[1], (), 0
        elif base := _NFT_BASE.fullmatch(line):
            hooks = (base[2],) if base[2] in HOOKS else ()
            yield Filter("nft", table, chain, "", base[3] or "accept", None, hooks)
        elif chain and line and line != "}":
            place += 1
            yield _nft_rule(table, chain, hooks, line, handle, place)
        elif line == "}":
            chain = ""


def _nft_rule(
    table: str, chain: str, hooks: tuple[str, ...], line: str, handle: str, place: int
) -> Filter:
    counter = _NFT_COUNTER.search(line)
    plain = _NFT_COUNTER.sub("", line)
    words = plain.split()
    verdict, target = "other", ""
    for word in words:
        verdict = _NFT_ENDS.get(word, verdict)
    if verdict == "other":
        jump = re.search(r"\b(?:jump|goto) (\S+)", plain)
        if jump:
            verdict, target = "jump", jump[1]

    def value(pattern: str) -> str:
        match = re.search(pattern, plain)
        return match[1].strip('"') if match else ""

    protocol = value(r"\b(?:ip protocol|meta l4proto) (\w+)") or value(r"\b(icmp|tcp|udp) \w+")
    return Filter(
        "nft", table, chain, plain.strip(), verdict, int(counter[1]) if counter else None, hooks,
        handle.strip(), place, protocol if protocol in _PROTOCOLS else "",
        value(r"\bip saddr ([\d./]+)"), value(r"\bip daddr ([\d./]+)"),
        _ports(value(r"\bdport ([\d-]+)")), _ports(value(r"\bsport ([\d-]+)")),
        value(r'\biif(?:name)? ("?[\w.-]+"?)'), value(r'\boif(?:name)? ("?[\w.-]+"?)'), target,
        _NFT_READ.fullmatch(plain) is not None, _ICMP_TYPES.get(value(r"\bicmp\stype\s([\w-]+)")),
    )  # fmt: skip
