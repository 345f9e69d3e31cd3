# SPDX-License-Identifier: Apache-2.0
"""Captures of networks that nobody has described: who is who in them, by their frames alone.

Lives here: from the frames of one place to a wiring, to journeys, and to the files of a run.
Must not: what is told of them (`story`), running labs, a guess that passes for certain.
Begin with `one_place.py` (the picture), then `evidence.py` (how an address is known).
"""
