# SPDX-License-Identifier: Apache-2.0
"""The running lab, and the socket where the world outside asks.

Lives here: what a lab is asked to be, its life, its captures, pinging all pairs, the server.
Must not: the command line, stories and pages: those stand outside and read files.
Begin with `lab.py`, then `server.py` (what can be asked).
"""
