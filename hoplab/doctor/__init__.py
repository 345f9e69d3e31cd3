# SPDX-License-Identifier: Apache-2.0
"""What a lab needs of the machine, and the line that mends each fault.

Lives here: checks, failures that people report with stock tools, AppArmor's profile.
Must not: mending by itself, or anything that a lab does once it runs.
Begin with `checks.py`.
"""
