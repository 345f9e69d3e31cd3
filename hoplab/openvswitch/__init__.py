# SPDX-License-Identifier: Apache-2.0
"""Open vSwitch: its daemons, its database, its flows.

Lives here: starting it, bridges and ports in one transaction, flows read and removed, tables.
Must not: controllers' processes, Mininet, captured frames.
Begin with `daemons.py`, then `bridges.py`; `tables.py` is what `hoplab table` shows.
"""
