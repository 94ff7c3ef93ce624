"""The same thing demanded and forbidden, or said and denied."""

from collections.abc import Iterator
from itertools import combinations

from nyxlab.reviewer.rules.base import Claim, Document, Plan, Severity, group
from nyxlab.reviewer.text.assertions import Assertion

_DEMANDS = ("must", "must not")
_MANY = 40
_SUBJECT = 2  # words that a subject must have, beside those that say nothing


def check(document: Document, plan: Plan) -> Iterator[Claim]:
    """Find two statements of one subject and one verb, under no condition, of which one denies what the other says."""
    own = [a for a in document.assertions if a.settled and not a.conditional and len(a.subject) >= _SUBJECT and a.verb]
    for same in group(((a.verb, a.modality in _DEMANDS), a) for a in own).values():
        # A verb that everything has: only what is alike to the word is looked at.
        groups = [same] if len(same) <= _MANY else list(group((a.subject, a) for a in same).values())
        for one, two in (pair for each in groups for pair in combinations(each[:_MANY], 2)):
            if one.denied != two.denied and _same(one, two):
                first, second = one.sentence, two.sentence
                yield Claim(
                    Severity.CRITICAL if one.modality in _DEMANDS else Severity.HIGH,
                    f'Said and denied: "{first.plain[:90]}"',
                    f'"{first.plain[:160]}" and "{second.plain[:160]}" cannot both be built.',
                    (first, second), sorted(one.subject), (first.plain[:120], second.plain[:120]),
                )  # fmt: skip


def _same(one: Assertion, two: Assertion) -> bool:
    """Whether both speak of one thing, as far as the shorter subject says, and say no more of it than each other."""
    few, many = sorted((one.subject, two.subject), key=len)
    near = few <= many and len(many) - len(few) <= (2 if len(few) > 2 else 0)
    return near and (one.said <= two.said or two.said <= one.said)
