"""Panels for JupyterLab: run a workflow, watch it, choose among answers, and read what a review found.

Every text of a model or a plan is escaped, and tables are plain HTML: they stay readable where the notebook is
exported.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from functools import partial
from pathlib import Path
from typing import Any

import ipywidgets as widgets
from IPython.display import HTML
from markupsafe import Markup

from nyxlab.engine.records import CallDone, Event, Noted, Run, RunStarted, StepDone, StepStarted
from nyxlab.engine.run import load_workflow
from nyxlab.engine.workflow import Workflow
from nyxlab.errors import InputRefused, NyxlabError
from nyxlab.lab.fields import STORED, said, told
from nyxlab.lab.findings import findings_panel
from nyxlab.lab.lab import Lab
from nyxlab.lab.views.answers import answers as side_by_side
from nyxlab.lab.views.console import write
from nyxlab.lab.views.page import environment
from nyxlab.lab.views.rows import RunLike, checkpoint_of, provider_rows
from nyxlab.lab.views.wording import money
from nyxlab.lab.workflows.prepared import Prepared
from nyxlab.providers.hand import Question
from nyxlab.providers.messages import Json

__all__ = ["LabPanel", "answers", "cost_line", "findings_panel", "lab_panel"]


def lab_panel(lab: Lab | None = None, *, workflow: str | None = None, providers: str = "", judge: str = "") -> LabPanel:
    """Return a panel that runs the project's workflows; the arguments are what its fields hold at first."""
    return LabPanel(lab or Lab(), workflow=workflow, providers=providers, judge=judge)


def answers(*runs: RunLike) -> HTML:
    """Return the answers of some runs side by side, each under its step or its prompt, to be shown in a notebook."""
    return HTML("".join(map(side_by_side, runs)))  # type: ignore[no-untyped-call]  # IPython ships no types


