"""The same thing demanded and forbidden, or said and denied."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from nyxlab.reviewer.findings import Severity
from nyxlab.reviewer.plan.model import Plan
from nyxlab.reviewer.rules.base import Claim, at, rule
from nyxlab.reviewer.text.assertions import Assertion
from nyxlab.reviewer.text.document import Document, group

_DEMANDS = ("must", "must not")
_MANY = 40
_SUBJECT = 2  # words that a subject must have, beside those that say nothing


def check(document: Document, plan: Plan) -> Iterator[Claim]:
    """Find two statements with the same subject and the same verb, neither under a condition, of which one says what the other denies."""
    own = [a for a in document.assertions if a.settled and not a.conditional and len(a.subject) >= _SUBJECT and a.verb]
    for same in group(((a.verb, a.modality in _DEMANDS), a) for a in own).values():
        # A verb that everything has: only what is alike to the word is looked at.
        groups = [same] if len(same) <= _MANY else list(group((a.subject, a) for a in same).values())
        for one, two in (pair for each in groups for pair in combinations(each[:_MANY], 2)):
            if one.denied != two.denied and _same(one, two):
                must = one.modality in _DEMANDS and two.modality in _DEMANDS
                yield Claim(
                    Severity.CRITICAL if must else Severity.HIGH,
                    f'Said and denied: "{one.sentence.plain[:90]}"',
                    f'"{one.sentence.plain[:160]}" and "{two.sentence.plain[:160]}" cannot both be built.',
                    "Decide which holds, and take the other one out.",
                    at(one.sentence, two.sentence),
                    tuple(sorted(one.subject)),
                    (one.sentence.plain[:120], two.sentence.plain[:120]),
                    confidence=0.85,
                )


def _same(one: Assertion, two: Assertion) -> bool:
    """Whether both speak of one thing, as far as the shorter subject says, and say no more of it than each other."""
    few, many = sorted((one.subject, two.subject), key=len)
    if not few <= many or len(many) - len(few) > (2 if len(few) > 2 else 0):
        return False
    short, long = sorted((one.said, two.said), key=len)
    return short <= long


RULE = rule("opposite-statements", check)
