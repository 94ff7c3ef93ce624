"""A reading in the making: which questions about a plan go to whom, in which parts, what they may cost at most.

Nothing is called here.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import NamedTuple

from nyxlab.errors import InputRefused
from nyxlab.lab.desk import Desk, provider_names
from nyxlab.lab.own import own_lenses, persona
from nyxlab.lab.reviews.terms import Asked
from nyxlab.lab.workflows.options import usd
from nyxlab.providers.base import Provider
from nyxlab.providers.messages import Cost, Json, Message, Request
from nyxlab.reviewer.findings import Finding
from nyxlab.reviewer.models import amend
from nyxlab.reviewer.models.lenses import (
    CLAIMS_SCHEMA,
    EITHER_SCHEMA,
    LEAST_ROOM,
    Numbered,
    Part,
    chosen_lenses,
    pass_name,
    reply_tokens,
    room,
)
from nyxlab.reviewer.models.lenses import question as as_asked
from nyxlab.reviewer.review import Pass
from nyxlab.reviewer.text.document import Document

CLAIMS_AT_ONCE = 12  # claims that a second reader is shown in one call
CLAIM_SIZE = 700  # characters that a claim takes, for the forecast

Item = tuple[Part, str]
"""What one call asks: a part of the plan, and the question about it."""


class Calls(NamedTuple):
    """One step of a run that asks: a provider, its items, the schema of a reply."""

    step: str
    provider: Provider
    items: Sequence[Item]
    schema: Json
    keep: bool = False  # whether the provider is to keep the plan, since it is asked about it again


@dataclass(frozen=True)
class Question:
    """One question, the reader's or a lens, asked of one provider, a call for each part of the plan.

    ``cost`` is the most that it may take.
    """

    step: str
    lens: str
    text: str
    provider: Provider
    parts: tuple[Part, ...]
    cost: Cost


@dataclass(frozen=True)
class Reading:
    """What models are going to be asked about a document, and the passes that are left out, with the reason."""

    desk: Desk
    document: Document
    numbered: Numbered
    questions: tuple[Question, ...]
    left_out: tuple[Pass, ...]
    panel: tuple[Provider, ...]
    judge: Provider | None
    budget: Decimal | None
    personas: Mapping[str, str]
    baseline: bool = False  # whether an earlier review's findings may be asked about

    def second(self, finder: Collection[str]) -> Provider | None:
        """Return who tries to refute what these providers have found: the judge, else another one of the panel."""
        others = [each for each in self.panel if each.id not in finder] or list(self.panel[1:])
        return self.judge or next(iter(others), None)

    def calls(self, question: Question) -> Calls:
        """Return what a question asks of its provider: who is Cael, and the question, after each part."""
        keeps = question.provider.capabilities.keeps
        alone = "\n\nLeave `answers` empty: nothing has been claimed yet." if keeps else ""
        items = [(part, f"{self.personas['cael']}\n\n{question.text}{alone}") for part in question.parts]
        schema = EITHER_SCHEMA if keeps else CLAIMS_SCHEMA
        return Calls(question.step, question.provider, items, schema, self.rereads(question.provider))

    def parts(self, reader: Provider) -> tuple[Part, ...]:
        """Return the parts of the plan as this reader is shown them, whatever it is asked."""
        if own := next((each.parts for each in self.questions if each.provider is reader and each.parts), None):
            return own
        context = reader.capabilities.context
        longest = max((len(each.text) for each in self.questions), default=0) + len(self.personas["cael"])
        space = room(context, max(longest, len(self.personas["refuter"]) + claims_size(context)))
        return self.numbered.parts(max(LEAST_ROOM, space))

    def rereads(self, provider: Provider) -> bool:
        """Whether a provider is asked about the plan more than once, so that it pays to have it kept."""
        own = sum(each.provider is provider for each in self.questions)
        second = (self.judge is provider) if self.judge else len(self.panel) > 1 or self.baseline
        return provider.capabilities.keeps and (own > 1 or second)

    def request(self, part: Part, text: str, provider: Provider, *, keep: bool = False) -> Request:
        """Return what one call asks, as a forecast counts it: system text, the part in its fences, the question."""
        plan = fenced(part.text)
        shared = len(plan) if keep and provider.capabilities.keeps else 0
        most, said = reply_tokens(provider.capabilities.context), (Message("user", f"{plan}\n\n{text}"),)
        return Request(messages=said, system=self.personas["fence"], max_tokens=most, shared=shared)

    def part_about(self, findings: Sequence[Finding], reader: Provider) -> Part:
        """Return the part of the plan that most of these findings' lines stand in."""
        at = [self.numbered.number(e.path, e.start_line) for f in findings for e in f.evidence]
        return max(self.parts(reader), key=lambda part: sum(part.first <= line <= part.last for line in at))

    def to_decide(self, findings: Sequence[Finding]) -> list[Item]:
        """Return what the only provider is asked to decide these: the part that each is about, and the fault."""
        (provider,), items = self.panel, []
        for finding in findings:
            numbers = [self.numbered.number(e.path, e.start_line) for e in finding.evidence]
            asked = f"{self.personas['amender']}\n\n{fenced(amend.asked(finding, numbers))}"
            items.append((self.part_about([finding], provider), asked))
        return items

    def cost_of_deciding(self, findings: Sequence[Finding]) -> Cost:
        """Return the most that it may cost to have the only provider decide these.

        ``InputRefused`` where the budget is smaller.
        """
        (provider,) = self.panel
        asked = self.to_decide(findings)
        requests = [self.request(part, text, provider, keep=len(asked) > 1) for part, text in asked]
        cost = Cost.total(map(provider.estimate, requests))
        if self.budget is not None and (cost.certainty == "unknown" or (cost.usd or 0) > self.budget):
            most = f"may cost ${cost.usd}" if cost.certainty != "unknown" else "has no known price"
            raise InputRefused(
                f"a budget of ${self.budget} holds no decisions about {len(asked)} findings: {provider.id} {most}"
            )
        return cost

    @property
    def forecast(self) -> dict[str, Cost]:
        """The most that each provider may cost: its questions, and a dozen claims a call for whoever reads second.

        The only reader is asked a second time about an earlier review's findings, if there is one.
        """
        told: dict[str, list[Cost]] = {}
        for question in self.questions:
            told.setdefault(question.provider.id, []).append(question.cost)
            alone = question.provider if self.baseline and len(self.panel) == 1 else None
            if reader := self.second({question.provider.id}) or alone:
                claims = self.personas["refuter"] + "x" * CLAIMS_AT_ONCE * CLAIM_SIZE
                asked = [self.request(part, claims, reader, keep=True) for part in question.parts]
                told.setdefault(reader.id, []).extend(map(reader.estimate, asked))
        return {name: Cost.total(costs) for name, costs in told.items()}