class LabPanel(widgets.VBox):  # type: ignore[misc]  # ipywidgets ships no types
    """Picks a workflow, says what it may cost, runs it with live progress, and lets a person choose.

    ``run`` is the last run as it stands. ``start``, ``stop`` and ``choose`` are what the buttons do.
    """

    def __repr__(self) -> str:
        """Return what a stored notebook says in its place."""
        return STORED

    def __init__(self, lab: Lab, *, workflow: str | None, providers: str, judge: str) -> None:
        self._run_id = ""
        self.lab, self.run, self._task = lab, None, None  # type: Lab, Run | None, asyncio.Task[None] | None
        found = sorted((lab.settings.root / "data" / "workflows").glob("*.yaml"))
        names = [str(path.relative_to(lab.settings.root)) for path in found]
        if workflow and workflow not in names:
            names.insert(0, workflow)
        if not names:
            raise InputRefused("there is no workflow in data/workflows: write one, or run `nyxlab init`")
        self.workflow = widgets.Dropdown(options=names, value=workflow or names[0], **told("Workflow"))
        self.providers = widgets.Text(providers, placeholder="the workflow's own", **told("Providers"))
        self.judge = widgets.Text(judge, placeholder="the workflow's own", **told("Judge"))
        self.auto = widgets.Checkbox(True, **told("Dual-provider auto-select"))
        self.inputs = widgets.VBox()
        self.forecast = widgets.HTML()
        self.go = widgets.Button(description="Run", button_style="primary", tooltip="Start the run")
        self.halt = widgets.Button(description="Stop", disabled=True, tooltip="Stop the run; it can be resumed")
        self.bar = widgets.IntProgress(min=0, max=1, **told("Steps"))
        self.status = widgets.HTML(said("Not started."))
        self.result, self.after = widgets.HTML(), widgets.HTML()
        self.choice = widgets.VBox()
        self.page = widgets.Button(description="Write the report", tooltip="One HTML page of this run, into reports/")
        self.page.layout.display = "none"
        self.workflow.observe(lambda _: self._show_inputs(), "value")
        for field in (self.providers, self.judge):
            field.observe(lambda _: self._show_forecast(), "value")
        self.go.on_click(lambda _: self._begin(self.start()))
        self.halt.on_click(lambda _: self.stop())
        self.page.on_click(lambda _: self._begin(self.report()))
        super().__init__(
            [self.workflow, self.inputs, self.providers, self.judge, self.auto, self.forecast,
             widgets.HBox([self.go, self.halt]), self.bar, self.status, self.result, self.choice, self.after, self.page]
        )  # fmt: skip
        self.add_class("nyxlab-lab-panel")
        self._show_inputs()

    async def start(self) -> None:
        """Start a run of what the fields say; it ends completed, failed, or paused for a choice."""

        async def begun() -> Run:
            return await self._prepared().run(self._tell)

        await self._follow(begun())

    def _prepared(self) -> Prepared:
        """Return what the fields say, decided and not begun: what is forecast is what runs."""
        return self.lab.prepare(
            self.workflow.value, inputs=self._given(), providers=self.providers.value, judge=self.judge.value,
            select="auto" if self.auto.value else "ask",
        )  # fmt: skip

    async def choose(self, step: str, provider: str) -> None:
        """Choose the winner of a paused comparison and carry the run on."""
        if self.run is None:
            return
        run_id = self.run.run_id

        async def carried_on() -> Run:
            await self.lab.choose(run_id, step, provider)
            return await self.lab.resume(run_id, on_event=self._tell)

        await self._follow(carried_on())

    async def answer(self, question: Question, text: str) -> None:
        """Keep an answer by hand, and carry the run on when none is missing any more."""
        if self.run is None or not text.strip():
            return None
        question.reply.write_text(text, encoding="utf-8")
        if any(not each.reply.exists() for each in self.lab.questions(self.run)):
            return self._show(self.run)
        return await self._follow(self.lab.resume(self.run.run_id, on_event=self._tell))

    async def report(self) -> None:
        """Write the page of the run into the project's reports/, and say where it is."""
        if self.run is None:
            return
        file = self.lab.settings.root / "reports" / f"{self.run.run_id}.html"
        write(await self.lab.report(self.run.run_id), file, quiet=True)
        self.status.value = said(f"The report is in {file}")

    def stop(self) -> None:
        """Stop the run where it is; nothing that is recorded is lost."""
        if self._task:
            self._task.cancel()

    def _begin(self, work: Awaitable[None]) -> None:
        self._task = asyncio.ensure_future(work)

    async def _follow(self, work: Awaitable[Run]) -> None:
        """Wait for a run, and show how it went; whatever stops it is one sentence."""
        self.go.disabled, self.halt.disabled = True, False
        self._running: list[str] = []
        self._calls, self._run_id, self.run = 0, "", None
        self.result.value, self.after.value, self.choice.children = "", "", ()  # nothing of an earlier run stays
        self.bar.value, self.page.layout.display = 0, "none"
        try:
            self.run = await work
            self._show(self.run)
            self.status.value = said(_outcome(self.run), error=self.run.status == "failed")
        except NyxlabError as error:
            self.forecast.value = ""  # which says the same, once is enough
            self.status.value = said(str(error), error=True)
        except asyncio.CancelledError:
            self.status.value = said(f"Stopped. Carry on: nyxlab resume {self._run_id}" if self._run_id else "Stopped.")
        finally:
            self.go.disabled, self.halt.disabled = False, True

    def _tell(self, event: Event) -> None:
        """Show one event."""
        match event:
            case RunStarted():
                self._run_id, self.bar.max, self.bar.value = event.run_id, event.steps, event.done
            case StepStarted():
                self._running.append(event.step)
            case CallDone():
                self._calls += 1
            case StepDone():
                self._running = [name for name in self._running if name != event.record.id]
                self.bar.value += 1
            case Noted():
                self.forecast.value = said(f"{event.step}: {event.text}")
        self.status.value = said(f"{', '.join(self._running) or 'running'} · {self._calls} calls · run {self._run_id}")

    def _loaded(self) -> Workflow:
        return load_workflow(self.lab.settings.resolve(Path(self.workflow.value)))

    def _show_inputs(self) -> None:
        """Give each input of the workflow a field of its type."""
        try:
            declared = self._loaded().inputs
        except InputRefused as error:
            self.inputs.children, self.forecast.value = (), said(str(error), error=True)
            return
        kinds = {"integer": widgets.IntText, "number": widgets.FloatText, "boolean": widgets.Checkbox}
        fields = []
        for name, each in declared.items():
            kind = kinds.get(each.type, widgets.Text)
            given = {} if each.required or each.default is None else {"value": each.default}
            field = kind(**given, **told(name, each.help))
            field.observe(lambda _: self._show_forecast(), "value")
            fields.append(field)
        self.inputs.children = tuple(fields)
        self._show_forecast()

    def _given(self) -> dict[str, Json]:
        return {field.description: field.value for field in self.inputs.children}

    def _show_forecast(self) -> None:
        """Say who will be asked and what it may cost at most."""
        try:
            prepared = self._prepared()
            most, who = prepared.cost, ", ".join(prepared.costs) or "nobody"
        except NyxlabError as error:
            self.forecast.value = said(str(error), error=True)
            return
        self.forecast.value = said(f"At most {money(most.usd, most.certainty)}. Asked: {who}")

    def _show(self, run: Run) -> None:
        waits = run.pause.step if run.pause and run.pause.kind == "choice" else None
        buttons = []
        for name in run.pause.choices if run.pause and waits else ():
            button = widgets.Button(
                description=f"Choose {name}", tooltip=f"Carry on with the answer of {name}",
                layout=widgets.Layout(width="auto", min_width="12em"),
            )  # fmt: skip
            button.on_click(partial(self._chosen, str(waits), name))
            buttons.append(button)
        asked = self.lab.questions(run) if run.pause and run.pause.kind == "answers" else ()
        self.result.value = str(side_by_side(run, [waits] if waits else None, folded=True))
        self.choice.children = (*buttons, *map(self._question, asked))
        how = Markup("<p>Run <code>{0}</code>: <code>nyxlab show {0}</code></p>").format(run.run_id)
        self.after.value = str(cost_line(run) + how)
        self.page.layout.display = None

    def _question(self, question: Question) -> widgets.VBox:
        """Return a question by hand with a field for its answer; the last one answered carries the run on."""
        wide = widgets.Layout(width="100%", height="12em")
        label = f"{question.provider}: copy this into a chat, and its answer into the field below"
        field = widgets.Textarea(placeholder="the whole answer", layout=wide)
        button = widgets.Button(description="Answer", tooltip=f"Keep the answer as {question.reply.name}")
        button.on_click(lambda _: self._begin(self.answer(question, field.value)))
        text = question.path.read_text(encoding="utf-8")
        return widgets.VBox(
            [widgets.HTML(said(label)), widgets.Textarea(text, disabled=True, layout=wide), field, button]
        )

    def _chosen(self, step: str, provider: str, _button: object) -> None:
        self._begin(self.choose(step, provider))


