# SPDX-License-Identifier: Apache-2.0
"""Frames to journeys: which observations are one packet, from hop to hop.

Lives here: the wiring, hops and their trees, a module for each rule by which hops are joined.
Must not: why a packet was sent, sentences, sockets, running labs.
Begin with `follow.py` (the rules), then `model.py` (the shape of the answer).
"""
