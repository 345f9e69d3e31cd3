# SPDX-License-Identifier: Apache-2.0
"""What a network card does in the place of the kernel (checksums, segmentation), turned off by the
ethtool ioctl, so that what is captured is what is sent.
"""

from __future__ import annotations

import array
import fcntl
import struct

from hoplab.errors import reason_of
from hoplab.kernel.netlink import Socket
from hoplab.sentences import say

_SIOCETHTOOL = 0x8946
# ethtool.h: ETHTOOL_STXCSUM; ETHTOOL_SSG, which takes TSO and GSO along (netdev_fix_features in
# the kernel's net/core/dev.c); ETHTOOL_SGRO
_OFFLOADS = (0x17, 0x19, 0x2C)


def offloads_off(net: Socket, name: str) -> None:
    """Turn checksum and segmentation offload off, so that what is captured is what is sent.

    A veth that leaves the TCP checksum to "hardware" gives a userspace switch frames with a wrong
    checksum, which the receiver then drops. Raises OSError.
    """
    for command in _OFFLOADS:
        value = array.array("I", [command, 0])
        where, _ = value.buffer_info()
        request = struct.pack("16sP", name.encode(), where)
        try:
            fcntl.ioctl(net.fileno(), _SIOCETHTOOL, request + b"\0" * 24)
        except OSError as error:
            if error.errno != 95:  # EOPNOTSUPP: it has no such offload
                raise OSError(
                    error.errno,
                    say(
                        "cannot turn offloads off on {port}: {reason}",
                        port=name,
                        reason=reason_of(error),
                    ),
                ) from None


def checksum_offload(net: Socket, name: str) -> bool:
    """Whether an interface leaves checksums to hardware (ETHTOOL_GTXCSUM). Raises OSError."""
    value = array.array("I", [0x16, 0])
    where, _ = value.buffer_info()
    request = struct.pack("16sP", name.encode(), where) + b"\0" * 24
    fcntl.ioctl(net.fileno(), _SIOCETHTOOL, request)
    return bool(value[1])
