"""Measures reviewers: who finds known faults in copies of a clean plan, with how many false alarms, at what cost."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import Field

from nyxlab.gate.policy import interval
from nyxlab.lab.desk import Desk, Paths
from nyxlab.lab.reviews.planting import Fault, planted, sets_of
from nyxlab.lab.reviews.prepared import forecast, read_target, review_document, share_out
from nyxlab.lab.reviews.terms import Asked, Terms
from nyxlab.lab.workflows.prepared import OnCosts, OnEvent
from nyxlab.providers.messages import Cost, Record
from nyxlab.reviewer.findings import Finding
from nyxlab.reviewer.review import Pass, Review
from nyxlab.reviewer.text.document import Document, parse_documents

COPIES = 3  # of each plan, each with other faults at other places
Reviewer = Callable[[Document], Awaitable[Review]]
Finder = Literal["all", "kind", "rule", "lens", "provider"]


class Case(NamedTuple):
    """A text with known faults, and the clean text it was made of, if any: what is found in both is not their work."""

    clean: Mapping[str, str]
    texts: Mapping[str, str]
    faults: tuple[Fault, ...]


class Score(Record):
    """What one finder found: recall of the faults that were its to find, precision of what it told (Wilson, 95 %).

    ``finder`` is everybody together, all on one kind of fault, one rule, one lens or one provider. A rule's faults are
    those of its kind; a lens's and a provider's are all. ``alarms`` are findings that point at no known fault and were
    not made on the clean plan. None where there was nothing to count.
    """

    finder: Finder
    name: str
    planted: int
    found: int
    recall: float | None
    recall_low: float | None
    recall_high: float | None
    alarms: int
    precision: float | None
    cost: Cost | None = None


class Measurement(Record):
    """How well reviewers did on plans with known faults: contract ``nyxlab.measure/1``."""

    schema_: Literal["nyxlab.measure/1"] = Field(default="nyxlab.measure/1", alias="schema")
    plans: tuple[str, ...]
    seed: int
    copies: int
    planted: int
    scores: tuple[Score, ...]
    clean_findings: int
    passes_missing: tuple[Pass, ...]
    cost: Cost


def planted_cases(texts: Mapping[str, str], seed: int) -> list[Case]:
    """Return ``COPIES`` copies of each plan with one fault of each kind.

    Files of one form in one folder are one plan.
    """
    return [Case(each, *planted(each, seed * COPIES + copy)) for each in sets_of(texts) for copy in range(COPIES)]


async def measure_here(
    desk: Desk,
    plans: Sequence[Paths] | Sequence[Case],
    asked: Asked,
    seed: int = 0,
    base: Path | None = None,
    on_costs: OnCosts | None = None,
    on_event: OnEvent | None = None,
) -> Measurement:
    """Measure a project's rules, and the models that are asked; the budget is shared out evenly over the reviews."""
    cases = [each for each in plans if isinstance(each, Case)]
    if not cases:
        read = await read_target(desk, [each for each in plans if not isinstance(each, Case)], base)
        cases = planted_cases(read.texts, seed)
    texts = {repr(text): text for case in cases for text in (case.clean, case.texts) if text}
    share, terms = share_out(asked, len(texts)), Terms.of(desk.settings.root, desk.settings.root)
    if asked.providers:  # refuses what cannot be before anything is paid
        costs = forecast(desk, [parse_documents(each) for each in texts.values()], share)
        if on_costs:
            on_costs(desk.outside(costs))
    return await measure(cases, lambda each: review_document(desk, each, terms, share, on_event), asked, seed)


