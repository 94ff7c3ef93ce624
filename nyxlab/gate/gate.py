"""The gate: a provider that decides which of several providers answers, and writes down why."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import get_args

from anyio.abc import TaskGroup

from nyxlab.errors import AnswerWanted, GateFailed, InputRefused, NoCandidate, NyxlabError
from nyxlab.gate.calls import Outcome, Round
from nyxlab.gate.candidates import Alternative, Exclusion, History, Resolution, resolve
from nyxlab.gate.checks import usability
from nyxlab.gate.judge import Answer, Bench, CaelReview, Ruling, SelectedBy, arbitrate, questions
from nyxlab.gate.policy import Learned, Policy, asked_text, rank
from nyxlab.gate.synthesis import synthesise
from nyxlab.providers.base import Capabilities, Provider
from nyxlab.providers.messages import Cost, Json, Record, Reply, Request

GRACE = 1.0  # seconds past a request's deadline after which a provider that does not hold it is given up


class Routing(Record):
    """How a call was routed: counts, the reason in words, who was left out and why, each live candidate's score."""

    listed: int
    live: int
    reason: str
    excluded: tuple[Exclusion, ...]
    policy: Policy
    scores: dict[str, float]


class Verdict(Record):
    """Which provider was selected, by what, and everything that the decision rests on."""

    reply: Reply
    selected_provider: str
    selected_by: SelectedBy
    gate: Routing
    alternatives: tuple[Alternative, ...]
    cael_review: CaelReview | None

    def payload(self) -> dict[str, Json]:
        """Return the verdict's part of a step in the checkpoint: everything but the reply itself."""
        return self.model_dump(mode="json", by_alias=True, exclude={"reply"})


class ChoiceWanted(NyxlabError):
    """Several answers can be used and a person is to choose; ``payload`` is what the checkpoint shows meanwhile."""

    def __init__(self, choices: Sequence[str], payload: dict[str, Json]) -> None:
        super().__init__(f"{len(choices)} answers wait for a person's choice: {', '.join(choices)}")
        self.choices = tuple(choices)
        self.payload = payload


