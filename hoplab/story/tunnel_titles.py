# SPDX-License-Identifier: Apache-2.0
"""Titles of packets that carry packets: the tunnel by its name, its ends, and what is inside.

What lives here: what one packet alone can tell. What must not: who built the tunnel.
"""

from __future__ import annotations

from collections.abc import Callable

from hoplab.decode import tunnels
from hoplab.decode.packet import Packet
from hoplab.decode.tunnels import Tunnel
from hoplab.sentences import Sentence, say, term

MOST_INSIDE = 4  # tunnels in each other that a title names; anybody can make very many

_DISCOVERY = {
    tunnels.PADI: term("PPPoE PADI: which access concentrator is there?"),
    tunnels.PADO: term("PPPoE PADO: here is one"),
    tunnels.PADR: term("PPPoE PADR: I take it, open a session"),
}


def tunnel_title(
    packet: Packet, tunnel: Tunnel, describe: Callable[[Packet], str]
) -> tuple[str, str]:
    """Kind and title. describe: what is inside, in words."""
    if tunnel.name == "PPPoE":
        return "tunnel", _pppoe(tunnel, describe)
    values = {"source": packet.src, "destination": packet.dst, "tunnel": tunnel.name}
    inside = _inside(tunnel, describe)
    if tunnel.number is None:
        return "tunnel", say(
            "{tunnel}, {source} to {destination}: {inside}", inside=inside, **values
        )
    if tunnel.name == "GRE":
        title = say(
            "GRE key {key}, {source} to {destination}: {inside}",
            key=tunnel.number, source=packet.src, destination=packet.dst, inside=inside,
        )  # fmt: skip
        return "tunnel", title
    title = say(
        "{tunnel} network {vni}, {source} to {destination}: {inside}",
        vni=tunnel.number, inside=inside, **values,
    )  # fmt: skip
    return "tunnel", title


def _inside(tunnel: Tunnel, describe: Callable[[Packet], str]) -> str:
    if tunnel.inner is not None:
        return describe(tunnel.inner)
    if tunnel.problem:
        return tunnel.problem
    return say("EtherType 0x{ethertype:04x}", ethertype=tunnel.protocol)


def _pppoe(tunnel: Tunnel, describe: Callable[[Packet], str]) -> Sentence:
    session = tunnel.number or 0
    if tunnel.code in _DISCOVERY:
        return _DISCOVERY[tunnel.code]
    if tunnel.code == tunnels.PADS:
        return say("PPPoE PADS: session {session} is open", session=session)
    if tunnel.code == tunnels.PADT:
        return say("PPPoE PADT: session {session} is over", session=session)
    if not tunnel.protocol:
        return say("PPPoE, code 0x{code:02x}", code=tunnel.code)
    if tunnel.inner is not None:
        return say(
            "PPPoE session {session}: {inside}", session=session, inside=describe(tunnel.inner)
        )
    name = tunnels.PPP.get(tunnel.protocol) or f"0x{tunnel.protocol:04x}"
    return say("PPPoE session {session}: {protocol} of PPP", session=session, protocol=name)
