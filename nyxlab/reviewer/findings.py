"""What a review says: findings with their evidence, as frozen records in the shape of ``nyxlab.review/1``."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from nyxlab.providers.messages import Record

MAX_SPAN = 15
"""A finding's evidence spans at most this many lines, so that a person can take it in at a glance."""


class Severity(StrEnum):
    """How bad it is if the plan were built as written; INFO is an observation and is not counted."""

    CRITICAL = "CRITICAL"
    HIGH = "HIGH"
    MEDIUM = "MEDIUM"
    LOW = "LOW"
    INFO = "INFO"

    @property
    def rank(self) -> int:
        """0 for the worst, 4 for an observation."""
        return list(Severity).index(self)

    def at_least(self, other: Severity) -> bool:
        """Whether this is as bad as ``other`` or worse."""
        return self.rank <= other.rank

    def at_most(self, other: Severity) -> Severity:
        """Return this, or ``other`` where this is worse."""
        return max(self, other, key=lambda each: each.rank)


class Category(StrEnum):
    """What part of a plan is hurt."""

    MODEL = "MODEL"
    CONFLICT = "CONFLICT"
    COVERAGE = "COVERAGE"
    ORDER = "ORDER"
    INTERFACE = "INTERFACE"
    DATA = "DATA"
    TENANCY = "TENANCY"
    SECURITY = "SECURITY"
    FAILURE = "FAILURE"
    LIMITS = "LIMITS"
    TERM = "TERM"
    VAGUE = "VAGUE"
    TEST = "TEST"
    OPS = "OPS"
    DUPLICATE = "DUPLICATE"
    SCOPE = "SCOPE"
    CLAIM = "CLAIM"


Status = Literal["new", "open", "fixed", "not-found-again"]


class Evidence(Record):
    """Words that stand in the plan: whole lines, from 1, byte for byte; ``verified`` once code has compared them."""

    path: str
    start_line: Annotated[int, Field(ge=1)]
    end_line: Annotated[int, Field(ge=1)]
    quote: str
    verified: bool


class Finder(Record):
    """Who found it: a rule of ours, or a provider through a lens."""

    kind: Literal["rule", "lens", "lesson"] = "rule"
    provider: str | None = None


class Finding(Record):
    """One inconsistency: what is wrong, where it stands, what follows if it is built so, and what to do."""

    id: str
    fingerprint: str
    rule: str
    category: Category
    severity: Severity
    severity_reason: str
    confidence: Annotated[float, Field(ge=0, le=1)]
    title: str
    explanation: str
    consequence: str
    fix: str
    status: Status = "new"
    suppressed: str | None = None
    evidence: tuple[Evidence, ...]
    places: tuple[Evidence, ...] = ()
    """Where the same cause shows beyond the evidence."""
    outside: bool = False
    """Whether it rests on knowledge that is not in the plan."""
    found_by: tuple[Finder, ...] = (Finder(),)

    @property
    def verified(self) -> bool:
        """Whether there is evidence and every quote of it was found in the plan."""
        return bool(self.evidence) and all(e.verified for e in self.evidence)

    @property
    def by_code(self) -> bool:
        """Whether code found it: then a later review that does not find it has closed it, as it found it."""
        return all(who.kind != "lens" for who in self.found_by)

    @property
    def active(self) -> bool:
        """Whether it still speaks: not suppressed, not fixed, nor a rule's finding that the rule no longer makes."""
        return (
            self.suppressed is None
            and self.status != "fixed"
            and not (self.status == "not-found-again" and self.by_code)
        )


def fingerprint(rule: str, entities: Iterable[str], claims: Sequence[str], ordinal: int = 0) -> str:
    """Name a finding so that re-wrapping and reordering the plan keep the name.

    Made of the rule, the normalised entities and the claims that do not fit together, in any order, and an ordinal.
    """
    parts = [rule, *sorted({_normal(e) for e in entities}), "|", *sorted(_normal(c) for c in claims), str(ordinal)]
    return hashlib.sha256("\x1f".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:24]


def count(findings: Iterable[Finding]) -> dict[str, int]:
    """Count what still speaks, by severity; observations are not counted."""
    seen = Counter(f.severity for f in findings if f.active)
    return {s.value: seen[s] for s in Severity if s is not Severity.INFO}


def _normal(text: str) -> str:
    """Fold case, Markdown marks and white space away."""
    return " ".join(text.replace("*", " ").replace("`", " ").casefold().split())
