# SPDX-License-Identifier: Apache-2.0
"""A switch's tables as they were, played again: what they did with each frame of a capture.

Lives here: the history of tables out of what a capture keeps of them, and its way into a shadow
Open vSwitch. Must not: labs, what a reader is told.
Begin with `player.py`.
"""
