# SPDX-License-Identifier: Apache-2.0
"""The language of docs/filter.md: which of a run's packets a line such as `dns from h1` means.

Lives here: its grammar, its vocabulary, and what each word asks of a packet as it was followed. The
player has the same language in its page; it takes the vocabulary from here.
Must not: printing, running labs; anything of a packet that is not in the story or in its frames.
Begin with `matching.py`, then `grammar.py`.
"""
