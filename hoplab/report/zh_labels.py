# SPDX-License-Identifier: Apache-2.0
"""x"""
from __future__ import annotations

LABELS: dict[str, str] = {}
