# SPDX-License-Identifier: Apache-2.0
"""Where switches and controller speak, and what a capture calls it.

What lives here: the two facts on which whoever captures and whoever reads must agree. What must
not: imports, for a lab's first process needs this too.
"""

from __future__ import annotations

INTERFACE = "openflow"  # what the channel's interface is called in a capture
# IANA's port for OpenFlow, where the first controller of a lab listens, and those that a new one
# goes on to. Eight shards with two processes each, and the eight of a swap under way, take 24.
CONTROLLER_PORTS = range(6653, 6685)
