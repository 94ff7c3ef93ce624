"""Consensus: what models claim becomes findings: who found each, what a second reader says, what is left unfound."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise

from nyxlab.providers.messages import Cost, Record
from nyxlab.reviewer.findings import Evidence, Finder, Finding, Severity, fingerprint
from nyxlab.reviewer.models.evidence import Locator, fold, overlap
from nyxlab.reviewer.models.lenses import CONSEQUENCES, LensClaim, Numbered, Refuted, pass_name

ALIKE = 55  # of 100: how near two titles are that mean the same where no entity tells
_LOWER = dict(pairwise([*list(Severity)[:4], Severity.LOW]))  # what a claim is worth whose author is not certain
ENOUGH = 3  # findings in common, below which an estimate of the unfound says nothing


class Panelist(Record):
    """One provider's share: its findings, those unverified, those refuted of how many asked about, its cost."""

    provider: str
    found: int = 0
    unverified: int = 0
    asked: int = 0
    rejected: int = 0
    cost: Cost = Cost(usd=Decimal(0), certainty="exact")


class Unfound(Record):
    """How many findings nobody has made, with a 95 % interval; None where the overlap says too little."""

    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    note: str


class Confirmed(Record):
    """What models said that a rule had found already; the rule's finding, by its fingerprint, stays as it is."""

    title: str
    providers: tuple[str, ...]
    finding: str


class Panel(Record):
    """What the models did in a review: each provider's share and how much they may have missed together."""

    runs: tuple[str, ...] = ()
    providers: tuple[Panelist, ...] = ()
    unfound: Unfound
    confirmed: tuple[Confirmed, ...] = ()


@dataclass(frozen=True)
class Located:
    """A model's claim with its evidence where it really stands, and what code makes of its consequence."""

    lens: str
    provider: str
    claim: LensClaim
    evidence: tuple[Evidence, ...]
    severity: Severity
    reason: str

    @property
    def verified(self) -> bool:
        """Whether there are quotes and every one stands in the plan."""
        return bool(self.evidence) and all(piece.verified for piece in self.evidence)


def locate(claim: LensClaim, lens: str, provider: str, numbered: Numbered, locator: Locator) -> Located:
    """Find a claim's quotes in the plan and give it the severity of its consequence, not of its author's mood."""
    found = [locator.find(quote.text, *numbered.place(quote.line)) for quote in claim.quotes]
    pieces = tuple({(e.path, e.start_line, e.end_line, e.quote): e for e in found}.values())
    told = CONSEQUENCES[claim.consequence]
    severity, reason = told.severity, told.told
    if not claim.certain and not told.irreversible:
        severity, reason = _LOWER[severity], f"{reason}, if it is read so"
    if claim.outside and severity.at_least(Severity.HIGH):
        severity, reason = Severity.MEDIUM, f"{reason}, as far as what is known outside the plan holds"
    standing = [piece for piece in pieces if piece.verified]
    if len(standing) < max(1, len(pieces)):
        severity, reason = severity.at_most(Severity.LOW), "unverified: not every quote stands in the plan"
    elif told.two_sides and len(standing) < 2:
        severity, reason = severity.at_most(Severity.LOW), "a contradiction needs two quotes, and one side is given"
    return Located(lens, provider, claim, pieces, severity, reason)


def merge(located: Iterable[Located], panel: int) -> tuple[Finding, ...]:
    """Return one finding for claims that share evidence and entities, with all who found it.

    ``panel`` is how many were asked. The level is the highest that two finders reach, or that of the only finder.
    """
    groups: list[list[Located]] = []
    for claim in located:
        home = next((g for g in groups if any(same(claim, other) for other in g)), None)
        groups.append([claim]) if home is None else home.append(claim)
    equals: Counter[str] = Counter()
    told = []
    for finding in sorted((_finding(group, panel) for group in groups), key=_order):
        name = finding.fingerprint
        again = {"fingerprint": fingerprint(name, (), (), equals[name])} if equals[name] else {}
        told.append(finding.model_copy(update=again))
        equals[name] += 1
    return tuple(told)


def same(one: Located, two: Located) -> bool:
    """Whether two claims are about the same lines and the same things."""
    if one.verified != two.verified:
        return False
    if not one.verified:
        return fold(one.claim.title) == fold(two.claim.title)
    if not overlap(one.evidence, two.evidence):
        return False
    names = [{fold(name) for name in each.claim.entities} - {""} for each in (one, two)]
    return bool(names[0] & names[1]) or _alike(one.claim.title, two.claim.title)


def repeats(finding: Finding, rules: Sequence[Finding]) -> Finding | None:
    """Return the rule's finding that says it already: the quotes lie on one another, and category or title agree."""
    for rule in rules if finding.verified else ():
        touched = len(rule.evidence) >= len(finding.evidence) and overlap(finding.evidence, rule.evidence)
        if touched and (rule.category is finding.category or _alike(rule.title, finding.title)):
            return rule
    return None


def refute(finding: Finding, answer: Refuted | None, reader: str) -> Finding:
    """Return the finding as a second reader leaves it: rejected ones are kept, with the reason, and no longer speak."""
    if answer is None:
        return finding
    reason = " ".join(answer.reason.split()) or "no reason given"
    if answer.answer == "rejected":
        return finding.model_copy(update={"suppressed": f"rejected by {reader}: {reason}", "confidence": 0.1})
    if answer.answer == "needs-hardening":
        told = f"{finding.explanation} {reader} wants this hardened: {reason}".strip()
        return finding.model_copy(update={"explanation": told, "confidence": round(finding.confidence * 0.8, 2)})
    return finding.model_copy(update={"confidence": round(1 - (1 - finding.confidence) * 0.6, 2)})


