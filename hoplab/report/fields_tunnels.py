# SPDX-License-Identifier: Apache-2.0
"""Which bytes are which field of the headers of tunnels: VXLAN, GRE, Geneve, PPPoE.

What lives here: the header alone; each says what stands behind it, which `fields.py` goes on with.
"""

from __future__ import annotations

from typing import NamedTuple

from hoplab.decode import packet as wire
from hoplab.decode import tunnels
from hoplab.report.cutter import Cutter, extent, hexadecimal, named, number
from hoplab.sentences import listed, say, term

MOST_INSIDE = 4  # tunnels in each other that are cut into fields; anybody can make very many
_PROTOCOLS = {tunnels.ETH_BRIDGED: "Ethernet", wire.ETH_IPV4: "IPv4", wire.ETH_IPV6: "IPv6"}


class Entrance(NamedTuple):
    """What stands behind a tunnel's header: the tunnel's name, and what is inside as an
    EtherType."""

    tunnel: str
    ethertype: int


def vxlan(cut: Cutter, whole: int) -> Entrance | None:
    """RFC 7348 section 5."""
    if whole - cut.at < 8:
        return None
    flags = number(cut.take("VXLAN", term("flags"), 1, hexadecimal))
    cut.take("VXLAN", term("reserved"), 3, hexadecimal)
    cut.take("VXLAN", "VNI", 3)
    cut.take("VXLAN", term("reserved 2"), 1, hexadecimal)
    return Entrance("VXLAN", tunnels.ETH_BRIDGED) if flags & 0x08 else None


def gre(cut: Cutter, whole: int) -> Entrance | None:
    """RFC 2784 section 2, RFC 2890 section 2."""
    if whole - cut.at < 4:
        return None
    flags = number(cut.take("GRE", term("flags, version"), 2, _gre_flags))
    protocol = number(cut.take("GRE", term("protocol"), 2, named(_PROTOCOLS, "0x{:04x}")))
    if flags & 0x7:
        return None
    size = 4 * sum(bool(flags & bit) for bit in (0x8000, 0x2000, 0x1000))
    if whole - cut.at < size:
        return None
    if flags & 0x8000:
        cut.take("GRE", term("checksum"), 2, hexadecimal)
        cut.take("GRE", term("reserved"), 2, hexadecimal)
    if flags & 0x2000:
        cut.take("GRE", term("key"), 4)
    if flags & 0x1000:
        cut.take("GRE", term("sequence number"), 4)
    return Entrance("GRE", protocol) if protocol in _PROTOCOLS else None


def _gre_flags(raw: bytes) -> str:
    bits = number(raw)
    names = [name for bit, name in ((0x8000, "C"), (0x2000, "K"), (0x1000, "S")) if bits & bit]
    return listed([*names, say("version {n}", n=bits & 7)])


def geneve(cut: Cutter, whole: int) -> Entrance | None:
    """RFC 8926 section 3.4."""
    if whole - cut.at < 8:
        return None
    first = number(cut.take("Geneve", term("version, length of the options"), 1, _geneve_length))
    cut.take("Geneve", term("flags"), 1, hexadecimal)
    protocol = number(cut.take("Geneve", term("protocol"), 2, named(_PROTOCOLS, "0x{:04x}")))
    cut.take("Geneve", "VNI", 3)
    cut.take("Geneve", term("reserved"), 1, hexadecimal)
    options = (first & 0x3F) * 4
    if first >> 6 or whole - cut.at < options:
        return None
    cut.take("Geneve", term("options"), options, extent)
    return Entrance("Geneve", protocol) if protocol in _PROTOCOLS else None


def _geneve_length(raw: bytes) -> str:
    return say("{version}, {n} bytes", version=raw[0] >> 6, n=(raw[0] & 0x3F) * 4)


def pppoe(cut: Cutter, session: bool, whole: int) -> Entrance | None:
    """RFC 2516 section 4; behind it the protocol of PPP."""
    if whole - cut.at < 6 or cut.data[cut.at] != 0x11:
        return None
    cut.take("PPPoE", term("version, type"), 1, hexadecimal)
    cut.take("PPPoE", term("code"), 1, named(tunnels.DISCOVERY, "0x{:02x}"))
    cut.take("PPPoE", term("session"), 2)
    length = number(cut.take("PPPoE", term("length"), 2))
    length = min(length, whole - cut.at)
    if not session:
        cut.take("PPPoE", term("tags"), length, extent)
        return None
    if length < 2:
        return None
    protocol = number(cut.take("PPP", term("protocol"), 2, named(tunnels.PPP, "0x{:04x}")))
    inside = {tunnels.PPP_IPV4: wire.ETH_IPV4, tunnels.PPP_IPV6: wire.ETH_IPV6}.get(protocol)
    return Entrance("PPPoE", inside) if inside is not None else None
