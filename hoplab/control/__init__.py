# SPDX-License-Identifier: Apache-2.0
"""Controllers as processes: started, watched, mended, swapped.

Lives here: one controller process, all of a lab's, roles between them, launchers for the
frameworks.
Must not: what a controller decides (`controllers/`), bridges and flows (`hoplab.openvswitch`).
Begin with `supervisor.py` (who is in charge), then `process.py` (one of them).
"""
