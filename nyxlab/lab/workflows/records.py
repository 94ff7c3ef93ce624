"""What is done with recorded runs: keep a person's choice, write one out, find the old ones."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from nyxlab.engine.reading import parse_workflow
from nyxlab.engine.records import Run, RunSummary
from nyxlab.errors import InputRefused
from nyxlab.providers.hand import Question, open_questions
from nyxlab.providers.messages import Json
from nyxlab.settings import Settings


def chosen_by_person(run: Run, step_id: str, provider: str) -> dict[str, Json]:
    """Return a run's options with a person's choice among a paused step's answers.

    ``InputRefused`` for a step that waits for no choice, and for a provider that gave it no usable answer.
    """
    step = run.steps.get(step_id)
    answers = step.payload.get("alternatives", ()) if step and step.status == "paused" else ()
    choices = [each["provider"] for each in answers if each["status"] == "ok"]
    if len(choices) < 2:
        waiting = f": it waits at '{run.pause.step}'" if run.pause and run.pause.kind == "choice" else ""
        raise InputRefused(f"step '{step_id}' of run {run.run_id} waits for no choice{waiting}")
    if provider not in choices:
        raise InputRefused(f"'{provider}' gave step '{step_id}' no usable answer: choose {' or '.join(choices)}")
    return {**run.options, "choices": {**(run.options.get("choices") or {}), step_id: provider}}


def exported(run: Run) -> dict[str, Json]:
    """Return all that is known of a run as one JSON document: its checkpoint, workflow, inputs and every call."""
    return {
        "schema": "nyxlab.export/1",
        "checkpoint": run.checkpoint(),
        "workflow": run.source,
        "inputs": run.inputs,
        "options": run.options,
        "createdAt": run.created_at.isoformat(),
        "calls": [call.to_json() for call in run.calls],
    }


def flow_chart(run: Run) -> str:
    """Return a run's steps, what they wait for and how they stand, as a Mermaid flow chart."""
    lines = ["graph TD"]
    for step in parse_workflow(run.source, run.workflow).steps:
        lines.append(f'  {step.id}["{step.id} · {step.kind} · {run.steps[step.id].status}"]')
        lines += [f"  {need} --> {step.id}" for need in step.needs]
    return "\n".join(lines)


def older_than(runs: Sequence[RunSummary], span: timedelta | str) -> list[RunSummary]:
    """Return the finished runs that began longer ago than a span: a ``timedelta``, or text such as 90d, 12h, 30m."""
    if isinstance(span, str):
        if not (found := re.fullmatch(r"(\d{1,6})([dhm])", span.strip())):
            raise InputRefused(f"'{span[:40]}' is no span of time: write days, hours or minutes, such as 90d, 12h, 30m")
        span = timedelta(**{{"d": "days", "h": "hours", "m": "minutes"}[found[2]]: int(found[1])})
    before = datetime.now(UTC) - span
    return [run for run in runs if run.created_at < before and run.status in ("completed", "failed")]


def questions_of(run: Run, settings: Settings) -> list[Question]:
    """Return the questions by hand that wait for those whom a run asks, or whose answers it could not use."""
    named = f"{run.source} {run.options} {settings.defaults!r}"
    named += " ".join(ref for alias, ref in settings.aliases.items() if re.search(rf"\b{alias}\b", named))
    names = re.findall(r"\bhand:([a-z0-9][a-z0-9_-]*)", named)
    return open_questions(settings.root, dict.fromkeys(names), run.pause.reason if run.pause else "")
