# SPDX-License-Identifier: Apache-2.0
"""Labs from outside: what a command line, a page or a test does with one.

Lives here: finding, starting and ending labs, commands in them, and commands with their frames.
Must not: Mininet, Open vSwitch, or any look into a lab but through its socket and its files.
Begin with `labs.py`; `recording.py` is what `visit` and `trace` stand on.
"""
