# SPDX-License-Identifier: Apache-2.0
"""Journeys to a story: what happened, why, and how it ended.

Lives here: the story's records, one analysis a module, steps, remarks, the outcome, the live
story.
Must not: layout and languages (`hoplab.report`), sockets, running labs; it reads files' content
only.
Begin with `tell.py` (the order of work) and `records.py` (what it yields).
"""
