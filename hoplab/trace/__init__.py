# SPDX-License-Identifier: Apache-2.0
"""From frames to a story: who is wired to whom, which observations are one packet, what it was for.

Everything here reads a run folder's files only, so it works offline and without root.
"""
