# SPDX-License-Identifier: Apache-2.0
"""Networks broken on purpose: what can be wrong, where in a running lab, and how it is undone.

Lives here: kinds of faults as data (`kinds.py`), the lab that they are to fit (`network.py`), and
choosing one by a seed, putting it in and taking it out (`breaking.py`). Must not: run inside of a
lab, or know how a fault is found (`hoplab.story.diagnosis`). Begin with `kinds.py`.
"""
