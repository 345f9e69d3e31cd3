# SPDX-License-Identifier: Apache-2.0
"""Lab sheets that check themselves: what a learner did is judged by frames, tables and answers.

Lives here: sheets as data, what their checks claim, the judging of a running lab, solutions that
are right or wrong on purpose. Must not: the command line, the pages that packets are told on.
Begin with `records.py`, then `judging.py`; docs/sheets.md has the format of a sheet.
"""
