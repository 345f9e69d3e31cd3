# SPDX-License-Identifier: Apache-2.0
"""x"""
from __future__ import annotations

STORY: dict[str, str] = {}
