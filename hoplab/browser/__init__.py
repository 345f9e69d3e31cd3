# SPDX-License-Identifier: Apache-2.0
"""The lab's web sites in the user's own browser.

Lives here: a proxy outside the lab, TCP sockets opened inside a host, bytes carried between the
two.
Must not: stories, running labs; nothing here knows what a lab is, only where to ask for sockets.
Begin with `proxy.py`, which says how a click becomes a connection inside the lab.
"""