class Gate(Provider):
    """A provider in front of several: whoever asks it never learns whether one or five stand behind it.

    With ``compare`` all live candidates are called at once and the best answer is chosen, by the ``judge`` if there is
    one, else by ``policy``; without it the policy's first choice is called, then its next. ``fallback`` is tried in
    order when no candidate gave a usable answer. ``deadline`` bounds one round in seconds (all calls of a comparison,
    one call elsewhere, all verdicts of the judge); None: the request's own. ``sections`` are headings that an answer
    should have. ``seed`` is the secret from which the judge's fences are made: a run that is resumed must give the
    same one, or its recorded verdicts are bought again; None: a random one.

    With ``person`` a comparison of two or more usable answers is theirs to decide: their ``choice`` is selected, and without
    one ``ChoiceWanted`` is raised. ``router`` predicts quality for the policy ``learned``; where it cannot, ``balanced``
    stands in and the reason says so. With ``synthesis`` the judge writes one answer out of two or more usable ones, which is
    selected; where it cannot, they are judged. Without a comparison, ``hedge`` seconds after one call the next provider (the
    fallbacks among them) is called too: the first usable answer wins and the other calls are cancelled.

    ``late`` is where calls of a comparison go on that miss its deadline: they were paid for, so their replies are recorded
    while that task group lasts. Without one they are cancelled at the deadline.

    An error that is not about one provider (``BudgetExhausted`` between two calls, ``StoreBroken``) is shown beside the candidate that it struck, and raised as it is when no other answer can be used.
    """

    def __init__(
        self,
        candidates: Sequence[Provider],
        *,
        compare: bool = False,
        judge: Provider | None = None,
        policy: Policy = "balanced",
        fallback: Sequence[Provider] = (),
        history: History | None = None,
        deadline: float | None = None,
        sections: Sequence[str] = (),
        seed: bytes | None = None,
        person: bool = False,
        choice: str | None = None,
        router: Learned | None = None,
        synthesis: bool = False,
        hedge: float | None = None,
        late: TaskGroup | None = None,
    ) -> None:
        if policy not in get_args(Policy):
            raise InputRefused(f"policy '{policy}' is unknown: choose one of {', '.join(get_args(Policy))}")
        if deadline is not None and not deadline > 0:
            raise InputRefused(f"a deadline of {deadline:g} seconds leaves no time to answer: give a positive number")
        self.candidates = tuple(candidates)
        self.fallback = tuple(fallback)
        self.compare = compare
        self.judge = judge
        self.policy = policy
        self.history = history
        self.deadline = deadline
        self.sections = tuple(sections)
        self.person, self.choice, self.router = person, choice, router
        self.synthesis, self.hedge, self.late = synthesis, hedge, late
        self._seed = os.urandom(32) if seed is None else seed
        self.vendor = "gate"
        self.id = f"gate({', '.join(provider.id for provider in self.candidates)})"
        self.identity = f"gate({compare}, {policy}, {', '.join(sorted(p.identity for p in self.candidates))})"
        windows = [provider.capabilities.context for provider in self.candidates]
        self.capabilities = Capabilities(
            context=None if None in windows else max((w for w in windows if w is not None), default=None),
            output_schema=any(provider.capabilities.output_schema for provider in self.candidates),
            images=any(provider.capabilities.images for provider in self.candidates),
        )

    def unusable(self) -> str | None:
        """Return every candidate's reason where none of them can be called."""
        reasons = {provider.id: provider.unusable() for provider in (*self.candidates, *self.fallback)}
        if not all(reasons.values()):
            return None
        return "; ".join(f"{name}: {reason}" for name, reason in reasons.items()) or "no provider is listed"

    def estimate(self, request: Request) -> Cost:
        """Return what a decision may cost at most: all calls and verdicts of a comparison, or the dearest single call.

        Calls made because others failed are not foreseen.
        """
        live = self.resolve(request).live
        estimates = [candidate.estimate for candidate in live]
        if not self.compare or len(live) < 2:
            return max(estimates, key=lambda cost: (cost.usd is None, cost.usd or 0), default=Cost.unknown())
        if self.judge is not None:
            longest = Reply(text="x" * 4 * request.max_tokens, provider="")
            answers = [Answer(c.provider.id, c.provider.vendor, longest) for c in live]
            asked = questions(request.model_copy(update={"output_schema": None}), answers, self._seed)
            estimates += [self.judge.estimate(question) for question in asked.values()]
        return Cost.total(estimates)

    async def aclose(self) -> None:
        """Close every provider behind the gate."""
        for provider in (*self.candidates, *self.fallback, *filter(None, [self.judge])):
            await provider.aclose()

    def resolve(self, request: Request) -> Resolution:
        """Return who of the listed candidates can take the request now, and why the others cannot; nothing is called."""
        return resolve(self.candidates, request, self._money_left(), together=self.compare)

    async def ask(self, request: Request) -> Reply:
        """Return the selected answer. Raises like ``decide``."""
        return (await self.decide(request)).reply

    async def decide(self, request: Request) -> Verdict:
        """Route the request, call, compare where two or more are live, and return the verdict.

        Raises NoCandidate where neither a candidate nor a fallback can be called, GateFailed where none of those
        called gave a usable answer, InputRefused where the request's schema is no JSON Schema.
        """
        resolution = self.resolve(request)
        predicted, doubt = self.predicted(request, resolution)
        standings = rank(self.policy, resolution.live, self.history, predicted)
        scores = {standing.provider: standing.score for standing in standings}
        outcomes, excluded = await self._outcomes(request, resolution, scores)
        usable = [Answer(o.provider.id, o.provider.vendor, o.reply) for o in outcomes if o.reply]
        if not self.compare:
            usable = usable[:1]  # a hedge may bring two at the same moment
        ruling: Ruling | None
        written = await self._written(request, usable)
        if isinstance(written, tuple):
            reply, ruling = written
            usable.append(Answer(ruling.selected, "", reply))
            alternatives = (*(o.alternative for o in outcomes), Alternative.answered(ruling.selected, reply, None))
        else:
            ruling = await self._choose(request, usable, scores) if usable else None
            alternatives = tuple(outcome.alternative for outcome in outcomes)
            doubt += f"; {written}" if written else ""
        routing = Routing(
            listed=resolution.listed,
            live=len(scores),
            reason=self._reason(resolution.listed, len(scores), excluded, alternatives, ruling) + doubt,
            excluded=excluded,
            policy=self.policy,
            scores=scores,
        )
        if ruling is None:
            raise self._failure(routing, outcomes)
        if ruling.by == "person" and ruling.selected not in {answer.provider for answer in usable}:
            raise ChoiceWanted([answer.provider for answer in usable], _undecided(routing, alternatives))
        return Verdict(
            reply=next(answer.reply for answer in usable if answer.provider == ruling.selected),
            selected_provider=ruling.selected,
            selected_by=ruling.by,
            gate=routing,
            alternatives=alternatives,
            cael_review=ruling.review,
        )

    def predicted(self, request: Request, resolution: Resolution) -> tuple[Mapping[str, float] | None, str]:
        """Return each live candidate's quality where the policy is ``learned``, else None; and what is to be said of it."""
        if self.policy != "learned" or not resolution.live:
            return None, ""
        names = [candidate.provider.id for candidate in resolution.live]
        found = (
            self.router.qualities(asked_text(request), names) if self.router else "no router is named in nyxlab.toml"
        )
        return (None, f"; balanced stands in for learned: {found}") if isinstance(found, str) else (found, "")

    async def _outcomes(
        self, request: Request, resolution: Resolution, ranking: Iterable[str]
    ) -> tuple[list[Outcome], tuple[Exclusion, ...]]:
        """Call the live candidates, then the fallbacks if need be; return what became of each, and who was left out."""
        calls = Round(request, usability(request), self._limit(request), self.hedge, self.late)
        live = {candidate.provider.id: candidate.provider for candidate in resolution.live}
        if self.compare and len(live) > 1:
            outcomes = await calls.at_once(tuple(live.values()))
        else:
            chain = [live[name] for name in ranking]
            spare = [p for p in self._spare(live, resolution) if not p.unusable()] if self.hedge else []
            outcomes = await calls.in_turn([*chain, *spare])
        if waiting := [o.stopped for o in outcomes if isinstance(o.stopped, AnswerWanted)]:
            raise AnswerWanted.of(waiting)  # neither failed nor late: nobody stands in for it
        if any(outcome.reply for outcome in outcomes):
            return outcomes, resolution.excluded
        called = {outcome.provider.id for outcome in outcomes}
        spare = [provider for provider in self._spare(live, resolution) if provider.id not in called]
        rest = resolve(spare, request, self._money_left(), together=False)
        outcomes += await calls.in_turn([candidate.provider for candidate in rest.live])
        excluded = resolution.excluded + rest.excluded
        if not outcomes:
            nobody = Resolution(resolution.listed, (), excluded)
            listing = "; ".join(f"{name}: {reason}" for name, reason in nobody.reasons.items()) or "none is listed"
            message = f"no provider can take this call: {listing}"
            raise NoCandidate(message, reasons=nobody.reasons, only_budget=nobody.only_budget)
        return outcomes, excluded

    def _spare(self, live: Mapping[str, Provider], resolution: Resolution) -> list[Provider]:
        """Return the fallbacks; whoever was called or left out already is not tried a second time."""
        identities, names = {provider.identity for provider in live.values()}, live.keys() | resolution.reasons.keys()
        return [p for p in self.fallback if p.identity not in identities and p.id not in names]

    def _money_left(self) -> Decimal | None:
        return self.history.money_left() if self.history else None

    def _limit(self, request: Request) -> float:
        """Return the seconds of one round; a provider holds the request's own deadline, and the gate backs it up."""
        return request.deadline + GRACE if self.deadline is None else self.deadline

    async def _written(self, request: Request, usable: Sequence[Answer]) -> tuple[Reply, Ruling] | str | None:
        """Return the one answer written out of several with its ruling; words where there is none though it was asked for."""
        if not self.synthesis or len(usable) < 2:
            return None
        if self.judge is None:
            return "no judge is named to write one answer, so one was chosen"
        return await synthesise(request, usable, self._bench(request, self.judge))

    def _bench(self, request: Request, judge: Provider) -> Bench:
        return Bench(judge, self._money_left(), self._limit(request), self._seed)

    async def _choose(self, request: Request, usable: Sequence[Answer], scores: Mapping[str, float]) -> Ruling:
        """Choose among the usable answers; one alone is never judged."""
        if len(usable) > 1 and self.person:
            return Ruling(self.choice or "", "person")
        if len(usable) > 1:
            bench = self._bench(request, self.judge) if self.judge else None
            return await arbitrate(request, usable, scores, bench, self.sections)
        name = usable[0].provider
        if name not in scores:
            return Ruling(name, "fallback", f"fallback {name} answered")
        if len(scores) == 1:
            return Ruling(name, "only")
        if self.compare:
            return Ruling(name, "only", f"only {name} gave a usable answer, so nothing was judged")
        return Ruling(name, "policy", f"policy {self.policy} chose {name}")

    def _reason(
        self,
        listed: int,
        live: int,
        excluded: Sequence[Exclusion],
        alternatives: Sequence[Alternative],
        ruling: Ruling | None,
    ) -> str:
        """Say in one line how the call was routed."""
        notes = [f"{exclusion.provider}: {exclusion.reason}" for exclusion in excluded]
        notes += ["single path"] if live == 1 else ["compared"] if live > 1 and self.compare else []
        verbs = {"error": "failed", "invalid": "gave no usable answer", "cancelled": "was too late"}
        notes += [f"{a.provider} {verbs[a.status]} ({a.error})" for a in alternatives if a.status != "ok"]
        notes += [ruling.note] if ruling and ruling.note else []
        return f"{listed} listed, {live} usable: {'; '.join(notes)}"

    def _failure(self, routing: Routing, outcomes: Sequence[Outcome]) -> NyxlabError:
        """Return what to raise where nothing can be used: what stopped nyxlab itself, else who failed and how."""
        if stopped := next((outcome.stopped for outcome in outcomes if outcome.stopped), None):
            return stopped
        alternatives = [outcome.alternative for outcome in outcomes]
        payload = _undecided(routing, alternatives)
        failures = "; ".join(f"{a.provider}: {a.error}" for a in alternatives)
        return GateFailed(f"no usable answer: {failures}", provider=self.id, payload=payload)


def _undecided(routing: Routing, alternatives: Sequence[Alternative]) -> dict[str, Json]:
    """Return a step's part of the checkpoint where nothing is selected."""
    return {
        "selectedProvider": None,
        "selectedBy": None,
        "gate": routing.to_json(),
        "alternatives": [alternative.to_json() for alternative in alternatives],
        "caelReview": None,
    }
