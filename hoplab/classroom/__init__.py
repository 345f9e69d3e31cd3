# SPDX-License-Identifier: Apache-2.0
"""Classes: a course with a key, its students, what they hand in, and how that is judged.

Lives here: keys and signatures, the file that is handed in, its judging without a lab, the tables
and pages for teachers. Must not: labs, the command line, what a check of a sheet claims (`sheets`).
Begin with `course.py`; docs/teaching.md says how a course is held.
"""
