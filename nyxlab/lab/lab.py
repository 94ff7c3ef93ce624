"""Lab: the verbs of nyxlab in one object. What each does lives in the room that is named after its question."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, Unpack

from nyxlab.engine.records import Event, Run, RunSummary
from nyxlab.engine.workflow import Workflow
from nyxlab.gate.policy import Policy
from nyxlab.lab.desk import Desk, Paths, provider_names
from nyxlab.lab.routing.advice import Advice, advise
from nyxlab.lab.routing.check import Checked, ProviderState, check, explained, provider_states
from nyxlab.lab.routing.training import train_from_ledger, train_router
from nyxlab.lab.views.rows import Row, provider_rows
from nyxlab.lab.workflows.comparison import Prompts, comparison, read_prompts
from nyxlab.lab.workflows.options import Changes, Corrected, Options
from nyxlab.lab.workflows.prepared import OnCosts, OnEvent, Prepared, prepare, prepare_fork, prepare_resume
from nyxlab.lab.workflows.records import chosen_by_person, exported, older_than, questions_of
from nyxlab.providers.base import Provider
from nyxlab.providers.hand import Question
from nyxlab.providers.messages import Json
from nyxlab.settings import Settings

if TYPE_CHECKING:  # what only some verbs need is loaded by those: papermill's company, the reviewer with its rules
    from nyxlab.lab.batch.jobs import Batching, Result
    from nyxlab.lab.letters import Letter
    from nyxlab.lab.reviews.measuring import Case, Measurement
    from nyxlab.lab.reviews.mending import Amending, Amendment
    from nyxlab.lab.reviews.prepared import PreparedReviews
    from nyxlab.lab.reviews.terms import Asked, Target, Terms
    from nyxlab.reviewer.findings import Severity
    from nyxlab.reviewer.prompt import ImplementationPrompt
    from nyxlab.reviewer.review import Review

Inputs = Mapping[str, object]
Budget = Decimal | str


class Lab:
    """A workbench on one project: its settings, its ledger, its providers.

    Use it as ``async with Lab() as lab``. ``store`` is a database URL that overrides the settings'. Relative paths
    given to its verbs are taken from the project's root (the nearest folder upwards with a ``nyxlab.toml``), so that a
    notebook in ``notebooks/`` and a command at the root mean the same file.
    """

    def __init__(self, store: str | None = None, *, settings: Settings | None = None) -> None:
        self.desk = Desk(store, settings)
        self.settings = self.desk.settings

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.desk.aclose()

    def prepare(
        self,
        workflow: Paths | Workflow,
        *,
        inputs: Inputs | None = None,
        budget: Budget | None = None,
        **changes: Unpack[Changes],
    ) -> Prepared:
        """Decide a run and return it unbegun: its steps, what each provider may cost at most, and ``run``."""
        return prepare(self.desk, workflow, inputs or {}, Options.of(budget, **changes))

    async def run(
        self,
        workflow: Paths | Workflow,
        *,
        inputs: Inputs | None = None,
        budget: Budget | None = None,
        on_event: OnEvent | None = None,
        **changes: Unpack[Changes],
    ) -> Run:
        """Run a workflow (a file, or one made by code) to its end, a pause or a failure, and return the run.

        ``budget`` in USD pauses the run rather than pass it. ``changes`` are ``providers``, ``judge``, ``policy``,
        ``max_tokens``, ``select`` and ``allow``, which replace every step's own. ``InputRefused`` before anything is
        written for a bad workflow, input or provider.
        """
        return await self.prepare(workflow, inputs=inputs, budget=budget, **changes).run(on_event)

    async def stream(self, workflow: Paths | Workflow, **options: Any) -> AsyncGenerator[Event, None]:
        """Run a workflow (``options`` as in ``run``) and yield its events; close it (``aclosing``) to leave early."""
        async with aclosing(self.prepare(workflow, **options).stream()) as events:
            async for event in events:
                yield event

    async def prepare_resume(self, run_id: str, **corrected: Unpack[Corrected]) -> Prepared:
        """Decide how a run would be carried on: which steps, which of them because of an edit, for how much at most."""
        return await prepare_resume(self.desk, run_id, **corrected)

    async def prepare_fork(self, run_id: str, step_id: str, **corrected: Unpack[Corrected]) -> Prepared:
        """Decide a new run that would begin at a step of this one."""
        return await prepare_fork(self.desk, run_id, step_id, **corrected)

    async def resume(self, run_id: str, *, on_event: OnEvent | None = None, **corrected: Unpack[Corrected]) -> Run:
        """Carry a run on: finished steps stay as they are, recorded replies are not bought again.

        ``inputs`` are ``corrected`` ones: what names them, and what waits for that, runs again; so do steps that were
        edited in the workflow's file since, and what waits for them. ``InputRefused`` for an unknown run, and for a
        completed one of which nothing changed.
        """
        return await (await self.prepare_resume(run_id, **corrected)).run(on_event)

    async def fork(
        self, run_id: str, step_id: str, *, on_event: OnEvent | None = None, **corrected: Unpack[Corrected]
    ) -> Run:
        """Run a step and what waits for it in a new run that keeps what came before; the old run stays as it is.

        Recorded replies come along free of charge: only a question that ``inputs`` change is asked again.
        """
        return await (await self.prepare_fork(run_id, step_id, **corrected)).run(on_event)

    async def choose(self, run_id: str, step_id: str, provider: str) -> Run:
        """Keep a person's choice of the winner of a paused comparison; ``resume`` carries on with it.

        ``InputRefused`` for a step that waits for no choice, and for a provider that gave it no usable answer.
        """
        run = await self.show(run_id)
        await self.desk.store.set_options(run.run_id, chosen_by_person(run, step_id, provider))
        return await self.show(run.run_id)

    def questions(self, run: Run) -> list[Question]:
        """Return the questions by hand that wait for those whom a run asks, or whose answers it could not use."""
        return questions_of(run, self.settings)

    async def show(self, run_id: str) -> Run:
        """Return one run as the ledger has it: by its id, by a beginning that no other has, or as ``last``."""
        return await self.desk.load(run_id)

    async def runs(self) -> list[RunSummary]:
        """Return all runs, newest first."""
        return await self.desk.store.runs()

    async def cost(self, run_id: str | None = None) -> list[Row]:
        """Return one row a provider over one run or all: calls, tokens, USD (of scripts: ``invented``), latency."""
        rows = provider_rows([await self.show(run_id)] if run_id else await self._all())
        return [row | {"invented": self.desk.vendor(row["provider"]) == "script"} for row in rows]

    async def advice(self) -> list[Advice]:
        """Return what the ledger says of each step's comparisons: where one provider is enough, where nobody knows."""
        return advise(reversed(await self._all()))

    def prepare_comparison(
        self, prompt: Prompts, *, repeat: int = 1, budget: Budget | None = None, **changes: Unpack[Changes]
    ) -> Prepared:
        """Decide a comparison and return it unbegun, as ``prepare`` does a run."""
        asked = prompt if isinstance(prompt, str) else read_prompts(prompt, self.settings.resolve)
        workflow = comparison(asked, provider_names(changes.get("providers")), repeat)
        return self.prepare(workflow, budget=budget, **changes)

    async def compare(
        self,
        prompt: Prompts,
        *,
        repeat: int = 1,
        budget: Budget | None = None,
        on_event: OnEvent | None = None,
        **changes: Unpack[Changes],
    ) -> Run:
        """Ask several ``providers`` a prompt, or each of a list or a file (a path), side by side; return the run.

        ``repeat`` asks each prompt so many times. ``policy`` decides where there is no ``judge`` and where Cael sees a
        tie. ``changes`` are as in ``run``.
        """
        return await self.prepare_comparison(prompt, repeat=repeat, budget=budget, **changes).run(on_event)

    async def prepare_review(
        self, targets: Sequence[Target], terms: Terms, asked: Asked, *, base: Path | None = None
    ) -> PreparedReviews:
        """Decide the reviews of some sets of files (or of runs, by their ids): who reads them, for how much at most."""
        from nyxlab.lab.reviews.prepared import prepare_reviews

        return await prepare_reviews(self.desk, targets, terms, asked, base)

    async def review(
        self,
        target: Target,
        *,
        repo: Paths | None = None,
        fail_on: Severity | str = "critical",
        baseline: Review | Paths | None = None,
        base: Path | None = None,
        providers: str | Sequence[str] | None = None,
        judge: str | None = None,
        lenses: Sequence[str] = (),
        budget: Budget | None = None,
        on_event: OnEvent | None = None,
    ) -> Review:
        """Return Cael's review of some files (or directories: their ``*.md``) as one set, or of what a run wrote.

        ``target`` is a list of paths, or a run's id. ``repo`` is a folder whose files tell what is new and what exists.
        ``baseline`` is an earlier review, or a file with its JSON, that tells new findings from old. ``base`` is where
        relative paths start, the project's root unless given.

        With ``providers``, each of them reads the plan, or looks through each of the ``lenses``, for at most ``budget``
        USD, and ``judge`` tries to refute what they find; without, the rules alone speak.
        """
        from nyxlab.lab.reviews.terms import Asked, Terms

        root = self.settings.root
        terms = Terms.of(root, base or root, fail_on=fail_on, repo=repo, baseline=baseline)
        prepared = await self.prepare_review([target], terms, Asked(providers, judge, lenses, budget), base=base)
        (reviewed,) = await prepared.run(on_event)
        assert reviewed.review is not None  # noqa: S101 - a single set that is refused raises
        return reviewed.review

    async def amend(self, review: Review | Paths, **options: Unpack[Amending]) -> Amendment:
        """Return the plan of a review mended in a copy: by a file of decisions, or by what a provider decides.

        ``review`` may be a file with its JSON; ``options`` are those of ``Amending``. The amended plan is reviewed
        again, by ``provider`` too where models had read the plan. Nothing is written. ``InputRefused`` where the plan
        is no longer as it was reviewed.
        """
        from nyxlab.lab.reviews.mending import amend

        return await amend(self.desk, review, **options)

    async def measure(
        self,
        plans: Sequence[Paths] | Sequence[Case],
        *,
        providers: str | Sequence[str] | None = None,
        judge: str | None = None,
        lenses: Sequence[str] = (),
        seed: int = 0,
        budget: Budget | None = None,
        base: Path | None = None,
        on_costs: OnCosts | None = None,
        on_event: OnEvent | None = None,
    ) -> Measurement:
        """Return who finds the faults that are planted in copies of these clean plans: recall, precision, cost.

        ``plans`` may also be cases whose faults are known; ``seed`` chooses faults and places. ``budget`` (USD) is
        shared out evenly over the reviews; ``on_costs`` is told who reads, and the most that it may cost.
        """
        from nyxlab.lab.reviews.measuring import measure_here
        from nyxlab.lab.reviews.terms import Asked

        asked = Asked(providers, judge, lenses, budget)
        return await measure_here(self.desk, plans, asked, seed, base, on_costs, on_event)

    def prompt(
        self, review: Review | Mapping[str, Json] | Paths, *, budget_tokens: int | None = None
    ) -> ImplementationPrompt:
        """Return the phased implementation prompt of a review, its JSON, or a file that holds its JSON.

        The plan has to be as it was reviewed. A phase over ``budget_tokens`` (8,000 unless told) is split at a task.
        """
        from nyxlab.lab.reviews.documents import phased_prompt

        return phased_prompt(self.settings, review, budget_tokens)

    async def batch(self, grid: Paths, **options: Unpack[Batching]) -> list[Result]:
        """Run the notebooks of a grid, each in a process of its own, and export each and an index that compares them.

        Every job is checked before the first starts; one that ended well before with the same code, parameters and
        files is not run again. ``options`` are ``reports`` (the folder), ``workers`` (processes at once, one a core
        unless given), ``dask`` (the address of a scheduler, whose workers must see this folder and the same ledger),
        ``on_job`` and ``on_cell``.
        """
        from nyxlab.lab.batch.jobs import run_grid

        return await run_grid(self.desk, Path(grid), **options)

    async def report(self, target: Paths | None = None) -> str:
        """Return one self-contained HTML page: of a run (its id), a review (its JSON), a notebook; else of all runs."""
        from nyxlab.lab.pages import page_of, page_of_all

        return await (page_of(self.desk, target) if target else page_of_all(self.desk))

    def open(self, ref: str) -> Provider:
        """Return the provider of that name; one object a name."""
        return self.desk.open(ref)

    def providers(self) -> list[ProviderState]:
        """Return what is usable from here: one model a vendor, the settings' defaults, every endpoint's models."""
        return provider_states(self.desk)

    async def explain(
        self, prompt: str, *, providers: str | Sequence[str] | None = None, policy: Policy = "balanced"
    ) -> str:
        """Return in lines how a prompt would be routed and why: scores, what they rest on, who is left out."""
        return await explained(self.desk, prompt, provider_names(providers), policy)

    async def check(self, names: Iterable[str]) -> list[Checked]:
        """Make one small call to each of these providers, one after another, and return what came back."""
        return [await check(self.open(name)) for name in names]

    async def route(self, labels: Paths | None, output: Paths) -> str:
        """Train a router, write it to a file, and return what it was trained on in one line.

        ``labels`` is a CSV of recorded outcomes; None: the judged comparisons of the ledger. Named as ``router`` under
        ``[defaults]`` in ``nyxlab.toml`` it serves ``policy: learned``.
        """
        file = self.settings.resolve(Path(output))
        if labels is None:
            return train_from_ledger(await self._all(), self.settings, file)
        return train_router(self.settings.resolve(Path(labels)), file)

    async def letter(
        self, since: str | None = None, *, providers: str | None = None, on_costs: OnCosts | None = None
    ) -> Letter:
        """Return a letter made of what is recorded ``since`` a date or a run; unless told, since the last letter's end.

        ``providers`` write the sentences that open it; each number, id and name in them must stand in the facts.
        """
        from nyxlab.lab.drafting import write_letter

        async def ask(prompt: str) -> Run:
            prepared = self.prepare_comparison(prompt, providers=providers)
            if on_costs:
                on_costs(prepared.readers)
            return await prepared.run()

        return await write_letter(self.desk, since, ask if providers else None)

    async def look_up(self, letter: Letter) -> tuple[list[str], list[bool]]:
        """Hold a letter against the ledger, the files and git: what is wrong in it, and which next steps are done."""
        from nyxlab.lab.drafting import look_up

        return await look_up(letter, self.desk.store, self.settings.root)

    async def export(self, run_id: str) -> dict[str, Json]:
        """Return all that the ledger has of a run as one JSON document: checkpoint, workflow, inputs and every call."""
        return exported(await self.show(run_id))

    async def prune(self, older: timedelta | str, *, dry_run: bool = False) -> list[RunSummary]:
        """Forget the finished runs that began longer ago than ``older`` (a span, or text such as ``90d``)."""
        old = older_than(await self.runs(), older)
        if old and not dry_run:
            await self.desk.store.forget([run.run_id for run in old])
        return old

    async def _all(self) -> list[Run]:
        """Return every run whole, newest first."""
        return [await self.show(each.run_id) for each in await self.runs()]
