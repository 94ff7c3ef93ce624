"""The gate: a provider that decides which of several providers answers, and writes down why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

from nyxlab.errors import AnswerWanted, GateFailed, NoCandidate, NyxlabError
from nyxlab.gate.calls import Outcome, Round
from nyxlab.gate.candidates import Alternative, Exclusion, Resolution, resolve
from nyxlab.gate.checks import usability
from nyxlab.gate.judge import Answer, Bench, CaelReview, Ruling, SelectedBy, arbitrate
from nyxlab.gate.options import Comparison, GateOptions
from nyxlab.gate.policy import Policy, asked_text, rank
from nyxlab.gate.synthesis import synthesise
from nyxlab.providers.base import Provider
from nyxlab.providers.messages import Json, Record, Reply, Request

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

    An error that is not about one provider (``BudgetExhausted`` between two calls) is shown beside the candidate that
    it struck, and raised as it is when no other answer can be used. Whoever opened the candidates closes them.
    """

    def __init__(self, candidates: Sequence[Provider], options: GateOptions | None = None) -> None:
        self.candidates = tuple(candidates)
        self.options = options or GateOptions()
        self.comparison = self.options.comparison
        self.vendor = "gate"
        self.id = self.identity = f"gate({', '.join(provider.id for provider in self.candidates)})"

    def resolve(self, request: Request) -> Resolution:
        """Return who of the candidates can take the request now, and why the others cannot; nothing is called."""
        return resolve(self.candidates, request, self._money_left(), together=self.comparison is not None)

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
        scores = rank(self.options.policy, resolution.live, self.options.history, predicted)
        outcomes, excluded = await self._outcomes(request, resolution, scores)
        alternatives = [outcome.alternative for outcome in outcomes]
        answers = [Answer(o.provider.id, o.provider.vendor, o.reply) for o in outcomes if o.reply]
        ruling = await self._ruling(request, answers, scores) if answers else None
        if ruling and ruling.written:
            answers.append(Answer(ruling.selected, "", ruling.written))
            alternatives.append(Alternative.answered(ruling.selected, ruling.written, None))
        routing = Routing(
            listed=resolution.listed,
            live=len(scores),
            reason=self._reason(resolution.listed, len(scores), excluded, alternatives, ruling) + doubt,
            excluded=excluded,
            policy=self.options.policy,
            scores=scores,
        )
        if ruling is None:
            raise self._failure(routing, outcomes)
        replies = {answer.provider: answer.reply for answer in answers}
        if ruling.selected not in replies:
            raise ChoiceWanted(list(replies), _undecided(routing, alternatives))
        return Verdict(
            reply=replies[ruling.selected],
            selected_provider=ruling.selected,
            selected_by=ruling.by,
            gate=routing,
            alternatives=tuple(alternatives),
            cael_review=ruling.review,
        )

    def predicted(self, request: Request, resolution: Resolution) -> tuple[Mapping[str, float] | None, str]:
        """Return each live candidate's quality where the policy is ``learned``, else None; and what is to be said."""
        if self.options.policy != "learned" or not resolution.live:
            return None, ""
        names, router = [candidate.provider.id for candidate in resolution.live], self.options.router
        found = router.qualities(asked_text(request), names) if router else "no router is named in nyxlab.toml"
        return (None, f"; balanced stands in for learned: {found}") if isinstance(found, str) else (found, "")

    async def _outcomes(
        self, request: Request, resolution: Resolution, ranking: Iterable[str]
    ) -> tuple[list[Outcome], tuple[Exclusion, ...]]:
        """Call the live candidates, then the fallbacks if need be; return what became of each, and who was left out."""
        hedge, late = self.options.hedge, self.comparison.late if self.comparison else None
        calls = Round(request, usability(request), self._limit(request), hedge, late)
        live = {candidate.provider.id: candidate.provider for candidate in resolution.live}
        # Whoever was called or left out already is not tried a second time.
        identities, names = {provider.identity for provider in live.values()}, live.keys() | resolution.reasons.keys()
        spare = [p for p in self.options.fallback if p.identity not in identities and p.id not in names]
        if self.comparison and len(live) > 1:
            outcomes = await calls.at_once(tuple(live.values()))
        else:
            hedges = [provider for provider in spare if not provider.unusable()] if hedge else []
            outcomes = await calls.in_turn([*(live[name] for name in ranking), *hedges])
        if waiting := [o.stopped for o in outcomes if isinstance(o.stopped, AnswerWanted)]:
            raise AnswerWanted.of(waiting)  # neither failed nor late: nobody stands in for it
        if any(outcome.reply for outcome in outcomes):
            return outcomes, resolution.excluded
        called = {outcome.provider.id for outcome in outcomes}
        rest = resolve([p for p in spare if p.id not in called], request, self._money_left(), together=False)
        outcomes += await calls.in_turn([candidate.provider for candidate in rest.live])
        excluded = resolution.excluded + rest.excluded
        if not outcomes:
            nobody = Resolution(resolution.listed, (), excluded)
            listing = "; ".join(f"{name}: {reason}" for name, reason in nobody.reasons.items()) or "none is listed"
            message = f"no provider can take this call: {listing}"
            raise NoCandidate(message, reasons=nobody.reasons, only_budget=nobody.only_budget)
        return outcomes, excluded

    def _money_left(self) -> Decimal | None:
        return self.options.history.money_left() if self.options.history else None

    def _limit(self, request: Request) -> float:
        """Return the seconds of one round; a provider holds the request's own deadline, and the gate backs it up."""
        return self.options.deadline or request.deadline + GRACE

    async def _ruling(self, request: Request, answers: Sequence[Answer], scores: Mapping[str, float]) -> Ruling:
        """Choose among the usable answers; one alone is never judged. A hedge may bring two: the first one counts."""
        if self.comparison and len(answers) > 1:
            return await self._compared(request, answers, scores, self.comparison)
        name = answers[0].provider
        if name not in scores:
            return Ruling(name, "fallback", f"fallback {name} answered")
        if len(scores) == 1:
            return Ruling(name, "only")
        if self.comparison:
            return Ruling(name, "only", f"only {name} gave a usable answer, so nothing was judged")
        return Ruling(name, "policy", f"policy {self.options.policy} chose {name}")

    async def _compared(
        self, request: Request, answers: Sequence[Answer], scores: Mapping[str, float], comparison: Comparison
    ) -> Ruling:
        """Let a person, the judge or the policy choose between two answers or more, or the judge write one."""
        if comparison.select == "ask":
            return Ruling(comparison.choice or "", "person")
        judge, bench, why = comparison.judge, None, None
        if judge:
            bench = Bench(judge, self._money_left(), self._limit(request), self.options.seed)
        if comparison.select == "synthesise":
            why = "no judge is named to write one answer, so one was chosen"
            written = await synthesise(request, answers, bench) if bench else why
            if isinstance(written, Ruling):
                return written
            why = written
        ruling = await arbitrate(request, answers, scores, bench, comparison.expect)
        return replace(ruling, note="; ".join(filter(None, (ruling.note, why))) or None)

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
        notes += ["single path"] if live == 1 else ["compared"] if live > 1 and self.comparison else []
        verbs = {"error": "failed", "invalid": "gave no usable answer", "cancelled": "was too late"}
        notes += [f"{a.provider} {verbs[a.status]} ({a.error})" for a in alternatives if a.status != "ok"]
        notes += [ruling.note] if ruling and ruling.note else []
        return f"{listed} listed, {live} usable: {'; '.join(notes)}"

    def _failure(self, routing: Routing, outcomes: Sequence[Outcome]) -> NyxlabError:
        """Return what to raise where nothing can be used: what stopped nyxlab itself, else who failed and how."""
        if stopped := next((outcome.stopped for outcome in outcomes if outcome.stopped), None):
            return stopped
        alternatives = [outcome.alternative for outcome in outcomes]
        failures = "; ".join(f"{a.provider}: {a.error}" for a in alternatives)
        undecided = _undecided(routing, alternatives)
        return GateFailed(f"no usable answer: {failures}", provider=self.id, payload=undecided)


def _undecided(routing: Routing, alternatives: Sequence[Alternative]) -> dict[str, Json]:
    """Return a step's part of the checkpoint where nothing is selected."""
    return {
        "selectedProvider": None,
        "selectedBy": None,
        "gate": routing.to_json(),
        "alternatives": [alternative.to_json() for alternative in alternatives],
        "caelReview": None,
    }