def asked_again(finding: Finding, answer: Refuted | None, reader: str) -> Finding:
    """Return an earlier finding as who was asked about it again leaves it: open, or refuted with the reason."""
    if answer is None:
        return finding
    status = "not-found-again" if answer.answer == "rejected" else "open"
    return refute(finding.model_copy(update={"status": status}), answer, reader)


def unfound(found_by: Iterable[frozenset[str]], panel: Sequence[str]) -> Unfound:
    """Estimate how many findings nobody made, from who made each.

    Two finders: Chapman's estimator with its variance; more: Chao's lower bound from those found once and twice (Chao
    1987). The interval is log-normal over the unfound ones, as in the program CAPTURE (Rexstad & Burnham 1991).
    """
    finds = [who & set(panel) for who in found_by]
    finds = [who for who in finds if who]
    if len(panel) < 2:
        return Unfound(note="one finder: nothing can be said of what it missed")
    shared = sum(len(who) > 1 for who in finds)
    if shared < ENOUGH:
        return Unfound(note=f"too little overlap to say: {shared} of {len(finds)} findings were made by more than one")
    total = len(finds)
    if len(panel) == 2:
        one, two = (sum(name in who for who in finds) for name in panel)
        estimate = (one + 1) * (two + 1) / (shared + 1) - 1 - total
        variance = (one + 1) * (two + 1) * (one - shared) * (two - shared) / ((shared + 1) ** 2 * (shared + 2))
    else:
        once, twice = (sum(len(who) == n for who in finds) for n in (1, 2))
        times = (len(panel) - 1) / len(panel)
        estimate = times * once * (once - 1) / (2 * (twice + 1))
        ratio = once / (twice + 1)
        variance = (twice + 1) * (times * ratio**2 / 2 + times**2 * ratio**3 + times**2 * ratio**4 / 4)
    estimate = max(0.0, estimate)
    low, high = 0.0, 0.0
    if estimate > 0:
        spread = math.exp(1.96 * math.sqrt(math.log(1 + variance / estimate**2)))
        low, high = estimate / spread, estimate * spread
    interval = f"95 % interval {low:.0f} to {high:.0f}"
    note = f"about {estimate:.0f} more may be unfound ({interval}), if the finders are independent"
    return Unfound(estimate=round(estimate, 1), low=round(low, 1), high=round(high, 1), note=note)


def finders(finding: Finding) -> frozenset[str]:
    """Return the providers that made a finding."""
    return frozenset(who.provider for who in finding.found_by if who.provider)


def shares(
    findings: Sequence[Finding], answers: Mapping[str, Refuted], costs: Mapping[str, Cost]
) -> tuple[Panelist, ...]:
    """Return each provider's share; ``answers`` are the second reader's by fingerprint, ``costs`` are by provider."""
    told = []
    made = dict.fromkeys(name for finding in findings for name in sorted(finders(finding)))
    for name in dict.fromkeys((*costs, *made)):
        own = [f for f in findings if name in finders(f)]
        asked = [answers[f.fingerprint] for f in own if f.fingerprint in answers]
        rejected, unverified = sum(each.answer == "rejected" for each in asked), sum(not f.verified for f in own)
        share = Panelist(provider=name, found=len(own), unverified=unverified, asked=len(asked), rejected=rejected)
        told.append(share.model_copy(update={"cost": costs[name]}) if name in costs else share)
    return tuple(told)


def _finding(group: Sequence[Located], panel: int) -> Finding:
    """Make one finding of claims about one thing: the words of the first, the evidence of all, the level of two."""
    levels = sorted({each.provider: each for each in reversed(group)}.values(), key=lambda each: each.severity.rank)
    told = levels[min(1, len(levels) - 1)]
    lead = min(group, key=lambda each: (-len(each.evidence), each.severity.rank))
    consequence = CONSEQUENCES[told.claim.consequence]
    evidence = {(e.path, e.start_line): e for each in (lead, *group) for e in each.evidence}
    providers = list(dict.fromkeys(each.provider for each in group))
    others = (each.claim.title for each in group if fold(each.claim.title) != fold(lead.claim.title))
    also = [f"Told as well as: {_line(title, 160).rstrip('.')}." for title in dict.fromkeys(others)]
    # Laplace's rule of succession over those who were asked; a quote that stands nowhere halves it.
    confidence = (len(providers) + 1) / (panel + 2) * (1 if all(e.verified for e in evidence.values()) else 0.5)
    rule = pass_name(lead.lens).replace(":", "-")
    return Finding(
        id="F-000", rule=rule, category=consequence.category, severity=told.severity, severity_reason=told.reason,
        fingerprint=fingerprint(rule, [told.claim.consequence], [e.quote for e in evidence.values()]),
        confidence=round(confidence, 2), title=_line(lead.claim.title, 160),
        explanation=" ".join([lead.claim.explanation.strip(), *also]).strip(),
        consequence=consequence.told[0].upper() + consequence.told[1:] + ".", fix=lead.claim.fix.strip(),
        evidence=tuple(evidence.values()), outside=all(each.claim.outside for each in group),
        found_by=tuple(Finder(kind="lens", provider=name) for name in providers),
    )  # fmt: skip


def _order(finding: Finding) -> tuple[int, str, int, str]:
    first = finding.evidence[0] if finding.evidence else None
    return (finding.severity.rank, first.path if first else "", first.start_line if first else 0, finding.title)


def _alike(one: str, two: str) -> bool:
    from rapidfuzz import fuzz  # a review by rules needs none of it

    return fuzz.token_set_ratio(fold(one), fold(two)) >= ALIKE


def _line(text: str, limit: int) -> str:
    words = " ".join(text.split())
    return words if len(words) <= limit else words[: limit - 1].rstrip() + "…"
