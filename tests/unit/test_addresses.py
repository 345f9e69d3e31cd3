# SPDX-License-Identifier: Apache-2.0
"""Which address, gateway and DNS server a host gets that joins a link, and what is refused."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface, IPv4Network

import pytest

from hoplab.errors import Exit, LabError
from hoplab.network.addresses import (
    Neighbour,
    check_address,
    check_gateway,
    datapath_number,
    dns_for,
    free_address,
    fresh_subnet,
    gateway_for,
    read_address,
    subnet_of,
)


def host(name: str, address: str, gateway: str = "", dns: str = "") -> Neighbour:
    via = IPv4Address(gateway) if gateway else None
    return Neighbour(name, IPv4Interface(address), via, dns or None)


def router(name: str, address: str) -> Neighbour:
    return Neighbour(name, IPv4Interface(address), passes_on=True)


WEB = [
    router("r1", "10.1.0.1/24"),
    host("client", "10.1.0.10/24", "10.1.0.1", "10.53.0.53"),
    host("pc", "10.1.0.11/24", "10.1.0.1", "10.53.0.53"),
]
NETWORK = IPv4Network("10.1.0.0/24")


@pytest.mark.parametrize(
    ("network", "addresses", "free"),
    [
        ("10.0.0.0/8", ["10.0.0.1/8", "10.0.0.2/8"], "10.0.0.3/8"),  # as Mininet counts
        ("10.0.0.0/24", [], "10.0.0.1/24"),
        ("10.0.0.0/24", ["10.0.0.254/24"], "10.0.0.1/24"),  # behind it is the broadcast address
        ("10.0.0.0/30", ["10.0.0.1/30"], "10.0.0.2/30"),
        ("10.0.0.0/31", ["10.0.0.0/31"], "10.0.0.1/31"),  # RFC 3021: both are hosts
    ],
)
def test_the_address_behind_the_last_host_s_is_taken_or_the_first(
    network: str, addresses: list[str], free: str
) -> None:
    there = [host(f"h{number}", address) for number, address in enumerate(addresses)]
    assert free_address(IPv4Network(network), there) == IPv4Interface(free)


def test_a_router_s_address_is_no_host_s_to_count_from() -> None:
    there = [host("h1", "10.0.0.7/24"), router("r1", "10.0.0.100/24")]
    assert str(free_address(IPv4Network("10.0.0.0/24"), there).ip) == "10.0.0.8"


def test_a_subnet_without_room_is_told() -> None:
    full = [host("h1", "10.0.0.1/30"), host("h2", "10.0.0.2/30")]
    with pytest.raises(LabError) as caught:
        free_address(IPv4Network("10.0.0.0/30"), full)
    assert "no address of 10.0.0.0/30 is free" in caught.value.message


def test_gateway_and_dns_are_the_neighbours_own() -> None:
    own = free_address(NETWORK, WEB)
    assert (str(own), subnet_of(WEB)) == ("10.1.0.12/24", NETWORK)
    assert gateway_for(own, WEB) == IPv4Address("10.1.0.1") and dns_for(WEB) == "10.53.0.53"
    # A router alone is the gateway; where hosts do without one, so does a new one.
    assert gateway_for(own, WEB[:1]) == IPv4Address("10.1.0.1")
    assert gateway_for(own, [host("h1", "10.1.0.3/24"), WEB[0]]) is None
    # One of another subnet cannot be reached.
    assert gateway_for(IPv4Interface("10.9.0.1/24"), WEB) is None


def test_a_link_that_nobody_is_on_gets_a_subnet() -> None:
    assert fresh_subnet([NETWORK]) == NETWORK
    taken = [IPv4Network("10.0.0.0/24"), IPv4Network("10.0.1.0/30")]
    assert fresh_subnet(taken) == IPv4Network("10.0.2.0/24")
    assert fresh_subnet([]) == IPv4Network("10.0.0.0/24")


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("10.1.0.11/24", Exit.TAKEN, "10.1.0.11 is the address of pc already"),
        ("10.9.0.1/24", Exit.BAD_INPUT, "none of the subnets that are on this link: 10.1.0.0/24"),
        ("10.1.0.255/24", Exit.BAD_INPUT, "stands for the whole of 10.1.0.0/24"),
        ("10.1.0.300/24", Exit.USAGE, "is no IP address with a prefix length"),
    ],
)
def test_a_wrong_address_is_told_with_one_that_is_free(text: str, code: Exit, words: str) -> None:
    with pytest.raises(LabError) as caught:
        check_address(read_address(text, NETWORK), WEB)
    assert (caught.value.code, words in caught.value.message) == (code, True), caught.value.message
    assert "10.1.0.12/24 is free" in caught.value.hint or code == Exit.USAGE


def test_the_link_s_prefix_length_is_taken_where_none_is_written() -> None:
    assert str(read_address("10.1.0.20", NETWORK)) == "10.1.0.20/24"
    with pytest.raises(LabError, match="prefix length"):
        read_address("10.1.0.20", None)


def test_a_gateway_is_in_one_of_the_host_s_subnets_and_somebody_else() -> None:
    own = [IPv4Interface("10.1.0.12/24")]
    check_gateway(IPv4Address("10.1.0.1"), own)
    for wrong in ("10.2.0.1", "10.1.0.12"):
        with pytest.raises(LabError):
            check_gateway(IPv4Address(wrong), own)


@pytest.mark.parametrize(
    ("name", "number"), [("s4", 4), ("s1", 3), ("core", 3), ("s0", 3), ("s10b2", 10)]
)
def test_a_switch_has_the_number_in_its_name_or_a_free_one(name: str, number: int) -> None:
    assert datapath_number(name, {1: "s1", 2: "s2"}) == number
