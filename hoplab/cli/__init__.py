# SPDX-License-Identifier: Apache-2.0
"""The `hoplab` command: parse, call, print. Nothing else imports this room."""
