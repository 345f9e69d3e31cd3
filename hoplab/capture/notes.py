# SPDX-License-Identifier: Apache-2.0
"""What a capture keeps beside its frames: the topics of `pcapng_format.Note`, on which whoever
captures and whoever reads must agree.

A note's source is the name of a switch, or of a controller; that of a change is the lab's.
"""

from __future__ import annotations

TABLES = "tables"  # a message of OpenFlow 1.3 in which a switch tells of its tables
LEARNED = "learned"  # what it has learned for NORMAL, as fdb/show prints it
RAISED = "raised"  # an exception of a controller's app that nobody caught, as JSON
LOST = "lost"  # frames that cables lost because they were to lose some, by interface, as JSON
CHANGED = "changed"  # what somebody changed in the network meanwhile, as JSON
