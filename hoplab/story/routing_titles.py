# SPDX-License-Identifier: Apache-2.0
"""What routers tell each other (OSPF, RIP), each message as kind and title."""

from __future__ import annotations

from collections.abc import Iterable

from hoplab.decode import routing_protocols as wire
from hoplab.decode.packet import Packet
from hoplab.decode.routing_protocols import Lsa, Ospf, Rip
from hoplab.sentences import Sentence, listed, number_of, say, term

_MOST = 4  # routers, networks or routes that a title names


def routing_title(packet: Packet) -> tuple[str, str] | None:
    """Kind and title of a message of OSPF or RIP, None for any other packet."""
    ospf = wire.read_ospf(packet)
    if ospf is not None:
        return _ospf(ospf)
    rip = wire.read_rip(packet)
    return None if rip is None else _rip(rip)


def _ospf(message: Ospf) -> tuple[str, str]:
    router = message.router
    if message.type == wire.HELLO and message.neighbours:
        return "ospf-hello", say(
            "OSPF Hello from router {router}, which hears {routers}", router=router,
            routers=_some(message.neighbours),
        )  # fmt: skip
    if message.type == wire.HELLO:
        return "ospf-hello", say("OSPF Hello from router {router}, which hears nobody yet",
                                 router=router)  # fmt: skip
    if message.type == wire.DESCRIPTION:
        return "ospf-description", number_of(
            "OSPF Database Description: router {router} has {n:,} LSA",
            "OSPF Database Description: router {router} has {n:,} LSAs", len(message.lsas),
            router=router,
        )  # fmt: skip
    if message.type == wire.REQUEST:
        return "ospf-request", number_of(
            "OSPF Link State Request: router {router} asks for {n:,} LSA",
            "OSPF Link State Request: router {router} asks for {n:,} LSAs", message.entries,
            router=router,
        )  # fmt: skip
    if message.type == wire.ACKNOWLEDGEMENT:
        return "ospf-ack", number_of(
            "OSPF Link State Acknowledgment: router {router} has got {n:,} LSA",
            "OSPF Link State Acknowledgment: router {router} has got {n:,} LSAs",
            len(message.lsas), router=router,
        )  # fmt: skip
    return "ospf-update", _update(message)


def _update(message: Ospf) -> Sentence:
    if len(message.lsas) != 1:
        return number_of(
            "OSPF Link State Update: {n:,} LSA, of the routers {routers}",
            "OSPF Link State Update: {n:,} LSAs, of the routers {routers}", len(message.lsas),
            routers=_some(dict.fromkeys(lsa.router for lsa in message.lsas)),
        )  # fmt: skip
    return _advertisement(message.lsas[0])


def _advertisement(lsa: Lsa) -> Sentence:
    if lsa.age >= wire.MAX_AGE:
        return say("OSPF Link State Update: an LSA of router {router} is taken back",
                   router=lsa.router)  # fmt: skip
    if lsa.type != wire.ROUTER_LSA:
        return say("OSPF Link State Update: an LSA of type {number} of router {router}",
                   number=lsa.type, router=lsa.router)  # fmt: skip
    return say(
        "OSPF Link State Update: router {router} is joined to the routers {routers}, and has "
        "{networks}",
        router=lsa.router, routers=_some(lsa.routers), networks=_some(lsa.networks),
    )  # fmt: skip


def _rip(message: Rip) -> tuple[str, str]:
    if message.command == wire.RIP_REQUEST and message.whole:
        return "rip-request", term("RIP Request: which routes do you know?")
    routes = _some([
        say("no way to {network}", network=route.network)
        if route.metric >= wire.UNREACHABLE
        else say("{network} at {n}", network=route.network, n=route.metric)
        for route in message.routes
    ])  # fmt: skip
    if message.command == wire.RIP_REQUEST:
        return "rip-request", say("RIP Request: how far is it? {routes}", routes=routes)
    return "rip-response", say("RIP Response: {routes}", routes=routes)


def _some(names: Iterable[str]) -> str:
    every = list(names)
    if len(every) > _MOST:
        more = len(every) - _MOST + 1
        return say("{names} and {n} others", names=listed(every[: _MOST - 1]), n=more)
    return listed(every) or term("(none)")
