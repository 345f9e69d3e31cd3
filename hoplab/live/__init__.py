# SPDX-License-Identifier: Apache-2.0
"""Running labs, followed and shown: what captures hear while they go on, and the server of the page
that `hoplab web` opens.

Lives here: whoever reads the pipe of a lab's capture, and what goes from there to pages and back.
Must not: how a page draws it (`hoplab/web/static`), and any rule of its own on what a packet did.
Begin with `heard.py` and `following.py`; of the server with `server.py`, then `pages.py`.
"""
