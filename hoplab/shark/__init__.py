# SPDX-License-Identifier: Apache-2.0
"""Wireshark: labs in its list (`extcap`), how it shows them (`profile`), and `install`."""
