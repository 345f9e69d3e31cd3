# SPDX-License-Identifier: Apache-2.0
"""hoplab's labs in Wireshark: its list of interfaces, its profile.

Lives here: the extcap program, the profile, putting both where Wireshark looks.
Must not: frames' meaning; Wireshark reads the capture itself.
Begin with `extcap.py`.
"""
