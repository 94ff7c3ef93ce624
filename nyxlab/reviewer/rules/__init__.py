"""Cael's rules: each in a file of its own under one protocol; this is the list of them."""

from __future__ import annotations

from nyxlab.reviewer.rules import (
    broken_link,
    conflicting_value,
    dangling_reference,
    duplicate_identifier,
    exclusive_definitions,
    file_ledger,
    impossible_order,
    numbering_gap,
    opposite_statements,
    stated_count,
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
    duplicate_identifier.RULE,
    numbering_gap.RULE,
    conflicting_value.RULE,
    stated_count.RULE,
    wrong_total.RULE,
    broken_link.RULE,
    unfinished_marker.RULE,
)
