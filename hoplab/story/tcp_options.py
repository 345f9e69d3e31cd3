# SPDX-License-Identifier: Apache-2.0
"""What the SYNs of a TCP connection say, and what is agreed by that.

What lives here: the options of both SYNs, and by how much the window of a segment is to be shifted.
What must not: the options of any other segment.
"""

from __future__ import annotations

from hoplab.decode.packet import Tcp
from hoplab.story.tcp_records import Agreed, Options

SILENT_MSS = 536  # what a SYN without the option means (RFC 9293, 3.7.1)


def options_of(syn: Tcp) -> Options:
    """The options of a SYN."""
    return Options(syn.mss, syn.window_scale, syn.sack_permitted, syn.timestamps)


def agree(client: Options | None, server: Options | None) -> Agreed | None:
    """What both can do; None if a SYN was not seen."""
    if client is None or server is None:
        return None
    return Agreed(
        mss=min(client.mss or SILENT_MSS, server.mss or SILENT_MSS),
        window_scale=client.window_scale is not None and server.window_scale is not None,
        sack=client.sack_permitted and server.sack_permitted,
        timestamps=client.timestamps and server.timestamps,
    )


def window_of(tcp: Tcp, options: Options | None, agreed: Agreed | None) -> int | None:
    """The room that a segment announces, in bytes (RFC 7323, 2.2): the window of a SYN is never
    scaled. None if it is not known by how much it is. options: its sender's."""
    if tcp.syn:
        return tcp.window
    if agreed is None or options is None:
        return None
    return tcp.window << (options.window_scale or 0) if agreed.window_scale else tcp.window
