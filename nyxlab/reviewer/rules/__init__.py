"""Cael's rules: each law in a file of its own, over the facts and the plan; this is the list of them."""

from __future__ import annotations

from nyxlab.reviewer.rules import (
    broken_link,
    dangling_reference,
    duplicate_number,
    exclusive_definitions,
    fields_differ,
    file_ledger,
    impossible_order,
    name_drift,
    numbering_gap,
    opposite_statements,
    parallel_conflict,
    setting_differs,
    signature_differs,
    stated_count,
    status_differs,
    uncovered_requirement,
    unfinished_marker,
    unplanned_name,
    wrong_total,
)
from nyxlab.reviewer.rules.base import Claim, Place, Rule

__all__ = ["RULES", "Claim", "Place", "Rule"]

RULES: tuple[Rule, ...] = (
    exclusive_definitions.RULE,
    opposite_statements.RULE,
    uncovered_requirement.RULE,
    unplanned_name.RULE,
    impossible_order.RULE,
    parallel_conflict.RULE,
    signature_differs.RULE,
    fields_differ.RULE,
    file_ledger.RULE,
    dangling_reference.RULE,
    setting_differs.RULE,
    name_drift.RULE,
    status_differs.RULE,
    duplicate_number.RULE,
    numbering_gap.RULE,
    stated_count.RULE,
    wrong_total.RULE,
    broken_link.RULE,
    unfinished_marker.RULE,
)
