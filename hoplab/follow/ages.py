# SPDX-License-Identifier: Apache-2.0
"""How long an effect may be looked for: the times of the follower, all in nanoseconds."""

from __future__ import annotations

from dataclasses import dataclass, replace

MILLISECOND = 1_000_000
SECOND = 1_000_000_000

# Identical frames kept apart per switch or link. Only a storm has more; its oldest are forgotten.
MOST_ALIKE = 256


@dataclass(frozen=True, slots=True)
class Ages:
    """After these times a hop is forgotten as a candidate.

    link_ns: on a cable. switch_ns: a frame may wait for the controller. router_ns: a packet waits
        for ARP, three tries a second apart.
    queue_ns: so much longer a packet may wait in front of a cable with a rate, while that is busy.
    slack_ns: so much may the clocks of two ports disagree.
    journey_ns: a journey still growing after this time is handed out all the same: behind it all
        later journeys wait, because journeys are numbered in time order.
    """

    link_ns: int = 100 * MILLISECOND
    switch_ns: int = 900 * MILLISECOND
    router_ns: int = 4 * SECOND
    queue_ns: int = 0
    slack_ns: int = 2 * MILLISECOND
    journey_ns: int = 30 * SECOND

    @classmethod
    def of(cls, delay_ns: int, queue_ns: int = 0) -> Ages:
        """Those of a network whose interfaces hold frames back for so long, and in which as long a
        queue as there is takes queue_ns to empty: a frame is seen to leave only afterwards, so it
        seems to have been in the node."""
        plain = cls()
        return replace(
            plain,
            switch_ns=plain.switch_ns + delay_ns,
            router_ns=max(plain.router_ns, plain.switch_ns + queue_ns) + delay_ns,
            queue_ns=queue_ns,
            journey_ns=plain.journey_ns + 10 * delay_ns,
        )

    @property
    def node_ns(self) -> int:
        """The longest that any node may keep a packet."""
        return max(self.router_ns, self.switch_ns + self.queue_ns)
