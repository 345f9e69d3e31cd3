# SPDX-License-Identifier: Apache-2.0
"""Unchanged Mininet scripts, and stock `mn`, in a machine of their own.

Lives here: running such a command, what its Python is told at the start, watching what it builds.
Must not: hoplab's own way of building networks (`hoplab.network`).
Begin with `run.py`; `sitecustomize.py` is read by the script's own Python and imports nothing of
ours.
"""
