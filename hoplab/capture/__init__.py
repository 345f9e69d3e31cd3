# SPDX-License-Identifier: Apache-2.0
"""Frames from packet sockets to pcapng files, and back.

Lives here: sockets, rings, filters, the process that records, the file format, one seen frame.
Must not: what a frame means (`hoplab.decode`), what a lab is, who is wired to whom.
Begin with `observation.py`, then `capture.py` (how to listen) and `pcapng_format.py` (how it is
kept).
"""