def claims_size(context: int | None) -> int:
    """Return how many characters of claims a second reader is shown in one call: a dozen, fewer in a small window."""
    return min(CLAIMS_AT_ONCE * CLAIM_SIZE, room(context, 0) // 4)


def reading_of(
    desk: Desk, document: Document, asked: Asked, *, again: bool = False, priced: bool = False
) -> Reading | None:
    """Decide what is asked of whom; None where nobody is named. Nothing is called.

    Who cannot be called, has too small a window or does not fit into the budget is left out, and the pass says why.
    ``again``: an earlier review's findings may be asked about; ``priced``: whoever cannot be called from here is
    counted as if it could, for a forecast. ``InputRefused`` for a budget that holds no question.
    """
    lenses = chosen_lenses(asked.lenses, own_lenses(desk.settings.root))
    by_identity: dict[str, Provider] = {}  # the same one listed twice is one finder
    for name in provider_names(asked.providers):
        by_identity.setdefault(desk.open(name).identity, desk.open(name))
    providers = list(by_identity.values())
    if not providers:
        return None
    second = asked.judge or desk.settings.defaults.judge
    judge = desk.open(second) if second else None
    budget = usd(asked.budget) if asked.budget is not None else None
    personas = _personas(desk)

    def unusable(provider: Provider) -> str | None:
        return None if priced else provider.unusable()

    usable = tuple(each for each in providers if unusable(each) is None)
    texts = {lens: as_asked(bare) for lens, bare in lenses.items()}
    out: list[Pass] = []
    if judge is not None and unusable(judge) is not None:
        out.append(Pass(name="refutation", status="skipped", reason=unusable(judge), provider=judge.id))
        judge = None
    wanted = [
        Question(f"{re.sub(r'[^a-z0-9]', '_', lens)}_{n}_{which}", lens, text, each, (), Cost.unknown())
        for n, (lens, text) in enumerate(texts.items(), 1) for which, each in enumerate(providers, 1)
    ]  # fmt: skip
    numbered = Numbered.of(document)
    reading = Reading(desk, document, numbered, tuple(wanted), (), usable, judge, budget, personas, again)
    questions: list[Question] = []
    for question in wanted:
        provider = question.provider
        reason, context = unusable(provider), provider.capabilities.context
        if reason is None and room(context, len(question.text) + len(personas["cael"])) < LEAST_ROOM:
            reason = f"its window of {context} tokens holds no part of the plan"
        if reason is not None:
            out.append(_left_out(question, reason))
            continue
        parts, keep = reading.parts(provider), reading.rereads(provider)
        calls = [reading.request(part, personas["cael"] + question.text, provider, keep=keep) for part in parts]
        questions.append(replace(question, parts=parts, cost=Cost.total(map(provider.estimate, calls))))
    kept = tuple(_affordable(questions, budget, out))
    return replace(reading, questions=kept, left_out=tuple(out))


def single(desk: Desk, document: Document, provider: Provider, budget: Decimal | None) -> Reading:
    """Return the reading of one provider that is asked no question yet. ``InputRefused`` where it cannot be called."""
    if reason := provider.unusable():
        raise InputRefused(f"{provider.id} cannot be asked: {reason}")
    return Reading(desk, document, Numbered.of(document), (), (), (provider,), None, budget, _personas(desk))


def _affordable(questions: Sequence[Question], budget: Decimal | None, out: list[Pass]) -> Iterator[Question]:
    """Yield the questions that fit into the budget together, in order; say of the others what they need."""
    left, held = budget, 0
    for question in questions:
        usd = question.cost.usd if question.cost.certainty != "unknown" else None
        if left is not None and usd is None:
            out.append(_left_out(question, "its price is unknown, so no budget can hold it"))
        elif left is not None and usd is not None and usd > left:
            out.append(_left_out(question, f"it may cost ${usd} and ${left} of the budget is left"))
        else:
            left = left - usd if left is not None and usd is not None else left
            held += 1
            yield question
    if questions and not held:
        known = [(q.cost.usd, q) for q in questions if q.cost.usd is not None and q.cost.certainty != "unknown"]
        if not known:
            raise InputRefused("no provider's price is known, so no budget can hold them: state prices in nyxlab.toml")
        least, question = min(known, key=lambda each: each[0])
        raise InputRefused(
            f"a budget of ${budget} holds no question: {question.lens} by {question.provider.id} may cost ${least};"
            f" give --budget {least} or more"
        )


def _personas(desk: Desk) -> dict[str, str]:
    return {name: persona(name, desk.settings) for name in ("fence", "cael", "refuter", "amender")}


def _left_out(question: Question, reason: str) -> Pass:
    return Pass(name=pass_name(question.lens), status="skipped", reason=reason, provider=question.provider.id)


def fenced(text: str) -> str:
    """Return a text between lines that it cannot hold: their word is its digest, which its author could not know."""
    code = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:24]
    return f"<<<{code}\n{text}\n{code}>>>"
