# SPDX-License-Identifier: Apache-2.0
"""The cables of the topologies: as fast as the machine, or of a rate that somebody asked for.

A topology takes `rate` and hands what `cable` makes of it to `addLink`:

    def build(self, n=4, rate=""):
        self.addLink("h1", "s1", **cable(rate))

Plain Mininet (TCLink), so `mn`, a script and hoplab all make the same cable. Both ends are limited,
so each direction has the rate for itself, as on a real cable.
"""

import re

from mininet.link import TCIntf, TCLink
from mininet.node import Switch

# MB would be bytes. 10, 10000000 and 1e7 say nothing of what they count.
RATE = re.compile(r"(\d+(?:\.\d+)?) ?([kKmMgG])((?i:bit(?:/s)?)|bps|b/s)?")
UNITS = {"k": 1e3, "m": 1e6, "g": 1e9}
SLOWEST, FASTEST = 10e3, 1e9  # bit/s; above, Mininet leaves a link as it is
# Full frames that may wait in front of a cable: a computer's card has room for many (Linux' own
# default), a cheap switch for some dozens a port.
SWITCH_FRAMES, OTHER_FRAMES = 64, 1000
FRAME_BITS = 1514 * 8


class CableEnd(TCIntf):
    """One end of a cable with a rate: a token bucket (tc-tbf(8)), which needs no module that many
    kernels lack. What finds its buffer full is dropped, which is all that a switch can do."""

    def config(self, bw=None, **params):
        frames = SWITCH_FRAMES if isinstance(self.node, Switch) else OTHER_FRAMES
        params["latency_ms"] = frames * FRAME_BITS / (bw * 1e3)
        params["txo"] = False  # a switch in user space would pass unfinished checksums on
        return super().config(bw=bw, use_tbf=True, **params)


class Cable(TCLink):
    """A cable with a rate, `bw` in Mbit/s as in TCLink."""

    def __init__(self, *args, **params):
        super().__init__(*args, cls1=CableEnd, cls2=CableEnd, **params)


def bits(rate):
    """The rate in bit/s; '10m' is 10M, for a thousandth of a bit is no rate. Raises ValueError."""
    parts = RATE.fullmatch(str(rate).strip())
    if parts is None:
        raise ValueError(
            f"rate is {rate}: write a number and k, M or G for bits a second, as in rate=10M"
        )
    value = float(parts[1]) * UNITS[parts[2].lower()]
    if not SLOWEST <= value <= FASTEST:
        raise ValueError(f"rate is {rate}: give 10k to 1G bits a second, as in rate=10M")
    return value


def cable(rate=""):
    """What `addLink` is told of a cable: nothing, or that it carries RATE at most ('10M', '1G',
    '500k', '10Mbit')."""
    return {} if rate in ("", None) else {"cls": Cable, "bw": bits(rate) / 1e6}
