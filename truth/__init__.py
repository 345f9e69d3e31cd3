# SPDX-License-Identifier: Apache-2.0
"""A campaign in which an oracle that shares no code with hoplab judges what hoplab tells."""
