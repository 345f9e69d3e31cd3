# SPDX-License-Identifier: Apache-2.0
"""Which address, gateway and DNS server a host is to have that joins a link where others are.

What lives here: the choice, and what is wrong with one that somebody else has made. What must not:
running networks; who is on a link is told by whoever asks.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from hoplab.errors import Exit, LabError
from hoplab.sentences import listed, say, term

_FRESH = IPv4Network("10.0.0.0/8")  # where subnets are taken from that nobody has yet
_LONGEST = 30  # a prefix; a longer one has no room for two hosts


@dataclass(frozen=True)
class Neighbour:
    """An address of a node on the link. passes_on: it is a router's. gateway, dns: what the node
    itself uses, None where it has none."""

    name: str
    address: IPv4Interface
    gateway: IPv4Address | None = None
    dns: str | None = None
    passes_on: bool = False


def subnet_of(neighbours: Sequence[Neighbour]) -> IPv4Network | None:
    """The subnet that most of the link's addresses are in, of the first of them where several
    are."""
    counts = Counter(each.address.network for each in neighbours)
    return counts.most_common(1)[0][0] if counts else None


def fresh_subnet(taken: Collection[IPv4Network]) -> IPv4Network:
    """The subnet for a link that nobody is on: the one that the lab has, if it has just one, else a
    new one."""
    if len(taken) == 1:
        return next(iter(taken))
    for network in _FRESH.subnets(new_prefix=24):
        if not any(network.overlaps(each) for each in taken):
            return network
    return next(_FRESH.subnets(new_prefix=24))


def free_address(network: IPv4Network, neighbours: Sequence[Neighbour]) -> IPv4Interface:
    """The address behind the last one of the subnet's hosts, or the first that is free. Raises
    LabError where none is."""
    used = {each.address.ip for each in neighbours}
    hosts = [
        each.address.ip for each in neighbours
        if not each.passes_on and each.address.ip in network
    ]  # fmt: skip
    behind = itertools.islice(_from(max(hosts, default=network.network_address), network), 1, None)
    for address in itertools.chain(behind, _from(network.network_address, network)):
        if address not in used and _is_a_host_s(address, network):
            return IPv4Interface(f"{address}/{network.prefixlen}")
    raise LabError(
        say("no address of {network} is free", network=str(network)),
        term("give one of another subnet with --ip and --force"),
        Exit.TAKEN,
    )


def _from(first: IPv4Address, network: IPv4Network) -> Iterator[IPv4Address]:
    for number in range(int(first), int(network.broadcast_address) + 1):
        yield IPv4Address(number)


def _is_a_host_s(address: IPv4Address, network: IPv4Network) -> bool:
    if network.prefixlen > _LONGEST:
        return True
    return address not in (network.network_address, network.broadcast_address)


def gateway_for(own: IPv4Interface, neighbours: Sequence[Neighbour]) -> IPv4Address | None:
    """The gateway that most neighbours have, as far as it is in the own subnet; else the link's
    router, if it has one."""
    used = Counter(
        each.gateway for each in neighbours
        if each.gateway is not None and each.gateway in own.network
    )  # fmt: skip
    if used:
        return used.most_common(1)[0][0]
    if any(not each.passes_on for each in neighbours):
        return None  # the hosts on this link have no gateway, either
    routers = [each.address.ip for each in neighbours
               if each.passes_on and each.address.ip in own.network]  # fmt: skip
    return routers[0] if routers else None


def dns_for(neighbours: Iterable[Neighbour]) -> str | None:
    """The DNS server that most neighbours ask."""
    used = Counter(each.dns for each in neighbours if each.dns)
    return used.most_common(1)[0][0] if used else None


# ------------------------------------------------------------------------------- what is written


def read_address(text: str, network: IPv4Network | None) -> IPv4Interface:
    """An address as somebody writes it, with a prefix length or with that of the link's subnet.
    Raises LabError."""
    try:
        if "/" not in text and network is not None:
            text = f"{text}/{network.prefixlen}"
        if "/" not in text:
            raise ValueError(text)
        return IPv4Interface(text)
    except ValueError:
        raise LabError(
            say("{address} is no IP address with a prefix length", address=text),
            term("write it as in 10.0.0.1/24"),
            Exit.USAGE,
        ) from None


def read_ip(text: str) -> IPv4Address:
    """The address of a gateway or a DNS server. Raises LabError."""
    try:
        return IPv4Address(text)
    except ValueError:
        raise LabError(
            say("{address} is no IP address", address=text),
            term("write it as in 10.0.0.1, or none"),
            Exit.USAGE,
        ) from None


def check_address(own: IPv4Interface, neighbours: Sequence[Neighbour]) -> None:
    """Whether a host may have this address beside these neighbours. Raises LabError."""
    if not _is_a_host_s(own.ip, own.network):
        raise LabError(
            say("{address} is no host's: it stands for the whole of {network}",
                address=str(own.ip), network=str(own.network)),
            _take(neighbours, own.network),
            Exit.BAD_INPUT,
        )  # fmt: skip
    owners = [each.name for each in neighbours if each.address.ip == own.ip]
    if owners:
        raise LabError(
            say("{address} is the address of {node} already", address=str(own.ip), node=owners[0]),
            _take(neighbours, own.network),
            Exit.TAKEN,
        )
    subnets = list(dict.fromkeys(each.address.network for each in neighbours))
    if subnets and own.network not in subnets:
        raise LabError(
            say("{address} is in none of the subnets that are on this link: {networks}",
                address=str(own), networks=listed(map(str, subnets))),
            _take(neighbours, subnet_of(neighbours)),
            Exit.BAD_INPUT,
        )  # fmt: skip


def _take(neighbours: Sequence[Neighbour], network: IPv4Network | None) -> str:
    """The next step where an address is taken: one that is free, or --force."""
    try:
        free = free_address(network, neighbours) if network is not None else None
    except LabError:
        free = None
    if free is None:
        return term("give another one; --force takes this one all the same")
    return say("{address} is free; --force takes this one all the same", address=str(free))


def check_gateway(gateway: IPv4Address, own: Sequence[IPv4Interface]) -> None:
    """Whether a host with these addresses can send to that gateway. Raises LabError."""
    if not any(gateway in each.network for each in own):
        subnets = listed(str(each.network) for each in own)
        raise LabError(
            say("the gateway {gateway} is in none of the host's own subnets: {networks}",
                gateway=str(gateway), networks=subnets or term("none")),
            term("a gateway must be in the subnet of one of the host's own addresses"),
            Exit.BAD_INPUT,
        )  # fmt: skip
    if any(gateway == each.ip for each in own):
        raise LabError(
            say("{gateway} is the host's own address", gateway=str(gateway)),
            term("the gateway is a router of its subnet, or none"),
            Exit.BAD_INPUT,
        )


def datapath_number(name: str, taken: Mapping[int, str]) -> int:
    """The datapath id of a new switch: the number in its name, as Mininet has it, or the first that
    no switch has."""
    digits = "".join(itertools.takewhile(str.isdigit, itertools.dropwhile(
        lambda letter: not letter.isdigit(), name)))  # fmt: skip
    number = int(digits or 0)
    if number and number not in taken and number < 1 << 48:
        return number
    return next(each for each in itertools.count(1) if each not in taken)
