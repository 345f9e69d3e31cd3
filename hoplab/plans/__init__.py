# SPDX-License-Identifier: Apache-2.0
"""Networks as plans: what a running lab is, what a topology's file would make, and what differs.

Lives here: the plan itself (`plan.py`), read from a running lab (`of_lab.py`) or from a file in a
process of its own (`of_file.py`), written as a file (`as_file.py`), and how a lab becomes what a
plan says (`differences.py`). Must not: import Mininet, or change a lab. Begin with `plan.py`.
"""
