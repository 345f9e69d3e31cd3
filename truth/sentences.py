# SPDX-License-Identifier: Apache-2.0
"""All sentences but titles: what switches did, why packets were sent, the steps, how it ended.

What lives here: all their rules together. What must not: a rule.
"""

from __future__ import annotations

from truth import outcome_rules, packet_rules, rules, step_rules, switch_rules

__all__ = ["RULES", "outcome_rules", "packet_rules", "step_rules", "switch_rules"]

RULES = rules.RULES  # each of these modules enters its own
