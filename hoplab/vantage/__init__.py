# SPDX-License-Identifier: Apache-2.0
"""Captures of networks that nobody has described: who is who in them, by their frames alone.

What lives here: from the frames of one place to a wiring and journeys. What must not: what is told
of them (`story`), running labs, and a guess that is told as certain. Begin with `one_place.py`.
"""
