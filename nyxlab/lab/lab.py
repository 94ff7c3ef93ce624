"""Lab: the verbs of nyxlab, and the one place where engine, gate, reviewer and providers are wired together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from nyxlab import __version__
from nyxlab.engine.records import Event, Run, RunSummary
from nyxlab.engine.run import execute, load_workflow, start_run
from nyxlab.engine.store import open_store
from nyxlab.engine.workflow import Workflow, bind_inputs, parse_workflow
from nyxlab.errors import InputRefused
from nyxlab.gate.gate import Gate
from nyxlab.gate.policy import Learned, Policy, explain
from nyxlab.lab import batch, tables
from nyxlab.lab.check import Checked, check
from nyxlab.lab.past import Past
from nyxlab.lab.replay import ReplayProvider
from nyxlab.lab.report import export_notebook, render_review, render_run
from nyxlab.lab.reviews import Paths, Terms, read_review, unchanged_documents
from nyxlab.lab.steps import Options, StepRunner, comparison, documents_of, forecast, override, preflight
from nyxlab.providers.base import Provider
from nyxlab.providers.messages import Cost, Json, Message, Record, Request
from nyxlab.providers.registry import open_provider
from nyxlab.reviewer.document import Document, parse_documents
from nyxlab.reviewer.findings import Severity
from nyxlab.reviewer.phases import ImplementationPrompt
from nyxlab.reviewer.review import Review, open_documents
from nyxlab.settings import Settings, load_settings

OnEvent = Callable[[Event], None]

# One current model a vendor, for the list of what is usable from here; any other model's name works as well.
KNOWN = ("anthropic:claude-sonnet-5-5", "google:gemini-3.8-flash", "openai:gpt-5.5", "local:smollm2-135m")
THOUSAND = Request(messages=(Message("user", "word" * 1_000),), max_tokens=1_000)


class ProviderState(Record):
    """One provider as seen from here: why it cannot be called (None: it can), its window in tokens, what it takes.

    ``thousand_tokens`` is the cost of a call with 1,000 tokens of prompt and 1,000 of reply.
    """

    provider: str
    unusable: str | None
    context: int | None
    output_schema: bool
    images: bool
    thousand_tokens: Cost


class Lab:
    """A workbench on one project: its settings, its ledger, its providers.

    Use it as ``async with Lab() as lab``. ``store`` is a database URL that overrides the settings'. Relative paths given
    to its verbs are taken from the project's root (the nearest folder upwards with a ``nyxlab.toml``), so that a
    notebook in ``notebooks/`` and a command at the root mean the same file.
    """

    def __init__(self, store: str | None = None, *, settings: Settings | None = None) -> None:
        self.settings = settings or load_settings()
        self._store = open_store(store or self.settings.store)
        self._providers: dict[str, Provider] = {}
        self._router: Learned | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for provider in self._providers.values():
            await provider.aclose()
        await self._store.aclose()

    def open(self, ref: str) -> Provider:
        """Return the provider of that name; one object a name, so that connections and a loaded model are shared."""
        if ref not in self._providers:
            replay = {"replay": lambda run: ReplayProvider(run, self.show)}
            self._providers[ref] = open_provider(ref, settings=self.settings, openers=replay)
        return self._providers[ref]

    # ---- workflows -------------------------------------------------------------------------------------------------

    async def run(
        self,
        workflow: Paths | Workflow,
        *,
        inputs: Mapping[str, object] | None = None,
        providers: str | Sequence[str] | None = None,
        judge: str | None = None,
        policy: Policy | None = None,
        max_tokens: int | None = None,
        select: Literal["auto", "ask"] | None = None,
        budget: Decimal | str | None = None,
        on_event: OnEvent | None = None,
    ) -> Run:
        """Run a workflow to its end, a pause or a failure, and return the run.

        ``providers`` (a list, or text with commas), ``judge``, ``policy`` and ``max_tokens`` (the longest reply) replace
        every step's own, and ``select`` says whether a person chooses among answers; ``budget`` in USD pauses the run rather than pass it. ``InputRefused`` before anything is
        written for a bad workflow, input or provider.
        """
        loaded, options = self._load(workflow), Options.of(providers, judge, max_tokens, policy, select)
        given = bind_inputs(loaded, inputs or {})
        planned = self._plan(loaded, options)
        limit = _usd(budget) if budget is not None else None
        run_id = await start_run(
            self._store, loaded, given, options=options.to_json() | {"budget": str(limit) if limit else None}
        )
        return await self._execute(run_id, planned, options, limit, on_event)

    def forecast(
        self,
        workflow: Paths | Workflow,
        *,
        inputs: Mapping[str, object] | None = None,
        providers: str | Sequence[str] | None = None,
        judge: str | None = None,
        max_tokens: int | None = None,
    ) -> dict[str, Cost]:
        """Return the most that each provider may cost in this run, judges included; nothing is called or written."""
        loaded, options = self._load(workflow), Options.of(providers, judge, max_tokens)
        bind_inputs(loaded, inputs or {})
        return forecast(self._plan(loaded, options), self.open, self.settings)

    async def resume(self, run_id: str, *, budget: Decimal | str | None = None, on_event: OnEvent | None = None) -> Run:
        """Carry a run on: finished steps stay as they are, recorded replies are not bought again.

        ``InputRefused`` for an unknown run and for one that is completed.
        """
        run = await self._store.load(run_id)
        if run.status == "completed":
            raise InputRefused(f"run {run_id} is completed: nothing is left to do; `nyxlab show {run_id}` shows it")
        kept = dict(run.options)
        before = kept.pop("budget", None)
        options = Options.model_validate(kept)
        planned = self._plan(parse_workflow(run.source, run.workflow), options)
        limit = _usd(budget) if budget is not None else Decimal(before) if before else None
        return await self._execute(run_id, planned, options, limit, on_event)

    async def choose(self, run_id: str, step_id: str, provider: str) -> Run:
        """Keep a person's choice of the winner of a paused comparison; ``resume`` carries on with it.

        ``InputRefused`` for a step that waits for no choice, and for a provider that gave it no usable answer.
        """
        run = await self._store.load(run_id)
        step = run.steps.get(step_id)
        told = step.payload.get("alternatives", ()) if step and step.status == "paused" else ()
        choices = [each["provider"] for each in told if each["status"] == "ok"]
        if len(choices) < 2:
            waiting = f": it waits at '{run.pause.step}'" if run.pause and run.pause.kind == "choice" else ""
            raise InputRefused(f"step '{step_id}' of run {run_id} waits for no choice{waiting}")
        if provider not in choices:
            raise InputRefused(f"'{provider}' gave step '{step_id}' no usable answer: choose {' or '.join(choices)}")
        made = run.options.get("choices") or {}
        await self._store.set_options(run_id, {**run.options, "choices": {**made, step_id: provider}})
        return await self._store.load(run_id)

    async def compare(
        self,
        prompt: str,
        *,
        providers: str | Sequence[str],
        judge: str | None = None,
        policy: Policy | None = None,
        max_tokens: int | None = None,
        budget: Decimal | str | None = None,
        on_event: OnEvent | None = None,
    ) -> Run:
        """Ask several providers one prompt, side by side, and return the run of one step that records the verdict.

        ``policy`` decides where there is no judge and where Cael sees a tie.
        """
        return await self.run(
            comparison(),
            inputs={"prompt": _asked(prompt)},
            providers=providers,
            judge=judge,
            policy=policy,
            max_tokens=max_tokens,
            budget=budget,
            on_event=on_event,
        )

    def forecast_comparison(
        self, prompt: str, *, providers: str | Sequence[str], judge: str | None = None, max_tokens: int | None = None
    ) -> dict[str, Cost]:
        """Return the most that each provider may cost in a comparison; nothing is called or written."""
        return self.forecast(
            comparison(), inputs={"prompt": _asked(prompt)}, providers=providers, judge=judge, max_tokens=max_tokens
        )

    def router(self) -> Learned | None:
        """Return the learned router that the settings name, read once; None where they name none."""
        if self._router is None and self.settings.defaults.router:
            try:
                from nyxlab.gate.router import load_router  # NumPy, for those who use it
            except ImportError:
                raise InputRefused("a learned router needs NumPy: pip install 'nyxlab[learn]'") from None

            self._router = load_router(self.settings.resolve(self.settings.defaults.router))
        return self._router

    def _load(self, workflow: Paths | Workflow) -> Workflow:
        return workflow if isinstance(workflow, Workflow) else load_workflow(self.settings.resolve(Path(workflow)))

    def _plan(self, workflow: Workflow, options: Options) -> Workflow:
        """Return the workflow as it will run, after every refusal that can be made beforehand."""
        planned = override(workflow, options, self.settings)
        preflight(planned, self.open, self.settings)
        return planned

    async def _execute(
        self, run_id: str, planned: Workflow, options: Options, limit: Decimal | None, on_event: OnEvent | None
    ) -> Run:
        past = await Past.read(self._store, run_id)
        runner = StepRunner(self.open, self.settings, past, options.choices, self.router)
        return await execute(self._store, run_id, planned, runner, budget=limit, on_event=on_event)

    # ---- what is recorded ------------------------------------------------------------------------------------------

    async def show(self, run_id: str) -> Run:
        """Return one run as the ledger has it."""
        return await self._store.load(run_id)

    async def runs(self) -> list[RunSummary]:
        """Return all runs, newest first."""
        return await self._store.runs()

    async def cost(self, run_id: str | None = None) -> list[tables.Row]:
        """Return one row a provider over one run or all: calls, tokens, USD, latency p50/p95 with n (seconds)."""
        wanted = [run_id] if run_id else [run.run_id for run in await self.runs()]
        return tables.provider_rows([(await self.show(each)).checkpoint() for each in wanted])

    # ---- reviews ---------------------------------------------------------------------------------------------------

    async def review(
        self,
        target: str | Sequence[Paths],
        *,
        repo: Paths | None = None,
        fail_on: Severity | str = Severity.CRITICAL,
        baseline: Review | Paths | None = None,
        base: Path | None = None,
    ) -> Review:
        """Return Cael's review of some files (or directories: their ``*.md``) as one set, or of what a run wrote.

        ``target`` is a list of paths, or a run's id. ``repo`` is a folder whose files tell what is new and what exists.
        ``baseline`` is an earlier review, or a file with its JSON, that tells new findings from old. ``base`` is where
        relative paths start, the project's root unless given.
        """
        start = base or self.settings.root
        terms = Terms.of(self.settings.root, start, fail_on=fail_on, repo=repo, baseline=baseline)
        return terms.review(await self.read(target, base=base))

    async def read(self, target: str | Sequence[Paths], *, base: Path | None = None) -> Document:
        """Return the document that a review of ``target`` reads, each file by the path that findings name."""
        if not isinstance(target, str):
            return open_documents([str(path) for path in target], base or self.settings.root)
        run = await self.show(target)
        written = [(step.id, step.output) for step in run.steps.values() if step.kind == "prompt" and step.output]
        if not written:
            raise InputRefused(f"run {target} has written nothing that could be reviewed yet")
        stated = [("goal", f"# {run.workflow}\n\n## Goal\n\n{goal}\n")] if (goal := _goal(run)) else []
        return parse_documents(documents_of([*stated, *written], f"{target}/"))

    def prompt(self, review: Review | Mapping[str, Json] | Paths) -> ImplementationPrompt:
        """Return the phased implementation prompt of a review, its JSON, or a file that holds its JSON."""
        if isinstance(review, Review):
            review = review.to_json()
        if not isinstance(review, Mapping):
            review = read_review(self.settings.resolve(Path(review))).to_json()
        return ImplementationPrompt.from_review(dict(review))

    # ---- reports and notebooks -------------------------------------------------------------------------------------

    async def report(self, target: Paths) -> str:
        """Return one self-contained HTML page for a run (its id), a review (its JSON file) or an executed notebook."""
        path = self.settings.resolve(Path(target))
        if path.suffix == ".ipynb":
            return export_notebook(path)
        if path.suffix == ".json" or path.exists():
            review = read_review(path).to_json()
            return render_review(review, "html", unchanged_documents(review, path.parent))
        run = await self.show(str(target))
        told = {"goal": _goal(run), "inputs": run.inputs, "options": run.options, "versions": _versions()}
        return render_run(run.checkpoint() | told)

    async def batch(
        self, grid: Paths, *, reports: Paths = "reports", on_job: Callable[[batch.Job], None] | None = None,
        on_cell: batch.OnCell | None = None,
    ) -> list[batch.Result]:  # fmt: skip
        """Run the notebooks of a grid one after another and export each; every job is checked before the first starts."""
        jobs = batch.read_grid(self.settings.resolve(Path(grid)), self.settings.root)
        results = []
        for job in jobs:
            if on_job:
                on_job(job)
            results.append(await batch.run_job(job, self.settings.resolve(Path(reports)), on_cell or _quiet))
        return results

    # ---- providers -------------------------------------------------------------------------------------------------

    def providers(self) -> list[ProviderState]:
        """Return what is usable from here: one model a vendor, the settings' defaults, every endpoint's models."""
        named = [f"{name}:{model}" for name, endpoint in self.settings.endpoints.items() for model in endpoint.models]
        defaults = [self.settings.defaults.provider, self.settings.defaults.judge]
        return [self._state(name) for name in dict.fromkeys([*filter(None, defaults), *KNOWN, *named])]

    async def explain(
        self, prompt: str, *, providers: str | Sequence[str] | None = None, policy: Policy = "balanced"
    ) -> str:
        """Return in lines how a prompt would be routed and why: scores, what they rest on, who is left out; no call."""
        names = Options.of(providers, None).providers or tuple(state.provider for state in self.providers())
        past = await Past.read(self._store)
        router = self.router() if policy == "learned" else None
        gate = Gate([self.open(name) for name in names], policy=policy, history=past, router=router)
        request = Request(messages=(Message("user", prompt),))
        resolution = gate.resolve(request)
        return explain(resolution, policy, past, *gate.predicted(request, resolution))

    async def check(self, names: Iterable[str]) -> list[Checked]:
        """Make one small call to each of these providers, one after another, and return what came back."""
        return [await check(self.open(name)) for name in names]

    def _state(self, name: str) -> ProviderState:
        provider = self.open(name)
        able = provider.capabilities
        return ProviderState(
            provider=name,
            unusable=provider.unusable(),
            context=able.context,
            output_schema=able.output_schema,
            images=able.images,
            thousand_tokens=provider.estimate(THOUSAND),
        )


def _asked(prompt: str) -> str:
    if not prompt.strip():
        raise InputRefused("the prompt is empty: say what the providers are asked")
    return prompt


def _goal(run: Run) -> str:
    return parse_workflow(run.source, run.workflow).goal


def _versions() -> dict[str, str]:
    names = ("genai-prices", "pydantic", "httpx")
    return {"nyxlab": __version__} | {name: version(name) for name in names}


def _usd(amount: Decimal | str) -> Decimal:
    try:
        value = Decimal(amount)
    except ArithmeticError:
        value = Decimal("NaN")
    if not value.is_finite() or value <= 0:
        raise InputRefused(f"a budget is an amount in USD above zero, such as 0.50, not {str(amount)[:40]!r}")
    return value


def _quiet(_name: str, _cell: int, _cells: int) -> None:
    return
