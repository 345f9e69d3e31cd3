# SPDX-License-Identifier: Apache-2.0
"""Labs that were written for other programs, read as they are.

Lives here: the formats of Kathará and containerlab as data, and what such a lab needs of this
machine. Must not: make a Topo of them (`hoplab.network.imported`), or know how a device does what
its startup file says (`topologies/devices.py`). Begin with `records.py`, then `kathara.py`.
"""
