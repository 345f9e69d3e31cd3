# SPDX-License-Identifier: Apache-2.0
"""What a capture keeps beside its frames: the topics of `pcapng_format.Note`, on which whoever
captures and whoever reads must agree.

A note's source is the name of a switch, of a controller, or of a process; that of a change is the
lab's.
"""

from __future__ import annotations

TABLES = "tables"  # a message of OpenFlow 1.3 in which a switch tells of its tables
# The states of a switch's ports in the spanning tree that it runs by itself, by interface, as JSON.
SPANNING_TREE = "spanning-tree"
LEARNED = "learned"  # what it has learned for NORMAL, as fdb/show prints it
RAISED = "raised"  # an exception of a controller's app that nobody caught, as JSON
LOST = "lost"  # frames that cables lost because they were to lose some, by interface, as JSON
CHANGED = "changed"  # what somebody changed in the network meanwhile, as JSON
LOAD = "load"  # how busy the machine was: readings, as JSON (`load.py`)
WOKEN = "woken"  # the lab found a process stopped by a signal, and let it go on
QUEUES = "queues"  # before which interfaces a queue was made meanwhile: a list, as JSON
STANDING = "standing"  # before which ones there was one already that is not the lab's: the same
