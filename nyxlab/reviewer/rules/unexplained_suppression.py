"""A suppression in the plan that names no rule or gives no reason."""

from __future__ import annotations

from collections.abc import Iterator

from nyxlab.reviewer.findings import Severity
from nyxlab.reviewer.plan.model import Plan
from nyxlab.reviewer.rules.base import Claim, Place, rule
from nyxlab.reviewer.suppress import suppressions
from nyxlab.reviewer.text.document import Document


def check(document: Document, plan: Plan) -> Iterator[Claim]:
    """Find a comment that asks to ignore findings without naming a rule and a reason; it silences nothing."""
    for told in suppressions(document):
        if told.reason is None:
            yield Claim(
                Severity.LOW,
                "Suppression without a reason",
                "The comment asks to ignore findings, but does not say which rule and why, so it is not obeyed.",
                "Write <!-- nyxlab: ignore RULE because REASON -->, with the rule's id as the finding shows it.",
                (Place(told.path, told.line, min(told.end_line, told.line + 14)),),
                ("suppression",),
                confidence=1.0,
            )


RULE = rule("unexplained-suppression", check)
