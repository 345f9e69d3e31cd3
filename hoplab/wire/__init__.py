# SPDX-License-Identifier: Apache-2.0
"""Bytes on wires: capturing them, keeping them in pcapng, reading them as packets.

Nothing here knows what a lab is, who is wired to whom, or what a frame is for.
"""
