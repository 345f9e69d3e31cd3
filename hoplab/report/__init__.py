# SPDX-License-Identifier: Apache-2.0
"""A story made visible: terminal text and JSON. Knows stories, never labs or sockets."""