async def measure(cases: Sequence[Case], review: Reviewer, asked: Asked, seed: int = 0) -> Measurement:
    """Review each case and its clean text, and count; ``review`` is the whole review, models included if any."""
    clean: dict[str, Review] = {}
    told: list[tuple[Case, list[Finding]]] = []
    reviews: list[Review] = []
    for case in cases:
        key = repr(sorted(case.clean.items()))
        if case.clean and key not in clean:
            clean[key] = await review(parse_documents(case.clean))
        known = {(f.rule, _words(f)) for f in clean[key].findings} if case.clean else set()
        done = await review(parse_documents(case.texts))
        reviews.append(done)
        told.append((case, [f for f in done.findings if f.active and (f.rule, _words(f)) not in known]))
    everything = [*clean.values(), *reviews]
    costs = _costs(everything)
    names = _names(told)
    total = Cost.total(r.cost for r in everything)
    scores = [_score("all", "everybody", told, cost=total)]
    scores += [_score("kind", kind, told, meant=partial(_is_of, "rule", kind)) for kind in names["kind"]]
    scores += [
        _score("rule", rule, told, mine=partial(_is_of, "rule", rule), meant=partial(_is_of, "rule", rule))
        for rule in names["rule"]
    ]
    scores += [_score("lens", lens, told, mine=partial(_is_of, "rule", lens)) for lens in names["lens"]]
    scores += [_score("provider", name, told, mine=partial(_made_by, name), cost=cost) for name, cost in costs.items()]
    told_off = [p for r in everything for p in r.passes if p.status != "ran" and (p.provider or p.name == "refutation")]
    missing = {(p.name, p.provider, p.reason): p for p in told_off}
    return Measurement(
        plans=tuple(dict.fromkeys(path for case in cases for path in case.clean or case.texts)),
        seed=seed,
        copies=len(cases),
        planted=sum(len(case.faults) for case in cases),
        scores=tuple(scores),
        clean_findings=sum(f.active for r in clean.values() for f in r.findings),
        passes_missing=tuple(missing.values()) if asked.providers else (),
        cost=total,
    )


def _score(
    finder: Finder,
    name: str,
    told: Sequence[tuple[Case, Sequence[Finding]]],
    *,
    mine: Callable[[Finding], bool] | None = None,
    meant: Callable[[Fault], bool] | None = None,
    cost: Cost | None = None,
) -> Score:
    """Count one finder's findings (all, or those ``mine``) against the faults (all, or those ``meant`` for it)."""
    wanted = found = alarms = right = 0
    for case, findings in told:
        own = [f for f in findings if mine is None or mine(f)]
        faults = [fault for fault in case.faults if meant is None or meant(fault)]
        wanted += len(faults)
        found += sum(any(fault.found_by(f.evidence) for f in own) for fault in faults)
        hits = [f for f in own if any(fault.found_by(f.evidence) for fault in case.faults)]
        right += len(hits)
        alarms += len(own) - len(hits) if finder != "kind" else 0
    low, high = interval(found / wanted, wanted) if wanted else (None, None)
    return Score(
        finder=finder,
        name=name,
        planted=wanted,
        found=found,
        recall=round(found / wanted, 3) if wanted else None,
        recall_low=None if low is None else round(low, 3),
        recall_high=None if high is None else round(high, 3),
        alarms=alarms,
        precision=round(right / (right + alarms), 3) if right + alarms and finder != "kind" else None,
        cost=cost,
    )


def _is_of(field: str, value: str, one: Finding | Fault) -> bool:
    return bool(getattr(one, field) == value)


def _made_by(provider: str, finding: Finding) -> bool:
    return any(who.provider == provider for who in finding.found_by)


def _names(told: Sequence[tuple[Case, Sequence[Finding]]]) -> dict[str, list[str]]:
    faults = [fault for case, _ in told for fault in case.faults]
    made = {f.rule for _, findings in told for f in findings if f.by_code} | {x.rule for x in faults if x.rule}
    lenses = {f.rule for _, findings in told for f in findings if not f.by_code}
    kinds = list(dict.fromkeys(fault.rule for fault in faults if fault.rule))  # named by the rule that is after them
    return {"kind": kinds, "rule": sorted(made), "lens": sorted(lenses)}


def _costs(reviews: Iterable[Review]) -> dict[str, Cost]:
    """Return what each provider that was asked took over all reviews."""
    told: dict[str, list[Cost]] = {}
    for review in reviews:
        asked = {p.provider for p in review.passes if p.by_model}
        for each in review.panel.providers if review.panel else ():
            if each.provider in asked:
                told.setdefault(each.provider, []).append(each.cost)
    return {name: Cost.total(costs) for name, costs in told.items()}


def _words(finding: Finding) -> tuple[str, ...]:
    """Return what a finding quotes, whatever the lines: it is the same one in a copy where they have moved."""
    return tuple(sorted(" ".join(piece.quote.split()) for piece in finding.evidence))
