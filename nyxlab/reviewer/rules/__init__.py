"""Cael's rules: each in a file of its own under one protocol; this is the list of them."""

from __future__ import annotations

from nyxlab.reviewer.rules import (
    arithmetic,
    broken_link,
    conflicting_value,
    dangling_reference,
    duplicate_identifier,
    exclusive_definitions,
    file_ledger,
    impossible_order,
    name_drift,
    numbering_gap,
    opposite_statements,
    stage_order,
    stated_count,
    uncovered_requirement,
    unfinished_marker,
    wrong_total,
)
from nyxlab.reviewer.rules.base import Claim, Place, Rule

__all__ = ["RULES", "Claim", "Place", "Rule"]

RULES: tuple[Rule, ...] = (
    exclusive_definitions.RULE,
    opposite_statements.RULE,
    impossible_order.RULE,
    file_ledger.RULE,
    dangling_reference.RULE,
    uncovered_requirement.RULE,
    duplicate_identifier.RULE,
    numbering_gap.RULE,
    conflicting_value.RULE,
    name_drift.RULE,
    stated_count.RULE,
    wrong_total.RULE,
    arithmetic.RULE,
    stage_order.RULE,
    broken_link.RULE,
    unfinished_marker.RULE,
)
