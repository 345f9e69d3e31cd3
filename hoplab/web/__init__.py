# SPDX-License-Identifier: Apache-2.0
"""The player: a kept run as one page that plays it, moment by moment.

Lives here: the scene (what is drawn), its geometry, the page's own scripts, and the file of it all.
Must not: any statement that is not in the story or in a captured frame; running labs, sockets.
Begin with `player.py`, then `scene.py`; in the browser, `static/start.js`.
"""
