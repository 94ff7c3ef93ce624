"""The verbs about plans: Cael's review of files or of what a run wrote, and the implementation prompt."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import ROUND_DOWN, Decimal
from functools import partial
from pathlib import Path

from nyxlab.engine.reading import parse_workflow
from nyxlab.engine.records import Run
from nyxlab.engine.run import start_run
from nyxlab.engine.workflow import Workflow
from nyxlab.errors import InputRefused
from nyxlab.lab.asking import Reading, own_lenses, prepare, single
from nyxlab.lab.measure import Case, Measurement, measure, planted_cases
from nyxlab.lab.mending import Amendment, read_decisions
from nyxlab.lab.panel import ask, decide
from nyxlab.lab.reviews import Asked, Paths, Terms, read_review, unchanged_documents
from nyxlab.lab.runs import OnEvent, Runs, usd
from nyxlab.lab.steps import Options, documents_of
from nyxlab.providers.base import Provider
from nyxlab.providers.messages import Cost, Json
from nyxlab.reviewer.cut import BUDGET
from nyxlab.reviewer.findings import Finding, Severity
from nyxlab.reviewer.models.amend import Decision, amended
from nyxlab.reviewer.models.lenses import chosen_lenses
from nyxlab.reviewer.prompt import ImplementationPrompt
from nyxlab.reviewer.review import Review, beside, open_documents
from nyxlab.reviewer.text.document import Document, parse_documents


class Plans(Runs):
    """What can be done with plans."""

    async def review(
        self,
        target: str | Sequence[Paths],
        *,
        repo: Paths | None = None,
        fail_on: Severity | str = Severity.CRITICAL,
        baseline: Review | Paths | None = None,
        base: Path | None = None,
        providers: str | Sequence[str] | None = None,
        judge: str | None = None,
        lenses: Sequence[str] = (),
        budget: Decimal | str | None = None,
        on_event: OnEvent | None = None,
    ) -> Review:
        """Return Cael's review of some files (or directories: their ``*.md``) as one set, or of what a run wrote.

        ``target`` is a list of paths, or a run's id. ``repo`` is a folder whose files tell what is new and what exists.
        ``baseline`` is an earlier review, or a file with its JSON, that tells new findings from old. ``base`` is where
        relative paths start, the project's root unless given.

        With ``providers``, each of them reads the whole plan, or looks through each of the ``lenses``, for at most ``budget``
        USD, and ``judge`` tries to refute what they find; without, the rules alone speak.
        """
        start = base or self.settings.root
        terms = Terms.of(self.settings.root, start, fail_on=fail_on, repo=repo, baseline=baseline)
        document = await self.read(target, base=base)
        return await self.review_document(document, terms, Asked(providers, judge, lenses, budget), on_event)

    async def review_document(
        self,
        document: Document,
        terms: Terms,
        asked: Asked,
        on_event: OnEvent | None = None,
        decisions: Sequence[Decision] = (),
    ) -> Review:
        """Review a document that is already read: the rules, and what models say, if any are asked."""
        alone = terms.review(document, decisions=decisions)
        reading = self._reading(document, asked, terms)
        if not reading:
            return alone
        models = [f for f in alone.findings if not f.by_code]
        earlier = [f for f in models if f.status in ("open", "not-found-again") and f.verified]
        rules = [f for f in alone.findings if f.by_code and f.active]
        answers = await ask(reading, partial(self._run_named, on_event), rules, earlier)
        return terms.review(document, answers, decisions)

    async def _run_named(
        self,
        on_event: OnEvent | None,
        workflow: Workflow,
        inputs: Mapping[str, Json],
        run_id: str,
        limit: Decimal | None,
    ) -> Run:
        """Run a workflow under an id, or carry on the run that has it already."""
        planned = self._plan(workflow, Options(), inputs)
        try:
            await self.show(run_id)
        except InputRefused:  # nobody has asked this before
            await start_run(self._store, workflow, inputs, run_id=run_id)
        return await self._execute(run_id, planned, Options(), limit, on_event)

    def forecast_review(
        self, documents: Sequence[Document], asked: Asked, terms: Terms | None = None
    ) -> dict[str, Cost]:
        """Return the most that each provider may cost in reviews of these documents; nothing is called or written.

        ``asked`` is what each of them is asked, ``terms`` are those of the review. ``InputRefused`` where a budget holds no question for one of them.
        """
        told: dict[str, list[Cost]] = {}
        for document in documents:
            try:
                reading = self._reading(document, asked, terms)
            except InputRefused as error:
                many = asked.budget is not None and len(documents) > 1
                raise InputRefused(f"{error} (for each of {len(documents)} reviews)" if many else str(error)) from None
            for name, cost in reading.forecast.items() if reading else ():
                told.setdefault(name, []).append(cost)
        return {name: Cost.total(costs) for name, costs in told.items()}

    def not_asked(self, asked: Asked) -> dict[str, str]:
        """Return the providers named that cannot be called from here, each with the reason; judges too."""
        names = (*Options.of(asked.providers, None).providers, *([asked.judge] if asked.judge else []))
        return {name: reason for name in names if (reason := self.open(name).unusable())}

    def _reading(self, document: Document, asked: Asked, terms: Terms | None) -> Reading | None:
        own = own_lenses(self.settings.root)
        wanted = chosen_lenses(asked.lenses, own)
        panel: dict[str, Provider] = {}
        for name in Options.of(asked.providers, None).providers:  # the same one listed twice is one finder
            panel.setdefault(self.open(name).identity, self.open(name))
        if not panel:
            return None
        second = asked.judge or self.settings.defaults.judge
        reader = self.open(second) if second else None
        limit = usd(asked.budget) if asked.budget is not None else None
        again = bool(terms and terms.baseline)
        return prepare(document, wanted, list(panel.values()), reader, limit, self.settings, baseline=again)

    async def amend(
        self,
        review: Paths,
        *,
        provider: str | None = None,
        findings: Sequence[str] = (),
        decisions: Paths | None = None,
        budget: Decimal | str | None = None,
        base: Path | None = None,
        on_costs: Callable[[dict[str, Cost]], None] | None = None,
        on_event: OnEvent | None = None,
    ) -> Amendment:
        """Return the plan of a review mended in a copy: by a file of decisions, or by what a provider decides about each finding.

        ``review`` is a file with its JSON, ``findings`` the ids that are meant, all that are open unless given. The amended
        plan is reviewed again, by ``provider`` too where models had read the plan. Nothing is written. ``InputRefused``
        where the plan is no longer as it was reviewed.
        """
        start = base or self.settings.root
        earlier = read_review(start / review)
        chosen = chosen_findings(earlier, findings)
        documents = earlier.to_json()
        before = unchanged_documents(documents, start, (start / review).parent, outside=True)
        for each in earlier.documents:
            if each.path not in before:
                raise InputRefused(
                    f"{each.path}: not as it was reviewed, or not there; review it again, and amend that"
                )
        document = parse_documents({each.path: before[each.path] for each in earlier.documents})
        made: tuple[Decision, ...] = ()
        cost, waiting, limit = Cost.total(()), "", usd(budget) if budget is not None else None
        again = Asked(provider if any(told.by_model for told in earlier.passes) else None)
        terms = Terms.of(self.settings.root, start, fail_on=earlier.fail_on, baseline=earlier)
        if decisions is not None:
            made = read_decisions(start / decisions, {f.id for f in chosen})
        elif provider:
            reading = single(document, self.open(provider), limit, self.settings)
            deciding = reading.cost_of_deciding(chosen)
            reread = self.forecast_review([document], _less(again, limit, deciding), terms)  # refused before it is paid
            (on_costs or (lambda _: None))({provider: Cost.total([deciding, *reread.values()])})
            told, run = await decide(reading, partial(self._run_named, on_event), chosen)
            made, cost = tuple(told), run.cost
            waiting = run.pause.reason if run.pause else ""
            if not made and not waiting:
                raise InputRefused(
                    f"{provider} has decided nothing: {run.steps['amend'].error or 'no reply could be used'}"
                )
            decided = {d.finding for d in made}
            made += tuple(Decision(finding=f.id) for f in chosen if f.id not in decided)  # named, though undecided
        after, refused = amended(before, made)
        mended = replace(parse_documents(after), beside=beside(document, start))
        asked = _less(again, limit, cost) if not waiting else Asked()
        second = await self.review_document(mended, terms, asked, on_event, [d for d in made if d.made])
        total = Cost.total([cost, second.cost])
        source = start / decisions if decisions is not None else None
        names = {f.fingerprint: f.id for f in earlier.findings}
        return Amendment(made, refused, before, after, second, names, start, total, waiting, source)

    async def measure(
        self,
        plans: Sequence[Paths],
        *,
        providers: str | Sequence[str] | None = None,
        judge: str | None = None,
        lenses: Sequence[str] = (),
        seed: int = 0,
        budget: Decimal | str | None = None,
        base: Path | None = None,
        on_costs: Callable[[dict[str, Cost]], None] | None = None,
        on_event: OnEvent | None = None,
    ) -> Measurement:
        """Return who finds the faults that are planted in copies of these clean plans: recall, precision, cost.

        ``seed`` chooses the faults and their places. ``budget`` (USD) is shared out evenly over the reviews that it takes;
        ``on_costs`` is told, before anything is sent, the most that each provider may cost.
        """
        texts = {path: file.text for path, file in (await self.read(plans, base=base)).files.items()}
        return await self.measure_cases(
            planted_cases(texts, seed), Asked(providers, judge, lenses, budget), seed, on_costs, on_event
        )

    async def measure_cases(
        self,
        cases: Sequence[Case],
        asked: Asked,
        seed: int = 0,
        on_costs: Callable[[dict[str, Cost]], None] | None = None,
        on_event: OnEvent | None = None,
    ) -> Measurement:
        """Return who finds the faults of these cases, as ``measure`` does for those that it has planted."""
        texts = {repr(text): text for case in cases for text in (case.clean, case.texts) if text}
        share = share_out(asked, len(texts))
        terms = Terms.of(self.settings.root, self.settings.root)
        if asked.providers:  # refuses what cannot be before anything is paid
            costs = self.forecast_review([parse_documents(each) for each in texts.values()], share)
            (on_costs or (lambda _: None))(costs)
        return await measure(
            cases, lambda document: self.review_document(document, terms, share, on_event), asked, seed
        )

    async def read(self, target: str | Sequence[Paths], *, base: Path | None = None) -> Document:
        """Return the document that a review of ``target`` reads, each file by the path that findings name."""
        if not isinstance(target, str):
            return open_documents([str(path) for path in target], base or self.settings.root)
        run = await self.show(target)
        written = [(step.id, step.output) for step in run.steps.values() if step.kind == "prompt" and step.output]
        if not written:
            raise InputRefused(f"run {target} has written nothing that could be reviewed yet")
        stated = [("goal", f"# {run.workflow}\n\n## Goal\n\n{goal}\n")] if (goal := goal_of(run)) else []
        return parse_documents(documents_of([*stated, *written], f"{target}/"))

    def prompt(
        self, review: Review | Mapping[str, Json] | Paths, *, budget_tokens: int = BUDGET
    ) -> ImplementationPrompt:
        """Return the phased implementation prompt of a review, its JSON, or a file that holds its JSON.

        The plan is read again from where it was reviewed, and has to be as it was. A phase over ``budget_tokens`` is
        split between its tasks.
        """
        beside = [Path.cwd(), self.settings.root]
        if isinstance(review, Review):
            review = review.to_json()
        if not isinstance(review, Mapping):
            path = self.settings.resolve(Path(review))
            review, beside = read_review(path).to_json(), [*beside, path.parent]
        return ImplementationPrompt.of(review, unchanged_documents(review, *beside, outside=True), budget_tokens)


def share_out(asked: Asked, reviews: int) -> Asked:
    """Return what each of so many reviews is asked: the same, for an equal part of the budget."""
    if asked.budget is None:
        return asked
    share = (usd(asked.budget) / reviews).quantize(Decimal("0.000001"), ROUND_DOWN)
    shown = f"{share:f}".rstrip("0").rstrip(".")  # as a person would write it
    return replace(asked, budget=Decimal(shown) if share else usd(asked.budget) / reviews)


def _less(asked: Asked, limit: Decimal | None, cost: Cost) -> Asked:
    """Return what is asked for what a cost leaves of a budget; next to nothing where it leaves nothing."""
    return replace(asked, budget=limit and max(limit - (cost.usd or 0), Decimal("0.000001")))


def chosen_findings(review: Review, ids: Sequence[str]) -> list[Finding]:
    """Return the open findings of a review, or those of these ids; ``InputRefused`` for one that it does not have."""
    known = {f.id: f for f in review.findings if f.active}
    if unknown := [name for name in ids if name not in known]:
        raise InputRefused(f"the review has no open finding '{unknown[0]}'; it has {', '.join(known) or 'none'}")
    if not known:
        raise InputRefused("the review has no open finding: there is nothing to amend")
    return [known[name] for name in dict.fromkeys(ids)] or list(known.values())


def goal_of(run: Run) -> str:
    """Return the goal that the run's workflow states."""
    return parse_workflow(run.source, run.workflow).goal
