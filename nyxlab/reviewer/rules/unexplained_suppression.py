"""A suppression in the plan that names no rule or gives no reason."""

from collections.abc import Iterator

from nyxlab.reviewer.rules.base import Claim, Document, Plan, Severity
from nyxlab.reviewer.suppress import suppressions


def check(document: Document, plan: Plan) -> Iterator[Claim]:
    """Find a comment that asks to ignore findings without naming a rule and a reason; it silences nothing."""
    for told in suppressions(document):
        if told.reason is None:
            said = "The comment asks to ignore findings, but does not say which rule and why, so it is not obeyed."
            yield Claim(Severity.LOW, "Suppression without a reason", said, (told,), ("suppression",))
