# SPDX-License-Identifier: Apache-2.0
"""What can be wrong with a lab's cables, beside `kinds.py`.

What lives here: faults as data, made and undone by the words of `hoplab link`. What must not:
running labs. The story's diagnosis is judged by `kinds.py` alone: of a lossy cable it tells what
was lost, and names no cause.
"""

from __future__ import annotations

from collections.abc import Iterator

from hoplab.faults.kinds import LAB, Fault, Kind, ping, sources
from hoplab.faults.network import Network, Pair, card_of
from hoplab.sentences import say, term
from hoplab.story.host_state import Host

_MOST_LOST = "70%"


def _cables(network: Network) -> Iterator[tuple[Pair, Host, str, str]]:
    """The cables of each pair's two hosts: the pair, the host, the switch at the other end, and the
    words for `hoplab` that name the cable."""
    for pair in sources(network):
        for host in (pair.source, pair.target):
            at = network.port_of(host)
            if at is not None:
                yield pair, host, at[0], f"link {card_of(host).name} {at[1]}"


def _cut(network: Network) -> Iterator[Fault]:
    for pair, host, switch, cable in _cables(network):
        yield Fault(
            "cut-cable", say("the cable of {node} is cut", node=host.name),
            ((LAB, f"{cable} down"),), ((LAB, f"{cable} up"),),
            "link-down", switch, pair.source.name, ping(pair),
        )  # fmt: skip


def _lossy(network: Network) -> Iterator[Fault]:
    for pair, host, _, cable in _cables(network):
        yield Fault(
            "lossy-cable", say("the cable of {node} loses most frames", node=host.name),
            ((LAB, f"{cable} --loss {_MOST_LOST}"),), ((LAB, f"{cable} --loss none"),),
            "lossy-cable", host.name, pair.source.name, ping(pair, "-c", "4", "-i", "0.2"),
        )  # fmt: skip


def _slow(network: Network) -> Iterator[Fault]:
    for pair in sources(network):
        at = network.port_of(pair.target)
        if at is not None:
            cable = f"link {card_of(pair.target).name} {at[1]}"
            yield Fault(
                "slow-cable", say("the cable of {node} holds back each frame for 1.2 seconds",
                                  node=pair.target.name),
                ((LAB, f"{cable} --delay 1200ms"),), ((LAB, f"{cable} --delay none"),),
                "slow-cable", pair.target.name, pair.source.name, ping(pair),
            )  # fmt: skip


CABLE_KINDS: tuple[Kind, ...] = (
    Kind("cut-cable", term("a cable that is cut"), _cut),
    Kind("lossy-cable", term("a cable that loses most frames"), _lossy),
    Kind("slow-cable", term("a cable that holds frames back for long"), _slow),
)
