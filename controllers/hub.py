# SPDX-License-Identifier: Apache-2.0
"""A hub: every frame is repeated out of every other port. Nothing is learned.

Run it:   hoplab swap hub      or      ryu-manager controllers/hub.py

The pipeline, one table with one flow:

    frame in --> [ table 0: any frame -> FLOOD ] --> every port but the one it came in by

The switch does all of that by itself, so after the start no frame comes to the controller.

What lives here: one Ryu app for OpenFlow 1.3. What it shares with others is in kit.py, beside it.
"""

from __future__ import annotations

from typing import Any

import kit
from ryu.base import app_manager
from ryu.ofproto import ofproto_v1_3 as ofp

TABLE = 0
PRIORITY_ANY = 0  # with no field to match it is the flow for all frames (OpenFlow 1.3.5, 5.4)


class Hub(kit.Switches, app_manager.RyuApp):
    """The algorithm:

    1. A switch connects: take away every flow it has, from whatever controller was there before,
       and put in the one flow above. Both happen at one instant, so that no frame meets an empty
       table and is lost.
    2. That is all.
    """

    def pipeline(self, datapath: Any) -> list[Any]:
        """Step 1."""
        return [kit.flow(datapath, TABLE, PRIORITY_ANY, {}, out=ofp.OFPP_FLOOD)]