def _outcome(run: Run) -> str:
    """Return how a run stands, and how it goes on."""
    if run.status == "failed":
        why = next((step.error for step in run.steps.values() if step.error), "")
        return f"failed. {why} When the cause is mended: nyxlab resume {run.run_id}"
    verdicts = [step.payload["review"]["verdict"] for step in run.steps.values() if "review" in step.payload]
    reviewed = f" Review: {', '.join(verdicts)}." if verdicts else ""
    if run.pause is None:
        return f"{run.status}.{reviewed}"
    below = {
        "choice": "Read the answers and choose one below.",
        "answers": "Answer below.",
        "budget": f"Carry on: nyxlab resume {run.run_id} --budget USD",
    }
    return f"{run.status}. {run.pause.reason}. {below[run.pause.kind]}"


def cost_line(run: RunLike) -> Markup:
    """Return what a run cost in a line, ``12.4k tok · $0.0312 · 5 calls``, that unfolds into the provider table."""
    total = checkpoint_of(run)["totals"]
    count = total["tokens"]
    tokens = f"{count / 1000:.1f}k" if count >= 1_000 else str(count)
    amount, calls = money(total["usd"], total["certainty"]), f"{total['calls']} call{'s' * (total['calls'] != 1)}"
    line = f"{tokens} tok · {amount} · {calls}"
    parts: Any = environment().get_template("parts.html.j2").module
    shown = Markup("<details class='nyxlab-cost'><summary>{}</summary>{}</details>")
    return shown.format(line, parts.providers(provider_rows([run]), {}))
