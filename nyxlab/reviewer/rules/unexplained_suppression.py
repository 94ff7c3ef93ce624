"""A suppression in the plan that names no rule or gives no reason."""

from __future__ import annotations

from collections.abc import Iterator

from nyxlab.reviewer.text.document import Document
from nyxlab.reviewer.findings import Category, Severity
from nyxlab.reviewer.plan.model import Plan
from nyxlab.reviewer.rules.base import Claim, Place, Rule
from nyxlab.reviewer.suppress import suppressions


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


RULE = Rule(
    id="unexplained-suppression",
    kind="review",
    category=Category.CLAIM,
    consequence="Nobody can tell later whether the finding was judged or only silenced.",
    severities={Severity.LOW: "the finding that it was meant for still speaks"},
    firing=("<!-- nyxlab: ignore stated-count -->\nThe two steps:\n\n- a\n- b\n", "Words. <!-- nyxlab: ignore -->\n"),
    quiet=(
        "<!-- nyxlab: ignore stated-count because the third is a note -->\nThe two steps:\n\n- a\n- b\n- c\n",
        "```\n<!-- nyxlab: ignore stated-count -->\n```\n",
    ),
    check=check,
)
