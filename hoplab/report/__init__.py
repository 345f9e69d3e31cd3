# SPDX-License-Identifier: Apache-2.0
"""A story made visible: text for a terminal, pages, pictures, Markdown, JSON, languages.

Lives here: layout, and everything that a reader sees of a run.
Must not: any statement that is not in the story; running labs, sockets.
Begin with `terminal.py`; `language.py` is how any text becomes another language's.
"""
