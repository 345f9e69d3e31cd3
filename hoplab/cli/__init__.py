# SPDX-License-Identifier: Apache-2.0
"""The `hoplab` command: parse, call, print.

Lives here: the verbs in the order of a user's day, their options, what they print.
Must not: anything that another room could do; nothing else imports this one.
Begin with `main.py`, then the `verbs_*.py` of the verb that you look for.
"""
