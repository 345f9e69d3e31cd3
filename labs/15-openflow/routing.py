# SPDX-License-Identifier: Apache-2.0
"""The controller of this sheet: hoplab's router.py, told by router.json beside this file who r1 is.

Run it:   hoplab lab start 15
"""

import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "controllers"))
os.environ["ROUTER_CONFIG"] = str(HERE / "router.json")

import router  # noqa: E402


class Routing(router.OpenFlowRouter):
    """Nothing of its own."""
