# SPDX-License-Identifier: Apache-2.0
"""Messages to the kernel are whole and aligned, whatever names and addresses they carry."""

from __future__ import annotations

import ipaddress
import select
import struct
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoplab.kernel import netlink, netlink_news, netlink_questions


def attributes(data: bytes) -> dict[int, bytes]:
    """The attributes of a message body, checked for alignment (netlink(7), NLA_ALIGN)."""
    by_kind, at = {}, 0
    while at < len(data):
        length, kind = struct.unpack_from("=HH", data, at)
        assert length >= 4 and at + length <= len(data)
        by_kind[kind] = data[at + 4 : at + length]
        at += (length + 3) & ~3
    assert at == len(data)
    return by_kind


@given(st.text("abcdefghij-0123456789", min_size=1, max_size=15), st.integers(1, 1 << 30))
def test_veth(name: str, index: int) -> None:
    end = netlink.End(name, "02:00:00:00:00:01", index, 5)
    far_end = netlink.End("peer", "02:00:00:00:00:02", index + 1, 6)
    message = netlink.veth(end, far_end)
    assert struct.unpack_from("=BBHiII", message.body)[3] == index
    outer = attributes(message.body[16:])
    assert outer[netlink.IFLA_IFNAME] == name.encode() + b"\0"
    assert outer[netlink.IFLA_ADDRESS] == bytes.fromhex("020000000001")
    info = attributes(outer[netlink.IFLA_LINKINFO])
    assert info[netlink.IFLA_INFO_KIND] == b"veth\0"
    peer = attributes(info[netlink.IFLA_INFO_DATA])[netlink.VETH_INFO_PEER]
    assert struct.unpack_from("=BBHiII", peer)[3] == index + 1
    assert attributes(peer[16:])[netlink.IFLA_NET_NS_FD] == struct.pack("=I", 6)


@given(st.ip_addresses(), st.integers(0, 32))
def test_address(ip: ipaddress.IPv4Address | ipaddress.IPv6Address, length: int) -> None:
    message = netlink.address(7, "h1-eth0", f"{ip}/{length}")
    family, prefix, _, _, index = struct.unpack_from("=BBBBI", message.body)
    assert (family, prefix, index) == (2 if ip.version == 4 else 10, length, 7)
    assert attributes(message.body[8:])[netlink.IFA_LOCAL] == ip.packed


def test_routes() -> None:
    default = netlink.route(None, gateway="10.0.0.1")
    assert default.body[1] == 0
    assert attributes(default.body[12:]) == {netlink.RTA_GATEWAY: bytes([10, 0, 0, 1])}
    direct = netlink.route("10.2.0.0/16", index=3)
    assert direct.body[1] == 16 and direct.body[6] == 253  # scope link
    assert set(attributes(direct.body[12:])) == {netlink.RTA_DST, netlink.RTA_OIF}
    assert default.purpose == "set the route to default via 10.0.0.1"


@pytest.mark.parametrize("bad", ["", "02:00", "zz:00:00:00:00:01", "02:00:00:00:00:00:01"])
def test_a_bad_mac(bad: str) -> None:
    with pytest.raises(ValueError):
        netlink.mac_bytes(bad)


def test_the_kernels_refusal_names_the_purpose() -> None:
    """An interface that is not there: the kernel itself answers."""
    sock = netlink.Socket()
    with pytest.raises(OSError, match="cannot set nowhere0 up"):
        sock.send([netlink.link_up(1 << 29, "nowhere0")])
    sock.close()


def test_threads_may_share_a_socket() -> None:
    sock = netlink.Socket()
    expected, finished = sock.addresses(), []

    def ask() -> None:
        for _ in range(200):
            assert sock.addresses() == expected
        finished.append(True)

    threads = [threading.Thread(target=ask, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert finished == [True] * 4
    sock.close()


def test_the_interfaces_that_are_there_are_told_at_once() -> None:
    news = netlink_news.LinkNews()
    try:
        links: dict[int, netlink_news.Link | None] = {}
        while not links:
            select.select([news], [], [], 30)
            links.update(news.read())
    finally:
        news.close()
    assert links[netlink.LOOPBACK] == netlink_news.Link("lo", bytes(6))


def test_which_parts_of_the_kernel_are_there() -> None:
    assert netlink_questions.generic_family("nlctrl")  # the controller of the families is one
    assert not netlink_questions.generic_family("no such part")


def test_what_a_router_told_by_icmp_is_no_route_that_somebody_has_set() -> None:
    """The kernel lists the MTU that it remembers of a way among the routes, for ten minutes."""
    for flags, is_set in ((0, True), (netlink.RTM_F_CLONED, False)):
        body = struct.pack("=BBBBBBBBI", 2, 32, 0, 0, 254, 0, 0, 1, flags)
        body += netlink.attribute(netlink.RTA_DST, bytes((10, 0, 2, 11)))
        assert (netlink._route(body) is not None) == is_set
