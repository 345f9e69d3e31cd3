# SPDX-License-Identifier: Apache-2.0
"""Labs for Python programs: what `import hoplab` offers, and docs/api.md promises.

Lives here: labs, hosts and cables as objects, recorded runs and their packets.
Must not: the command line; how a lab is asked, how packets are followed and told.
Begin with `lab.py`, then `recorded.py`.
"""
